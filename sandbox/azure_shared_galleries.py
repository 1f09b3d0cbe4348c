"""Data of the Azure sandbox: a community gallery and a directly shared gallery, both by Contoso.

IDs never change, so documentation and tests may use them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sandbox.azure_images import GalleryVersion

COMMUNITY, DIRECT = "CommunityGalleries", "SharedGalleries"
CONTOSO = "11223344-5566-4788-99aa-bbccddeeff00"
"""The subscription that owns the directly shared gallery."""


@dataclass(frozen=True)
class SharedDefinition:
    """An image definition of another owner, with the versions that are shared."""

    sharing: str
    gallery: str
    name: str
    identifier: tuple[str, str, str]
    """Publisher, offer and SKU."""
    versions: tuple[GalleryVersion, ...]
    system: str = "Linux"
    os_state: str = "Generalized"
    generation: str = "V2"
    architecture: str = "x64"
    size: int = 30
    disks: tuple[int, ...] = ()
    end_of_life: str = ""
    plan: tuple[str, str, str] | None = None
    """Publisher, product and name of the purchase plan."""
    eula: str = ""
    privacy: str = ""
    disclaimer: str = ""

    @property
    def unique_id(self) -> str:
        return f"/{self.sharing}/{self.gallery}/Images/{self.name}"

    def version_id(self, number: str) -> str:
        return f"{self.unique_id}/Versions/{number}"

    def is_in(self, location: str) -> bool:
        return any(location in version.regions for version in self.versions)

    def body(self, location: str) -> dict[str, Any]:
        publisher, offer, sku = self.identifier
        properties: dict[str, Any] = {
            "osType": self.system,
            "osState": self.os_state,
            "identifier": {"publisher": publisher, "offer": offer, "sku": sku},
            "recommended": {},
            "hyperVGeneration": self.generation,
            "architecture": self.architecture,
            "features": [{"name": "SecurityType", "value": "TrustedLaunchSupported"}],
        }
        if self.plan:
            properties["purchasePlan"] = dict(
                zip(("publisher", "product", "name"), self.plan, strict=True)
            )
        texts = {
            "endOfLifeDate": self.end_of_life,
            "eula": self.eula,
            "privacyStatementUri": self.privacy,
            "disclaimer": self.disclaimer,
        }
        properties.update({name: text for name, text in texts.items() if text})
        return _resource(self.name, location, self.unique_id, properties)

    def version_body(self, version: GalleryVersion, location: str) -> dict[str, Any]:
        properties: dict[str, Any] = {
            "publishedDate": version.published,
            "excludeFromLatest": version.excluded_from_latest,
            "storageProfile": {
                "osDiskImage": {"diskSizeGB": self.size, "hostCaching": "ReadWrite"},
                "dataDiskImages": [
                    {"lun": lun, "diskSizeGB": size, "hostCaching": "None"}
                    for lun, size in enumerate(self.disks)
                ],
            },
        }
        if version.end_of_life:
            properties["endOfLifeDate"] = version.end_of_life
        unique_id = self.version_id(version.number)
        return _resource(version.number, location, unique_id, properties)


def gallery_body(sharing: str, gallery: str, location: str) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    if sharing == COMMUNITY:
        properties = {
            "disclaimer": "Contoso provides these images without warranty.",
            "communityMetadata": {
                "publisherUri": "https://contoso.example/images",
                "publisherContact": "images@contoso.example",
                "eula": "https://contoso.example/eula",
                "publicNames": [gallery],
                "privacyStatementUri": "https://contoso.example/privacy",
            },
        }
    return _resource(gallery, location, f"/{sharing}/{gallery}", properties)


def _resource(
    name: str, location: str, unique_id: str, properties: dict[str, Any]
) -> dict[str, Any]:
    return {
        "name": name,
        "location": location,
        "identifier": {"uniqueId": unique_id},
        "properties": properties,
    }


CONTOSO_LINUX = SharedDefinition(
    COMMUNITY,
    "ContosoLinux-3f0c6a52-7d1e-4c8b-9a60-51b2c3d4e5f6",
    "contoso-debian-13",
    ("contoso", "debian", "13-hardened"),
    (
        GalleryVersion(
            "1.0.2",
            "2025-03-02T08:15:10.1234567+00:00",
            regions=("westeurope",),
            end_of_life="2026-03-01T00:00:00+00:00",
        ),
        GalleryVersion("1.0.9", "2026-08-03T08:15:10.1234567+00:00", ("westeurope", "eastus")),
        GalleryVersion("1.0.10", "2026-09-14T08:15:10.1234567+00:00", ("westeurope",)),
        GalleryVersion(
            "1.1.0",
            "2026-10-20T08:15:10.1234567+00:00",
            ("westeurope", "eastus"),
            excluded_from_latest=True,
        ),
    ),
    end_of_life="2030-06-30T00:00:00+00:00",
    disks=(64,),
    eula="https://contoso.example/debian/eula",
)
CONTOSO_APPLIANCE = SharedDefinition(
    COMMUNITY,
    CONTOSO_LINUX.gallery,
    "contoso-appliance",
    ("contoso", "appliance", "standard"),
    (GalleryVersion("3.0.0", "2026-05-02T10:00:00+00:00", ("westcentralus",)),),
    system="Windows",
    os_state="Specialized",
    generation="V1",
    size=127,
    plan=("contoso", "appliance", "standard"),
    disclaimer="For evaluation only.",
)
CONTOSO_GOLDEN = SharedDefinition(
    DIRECT,
    f"{CONTOSO}-CONTOSO_GOLDEN",
    "ubuntu-golden",
    ("contoso", "ubuntu", "24_04-golden"),
    (
        GalleryVersion("2.0.0", "2026-06-01T10:00:00+00:00", ("westeurope", "northeurope")),
        GalleryVersion("2.1.0", "2026-09-01T10:00:00+00:00", ("westeurope",)),
    ),
    architecture="Arm64",
)
SHARED_DEFINITIONS = (CONTOSO_LINUX, CONTOSO_APPLIANCE, CONTOSO_GOLDEN)
