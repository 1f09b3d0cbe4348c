"""Data of the Azure sandbox: regions, Marketplace images, and images in the subscription.

IDs never change, so documentation and tests may use them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

TENANT = "7b5f2a10-3c4d-4e6f-8a9b-0c1d2e3f4a5b"
CLIENT = "5e1c9d80-6f7a-4b2c-9d3e-4f5a6b7c8d9e"
SUBSCRIPTION = "c0ffee00-1234-4abc-9def-567890abcdef"
SUBSCRIPTION_NAME = "Acme production"
GROUP = "acme-images"
LOCKED_GROUP = "acme-locked"
"""A resource group in which the application has no role."""
GALLERY = "acme_gallery"

REGIONS = {
    "eastus": ("East US", "Recommended", "US"),
    "westus2": ("West US 2", "Recommended", "US"),
    "northeurope": ("North Europe", "Recommended", "Europe"),
    "westeurope": ("West Europe", "Recommended", "Europe"),
    "southeastasia": ("Southeast Asia", "Recommended", "Asia Pacific"),
    "westcentralus": ("West Central US", "Other", "US"),
}
"""The display name, the category and the geography of each physical region."""
LOGICAL = {"europe": "Europe", "global": "Global", "unitedstates": "United States"}
"""Logical regions, which contain no images."""
EVERYWHERE = tuple(REGIONS)


@dataclass(frozen=True)
class MarketplaceSku:
    """A SKU of the Marketplace with its versions, the newest last."""

    publisher: str
    offer: str
    sku: str
    versions: tuple[str, ...]
    system: str = "Linux"
    size: int = 30
    generation: str = "V2"
    architecture: str = "x64"
    plan: bool = False
    deprecation: str = "Active"
    deprecated_at: str = ""
    alternative: str = ""
    """The offer that Azure suggests instead, or ''."""
    disks: tuple[int, ...] = ()
    regions: tuple[str, ...] = EVERYWHERE

    def urn(self, version: str = "") -> str:
        """Return the canonical ID of `version`, or of the newest version by default."""
        return "/".join((self.publisher, self.offer, self.sku, version or self.versions[-1]))

    def properties(self) -> dict[str, Any]:
        status: dict[str, Any] = {"imageState": self.deprecation}
        if self.deprecated_at:
            status["scheduledDeprecationTime"] = self.deprecated_at
        if self.alternative:
            status["alternativeOption"] = {"type": "Offer", "value": self.alternative}
        properties: dict[str, Any] = {
            "hyperVGeneration": self.generation,
            "architecture": self.architecture,
            "automaticOSUpgradeProperties": {"automaticOSUpgradeSupported": True},
            "disallowed": {"vmDiskType": "None"},
            "features": [
                {"name": "SecurityType", "value": "TrustedLaunchSupported"},
                {"name": "IsAcceleratedNetworkSupported", "value": "True"},
                {"name": "IsHibernateSupported", "value": "False"},
            ],
            "imageDeprecationStatus": status,
            "osDiskImage": {"operatingSystem": self.system, "sizeInGb": self.size},
            "dataDiskImages": [
                {"lun": lun, "sizeInGb": size} for lun, size in enumerate(self.disks)
            ],
        }
        if self.plan:
            properties["plan"] = {
                "publisher": self.publisher,
                "product": self.offer,
                "name": self.sku,
            }
        return properties


@dataclass(frozen=True)
class ManagedImage:
    """A managed image in the subscription."""

    name: str
    region: str
    system: str = "Linux"
    size: int | None = 30
    os_state: str = "Generalized"
    state: str = "Succeeded"
    disks: tuple[int, ...] = ()
    zone_resilient: bool = False
    tags: tuple[tuple[str, str], ...] = ()
    group: str = GROUP

    @property
    def resource_id(self) -> str:
        return f"{in_group(self.group)}/images/{self.name}"

    def body(self) -> dict[str, Any]:
        os_disk: dict[str, Any] = {
            "osType": self.system,
            "osState": self.os_state,
            "managedDisk": {"id": f"{in_group(self.group)}/disks/{self.name}-os"},
            "caching": "ReadWrite",
            "storageAccountType": "Premium_LRS",
        }
        if self.size is not None:
            os_disk["diskSizeGB"] = self.size
        return {
            "name": self.name,
            "id": self.resource_id,
            "type": "Microsoft.Compute/images",
            "location": self.region,
            "tags": dict(self.tags),
            "properties": {
                "sourceVirtualMachine": {
                    "id": f"{in_group(self.group)}/virtualMachines/{self.name}-builder"
                },
                "storageProfile": {
                    "osDisk": os_disk,
                    "dataDisks": [
                        {
                            "lun": lun,
                            "diskSizeGB": size,
                            "snapshot": {
                                "id": f"{in_group(self.group)}/snapshots/{self.name}-{lun}"
                            },
                            "storageAccountType": "Standard_LRS",
                        }
                        for lun, size in enumerate(self.disks)
                    ],
                    "zoneResilient": self.zone_resilient,
                },
                "provisioningState": self.state,
                "hyperVGeneration": "V2",
            },
        }


@dataclass(frozen=True)
class GalleryVersion:
    """A version of an image definition in the gallery."""

    number: str
    published: str
    regions: tuple[str, ...] = ("westeurope", "northeurope")
    end_of_life: str = ""
    excluded_from_latest: bool = False
    state: str = "Succeeded"

    def replication(self) -> dict[str, Any]:
        done = self.state == "Succeeded"
        return {
            "aggregatedState": "Completed" if done else "InProgress",
            "summary": [
                {
                    "region": REGIONS[region][0],
                    "state": "Completed" if done else "Replicating",
                    "details": "",
                    "progress": 100 if done else 40,
                }
                for region in self.regions
            ],
        }


@dataclass(frozen=True)
class GalleryDefinition:
    """An image definition in the gallery, with its versions."""

    name: str
    publisher: str
    offer: str
    sku: str
    versions: tuple[GalleryVersion, ...]
    system: str = "Linux"
    os_state: str = "Generalized"
    architecture: str = "x64"
    description: str = ""
    size: int = 64
    disks: tuple[int, ...] = ()
    plan: bool = False

    @property
    def resource_id(self) -> str:
        return f"{in_group(GROUP)}/galleries/{GALLERY}/images/{self.name}"

    def version_id(self, number: str) -> str:
        return f"{self.resource_id}/versions/{number}"

    def body(self) -> dict[str, Any]:
        properties: dict[str, Any] = {
            "hyperVGeneration": "V2",
            "architecture": self.architecture,
            "osType": self.system,
            "osState": self.os_state,
            "identifier": {"publisher": self.publisher, "offer": self.offer, "sku": self.sku},
            "features": [{"name": "SecurityType", "value": "TrustedLaunchSupported"}],
            "provisioningState": "Succeeded",
        }
        if self.description:
            properties["description"] = self.description
        if self.plan:
            properties["purchasePlan"] = {
                "publisher": "resf",
                "product": "rockylinux",
                "name": "9-base",
            }
        return {
            "name": self.name,
            "id": self.resource_id,
            "type": "Microsoft.Compute/galleries/images",
            "location": "westeurope",
            "tags": {},
            "properties": properties,
        }

    def version_body(self, version: GalleryVersion, *, replication: bool = False) -> dict[str, Any]:
        publishing: dict[str, Any] = {
            "targetRegions": [
                {
                    "name": REGIONS[region][0],
                    "regionalReplicaCount": 1,
                    "storageAccountType": "Standard_LRS",
                }
                for region in version.regions
            ],
            "replicaCount": 1,
            "excludeFromLatest": version.excluded_from_latest,
            "publishedDate": version.published,
            "storageAccountType": "Standard_LRS",
        }
        if version.end_of_life:
            publishing["endOfLifeDate"] = version.end_of_life
        properties: dict[str, Any] = {
            "publishingProfile": publishing,
            "storageProfile": {
                "source": {"id": f"{in_group(GROUP)}/images/{self.name}-{version.number}"},
                "osDiskImage": {"sizeInGB": self.size, "hostCaching": "ReadWrite", "source": {}},
                "dataDiskImages": [
                    {"lun": lun, "sizeInGB": size, "hostCaching": "None"}
                    for lun, size in enumerate(self.disks)
                ],
            },
            "safetyProfile": {
                "reportedForPolicyViolation": False,
                "allowDeletionOfReplicatedLocations": False,
            },
            "provisioningState": version.state,
        }
        if replication:
            properties["replicationStatus"] = version.replication()
        return {
            "name": version.number,
            "id": self.version_id(version.number),
            "type": "Microsoft.Compute/galleries/images/versions",
            "location": "westeurope",
            "tags": {},
            "properties": properties,
        }


def in_group(group: str) -> str:
    """Return the path to the compute resources of a resource group."""
    return f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{group}/providers/Microsoft.Compute"


NOBLE = MarketplaceSku(
    "Canonical",
    "ubuntu-24_04-lts",
    "server",
    ("24.04.202608210", "24.04.202609150", "24.04.202610150"),
)
WINDOWS_2025 = MarketplaceSku(
    "MicrosoftWindowsServer",
    "WindowsServer",
    "2025-datacenter-azure-edition",
    ("26100.6584.260909", "26100.6899.261014"),
    system="Windows",
    size=127,
)
ORACLE_9 = MarketplaceSku(
    "Oracle", "Oracle-Linux", "ol9-lvm-gen2", ("9.6.9", "9.7.2", "9.7.10"), size=64
)
"""A SKU whose newest version, 9.7.10, is not the last if the versions are sorted as text."""
ROCKY_9 = MarketplaceSku(
    "resf", "rockylinux-x86_64", "9-base", ("9.6.20260918",), size=10, plan=True
)
BIONIC = MarketplaceSku(
    "Canonical",
    "UbuntuServer",
    "18.04-LTS",
    ("18.04.202401161",),
    generation="V1",
    deprecation="Deprecated",
    alternative="ubuntu-24_04-lts",
)
FOCAL = MarketplaceSku(
    "Canonical",
    "0001-com-ubuntu-server-focal",
    "20_04-lts-gen2",
    ("20.04.202606100",),
    deprecation="ScheduledForDeprecation",
    deprecated_at="2027-05-31T00:00:00+00:00",
    alternative="ubuntu-24_04-lts",
)
ONLY_EUROPE = MarketplaceSku(
    "acme-software", "acme-postgres", "ubuntu-24-04", ("1.4.0",), regions=("westeurope",)
)
MARKETPLACE = (
    NOBLE,
    MarketplaceSku(
        "Canonical",
        "ubuntu-24_04-lts",
        "server-arm64",
        ("24.04.202610150",),
        architecture="Arm64",
    ),
    MarketplaceSku("Canonical", "ubuntu-26_04-lts", "server", ("26.04.202610200",)),
    MarketplaceSku("Debian", "debian-13", "13-gen2", ("0.20261012.2262",)),
    MarketplaceSku("Debian", "debian-12", "12-gen2", ("0.20261012.2262",)),
    MarketplaceSku("RedHat", "RHEL", "10-lvm-gen2", ("10.1.2026100110",), size=64),
    MarketplaceSku("SUSE", "sles-15-sp7", "gen2", ("2026.10.05",)),
    WINDOWS_2025,
    MarketplaceSku(
        "MicrosoftWindowsServer",
        "WindowsServer",
        "2022-datacenter-g2",
        ("20348.4171.261014",),
        system="Windows",
        size=127,
    ),
    ORACLE_9,
    ROCKY_9,
    BIONIC,
    FOCAL,
    ONLY_EUROPE,
    MarketplaceSku(
        "acme-software", "acme-appliance", "standard", ("2.0.1",), disks=(100, 250), plan=True
    ),
)
ACME_IMAGE = ManagedImage(
    "acme-ubuntu-24.04-postgres-17",
    "westeurope",
    disks=(256, 128),
    zone_resilient=True,
    tags=(("owner", "platform"),),
)
ACME_WINDOWS = ManagedImage("acme-win-2022-iis", "eastus", system="Windows", size=128)
SPECIALIZED = ManagedImage("acme-legacy-erp", "westeurope", size=None, os_state="Specialized")
BROKEN = ManagedImage("acme-debian-13-broken", "northeurope", state="Failed")
MANAGED = (ACME_IMAGE, ACME_WINDOWS, SPECIALIZED, BROKEN)
GOLDEN = GalleryDefinition(
    "ubuntu-golden",
    "acme",
    "ubuntu",
    "24_04-golden",
    (
        GalleryVersion(
            "1.0.2", "2025-03-02T08:15:10.1234567+00:00", end_of_life="2026-03-01T00:00:00Z"
        ),
        GalleryVersion("1.0.9", "2026-08-03T08:15:10.1234567+00:00"),
        GalleryVersion(
            "1.0.10", "2026-09-14T08:15:10.1234567+00:00", end_of_life="2029-04-30T00:00:00Z"
        ),
        GalleryVersion("1.1.0", "2026-10-20T08:15:10.1234567+00:00", excluded_from_latest=True),
        GalleryVersion(
            "1.2.0",
            "2026-10-30T08:15:10.1234567+00:00",
            excluded_from_latest=True,
            state="Creating",
        ),
    ),
    description="Ubuntu 24.04 with Acme's agents and settings",
    disks=(32,),
)
ROCKY_GOLDEN = GalleryDefinition(
    "rocky-golden",
    "acme",
    "rocky",
    "9-golden",
    (GalleryVersion("2.0.0", "2026-07-01T10:00:00+00:00", regions=("eastus",)),),
    plan=True,
)
ONLY_DRAFTS = GalleryDefinition(
    "windows-desk",
    "acme",
    "windows-11",
    "24h2-desk",
    (GalleryVersion("0.1.0", "2026-10-01T10:00:00+00:00", excluded_from_latest=True),),
    system="Windows",
    os_state="Specialized",
)
DEFINITIONS = (GOLDEN, ROCKY_GOLDEN, ONLY_DRAFTS)
