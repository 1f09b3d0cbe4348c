"""From what Azure says of an image to ImageDetails. Knows the shape of the answers, not the SDK.
Nothing in them is relied on: most parts may be missing, and an endpoint need not be Azure's own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from webapp.clouds.azure.ids import MarketplaceImage
from webapp.clouds.base import Fact, ImageDetails, ImageState, Volume

ARCHITECTURES = {"x64": "x86_64", "arm64": "arm64"}
_NOT_READY = "Azure is still making or changing it: wait until that is done."
STATES = {
    "": (ImageState.AVAILABLE, ""),
    "succeeded": (ImageState.AVAILABLE, ""),
    "created": (ImageState.AVAILABLE, ""),
    "creating": (ImageState.PENDING, _NOT_READY),
    "updating": (ImageState.PENDING, _NOT_READY),
    "migrating": (ImageState.PENDING, _NOT_READY),
    "failed": (ImageState.FAILED, "Azure could not make it: no server can be made from it."),
    "deleting": (ImageState.GONE, "It is being deleted: no server can be made from it."),
}
"""By the provisioning state, in small letters."""
REGIONS_SHOWN = 12


def marketplace(image: MarketplaceImage, answer: Mapping[str, Any], asked: str) -> ImageDetails:
    """`asked` is the id that was asked for, and `image` what it stands for."""
    said = part(answer, "properties")
    status = part(said, "imageDeprecationStatus")
    state, note = _deprecation(status)
    disk = part(said, "osDiskImage")
    volumes = (
        _disk("OS disk", "", disk.get("sizeInGb"), root=True),
        *(_disk(_lun(each), "", each.get("sizeInGb")) for each in parts(said, "dataDiskImages")),
    )
    plan = part(said, "plan")
    system = text(disk, "operatingSystem")
    return ImageDetails(
        name=f"{image.publisher}-{image.offer}-{image.sku}-{image.version}",
        description="",
        architecture=_architecture(said),
        size_gb=volumes[0].size_gb,
        state=state,
        state_note=note,
        created=None,
        deprecated=instant(status.get("scheduledDeprecationTime")),
        facts=tuple(
            _facts(
                ("os_type", "OS type", system),
                ("generation", "Hyper-V generation", text(said, "hyperVGeneration")),
                ("publisher", "Publisher", image.publisher),
                ("offer", "Offer", image.offer),
                ("sku", "SKU", image.sku),
                ("version", "Version", image.version),
                ("plan", "Marketplace plan", _plan(plan)),
                ("alternative", "Azure suggests instead", _alternative(status)),
                ("features", "Features", ", ".join(_features(said))),
            )
        ),
        volumes=volumes,
        os_texts=_os_texts(
            system,
            f"{image.offer} {image.sku}",
            f"{image.publisher} {image.offer} {image.sku}",
        ),
        warnings=tuple(_terms(plan)),
        image_id="" if str(image) == asked else str(image),
    )


def managed(answer: Mapping[str, Any]) -> ImageDetails:
    said = part(answer, "properties")
    storage = part(said, "storageProfile")
    disk = part(storage, "osDisk")
    volumes = (
        _managed_disk("OS disk", disk, root=True),
        *(_managed_disk(_lun(each), each) for each in parts(storage, "dataDisks")),
    )
    state, note = _provisioning(said)
    system = text(disk, "osType")
    name = text(answer, "name")
    resilient = storage.get("zoneResilient")
    return ImageDetails(
        name=name,
        description="",
        architecture="",
        size_gb=volumes[0].size_gb,
        state=state,
        state_note=note,
        created=None,
        deprecated=None,
        facts=tuple(
            _facts(
                ("os_type", "OS type", system),
                ("os_state", "OS state", text(disk, "osState")),
                ("generation", "Hyper-V generation", text(said, "hyperVGeneration")),
                ("region", "Region", region(text(answer, "location"))),
                ("edge_zone", "Edge zone", text(part(answer, "extendedLocation"), "name")),
                ("zone_resilient", "Zone resilient", _yes(resilient)),
                ("source", "Made from", last(text(part(said, "sourceVirtualMachine"), "id"))),
                ("tags", "Tags", _tags(answer)),
            )
        ),
        volumes=volumes,
        os_texts=_os_texts(system, name, _tags(answer)),
        warnings=tuple(_specialized(text(disk, "osState"))),
    )


def gallery_version(
    definition: Mapping[str, Any], version: Mapping[str, Any], image_id: str
) -> ImageDetails:
    """`image_id` is '' where `version` is the one that was asked for."""
    family, said = part(definition, "properties"), part(version, "properties")
    storage, publishing = part(said, "storageProfile"), part(said, "publishingProfile")
    volumes = (
        _disk("OS disk", "", part(storage, "osDiskImage").get("sizeInGB"), root=True),
        *(_disk(_lun(each), "", each.get("sizeInGB")) for each in parts(storage, "dataDiskImages")),
    )
    end = instant(publishing.get("endOfLifeDate") or family.get("endOfLifeDate"))
    state, note = _end_of_life(end, *_provisioning(said))
    system, plan = text(family, "osType"), part(family, "purchasePlan")
    identifier = part(family, "identifier")
    named = " ".join(filter(None, (text(identifier, each) for each in ("offer", "sku"))))
    name = text(definition, "name")
    return ImageDetails(
        name=f"{name}-{text(version, 'name')}",
        description=text(family, "description"),
        architecture=_architecture(family),
        size_gb=volumes[0].size_gb,
        state=state,
        state_note=note,
        created=instant(publishing.get("publishedDate")),
        deprecated=end,
        facts=tuple(
            _facts(
                ("os_type", "OS type", system),
                ("os_state", "OS state", text(family, "osState")),
                ("generation", "Hyper-V generation", text(family, "hyperVGeneration")),
                ("publisher", "Publisher", text(identifier, "publisher")),
                ("offer", "Offer", text(identifier, "offer")),
                ("sku", "SKU", text(identifier, "sku")),
                ("version", "Version", text(version, "name")),
                ("regions", "Replicated to", _shown(_replicas(publishing))),
                ("replication", "Replication", _replication(said)),
                ("latest", "Counts as latest", _yes(_counts(publishing))),
                ("end_of_life", "End of life", f"{end:%Y-%m-%d}" if end else ""),
                ("source", "Made from", _source(storage)),
                ("plan", "Marketplace plan", _plan(plan)),
                ("features", "Features", ", ".join(_features(family))),
            )
        ),
        volumes=volumes,
        os_texts=_os_texts(system, named, name, text(family, "description")),
        warnings=(*_specialized(text(family, "osState")), *_terms(plan), *_violations(said)),
        image_id=image_id,
    )


def regions_of(version: Mapping[str, Any]) -> tuple[str, ...]:
    """Where a version in a gallery can be used."""
    publishing = part(part(version, "properties"), "publishingProfile")
    return tuple(dict.fromkeys(region(name) for name in _names(publishing)))


def is_ready_for_latest(version: Mapping[str, Any], place: str) -> bool:
    """Whether Azure considers it when `latest` is asked for, at `place` if one is given."""
    said = part(version, "properties")
    publishing = part(said, "publishingProfile")
    here = [
        each
        for each in parts(publishing, "targetRegions")
        if not place or region(text(each, "name")) == place
    ]
    left_out = bool(here) and all(each.get("excludeFromLatest") is True for each in here)
    ready = text(said, "provisioningState").lower() in {"", "succeeded", "updating"}
    return ready and _counts(publishing) and not left_out and (bool(here) or not place)


def number(version: str) -> tuple[int, ...]:
    """What versions are sorted by: 1.0.10 comes after 1.0.9. () for what is no version."""
    if not re.fullmatch(r"[0-9]{1,20}(?:\.[0-9]{1,20}){0,5}", version):
        return ()
    return tuple(int(each) for each in version.split("."))


def region(name: str) -> str:
    """westeurope for "West Europe": Azure writes it either way."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def part(said: Any, name: str) -> Mapping[str, Any]:
    """What stands there if it has parts of its own, else nothing."""
    inner = said.get(name) if isinstance(said, Mapping) else None
    return inner if isinstance(inner, Mapping) else {}


def parts(said: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    inner = said.get(name)
    return [each for each in inner if isinstance(each, Mapping)] if isinstance(inner, list) else []


def text(said: Mapping[str, Any], name: str) -> str:
    inner = said.get(name)
    return inner if isinstance(inner, str) else ""


def instant(said: Any) -> datetime | None:
    """None also for what is no date."""
    try:
        found = datetime.fromisoformat(said if isinstance(said, str) else "")
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def last(resource_id: str) -> str:
    """The name at the end of a resource id, with what it is: "virtualMachines/web-1"."""
    return "/".join(resource_id.split("/")[-2:])


def _facts(*said: tuple[str, str, str]) -> Iterator[Fact]:
    return (Fact(key, label, value) for key, label, value in said if value)


def _os_texts(system: str, *texts: str) -> tuple[str, ...]:
    """Azure itself tells Windows and Linux apart, and nothing more exact: the one says more than a
    name, the other less."""
    first, final = (system, "") if system == "Windows" else ("", system)
    said = (each.strip() for each in (first, *texts, final))
    return tuple(dict.fromkeys(filter(None, said)))


def _architecture(said: Mapping[str, Any]) -> str:
    word = text(said, "architecture")
    return ARCHITECTURES.get(word.lower(), word)


def _deprecation(status: Mapping[str, Any]) -> tuple[ImageState, str]:
    word = text(status, "imageState").lower()
    instead = _alternative(status)
    more = f" Azure suggests {instead} instead." if instead else ""
    if word == "deprecated":
        return ImageState.DEPRECATED, f"Its publisher has deprecated it.{more}"
    if word == "scheduledfordeprecation":
        return ImageState.AVAILABLE, f"Its publisher is going to deprecate it.{more}"
    return ImageState.AVAILABLE, ""


def _alternative(status: Mapping[str, Any]) -> str:
    option = part(status, "alternativeOption")
    kind, value = text(option, "type"), text(option, "value")
    return f"the {kind.lower()} {value}" if value and kind.lower() != "none" else ""


def _provisioning(said: Mapping[str, Any]) -> tuple[ImageState, str]:
    word = text(said, "provisioningState")
    return STATES.get(word.lower(), (ImageState.FAILED, f"Azure says of its state: {word[:60]}."))


def _end_of_life(end: datetime | None, state: ImageState, note: str) -> tuple[ImageState, str]:
    if state is ImageState.AVAILABLE and end and end <= datetime.now(UTC):
        return ImageState.DEPRECATED, (
            "It is past the end of life that its owner gave it: a newer version should be used."
        )
    return state, note


def _disk(device: str, kind: str, size: Any, *, root: bool = False) -> Volume:
    whole = isinstance(size, int) and not isinstance(size, bool) and size > 0
    return Volume(device, kind, size if whole else None, "", encrypted=None, root=root)


def _managed_disk(device: str, disk: Mapping[str, Any], *, root: bool = False) -> Volume:
    plain = _disk(device, text(disk, "storageAccountType"), disk.get("diskSizeGB"), root=root)
    made_of = text(part(disk, "snapshot"), "id") or text(part(disk, "managedDisk"), "id")
    key = text(part(disk, "diskEncryptionSet"), "id")
    return Volume(
        plain.device,
        plain.kind,
        plain.size_gb,
        last(made_of) or text(disk, "blobUri"),
        encrypted=True if key else None,
        root=root,
    )


def _lun(disk: Mapping[str, Any]) -> str:
    return f"LUN {disk.get('lun', '?')}"


def _plan(plan: Mapping[str, Any]) -> str:
    return "/".join(filter(None, (text(plan, each) for each in ("publisher", "product", "name"))))


def _terms(plan: Mapping[str, Any]) -> Iterator[str]:
    if _plan(plan):
        yield (
            f"It is sold in the Marketplace as {_plan(plan)}: the terms of that plan have to be "
            "accepted once in the subscription before the first server is made from it."
        )


def _specialized(state: str) -> Iterator[str]:
    if state == "Specialized":
        yield (
            "It is specialized, not generalized: servers made from it keep the host name and the "
            "users of the machine that it was made of."
        )


def _violations(said: Mapping[str, Any]) -> Iterator[str]:
    if part(said, "safetyProfile").get("reportedForPolicyViolation") is True:
        yield "Azure has found it to violate its policy, and may remove it."


def _features(said: Mapping[str, Any]) -> Iterator[str]:
    for each in parts(said, "features"):
        name, value = text(each, "name"), text(each, "value")
        if name and value.lower() != "false":
            yield name if value.lower() in {"", "true"} else f"{name} {value}"


def _names(publishing: Mapping[str, Any]) -> Iterable[str]:
    return filter(None, (text(each, "name") for each in parts(publishing, "targetRegions")))


def _replicas(publishing: Mapping[str, Any]) -> list[str]:
    return [
        f"{text(each, 'name')}{' (not as latest)' if each.get('excludeFromLatest') is True else ''}"
        for each in parts(publishing, "targetRegions")
        if text(each, "name")
    ]


def _shown(names: list[str]) -> str:
    more = len(names) - REGIONS_SHOWN
    shown = ", ".join(names[:REGIONS_SHOWN])
    return f"{shown} and {more} more" if more > 0 else shown


def _replication(said: Mapping[str, Any]) -> str:
    """Only while it is not complete."""
    status = part(said, "replicationStatus")
    state = text(status, "aggregatedState")
    if state in {"", "Completed"}:
        return ""
    waiting = [
        f"{text(each, 'region')} {text(each, 'state')}"
        for each in parts(status, "summary")
        if text(each, "state") != "Completed"
    ]
    return f"{state}: {_shown(waiting)}" if waiting else state


def _counts(publishing: Mapping[str, Any]) -> bool:
    return publishing.get("excludeFromLatest") is not True


def _source(storage: Mapping[str, Any]) -> str:
    source = part(storage, "source")
    names = ("id", "virtualMachineId", "communityGalleryImageId")
    return last(next(filter(None, (text(source, each) for each in names)), ""))


def _yes(said: Any) -> str:
    return {True: "Yes", False: "No"}.get(said, "") if isinstance(said, bool) else ""


def _tags(answer: Mapping[str, Any]) -> str:
    pairs = [f"{key}: {value}" for key, value in part(answer, "tags").items()]
    return _shown(sorted(pairs))
