"""From what a vCenter says of a template to ImageDetails. Knows the shape of the answer, not the
SDK."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from webapp.clouds.base import Fact, ImageDetails, ImageState, ListedImage, Volume

if TYPE_CHECKING:
    from webapp.clouds.vmware.inventory import Template, VirtualMachine

OLDEST_TOOLS = (9, 10, 0)
UNMANAGED_TOOLS = 2**31 - 1
"""What tools give as their version that do not say it."""
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


def decoded(name: str) -> str:
    """A name, or a path, for people: vCenter writes three characters as a URL does."""
    return _ESCAPED.sub(lambda found: _ESCAPES[found[0].lower()], name)


def listed(templates: Sequence[Template]) -> tuple[ListedImage, ...]:
    """By name; those of the same name with what tells them apart."""
    same = Counter(each.name for each in templates)
    both = Counter((each.name, each.folder) for each in templates)

    def label(each: Template) -> str:
        name = decoded(each.name)
        if same[each.name] == 1:
            return name
        if each.folder and both[each.name, each.folder] == 1:
            return f"{name} (in the folder {decoded(each.folder)})"
        return f"{name} ({each.uuid})"

    images = [ListedImage(each.uuid, label(each)) for each in templates]
    return tuple(sorted(images, key=lambda each: (each.name.lower(), each.name, each.image_id)))


def details(found: VirtualMachine) -> ImageDetails:
    said = found.properties
    volumes = tuple(_volumes(said.get("config.hardware.device") or ()))
    return ImageDetails(
        name=decoded(said.get("name") or ""),
        description=said.get("config.annotation") or "",
        architecture=_architecture(said),
        size_gb=next((each.size_gb for each in volumes if each.root), None),
        state=ImageState.AVAILABLE,
        state_note="",
        created=_instant(said.get("config.createDate")),
        deprecated=None,
        facts=tuple(_facts(found)),
        volumes=volumes,
        os_texts=tuple(_os_texts(said)),
        warnings=tuple(_warnings(said)),
        compute_resources=found.compute_resources,
    )


def _architecture(said: Mapping[str, Any]) -> str:
    """As it is set, which is what a server made from it will have."""
    guest, name = said.get("config.guestId") or "", said.get("config.guestFullName") or ""
    if guest.lower().startswith("arm") or "ARM" in name:
        return "arm64"
    if "64Guest" in guest or "64-bit" in name:
        return "x86_64"
    return "i386" if "32-bit" in name else ""


def _volumes(devices: Iterable[Any]) -> Iterator[Volume]:
    """Disks are what has a capacity; a server starts from the first."""
    disks = [each for each in devices if getattr(each, "capacityInKB", None) is not None]
    for place, disk in enumerate(disks):
        label = getattr(getattr(disk, "deviceInfo", None), "label", None)
        backing = getattr(disk, "backing", None)
        yield Volume(
            device=label or f"Disk {place + 1}",
            kind=_kind(backing),
            size_gb=_gigabytes(disk),
            snapshot="",
            encrypted=None if backing is None else getattr(backing, "keyId", None) is not None,
            root=place == 0,
        )


def _gigabytes(disk: Any) -> int | None:
    """Rounded up: a server's disk must not be smaller."""
    size = getattr(disk, "capacityInBytes", None) or disk.capacityInKB * 1024
    return -(-size // _GIB) or None


def _kind(backing: Any) -> str:
    if getattr(backing, "compatibilityMode", None) is not None:
        return "raw device"
    thin = getattr(backing, "thinProvisioned", None)
    if thin:
        return "thin"
    if getattr(backing, "eagerlyScrub", None):
        return "thick, zeroed"
    return "" if thin is None else "thick"


def _facts(found: VirtualMachine) -> Iterable[Fact]:
    said = found.properties
    cpus, memory = said.get("config.hardware.numCPU"), said.get("config.hardware.memoryMB")
    firmware = said.get("config.firmware") or ""
    path = said.get("config.files.vmPathName") or ""
    datastore = re.match(r"\[([^\]]+)\]", path)
    facts = (
        ("guest", "Guest operating system", said.get("config.guestFullName")),
        ("cpus", "CPUs", cpus),
        ("memory", "Memory", _memory(memory)),
        ("tools", "VMware Tools", _tools(said)),
        ("hardware", "Virtual hardware", said.get("config.version")),
        ("firmware", "Firmware", _FIRMWARE.get(firmware, firmware)),
        ("compute_resource", "Lies on the compute resource", decoded(found.compute_resource)),
        ("host", "Lies on the host", found.host),
        ("folder", "Folder", decoded(found.folder)),
        ("datastore", "Datastore", datastore and datastore[1]),
    )
    return (Fact(key, label, str(value)) for key, label, value in facts if value)


def _memory(megabytes: int | None) -> str:
    if not megabytes:
        return ""
    whole = megabytes % 1024 == 0
    return f"{megabytes // 1024} GB" if whole else f"{megabytes} MB"


def _tools_version(said: Mapping[str, Any]) -> int | None:
    """As one number; 0 for tools that are not there, None where it is not said."""
    number = said.get("config.tools.toolsVersion")
    text = str(said.get("guest.toolsVersion") or "")
    if not number and text.isascii() and text.isdigit():
        number = int(text)
    if not number and said.get("guest.toolsStatus") == "toolsNotInstalled":
        return 0
    return number


def version_of(number: int) -> tuple[int, int, int]:
    """10.1.0 is written as 10 * 1024 + 1 * 32 + 0."""
    return number // 1024, number % 1024 // 32, number % 32


def _dotted(version: Iterable[int]) -> str:
    return ".".join(map(str, version))


def _tools(said: Mapping[str, Any]) -> str:
    number = _tools_version(said)
    if number == 0:
        return "Not installed"
    status = str(said.get("guest.toolsStatus") or "")
    state = _TOOLS_STATES.get(status, status)
    if status == "toolsNotRunning":
        state = ""  # Nothing runs in a template.
    version = ""
    if number is not None:
        unmanaged = number == UNMANAGED_TOOLS
        version = "Version not said" if unmanaged else _dotted(version_of(number))
    return ", ".join(filter(None, (version, state)))


def _warnings(said: Mapping[str, Any]) -> Iterator[str]:
    number = _tools_version(said)
    oldest = _dotted(OLDEST_TOOLS)
    if number is None:
        yield (
            "The vCenter does not say whether VMware Tools are installed. Servers need version "
            f"{oldest} or a newer one."
        )
    elif number == 0:
        yield (
            "VMware Tools are not installed in this template. Install them, or open-vm-tools, in "
            f"version {oldest} or newer before making servers from it."
        )
    elif version_of(number) < OLDEST_TOOLS:
        yield (
            f"VMware Tools in this template are of version {_dotted(version_of(number))}, and must "
            f"be {oldest} or newer. Update them before making servers from it."
        )


def _os_texts(said: Mapping[str, Any]) -> Iterable[str]:
    """What is set as the guest's system comes first; of a Linux it seldom tells the version."""
    names = ("config.guestFullName", "config.guestId", "name", "config.annotation")
    return filter(None, (decoded(str(said.get(name) or "")) for name in names))


def _instant(said: Any) -> datetime | None:
    """A vCenter gives the beginning of time for what was made before it kept record of it."""
    if not isinstance(said, datetime) or said.year <= 1970:
        return None
    return (said if said.tzinfo else said.replace(tzinfo=UTC)).astimezone(UTC)
