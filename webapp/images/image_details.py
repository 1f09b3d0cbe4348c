"""What the cloud said of an image, to and from JSON, and what differs between two readings."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from webapp.clouds.base import Fact, ImageDetails, ImageState, Volume


def to_json(details: ImageDetails) -> dict[str, Any]:
    """Plain JSON values: instants as ISO 8601 in UTC."""
    return {
        **asdict(details),
        "created": _iso(details.created),
        "deprecated": _iso(details.deprecated),
    }


def from_json(data: dict[str, Any]) -> ImageDetails:
    """Also from what was stored before there were warnings."""
    return ImageDetails(
        **{
            **data,
            "state": ImageState(data["state"]),
            "created": _instant(data["created"]),
            "deprecated": _instant(data["deprecated"]),
            "facts": tuple(Fact(**fact) for fact in data["facts"]),
            "volumes": tuple(Volume(**volume) for volume in data["volumes"]),
            "os_texts": tuple(data["os_texts"]),
            "warnings": tuple(data.get("warnings", ())),
            "compute_resources": tuple(data.get("compute_resources", ())),
        }
    )


def changes_between(before: ImageDetails, after: ImageDetails) -> dict[str, tuple[Any, Any]]:
    """What a person would call a change, by label, as (from, to)."""
    old, new = _comparable(before), _comparable(after)
    return {
        label: (old.get(label), new.get(label))
        for label in {**old, **new}
        if old.get(label) != new.get(label)
    }


def _comparable(details: ImageDetails) -> dict[str, Any]:
    return {
        "Name in the cloud": details.name,
        "Description": details.description,
        "Architecture": details.architecture,
        "Size": details.size_gb,
        "State": details.state.value,
        "Created": _iso(details.created),
        "Deprecated": _iso(details.deprecated),
        "Warnings": " ".join(details.warnings),
        **{fact.label: fact.value for fact in details.facts},
        **{f"Volume {volume.device}": _volume_text(volume) for volume in details.volumes},
    }


def _volume_text(volume: Volume) -> str:
    size = "size unknown" if volume.size_gb is None else f"{volume.size_gb} GB"
    return ", ".join(part for part in (volume.kind, size, volume.snapshot) if part)


def _iso(instant: datetime | None) -> str | None:
    return None if instant is None else instant.astimezone(UTC).isoformat()


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
