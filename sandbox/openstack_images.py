"""The images of the sandbox's OpenStack, public and private, in two regions.

IDs never change, so documentation and tests may use them.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

REGION_ONE, REGION_TWO = REGIONS = ("RegionOne", "RegionTwo")
OWN_PROJECT = "acme"
OTHER_PROJECT = "globex"
ADMIN_PROJECT = "admin"
"""The project of the cloud's administrator, which owns the public images."""
MB, GB = 2**20, 2**30

_NAMESPACE = UUID("6f70656e-7374-4163-8b73-616e64626f78")


@dataclass(frozen=True)
class SandboxImage:
    """An image of the sandbox."""

    number: int
    name: str
    created: str
    region: str = REGION_ONE
    status: str = "active"
    project: str = ADMIN_PROJECT
    visibility: str = "public"
    disk_format: str = "qcow2"
    size: int = 600 * MB
    """The size of the image file in bytes. The sandbox does not have the file itself."""
    disk: int = 0
    """The size of the disk inside the image file, in bytes."""
    min_disk: int = 0
    """In GiB."""
    min_ram: int = 0
    """In MiB."""
    hidden: bool = False
    protected: bool = False
    tags: tuple[str, ...] = ()
    properties: tuple[tuple[str, str], ...] = ()

    @property
    def image_id(self) -> str:
        return f"{self.number:08x}-5a4d-4b0c-8000-{self.number:012x}"

    @property
    def has_data(self) -> bool:
        return self.status != "queued"

    def creation_fields(self) -> dict[str, Any]:
        """Return the fields that the creator of the image sets."""
        return {
            "id": self.image_id,
            "name": self.name,
            "visibility": self.visibility,
            "protected": self.protected,
            "os_hidden": self.hidden,
            "disk_format": self.disk_format,
            "container_format": "bare",
            "min_disk": self.min_disk,
            "min_ram": self.min_ram,
            "tags": list(self.tags),
            **dict(self.properties),
        }

    def glance_fields(self) -> dict[str, Any]:
        """Return all fields, as Glance shows them."""
        path = f"/v2/images/{self.image_id}"
        checksums: dict[str, Any] = {"checksum": None, "os_hash_algo": None, "os_hash_value": None}
        if self.has_data:
            data = self.image_id.encode()
            checksums = {
                "checksum": hashlib.md5(data, usedforsecurity=False).hexdigest(),
                "os_hash_algo": "sha512",
                "os_hash_value": hashlib.sha512(data).hexdigest(),
            }
        return {
            **self.creation_fields(),
            **checksums,
            "status": self.status,
            "size": self.size if self.has_data else None,
            "virtual_size": self.disk if self.has_data else None,
            "owner": id_for(self.project),
            "created_at": self.created,
            "updated_at": self.created,
            "file": f"{path}/file",
            "self": path,
            "schema": "/v2/schemas/image",
        }


def id_for(name: str) -> str:
    """Return the ID of a project, a user or another object. The ID depends only on the name."""
    return uuid5(_NAMESPACE, name).hex


def _linux(distro: str, version: str, user: str, arch: str = "x86_64") -> dict[str, str]:
    firmware = {"hw_machine_type": "virt"} if arch == "aarch64" else {}
    return {
        "architecture": arch,
        "hw_disk_bus": "scsi",
        "hw_firmware_type": "uefi",
        "hw_qemu_guest_agent": "yes",
        "hw_scsi_model": "virtio-scsi",
        "os_admin_user": user,
        "os_distro": distro,
        "os_type": "linux",
        "os_version": version,
        **firmware,
    }


def _properties(**properties: str) -> tuple[tuple[str, str], ...]:
    return tuple(properties.items())


NOBLE = SandboxImage(
    0x2404,
    "Ubuntu 24.04 LTS (Noble Numbat)",
    "2026-10-21T06:02:11Z",
    disk=3584 * MB,
    properties=_properties(**_linux("ubuntu", "24.04", "ubuntu")),
)
NOBLE_ARM = SandboxImage(
    0x24A4,
    "Ubuntu 24.04 LTS (Noble Numbat) arm64",
    "2026-10-21T06:09:40Z",
    disk=3584 * MB,
    properties=_properties(**_linux("ubuntu", "24.04", "ubuntu", "aarch64")),
)
DEBIAN_13 = SandboxImage(
    0x1300,
    "debian-13-genericcloud-amd64-20261012-2262",
    "2026-10-12T18:20:05Z",
    size=330 * MB,
    disk=3 * GB,
    min_disk=4,
    min_ram=512,
    properties=_properties(**_linux("debian", "13", "debian")),
)
WINDOWS_2025 = SandboxImage(
    0x2025,
    "Windows Server 2025 Datacenter",
    "2026-10-15T11:44:52Z",
    size=9 * GB + 410 * MB,
    disk=40 * GB,
    min_disk=40,
    min_ram=4096,
    properties=_properties(
        architecture="x86_64",
        hw_disk_bus="virtio",
        hw_firmware_type="uefi",
        hw_machine_type="q35",
        hw_tpm_version="2.0",
        os_admin_user="Administrator",
        os_distro="windows",
        os_secure_boot="required",
        os_type="windows",
        os_version="2025",
    ),
)
CIRROS = SandboxImage(
    0x0063,
    "cirros-0.6.3-x86_64-disk",
    "2026-02-02T09:00:00Z",
    disk_format="raw",
    size=112 * MB,
    disk=112 * MB,
)
ACME_IMAGE = SandboxImage(
    0xACE1,
    "acme-golden-postgres-17",
    "2026-09-30T14:05:00Z",
    project=OWN_PROJECT,
    visibility="private",
    size=2 * GB + 100 * MB,
    disk=20 * GB,
    min_disk=20,
    min_ram=2048,
    protected=True,
    tags=("postgres", "golden"),
    properties=_properties(
        **_linux("ubuntu", "24.04", "ubuntu"),
        base_image_ref=NOBLE.image_id,
        description="Acme's database image: Ubuntu 24.04 with PostgreSQL 17",
    ),
)
HIDDEN = SandboxImage(
    0x2401,
    "Ubuntu 24.04 LTS (Noble Numbat) of January",
    "2026-01-20T06:00:00Z",
    disk=3584 * MB,
    hidden=True,
    properties=_properties(**_linux("ubuntu", "24.04", "ubuntu")),
)
DEACTIVATED = SandboxImage(
    0xACE2,
    "acme-golden-web-2025",
    "2025-03-01T08:00:00Z",
    status="deactivated",
    project=OWN_PROJECT,
    visibility="private",
    disk=10 * GB,
    properties=_properties(**_linux("debian", "12", "debian")),
)
QUEUED = SandboxImage(
    0xACE3,
    "acme-golden-web-2027",
    "2026-11-20T16:31:00Z",
    status="queued",
    project=OWN_PROJECT,
    visibility="private",
    min_disk=10,
)
SERVER_SNAPSHOT = SandboxImage(
    0xACE4,
    "acme-web-1-before-upgrade",
    "2026-11-11T11:11:11Z",
    project=OWN_PROJECT,
    visibility="private",
    disk_format="raw",
    size=0,
    min_disk=20,
    properties=_properties(
        block_device_mapping=json.dumps(
            [
                {
                    "boot_index": 0,
                    "destination_type": "volume",
                    "device_name": "/dev/vda",
                    "snapshot_id": "51a95307-0aa1-4b0c-8000-00000000ace4",
                    "source_type": "snapshot",
                    "volume_size": 20,
                },
                {
                    "boot_index": None,
                    "destination_type": "volume",
                    "device_name": "/dev/vdb",
                    "snapshot_id": "51a95307-0aa1-4b0c-8001-00000000ace4",
                    "source_type": "snapshot",
                    "volume_size": 100,
                },
            ]
        ),
        bdm_v2="True",
        **_linux("rocky", "9.6", "rocky"),
        root_device_name="/dev/vda",
    ),
)
"""An image that OpenStack creates from a server whose disks are volumes. The image consists of
snapshots of the volumes, so its image file is empty."""
GLOBEX_IMAGE = SandboxImage(
    0x61,
    "globex-secret",
    "2026-06-01T12:00:00Z",
    project=OTHER_PROJECT,
    visibility="private",
    disk=10 * GB,
)
NOBLE_IN_REGION_TWO = SandboxImage(
    0x24042,
    "Ubuntu 24.04 LTS (Noble Numbat)",
    "2026-10-21T06:15:30Z",
    region=REGION_TWO,
    disk=3584 * MB,
    properties=_properties(**_linux("ubuntu", "24.04", "ubuntu")),
)
ONLY_IN_REGION_TWO = SandboxImage(
    0xACE5,
    "acme-golden-web-2026",
    "2026-08-01T08:00:00Z",
    region=REGION_TWO,
    project=OWN_PROJECT,
    visibility="private",
    disk=10 * GB,
    min_disk=10,
    properties=_properties(**_linux("debian", "13", "debian")),
)
CATALOG = (
    NOBLE,
    NOBLE_ARM,
    SandboxImage(
        0x2604,
        "Ubuntu 26.04 LTS (Resolute Raccoon)",
        "2026-10-22T06:00:00Z",
        disk=3584 * MB,
        properties=_properties(**_linux("ubuntu", "26.04", "ubuntu")),
    ),
    DEBIAN_13,
    SandboxImage(
        0x1001,
        "Rocky-10-GenericCloud-Base-10.1-20261101.0.x86_64",
        "2026-11-02T03:12:00Z",
        disk=10 * GB,
        min_disk=10,
        properties=_properties(**_linux("rocky", "10.1", "rocky")),
    ),
    SandboxImage(
        0x0043,
        "Fedora Cloud 43",
        "2026-05-04T10:20:30Z",
        disk=5 * GB,
        properties=_properties(**_linux("fedora", "43", "fedora")),
    ),
    WINDOWS_2025,
    CIRROS,
    ACME_IMAGE,
    HIDDEN,
    DEACTIVATED,
    QUEUED,
    SERVER_SNAPSHOT,
    GLOBEX_IMAGE,
    NOBLE_IN_REGION_TWO,
    ONLY_IN_REGION_TWO,
)


def find_image(region: str, image_id: str) -> SandboxImage | None:
    return next(
        (image for image in CATALOG if image.region == region and image.image_id == image_id), None
    )
