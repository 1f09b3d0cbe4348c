"""Conversion of Azure's descriptions of an image into ImageDetails.

This module knows the fields of the responses, but not the SDK. Any field may be missing or have an
unexpected type, because real responses leave out many fields and a custom endpoint may not be
Azure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from webapp.clouds.azure.ids import MarketplaceImage
from webapp.clouds.details import Fact, ImageDetails, ImageState, Volume
from webapp.clouds.instants import parse_instant
from webapp.clouds.messages import join_first, since

ARCHITECTURES = {"x64": "x86_64", "arm64": "arm64"}
_NOT_READY = "Azure is still creating or updating this image. Wait until it’s complete."
STATES = {
    "": (ImageState.AVAILABLE, ""),
    "succeeded": (ImageState.AVAILABLE, ""),
    "created": (ImageState.AVAILABLE, ""),
    "creating": (ImageState.PENDING, _NOT_READY),
    "updating": (ImageState.PENDING, _NOT_READY),
    "migrating": (ImageState.PENDING, _NOT_READY),
    "failed": (ImageState.FAILED, "Azure failed to create this image. It can’t be used."),
    "deleting": (ImageState.GONE, "This image is being deleted. It can’t be used."),
}
"""The `ImageState` and its note, by Azure's provisioning state in lower case."""
MAX_SHOWN = 12
"""The maximum number of regions, or of tags, in a fact."""


def from_marketplace(
    image: MarketplaceImage, response: Mapping[str, Any], requested_id: str
) -> ImageDetails:
    """Return the details of a Marketplace image.

    `requested_id` is the ID that was looked up, and `image` is the image that was found. If
    `requested_id` ends with `latest`, `image` has the number of the version instead. `response` is
    Azure's description of the image.
    """
    properties = mapping_at(response, "properties")
    status = mapping_at(properties, "imageDeprecationStatus")
    deprecated_at = _deprecation_date(status)
    state, note = _deprecation_state(status, deprecated_at)
    disk = mapping_at(properties, "osDiskImage")
    volumes = (
        _disk("OS disk", "", disk.get("sizeInGb"), root=True),
        *(
            _disk(_lun(each), "", each.get("sizeInGb"))
            for each in mappings_at(properties, "dataDiskImages")
        ),
    )
    plan = mapping_at(properties, "plan")
    system = text(disk, "operatingSystem")
    return ImageDetails(
        name="",  # A Marketplace image has a URN, but no name.
        description="",
        architecture=_architecture(properties),
        size_gb=volumes[0].size_gb,
        state=state,
        state_note=note,
        created_at=None,
        deprecated_at=deprecated_at,
        facts=tuple(
            _facts(
                ("os_type", "OS type", system),
                ("generation", "Hyper-V generation", text(properties, "hyperVGeneration")),
                ("publisher", "Publisher", image.publisher),
                ("offer", "Offer", image.offer),
                ("sku", "SKU", image.sku),
                ("version", "Version", image.version),
                ("plan", "Marketplace plan", _plan(plan)),
                ("alternative", "Azure suggests instead", _alternative(status)),
                ("features", "Features", ", ".join(_features(properties))),
            )
        ),
        volumes=volumes,
        os_texts=_os_texts(
            system,
            f"{image.offer} {image.sku}",
            f"{image.publisher} {image.offer} {image.sku}",
        ),
        warnings=tuple(_terms_warning(plan)),
        image_id="" if str(image) == requested_id else str(image),
    )


def from_managed_image(response: Mapping[str, Any]) -> ImageDetails:
    """Return the details of a managed image."""
    properties = mapping_at(response, "properties")
    storage = mapping_at(properties, "storageProfile")
    disk = mapping_at(storage, "osDisk")
    volumes = (
        _managed_disk("OS disk", disk, root=True),
        *(_managed_disk(_lun(each), each) for each in mappings_at(storage, "dataDisks")),
    )
    state, note = _provisioning_state(properties)
    system = text(disk, "osType")
    name = text(response, "name")
    resilient = storage.get("zoneResilient")
    return ImageDetails(
        name=name,
        description="",
        architecture="",
        size_gb=volumes[0].size_gb,
        state=state,
        state_note=note,
        created_at=None,
        deprecated_at=None,
        facts=tuple(
            _facts(
                ("os_type", "OS type", system),
                ("os_state", "OS state", text(disk, "osState")),
                ("generation", "Hyper-V generation", text(properties, "hyperVGeneration")),
                ("region", "Region", region_key(text(response, "location"))),
                ("edge_zone", "Edge zone", text(mapping_at(response, "extendedLocation"), "name")),
                ("zone_resilient", "Zone resilient", _yes_no(resilient)),
                (
                    "source",
                    "Created from",
                    last_segments(text(mapping_at(properties, "sourceVirtualMachine"), "id")),
                ),
                ("tags", "Tags", _tags(response)),
            )
        ),
        volumes=volumes,
        os_texts=_os_texts(system, name, _tags(response)),
        warnings=tuple(_specialized_warning(text(disk, "osState"))),
    )


def from_gallery_version(
    definition: Mapping[str, Any], version: Mapping[str, Any], image_id: str
) -> ImageDetails:
    """Return the details of a version in a compute gallery.

    `definition` and `version` are Azure's descriptions of the image definition and of the version.
    `image_id` is the canonical ID of the version, or '' if it equals the requested ID.
    """
    definition_properties = mapping_at(definition, "properties")
    properties = mapping_at(version, "properties")
    storage = mapping_at(properties, "storageProfile")
    publishing = mapping_at(properties, "publishingProfile")
    volumes = (
        _disk("OS disk", "", mapping_at(storage, "osDiskImage").get("sizeInGB"), root=True),
        *(
            _disk(_lun(each), "", each.get("sizeInGB"))
            for each in mappings_at(storage, "dataDiskImages")
        ),
    )
    end = parse_instant(
        publishing.get("endOfLifeDate") or definition_properties.get("endOfLifeDate")
    )
    state, note = _end_of_life_state(end, *_provisioning_state(properties))
    system = text(definition_properties, "osType")
    plan = mapping_at(definition_properties, "purchasePlan")
    identifier = mapping_at(definition_properties, "identifier")
    offer_and_sku = " ".join(filter(None, (text(identifier, each) for each in ("offer", "sku"))))
    name = text(definition, "name")
    return ImageDetails(
        name="",  # A version has no name.
        description=text(definition_properties, "description"),
        architecture=_architecture(definition_properties),
        size_gb=volumes[0].size_gb,
        state=state,
        state_note=note,
        created_at=parse_instant(publishing.get("publishedDate")),
        deprecated_at=end,
        facts=tuple(
            _facts(
                ("os_type", "OS type", system),
                ("os_state", "OS state", text(definition_properties, "osState")),
                (
                    "generation",
                    "Hyper-V generation",
                    text(definition_properties, "hyperVGeneration"),
                ),
                ("definition", "Image definition", name),
                ("publisher", "Publisher", text(identifier, "publisher")),
                ("offer", "Offer", text(identifier, "offer")),
                ("sku", "SKU", text(identifier, "sku")),
                ("version", "Version", text(version, "name")),
                ("regions", "Replicated to", join_first(_replicas(publishing), MAX_SHOWN)),
                ("replication", "Replication", _replication(properties)),
                ("latest", "Included in latest", _yes_no(_included_in_latest(publishing))),
                ("end_of_life", "End of life", f"{end:%Y-%m-%d}" if end else ""),
                ("source", "Created from", _source(storage)),
                ("plan", "Marketplace plan", _plan(plan)),
                ("features", "Features", ", ".join(_features(definition_properties))),
            )
        ),
        volumes=volumes,
        os_texts=_os_texts(system, offer_and_sku, name, text(definition_properties, "description")),
        warnings=(
            *_specialized_warning(text(definition_properties, "osState")),
            *_terms_warning(plan),
            *_policy_warning(properties),
        ),
        image_id=image_id,
    )


def as_gallery_version(version: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a version of a community or directly shared gallery to the format of other galleries.

    The two formats have similar data, but different names and nesting.
    """
    properties = mapping_at(version, "properties")
    storage = mapping_at(properties, "storageProfile")
    disks = [
        {"lun": each.get("lun", "?"), "sizeInGB": each.get("diskSizeGB")}
        for each in mappings_at(storage, "dataDiskImages")
    ]
    return {
        "name": text(version, "name"),
        "properties": {
            "publishingProfile": properties,
            "storageProfile": {
                "osDiskImage": {"sizeInGB": mapping_at(storage, "osDiskImage").get("diskSizeGB")},
                "dataDiskImages": disks,
            },
            "disclaimer": properties.get("disclaimer"),
        },
    }


def regions_of(version: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the regions that a version in a gallery is replicated to."""
    publishing = mapping_at(mapping_at(version, "properties"), "publishingProfile")
    return tuple(dict.fromkeys(region_key(name) for name in _target_regions(publishing)))


def can_be_latest(version: Mapping[str, Any], region: str) -> bool:
    """Return whether `latest` can refer to this version in `region`; '' means any region."""
    properties = mapping_at(version, "properties")
    publishing = mapping_at(properties, "publishingProfile")
    targets = [
        target
        for target in mappings_at(publishing, "targetRegions")
        if not region or region_key(text(target, "name")) == region
    ]
    excluded = bool(targets) and all(target.get("excludeFromLatest") is True for target in targets)
    ready = text(properties, "provisioningState").lower() in {"", "succeeded", "updating"}
    available = bool(targets) or not region
    return ready and _included_in_latest(publishing) and not excluded and available


def newest_version(versions: Iterable[Mapping[str, Any]]) -> str:
    """Return the newest version, or ''. Azure's order is not used: it puts 1.0.9 after 1.0.10."""
    names = [text(each, "name") for each in versions]
    newest = max(names, key=version_numbers, default="")
    return newest if version_numbers(newest) else ""


def version_numbers(version: str) -> tuple[int, ...]:
    """Return the numbers of a version, so that 1.0.10 is sorted after 1.0.9.

    Returns () for text that is not a version.
    """
    if not re.fullmatch(r"[0-9]{1,20}(?:\.[0-9]{1,20}){0,5}", version):
        return ()
    return tuple(int(each) for each in version.split("."))


def region_key(name: str) -> str:
    """Return the key of a region: 'westeurope' for "West Europe". Azure uses both forms."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def mapping_at(container: Any, name: str) -> Mapping[str, Any]:
    """Return the object that `container` has under this name, or an empty object if it has none."""
    member = container.get(name) if isinstance(container, Mapping) else None
    return member if isinstance(member, Mapping) else {}


def mappings_at(container: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """Return the objects in the list that `container` has under this name, or [] if it has none."""
    member = container.get(name)
    if not isinstance(member, list):
        return []
    return [each for each in member if isinstance(each, Mapping)]


def text(container: Mapping[str, Any], name: str) -> str:
    """Return the string that `container` has under this name, or '' if it has none."""
    member = container.get(name)
    return member if isinstance(member, str) else ""


def last_segments(resource_id: str) -> str:
    """Return the type and name at the end of a resource ID: 'virtualMachines/web-1'."""
    return "/".join(resource_id.split("/")[-2:])


def _facts(*facts: tuple[str, str, str]) -> Iterator[Fact]:
    return (Fact(key, label, value) for key, label, value in facts if value)


def _os_texts(system: str, *texts: str) -> tuple[str, ...]:
    """Return the texts that may name the operating system, the most reliable first.

    `system` is "Windows" or "Linux". "Windows" comes first, because it is more reliable than any
    name. "Linux" comes last, because a name is more precise than "Linux".
    """
    first, final = (system, "") if system == "Windows" else ("", system)
    stripped_texts = (each.strip() for each in (first, *texts, final))
    return tuple(dict.fromkeys(filter(None, stripped_texts)))


def _architecture(properties: Mapping[str, Any]) -> str:
    name = text(properties, "architecture")
    return ARCHITECTURES.get(name.lower(), name)


def _deprecation_date(status: Mapping[str, Any]) -> datetime | None:
    """Return when the image was or will be deprecated, or None for an active image."""
    is_active = text(status, "imageState").lower() not in {"deprecated", "scheduledfordeprecation"}
    return None if is_active else parse_instant(status.get("scheduledDeprecationTime"))


def _deprecation_state(
    status: Mapping[str, Any], deprecated_at: datetime | None
) -> tuple[ImageState, str]:
    """Return the state and its note.

    If the date of a scheduled deprecation has passed, the image is deprecated.
    """
    state = text(status, "imageState").lower()
    alternative = _alternative(status)
    advice = f" Azure suggests {alternative} instead." if alternative else ""
    is_scheduled = state == "scheduledfordeprecation"
    is_past = bool(deprecated_at and deprecated_at <= datetime.now(UTC))
    if state == "deprecated" or (is_scheduled and is_past):
        note = f"This image has been deprecated {since(deprecated_at)}.{advice}"
        return ImageState.DEPRECATED, note
    if is_scheduled:
        date = "" if deprecated_at else " on an unknown date"
        return ImageState.AVAILABLE, f"The publisher plans to deprecate this image{date}.{advice}"
    return ImageState.AVAILABLE, ""


def _alternative(status: Mapping[str, Any]) -> str:
    option = mapping_at(status, "alternativeOption")
    kind, value = text(option, "type"), text(option, "value")
    return f"the {kind.lower()} {value}" if value and kind.lower() != "none" else ""


def _provisioning_state(properties: Mapping[str, Any]) -> tuple[ImageState, str]:
    state = text(properties, "provisioningState")
    return STATES.get(
        state.lower(),
        (ImageState.FAILED, f"Azure reports an unknown state for this image: {state[:60]}."),
    )


def _end_of_life_state(
    end: datetime | None, state: ImageState, note: str
) -> tuple[ImageState, str]:
    if state is ImageState.AVAILABLE and end and end <= datetime.now(UTC):
        return ImageState.DEPRECATED, (
            f"This image is past the end-of-life date that its owner set, {end:%Y-%m-%d}. Use a "
            "newer version."
        )
    return state, note


def _disk(device: str, kind: str, size: Any, *, root: bool = False) -> Volume:
    is_whole = isinstance(size, int) and not isinstance(size, bool) and size > 0
    return Volume(device, kind, size if is_whole else None, "", encrypted=None, root=root)


def _managed_disk(device: str, disk: Mapping[str, Any], *, root: bool = False) -> Volume:
    volume = _disk(device, text(disk, "storageAccountType"), disk.get("diskSizeGB"), root=root)
    source = text(mapping_at(disk, "snapshot"), "id") or text(mapping_at(disk, "managedDisk"), "id")
    key = text(mapping_at(disk, "diskEncryptionSet"), "id")
    return Volume(
        volume.device,
        volume.kind,
        volume.size_gb,
        last_segments(source) or text(disk, "blobUri"),
        encrypted=True if key else None,
        root=root,
    )


def _lun(disk: Mapping[str, Any]) -> str:
    return f"LUN {disk.get('lun', '?')}"


def _plan(plan: Mapping[str, Any]) -> str:
    return "/".join(filter(None, (text(plan, each) for each in ("publisher", "product", "name"))))


def _terms_warning(plan: Mapping[str, Any]) -> Iterator[str]:
    if _plan(plan):
        yield (
            f"This image is sold in the Marketplace under the plan {_plan(plan)}. Accept the "
            "plan’s terms for the subscription before you create the first server."
        )


def _specialized_warning(state: str) -> Iterator[str]:
    if state == "Specialized":
        yield (
            "This image is specialized, not generalized. Servers created from it keep the host "
            "name and the users of the original machine."
        )


def _policy_warning(properties: Mapping[str, Any]) -> Iterator[str]:
    if mapping_at(properties, "safetyProfile").get("reportedForPolicyViolation") is True:
        yield "This image was reported to Azure for violating a policy, and Azure may remove it."


def _features(properties: Mapping[str, Any]) -> Iterator[str]:
    for each in mappings_at(properties, "features"):
        name, value = text(each, "name"), text(each, "value")
        if name and value.lower() != "false":
            yield name if value.lower() in {"", "true"} else f"{name} {value}"


def _target_regions(publishing: Mapping[str, Any]) -> Iterable[str]:
    return filter(None, (text(each, "name") for each in mappings_at(publishing, "targetRegions")))


def _replicas(publishing: Mapping[str, Any]) -> list[str]:
    return [
        text(each, "name")
        + (" (excluded from latest)" if each.get("excludeFromLatest") is True else "")
        for each in mappings_at(publishing, "targetRegions")
        if text(each, "name")
    ]


def _replication(properties: Mapping[str, Any]) -> str:
    """Return the progress of replication, or '' if it is complete."""
    status = mapping_at(properties, "replicationStatus")
    state = text(status, "aggregatedState")
    if state in {"", "Completed"}:
        return ""
    incomplete = [
        f"{text(each, 'region')} {text(each, 'state')}"
        for each in mappings_at(status, "summary")
        if text(each, "state") != "Completed"
    ]
    return f"{state}: {join_first(incomplete, MAX_SHOWN)}" if incomplete else state


def _included_in_latest(publishing: Mapping[str, Any]) -> bool:
    return publishing.get("excludeFromLatest") is not True


def _source(storage: Mapping[str, Any]) -> str:
    source = mapping_at(storage, "source")
    names = ("id", "virtualMachineId", "communityGalleryImageId")
    return last_segments(next(filter(None, (text(source, each) for each in names)), ""))


def _yes_no(value: Any) -> str:
    """Return 'Yes' or 'No', or '' if `value` is not a Boolean."""
    return ("Yes" if value else "No") if isinstance(value, bool) else ""


def _tags(resource: Mapping[str, Any]) -> str:
    pairs = [f"{key}: {value}" for key, value in mapping_at(resource, "tags").items()]
    return join_first(sorted(pairs), MAX_SHOWN)
