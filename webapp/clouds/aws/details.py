"""From what EC2 says of an AMI to ImageDetails. Knows the shape of the answer, not the SDK."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from webapp.clouds.base import Fact, ImageDetails, ImageState, Volume

_NOT_READY = "AWS is still making it: it cannot be launched yet."
STATES = {
    "available": (ImageState.AVAILABLE, ""),
    "pending": (ImageState.PENDING, _NOT_READY),
    "transient": (ImageState.PENDING, _NOT_READY),
    "disabled": (
        ImageState.DISABLED,
        "Its owner has disabled it: no new server can be made from it.",
    ),
    "failed": (ImageState.FAILED, "AWS could not make it: it cannot be launched."),
    "invalid": (ImageState.FAILED, "AWS calls it invalid: it cannot be launched."),
    "error": (ImageState.FAILED, "AWS reports an error with it: it cannot be launched."),
    "deregistered": (ImageState.GONE, "Its owner has deregistered it: it cannot be launched."),
}
SHARES_SHOWN = 10


def details(image: Mapping[str, Any], shares: Sequence[str] | None = None) -> ImageDetails:
    """`image` as DescribeImages gives it. `shares` names those whom its owner has allowed to
    launch it; None where only the owner may know."""
    deprecated = _instant(image.get("DeprecationTime"))
    state, note = _state(image, deprecated)
    volumes = tuple(_volumes(image))
    return ImageDetails(
        name=image.get("Name") or "",
        description=image.get("Description") or "",
        architecture=image.get("Architecture") or "",
        size_gb=next((each.size_gb for each in volumes if each.root), None),
        state=state,
        state_note=note,
        created=_instant(image.get("CreationDate")),
        deprecated=deprecated,
        facts=tuple(_facts(image, shares)),
        volumes=volumes,
        os_texts=tuple(_os_texts(image)),
    )


def _state(image: Mapping[str, Any], deprecated: datetime | None) -> tuple[ImageState, str]:
    said = image.get("State") or "nothing"
    state, note = STATES.get(said, (ImageState.FAILED, f"AWS says of its state: {said}."))
    reason = (image.get("StateReason") or {}).get("Message")
    if state is ImageState.FAILED and reason:
        note = f"{note} It gives as the reason: {reason}"
    if state is ImageState.AVAILABLE and deprecated and deprecated <= datetime.now(UTC):
        return ImageState.DEPRECATED, (
            "Its owner has deprecated it: it can still be launched, but a newer one should be used."
        )
    return state, note


def _volumes(image: Mapping[str, Any]) -> Iterator[Volume]:
    for mapping in image.get("BlockDeviceMappings") or ():
        if "NoDevice" in mapping:
            continue  # says that a disk is left out
        disk = mapping.get("Ebs")
        device = mapping.get("DeviceName") or ""
        yield Volume(
            device=device,
            # Without a disk of EBS it is one of the host's own: "ephemeral0".
            kind=(mapping.get("VirtualName") if disk is None else disk.get("VolumeType")) or "",
            size_gb=disk.get("VolumeSize") if disk else None,
            snapshot=(disk.get("SnapshotId") if disk else "") or "",
            encrypted=disk.get("Encrypted") if disk else None,
            root=bool(device) and device == image.get("RootDeviceName"),
        )


def _facts(image: Mapping[str, Any], shares: Sequence[str] | None) -> Iterable[Fact]:
    owner, alias = image.get("OwnerId") or "", image.get("ImageOwnerAlias")
    said = (
        ("owner", "Owner account", f"{owner} ({alias})" if alias else owner),
        ("visibility", "Visibility", "Public" if image.get("Public") else "Private"),
        ("shared_with", "Shared in AWS with", _shared_with(shares)),
        ("marketplace", "AWS Marketplace product", ", ".join(_marketplace_products(image))),
        ("platform", "Platform", image.get("PlatformDetails") or image.get("Platform")),
        ("virtualization", "Virtualization", image.get("VirtualizationType")),
        ("root_device_type", "Root device", image.get("RootDeviceType")),
        ("boot_mode", "Boot mode", image.get("BootMode")),
        ("ena", "Enhanced networking", "ENA" if image.get("EnaSupport") else ""),
        ("imds", "Instance metadata", _imds(image)),
        ("tpm", "Trusted platform module", image.get("TpmSupport")),
        ("source", "Made from", image.get("SourceInstanceId") or image.get("SourceImageId")),
        ("image_location", "Path in AWS", image.get("ImageLocation")),
    )
    return (Fact(key, label, str(value)) for key, label, value in said if value)


def _shared_with(shares: Sequence[str] | None) -> str:
    if shares is None:
        return ""
    if not shares:
        return "No other account"
    more = len(shares) - SHARES_SHOWN
    shown = ", ".join(shares[:SHARES_SHOWN])
    return f"{shown} and {more} more" if more > 0 else shown


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
    """What AWS charges a licence for it knows for certain; of Linux without one it says only
    that, as "Linux/UNIX" or "Linux with SQL Server", which tells less than any name."""
    platform = image.get("PlatformDetails") or image.get("Platform") or ""
    told = "" if platform.startswith("Linux") else platform
    return filter(None, (told, image.get("Name"), image.get("Description")))


def _instant(text: str | None) -> datetime | None:
    """None also for what is no date: an endpoint that is not AWS's own may write anything."""
    try:
        instant = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
