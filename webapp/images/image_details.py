"""Convert, store and compare the details that a cloud returned for an image."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from models import Image
from webapp import audit
from webapp.clouds.details import Fact, ImageDetails, ImageState, Volume
from webapp.clouds.locators import Locator
from webapp.values.text import displayable, displayable_lines

ARCHITECTURE_LENGTH = 32
"""The maximum length of the column `architecture`, in characters."""
_INSTANT_KEYS = {"created_at": "created", "deprecated_at": "deprecated", "ends_at": "end"}
"""The key in JSON for each field that is an instant.

Details that an older version of the application stored may lack the key `end`.
"""


def to_json(details: ImageDetails) -> dict[str, Any]:
    """Return `details` as plain JSON values. Instants become ISO 8601 texts in UTC."""
    values = asdict(details)
    instants = {key: _to_iso(values.pop(field)) for field, key in _INSTANT_KEYS.items()}
    return {**values, **instants}


def from_json(data: dict[str, Any]) -> ImageDetails:
    """Return the details from the result of `to_json`."""
    values = {name: value for name, value in data.items() if name not in _INSTANT_KEYS.values()}
    return ImageDetails(
        **{
            **values,
            **{field: _from_iso(data.get(key)) for field, key in _INSTANT_KEYS.items()},
            "state": ImageState(data["state"]),
            "facts": tuple(Fact(**fact) for fact in data["facts"]),
            "volumes": tuple(Volume(**volume) for volume in data["volumes"]),
            "os_texts": tuple(data["os_texts"]),
            "warnings": tuple(data["warnings"]),
            "compute_resources": tuple(data["compute_resources"]),
        }
    )


def apply_details(image: Image, details: ImageDetails) -> None:
    """Set the columns of `image` that contain the cloud's details.

    The list of compute resources is left out, because only the registration needs it. The location
    is left out, because it has its own column.
    """
    image.details = to_json(replace(details, compute_resources=(), location=""))
    image.description = displayable_lines(details.description)
    image.architecture = displayable(details.architecture)[:ARCHITECTURE_LENGTH].strip()
    image.state = details.state
    image.deprecation_announced_for = details.deprecation_announced_for


def apply_due_deprecation(image: Image, moment: datetime) -> audit.Changes:
    """Set the state to DEPRECATED if the deprecation was announced for `moment` or earlier.

    Return the change of the state for the audit log, or {} if nothing is due.
    """
    due = image.deprecation_announced_for
    if due is None or due > moment:
        return {}
    before = from_json(image.details)
    note = _due_note(before, due, image.checked_at)
    apply_details(image, replace(before, state=ImageState.DEPRECATED, state_note=note))
    return {"State": (before.state.value, ImageState.DEPRECATED.value)}


def _due_note(details: ImageDetails, due: datetime, checked_at: datetime) -> str:
    day = f"{due.astimezone(UTC):%Y-%m-%d}"
    source = f"according to the last check on {checked_at.astimezone(UTC):%Y-%m-%d}"
    note = (
        f"Deprecated since {day} {source}."
        if due == details.deprecated_at
        else f"The owner announced the end of this image for {day}, {source}."
    )
    replacement = f" Use {details.replacement} instead." if details.replacement else ""
    return f"{note} Check the image again to confirm its state.{replacement}"


def changes_between(before: ImageDetails, after: ImageDetails) -> dict[str, tuple[Any, Any]]:
    """Return the changes that people can see, as (old value, new value) by label.

    The values are plain JSON values. Pages choose the format of a value by its label.
    """
    old, new = comparable_details(before), comparable_details(after)
    return {
        label: (old.get(label), new.get(label))
        for label in {**old, **new}
        if old.get(label) != new.get(label)
    }


def locator_changes(before: Locator, after: Locator) -> dict[str, tuple[str, str]]:
    """Return the changes of the location and the image ID, as (old value, new value) by label."""
    values = {
        "Location": (before.location, after.location),
        "Cloud image ID": (before.image_id, after.image_id),
    }
    return {label: (old, new) for label, (old, new) in values.items() if old != new}


def comparable_details(details: ImageDetails) -> dict[str, Any]:
    """Return the details that people compare, by label, as plain JSON values."""
    return {
        "Name in the cloud": details.name,
        "Description": details.description,
        "Architecture": details.architecture,
        "Size": details.size_gb,
        "State": details.state.value,
        "Created": _to_iso(details.created_at),
        "Deprecated": _to_iso(details.deprecated_at),
        "Warnings": " ".join(details.warnings),
        **{fact.label: fact.value for fact in details.facts},
        **{f"Volume {volume.device}": _volume_text(volume) for volume in details.volumes},
    }


def _volume_text(volume: Volume) -> str:
    size = "size unknown" if volume.size_gb is None else f"{volume.size_gb} GB"
    encrypted = "encrypted" if volume.encrypted else ""
    return ", ".join(part for part in (volume.kind, size, volume.snapshot, encrypted) if part)


def _to_iso(instant: datetime | None) -> str | None:
    return None if instant is None else instant.astimezone(UTC).isoformat()


def _from_iso(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
