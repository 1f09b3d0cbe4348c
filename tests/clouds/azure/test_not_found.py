"""Messages about Azure images that do not exist at all, or not in the chosen location."""

from __future__ import annotations

import time

import pytest

from sandbox import azure, azure_images
from sandbox.faulty import Behavior, answering, slow
from tests.clouds.azure import answers
from tests.clouds.azure.answers import (
    after_login,
    arm_error,
    by_path,
    denied,
)
from tests.clouds.azure.refusals import HOME, NOBLE, OWN, look_up_error, look_up_error_after_login
from tests.clouds.helpers import cloud_error
from webapp.clouds import follow_up
from webapp.clouds.azure.adapter import Azure
from webapp.clouds.credentials import CredentialValues
from webapp.clouds.errors import (
    CloudError,
    ImageNotFound,
    ImageNotVisible,
    PermissionDenied,
    UnknownLocation,
)
from webapp.clouds.locators import Locator


@pytest.mark.parametrize(
    ("urn", "words"),
    [
        (NOBLE.urn("24.04.201901010"), "no such version. The newest version is 24.04.202610150."),
        ("Canonical/ubuntu-24_04-lts/servr/latest", "SKU, but it has server and server-arm64."),
        ("Canonical/ubuntu/server/latest", "offer, but it has ubuntu-24_04-lts, ubuntu-26_04"),
        ("Cannonical/ubuntu-24_04-lts/server/latest", "publisher doesn’t exist"),
    ],
)
@pytest.mark.parametrize("location", ["", HOME])
def test_the_message_names_the_wrong_part_of_a_urn(
    adapter: Azure, good: CredentialValues, location: str, urn: str, words: str
) -> None:
    error = cloud_error(lambda: adapter.describe(good, Locator(location, urn)))
    assert type(error) is ImageNotFound
    assert urn in str(error)
    assert words in str(error)
    assert error.found_in == ()


def test_empty_offers_and_skus_are_reported(adapter: Azure) -> None:
    offers = answers.answering([{"name": "offer"}])
    skus, none = answers.answering([{"name": "sku"}]), answers.answering([])
    missing = arm_error("NotFound", status=404)
    for found, words in (
        ({"skus__sku__versions": none, "offer__skus": skus}, "no longer has any version"),
        ({"offer__skus": none}, "the offer has no SKUs"),
    ):
        manager = by_path(missing, **found, vmimage__offers=offers)
        error = look_up_error_after_login(adapter, manager, Locator(HOME, "pub/offer/sku/latest"))
        assert type(error) is ImageNotFound
        assert words in str(error)


def test_an_image_is_not_found_if_follow_up_calls_are_denied(adapter: Azure) -> None:
    manager = by_path(denied(), versions=arm_error("NotFound", status=404))
    error = look_up_error_after_login(adapter, manager)
    assert type(error) is ImageNotFound
    assert "check each part of the URN" in str(error)


def test_the_message_for_a_long_urn_is_short_enough(adapter: Azure) -> None:
    urn = "/".join(("p" * 80, "o" * 80, "s" * 80, "1.2.3"))
    assert type(
        look_up_error_after_login(adapter, arm_error("NotFound", status=404), Locator("", urn))
    ) is (ImageNotFound)


def test_a_slow_follow_up_call_does_not_delay_the_error(
    adapter: Azure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow_up, "FOLLOW_UP_SECONDS", 0.3)
    missing = arm_error("NotFound", status=404)
    manager = by_path(slow(30, answering(500)), versions=missing)
    adapter.warm_up()
    began = time.monotonic()
    assert type(look_up_error_after_login(adapter, manager)) is ImageNotFound
    assert time.monotonic() - began < 3


def test_missing_own_images_are_not_found(adapter: Azure, good: CredentialValues) -> None:
    golden, own = azure_images.GOLDEN, azure_images.ACME_IMAGE
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
        error = cloud_error(lambda i=image_id: adapter.describe(good, Locator("", i)))  # type: ignore[misc]
        assert type(error) is kind
        assert words in str(error)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (arm_error("ServerBusy", status=503), ImageNotVisible),
        (arm_error("NotFound", status=404), ImageNotFound),
    ],
)
def test_a_marketplace_image_may_be_in_a_region_that_does_not_answer(
    adapter: Azure, fault: Behavior, kind: type[CloudError]
) -> None:
    server = azure.Azure()
    manager = by_path(server, locations__northeurope__=fault)
    missing = Locator("", NOBLE.urn("1.2.3"))
    error = look_up_error(adapter, after_login(manager, server), missing)
    assert type(error) is kind


@pytest.mark.parametrize(
    ("image_id", "location", "found_in"),
    [
        (OWN.image_id, "eastus", ("westeurope",)),
        (azure_images.GOLDEN.version_id("1.0.9"), "East US", ("westeurope", "northeurope")),
        (azure_images.ROCKY_GOLDEN.version_id("latest"), HOME, ("eastus",)),
        (azure_images.ONLY_EUROPE.urn(), "eastus", ("westeurope",)),
    ],
)
def test_the_locations_of_an_image_elsewhere_are_named(
    adapter: Azure,
    good: CredentialValues,
    image_id: str,
    location: str,
    found_in: tuple[str, ...],
) -> None:
    error = cloud_error(lambda: adapter.describe(good, Locator(location, image_id)))
    assert isinstance(error, ImageNotFound)
    assert error.found_in == found_in
    assert f"in {' and '.join(found_in)}." in str(error)


@pytest.mark.parametrize(
    "image_id", [NOBLE.urn(), OWN.image_id, azure_images.GOLDEN.version_id("latest")]
)
@pytest.mark.parametrize("location", ["atlantis", "../../evil", "europe", "東京"])
def test_an_unknown_location_is_reported(
    adapter: Azure, good: CredentialValues, image_id: str, location: str
) -> None:
    error = cloud_error(lambda: adapter.describe(good, Locator(location, image_id)))
    assert isinstance(error, UnknownLocation)
    assert "no location with this name" in str(error)


def test_an_image_is_found_elsewhere_if_locations_cannot_be_listed(
    adapter: Azure, good: CredentialValues
) -> None:
    server = azure.Azure()
    manager = by_path(server, **{"/locations?": denied()})
    error = look_up_error(adapter, after_login(manager, server), Locator("eastus", OWN.image_id))
    assert isinstance(error, ImageNotFound)
    assert error.found_in == (HOME,)


def test_a_subscription_without_locations_is_reported(adapter: Azure) -> None:
    manager = by_path(answers.answering({"value": []}))
    error = look_up_error_after_login(adapter, manager, Locator("", NOBLE.urn()))
    assert isinstance(error, PermissionDenied)
    assert "no locations for this subscription" in str(error)
