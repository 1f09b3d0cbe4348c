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
"""The actions after which an image can be compared with itself: a check, and the registration.

Both store details. A registration without a look-up takes them from the person.
"""

Facts = dict[str, Any]
"""The facts about one image, by the labels that the audit log uses for changes."""


@dataclass(frozen=True)
class Row:
    """A fact of both sides. A value that a side does not have is None or ''."""

    label: str
    left: Any
    right: Any

    @property
    def differs(self) -> bool:
        return bool((self.left or None) != (self.right or None))


@dataclass(frozen=True)
class Section:
    """The facts of one origin: the registration, or the cloud."""

    title: str
    rows: list[Row]

    @property
    def differing(self) -> list[Row]:
        return [row for row in self.rows if row.differs]

    @property
    def equal(self) -> list[Row]:
        return [row for row in self.rows if not row.differs and (row.left or row.left == 0)]


def compare(left: Image, right: Image) -> list[Section]:
    """Return the facts of two images side by side."""
    return _sections(
        (_record_facts(left), _cloud_facts(left)), (_record_facts(right), _cloud_facts(right))
    )


def compare_with_earlier(image: Image, newer: Iterable[Entry]) -> list[Section]:
    """Return the facts of an image after an earlier check and now, side by side.

    `newer` are the audit entries about the image since this check, the newest first. The facts
    after the check are the facts now without the changes in these entries. A change of something
    that is not compared is ignored.
    """
    now = _record_facts(image), _cloud_facts(image)
    record, cloud = dict(now[0]), dict(now[1])
    for entry in newer:
        for name, (before, _after) in entry.changes.items():
            label = audit.field_label(name)
            if label in record:
                record[label] = before
            elif label in cloud or entry.action in CHECK_ACTIONS:
                cloud[label] = before
    return _sections((record, cloud), now)


def _sections(left: tuple[Facts, Facts], right: tuple[Facts, Facts]) -> list[Section]:
    return [
        Section(title, [Row(label, old.get(label), new.get(label)) for label in {**old, **new}])
        for title, old, new in zip(TITLES, left, right, strict=True)
    ]


def _record_facts(image: Image) -> Facts:
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
        "scope": image.scope.label,
        "credentials": image.credentials_name,
        "status": image.status.value,
        **{name: value for name, value in plan.items() if name != "successor"},
    }
    return {audit.field_label(name): value for name, value in facts.items()}


def _cloud_facts(image: Image) -> Facts:
    return image_details.comparable_details(image_details.from_json(image.details))
