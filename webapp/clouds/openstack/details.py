"""From what Glance says of an image to ImageDetails. Knows the shape of the answer, not the SDK.

Besides the fields that every image has, an answer holds the properties that whoever made the image
has given it, any of them or none, as fields of the same document.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from webapp.clouds.base import Fact, ImageDetails, ImageState, Volume

GB = 2**30
MB = 2**20
STATES = {
    "active": (ImageState.AVAILABLE, ""),
    "queued": (
        ImageState.PENDING,
        "Its data has not been uploaded yet: no server can be made from it.",
    ),
    "saving": (
        ImageState.PENDING,
        "Its data is being uploaded: no server can be made from it yet.",
    ),
    "uploading": (
        ImageState.PENDING,
        "Its data is being uploaded, to be imported afterwards: no server can be made from it yet.",
    ),
    "importing": (
        ImageState.PENDING,
        "OpenStack is importing its data: no server can be made from it yet.",
    ),
    "deactivated": (
        ImageState.DISABLED,
        "An administrator has deactivated it: no new server can be made from it.",
    ),
    "killed": (
        ImageState.FAILED,
        "The upload of its data failed: no server can ever be made from it.",
    ),
    "deleted": (ImageState.GONE, "It is deleted: no server can be made from it."),
    "pending_delete": (ImageState.GONE, "It is being deleted: no server can be made from it."),
}
HIDDEN = (
    "Its owner has hidden it from the lists of OpenStack, as is done with images that a newer one "
    "has replaced."
)
ARCHITECTURES = {"aarch64": "arm64", "amd64": "x86_64", "x64": "x86_64", "i686": "i386"}
"""What other projects' words for a processor are in ours."""
PROPERTIES = (
    ("os_distro", "Distribution"),
    ("os_version", "Version of the distribution"),
    ("os_type", "Kind of operating system"),
    ("os_admin_user", "Administrator's user name"),
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
_NO_OS = {"linux"}
"""Kinds of operating system that tell less than any name."""


def details(image: Mapping[str, Any]) -> ImageDetails:
    """`image` as the Image API shows it."""
    said = _text(image.get("status"))
    state, note = STATES.get(said, (ImageState.FAILED, f"OpenStack says of its state: {said}."))
    volumes = tuple(_volumes(image))
    return ImageDetails(
        name=_text(image.get("name")),
        description=_text(image.get("description")),
        architecture=_architecture(image),
        size_gb=_size_gb(image, volumes),
        state=state,
        state_note=note,
        created=_instant(image.get("created_at")),
        deprecated=None,
        facts=tuple(_facts(image)),
        volumes=volumes,
        os_texts=tuple(_os_texts(image)),
        warnings=(HIDDEN,) if image.get("os_hidden") is True else (),
    )


def _architecture(image: Mapping[str, Any]) -> str:
    word = _text(image.get("architecture")) or _text(image.get("hw_architecture"))
    return ARCHITECTURES.get(word.lower(), word)


def _size_gb(image: Mapping[str, Any], volumes: Iterable[Volume]) -> int | None:
    """What a root disk needs at the least: what the owner asks for, or the disk within the file,
    or the volume in place of a file, whichever is largest."""
    root = next((each.size_gb for each in volumes if each.root), None)
    virtual = -(-_number(image.get("virtual_size")) // GB)
    return max(_number(image.get("min_disk")), virtual, root or 0) or None


def _volumes(image: Mapping[str, Any]) -> Iterator[Volume]:
    """Those of an image that was made of a server on volumes: it has snapshots, and no data."""
    for disk in _disks(image.get("block_device_mapping")):
        if disk.get("no_device"):
            continue  # says that a disk is left out
        encrypted = disk.get("encrypted")
        yield Volume(
            device=_text(disk.get("device_name")),
            kind=_text(disk.get("volume_type")) or _text(disk.get("destination_type")),
            size_gb=_number(disk.get("volume_size")) or None,
            snapshot=_text(disk.get("snapshot_id")),
            encrypted=encrypted if isinstance(encrypted, bool) else None,
            root=_text(disk.get("boot_index")) == "0",
        )


def _disks(text: object) -> list[dict[str, Any]]:
    """JSON within a property; [] for what is none, as a person may have written it."""
    try:
        disks = json.loads(text) if isinstance(text, str) else text
    except (ValueError, RecursionError):
        return []
    every = [each for each in disks if isinstance(each, dict)] if isinstance(disks, list) else []
    roots = [each for each in every if _text(each.get("boot_index")) == "0"]
    return [each for each in every if each not in roots[1:]]


def _facts(image: Mapping[str, Any]) -> Iterable[Fact]:
    tags = image.get("tags")
    said = (
        ("owner", "Owner project", _text(image.get("owner"))),
        ("visibility", "Visibility", _text(image.get("visibility")).capitalize()),
        ("hidden", "Hidden", "Yes" if image.get("os_hidden") is True else ""),
        ("protected", "Protected from deletion", "Yes" if image.get("protected") is True else ""),
        ("file_size", "Size of the file", _file_size(_number(image.get("size")))),
        ("disk_format", "Disk format", _text(image.get("disk_format"))),
        ("container_format", "Container format", _text(image.get("container_format"))),
        ("min_disk", "Least disk", _amount(image.get("min_disk"), "GB")),
        ("min_ram", "Least memory", _amount(image.get("min_ram"), "MB")),
        *((key, label, _text(image.get(key))) for key, label in PROPERTIES),
        ("source_server", "Made from the server", _text(image.get("instance_uuid"))),
        ("source_image", "Made from the image", _text(image.get("base_image_ref"))),
        ("tags", "Tags", ", ".join(sorted(map(str, tags))) if isinstance(tags, list) else ""),
        ("checksum", "Checksum (MD5)", _text(image.get("checksum"))),
    )
    return (Fact(key, label, value) for key, label, value in said if value)


def _os_texts(image: Mapping[str, Any]) -> Iterable[str]:
    """What the owner states, then the name, then the kind, where it is not just Linux."""
    stated = f"{_text(image.get('os_distro'))} {_text(image.get('os_version'))}".strip()
    kind = _text(image.get("os_type"))
    texts = (
        stated if _text(image.get("os_distro")) else "",
        _text(image.get("name")),
        "" if kind.lower() in _NO_OS else kind,
        _text(image.get("description")),
    )
    return filter(None, texts)


def _file_size(size: int) -> str:
    if size < MB:
        return f"{size} bytes" if size else ""
    return f"{size / MB:.0f} MB" if size < GB else f"{size / GB:.1f} GB"


def _amount(value: object, unit: str) -> str:
    number = _number(value)
    return f"{number} {unit}" if number else ""


def _number(value: object) -> int:
    """0 for what is no positive number."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    return max(value, 0) if isinstance(value, int) and not isinstance(value, bool) else 0


def _text(value: object) -> str:
    """'' for what is not said, or is no plain value."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    return str(value).replace("\0", "").strip()


def _instant(text: object) -> datetime | None:
    try:
        instant = datetime.fromisoformat(text if isinstance(text, str) else "")
    except ValueError:
        return None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
