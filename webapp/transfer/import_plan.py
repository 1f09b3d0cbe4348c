"""Plan an import: determine the effect of each line of a file at a scope.

The plan is stored as a job. This module never adds or changes an image; `import_job` carries out
the plan. `import_formats` parses files, and `import_lines` converts a line to values.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from models import CloudCredentials, Image, Job, JobRow, Level, Scope
from webapp import audit
from webapp.access import Actor, Right
from webapp.clouds.base import CloudError
from webapp.credentials import cloud_credentials
from webapp.images import life_cycle
from webapp.images.choices import choices_of
from webapp.images.identity import AlreadyRegistered, ImageIdentity, find_all_registered
from webapp.images.life_cycle import STAYS_ACTIVE
from webapp.jobs import store
from webapp.refusals import Refusal
from webapp.search import catalogue
from webapp.transfer import import_lines
from webapp.transfer.import_formats import FileLine, ParsedFile
from webapp.transfer.import_life_cycle import LifeCycleResolver
from webapp.transfer.import_lines import ImportLine

WITHOUT_LOOK_UP, WITH_LOOK_UP = "import", "import-look-up"
"""Keys of the job actions: import new images without, or with, a look-up in their cloud."""
ACTION_KEYS = frozenset({WITHOUT_LOOK_UP, WITH_LOOK_UP})
CHUNK_SIZE = 500
"""Lines per query for registered images."""


class Effect(enum.StrEnum):
    """The effect of a line, in the order in which a plan shows the lines."""

    ERROR = "error"
    CREATE = "create"
    UPDATE = "update"
    UNCHANGED = "unchanged"


@dataclass(frozen=True)
class ImportOptions:
    """How to import new images.

    If `look_up` is true, each new image is read from its cloud. `credentials` maps the key of a
    cloud to the ID of the credentials that the person chose. A line uses the chosen credentials
    unless the line names other credentials that the scope can use.
    """

    look_up: bool
    credentials: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class PlannedLine:
    """One line of a plan.

    `changes` has a pair (before, after) for each column that changes. `message` is the error, or
    ''. `image_id` is the ID of the registered image, or None if the image is not registered.
    """

    position: str
    subject: str
    effect: Effect
    values: Mapping[str, str]
    changes: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    message: str = ""
    image_id: int | None = None


def create_plan(actor: Actor, scope: Scope, file: ParsedFile, options: ImportOptions) -> Job:
    """Store the plan of a file as a planned job and return it. Raises Forbidden."""
    actor.require(Right.EDIT_IMAGES, scope)
    lines = list(_Planner(scope, options, file.lines).plan())
    # If a line names a successor that is in the same file, the successor must be registered first.
    order = list(Effect)
    lines.sort(key=lambda line: (order.index(line.effect), "successor" in line.values))
    arguments = {
        **asdict(options),
        "format": file.format,
        "unknown_columns": list(file.unknown_columns),
        "ignored_columns": list(file.ignored_columns),
        "notes": list(file.notes),
        "counts": {effect: sum(line.effect is effect for line in lines) for effect in Effect},
    }
    rows = [
        JobRow(
            image_id=line.image_id,
            subject=f"{line.subject} ({line.position})",
            arguments=asdict(line),
        )
        for line in lines
    ]
    action = WITH_LOOK_UP if options.look_up else WITHOUT_LOOK_UP
    return store.create_job(actor, scope, action, arguments, rows)


def list_lines(
    job: Job, effect: Effect | None, page: int, size: int
) -> tuple[list[PlannedLine], bool]:
    """Return one page of a plan, and whether more lines follow.

    If `effect` is not None, only lines with this effect are returned. They have consecutive
    positions, because `create_plan` sorts the lines by effect.
    """
    counts = job.arguments["counts"]
    first, end = 0, job.total
    if effect is not None:
        earlier = list(Effect)[: list(Effect).index(effect)]
        first = sum(counts[each] for each in earlier)
        end = first + counts[effect]
    first += (page - 1) * size
    query = JobRow.select().where(
        (JobRow.job == job) & (JobRow.position >= first) & (JobRow.position < end)
    )
    rows = list(query.order_by(JobRow.position).limit(size + 1))
    lines = [
        PlannedLine(**{**row.arguments, "effect": Effect(row.arguments["effect"])}) for row in rows
    ]
    return lines[:size], len(rows) > size


def parse_line_at(scope: Scope, values: Mapping[str, str]) -> ImportLine:
    """Convert the texts of a line to an ImportLine for `scope`. Environments cannot share images.

    Raises Refusal and InvalidImageId.
    """
    return import_lines.parse_line(values, can_share=scope.level is not Level.ENVIRONMENT)


def credentials_for(
    line: ImportLine, usable: Sequence[CloudCredentials], options: ImportOptions
) -> int | None:
    """Return the ID of the credentials for a line, or None.

    If the line names usable credentials, return them. Otherwise, return the credentials that
    `options` has for the cloud of the line, if they are usable.
    """
    rows = [row for row in usable if row.cloud == line.cloud.key]
    named = [row.id for row in rows if row.name == line.credentials]
    chosen = [row.id for row in rows if row.id == options.credentials.get(line.cloud.key)]
    return next(iter([*named, *chosen]), None)


class _Planner:
    """Determines the effect of each line of a file at a scope."""

    def __init__(self, scope: Scope, options: ImportOptions, lines: Sequence[FileLine]) -> None:
        self._scope, self._options, self._lines = scope, options, lines
        self._usable_credentials = cloud_credentials.usable_at(scope)
        self._positions: dict[ImageIdentity, str] = {}
        file_image_ids = {line.values.get("cloud_image_id", "") for line in lines}
        self._life_cycles = LifeCycleResolver(scope, file_image_ids)

    def plan(self) -> Iterator[PlannedLine]:
        for start in range(0, len(self._lines), CHUNK_SIZE):
            chunk = [(line, self._parse(line)) for line in self._lines[start : start + CHUNK_SIZE]]
            parsed_lines = [parsed for _, parsed in chunk if isinstance(parsed, ImportLine)]
            registered = find_all_registered(
                self._scope, {line.identity for line in parsed_lines}, catalogue.LIST_COLUMNS
            )
            for line, parsed in chunk:
                try:
                    yield self._plan_line(line, parsed, registered)
                except Refusal as error:
                    yield _error_line(line, error.message)

    def _parse(self, line: FileLine) -> ImportLine | str:
        """Return the parsed line, or its error."""
        if line.error:
            return line.error
        try:
            return parse_line_at(self._scope, line.values)
        except (Refusal, CloudError) as error:
            return str(error)

    def _plan_line(
        self, line: FileLine, parsed: ImportLine | str, registered: Mapping[ImageIdentity, Image]
    ) -> PlannedLine:
        """Return the plan of one line. Raises Refusal if the line cannot be imported."""
        if isinstance(parsed, str):
            return _error_line(line, parsed)
        first_position = self._positions.setdefault(parsed.identity, line.position)
        if first_position != line.position:
            return _error_line(
                line, f"This is the same image as in {first_position}. Remove one of them."
            )
        image = registered.get(parsed.identity)
        if image is None:
            return self._plan_new_image(line, parsed)
        if image.scope_id != self._scope.id:
            raise AlreadyRegistered(image)
        before = asdict(choices_of(image))
        changes = audit.difference(before, asdict(import_lines.choices_for_update(parsed, image)))
        changes |= self._life_cycle_changes(parsed, image)
        return PlannedLine(
            position=line.position,
            subject=image.name,
            effect=Effect.UPDATE if changes else Effect.UNCHANGED,
            values=line.values,
            changes=_as_in_file(changes),
            image_id=image.id,
        )

    def _plan_new_image(self, line: FileLine, parsed: ImportLine) -> PlannedLine:
        choices = parsed.choices
        if not self._options.look_up:
            choices = asdict(import_lines.choices_for_new_image(parsed))
        elif credentials_for(parsed, self._usable_credentials, self._options) is None:
            raise Refusal(
                f"Looking up this image requires {parsed.cloud.label} credentials. Choose "
                "credentials, or register new images as not checked."
            )
        changes = {name: (None, value) for name, value in choices.items() if value is not None}
        changes |= self._life_cycle_changes(parsed, None)
        return PlannedLine(
            position=line.position,
            subject=_subject(line),
            effect=Effect.CREATE,
            values=line.values,
            changes=_as_in_file(changes),
        )

    def _life_cycle_changes(self, line: ImportLine, image: Image | None) -> audit.Changes:
        """Return the changes of the life-cycle columns. Raises Refusal."""
        if line.life_cycle is None:
            return {}
        before = life_cycle.plan_of(image) if image else STAYS_ACTIVE
        after = self._life_cycles.resolve(line, image)
        changes = audit.difference(
            self._life_cycles.as_columns(before), self._life_cycles.as_columns(after)
        )
        # If the successor is in the same file but not registered yet, `after` has no ID for it.
        if line.life_cycle.successor and after.has_dates and after.successor is None:
            changes["successor"] = (None, line.life_cycle.successor)
        return changes


def _error_line(line: FileLine, message: str) -> PlannedLine:
    return PlannedLine(line.position, _subject(line), Effect.ERROR, line.values, message=message)


def _subject(line: FileLine) -> str:
    name = line.values.get("name") or line.values.get("cloud_image_id") or line.position
    return name[:255]


def _as_in_file(changes: audit.Changes) -> dict[str, list[Any]]:
    """Return the changes with booleans as `yes` and `no`."""
    words = {True: "yes", False: "no"}
    return {
        name: [words[value] if isinstance(value, bool) else value for value in values]
        for name, values in changes.items()
    }
