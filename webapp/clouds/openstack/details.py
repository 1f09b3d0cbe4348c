"""Conversion of Glance's description of an image into ImageDetails.

This module knows the fields of the response, but not the SDK. A response is one JSON document. It
contains the fields that every image has, and the properties that the creator of the image has set.
Any field may be missing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from webapp.clouds.details import OWNER, Fact, ImageDetails, ImageState, Volume
from webapp.clouds.instants import parse_instant

GB = 2**30
MB = 2**20
STATES = {
    "active": (ImageState.AVAILABLE, ""),
    "queued": (
        ImageState.PENDING,
        "The image data hasn’t been uploaded yet, so servers can’t be created from it.",
    ),
    "saving": (
        ImageState.PENDING,
        "The image data is being uploaded, so servers can’t be created from it yet.",
    ),
    "uploading": (
        ImageState.PENDING,
        "The image data is being uploaded for import, so servers can’t be created from it yet.",
    ),
    "importing": (
        ImageState.PENDING,
        "OpenStack is importing the image data, so servers can’t be created from it yet.",
    ),
    "deactivated": (
        ImageState.DISABLED,
        "An administrator has deactivated this image, so new servers can’t be created from it.",
    ),
    "killed": (
        ImageState.FAILED,
        "The upload of the image data failed, so servers can’t be created from it.",
    ),
    "deleted": (
        ImageState.GONE,
        "This image has been deleted, so servers can’t be created from it.",
    ),
    "pending_delete": (
        ImageState.GONE,
        "This image is being deleted, so servers can’t be created from it.",
    ),
}
"""The `ImageState` and its note, by Glance's status."""
HIDDEN = (
    "The owner has hidden this image from the image lists of OpenStack, usually because a newer "
    "image has replaced it."
)
ARCHITECTURES = {"aarch64": "arm64", "amd64": "x86_64", "x64": "x86_64", "i686": "i386"}
"""The registry's name of an architecture, by OpenStack's name. Other names are the same in both."""
PROPERTIES = (
    ("os_distro", "Distribution"),
    ("os_version", "Distribution version"),
    ("os_type", "Operating system type"),
    ("os_admin_user", "Administrator username"),
    ("os_secure_boot", "Secure boot"),
    ("hypervisor_type", "Hypervisor"),
    ("hw_firmware_type", "Firmware"),
    ("hw_machine_type", "Machine type"),
    ("hw_disk_bus", "Disk bus"),
    ("hw_scsi_model", "SCSI controller"),
    ("hw_vif_model", "Network interface"),
    ("hw_qemu_guest_agent", "QEMU guest agent"),
    ("hw_tpm_version", "Trusted platform module"),
)
_VAGUE_OS_TYPES = {"linux"}
"""Operating system types that are too general to suggest an operating system."""


def image_details(image: Mapping[str, Any]) -> ImageDetails:
    """Return the details of `image`, which is a JSON document of the Image API."""
    status = _text(image.get("status"))
    unknown = (ImageState.FAILED, f"OpenStack reports an unknown status for this image: {status}.")
    state, note = STATES.get(status, unknown)
    volumes = tuple(_volumes(image))
    return ImageDetails(
        name=_text(image.get("name")),
        description=_text(image.get("description")),
        architecture=_architecture(image),
        size_gb=_size_gb(image, volumes),
        state=state,
        state_note=note,
        created_at=parse_instant(image.get("created_at")),
        deprecated_at=None,
        facts=tuple(_facts(image)),
        volumes=volumes,
        os_texts=tuple(_os_texts(image)),
        warnings=(HIDDEN,) if image.get("os_hidden") is True else (),
    )


def _architecture(image: Mapping[str, Any]) -> str:
    name = _text(image.get("architecture")) or _text(image.get("hw_architecture"))
    return ARCHITECTURES.get(name.lower(), name)


def _size_gb(image: Mapping[str, Any], volumes: Iterable[Volume]) -> int | None:
    """Return the minimum size of a server's root disk in GB, or None if the size is unknown.

    This is the largest of three sizes: the minimum that the owner requires, the size of the disk
    inside the image file, and the size of the root volume if the image has no file.
    """
    root = next((volume.size_gb for volume in volumes if volume.root), None)
    virtual = -(-_number(image.get("virtual_size")) // GB)
    return max(_number(image.get("min_disk")), virtual, root or 0) or None


def _volumes(image: Mapping[str, Any]) -> Iterator[Volume]:
    """Yield the volumes of an image that was created from a server whose disks are volumes.

    Such an image consists of snapshots of the volumes and has no image file. Other images have no
    volumes.
    """
    for disk in _disks(image.get("block_device_mapping")):
        if disk.get("no_device"):
            continue  # The entry means that the image does not contain this disk.
        encrypted = disk.get("encrypted")
        yield Volume(
            device=_text(disk.get("device_name")),
            kind=_text(disk.get("volume_type")) or _text(disk.get("destination_type")),
            size_gb=_number(disk.get("volume_size")) or None,
            snapshot=_text(disk.get("snapshot_id")),
            encrypted=encrypted if isinstance(encrypted, bool) else None,
            root=_text(disk.get("boot_index")) == "0",
        )


def _disks(mapping: object) -> list[dict[str, Any]]:
    """Return the disks in `mapping`, the value of the property `block_device_mapping`.

    The value is usually JSON text. If it contains several root disks, leave out all of them except
    the first. A person may have written the text, so if it is not a JSON list, return [].
    """
    try:
        items = json.loads(mapping) if isinstance(mapping, str) else mapping
    except (ValueError, RecursionError):
        return []
    disks = [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    roots = [disk for disk in disks if _text(disk.get("boot_index")) == "0"]
    other_roots = {id(root) for root in roots[1:]}
    return [disk for disk in disks if id(disk) not in other_roots]


def _facts(image: Mapping[str, Any]) -> Iterable[Fact]:
    tags = image.get("tags")
    facts = (
        (OWNER, "Owner project", _text(image.get("owner"))),
        ("visibility", "Visibility", _text(image.get("visibility")).capitalize()),
        ("hidden", "Hidden", "Yes" if image.get("os_hidden") is True else ""),
        ("protected", "Protected from deletion", "Yes" if image.get("protected") is True else ""),
        ("file_size", "File size", _file_size(_number(image.get("size")))),
        ("disk_format", "Disk format", _text(image.get("disk_format"))),
        ("container_format", "Container format", _text(image.get("container_format"))),
        ("min_disk", "Minimum disk", _with_unit(image.get("min_disk"), "GB")),
        ("min_ram", "Minimum memory", _with_unit(image.get("min_ram"), "MB")),
        *((key, label, _text(image.get(key))) for key, label in PROPERTIES),
        ("source_server", "Source server", _text(image.get("instance_uuid"))),
        ("source_image", "Source image", _text(image.get("base_image_ref"))),
        ("tags", "Tags", ", ".join(sorted(map(str, tags))) if isinstance(tags, list) else ""),
        ("checksum", "Checksum (MD5)", _text(image.get("checksum"))),
    )
    return (Fact(key, label, value) for key, label, value in facts if value)


def _os_texts(image: Mapping[str, Any]) -> Iterable[str]:
    """Return the texts that may name the operating system, the most reliable first.

    The distribution comes first, because the owner states it. The operating system type is left out
    if it is just "linux".
    """
    distribution, version = _text(image.get("os_distro")), _text(image.get("os_version"))
    os_type = _text(image.get("os_type"))
    texts = (
        f"{distribution} {version}".strip() if distribution else "",
        _text(image.get("name")),
        "" if os_type.lower() in _VAGUE_OS_TYPES else os_type,
        _text(image.get("description")),
    )
    return filter(None, texts)


def _file_size(size: int) -> str:
    if size < MB:
        return f"{size} bytes" if size else ""
    return f"{size / MB:.0f} MB" if size < GB else f"{size / GB:.1f} GB"


def _with_unit(value: object, unit: str) -> str:
    number = _number(value)
    return f"{number} {unit}" if number else ""


def _number(value: object) -> int:
    """Return `value` if it is a positive whole number, as an int or as a text, else 0."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    return max(value, 0) if isinstance(value, int) and not isinstance(value, bool) else 0


def _text(value: object) -> str:
    """Return `value` as text if it is a text or a whole number, else ''."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    return str(value).replace("\0", "").strip()
