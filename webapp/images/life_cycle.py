"""Plan and change the life cycle of an image: active, deprecated, retired.

People who may edit an image decide about its life cycle. If they plan a change for a future date,
`webapp.images.due_dates` changes the status of the image on that day. This module must not know the
state that the cloud reports for an image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import models
from models import Image, LifeCycle, transaction
from webapp import audit
from webapp.access import Actor, Right
from webapp.images.successors import require_valid_successor
from webapp.refusals import Refusal
from webapp.revisions.conflicts import SUCCESSOR_ACTION, lock, require_no_conflict
from webapp.values.days import require_plausible
from webapp.values.text import LineRule

REASON_LENGTH = 255
"""The maximum length of a reason, in characters."""


class InvalidLifeCycle(Refusal):
    """The dates, reason or successor of an image break a rule or contradict each other."""


REASON_RULE = LineRule("reason", REASON_LENGTH, 0, "reason", InvalidLifeCycle)


@dataclass(frozen=True)
class LifeCyclePlan:
    """The dates on which an image becomes deprecated and retired, the reason, and the successor.

    The dates are days in UTC. None means that no such date is planned. `successor` is the ID of an
    image.
    """

    deprecated_on: date | None = None
    retired_on: date | None = None
    reason: str = ""
    successor: int | None = None

    def __post_init__(self) -> None:
        """Normalize the reason. Raises InvalidLifeCycle for the first field that breaks a rule."""
        object.__setattr__(self, "reason", REASON_RULE.parse(self.reason))
        if not self.has_dates and (self.reason or self.successor):
            raise InvalidLifeCycle(
                "Only an image that is or will be deprecated or retired can have a reason and a "
                "successor. Choose another status, or clear both fields.",
                "status",
            )
        if self.deprecated_on and self.retired_on and self.retired_on < self.deprecated_on:
            raise InvalidLifeCycle(
                "The retirement date can’t be before the deprecation date.", "on"
            )

    @property
    def has_dates(self) -> bool:
        """Whether the image is deprecated or retired, or will be."""
        return bool(self.deprecated_on or self.retired_on)

    @property
    def status(self) -> LifeCycle:
        """The status today."""
        return _status_on(models.today(), self.deprecated_on, self.retired_on)


def _status_on(day: date, deprecated_on: date | None, retired_on: date | None) -> LifeCycle:
    if retired_on and retired_on <= day:
        return LifeCycle.RETIRED
    if deprecated_on and deprecated_on <= day:
        return LifeCycle.DEPRECATED
    return LifeCycle.ACTIVE


STAYS_ACTIVE = LifeCyclePlan()
"""The plan of an image that is active and stays active: it has no dates."""


def plan_of(image: Image) -> LifeCyclePlan:
    """Return the stored plan of `image`."""
    return LifeCyclePlan(
        image.deprecated_on, image.retired_on, image.status_reason, image.successor_id
    )


def deprecate(
    actor: Actor,
    image: Image,
    on: date,
    reason: str = "",
    successor_id: int | None = None,
    based_on: int | None = None,
) -> audit.Changes:
    """Deprecate an image from the date `on`, which may be in the future, and return what changed.

    The image loses its retirement date. Raises the same exceptions as `change`, and
    InvalidLifeCycle.
    """
    return change(actor, image, LifeCyclePlan(on, None, reason, successor_id), based_on)


def retire(
    actor: Actor,
    image: Image,
    on: date,
    reason: str = "",
    successor_id: int | None = None,
    based_on: int | None = None,
) -> audit.Changes:
    """Retire an image from the date `on`, which may be in the future, and return what changed.

    The image keeps its deprecation date unless that date is later than `on`. Raises the same
    exceptions as `change`, and InvalidLifeCycle.
    """
    based_on = image.revision if based_on is None else based_on
    with transaction():
        lock(image)
        is_deprecated_before = image.deprecated_on and image.deprecated_on <= on
        deprecated_on = image.deprecated_on if is_deprecated_before else None
        plan = LifeCyclePlan(deprecated_on, on, reason, successor_id)
        return change(actor, image, plan, based_on)


def make_active(actor: Actor, image: Image, based_on: int | None = None) -> audit.Changes:
    """Make an image active, remove its dates, and return what changed.

    Raises the same exceptions as `change`.
    """
    return change(actor, image, STAYS_ACTIVE, based_on)


def change(
    actor: Actor,
    image: Image,
    plan: LifeCyclePlan,
    based_on: int | None = None,
    *,
    successor_may_be_retired: bool = False,
) -> audit.Changes:
    """Save a plan and return what changed. Dates up to today take effect immediately.

    `based_on` is the revision that the person saw. If it is None, the revision of `image` is used.
    Unless `successor_may_be_retired` is true, a retired image can't become the successor. Raises
    Forbidden, InvalidDay, InvalidSuccessor, RecordDeleted and EditConflict.
    """
    actor.require(Right.EDIT_IMAGES, image.scope)
    based_on = image.revision if based_on is None else based_on
    with transaction():
        lock(image)
        actor.require(Right.EDIT_IMAGES, image.scope)
        before = plan_of(image)
        stored, values = audit_values(before), audit_values(plan)
        require_no_conflict(
            image, based_on, stored, values, together=("deprecated_on", "retired_on")
        )
        for day, stored_day in (
            (plan.deprecated_on, image.deprecated_on),
            (plan.retired_on, image.retired_on),
        ):
            if day and day != stored_day:
                require_plausible(day, "on")
        if plan.successor is not None and plan.successor != image.successor_id:
            require_valid_successor(image, plan.successor, may_be_retired=successor_may_be_retired)
        changes = audit.difference(stored, values)
        if changes:
            _apply_plan(image, plan)
            image.save(only=_PLAN_COLUMNS)
            action = _audit_action(before, plan)
            audit.record(actor, image.scope, action, image.name, record=image, changes=changes)
    return changes


def record_new_successor(
    actor: Actor | None, image: Image, before: int | None, after: int | None
) -> None:
    """Write an audit entry for an image whose successor was deleted or restored.

    `before` and `after` are the IDs of the old and the new successor, or None. The function reads
    only the ID, name, scope and revision of `image`, so its other columns need not be loaded.
    """
    old, new = (f"#{each}" if each else None for each in (before, after))
    audit.record(
        actor,
        image.scope,
        SUCCESSOR_ACTION,
        image.name,
        record=image,
        changes={"successor": (old, new)},
    )


_PLAN_COLUMNS = (
    Image.deprecated_on,
    Image.retired_on,
    Image.status_reason,
    Image.successor,
    Image.status,
    Image.due_at,
)


def _apply_plan(image: Image, plan: LifeCyclePlan) -> None:
    image.deprecated_on, image.retired_on = plan.deprecated_on, plan.retired_on
    image.status_reason, image.status = plan.reason, plan.status
    image.successor = plan.successor


_ACTIONS = {
    LifeCycle.ACTIVE: "image.restore",
    LifeCycle.DEPRECATED: "image.deprecate",
    LifeCycle.RETIRED: "image.retire",
}
"""The audit action for each new status."""


def _audit_action(before: LifeCyclePlan, plan: LifeCyclePlan) -> str:
    """Return the audit action of a change from the plan `before` to `plan`.

    If the status stays the same, the change is about planned dates, the reason or the successor.
    """
    if plan.status is not before.status or plan.status is LifeCycle.RETIRED:
        return _ACTIONS[plan.status]
    if plan.retired_on:
        return "image.plan_retirement"
    if plan.status is LifeCycle.ACTIVE:
        return "image.plan_deprecation" if plan.deprecated_on else "image.cancel_plan"
    return "image.cancel_plan" if before.retired_on else "image.deprecate"


def audit_values(plan: LifeCyclePlan) -> Mapping[str, Any]:
    """Return the values of a plan as the audit log stores them.

    A successor is stored by its ID and not by its name, because a person who can see an image and
    its history may not be able to see the successor.
    """
    values = {
        name: value.isoformat() if isinstance(value, date) else value or None
        for name, value in asdict(plan).items()
    }
    return {**values, "successor": f"#{plan.successor}" if plan.successor else None}


def plan_from_audit(values: Mapping[str, Any]) -> LifeCyclePlan:
    """Return the plan that `audit_values` converted to `values`. Raises InvalidLifeCycle."""
    successor = values.get("successor")
    return LifeCyclePlan(
        deprecated_on=_day(values.get("deprecated_on")),
        retired_on=_day(values.get("retired_on")),
        reason=values.get("reason") or "",
        successor=int(successor.removeprefix("#")) if successor else None,
    )


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def apply_due_status(image: Image, day: date) -> audit.Changes:
    """Set the status that the image has on `day` according to its dates.

    Return the change for the audit log.
    """
    before = image.status
    image.status = _status_on(day, image.deprecated_on, image.retired_on)
    return audit.difference({"status": before.value}, {"status": image.status.value})
