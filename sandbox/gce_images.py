"""The images of the sandbox's Compute Engine, in public projects and in private projects.

Names never change, so documentation and tests may use them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

LINK = "https://www.googleapis.com/compute/v1/projects/"
SOVEREIGN_LINK = "https://compute.apis-berlin-build0.goog/compute/v1/projects/"
OWN_PROJECT = "acme-images"
SOVEREIGN_PROJECT = "eu0:acme-images"
"""A project in the sovereign cloud in Germany."""
FOREIGN_PROJECT = "globex-images"
"""A project that exists, but whose images the credentials may not read."""
GIB = 1 << 30


@dataclass(frozen=True)
class SandboxImage:
    """An image of the catalog."""

    project: str
    name: str
    description: str
    created: str
    family: str = ""
    licenses: tuple[str, ...] = ()
    """The licenses, each in the form PROJECT/NAME."""
    architecture: str = "X86_64"
    size: int = 10
    archive: int = GIB
    """The size of the archive in bytes."""
    features: tuple[str, ...] = ("UEFI_COMPATIBLE", "VIRTIO_SCSI_MULTIQUEUE", "GVNIC")
    status: str = "READY"
    state: str = ""
    """The state of the deprecation, for example OBSOLETE, or '' for an active image."""
    replacement: str = ""
    """The name of the image in the same project that replaces this image, or ''."""
    dates: tuple[tuple[str, str], ...] = ()
    """When the image reaches each stage, for example ("obsolete", "2026-01-01T00:00:00Z")."""
    more_fields: dict[str, Any] = field(default_factory=dict, hash=False)
    """Fields to add to the response, or to replace in the response."""
    api: str = LINK
    """The beginning of all links in the response."""

    @property
    def image_id(self) -> str:
        return f"{self.project}/global/images/{self.name}"

    @property
    def family_id(self) -> str:
        return f"{self.project}/global/images/family/{self.family}"

    @property
    def number(self) -> str:
        digest = hashlib.sha256(self.image_id.encode()).digest()
        return str(10**18 + int.from_bytes(digest[:7], "big"))

    def answer(self) -> dict[str, Any]:
        """Return the image as Compute Engine returns it."""
        body: dict[str, Any] = {
            "kind": "compute#image",
            "id": self.number,
            "creationTimestamp": self.created,
            "name": self.name,
            "description": self.description,
            "sourceType": "RAW",
            "status": self.status,
            "archiveSizeBytes": str(self.archive),
            "diskSizeGb": str(self.size),
            "selfLink": self.api + self.image_id,
            "labelFingerprint": "42WmSpB8rSM=",
            "storageLocations": ["us"],
            "architecture": self.architecture,
            "enableConfidentialCompute": False,
            **self.more_fields,
        }
        if self.family:
            body["family"] = self.family
        if self.licenses:
            body["licenses"] = [
                self.api + license_path.replace("/", "/global/licenses/")
                for license_path in self.licenses
            ]
        if self.features:
            body["guestOsFeatures"] = [{"type": feature} for feature in self.features]
        if self.state or self.dates:
            body["deprecated"] = {"state": self.state or "ACTIVE", **dict(self.dates)}
        if self.replacement:
            link = f"{self.api}{self.project}/global/images/{self.replacement}"
            body["deprecated"]["replacement"] = link
        return body


def _debian(version: str, codename: str, day: str, suffix: str = "", **more: Any) -> SandboxImage:
    machine = suffix or "amd64"
    infix = f"-{suffix}" if suffix else ""
    return SandboxImage(
        "debian-cloud",
        f"debian-{version}-{codename}{infix}-v{day}",
        f"Debian, Debian GNU/Linux, {version} ({codename}), {machine} built on {day}",
        f"{day[:4]}-{day[4:6]}-{day[6:]}T09:51:13.302-08:00",
        family=f"debian-{version}{infix}",
        licenses=(f"debian-cloud/debian-{version}-{codename}",),
        architecture="ARM64" if suffix else "X86_64",
        **more,
    )


def _ubuntu(version: str, codename: str, machine: str, day: str) -> SandboxImage:
    year, month = version.split(".")
    return SandboxImage(
        "ubuntu-os-cloud",
        f"ubuntu-{year}{month}-{codename}-{machine}-v{day}",
        f"Canonical, Ubuntu, {version} LTS, {machine} {codename} image built on {day}",
        f"{day[:4]}-{day[4:6]}-{day[6:]}T04:12:30.114-08:00",
        family=f"ubuntu-{year}{month}-lts-{machine}",
        licenses=(f"ubuntu-os-cloud/ubuntu-{year}{month}-lts",),
        architecture="ARM64" if machine == "arm64" else "X86_64",
    )


def _windows(version: str, day: str) -> SandboxImage:
    return SandboxImage(
        "windows-cloud",
        f"windows-server-{version}-dc-v{day}",
        f"Microsoft, Windows Server {version} Datacenter, x64 built on {day}",
        f"{day[:4]}-{day[4:6]}-{day[6:]}T14:40:02.551-08:00",
        family=f"windows-{version}",
        licenses=(f"windows-cloud/windows-server-{version}-dc",),
        size=50,
        archive=14 * GIB,
        features=("MULTI_IP_SUBNET", "UEFI_COMPATIBLE", "GVNIC", "WINDOWS"),
    )


NOBLE = _ubuntu("24.04", "noble", "amd64", "20261118")
DEBIAN_13 = _debian("13", "trixie", "20261112")
DEBIAN_12 = _debian("12", "bookworm", "20261112")
DEPRECATED = _debian(
    "12",
    "bookworm",
    "20260310",
    state="DEPRECATED",
    replacement=DEBIAN_12.name,
    dates=(("deprecated", "2026-04-14T00:00:00.000-07:00"),),
)
WINDOWS_2025 = _windows("2025", "20261111")
COS = SandboxImage(
    "cos-cloud",
    "cos-125-19216-104-94",
    "Google, Container-Optimized OS, 125-19216.104.94 LTS, Kernel: COS-6.12.55 Docker: 27.5.1",
    "2026-11-02T11:20:44.671-08:00",
    family="cos-125-lts",
    licenses=("cos-cloud/cos", "cos-cloud-shielded/shielded-cos"),
)
ACME_IMAGE = SandboxImage(
    OWN_PROJECT,
    "acme-golden-web-v7",
    "Acme's web image: Debian 13 with nginx",
    "2026-10-05T07:12:09.887-07:00",
    family="acme-golden-web",
    licenses=("debian-cloud/debian-13-trixie",),
    size=20,
    more_fields={
        "storageLocations": ["eu"],
        "labels": {"team": "web", "tier": "golden"},
        "sourceDisk": f"{LINK}{OWN_PROJECT}/zones/europe-west1-b/disks/golden-web",
        "sourceDiskId": "7120944817346500351",
        "imageEncryptionKey": {
            "kmsKeyName": f"projects/{OWN_PROJECT}/locations/europe/keyRings/images/cryptoKeys/"
            "golden/cryptoKeyVersions/3"
        },
    },
)
ACME_DEPRECATED = SandboxImage(
    OWN_PROJECT,
    "acme-golden-web-v6",
    "Acme's web image of the last quarter",
    "2026-07-01T07:10:31.024-07:00",
    family="acme-golden-web",
    licenses=("debian-cloud/debian-12-bookworm",),
    size=20,
    state="DEPRECATED",
    replacement=ACME_IMAGE.name,
)
OBSOLETE = SandboxImage(
    OWN_PROJECT,
    "acme-golden-web-v3",
    "Acme's web image of last year",
    "2025-06-30T07:09:58.410-07:00",
    family="acme-golden-web",
    licenses=("debian-cloud/debian-11-bullseye",),
    size=20,
    state="OBSOLETE",
    replacement=ACME_IMAGE.name,
    dates=(
        ("deprecated", "2025-10-01T00:00:00.000-07:00"),
        ("obsolete", "2026-01-01T00:00:00.000-08:00"),
    ),
)
PENDING = SandboxImage(
    OWN_PROJECT,
    "acme-import-2026-11",
    "Being imported",
    "2026-11-24T05:58:00.130-08:00",
    archive=0,
    status="PENDING",
)
FAILED = SandboxImage(
    OWN_PROJECT,
    "acme-import-2026-10",
    "A failed import",
    "2026-10-24T05:58:00.130-07:00",
    archive=0,
    status="FAILED",
)
PLAIN = SandboxImage(
    OWN_PROJECT,
    "acme-appliance",
    "",
    "2026-02-11T15:00:12.005-08:00",
    size=100,
    features=(),
)
RETIRED = SandboxImage(
    OWN_PROJECT,
    "acme-legacy-v1",
    "The images of this family are deprecated or deleted",
    "2024-02-11T15:00:12.005-08:00",
    family="acme-legacy",
    licenses=("debian-cloud/debian-10-buster",),
    state="DELETED",
    dates=(("deleted", "2026-06-01T00:00:00.000-07:00"),),
)
SOVEREIGN = SandboxImage(
    "eu0-system:debian-cloud",
    "debian-12--tpc-20261111-2318",
    "Debian, Debian GNU/Linux, 12 (bookworm), amd64 built on 20261111",
    "2026-11-11T23:18:13.302-08:00",
    family="debian-12",
    licenses=("eu0-system:debian-cloud/debian-12-bookworm",),
    api=SOVEREIGN_LINK,
)
"""A public image of the sovereign cloud in Germany."""
SOVEREIGN_OWN = SandboxImage(
    SOVEREIGN_PROJECT,
    "acme-golden-web-v7",
    "Acme's web image: Debian 12 with nginx",
    "2026-10-05T07:12:09.887-07:00",
    family="acme-golden-web",
    licenses=("eu0-system:debian-cloud/debian-12-bookworm",),
    api=SOVEREIGN_LINK,
)
CATALOG = (
    NOBLE,
    _ubuntu("24.04", "noble", "arm64", "20261118"),
    _ubuntu("26.04", "resolute", "amd64", "20261119"),
    DEBIAN_13,
    _debian("13", "trixie", "20261112", "arm64"),
    DEBIAN_12,
    DEPRECATED,
    SandboxImage(
        "rocky-linux-cloud",
        "rocky-linux-9-optimized-gcp-v20261104",
        "Rocky Linux, Rocky Linux, 9 optimized for GCP, x86_64 built on 20261104",
        "2026-11-04T13:02:51.227-08:00",
        family="rocky-linux-9-optimized-gcp",
        licenses=("rocky-linux-cloud/rocky-linux-9-optimized-gcp",),
        size=20,
    ),
    SandboxImage(
        "rhel-cloud",
        "rhel-10-v20261104",
        "Red Hat, Red Hat Enterprise Linux, 10, x86_64 built on 20261104",
        "2026-11-04T13:10:07.560-08:00",
        family="rhel-10",
        licenses=("rhel-cloud/rhel-10-server",),
        size=20,
    ),
    WINDOWS_2025,
    _windows("2022", "20261111"),
    COS,
    ACME_IMAGE,
    ACME_DEPRECATED,
    OBSOLETE,
    PENDING,
    FAILED,
    PLAIN,
    RETIRED,
    SOVEREIGN,
    SOVEREIGN_OWN,
)
PROJECTS = {image.project for image in CATALOG}


def find_image(project: str, name: str) -> SandboxImage | None:
    """Return the image with this name or number, or None."""
    images = [image for image in CATALOG if image.project == project]
    return next((image for image in images if name in {image.name, image.number}), None)


def newest_image(project: str, family: str) -> SandboxImage | None:
    """Return the image that the family refers to: the newest image that is not deprecated."""
    images = [
        image
        for image in CATALOG
        if (image.project, image.family) == (project, family) and not image.state
    ]
    return max(images, key=lambda image: image.created, default=None)
