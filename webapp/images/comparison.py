"""Compare two images, or an image with itself as it was after an earlier check."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from models import Image
from webapp import audit
from webapp.audit.log import Entry
from webapp.clouds import CLOUDS
from webapp.images import image_details
from webapp.images.life_cycle import audit_values, plan_of

TITLES = ("Registration", "From the cloud")
CHECK_ACTIONS = ("image.check", "image.register")
"""The audit actions that store details about an image.

An image can be compared with itself as it was after such an action. After an import without a
look-up, the details are the values in the image's line of the file.
"""
CHECKED_FIELDS = ("Location", "Cloud image ID", "Credentials")
"""The labels of the registration facts that a check can change.

A check can also change every fact from the cloud.
"""

Facts = dict[str, Any]
"""The facts about one image, by the labels that the audit log uses for changes."""


@dataclass(frozen=True)
class Row:
    """One fact about both compared images. A missing value is None, '' or []."""

    label: str
    left: Any
    right: Any

    @property
    def differs(self) -> bool:
        return bool((self.left or None) != (self.right or None))


@dataclass(frozen=True)
class Section:
    """The facts from one source: the registration, or the cloud."""

    title: str
    rows: list[Row]

    @property
    def differing(self) -> list[Row]:
        return [row for row in self.rows if row.differs]

    @property
    def equal(self) -> list[Row]:
        return [row for row in self.rows if not row.differs and (row.left or row.left == 0)]


def compare(left: Image, right: Image, *, show_credentials: bool) -> list[Section]:
    """Return the facts of two images side by side.

    Without `show_credentials`, the facts don't contain the names of their credentials.
    """
    return _sections(_facts(left, show_credentials), _facts(right, show_credentials))


def compare_with_earlier(
    image: Image, newer_entries: Iterable[Entry], *, show_credentials: bool
) -> list[Section]:
    """Return the facts of an image after an earlier check and now, side by side.

    `newer_entries` are the audit entries about the image since this check, the newest first. The
    facts after the check are the current facts with the changes in these entries undone. Changes of
    values that are not compared are ignored. Without `show_credentials`, neither the facts nor
    `newer_entries` contain names of credentials.
    """
    current = _facts(image, show_credentials)
    record, cloud = dict(current[0]), dict(current[1])
    for entry in newer_entries:
        for name, (before, _after) in entry.changes.items():
            label = audit.field_label(name)
            # Both sections can have a fact with this label, such as “Tags”.
            is_detail = entry.action in CHECK_ACTIONS and label not in CHECKED_FIELDS
            if label in record and not is_detail:
                record[label] = before
            elif label in cloud or is_detail:
                cloud[label] = before
    return _sections((record, cloud), current)


def _sections(left: tuple[Facts, Facts], right: tuple[Facts, Facts]) -> list[Section]:
    return [
        Section(title, [Row(label, old.get(label), new.get(label)) for label in {**old, **new}])
        for title, old, new in zip(TITLES, left, right, strict=True)
    ]


def _facts(image: Image, show_credentials: bool) -> tuple[Facts, Facts]:
    return _record_facts(image, show_credentials), _cloud_facts(image)


def _record_facts(image: Image, show_credentials: bool) -> Facts:
    plan = audit_values(plan_of(image))
    facts = {
        "name": image.name,
        "cloud": CLOUDS[image.cloud].label if image.cloud in CLOUDS else image.cloud,
        "location": image.location,
        "cloud_image_id": image.cloud_image_id,
        "compute_resource": image.compute_resource,
        "os_family": image.os_family,
        "os_version": image.os_version,
        "size_gb": image.size_gb,
        "agent_installed": image.agent_installed,
        "shared": image.shared,
        "tags": image.tags,
        "notes": image.notes,
        "scope": image.scope.label,
        **({"credentials": image.credentials_name} if show_credentials else {}),
        "status": image.status.value,
        **{name: value for name, value in plan.items() if name != "successor"},
    }
    return {audit.field_label(name): value for name, value in facts.items()}


def _cloud_facts(image: Image) -> Facts:
    return image_details.comparable_details(image_details.from_json(image.details))
