"""Versions in community galleries and directly shared galleries, looked up in the sandbox."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sandbox import azure, azure_images, azure_shared_galleries, faulty, tls
from sandbox.azure_shared_galleries import CONTOSO_APPLIANCE, CONTOSO_GOLDEN, CONTOSO_LINUX
from tests.clouds.azure.answers import after_login, answering, arm_error, by_path, denied
from tests.clouds.azure.peer import AzurePeer
from tests.clouds.azure.refusals import look_up_error, look_up_error_after_login
from tests.clouds.helpers import cloud_error, fact
from webapp.clouds.azure.adapter import Azure
from webapp.clouds.azure.details import as_gallery_version
from webapp.clouds.credentials import CredentialValues
from webapp.clouds.details import ImageState
from webapp.clouds.errors import ImageNotFound, ImageNotVisible, PermissionDenied, UnknownLocation
from webapp.clouds.locators import Locator
from webapp.images import operating_systems

DEFINITIONS = azure_shared_galleries.SHARED_DEFINITIONS
MISSING = arm_error("NotFound", status=404)


@pytest.mark.parametrize("known", DEFINITIONS, ids=lambda known: known.name)
@pytest.mark.parametrize("with_location", [True, False])
def test_every_shared_version_is_described(
    adapter: Azure,
    good: CredentialValues,
    known: azure_shared_galleries.SharedDefinition,
    *,
    with_location: bool,
) -> None:
    for version in known.versions:
        region = version.regions[0] if with_location else ""
        details = adapter.describe(good, Locator(region, known.version_id(version.number)))
        assert (details.name, details.image_id) == ("", "")
        assert details.lookup_location in version.regions
        assert details.architecture == {"x64": "x86_64", "Arm64": "arm64"}[known.architecture]
        assert [each.size_gb for each in details.volumes] == [known.size, *known.disks]
        assert details.created_at is not None
        assert details.created_at.isoformat()[:19] == version.published[:19]
        assert fact(details, "definition") == known.name
        assert fact(details, "gallery") == known.gallery
        assert fact(details, "version") == version.number
        assert fact(details, "os_type") == known.system
        assert fact(details, "os_state") == known.os_state
        assert fact(details, "generation") == known.generation
        assert fact(details, "latest") == ("No" if version.excluded_from_latest else "Yes")


def test_the_texts_of_a_community_gallery_are_facts(adapter: Azure, good: CredentialValues) -> None:
    linux = adapter.describe(good, Locator("westeurope", CONTOSO_LINUX.version_id("1.0.10")))
    assert fact(linux, "publisher_url") == "https://contoso.example/images"
    assert fact(linux, "publisher_contact") == "images@contoso.example"
    assert fact(linux, "privacy") == "https://contoso.example/privacy"
    assert fact(linux, "disclaimer") == "Contoso provides these images without warranty."
    assert fact(linux, "eula") == CONTOSO_LINUX.eula
    assert fact(linux, "end_of_life") == "2030-06-30"
    appliance = adapter.describe(good, Locator("", CONTOSO_APPLIANCE.version_id("3.0.0")))
    assert fact(appliance, "eula") == "https://contoso.example/eula"
    assert fact(appliance, "disclaimer") == "For evaluation only."
    assert fact(appliance, "plan") == "contoso/appliance/standard"
    assert "specialized" in appliance.warnings[0]
    assert "Accept the plan’s terms" in appliance.warnings[1]


def test_a_version_past_its_end_of_life_is_deprecated(
    adapter: Azure, good: CredentialValues
) -> None:
    details = adapter.describe(good, Locator("", CONTOSO_LINUX.version_id("1.0.2")))
    assert details.state is ImageState.DEPRECATED
    assert details.deprecated_at == datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("known", "location", "newest"),
    [
        (CONTOSO_LINUX, "", "1.0.10"),
        (CONTOSO_LINUX, "West Europe", "1.0.10"),
        (CONTOSO_LINUX, "eastus", "1.0.9"),
        (CONTOSO_GOLDEN, "", "2.1.0"),
        (CONTOSO_GOLDEN, "northeurope", "2.0.0"),
        (CONTOSO_APPLIANCE, "", "3.0.0"),
    ],
)
def test_latest_is_the_newest_version_in_the_location(
    adapter: Azure,
    good: CredentialValues,
    known: azure_shared_galleries.SharedDefinition,
    location: str,
    newest: str,
) -> None:
    """1.0.10 is newer than 1.0.9, and 1.1.0 is excluded from latest."""
    details = adapter.describe(good, Locator(location, known.version_id("latest")))
    assert details.image_id == known.version_id(newest)


def test_the_versions_of_a_gallery_shared_with_the_tenant_are_listed(adapter: Azure) -> None:
    server = azure.Azure()

    def behave(request: faulty.Request) -> faulty.Answer | None:
        is_list = request.path.lower().split("?")[0].endswith("/versions")
        if is_list and "sharedTo=tenant" not in request.path:
            return answering({"value": []})(request)
        return server(request)

    with faulty.serve(behave, tls=tls.trusted()) as url:
        locator = Locator("westeurope", CONTOSO_GOLDEN.version_id("latest"))
        details = adapter.describe(AzurePeer().credentials(url), locator)
    assert details.image_id == CONTOSO_GOLDEN.version_id("2.1.0")


def test_the_id_gets_the_spelling_of_azure(adapter: Azure, good: CredentialValues) -> None:
    for known in (CONTOSO_LINUX, CONTOSO_GOLDEN):
        image_id = known.version_id(known.versions[1].number)
        canonical = adapter.parse_image_id(image_id.upper()).value
        details = adapter.describe(good, Locator("westeurope", canonical))
        assert details.image_id == image_id
        assert fact(details, "gallery") == known.gallery


def test_the_suggested_operating_system_and_name(adapter: Azure, good: CredentialValues) -> None:
    for known, expected in (
        (CONTOSO_LINUX, ("debian", "13")),
        (CONTOSO_GOLDEN, ("ubuntu", "24.04")),
    ):
        image_id = known.version_id(known.versions[-1].number)
        found = operating_systems.suggest(adapter.describe(good, Locator("", image_id)).os_texts)
        assert found is not None
        assert (found.family, found.version) == expected
        assert adapter.suggest_name(image_id) == f"{known.name}-{known.versions[-1].number}"
        assert adapter.console_url({}, Locator("", image_id)) == ""


@pytest.mark.parametrize("known", [CONTOSO_LINUX, CONTOSO_GOLDEN], ids=lambda known: known.name)
@pytest.mark.parametrize("location", ["", "westeurope"])
def test_a_missing_version_of_a_visible_gallery_does_not_exist(
    adapter: Azure,
    good: CredentialValues,
    known: azure_shared_galleries.SharedDefinition,
    location: str,
) -> None:
    for image_id, words in (
        (known.version_id("9.9.9"), f"has no version 9.9.9 of {known.name}"),
        (known.version_id("1.0.0").replace(known.name, "other"), "has no version 1.0.0 of other"),
        (known.version_id("latest").replace(known.name, "other"), "no latest version of other"),
    ):
        error = cloud_error(lambda i=image_id: adapter.describe(good, Locator(location, i)))  # type: ignore[misc]
        assert type(error) is ImageNotFound
        assert words in str(error)
        assert ("in westeurope or any other location" in str(error)) == bool(location)
        assert error.found_in == ()


@pytest.mark.parametrize("known", [CONTOSO_LINUX, CONTOSO_GOLDEN], ids=lambda known: known.name)
@pytest.mark.parametrize("location", ["", "westeurope"])
def test_an_invisible_gallery_may_still_exist(
    adapter: Azure,
    good: CredentialValues,
    known: azure_shared_galleries.SharedDefinition,
    location: str,
) -> None:
    image_id = known.version_id("1.0.0").replace(known.gallery, "Nobody-1")
    error = cloud_error(lambda: adapter.describe(good, Locator(location, image_id)))
    assert type(error) is ImageNotVisible
    assert "gallery Nobody-1" in str(error)
    assert "still shared" in str(error)


def test_other_locations_of_a_version_are_named(adapter: Azure, good: CredentialValues) -> None:
    locator = Locator("eastus", CONTOSO_LINUX.version_id("1.0.10"))
    error = cloud_error(lambda: adapter.describe(good, locator))
    assert isinstance(error, ImageNotFound)
    assert error.found_in == ("westeurope",)
    assert "exists in westeurope" in str(error)


def test_an_unknown_location_is_reported(adapter: Azure, good: CredentialValues) -> None:
    locator = Locator("atlantis", CONTOSO_LINUX.version_id("1.0.10"))
    assert isinstance(cloud_error(lambda: adapter.describe(good, locator)), UnknownLocation)


@pytest.mark.parametrize(
    "image_id", [CONTOSO_LINUX.version_id("9.9.9"), azure_images.NOBLE.urn("1.2.3")]
)
def test_a_location_that_fails_leaves_open_whether_the_image_exists(
    adapter: Azure, image_id: str
) -> None:
    server = azure.Azure()
    manager = by_path(server, locations__westcentralus=denied())
    error = look_up_error(adapter, after_login(manager, server), Locator("", image_id))
    assert type(error) is ImageNotVisible
    assert "not all locations responded" in str(error)


def test_a_location_without_galleries_does_not_have_the_image(adapter: Azure) -> None:
    server = azure.Azure()
    without = arm_error("LocationNotAvailableForResourceType", status=400)
    for region in ("eastus", "westcentralus"):
        manager = by_path(server, **{f"locations__{region}": without})
        locator = Locator("", CONTOSO_LINUX.version_id("9.9.9"))
        error = look_up_error(adapter, after_login(manager, server), locator)
        assert type(error) is ImageNotFound


def test_the_missing_permission_is_named(adapter: Azure) -> None:
    action = "Microsoft.Compute/locations/communityGalleries/images/versions/read"
    error = look_up_error_after_login(
        adapter, denied(action), Locator("eastus", CONTOSO_LINUX.version_id("1.0.9"))
    )
    assert isinstance(error, PermissionDenied)
    assert action in str(error)


def test_a_gallery_without_details_is_no_error(adapter: Azure) -> None:
    server = azure.Azure()
    bare = answering({"name": CONTOSO_LINUX.gallery, "location": "eastus"})

    def behave(request: faulty.Request) -> faulty.Answer | None:
        is_gallery = request.path.split("?")[0].endswith(CONTOSO_LINUX.gallery)
        return bare(request) if is_gallery else server(request)

    with faulty.serve(behave, tls=tls.trusted()) as url:
        locator = Locator("eastus", CONTOSO_LINUX.version_id("1.0.9"))
        details = adapter.describe(AzurePeer().credentials(url), locator)
    assert fact(details, "publisher_url") is None
    assert fact(details, "eula") == CONTOSO_LINUX.eula


def test_a_disclaimer_may_be_an_object(adapter: Azure) -> None:
    version = as_gallery_version({"properties": {"disclaimer": {"disclaimer": "No warranty."}}})
    assert version["properties"]["disclaimer"] == {"disclaimer": "No warranty."}
