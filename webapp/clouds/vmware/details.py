"""Conversion of a vCenter's description of a template into ImageDetails.

This module knows the fields of the response, but not the SDK.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from webapp.clouds.details import Fact, ImageDetails, ImageState, Volume
from webapp.clouds.locators import ListedImage

if TYPE_CHECKING:
    from webapp.clouds.vmware.inventory import Template, VirtualMachine

MIN_TOOLS_VERSION = (9, 10, 0)
"""The minimum version of VMware Tools that servers need, as `parse_tools_version` returns it."""
UNMANAGED_TOOLS = 2**31 - 1
"""The number that a vCenter reports instead of the version if it does not know the version."""
_GIB = 2**30
_ESCAPES = {"%2f": "/", "%5c": "\\", "%25": "%"}
_ESCAPED = re.compile("|".join(_ESCAPES), re.IGNORECASE)
_TOOLS_STATES = {
    "toolsNotInstalled": "Not installed",
    "toolsNotRunning": "Not running",
    "toolsOld": "Out of date",
    "toolsOk": "Up to date",
}
_FIRMWARE = {"bios": "BIOS", "efi": "EFI"}


def unescape_name(name: str) -> str:
    """Return a name as the vSphere Client shows it.

    In the API, three characters are escaped as in a URL, for example a slash as %2f.
    """
    return _ESCAPED.sub(lambda match: _ESCAPES[match[0].lower()], name)


def listed_images(templates: Sequence[Template]) -> tuple[ListedImage, ...]:
    """Return the templates, sorted by name.

    If several templates have the same name, the folder of each template is added to its name. If
    the folder is also the same, or unknown, the UUID is added instead.
    """
    names = Counter(template.name for template in templates)
    names_in_folders = Counter((template.folder, template.name) for template in templates)

    def label(template: Template) -> str:
        name = unescape_name(template.name)
        if names[template.name] == 1:
            return name
        if template.folder and names_in_folders[template.folder, template.name] == 1:
            return f"{name} (in the folder {unescape_name(template.folder)})"
        return f"{name} ({template.uuid})"

    images = [ListedImage(template.uuid, label(template)) for template in templates]
    return tuple(sorted(images, key=lambda image: (image.name.lower(), image.name, image.image_id)))


def image_details(machine: VirtualMachine, compute_resource: str = "") -> ImageDetails:
    """Return the details of a template.

    `compute_resource` is the compute resource for which the template is registered, or ''.
    """
    properties = machine.properties
    volumes = tuple(_volumes(properties.get("config.hardware.device") or ()))
    return ImageDetails(
        name=unescape_name(properties.get("name") or ""),
        description=properties.get("config.annotation") or "",
        architecture=_architecture(properties),
        size_gb=next((volume.size_gb for volume in volumes if volume.root), None),
        state=ImageState.AVAILABLE,
        state_note="",
        created_at=_creation_date(properties.get("config.createDate")),
        deprecated_at=None,
        facts=tuple(_facts(machine)),
        volumes=volumes,
        os_texts=tuple(_os_texts(properties)),
        warnings=(
            *_compute_resource_warnings(machine, compute_resource),
            *_warnings(properties),
        ),
        compute_resources=machine.compute_resources,
    )


def parse_tools_version(number: int) -> tuple[int, int, int]:
    """Return the version of VMware Tools that `number` encodes.

    For example, 10.1.0 is encoded as 10 * 1024 + 1 * 32 + 0.
    """
    return number // 1024, number % 1024 // 32, number % 32


def _architecture(properties: Mapping[str, Any]) -> str:
    """Return the architecture of the guest operating system that the template is configured for.

    Servers that are created from the template have the same architecture.
    """
    guest = properties.get("config.guestId") or ""
    name = properties.get("config.guestFullName") or ""
    if guest.lower().startswith("arm") or "ARM" in name:
        return "arm64"
    if "64Guest" in guest or "64-bit" in name:
        return "x86_64"
    return "i386" if "32-bit" in name else ""


def _volumes(devices: Iterable[Any]) -> Iterator[Volume]:
    """Yield the disks: the devices that have a capacity. The first is treated as the root disk."""
    disks = [device for device in devices if getattr(device, "capacityInKB", None) is not None]
    for index, disk in enumerate(disks):
        label = getattr(getattr(disk, "deviceInfo", None), "label", None)
        backing = getattr(disk, "backing", None)
        yield Volume(
            device=label or f"Disk {index + 1}",
            kind=_disk_kind(backing),
            size_gb=_size_gb(disk),
            snapshot="",
            encrypted=None if backing is None else getattr(backing, "keyId", None) is not None,
            root=index == 0,
        )


def _size_gb(disk: Any) -> int | None:
    """Return the size in GB, rounded up because a server's disk must not be smaller."""
    size = getattr(disk, "capacityInBytes", None) or disk.capacityInKB * 1024
    return -(-size // _GIB) or None


def _disk_kind(backing: Any) -> str:
    if getattr(backing, "compatibilityMode", None) is not None:
        return "raw device"
    thin = getattr(backing, "thinProvisioned", None)
    if thin:
        return "thin"
    if getattr(backing, "eagerlyScrub", None):
        return "thick, zeroed"
    return "" if thin is None else "thick"


def _facts(machine: VirtualMachine) -> Iterable[Fact]:
    properties = machine.properties
    firmware = properties.get("config.firmware") or ""
    path = properties.get("config.files.vmPathName") or ""
    datastore = re.match(r"\[([^\]]+)\]", path)
    facts = (
        ("guest", "Guest operating system", properties.get("config.guestFullName")),
        ("cpus", "CPUs", properties.get("config.hardware.numCPU")),
        ("memory", "Memory", _memory(properties.get("config.hardware.memoryMB"))),
        ("tools", "VMware Tools", _tools(properties)),
        ("hardware", "Virtual hardware", properties.get("config.version")),
        ("firmware", "Firmware", _FIRMWARE.get(firmware, firmware)),
        (
            "compute_resource",
            "Template compute resource",
            machine.compute_resource,
        ),
        ("host", "Template host", unescape_name(machine.host)),
        ("folder", "Folder", machine.folder),
        ("datastore", "Datastore", datastore and unescape_name(datastore[1])),
    )
    return (Fact(key, label, str(value)) for key, label, value in facts if value)


def _memory(megabytes: int | None) -> str:
    if not megabytes:
        return ""
    return f"{megabytes} MB" if megabytes % 1024 else f"{megabytes // 1024} GB"


def _tools_version(properties: Mapping[str, Any]) -> int | None:
    """Return the version of VMware Tools as one number.

    Returns 0 if the tools are not installed, and None if the vCenter does not report the version.
    """
    number = properties.get("config.tools.toolsVersion")
    text = str(properties.get("guest.toolsVersion") or "")
    if not number and text.isascii() and text.isdigit():
        number = int(text)
    if not number and properties.get("guest.toolsStatus") == "toolsNotInstalled":
        return 0
    return number


def _dotted(version: Iterable[int]) -> str:
    return ".".join(map(str, version))


def _tools(properties: Mapping[str, Any]) -> str:
    number = _tools_version(properties)
    if number == 0:
        return "Not installed"
    status = str(properties.get("guest.toolsStatus") or "")
    state = _TOOLS_STATES.get(status, status)
    if status == "toolsNotRunning":
        state = ""  # A template never runs, so this state is not shown.
    version = ""
    if number == UNMANAGED_TOOLS:
        version = "Version not reported"
    elif number is not None:
        version = _dotted(parse_tools_version(number))
    return ", ".join(filter(None, (version, state)))


def _warnings(properties: Mapping[str, Any]) -> Iterator[str]:
    number = _tools_version(properties)
    oldest = _dotted(MIN_TOOLS_VERSION)
    if number is None:
        yield (
            "The vCenter doesn’t report whether VMware Tools is installed. Servers need version "
            f"{oldest} or later."
        )
    elif number == 0:
        yield (
            "VMware Tools isn’t installed in this template. Install it, or open-vm-tools, in "
            f"version {oldest} or later before you create servers from the template."
        )
    elif parse_tools_version(number) < MIN_TOOLS_VERSION:
        yield (
            f"This template has VMware Tools {_dotted(parse_tools_version(number))}, but servers "
            f"need version {oldest} or later. Update VMware Tools before you create servers "
            "from the template."
        )


def _compute_resource_warnings(machine: VirtualMachine, compute_resource: str) -> Iterator[str]:
    if (
        compute_resource
        and machine.compute_resources
        and compute_resource not in machine.compute_resources
    ):
        yield (
            f"The datacenter {machine.datacenter} has no compute resource {compute_resource}. "
            "Register the template for another compute resource, then delete this image from the "
            "registry."
        )


def _os_texts(properties: Mapping[str, Any]) -> Iterable[str]:
    """Return the texts that may name the operating system, the most reliable first.

    The configured guest operating system comes first, although for Linux it rarely includes the
    version.
    """
    paths = ("config.guestFullName", "config.guestId", "name", "config.annotation")
    return filter(None, (unescape_name(str(properties.get(path) or "")) for path in paths))


def _creation_date(value: Any) -> datetime | None:
    """Return the creation date, or None if the vCenter does not know it.

    A vCenter reports 1970 for a template that was created before the vCenter recorded dates.
    """
    if not isinstance(value, datetime) or value.year <= 1970:
        return None
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
