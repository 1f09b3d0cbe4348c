"""The Azure adapter against the sandbox, over a socket."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sandbox import azure, azure_images, faulty, tls
from sandbox.azure_images import GOLDEN, NOBLE
from sandbox.azure_manager import json_answer
from tests.clouds.azure.answers import after_login, arm_error, by_path
from tests.clouds.azure.peer import AzurePeer
from tests.clouds.helpers import fact
from webapp.clouds.azure import details as azure_details
from webapp.clouds.azure.adapter import Azure
from webapp.clouds.azure.ids import MarketplaceImage
from webapp.clouds.credentials import CredentialValues
from webapp.clouds.details import Fact, ImageState, Volume
from webapp.clouds.locators import Locator
from webapp.images import operating_systems

HOME = "westeurope"
IMAGE = MarketplaceImage("pub", "offer", "sku", "1.0.0")


@pytest.mark.parametrize("location", ["", "westeurope", "West Europe"])
def test_every_marketplace_image_is_described(
    adapter: Azure, good: CredentialValues, location: str
) -> None:
    architectures = {"x64": "x86_64", "Arm64": "arm64"}
    for known in azure_images.MARKETPLACE:
        for version in known.versions:
            details = adapter.describe(good, Locator(location, known.urn(version)))
            assert details.name == ""
            assert adapter.suggest_name(known.urn(version)) == known.urn(version).replace("/", "-")
            assert details.image_id == ""
            assert details.architecture == architectures[known.architecture]
            assert details.size_gb == known.size
            assert [each.size_gb for each in details.volumes] == [known.size, *known.disks]
            assert [each.root for each in details.volumes] == [True] + [False] * len(known.disks)
            assert details.created_at is None
            assert fact(details, "os_type") == known.system
            assert fact(details, "generation") == known.generation
            assert fact(details, "version") == version
            assert fact(details, "features") == (
                "SecurityType TrustedLaunchSupported, IsAcceleratedNetworkSupported"
            )
            assert bool(details.warnings) == known.plan


@pytest.mark.parametrize(
    ("offered", "family", "version"),
    [
        (NOBLE, "ubuntu", "24.04"),
        (azure_images.WINDOWS_2025, "windows-server", "2025"),
        (azure_images.ROCKY_9, "rocky", "9"),
        (azure_images.ORACLE_9, "oracle", "9"),
        (azure_images.FOCAL, "ubuntu", "20.04"),
        (azure_images.ONLY_EUROPE, "ubuntu", "24.04"),
    ],
)
def test_the_suggested_operating_system(
    adapter: Azure,
    good: CredentialValues,
    offered: azure_images.MarketplaceSku,
    family: str,
    version: str,
) -> None:
    details = adapter.describe(good, Locator(HOME, offered.urn()))
    found = operating_systems.suggest(details.os_texts)
    assert found is not None
    assert (found.family, found.version) == (family, version)


@pytest.mark.parametrize(
    ("image_id", "family", "version"),
    [
        (azure_images.ACME_IMAGE.resource_id, "ubuntu", "24.04"),
        (azure_images.ACME_WINDOWS.resource_id, "windows-server", "2022"),
        (GOLDEN.version_id("1.0.9"), "ubuntu", "24.04"),
        (azure_images.ROCKY_GOLDEN.version_id("2.0.0"), "rocky", "9"),
    ],
)
def test_the_suggested_operating_system_of_own_images(
    adapter: Azure, good: CredentialValues, image_id: str, family: str, version: str
) -> None:
    found = operating_systems.suggest(adapter.describe(good, Locator("", image_id)).os_texts)
    assert found is not None
    assert (found.family, found.version) == (family, version)


@pytest.mark.parametrize(
    ("offered", "newest"),
    [(NOBLE, "24.04.202610150"), (azure_images.ORACLE_9, "9.7.10")],
)
def test_latest_is_the_highest_number(
    adapter: Azure, good: CredentialValues, offered: azure_images.MarketplaceSku, newest: str
) -> None:
    details = adapter.describe(good, Locator("", offered.urn("latest")))
    assert details.image_id == offered.urn(newest)
    assert fact(details, "version") == newest


def test_without_a_location_every_region_is_searched(
    adapter: Azure, good: CredentialValues
) -> None:
    for version in ("1.4.0", "latest"):
        known = azure_images.ONLY_EUROPE
        details = adapter.describe(good, Locator("", known.urn(version)))
        assert fact(details, "version") == "1.4.0"
        assert details.image_id == ("" if version != "latest" else known.urn())


def test_past_and_planned_deprecation_have_a_state_note(
    adapter: Azure, good: CredentialValues
) -> None:
    old = adapter.describe(good, Locator("", azure_images.BIONIC.urn()))
    assert old.state is ImageState.DEPRECATED
    assert old.state_note == (
        "This image has been deprecated since an unknown date. Azure suggests the offer "
        "ubuntu-24_04-lts instead."
    )
    assert old.deprecated_at is None
    soon = adapter.describe(good, Locator("", azure_images.FOCAL.urn()))
    assert soon.state is ImageState.AVAILABLE
    assert "plans to deprecate this image" in soon.state_note
    assert soon.deprecated_at == datetime(2027, 5, 31, tzinfo=UTC)
    assert fact(soon, "alternative") == "the offer ubuntu-24_04-lts"


@pytest.mark.parametrize(
    ("state", "date", "expected", "words"),
    [
        ("Deprecated", "2026-05-31T00:00:00Z", ImageState.DEPRECATED, "since 2026-05-31."),
        ("ScheduledForDeprecation", "2026-05-31", ImageState.DEPRECATED, "since 2026-05-31."),
        ("ScheduledForDeprecation", "2099-05-31", ImageState.AVAILABLE, "plans to deprecate this"),
        ("ScheduledForDeprecation", None, ImageState.AVAILABLE, "on an unknown date."),
        ("Active", None, ImageState.AVAILABLE, ""),
        ("Active", "2026-05-31", ImageState.AVAILABLE, ""),
        ("Active", "2099-05-31", ImageState.AVAILABLE, ""),
    ],
)
def test_a_deprecation_counts_from_its_date_on(
    state: str, date: str | None, expected: ImageState, words: str
) -> None:
    status = {"imageState": state, "scheduledDeprecationTime": date}
    answer = {"properties": {"imageDeprecationStatus": status}}
    details = azure_details.from_marketplace(IMAGE, answer, str(IMAGE))
    assert details.state is expected
    assert words in details.state_note
    is_announced = state == "ScheduledForDeprecation" and expected is ImageState.AVAILABLE
    announced = datetime.fromisoformat(f"{date}T00:00:00Z") if date and is_announced else None
    assert details.deprecation_announced_for == announced


def test_the_terms_of_a_plan_are_a_warning(adapter: Azure, good: CredentialValues) -> None:
    details = adapter.describe(good, Locator("", azure_images.ROCKY_9.urn()))
    assert fact(details, "plan") == "resf/rockylinux-x86_64/9-base"
    [warning] = details.warnings
    assert "Accept the plan’s terms" in warning
    own = adapter.describe(good, Locator("", azure_images.ROCKY_GOLDEN.version_id("2.0.0")))
    assert own.warnings[0].startswith(
        "This image is sold in the Marketplace under the plan resf/rockylinux/9-base"
    )


def test_a_managed_image_is_described(adapter: Azure, good: CredentialValues) -> None:
    known = azure_images.ACME_IMAGE
    for location in ("", "westeurope", "West Europe"):
        details = adapter.describe(good, Locator(location, known.resource_id))
        assert details.name == known.name
        assert details.size_gb == 30
        assert details.state is ImageState.AVAILABLE
        assert details.architecture == ""
        assert details.volumes == (
            Volume(
                "OS disk",
                "Premium_LRS",
                30,
                f"disks/{known.name}-os",
                encrypted=None,
                root=True,
            ),
            Volume("LUN 0", "Standard_LRS", 256, f"snapshots/{known.name}-0", encrypted=None),
            Volume("LUN 1", "Standard_LRS", 128, f"snapshots/{known.name}-1", encrypted=None),
        )
        assert set(details.facts) >= {
            Fact("region", "Region", "westeurope"),
            Fact("zone_resilient", "Zone resilient", "Yes"),
            Fact("source", "Created from", f"virtualMachines/{known.name}-builder"),
            Fact("tags", "Tags", "owner: platform"),
            Fact("os_state", "OS state", "Generalized"),
        }


def test_managed_images_have_states_and_warnings(adapter: Azure, good: CredentialValues) -> None:
    broken = adapter.describe(good, Locator("", azure_images.BROKEN.resource_id))
    assert broken.state is ImageState.FAILED
    assert "failed to create this image" in broken.state_note
    special = adapter.describe(good, Locator("", azure_images.SPECIALIZED.resource_id))
    assert special.size_gb is None
    assert "specialized, not generalized" in special.warnings[0]
    assert adapter.describe(good, Locator("", azure_images.ACME_WINDOWS.resource_id)).warnings == ()


def test_names_are_compared_without_regard_to_case(adapter: Azure, good: CredentialValues) -> None:
    for image_id in (NOBLE.urn().upper(), azure_images.ACME_IMAGE.resource_id.upper()):
        canonical = adapter.parse_image_id(image_id).value
        assert adapter.describe(good, Locator(HOME, canonical)).size_gb == 30


def test_every_gallery_version_is_described(adapter: Azure, good: CredentialValues) -> None:
    for known in azure_images.DEFINITIONS:
        for version in known.versions:
            details = adapter.describe(good, Locator("", known.version_id(version.number)))
            assert details.name == ""
            assert fact(details, "definition") == known.name
            suggested = adapter.suggest_name(known.version_id(version.number))
            assert suggested == f"{known.name}-{version.number}"
            assert details.description == known.description
            assert details.architecture == "x86_64"
            assert details.size_gb == known.size
            assert [each.size_gb for each in details.volumes[1:]] == list(known.disks)
            assert details.created_at is not None
            assert details.created_at.isoformat()[:10] == version.published[:10]
            assert fact(details, "latest") == ("No" if version.excluded_from_latest else "Yes")
            assert fact(details, "regions") == ", ".join(
                azure_images.REGIONS[region][0] for region in version.regions
            )


def test_latest_is_the_highest_gallery_version(adapter: Azure, good: CredentialValues) -> None:
    """1.0.10 is newer than 1.0.9, and 1.1.0 is excluded from latest."""
    for location in ("", HOME):
        details = adapter.describe(good, Locator(location, GOLDEN.version_id("latest")))
        assert details.image_id == GOLDEN.version_id("1.0.10")
        assert fact(details, "end_of_life") == "2029-04-30"
        assert details.state is ImageState.AVAILABLE


def test_end_of_life_and_replication(adapter: Azure, good: CredentialValues) -> None:
    old = adapter.describe(good, Locator("", GOLDEN.version_id("1.0.2")))
    assert old.state is ImageState.DEPRECATED
    assert old.deprecated_at == datetime(2026, 3, 1, tzinfo=UTC)
    assert "past the end-of-life date that its owner set, 2026-03-01." in old.state_note
    fresh = adapter.describe(good, Locator("", GOLDEN.version_id("1.2.0")))
    assert fresh.state is ImageState.PENDING
    assert fact(fresh, "replication") == (
        "InProgress: West Europe Replicating, North Europe Replicating"
    )
    assert fact(old, "replication") is None


def test_the_check_names_the_subscription(adapter: Azure, good: CredentialValues) -> None:
    identity = adapter.check(good)
    assert identity.account == azure_images.SUBSCRIPTION
    assert identity.description == (
        f"{azure_images.SUBSCRIPTION_NAME} (subscription {azure_images.SUBSCRIPTION}, tenant "
        f"{azure_images.TENANT})"
    )


def test_a_subscription_without_a_name_gets_none(adapter: Azure) -> None:
    answer = {"subscriptionId": azure_images.SUBSCRIPTION, "tenantId": azure_images.TENANT}
    behavior = after_login(lambda _: json_answer(answer))
    with faulty.serve(behavior, tls=tls.trusted()) as url:
        identity = adapter.check(AzurePeer().credentials(url))
    assert identity.description == (
        f"subscription {azure_images.SUBSCRIPTION}, tenant {azure_images.TENANT}"
    )


def test_physical_locations_are_listed_by_name(adapter: Azure, good: CredentialValues) -> None:
    found = {each.key: each.label for each in adapter.locations(good)}
    assert list(found) == sorted(azure_images.REGIONS)
    assert found["westeurope"] == "westeurope — West Europe"
    assert adapter.default_locations({}) == ()


@pytest.mark.parametrize(
    ("image_id", "link"),
    [
        (NOBLE.urn(), ""),
        (
            azure_images.ACME_IMAGE.resource_id,
            f"https://portal.azure.com/#@/resource{azure_images.ACME_IMAGE.resource_id}",
        ),
    ],
)
def test_the_console_link(adapter: Azure, image_id: str, link: str) -> None:
    assert adapter.console_url({}, Locator("", image_id)) == link
    gov = adapter.console_url({"cloud": "usgov"}, Locator("", image_id))
    assert gov == link.replace("azure.com", "azure.us")
    assert adapter.console_url({"cloud": "custom"}, Locator("", image_id)) == ""


@pytest.mark.parametrize(
    ("word", "state", "words"),
    [
        ("Succeeded", ImageState.AVAILABLE, ""),
        ("", ImageState.AVAILABLE, ""),
        ("Creating", ImageState.PENDING, "still creating"),
        ("Updating", ImageState.PENDING, "still creating"),
        ("Failed", ImageState.FAILED, "failed to create"),
        ("Deleting", ImageState.GONE, "being deleted"),
        ("Something new", ImageState.FAILED, "Something new"),
    ],
)
def test_each_state_is_translated(word: str, state: ImageState, words: str) -> None:
    details = azure_details.from_managed_image({"properties": {"provisioningState": word}})
    assert details.state is state
    assert words in details.state_note


def test_a_future_end_of_life_does_not_change_the_state() -> None:
    later = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    version = {"properties": {"publishingProfile": {"endOfLifeDate": later}}}
    assert azure_details.from_gallery_version({}, version, "").state is ImageState.AVAILABLE
    definition = {"properties": {"endOfLifeDate": "2020-01-01T00:00:00"}}
    details = azure_details.from_gallery_version(definition, {}, "")
    assert details.state is ImageState.DEPRECATED
    assert details.deprecated_at == datetime(2020, 1, 1, tzinfo=UTC)


def test_rare_facts_are_read() -> None:
    version = {
        "properties": {
            "publishingProfile": {
                "targetRegions": [
                    {"name": "West US", "excludeFromLatest": True},
                    *({"name": f"Region {number}"} for number in range(20)),
                ]
            },
            "storageProfile": {"source": {"communityGalleryImageId": "/CommunityGalleries/a/b/c"}},
            "safetyProfile": {"reportedForPolicyViolation": True},
            "replicationStatus": {"aggregatedState": "Failed"},
        }
    }
    details = azure_details.from_gallery_version({}, version, "x")
    assert details.warnings == (
        "This image was reported to Azure for violating a policy, and Azure may remove it.",
    )
    assert details.image_id == "x"
    regions = fact(details, "regions") or ""
    assert regions.startswith("West US (excluded from latest), Region 0, ")
    assert regions.endswith(" and 9 more")
    assert fact(details, "source") == "b/c"
    assert fact(details, "replication") == "Failed"
    edge = azure_details.from_managed_image(
        {
            "extendedLocation": {"name": "losangeles", "type": "EdgeZone"},
            "properties": {
                "storageProfile": {
                    "osDisk": {
                        "blobUri": "https://store/vhd",
                        "diskEncryptionSet": {"id": "/subscriptions/s/d/k"},
                    }
                }
            },
        }
    )
    assert fact(edge, "edge_zone") == "losangeles"
    assert edge.volumes[0].encrypted is True
    assert edge.volumes[0].snapshot == "https://store/vhd"


@pytest.mark.parametrize(
    ("location", "is_latest"), [("", True), ("westus", False), ("eastus", True), ("mars", False)]
)
def test_a_version_can_be_excluded_from_latest_in_a_region(
    location: str, *, is_latest: bool
) -> None:
    regions = [{"name": "West US", "excludeFromLatest": True}, {"name": "East US"}]
    version = {"properties": {"publishingProfile": {"targetRegions": regions}}}
    assert azure_details.can_be_latest(version, location) is is_latest


@pytest.mark.parametrize(
    ("os_disk_image", "texts"),
    [
        ({"operatingSystem": "Linux"}, ("offer sku", "pub offer sku", "Linux")),
        ({"operatingSystem": "Windows"}, ("Windows", "offer sku", "pub offer sku")),
        ({}, ("offer sku", "pub offer sku")),
    ],
)
def test_the_texts_that_suggest_the_operating_system(
    os_disk_image: dict[str, Any], texts: tuple[str, ...]
) -> None:
    answer = {"properties": {"osDiskImage": os_disk_image}}
    assert azure_details.from_marketplace(IMAGE, answer, str(IMAGE)).os_texts == texts


def test_regions_are_listed_once_for_several_look_ups(adapter: Azure) -> None:
    server, requested_paths = azure.Azure(), list[str]()

    def behave(request: faulty.Request) -> faulty.Answer | None:
        requested_paths.append(request.path)
        return server(request)

    with faulty.serve(behave, tls=tls.trusted()) as url:
        credentials = AzurePeer().credentials(url)
        for _ in range(3):
            adapter.describe(credentials, Locator("", NOBLE.urn()))
    assert len([path for path in requested_paths if "/locations?" in path]) == 1
    assert len([path for path in requested_paths if "/token" in path]) == 1
    assert not [
        path for path in requested_paths if path.split("?")[0].lower().endswith("/register")
    ]


def test_a_missing_resource_provider_is_not_registered(adapter: Azure) -> None:
    """By default the SDK registers the provider, which changes the subscription."""
    methods = []

    def behave(request: faulty.Request) -> faulty.Answer | None:
        methods.append(request.method)
        return arm_error("MissingSubscriptionRegistration", "No.", 409)(request)

    behavior = by_path(after_login(behave))
    with faulty.serve(behavior, tls=tls.trusted()) as url:  # noqa: SIM117
        with pytest.raises(Exception, match="Register it in the portal"):
            adapter.describe(AzurePeer().credentials(url), Locator(HOME, NOBLE.urn()))
    assert methods == ["GET"]
