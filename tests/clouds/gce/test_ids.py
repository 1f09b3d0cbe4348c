"""Parsing of pasted Compute Engine image IDs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.clouds.helpers import assert_rejected_quickly
from webapp.clouds.errors import InvalidImageId
from webapp.clouds.gce.ids import parse, parse_reference
from webapp.clouds.locators import ImageId
from webapp.clouds.pasted_text import MAX_LENGTH

IMAGE = "debian-cloud/global/images/debian-13-trixie-v20261112"
FAMILY = "debian-cloud/global/images/family/debian-13"
SOVEREIGN = "eu0:acme-images/global/images/debian-12--tpc-20261111-2318"
SOVEREIGN_CONSOLE = "https://console.cloud.berlin-build0.goog/compute"
CONSOLE = "https://console.cloud.google.com/compute"

names = st.from_regex(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True).filter(
    lambda name: name != "family"
)
numbers = st.integers(1, 10**20 - 1).map(str)
projects = (
    st.from_regex(r"[a-z][-a-z0-9]{4,28}[a-z0-9]", fullmatch=True).filter(
        # If the project had this name, the ID would look like a path that begins with "projects/".
        lambda project: project != "projects"
    )
    | st.integers(1, 10**12).map(str)
    | st.sampled_from(
        [
            *("example.com:acme-images", "corp.example.co.uk:acme-images"),
            *("eu0:acme-images", "eu0-system:debian-cloud", "s3ns:acme-images"),
        ]
    )
)
ids = st.builds("{}/global/images/{}".format, projects, names | numbers) | st.builds(
    "{}/global/images/family/{}".format, projects, names
)
blanks = st.text(" \t\r\n\xa0", max_size=5)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (IMAGE, IMAGE),
        (f"/{IMAGE}", IMAGE),
        (f"{IMAGE}/", IMAGE),
        (f"  {IMAGE}\t\r\n", IMAGE),
        (f"\ufeff{IMAGE}\u200b", IMAGE),
        (f'"{IMAGE}",', IMAGE),
        (f"projects/{IMAGE}", IMAGE),
        (f"/projects/{IMAGE}", IMAGE),
        (f"v1/projects/{IMAGE}", IMAGE),
        (f"compute/v1/projects/{IMAGE}", IMAGE),
        (f"https://www.googleapis.com/compute/v1/projects/{IMAGE}", IMAGE),
        (f"https://www.googleapis.com/compute/beta/projects/{IMAGE}", IMAGE),
        (f"https://content.googleapis.com/compute/v1/projects/{IMAGE}", IMAGE),
        (f"https://compute.googleapis.com/compute/alpha/projects/{IMAGE}", IMAGE),
        (f"https://compute.example-cloud.fr/compute/v1/projects/{IMAGE}?alt=json", IMAGE),
        (f"http://127.0.0.1:5002/compute/v1/projects/{IMAGE}", IMAGE),
        (f"www.googleapis.com/compute/v1/projects/{IMAGE}", IMAGE),
        (f"//compute.googleapis.com/projects/{IMAGE}", IMAGE),
        (f"{CONSOLE}/imagesDetail/projects/{IMAGE}", IMAGE),
        (f"{CONSOLE}/imagesDetail/projects/{IMAGE}?project=acme-images&authuser=1#x", IMAGE),
        (f"console.cloud.google.com/compute/imagesDetail/projects/{IMAGE}", IMAGE),
        (FAMILY, FAMILY),
        (f"https://www.googleapis.com/compute/v1/projects/{FAMILY}", FAMILY),
        ("projects/debian-cloud/zones/europe-west1-b/imageFamilyViews/debian-13", FAMILY),
        ("debian-cloud/global/images/1234567890123456789", None),
        ("123456789012/global/images/web", None),
        ("example.com:acme-images/global/images/web", None),
        ("eu0:acme-images/global/images/web", None),
        ("s3ns-system:ubuntu-os-cloud/global/images/family/ubuntu-2404", None),
        (f"https://compute.apis-berlin-build0.goog/compute/v1/projects/{SOVEREIGN}", SOVEREIGN),
        (
            "https://www.s3nsapis.fr/compute/v1/projects/" + SOVEREIGN.replace("eu0:", "eu0%3A"),
            SOVEREIGN,
        ),
        (
            f"{SOVEREIGN_CONSOLE}/imagesDetail/projects/{SOVEREIGN}?project=eu0:acme-images",
            SOVEREIGN,
        ),
        (
            "https://www.googleapis.com/compute/v1/projects/example.com%3Aacme/global/images/web",
            None,
        ),
        ("acme-images/global/images/w", None),
        (f"acme-images/global/images/{'w' * 63}", None),
    ],
)
def test_an_accepted_text_becomes_an_id(text: str, value: str | None) -> None:
    """The location is always empty, because images do not belong to a region."""
    found = parse(text)
    assert found.location == ""
    if value:
        assert found.value == value
    elif "%3A" in text:
        assert found.value == "example.com:acme/global/images/web"
    else:
        assert found.value == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "Enter an image ID"),
        (" \n", "Enter an image ID"),
        ("debian-13-trixie-v20261112", "project is missing. .* before the name"),
        ("1234567890123456789", "project is missing. .* before the name"),
        ("global/images/web", "project is missing. Enter the project ID"),
        ("images/web", "project is missing. Enter the project ID"),
        ("acme-images", "project is missing. .* before the name"),
        ("acme-images/global/images", "name is missing"),
        ("acme-images/global/images/", "name is missing"),
        ("acme-images/global/images/family", "name is missing"),
        ("acme-images/global/images/family/", "name is missing"),
        ("acme-images/images/web", "“global” is missing"),
        ("acme-images/regions/europe-west1/images/web", "don’t belong to a region or zone"),
        ("acme-images/zones/europe-west1-b/images/web", "don’t belong to a region or zone"),
        ("debian-cloud/debian-13", "could be an image or an image family"),
        ("acme-images/global/images/Web", "can’t contain “W”"),
        ("acme-images/global/images/web_1", "can’t contain “_”"),
        ("acme-images/global/images/web\x00", r"can’t contain the character U\+0000"),
        ("acme-images/global/images/-web", "must begin with a letter"),
        ("acme-images/global/images/web-", "end with a letter or digit"),
        ("acme-images/global/images/0", "must begin with a letter"),
        ("acme-images/global/images/family/123", "image family must begin with a letter"),
        (f"acme-images/global/images/{'w' * 64}", "at most 63 characters, but this name has 64"),
        ("acme-images/global/images/web/more", "isn’t an image ID"),
        ("-acme/global/images/web", "isn’t a project ID"),
        ("Acme-Images/global/images/web", "isn’t a project ID"),
        ("/global/images/web", "project is missing"),
        ("acme-images/global/machineImages/web", "This is a machine image"),
        ("acme-images/global/snapshots/web", "This is a snapshot"),
        ("acme-images/zones/europe-west1-b/disks/web", "This is a disk"),
        ("projects/acme-images/regions/europe-west1/disks/web", "This is a disk"),
        ("projects/acme-images/zones/europe-west1-b/instances/web", "This is an instance"),
        ("projects/acme-images/global/instanceTemplates/web", "This is an instance template"),
        ("projects/debian-cloud/global/licenses/debian-13", "This is a license"),
        (f"{CONSOLE}/disksDetail/zones/z/disks/web?project=acme-images", "This is a disk"),
        (f"{CONSOLE}/images?project=acme-images", "URL doesn’t contain an image"),
        ("https://example.com/", "URL doesn’t contain an image"),
        ("ami-0123456789abcdef0", "project is missing"),
        ("arn:aws:ec2:us-east-1::image/ami-12345678", "isn’t an image ID"),
        ("Canonical:ubuntu-24_04-lts:server:latest", "isn’t an image ID"),
        ("Canonical/ubuntu-24_04-lts/server/latest", "isn’t an image ID"),
        (
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/images/web",
            "isn’t an image ID",
        ),
        ("5f0c2c1e-7d63-4a53-9f57-0f2d6f4c0a11", "isn’t an image ID"),
        ("w" * (MAX_LENGTH + 1), "too long for an image ID"),
    ],
)
def test_a_rejected_text_gets_a_reason(text: str, words: str) -> None:
    with pytest.raises(InvalidImageId, match=words):
        parse(text)


@given(ids, blanks, blanks)
def test_any_id_between_blanks(image_id: str, before: str, after: str) -> None:
    assert parse(before + image_id + after) == ImageId(image_id)
    assert str(parse_reference(image_id)) == image_id


@given(ids)
def test_any_url(image_id: str) -> None:
    for begin in (
        "https://www.googleapis.com/compute/v1/projects/",
        "//compute.googleapis.com/projects/",
        f"{CONSOLE}/imagesDetail/projects/",
    ):
        assert parse(begin + image_id) == ImageId(image_id)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """Return a valid ID or URL with parts inserted, removed or repeated."""
    begins = ["", "/", "projects/", "https://www.googleapis.com/compute/v1/projects/"]
    text = draw(st.sampled_from(begins)) + draw(ids)
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(start + 10, len(text))))
        piece = draw(
            st.text(max_size=3) | st.sampled_from(["/", "projects/", "global/", "%2F", "?"])
        )
        text = text[:start] + piece + text[draw(st.sampled_from([start, end])) :]
    return text


@given(st.text(max_size=80) | st.text("abc-/:. %?#1projectsglobalimages", max_size=60) | mutated())
def test_any_text_is_parsed_or_rejected(text: str) -> None:
    try:
        found = parse(text)
    except InvalidImageId as error:
        assert str(error).endswith(".")  # noqa: PT017  both outcomes are correct
        assert len(str(error)) < 300  # noqa: PT017
        return
    assert found.location == ""
    assert found.value.isascii()
    assert "/global/images/" in found.value
    assert parse(found.value).value == found.value


@pytest.mark.parametrize(
    "piece",
    ["a", "a-", "a.", "1", "/", "//", "projects/", "global/images/", "https://", "%2F", "?", " "],
)
def test_hostile_input_is_rejected_quickly(piece: str) -> None:
    assert_rejected_quickly(parse, piece, MAX_LENGTH)
