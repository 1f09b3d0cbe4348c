"""Messages about Azure images that do not exist, or not in the chosen location."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from sandbox import azure, azure_images
from sandbox.faulty import answering, slow
from tests.clouds.azure import answers
from tests.clouds.azure.answers import (
    after_login,
    arm_error,
    by_path,
    denied,
)
from tests.clouds.azure.peer import AzurePeer
from tests.clouds.azure.refusals import HOME, NOBLE, OWN, described, managed, refused
from webapp.clouds import follow_up
from webapp.clouds.azure.adapter import Azure
from webapp.clouds.base import (
    CredentialValues,
    ImageNotFound,
    ImageNotVisible,
    Locator,
    PermissionDenied,
    UnknownLocation,
)


@pytest.fixture
def adapter() -> Azure:
    return Azure()


@pytest.fixture(scope="module")
def sandbox() -> Iterator[CredentialValues]:
    with azure.start() as address:
        yield AzurePeer().credentials(address)


@pytest.mark.parametrize(
    ("urn", "words"),
    [
        (NOBLE.urn("24.04.201901010"), "no such version. The newest version is 24.04.202610150."),
        ("Canonical/ubuntu-24_04-lts/servr/latest", "SKU, but it has server and server-arm64."),
        ("Canonical/ubuntu/server/latest", "offer, but it has ubuntu-24_04-lts, ubuntu-26_04"),
        ("Cannonical/ubuntu-24_04-lts/server/latest", "publisher doesn’t exist"),
    ],
)
@pytest.mark.parametrize("place", ["", HOME])
def test_which_part_of_a_urn_is_wrong(
    adapter: Azure, sandbox: CredentialValues, place: str, urn: str, words: str
) -> None:
    error = refused(lambda: adapter.describe(sandbox, Locator(place, urn)))
    assert type(error) is ImageNotFound
    assert urn in str(error)
    assert words in str(error)
    assert error.found_in == ()


def test_offer_without_a_sku_and_sku_without_a_version(adapter: Azure) -> None:
    offers = answers.answering([{"name": "offer"}])
    skus, none = answers.answering([{"name": "sku"}]), answers.answering([])
    missing = arm_error("NotFound", status=404)
    for found, words in (
        ({"skus__sku__versions": none, "offer__skus": skus}, "no longer has any version"),
        ({"offer__skus": none}, "the offer has no SKUs"),
    ):
        manager = by_path(missing, **found, vmimage__offers=offers)
        error = managed(adapter, manager, Locator(HOME, "pub/offer/sku/latest"))
        assert type(error) is ImageNotFound
        assert words in str(error)


def test_not_found_where_nothing_else_may_be_asked(adapter: Azure) -> None:
    manager = by_path(denied(), versions=arm_error("NotFound", status=404))
    error = managed(adapter, manager)
    assert type(error) is ImageNotFound
    assert "check each part of the URN" in str(error)


def test_a_long_urn_is_shortened(adapter: Azure) -> None:
    urn = "/".join(("p" * 80, "o" * 80, "s" * 80, "1.2.3"))
    assert type(managed(adapter, arm_error("NotFound", status=404), Locator("", urn))) is (
        ImageNotFound
    )


def test_a_slow_second_look_does_not_hold_up_the_answer(
    adapter: Azure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow_up, "FOLLOW_UP_SECONDS", 0.3)
    missing = arm_error("NotFound", status=404)
    manager = by_path(slow(30, answering(500)), versions=missing)
    began = time.monotonic()
    assert type(managed(adapter, manager)) is ImageNotFound
    assert time.monotonic() - began < 3


def test_own_images_that_are_not_there(adapter: Azure, sandbox: CredentialValues) -> None:
    golden, own = azure_images.GOLDEN, azure_images.OWN
    for image_id, kind, words in (
        (own.resource_id + "x", ImageNotFound, f"no image {own.name}x"),
        (
            OWN.image_id.replace(azure_images.GROUP, "gone"),
            ImageNotFound,
            "resource group in this resource ID",
        ),
        (OWN.image_id.replace("c0ffee00", "badc0ffe"), ImageNotVisible, "the subscription badc0"),
        (golden.version_id("9.9.9"), ImageNotFound, f"no version 9.9.9 of {golden.name}"),
        (golden.version_id("latest").replace("golden", "x"), ImageNotFound, "no version latest of"),
        (azure_images.ONLY_DRAFTS.version_id("latest"), ImageNotFound, "no latest version"),
    ):
        error = refused(lambda i=image_id: adapter.describe(sandbox, Locator("", i)))  # type: ignore[misc]
        assert type(error) is kind
        assert words in str(error)


@pytest.mark.parametrize(
    ("image_id", "place", "there"),
    [
        (OWN.image_id, "eastus", ("westeurope",)),
        (azure_images.GOLDEN.version_id("1.0.9"), "East US", ("westeurope", "northeurope")),
        (azure_images.ROCKY_GOLDEN.version_id("latest"), HOME, ("eastus",)),
        (azure_images.ONLY_EUROPE.urn(), "eastus", ("westeurope",)),
    ],
)
def test_in_another_location(
    adapter: Azure, sandbox: CredentialValues, image_id: str, place: str, there: tuple[str, ...]
) -> None:
    error = refused(lambda: adapter.describe(sandbox, Locator(place, image_id)))
    assert isinstance(error, ImageNotFound)
    assert error.found_in == there
    assert f"in {' and '.join(there)}." in str(error)


@pytest.mark.parametrize(
    "image_id", [NOBLE.urn(), OWN.image_id, azure_images.GOLDEN.version_id("latest")]
)
@pytest.mark.parametrize("place", ["atlantis", "../../evil", "europe", "東京"])
def test_location_that_there_is_not(
    adapter: Azure, sandbox: CredentialValues, image_id: str, place: str
) -> None:
    error = refused(lambda: adapter.describe(sandbox, Locator(place, image_id)))
    assert isinstance(error, UnknownLocation)
    assert "no location with this name" in str(error)


def test_another_location_where_locations_may_not_be_asked(
    adapter: Azure, sandbox: CredentialValues
) -> None:
    server = azure.Azure()
    manager = by_path(server, **{"/locations?": denied()})
    error = described(adapter, after_login(manager, server), Locator("eastus", OWN.image_id))
    assert isinstance(error, ImageNotFound)
    assert error.found_in == (HOME,)


def test_subscription_without_any_location(adapter: Azure) -> None:
    manager = by_path(answers.answering({"value": []}))
    error = managed(adapter, manager, Locator("", NOBLE.urn()))
    assert isinstance(error, PermissionDenied)
    assert "no locations for this subscription" in str(error)
