"""Conversion of EC2's description of an AMI into ImageDetails.

This module knows the fields of the response, but not the SDK.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from webapp.clouds.details import OWNER, Fact, ImageDetails, ImageState, Volume
from webapp.clouds.instants import parse_instant
from webapp.clouds.messages import join_first, since

_PENDING = "The image is still being created and can’t be launched yet."
STATES = {
    "available": (ImageState.AVAILABLE, ""),
    "pending": (ImageState.PENDING, _PENDING),
    "transient": (ImageState.PENDING, _PENDING),
    "disabled": (
        ImageState.DISABLED,
        "The owner has disabled this image. It can’t be launched.",
    ),
    "failed": (ImageState.FAILED, "AWS failed to create this image. It can’t be launched."),
    "invalid": (
        ImageState.FAILED,
        "AWS reports that this image is invalid. It can’t be launched.",
    ),
    "error": (ImageState.FAILED, "AWS reports an error with this image. It can’t be launched."),
    "deregistered": (
        ImageState.GONE,
        "The owner has deregistered this image. It can’t be launched.",
    ),
}
VISIBILITIES: dict[Any, str] = {True: "Public", False: "Private"}
MAX_SHARES_SHOWN = 10


def image_details(image: Mapping[str, Any], shares: Sequence[str] | None = None) -> ImageDetails:
    """Return the details of one image of a DescribeImages response.

    `shares` lists the accounts, organizations and organizational units that may launch the image.
    Only the owner can read this list. If the list is unknown, `shares` is None.
    """
    deprecated_at = parse_instant(image.get("DeprecationTime"))
    state, note = _state(image, deprecated_at)
    volumes = tuple(_volumes(image))
    return ImageDetails(
        name=image.get("Name") or "",
        description=image.get("Description") or "",
        architecture=image.get("Architecture") or "",
        size_gb=next((each.size_gb for each in volumes if each.root), None),
        state=state,
        state_note=note,
        created_at=parse_instant(image.get("CreationDate")),
        deprecated_at=deprecated_at,
        facts=tuple(_facts(image, shares)),
        volumes=volumes,
        os_texts=tuple(_os_texts(image)),
    )


def _state(image: Mapping[str, Any], deprecated_at: datetime | None) -> tuple[ImageState, str]:
    aws_state = image.get("State") or "none"
    state, note = STATES.get(
        aws_state, (ImageState.FAILED, f"AWS reports an unknown state for this image: {aws_state}.")
    )
    reason = (image.get("StateReason") or {}).get("Message")
    if state is ImageState.FAILED and reason:
        note = f"{note} Reason: {reason}"
    if state is ImageState.AVAILABLE and deprecated_at and deprecated_at <= datetime.now(UTC):
        return ImageState.DEPRECATED, (
            f"This image has been deprecated {since(deprecated_at)}. It still works, but a newer "
            "image is recommended."
        )
    return state, note


def _volumes(image: Mapping[str, Any]) -> Iterator[Volume]:
    for mapping in image.get("BlockDeviceMappings") or ():
        if "NoDevice" in mapping:
            continue  # The image does not contain this disk of the source instance.
        disk = mapping.get("Ebs")
        device = mapping.get("DeviceName") or ""
        yield Volume(
            device=device,
            # A disk without `Ebs` is an instance store volume with a name such as "ephemeral0".
            kind=(mapping.get("VirtualName") if disk is None else disk.get("VolumeType")) or "",
            size_gb=disk.get("VolumeSize") if disk else None,
            snapshot=(disk.get("SnapshotId") if disk else "") or "",
            encrypted=disk.get("Encrypted") if disk else None,
            root=bool(device) and device == image.get("RootDeviceName"),
        )


def _facts(image: Mapping[str, Any], shares: Sequence[str] | None) -> Iterable[Fact]:
    owner, alias = image.get("OwnerId") or "", image.get("ImageOwnerAlias")
    facts = (
        (OWNER, "Owner account", f"{owner} ({alias})" if alias else owner),
        ("visibility", "Visibility", VISIBILITIES.get(image.get("Public"))),
        ("shared_with", "Shared in AWS with", _shared_with(shares)),
        ("marketplace", "AWS Marketplace product", ", ".join(_marketplace_products(image))),
        ("platform", "Platform", image.get("PlatformDetails") or image.get("Platform")),
        ("virtualization", "Virtualization", image.get("VirtualizationType")),
        ("root_device_type", "Root device", image.get("RootDeviceType")),
        ("boot_mode", "Boot mode", image.get("BootMode")),
        ("ena", "Enhanced networking", "ENA" if image.get("EnaSupport") else ""),
        ("imds", "Instance metadata", _imds(image)),
        ("tpm", "Trusted platform module", image.get("TpmSupport")),
        ("source", "Created from", image.get("SourceInstanceId") or image.get("SourceImageId")),
        ("image_location", "Path in AWS", image.get("ImageLocation")),
    )
    return (Fact(key, label, str(value)) for key, label, value in facts if value)


def _shared_with(shares: Sequence[str] | None) -> str:
    if shares is None:
        return ""
    return join_first(shares, MAX_SHARES_SHOWN) or "No other account"


def _marketplace_products(image: Mapping[str, Any]) -> Iterable[str]:
    return (
        code["ProductCodeId"]
        for code in image.get("ProductCodes") or ()
        if code.get("ProductCodeType") == "marketplace"
    )


def _imds(image: Mapping[str, Any]) -> str:
    version = image.get("ImdsSupport")
    return f"IMDS{version.removesuffix('.0')} required" if version else ""


def _os_texts(image: Mapping[str, Any]) -> Iterable[str]:
    """Return the texts that may name the operating system.

    The platform identifies a commercial system exactly, for example Windows or RHEL. For any other
    system, the platform begins with "Linux" and does not name the distribution, so it is left out.
    """
    platform = image.get("PlatformDetails") or image.get("Platform") or ""
    commercial_system = "" if platform.startswith("Linux") else platform
    return filter(None, (commercial_system, image.get("Name"), image.get("Description")))
