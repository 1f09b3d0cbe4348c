"""The rule that a scope sees each image only once, and what makes two images the same."""

from __future__ import annotations

import pytest

from models import Image, Scope
from tests.clouds.spellings import SPELLINGS
from tests.conftest import ActorOf, MakeCredentials, MakeImage, ScopeAt, choices, details
from webapp.access import Actor
from webapp.clouds import CLOUDS
from webapp.clouds.locators import LocationRule, Locator
from webapp.credentials.vault import Vault
from webapp.images import registration, successors
from webapp.images.identity import (
    AlreadyRegistered,
    InvalidLocator,
    image_id_condition,
    parse_locator,
)
from webapp.search import catalogue
from webapp.search.catalogue import Listing
from webapp.search.parser import parse

UUID = "6f2b8c1e-1a3d-4e5f-8a9b-0c1d2e3f4a5b"
IMAGES = {
    "aws": ("us-east-1", "ami-0123456789abcdef0"),
    "gce": ("", "acme-images/global/images/web-1"),
    "openstack": ("RegionTwo", UUID),
    "azure": ("", "Canonical/ubuntu-24_04-lts/server/24.04.202610150"),
    "vmware": ("DC0", UUID),
}
GROUP = "/subscriptions/01234567-89ab-cdef-0123-456789abcdef/resourceGroups/RG-Web"
MANAGED = f"{GROUP}/providers/Microsoft.Compute/images/Web"


@pytest.mark.parametrize(
    ("first", "second", "refused"),
    [
        ("", "", True),
        ("", "acme", True),
        ("", "acme/production", True),
        ("acme", "acme/production", True),
        ("acme", "", False),  # lower scopes do not count
        ("acme", "globex", False),  # sibling scopes do not count
        ("acme/production", "acme/staging", False),
    ],
)
def test_an_image_is_registered_once_where_it_is_visible(
    make_image: MakeImage, first: str, second: str, refused: bool
) -> None:
    registered = make_image(first)
    if not refused:
        assert make_image(second).scope.path == second
        return
    with pytest.raises(AlreadyRegistered) as caught:
        make_image(second)
    assert caught.value.image == registered


def test_an_unshared_image_does_not_block_lower_scopes(make_image: MakeImage) -> None:
    make_image("", shared=False)
    assert make_image("acme").scope.path == "acme"


def test_another_location_is_another_image(make_image: MakeImage) -> None:
    make_image("acme", location="us-east-1")
    assert make_image("acme", location="eu-west-1").location == "eu-west-1"


@pytest.fixture
def registered(actor_of: ActorOf, scope: ScopeAt) -> dict[str, Image]:
    """Return an image of each cloud that was imported at acme without a look-up."""
    return {
        key: registration.register_unverified(
            actor_of("account-editor"), scope("acme"), key, Locator(*locator),
            choices(name=f"web {key}"), details=details(),
        )
        for key, locator in IMAGES.items()
    }  # fmt: skip


def spellings(key: str) -> list[str]:
    """Return the spellings of the registered image that do not name another location."""
    location, image_id = IMAGES[key]
    return [text for text, other in SPELLINGS[key](image_id) if other in {"", location}]


@pytest.mark.parametrize("key", IMAGES)
def test_an_image_is_found_by_its_id_in_any_spelling(
    registered: dict[str, Image], actor_of: ActorOf, scope: ScopeAt, key: str
) -> None:
    acme, editor = scope("acme"), actor_of("account-editor")
    uuids = {"openstack", "vmware"}
    expected = {registered[each].id for each in (uuids if key in uuids else {key})}
    for text in spellings(key):
        found = {row.id for row in catalogue.find_page(editor, acme, Listing(parse(text))).images}
        listed = {image.id for image in find_spelled(acme, text)}
        assert registered[key].id in listed <= expected, text
        # The words around an ID, such as its name, are conditions of a search.
        assert found <= expected, text
        if len(text.split()) == 1:
            assert registered[key].id in found, text
            by_id = catalogue.find_page(editor, acme, Listing(parse(f"id:{text}")))
            assert registered[key].id in {row.id for row in by_id.images}, text


def find_spelled(scope: Scope, text: str) -> list[Image]:
    condition = image_id_condition(text)
    return list(Image.select().where(condition & Image.visible_from(scope)))


@pytest.mark.parametrize("key", ["aws", "gce", "azure"])
def test_a_successor_is_found_by_its_id_in_any_spelling(
    registered: dict[str, Image], scope: ScopeAt, key: str
) -> None:
    for text in spellings(key):
        assert successors.find_image(scope("acme"), text) == registered[key], text


@pytest.mark.parametrize("key", ["aws", "gce", "azure"])
def test_new_image_refuses_a_registered_image_in_any_spelling(
    registered: dict[str, Image],
    make_credentials: MakeCredentials,
    editor: Actor,
    scope: ScopeAt,
    vault: Vault,
    key: str,
) -> None:
    credentials = make_credentials("acme")
    credentials.cloud = key
    credentials.save()
    for text in spellings(key):
        with pytest.raises(AlreadyRegistered) as caught:
            registration.look_up(
                editor, scope("acme"), vault, key,
                credentials_id=credentials.id, location=IMAGES[key][0], image_id=text,
            )  # fmt: skip
        assert caught.value.image == registered[key]


def test_azure_ids_in_another_case_are_the_same_image(editor: Actor, scope: ScopeAt) -> None:
    acme = scope("acme")
    image = registration.register_unverified(
        editor, acme, "azure", Locator("", MANAGED), choices(), details=details()
    )
    assert image.cloud_image_id == MANAGED
    with pytest.raises(AlreadyRegistered):
        registration.register_unverified(
            editor, acme, "azure", Locator("", MANAGED.lower()), choices(), details=details()
        )


def test_parameters_whose_names_differ_in_case_are_different_images(
    editor: Actor, scope: ScopeAt
) -> None:
    acme, names = scope("acme"), ("/golden/Web", "/golden/web")
    images = [
        registration.register_unverified(
            editor,
            acme,
            "aws",
            parse_locator(CLOUDS["aws"], location="us-east-1", image_id=f"RESOLVE:SSM:{name}"),
            choices(),
            details=details(),
        )
        for name in names
    ]
    for image, name in zip(images, names, strict=True):
        assert find_spelled(acme, f"ssm:{name}") == [image]
        assert successors.find_image(acme, name) == image
        for text in (name, name.upper(), f"id:{name}", f"id:{name.upper()}"):
            page = catalogue.find_page(editor, acme, Listing(parse(text)))
            assert {row.id for row in page.images} == {each.id for each in images}


@pytest.mark.parametrize(
    ("key", "location", "canonical"),
    [
        ("aws", " US-EAST-1 ", "us-east-1"),
        ("aws", "US East (N. Virginia)", "us-east-1"),
        ("azure", "East US", "eastus"),
        ("gce", "us-central1-a", ""),
        ("openstack", " RegionOne ", "RegionOne"),
        ("openstack", "“RegionOne”\u200b,", "RegionOne"),
        ("vmware", "/DC0/", "DC0"),
        ("vmware", "\ufeff'/Labs / 1/DC0/'", "Labs / 1/DC0"),
        ("vmware", 'Lab "A"', 'Lab "A"'),
    ],
)
def test_a_locator_has_the_canonical_location(key: str, location: str, canonical: str) -> None:
    locator = parse_locator(CLOUDS[key], location=location, image_id=IMAGES[key][1])
    assert locator.location == canonical


@pytest.mark.parametrize(
    ("key", "locations"),
    [
        ("openstack", ("RegionOne", "regionone", "Region\u200bOne", '"REGIONONE"')),
        ("vmware", ("Labs/DC0", "/labs//dc0/", "Labs/DC%30", "Labs/\u2060DC0")),
        ("aws", ("us-east-1", "US-EAST-1\u200b")),
    ],
)
def test_an_image_is_registered_once_in_any_spelling_of_its_location(
    editor: Actor, scope: ScopeAt, key: str, locations: tuple[str, ...]
) -> None:
    acme, image_id = scope("acme"), IMAGES[key][1]
    first, *others = (
        parse_locator(CLOUDS[key], location=location, image_id=image_id) for location in locations
    )
    image = registration.register_unverified(editor, acme, key, first, choices(), details=details())
    assert image.location == locations[0]
    for locator in others:
        with pytest.raises(AlreadyRegistered) as caught:
            registration.register_unverified(
                editor, acme, key, locator, choices(), details=details()
            )
        assert caught.value.image == image


def test_a_zone_is_refused_with_its_region() -> None:
    for key, zone, region in (("aws", "us-east-1a", "us-east-1"), ("azure", "eastus-1", "eastus")):
        with pytest.raises(InvalidLocator, match=f"Enter its region, {region}") as caught:
            parse_locator(CLOUDS[key], location=zone, image_id=IMAGES[key][1])
        assert caught.value.field == "location"


def test_the_location_in_an_id_is_compared_in_its_canonical_form() -> None:
    arn = "arn:aws:ec2:us-east-1::image/ami-0123456789abcdef0"
    aws = CLOUDS["aws"]
    assert parse_locator(aws, location="US-EAST-1", image_id=arn).location == "us-east-1"
    with pytest.raises(InvalidLocator, match="is for us-east-1, but the location is eu-west-1"):
        parse_locator(aws, location="EU-WEST-1", image_id=arn)
    for cloud in CLOUDS.values():
        if cloud.location_rule is LocationRule.REGIONAL:
            with pytest.raises(InvalidLocator, match="location is missing"):
                parse_locator(cloud, location=" ", image_id=IMAGES[cloud.key][1])
