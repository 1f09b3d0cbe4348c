"""Parsing of pasted Azure image IDs."""

from __future__ import annotations

import string
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.clouds.helpers import assert_rejected_quickly
from webapp.clouds.azure.ids import parse, parse_canonical, parse_location
from webapp.clouds.errors import InvalidImageId, InvalidLocation
from webapp.clouds.locators import ImageId
from webapp.clouds.pasted_text import MAX_LENGTH

SUBSCRIPTION = "01234567-89ab-cdef-0123-456789abcdef"
COMPUTE = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/Images_(prod)/providers/Microsoft.Compute"
MANAGED = f"{COMPUTE}/images/golden-24.04"
DEFINITION = f"{COMPUTE}/galleries/acme.gallery/images/ubuntu"
VERSION = f"{DEFINITION}/versions/1.0.10"
LATEST = f"{DEFINITION}/versions/latest"
NOBLE = "Canonical/ubuntu-24_04-lts/server/latest"
COMMUNITY = "/CommunityGalleries/Acme-1/Images/ubuntu/Versions/1.0.10"
DIRECT = f"/SharedGalleries/{SUBSCRIPTION}-{'G' * 80}/Images/ubuntu/Versions/1.0.10"
PORTAL = "https://portal.azure.com/#@acme.onmicrosoft.com/resource"
PLATFORM = (
    f"/Subscriptions/{SUBSCRIPTION}/Providers/Microsoft.Compute/Locations/westus/Publishers/"
    "Canonical/ArtifactTypes/VMImage/Offers/UbuntuServer/Skus/18.04-LTS/Versions/18.04.202401161"
)

names = st.from_regex(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,20}[A-Za-z0-9_-])?", fullmatch=True)
numbers = st.lists(st.integers(0, 10**9), min_size=2, max_size=4).map(
    lambda each: ".".join(map(str, each))
)
guids = st.uuids().map(str)
groups = st.from_regex(r"[A-Za-z0-9_().-]{0,20}[A-Za-z0-9_()-]", fullmatch=True)
urns = st.tuples(names, names, names, numbers | st.just("latest")).filter(
    lambda parts: [part.lower() for part in parts[1:3]] != ["global", "images"]
)
three = st.tuples(*[st.integers(0, 2**31)] * 3).map(lambda each: ".".join(map(str, each)))
managed = st.builds(
    "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.Compute/images/{}".format,
    guids,
    groups,
    names,
)
versions = st.builds(
    (
        "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.Compute/galleries/{}/images/{}"
        "/versions/{}"
    ).format,
    guids,
    groups,
    names,
    names,
    three | st.just("latest"),
)
shared = st.builds(
    "/{}/{}/Images/{}/Versions/{}".format,
    st.sampled_from(["CommunityGalleries", "SharedGalleries"]),
    names,
    names,
    three | st.just("latest"),
)
resources = managed | versions | shared
blanks = st.text(" \t\r\n\xa0\u200b", max_size=5)


@pytest.mark.parametrize(
    ("text", "value", "location"),
    [
        ("Canonical:ubuntu-24_04-lts:server:latest", NOBLE, ""),
        (NOBLE, NOBLE, ""),
        (f"/{NOBLE}", NOBLE, ""),
        ("Canonical:ubuntu-24_04-lts:server:LATEST", NOBLE, ""),
        ("  Canonical : ubuntu-24_04-lts /\tserver : latest\r\n", NOBLE, ""),
        ('"Canonical:ubuntu-24_04-lts:server:latest",', NOBLE, ""),
        ('"urn": "Canonical:ubuntu-24_04-lts:server:latest",', NOBLE, ""),
        ("\ufeffCanonical:ubuntu-24_04-lts:server:latest\u200b", NOBLE, ""),
        (
            "MicrosoftWindowsServer:WindowsServer:2022-Datacenter:20348.1607.230310",
            "MicrosoftWindowsServer/WindowsServer/2022-Datacenter/20348.1607.230310",
            "",
        ),
        (
            PLATFORM,
            "Canonical/UbuntuServer/18.04-LTS/18.04.202401161",
            "westus",
        ),
        (MANAGED, MANAGED, ""),
        (
            MANAGED.lower(),
            MANAGED.lower()
            .replace("groups", "Groups")
            .replace("microsoft.compute", "Microsoft.Compute"),
            "",
        ),
        (MANAGED.replace(SUBSCRIPTION, SUBSCRIPTION.upper()), MANAGED, ""),
        (MANAGED[1:], MANAGED, ""),
        (f"{MANAGED}/", MANAGED, ""),
        (f"{PORTAL}{MANAGED}/overview", MANAGED, ""),
        (f"{PORTAL}{VERSION}/replication", VERSION, ""),
        (
            (
                "https://portal.azure.com/#view/Microsoft_Azure_Compute/Blade/id/"
                f"{quote(VERSION, safe='')}"
            ),
            VERSION,
            "",
        ),
        (quote(MANAGED, safe=""), MANAGED, ""),
        (f"https://management.azure.com{MANAGED}?api-version=2024-07-01", MANAGED, ""),
        (f"https://portal.azure.us/#@x/resource{MANAGED}", MANAGED, ""),
        (VERSION, VERSION, ""),
        (COMMUNITY, COMMUNITY, ""),
        (COMMUNITY[1:], COMMUNITY, ""),
        (
            COMMUNITY.lower(),
            COMMUNITY.lower()
            .replace("communityg", "CommunityG")
            .replace("/images/", "/Images/")
            .replace("/versions/", "/Versions/"),
            "",
        ),
        (f'"communityGalleryImageId": "{COMMUNITY}",', COMMUNITY, ""),
        (DIRECT, DIRECT, ""),
        (f"/sharedGALLERIES/{DIRECT.partition('ies/')[2]}/", DIRECT, ""),
        (
            COMMUNITY.replace("1.0.10", "LATEST"),
            COMMUNITY.replace("1.0.10", "latest"),
            "",
        ),
        (f"{PORTAL}{COMMUNITY}/overview", COMMUNITY, ""),
        (
            (
                "https://portal.azure.com/#view/Microsoft_Azure_Compute/Blade/id/"
                f"{quote(DIRECT, safe='')}"
            ),
            DIRECT,
            "",
        ),
        (
            (
                f"https://management.azure.com/subscriptions/{SUBSCRIPTION}/providers/"
                "Microsoft.Compute/locations/westus/communityGalleries/Acme-1/images/ubuntu/"
                "versions/1.0.10?api-version=2023-07-03"
            ),
            COMMUNITY,
            "westus",
        ),
        (LATEST.replace("latest", "Latest"), LATEST, ""),
    ],
)
def test_an_accepted_text_becomes_an_id(text: str, value: str, location: str) -> None:
    assert parse(text) == ImageId(value, location)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "Enter the URN"),
        (" \n", "Enter the URN"),
        ("ubuntu-24.04", "has four parts: .* For any other image"),
        ("Canonical:ubuntu-24_04-lts:server", "four parts.* This text has 3"),
        ("a:b:c:d:latest", "four parts.* This text has 5"),
        ("Canonical::server:latest", "The offer is missing"),
        (":ubuntu:server:latest", "The publisher is missing"),
        ("Canonical:ubuntu:ser ver:latest", "“ser ver” isn’t a valid SKU"),
        ("Canonical:ubuntu:..:latest", "“..” isn’t a valid SKU"),
        ("Canonical:ubuntu:server:newest", "“newest” isn’t a version"),
        ("Canonical:ubuntu:server:1", "“1” isn’t a version"),
        ("Canonical:ubuntu:server:", "The version is missing"),
        ("ami-0123456789abcdef0", "has four parts"),
        ("arn:aws:ec2:us-east-1::image/ami-0123456789abcdef0", "This text has 7"),
        ("debian-cloud/global/images/debian-13", "Google Cloud"),
        ("debian-cloud/global/images/12345", "Google Cloud"),
        ("projects/debian-cloud/global/images/debian-13", "This text has 5"),
        (
            "https://www.googleapis.com/compute/v1/projects/p/global/images/i",
            "doesn’t contain an Azure image ID",
        ),
        ("https://portal.azure.com/#home", "doesn’t contain an Azure image ID"),
        ("9a0d3c1e-5b7f-4d2a-8c6e-1f2e3d4c5b6a", "has four parts"),
        (DEFINITION, "without a version"),
        (f"{PORTAL}{DEFINITION}/overview", "without a version"),
        (f"{COMPUTE}/galleries/acme", "the ID of a compute gallery"),
        (f"{DEFINITION}/versions/1.0", "“1.0” isn’t a version in a compute gallery"),
        (f"{COMPUTE}/virtualMachines/web-1", "the ID of a virtual machine"),
        (f"{COMPUTE}/disks/web-1", "the ID of a disk"),
        (f"{COMPUTE}/snapshots/web-1", "the ID of a snapshot"),
        (f"{COMPUTE}/sshPublicKeys/web-1", "isn’t the resource ID of an image"),
        (MANAGED.replace("Microsoft.Compute", "Microsoft.Web"), "isn’t the resource ID of an"),
        (MANAGED.replace(SUBSCRIPTION, "mine"), "subscription ID in this resource ID"),
        (f"/subscriptions/{SUBSCRIPTION}", "has no resource group"),
        (f"{COMPUTE}/images/a b", "isn’t a valid name for|isn’t the resource ID"),
        (f"{COMPUTE}/images/..", "“..” isn’t a valid name for an image"),
        (f"{COMPUTE}/images/{'x' * 81}", "isn’t a valid name for an image"),
        ("/CommunityGalleries/a-1", "the ID of a community gallery. .*/Images/NAME/Versions/1.0.0"),
        ("/SharedGalleries/a-1/Images", "the ID of a directly shared gallery"),
        ("/CommunityGalleries/a-1/Images/b", "without a version"),
        ("/SharedGalleries/a-1/Images/b/Versions", "without a version"),
        ("/CommunityGalleries/a-1/Images/b/Versions/new", "“new” isn’t a version"),
        ("/CommunityGalleries/a b/Images/b/Versions/1.0.0", "“a b” isn’t a valid name for a comm"),
        ("/SharedGalleries/a/Images/../Versions/1.0.0", "“..” isn’t a valid name for an image"),
        ("eu0:acme-images/global/images/web", "Google Cloud"),
        ("a" * (MAX_LENGTH + 1), "too long"),
    ],
)
def test_a_rejected_text_gets_a_reason(text: str, words: str) -> None:
    with pytest.raises(InvalidImageId, match=words) as caught:
        parse(text)
    assert str(caught.value).endswith(".")
    assert len(str(caught.value)) < 300


@given(urns, blanks, blanks, st.sampled_from(":/"))
def test_any_urn_is_accepted_between_blanks(
    parts: tuple[str, str, str, str], before: str, after: str, separator: str
) -> None:
    expected = ImageId("/".join(parts))
    assert parse(f"{before}{separator.join(parts)}{after}") == expected
    assert parse(f" {separator} ".join(parts)) == expected
    assert str(parse_canonical(expected.value)) == expected.value


@given(resources, blanks, blanks)
def test_any_resource_id_and_portal_url_is_accepted(
    resource_id: str, before: str, after: str
) -> None:
    expected = ImageId(resource_id)
    assert parse(f"{before}{resource_id}{after}") == expected
    assert parse(f"{PORTAL}{resource_id}/overview") == expected
    assert parse(quote(resource_id, safe="")) == expected
    assert str(parse_canonical(resource_id)) == resource_id


@given(
    st.text(max_size=80)
    | st.text("Canonical/:latest0123. \n%2Fsubscriptions", max_size=80)
    | st.lists(st.text(string.printable, max_size=8), max_size=6).map(":".join)
)
def test_any_text_is_parsed_or_rejected(text: str) -> None:
    assert_parsed_or_rejected(text)


@given(
    resources | urns.map(":".join),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 3), st.text(max_size=3)), max_size=4),
)
def test_any_changed_id_is_parsed_or_rejected(
    text: str, changes: list[tuple[int, int, str]]
) -> None:
    for position, removed, inserted in changes:
        at = position % (len(text) + 1)
        text = text[:at] + inserted + text[at + removed :]
    assert_parsed_or_rejected(text)


def assert_parsed_or_rejected(text: str) -> None:
    try:
        found = parse(text)
    except InvalidImageId as error:
        words = str(error)
        assert words.endswith(".")
        assert "://" not in words
        assert len(words) < 300
        return
    assert parse(found.value) == ImageId(found.value)
    assert str(parse_canonical(found.value)) == found.value
    assert len(found.value) <= 512


@pytest.mark.parametrize(
    "piece",
    ["a", ":", "/", "a:", "%2F", "%25", "/subscriptions/", "/images/a", "https://", "1.", " ", "("],
)
def test_hostile_input_is_rejected_quickly(piece: str) -> None:
    assert_rejected_quickly(parse, piece, MAX_LENGTH)


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("eastus", "eastus"),
        (" EastUS ", "eastus"),
        ("East US 2", "eastus2"),
        ("(US) East US", "eastus"),
        ("(Europe) West Europe", "westeurope"),
        ("USGov Virginia", "usgovvirginia"),
        ("", ""),
    ],
)
def test_a_location_becomes_the_name_of_the_region(text: str, region: str) -> None:
    assert parse_location(text) == region
    assert parse_location(region) == region


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("eastus-1", "an availability zone.* its region, eastus"),
        ("eastus2-az3", "an availability zone.* its region, eastus2"),
        ("East US, 1", "isn’t an Azure region"),
        ("résumé", "isn’t an Azure region"),
    ],
)
def test_a_location_that_is_no_region_is_refused(text: str, words: str) -> None:
    with pytest.raises(InvalidLocation, match=words):
        parse_location(text)
