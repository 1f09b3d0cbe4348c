"""Importing a file of images at a scope.

`plan` stores what each line of the file would do, as a job; `apply_line` does it. Every line goes
through the same use cases, and so the same rules, as an image registered by hand. The formats of
files are known to `import_files`, the meaning of a line to `import_lines`.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from models import CloudCredentials, Image, Job, JobRow, Level, Scope
from webapp import audit
from webapp.access import Actor, Forbidden, Right
from webapp.clouds.base import CloudError, ImageDetails, ImageState
from webapp.credentials import cloud_credentials
from webapp.credentials.vault import Vault, VaultError
from webapp.images import life_cycle, registration
from webapp.images.identity import AlreadyRegistered, ImageIdentity, find_registered
from webapp.images.life_cycle import ENDLESS
from webapp.jobs import store
from webapp.jobs.runner import JobAction
from webapp.jobs.store import Outcome
from webapp.refusals import Refusal
from webapp.search import catalogue
from webapp.transfer import import_lines
from webapp.transfer.import_files import Content, Line
from webapp.transfer.import_life import Lives
from webapp.transfer.import_lines import Wanted

ACTION, LOOK_UP = "import", "import-look-up"
"""The actions of jobs: without, and with, a look-up of each new image."""
CHUNK = 500
"""Lines of which it is asked at once which images are there."""
NOT_CHECKED = "Not checked in the cloud yet."


class Kind(enum.StrEnum):
    """What becomes of a line, in the order in which a plan shows them."""

    ERROR = "error"
    CREATE = "create"
    UPDATE = "update"
    UNCHANGED = "unchanged"


@dataclass(frozen=True)
class Options:
    """How to import: whether each new image is looked up in its cloud, and with which credentials
    those of each cloud go that name none that this scope can use."""

    look_up: bool
    credentials: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Planned:
    """One line of a plan. `changes` is of what would change, from what to what; `message` says
    what is wrong; `image_id` is of the image that is there already."""

    place: str
    subject: str
    kind: Kind
    values: Mapping[str, str]
    changes: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    message: str = ""
    image_id: int | None = None


def plan(actor: Actor, scope: Scope, content: Content, options: Options) -> Job:
    """Keep what the file would do, and do none of it. Raises Forbidden."""
    actor.require(Right.EDIT_IMAGES, scope)
    planned = list(_Planner(scope, options, content.lines).planned())
    # A successor that the same file brings is there before what points at it.
    order = list(Kind)
    planned.sort(key=lambda each: (order.index(each.kind), "successor" in each.values))
    arguments = {
        **asdict(options),
        "format": content.format,
        "unknown": list(content.unknown),
        "left_alone": list(content.left_alone),
        "notes": list(content.notes),
        "counts": {kind: sum(each.kind is kind for each in planned) for kind in Kind},
    }
    rows = [
        JobRow(
            image_id=each.image_id,
            subject=f"{each.subject} ({each.place})",
            arguments=asdict(each),
        )
        for each in planned
    ]
    action = LOOK_UP if options.look_up else ACTION
    return store.create_job(actor, scope, action, arguments, rows)


def rows_of(job: Job, kind: Kind | None, page: int, size: int) -> tuple[list[Planned], bool]:
    """One page of a plan, of one kind or of all, and whether more follow. The kinds stand one
    after the other, so that each is a run of positions."""
    counts = job.arguments["counts"]
    first, last = 0, job.total
    if kind is not None:
        before = list(Kind)[: list(Kind).index(kind)]
        first = sum(counts[each] for each in before)
        last = first + counts[kind]
    first += (page - 1) * size
    query = JobRow.select().where(
        (JobRow.job == job) & (JobRow.position >= first) & (JobRow.position < last)
    )
    rows = list(query.order_by(JobRow.position).limit(size + 1))
    planned = [Planned(**{**row.arguments, "kind": Kind(row.arguments["kind"])}) for row in rows]
    return planned[:size], len(rows) > size


def apply_line(
    actor: Actor, scope: Scope, arguments: Mapping[str, Any], row: JobRow, vault: Vault
) -> Outcome:
    """Do what a line of a plan says, as far as it is still to be done: the plan may be old."""
    if row.arguments["kind"] == Kind.ERROR:
        return Outcome("refused", row.arguments["message"])
    options = Options(arguments["look_up"], arguments["credentials"])
    try:
        wanted = _understood(scope, row.arguments["values"])
        expected = row.arguments["kind"] != Kind.CREATE
        return _Import(actor, scope, options, vault).keep(wanted, expected=expected)
    except (Refusal, CloudError, VaultError) as error:
        return Outcome("refused", str(error))
    except Forbidden:
        return Outcome("refused", f"You may not edit images at {scope.label} any more.")


class _Planner:
    """What each line of a file would do at a scope."""

    def __init__(self, scope: Scope, options: Options, lines: Sequence[Line]) -> None:
        self._scope, self._options, self._lines = scope, options, lines
        self._usable = cloud_credentials.usable_at(scope)
        self._places: dict[ImageIdentity, str] = {}
        coming = {line.values.get("cloud_image_id", "") for line in lines}
        self._lives = Lives(scope, coming)

    def planned(self) -> Iterator[Planned]:
        for at in range(0, len(self._lines), CHUNK):
            chunk = [(line, self._read(line)) for line in self._lines[at : at + CHUNK]]
            there = _there(self._scope, [each for _, each in chunk if isinstance(each, Wanted)])
            for line, wanted in chunk:
                try:
                    yield self._planned(line, wanted, there)
                except Refusal as error:
                    yield self._wrong(line, str(error))

    def _read(self, line: Line) -> Wanted | str:
        """Or what is wrong with it."""
        if line.error:
            return line.error
        try:
            return _understood(self._scope, line.values)
        except (Refusal, CloudError) as error:
            return str(error)

    def _planned(
        self, line: Line, wanted: Wanted | str, there: Mapping[ImageIdentity, Image]
    ) -> Planned:
        """Raises Refusal."""
        if isinstance(wanted, str):
            return self._wrong(line, wanted)
        place = self._places.setdefault(wanted.identity, line.place)
        if place != line.place:
            return self._wrong(line, f"It is the same image as in {place}.")
        image = there.get(wanted.identity)
        if image is None:
            return self._new(line, wanted)
        if image.scope_id != self._scope.id:
            raise AlreadyRegistered(image)
        after = asdict(import_lines.changed(wanted, image))
        changes = audit.difference(asdict(registration.choices_of(image)), after)
        changes |= self._life_changes(wanted, image)
        kind = Kind.UPDATE if changes else Kind.UNCHANGED
        shown = _shown(changes)
        return Planned(line.place, image.name, kind, line.values, shown, image_id=image.id)

    def _new(self, line: Line, wanted: Wanted) -> Planned:
        said = wanted.said
        if not self._options.look_up:
            said = asdict(import_lines.fresh(wanted))
        elif _credentials_for(wanted, self._usable, self._options) is None:
            raise Refusal(
                f"A look-up needs credentials of {wanted.cloud.label}. Choose some, or do not "
                "look up."
            )
        changes = {name: (None, value) for name, value in said.items() if value is not None}
        changes |= self._life_changes(wanted, None)
        return Planned(line.place, _subject(line), Kind.CREATE, line.values, _shown(changes))

    def _life_changes(self, wanted: Wanted, image: Image | None) -> audit.Changes:
        """Raises Refusal."""
        if wanted.life is None:
            return {}
        before = life_cycle.of(image) if image else ENDLESS
        after = self._lives.of(wanted, image)
        changes = audit.difference(self._lives.shown(before), self._lives.shown(after))
        if wanted.life.successor and after and after.successor is None:
            changes["successor"] = (None, wanted.life.successor)
        return changes

    def _wrong(self, line: Line, message: str) -> Planned:
        return Planned(line.place, _subject(line), Kind.ERROR, line.values, message=message)


class _Import:
    """One line, being done."""

    def __init__(self, actor: Actor, scope: Scope, options: Options, vault: Vault) -> None:
        self._actor, self._scope = actor, scope
        self._options, self._vault = options, vault

    def keep(self, wanted: Wanted, *, expected: bool) -> Outcome:
        """`expected`: whether the image was there when this was planned. Raises Forbidden,
        Refusal, VaultError and CloudError."""
        image = find_registered(self._scope, wanted.identity) if expected else None
        if image is None:
            try:
                made = self._register(wanted)
            except AlreadyRegistered as error:
                # Somebody was faster, or the cloud calls it by another id.
                image = find_registered(self._scope, wanted.identity) or error.image
            else:
                return self._begin(wanted, made)
        return self._update(wanted, image)

    def _register(self, wanted: Wanted) -> Image:
        credentials = self._credentials(wanted)
        if not self._options.look_up:
            return registration.register_unverified(
                self._actor,
                self._scope,
                wanted.cloud.key,
                wanted.locator,
                import_lines.fresh(wanted),
                details=_believed(wanted),
                credentials_id=credentials,
            )
        receipt = registration.look_up(
            self._actor,
            self._scope,
            self._vault,
            wanted.cloud.key,
            credentials_id=credentials,
            location=wanted.locator.location,
            image_id=wanted.locator.image_id,
        )
        choices = import_lines.fresh(wanted, receipt)
        resource = wanted.locator.compute_resource
        return registration.register(self._actor, self._scope, receipt, choices, resource)

    def _credentials(self, wanted: Wanted) -> int | None:
        """Whether this scope can use those that were chosen, registering asks."""
        if not wanted.credentials:
            return self._options.credentials.get(wanted.cloud.key)
        usable = cloud_credentials.usable_at(self._scope, wanted.cloud.key)
        return _credentials_for(wanted, usable, self._options)

    def _update(self, wanted: Wanted, image: Image) -> Outcome:
        if image.scope_id != self._scope.id:
            raise AlreadyRegistered(image)
        image.scope = self._scope
        choices = import_lines.changed(wanted, image)
        lives = self._live(wanted, image)
        edited = registration.edit(self._actor, image, choices)
        return Outcome("updated" if lives or edited else "unchanged", image_id=image.id)

    def _begin(self, wanted: Wanted, image: Image) -> Outcome:
        try:
            self._live(wanted, image)
        except Refusal as error:
            message = f"It is active, other than the file says. {error}"
            return Outcome("created", message, image.id)
        return Outcome("created", image_id=image.id)

    def _live(self, wanted: Wanted, image: Image) -> audit.Changes:
        """Raises Forbidden and Refusal."""
        life = Lives(self._scope).of(wanted, image)
        if life == life_cycle.of(image):
            return {}
        return life_cycle.change(self._actor, image, life)


def _understood(scope: Scope, values: Mapping[str, str]) -> Wanted:
    return import_lines.understand(values, shareable=scope.level is not Level.ENVIRONMENT)


def _there(scope: Scope, wanted: Sequence[Wanted]) -> dict[ImageIdentity, Image]:
    """The records that `scope` sees of the same images; its own go before those from above."""
    found: dict[ImageIdentity, Image] = {}
    for key in {each.cloud.key for each in wanted}:
        ids = {each.locator.image_id for each in wanted if each.cloud.key == key}
        same = (Image.cloud == key) & Image.cloud_image_id.in_(ids)
        for image in Image.select(*catalogue.READ).where(same & Image.seen_from(scope)):
            identity = ImageIdentity.from_image(image)
            if image.scope_id == scope.id or identity not in found:
                found[identity] = image
    return found


def _credentials_for(
    wanted: Wanted, usable: Sequence[CloudCredentials], options: Options
) -> int | None:
    """Those that the line names, where this scope can use them; else those that were chosen for
    its cloud."""
    rows = [row for row in usable if row.cloud == wanted.cloud.key]
    chosen = options.credentials.get(wanted.cloud.key)
    named = [row.id for row in rows if row.name == wanted.credentials]
    return next(iter([*named, *(row.id for row in rows if row.id == chosen)]), None)


def _believed(wanted: Wanted) -> ImageDetails:
    """In place of what a cloud says, which was not asked."""
    return ImageDetails(
        name="",
        description=wanted.description,
        architecture=wanted.architecture,
        size_gb=wanted.said.get("size_gb"),
        state=ImageState.AVAILABLE,
        state_note=NOT_CHECKED,
        created=None,
        deprecated=None,
        facts=(),
        volumes=(),
        os_texts=(),
    )


def _shown(changes: audit.Changes) -> dict[str, list[Any]]:
    """As a file has it: yes and no."""
    words = {True: "yes", False: "no"}
    return {
        name: [words[each] if isinstance(each, bool) else each for each in values]
        for name, values in changes.items()
    }


def _subject(line: Line) -> str:
    named = line.values.get("name") or line.values.get("cloud_image_id") or line.place
    return named[:255]


JOB_ACTIONS = (
    JobAction(ACTION, "Import {images}", apply_line, atomic=True),
    JobAction(LOOK_UP, "Import {images}", apply_line, concurrent=True),
)
