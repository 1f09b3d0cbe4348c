"""Carry out the plan of an import, line by line.

Each line is carried out with the functions that register or change a single image. So the same
rules, rights and audit entries apply as for an image that a person registers in the browser. If the
image is still as the plan shows it, the line does exactly what the plan says. If the image already
has the values of the plan, the line changes nothing. In any other case, the line is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models import Image, JobRow, Scope, transaction
from webapp.access import Actor, Forbidden
from webapp.clouds.details import ImageDetails, ImageState
from webapp.clouds.errors import CloudError
from webapp.credentials.vault import Vault
from webapp.images import editing, life_cycle, registration
from webapp.images.choices import ImageChoices
from webapp.images.identity import AlreadyRegistered, ImageIdentity, find_registered
from webapp.images.life_cycle import STAYS_ACTIVE
from webapp.jobs.actions import JobAction
from webapp.jobs.store import Outcome
from webapp.refusals import Refusal
from webapp.transfer import import_look_ups, import_preparation
from webapp.transfer.import_plan import (
    Effect,
    PlannedLine,
    life_cycle_from_json,
    life_cycle_to_json,
)


class ChangedSincePlan(Refusal):
    """An image is no longer as the plan shows it, or its successor was not imported."""


def import_line(
    actor: Actor,
    scope: Scope,
    arguments: Mapping[str, Any],  # noqa: ARG001  every job action has these parameters
    row: JobRow,
    vault: Vault,  # noqa: ARG001
) -> Outcome:
    """Carry out one line of a plan. If the line is refused, none of its changes are saved."""
    line = planned_line(row)
    if line.effect is Effect.ERROR:
        return Outcome("refused", " ".join(line.errors))
    try:
        with transaction():
            _require_successor_imported(line, row)
            if line.effect is Effect.CREATE:
                return _create(actor, scope, line, row)
            return _update(actor, scope, line)
    except (Refusal, CloudError) as error:
        return Outcome("refused", str(error))
    except Forbidden:
        return Outcome("refused", f"You no longer have permission to edit images at {scope.label}.")


JOB_ACTIONS = (
    JobAction("import", "Import", import_line),
    *import_look_ups.JOB_ACTIONS,
    *import_preparation.JOB_ACTIONS,
)


def planned_line(row: JobRow) -> PlannedLine:
    """Return the planned line that is stored in a row."""
    stored = row.arguments["plan"]
    identity, successor = (
        ImageIdentity(**stored[name]) if stored[name] else None
        for name in ("identity", "successor")
    )
    return PlannedLine(
        **{
            **stored,
            "effect": Effect(stored["effect"]),
            "identity": identity,
            "successor": successor,
        }
    )


def _create(actor: Actor, scope: Scope, line: PlannedLine, row: JobRow) -> Outcome:
    """Register the image of a line, with its life cycle."""
    try:
        image = _register(actor, scope, line, row)
    except AlreadyRegistered as error:
        image = error.image
        if image.scope_id != scope.id:
            raise
        image.scope = scope
        if _has_planned_values(image, scope, line):
            return Outcome("unchanged", image_id=image.id)
        raise ChangedSincePlan(
            "Somebody else registered this image with other values after the import was planned. "
            "Check the image, and edit it if necessary."
        ) from error
    if "life_cycle" in line.after:
        _change_life_cycle(actor, scope, line, image)
    return Outcome("created", image_id=image.id)


def _register(actor: Actor, scope: Scope, line: PlannedLine, row: JobRow) -> Image:
    identity = line.identity
    assert identity is not None  # noqa: S101  for mypy: a line without errors has an identity
    # A plan from an older version lacks the fields that this version has added.
    fields = ImageChoices.__dataclass_fields__.keys() & line.after.keys()
    choices = ImageChoices(**{name: line.after[name] for name in fields})
    result = import_look_ups.result_from(row)
    if result and result.receipt:
        return registration.register(actor, scope, result.receipt, choices, line.compute_resource)
    return registration.register_unverified(
        actor,
        scope,
        identity.cloud,
        line.locator,
        choices,
        details=_unverified_details(line, choices),
        credentials_id=line.credentials_id,
    )


def _update(actor: Actor, scope: Scope, line: PlannedLine) -> Outcome:
    image = Image(id=line.image_id)
    if not image.reload(lock=True) or image.scope_id != scope.id:
        raise ChangedSincePlan("The image was deleted or promoted after the import was planned.")
    image.scope = scope
    current = _current_values(image, line)
    if current == _values_after(scope, line):
        return Outcome("unchanged", image_id=image.id)
    if current != line.before:
        raise ChangedSincePlan(
            "Somebody else changed this image after the import was planned. Import the file again "
            "to see the changes."
        )
    if "life_cycle" in line.after:
        _change_life_cycle(actor, scope, line, image)
    changed = {name: value for name, value in line.after.items() if name != "life_cycle"}
    editing.edit_fields(actor, image, changed)
    return Outcome("updated", image_id=image.id)


def _current_values(image: Image, line: PlannedLine) -> dict[str, Any]:
    """Return the current values of the image, but only the values that the line determines."""
    values: dict[str, Any] = {
        name: getattr(image, name) for name in line.after if name != "life_cycle"
    }
    if "life_cycle" in line.after:
        values["life_cycle"] = life_cycle_to_json(life_cycle.plan_of(image))
    return values


def _has_planned_values(image: Image, scope: Scope, line: PlannedLine) -> bool:
    """Return whether a registered image has the values that a line plans for a new image.

    If a planned value is None, the registered image may have any value.
    """
    if "life_cycle" not in line.after and life_cycle.plan_of(image) != STAYS_ACTIVE:
        return False
    current = _current_values(image, line)
    planned = _values_after(scope, line)
    return all(current[name] == value for name, value in planned.items() if value is not None)


def _values_after(scope: Scope, line: PlannedLine) -> dict[str, Any]:
    """Return the values that the plan of the line gives to the image. Raises ChangedSincePlan."""
    if "life_cycle" not in line.after:
        return line.after
    return {
        **line.after,
        "life_cycle": {**line.after["life_cycle"], "successor": _successor_id(scope, line)},
    }


def _successor_id(scope: Scope, line: PlannedLine) -> int | None:
    """Return the ID of the successor. Raises ChangedSincePlan if it was not registered."""
    if line.successor is None:
        image_id: int | None = line.after["life_cycle"]["successor"]
        return image_id
    image = find_registered(scope, line.successor)
    if image is None:
        raise _successor_not_imported(line)
    registered_id: int = image.id
    return registered_id


def _require_successor_imported(line: PlannedLine, row: JobRow) -> None:
    """Raise ChangedSincePlan if the file has a line for the successor, and this line was refused.

    The line of a successor is imported before the lines that name this successor. If the
    successor's own successor was refused, the successor's line was refused too. So this function
    checks only the row of the successor itself.
    """
    if line.successor_position is None:
        return
    # `index` is the index of a line in the plan. In a plan that an older version stored, the rows
    # have no `index`, and the first row has the position 0.
    first_position = row.position - row.arguments.get("index", row.position)
    position = first_position + line.successor_position
    is_successor_row = (JobRow.job == row.job_id) & (JobRow.position == position)
    successor_row = JobRow.select(JobRow.outcome).where(is_successor_row).first()
    if successor_row is not None and successor_row.outcome == "refused":
        raise _successor_not_imported(line)


def _successor_not_imported(line: PlannedLine) -> ChangedSincePlan:
    return ChangedSincePlan(
        f"The successor {line.changes['successor'][1]} was not imported. Import it first."
    )


def _change_life_cycle(actor: Actor, scope: Scope, line: PlannedLine, image: Image) -> None:
    plan = life_cycle_from_json(
        {**line.after["life_cycle"], "successor": _successor_id(scope, line)}
    )
    life_cycle.change(actor, image, plan, successor_may_be_retired=line.successor_may_be_retired)


def _unverified_details(line: PlannedLine, choices: ImageChoices) -> ImageDetails:
    """Return the details of an image, taken from the line instead of the cloud."""
    return ImageDetails(
        name="",
        description=line.description,
        architecture=line.architecture,
        size_gb=choices.size_gb,
        state=ImageState.UNKNOWN,
        state_note="",
        created_at=None,
        deprecated_at=None,
        facts=(),
        volumes=(),
        os_texts=(),
    )
