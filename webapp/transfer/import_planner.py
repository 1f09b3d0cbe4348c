"""Make the plan of an import: determine exactly what each line of a file changes at a scope.

This module never adds or changes an image. `import_job` carries out the plan.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from models import Image, LifeCycle, Scope
from webapp import audit
from webapp.credentials import cloud_credentials
from webapp.images import life_cycle
from webapp.images.choices import choices_of
from webapp.images.identity import (
    AlreadyRegistered,
    ImageIdentity,
    match_name,
    require_storable,
)
from webapp.images.life_cycle import STAYS_ACTIVE, LifeCyclePlan
from webapp.images.receipts import Receipt
from webapp.transfer import import_life_cycle, import_lines
from webapp.transfer.import_file import FileLine
from webapp.transfer.import_lines import Answers, ImportLine, ParsedLine
from webapp.transfer.import_plan import (
    OPERATING_SYSTEM,
    Effect,
    ImportOptions,
    LookUp,
    PlannedLine,
    credentials_for,
    life_cycle_to_json,
    registered_images,
)
from webapp.transfer.import_successors import KnownImage, Node, Successors

EMPTY_CHOICES: Mapping[str, Any] = {"tags": [], "notes": ""}
"""The values that a new image gets for empty columns, and that its plan does not show."""


def make_plan(
    scope: Scope,
    options: ImportOptions,
    answers: Answers,
    lines: Sequence[FileLine],
    parsed_lines: Sequence[ParsedLine],
    look_ups: Mapping[int, LookUp],
) -> list[PlannedLine]:
    """Return the plan of a file, in the order in which the lines must be applied.

    `parsed_lines` is the result of parsing `lines` with `answers`. This function adds further
    errors to `parsed_lines`. `look_ups` maps the index of a line to the result of its look-up.
    """
    return _Planner(scope, options, answers, lines, parsed_lines, look_ups).plan()


@dataclass
class _Line:
    """A line while the plan is made."""

    parsed: ParsedLine
    look_up: LookUp | None
    planned: PlannedLine
    image: Image | None = None
    is_inherited: bool = False
    life_cycle: LifeCyclePlan | None = None
    """The life cycle after the import, or None if the line does not change it."""
    successor: KnownImage | None = None
    """The new successor. None if the image gets no successor, or if `keeps_successor` is true."""
    keeps_successor: bool = False
    """Whether the import leaves the successor of the image unchanged."""
    answerable_errors: int = 0
    """The number of errors about missing values that the person can enter."""

    @property
    def values(self) -> ImportLine:
        assert self.parsed.values is not None  # noqa: S101  for mypy
        return self.parsed.values

    @property
    def errors(self) -> list[str]:
        return self.planned.errors

    @property
    def node(self) -> Node | None:
        """The image of this line as `import_successors` identifies it, or None if it is unknown."""
        return self.image.id if self.image else self.planned.identity


class _Planner:
    def __init__(
        self,
        scope: Scope,
        options: ImportOptions,
        answers: Answers,
        lines: Sequence[FileLine],
        parsed_lines: Sequence[ParsedLine],
        look_ups: Mapping[int, LookUp],
    ) -> None:
        self._scope, self._options, self._answers = scope, options, answers
        self._usable_credentials = cloud_credentials.usable_at(scope)
        self._lines = [
            self._new_line(number, line, parsed, look_ups.get(number))
            for number, (line, parsed) in enumerate(zip(lines, parsed_lines, strict=True))
        ]

    def plan(self) -> list[PlannedLine]:
        self._find_registered()
        self._refuse_duplicates()
        for line in self._lines:
            if line.parsed.values and not line.is_inherited:
                self._plan_choices(line, line.parsed.values)
                self._plan_life_cycle(line, line.parsed.values)
        self._plan_successors()
        self._by_node = self._lines_by_node()
        for line in self._lines:
            self._set_effect(line)
        self._lines = self._successors_first()
        self._set_successor_positions()
        return [line.planned for line in self._lines]

    def _new_line(
        self, number: int, line: FileLine, parsed: ParsedLine, look_up: LookUp | None
    ) -> _Line:
        cloud_image_id = line.values.get("cloud_image_id") or line.image_name or line.artifact
        name = line.values.get("name") or cloud_image_id or line.position
        planned = PlannedLine(
            number,
            line.position,
            name[:255],
            cloud_image_id[:512],
            errors=parsed.errors,
            location=line.values.get("location", "")[:128],
            question=parsed.missing,
            cloud=parsed.values.cloud.key if parsed.values else "",
        )
        if parsed.values and parsed.values.locator:
            locator = parsed.values.locator
            looked_up_identity = look_up.identity_on(locator.compute_resource) if look_up else None
            planned.identity = looked_up_identity or parsed.values.identity
            planned.location = locator.location
            planned.compute_resource = locator.compute_resource
            planned.cloud_image_id = locator.image_id or cloud_image_id
        if look_up and look_up.error:
            planned.errors.append(look_up.error)
        return _Line(parsed, look_up, planned, answerable_errors=int(bool(parsed.missing)))

    def _find_registered(self) -> None:
        identities = [line.planned.identity for line in self._lines if line.planned.identity]
        registered = registered_images(self._scope, identities)
        for line in self._lines:
            image = registered.get(line.planned.identity) if line.planned.identity else None
            if image is None:
                continue
            if image.scope_id != self._scope.id:
                line.errors.append(AlreadyRegistered(image).message)
                line.is_inherited, line.planned.image_id = True, image.id
                continue
            image.scope = self._scope
            line.image, line.planned.image_id, line.planned.subject = image, image.id, image.name

    def _refuse_duplicates(self) -> None:
        """Refuse lines for the same image.

        If the lines have different values, refuse all of them. Otherwise, refuse all but the first.
        """
        lines_by_identity: dict[ImageIdentity, list[_Line]] = {}
        for line in self._lines:
            if line.planned.identity:
                lines_by_identity.setdefault(line.planned.identity, []).append(line)
        for first, *others in lines_by_identity.values():
            key = _comparison_key(first)
            different = next((line for line in others if _comparison_key(line) != key), None)
            if different:
                first.errors.append(
                    f"This is the same image as in {different.planned.position}, but the lines "
                    "differ. Remove one of them."
                )
            for line in others:
                line.errors.append(
                    f"This is the same image as in {first.planned.position}. Remove one of the two."
                )

    def _plan_choices(self, line: _Line, values: ImportLine) -> None:
        if line.image and self._options.only_new:
            return
        if line.image:
            choices, errors = import_lines.choices_for_update(values, line.image)
            line.errors.extend(errors)
            before = vars(choices_of(line.image))
            after = vars(choices) if choices else {}
            determined = {name: value for name, value in after.items() if name in values.choices}
            line.planned.before = {name: before[name] for name in determined}
            line.planned.after = determined
            return
        self._plan_new_image(line, values)

    def _plan_new_image(self, line: _Line, values: ImportLine) -> None:
        planned, receipt = line.planned, line.look_up.receipt if line.look_up else None
        credentials = credentials_for(values, self._usable_credentials, self._options)
        if values.credentials and credentials is None:
            planned.errors.append(
                f"{self._scope.label} can’t use {values.cloud.label} credentials named "
                f"“{values.credentials[:80]}”. Correct the name, or leave it empty to use the "
                "credentials that you chose for the import."
            )
        if self._options.look_up and receipt is None:
            if credentials is None and not values.credentials:
                planned.errors.append(
                    f"Looking up this image requires {values.cloud.label} credentials. Choose "
                    "credentials, or register new images without a look-up."
                )
            elif not planned.errors:
                planned.errors.append("This image was not looked up. Start the import again.")
            return
        if not self._options.look_up and values.image_name:
            planned.errors.append(
                f"The file contains only the name of this image, “{values.image_name[:80]}”. Look "
                "up new images, or add the cloud_image_id."
            )
        new = import_lines.choices_for_new_image(values, self._answers, receipt)
        planned.errors.extend(new.errors)
        if new.lacks_operating_system:
            planned.question = planned.question or OPERATING_SYSTEM
            line.answerable_errors += 1
        if new.choices is None:
            return
        planned.after = dict(vars(new.choices))
        planned.subject = new.choices.name
        planned.description, planned.architecture = values.description, values.architecture
        if receipt:
            planned.credentials_id = receipt.credentials_id
            resource = values.locator.compute_resource if values.locator else ""
            self._check_receipt(line, receipt, resource)
        elif credentials:
            planned.credentials_id = credentials.id

    def _check_receipt(self, line: _Line, receipt: Receipt, compute_resource: str) -> None:
        """Store the ID and the location that the cloud returned, and check the compute resource."""
        locator = replace(receipt.locator, compute_resource=compute_resource)
        line.planned.cloud_image_id = locator.image_id
        line.planned.location = locator.location
        line.parsed.collect(require_storable, locator)
        offered_name = match_name(compute_resource, ("", *receipt.details.compute_resources))
        line.planned.compute_resource = offered_name or ""
        if offered_name is None:
            line.errors.append(import_lines.unusable_compute_resource(compute_resource))

    def _plan_life_cycle(self, line: _Line, values: ImportLine) -> None:
        before = life_cycle.plan_of(line.image) if line.image else STAYS_ACTIVE
        if values.life_cycle is None or (line.image and self._options.only_new):
            return
        line.life_cycle = line.parsed.collect(import_life_cycle.resolve, values.life_cycle, before)

    def _plan_successors(self) -> None:
        """Find the successors. Then check them in the order in which the lines are applied."""
        texts = {
            line.values.life_cycle.successor
            for line in self._lines
            if line.parsed.values and line.values.life_cycle and line.values.life_cycle.successor
        }
        known_images = [
            KnownImage(
                line.node,
                line.planned.identity,
                line.planned.locator,
                line.planned.after.get("name", line.planned.subject),
            )
            for line in self._lines
            if line.node and line.planned.identity and not line.is_inherited
        ]
        stored_successors = {
            line.image.successor_id
            for line in self._lines
            if line.image and line.image.successor_id
        }
        self._successors = Successors(self._scope, known_images, texts, stored_successors)
        for line in self._lines:
            if line.life_cycle and line.planned.identity:
                self._find_successor(line, line.planned.identity)
        self._refuse_cycles()
        refused = {line.node for line in self._lines if line.errors and not line.is_inherited}
        for line in self._successors_first():
            self._check_successor(line, refused)
            if line.errors and not line.is_inherited:
                refused.add(line.node)

    def _find_successor(self, line: _Line, identity: ImageIdentity) -> None:
        columns, before = line.values.life_cycle, line.image and line.image.successor_id
        if columns is None or line.life_cycle is None or not line.life_cycle.has_dates:
            return
        text = columns.successor
        if not text:
            line.keeps_successor = True
            return
        found = line.parsed.collect(self._successors.find, identity, text, before)
        if found and found.node == before:
            line.keeps_successor = True
        else:
            line.successor = found

    def _refuse_cycles(self) -> None:
        """Refuse each line whose successors lead through other lines back to its image."""
        by_node = self._lines_by_node()
        finished: set[int] = set()
        for start in self._lines:
            path: dict[int, _Line] = {}
            line: _Line | None = start
            while line and id(line) not in finished and id(line) not in path:
                path[id(line)] = line
                line = by_node.get(line.successor.node) if line.successor else None
            if line and id(line) in path:
                ids = list(path)
                cycle = ids[ids.index(id(line)) :]
                # If the cycle has only one image, `require_valid` reports the error.
                for each in cycle if len(cycle) > 1 else ():
                    path[each].errors.append(
                        "The successors in this file lead back to this image. Choose another image."
                    )
            finished.update(path)

    def _successors_first(self) -> list[_Line]:
        """Return the lines in the order in which they are applied.

        A successor comes before the images that it replaces. So if the line of a successor is
        refused, `import_job` knows this before it applies the lines that name the successor.
        """
        by_node = self._lines_by_node()
        ordered: dict[int, _Line] = {}
        for start in self._lines:
            path: dict[int, _Line] = {}
            line: _Line | None = start
            while line and id(line) not in ordered and id(line) not in path:
                path[id(line)] = line
                line = by_node.get(line.successor.node) if line.successor else None
            ordered |= dict(reversed(path.items()))
        return list(ordered.values())

    def _lines_by_node(self) -> dict[Node, _Line]:
        """Return the first line of each image."""
        lines: dict[Node, _Line] = {}
        for line in self._lines:
            if line.node:
                lines.setdefault(line.node, line)
        return lines

    def _check_successor(self, line: _Line, refused: Collection[Node | None]) -> None:
        """Check the new successor of a line.

        Then store the successor, or None, in `_successors`. Store nothing if the line has errors,
        or if the image keeps its successor.
        """
        if line.life_cycle is None or line.node is None:
            return
        successor = line.successor
        if successor and not (line.image and line.image.successor_id == successor.node):
            if successor.node in refused:
                line.errors.append(
                    f"The successor “{successor.name}” can’t be imported. Correct its line, or "
                    "choose another image."
                )
            else:
                line.parsed.collect(self._successors.require_valid, line.node, successor)
        if not line.errors and not line.keeps_successor:
            self._successors.set(line.node, successor.node if successor else None)

    def _set_effect(self, line: _Line) -> None:
        planned = line.planned
        planned.only_lacks_answers = 0 < len(planned.errors) == line.answerable_errors
        if planned.errors:
            planned.before, planned.after = {}, {}
            return
        changes = {
            name: (planned.before.get(name), value)
            for name, value in planned.after.items()
            if value != planned.before.get(name, EMPTY_CHOICES.get(name))
        }
        if line.image is None:
            changes |= self._changes_of_new_image(line)
        if line.life_cycle:
            changes |= self._set_life_cycle(line, line.life_cycle)
        planned.changes = _as_in_file(changes)
        if line.image is None:
            planned.effect = Effect.CREATE
        else:
            planned.effect = Effect.UPDATE if changes else Effect.UNCHANGED

    def _set_successor_positions(self) -> None:
        """Store the position of the successor's line in each line that names a successor."""
        positions: dict[Node, int] = {}
        for position, line in enumerate(self._lines):
            if line.node and not line.is_inherited:
                positions.setdefault(line.node, position)
        for line in self._lines:
            if line.successor:
                line.planned.successor_position = positions.get(line.successor.node)

    def _may_be_retired(self, successor: KnownImage) -> bool:
        """Return whether a successor in the file is retired before or after its line is applied."""
        line = self._by_node.get(successor.node)
        if line is None or not self._successors.is_in_file(successor):
            return False
        before = line.image.status if line.image else LifeCycle.ACTIVE
        after = line.life_cycle.status if line.life_cycle else before
        return LifeCycle.RETIRED in {before, after}

    def _changes_of_new_image(self, line: _Line) -> audit.Changes:
        names = {row.id: row.name for row in self._usable_credentials}
        planned = line.planned
        values = {"credentials": names.get(planned.credentials_id or 0, "")}
        if not (line.look_up and line.look_up.receipt):
            values |= {"description": planned.description, "architecture": planned.architecture}
        return {name: (None, value) for name, value in values.items() if value}

    def _set_life_cycle(self, line: _Line, after: LifeCyclePlan) -> audit.Changes:
        """Store the life cycle in the plan of the line, and return the changes that pages show."""
        before = life_cycle.plan_of(line.image) if line.image else STAYS_ACTIVE
        planned, successor = line.planned, line.successor
        node: Node | None = successor.node if successor else None
        if line.keeps_successor:
            node = before.successor
        if isinstance(node, ImageIdentity):
            planned.successor, node = node, None
        after = replace(after, successor=node)
        planned.successor_may_be_retired = bool(successor and self._may_be_retired(successor))
        if line.image:
            planned.before["life_cycle"] = life_cycle_to_json(before)
        planned.after["life_cycle"] = life_cycle_to_json(after)
        changes = audit.difference(_as_columns(before), _as_columns(after))
        if line.planned.identity and (planned.successor or before.successor != after.successor):
            label = self._label_of_stored_successor(before.successor, line.planned.identity)
            new_label = successor.label(line.planned.identity) if successor else None
            changes["successor"] = (label, new_label)
        return changes

    def _label_of_stored_successor(
        self, successor: int | None, predecessor: ImageIdentity
    ) -> str | None:
        return self._successors.label(successor, predecessor) if successor else None


def _as_columns(plan: LifeCyclePlan) -> dict[str, Any]:
    """Return the dates and texts of a life cycle by column, as in a file, without a successor.

    An empty column has None.
    """
    dates = {"deprecated_on": plan.deprecated_on, "retired_on": plan.retired_on}
    return {
        "status": plan.status.value,
        **{name: day.isoformat() if day else None for name, day in dates.items()},
        "status_reason": plan.reason or None,
    }


def _comparison_key(line: _Line) -> object:
    """Return a key that is equal for two lines with the same values.

    The key ignores how a line identifies its image, for example the spelling of the ID.
    """
    return replace(line.values, locator=None, texts={}, image_name="", default_name="")


def _as_in_file(changes: audit.Changes) -> dict[str, Sequence[Any]]:
    """Return the changes with booleans as `yes` and `no`."""
    words = {True: "yes", False: "no"}
    return {
        name: [words[value] if isinstance(value, bool) else value for value in values]
        for name, values in changes.items()
    }
