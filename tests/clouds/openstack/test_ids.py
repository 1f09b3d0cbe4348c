"""Parsing of pasted OpenStack image IDs."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.clouds.helpers import assert_rejected_quickly
from webapp.clouds.errors import InvalidImageId
from webapp.clouds.locators import ImageId
from webapp.clouds.openstack.ids import UUID, parse
from webapp.clouds.pasted_text import MAX_LENGTH

ID = "6f2b8c1e-1a3d-4e5f-8a9b-0c1d2e3f4a5b"
BARE = ID.replace("-", "")
OTHER = "00002404-5a4d-4b0c-8000-000000002404"
HORIZON = "https://cloud.example.com/dashboard"
GLANCE = "https://image.example.com:9292"

ids = st.uuids().map(str)
blanks = st.text(" \t\r\n\xa0", max_size=5)


@pytest.mark.parametrize(
    ("text", "value", "location"),
    [
        (ID, ID, ""),
        (f"  {ID}\t\r\n", ID, ""),
        (f"\ufeff{ID}\u200b", ID, ""),
        (ID.upper(), ID, ""),
        (BARE, ID, ""),
        (BARE.upper(), ID, ""),
        (f"{{{ID}}}", ID, ""),
        (f"urn:uuid:{ID}", ID, ""),
        (f"URN:UUID:{ID.upper()}", ID, ""),
        (f'"{ID}",', ID, ""),
        (f"“{ID}”", ID, ""),
        (ID.replace("-", "–"), ID, ""),
        (f"| id | {ID} |", ID, ""),
        (f"| {ID} |", ID, ""),
        (f'"id": "{ID}",', ID, ""),
        (f"image_id={ID}", ID, ""),
        (f"ID: {ID}", ID, ""),
        (f"{HORIZON}/project/images/{ID}/", ID, ""),
        (f"{HORIZON}/project/images/{ID}/?region=RegionTwo", ID, "RegionTwo"),
        (f"{HORIZON}/admin/images/{ID}/detail", ID, ""),
        (f"{HORIZON}/project/images_and_snapshots/{ID}/", ID, ""),
        (f"{HORIZON}/ngdetails/OS::Glance::Image/{ID}", ID, ""),
        (f"{HORIZON}/ngdetails/OS%3A%3AGlance%3A%3AImage/{ID}?nav=%2Fproject%2Fimages", ID, ""),
        (f"cloud.example.com/project/images/{ID}", ID, ""),
        (f"{GLANCE}/v2/images/{ID}", ID, ""),
        (f"{GLANCE}/v2/images/{ID}/file", ID, ""),
        (f"{GLANCE}/image/v2.1/images/{BARE}", ID, ""),
        (f"/v2/images/{ID}", ID, ""),
        (f"v2/images/{ID.upper()}", ID, ""),
    ],
)
def test_an_accepted_text_becomes_an_id(text: str, value: str, location: str) -> None:
    assert parse(text) == ImageId(value, location)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "Enter the UUID"),
        (" \n", "Enter the UUID"),
        ("id:", "Enter the UUID"),
        ("| id |  |", "You can’t enter a name"),
        ("Ubuntu 24.04 LTS", "You can’t enter a name"),
        ("ami-0123456789abcdef0", "is a UUID"),
        ("12345678", "too short: it has 8 digits"),
        (ID[:-1], "too short: it has 31 digits"),
        (f"{ID}0", "too long: it has 33 digits"),
        (f"{ID[:-1]}g", "“g” isn’t allowed"),
        (f"{ID[:-1]}o", "“o” isn’t allowed"),
        (f"6f-{ID[2:].replace('-', '', 1)}", "hyphens in this UUID"),
        (f"{ID}-", "hyphens in this UUID"),
        (f"{BARE[:31]}-{BARE[31]}", "hyphens in this UUID"),
        ("urn:uuid:", "is a UUID|too short"),
        ("{}", "is a UUID|too short"),
        ("Canonical:ubuntu-24_04-lts:server:latest", "is a UUID"),
        ("Canonical/ubuntu-24_04-lts/server/latest", "isn’t the URL of an OpenStack image"),
        (
            "arn:aws:ec2:us-east-1::image/ami-0123456789abcdef0",
            "isn’t the URL of an OpenStack image",
        ),
        (
            "ubuntu-os-cloud/global/images/ubuntu-2404-noble-amd64-v20261021",
            "isn’t the URL of an OpenStack image",
        ),
        (f"project/global/images/{ID}", "isn’t the URL of an OpenStack image"),
        (
            f"/subscriptions/{OTHER}/resourceGroups/g/providers/Microsoft.Compute/images/{ID}",
            "isn’t the URL of an OpenStack image",
        ),
        (
            f"https://vcenter.example.com/ui/app/vm;nav=v/urn:vmomi:VirtualMachine:vm-1:{ID}",
            "isn’t the URL of an OpenStack image",
        ),
        (f"{HORIZON}/project/images", "isn’t the URL of an OpenStack image"),
        (f"{HORIZON}/project/instances/{ID}/", "isn’t the URL of an OpenStack image"),
        (f"{HORIZON}/project/images/create/", "is a UUID"),
        (f"{HORIZON}/project/images/{ID[:-3]}/", "too short"),
        (f"{GLANCE}/v2/images/{ID}?next=/v2/images/{OTHER}", "more than one image ID"),
        ("6" * (MAX_LENGTH + 1), "too long"),
    ],
)
def test_a_rejected_text_gets_a_reason(text: str, words: str) -> None:
    with pytest.raises(InvalidImageId, match=words) as caught:
        parse(text)
    assert str(caught.value).endswith(".")


@given(ids, blanks, blanks)
def test_any_form_of_an_id_is_accepted_between_blanks(
    image_id: str, before: str, after: str
) -> None:
    for form in (image_id, image_id.upper(), image_id.replace("-", ""), f"{{{image_id}}}"):
        assert parse(before + form + after) == ImageId(image_id)


@given(ids, st.sampled_from(["RegionOne", "nova", "DE-1", "us_east.2"]))
def test_any_dashboard_and_api_url_is_accepted(image_id: str, region: str) -> None:
    dashboard_url = f"{HORIZON}/project/images/{image_id}/?region={region}"
    assert parse(dashboard_url) == ImageId(image_id, region)
    assert parse(f"{GLANCE}/v2/images/{image_id}/file") == ImageId(image_id)


@given(
    st.text(max_size=80)
    | st.text(f"{string.hexdigits}-{{}} \n:/?&=.|\"'", max_size=80)
    | st.text(f"{string.hexdigits}-", min_size=30, max_size=40)
    | st.text(f"{string.hexdigits}-/", max_size=40).map(f"{GLANCE}/v2/images/{{}}".format)
)
def test_any_text_is_parsed_or_rejected(text: str) -> None:
    assert_parsed_or_rejected(text)


@given(ids, st.integers(0, 36), st.sampled_from([*"0aAgz-–/{}:| ", "", "\0", "%41"]))
def test_any_changed_id_is_parsed_or_rejected(image_id: str, position: int, piece: str) -> None:
    assert_parsed_or_rejected(image_id[:position] + piece + image_id[position:])
    assert_parsed_or_rejected(image_id[:position] + piece + image_id[position + 1 :])


def assert_parsed_or_rejected(text: str) -> None:
    try:
        found = parse(text)
    except InvalidImageId as error:
        assert str(error).endswith(".")  # noqa: PT017  both outcomes are correct
        assert "://" not in str(error)  # noqa: PT017
        return
    assert UUID.fullmatch(found.value)
    assert parse(found.value) == ImageId(found.value)


@pytest.mark.parametrize(
    "piece", ["6", "-", "/", "v2/images/", "/project/images/", "id|", "region=", "%41", "{", " "]
)
def test_hostile_input_is_rejected_quickly(piece: str) -> None:
    assert_rejected_quickly(parse, piece, MAX_LENGTH)
