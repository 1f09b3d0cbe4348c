"""The same action on many images that a scope owns: what it would do, and doing it as a job. Each
row goes through the use case of the single action, so its rules, rights and audit entry hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import islice
from typing import Any

from models import Image, Job, JobRow, Level, Scope
from webapp.access import Actor, Right
from webapp.clouds.base import CloudError, ImageState
from webapp.credentials.vault import Vault, VaultError
from webapp.images import deleted_images, life_cycle, registration
from webapp.images.deleted_images import CannotRestore
from webapp.images.life_cycle import Life
from webapp.jobs import runner as jobs
from webapp.jobs.runner import Outcome
from webapp.refusals import Refusal
from webapp.search import catalogue
from webapp.search.language import Query

MOST = 10_000
"""Images of one job."""
SAMPLE = 20
UNDELETE = "image-undelete"

Arguments = Mapping[str, Any]


@dataclass(frozen=True)
class Action:
    """What can be done to many images. `already` says of which one it would change nothing, as
    far as that can be told without `needs`, which names what the person has to say besides."""

    key: str
    label: str
    already: Callable[[Image], bool] = lambda _image: False
    needs: str = ""
    at_environments: bool = True
    hides: bool = False
    """Whether scopes below lose sight of the image."""

    @property
    def job(self) -> str:
        """How jobs call it."""
        return f"image-{self.key}"


OS, LIFE = "os", "life"
"""What an action may need: an operating system; or a day, a reason and a successor."""

ACTIONS = {
    action.key: action
    for action in (
        Action("share", "Share", lambda image: image.shared, at_environments=False),
        Action(
            "unshare",
            "Stop sharing",
            lambda image: not image.shared,
            at_environments=False,
            hides=True,
        ),
        Action("agent", "Set: agent installed", lambda image: image.agent_installed),
        Action("no-agent", "Set: agent not installed", lambda image: not image.agent_installed),
        Action("os", "Set the operating system", needs=OS),
        Action("deprecate", "Deprecate", needs=LIFE),
        Action("retire", "Retire", needs=LIFE),
        Action("restore", "Make active again", lambda image: not life_cycle.of(image)),
        Action("check", "Check now"),
        Action("delete", "Delete", hides=True),
    )
}


@dataclass(frozen=True)
class Selection:
    """Some images by their numbers; or, with a query, all that match it."""

    images: Sequence[int] = ()
    query: Query | None = None


@dataclass(frozen=True)
class Preview:
    """What an action would do to a selection: how many images it would change, of how many it is
    known that it would change nothing, and how many are inherited and left alone. `names` are
    some of those that it would change; `loses_sight` are the scopes that would see some of them
    no more."""

    changed: int
    unchanged: int
    inherited: int
    names: Sequence[str]
    loses_sight: Sequence[Scope]

    @property
    def own(self) -> int:
        return self.changed + self.unchanged


class TooMany(Exception):
    """More than one job takes; worded for the person."""

    def __init__(self, count: int) -> None:
        super().__init__(
            f"These are {count:,} images, and at most {MOST:,} can be changed at once. "
            "Narrow the search, and do it in parts."
        )


def offered(scope: Scope) -> list[Action]:
    """An environment shares with nobody."""
    below = scope.level is not Level.ENVIRONMENT
    return [action for action in ACTIONS.values() if below or action.at_environments]


def preview(actor: Actor, scope: Scope, action: Action, selection: Selection) -> Preview:
    """Raises Forbidden and TooMany."""
    actor.require(Right.EDIT_IMAGES, scope)
    own, inherited = _counted(actor, scope, selection)
    if own > MOST:
        raise TooMany(own)
    changed = 0
    names: list[str] = []
    shared = False
    for image in _own(actor, scope, selection):
        if not action.already(image):
            changed, shared = changed + 1, shared or image.shared
            names += [image.name] if len(names) < SAMPLE else []
    below = _below(scope) if shared and action.hides else []
    return Preview(changed, own - changed, inherited, names, below)


def start(
    actor: Actor,
    scope: Scope,
    vault: Vault,
    action: Action,
    selection: Selection,
    arguments: Arguments,
) -> Job:
    """Begin; `arguments` are what `os_arguments` and `life_arguments` make, and whatever else a
    page wants to find again. Raises Forbidden and TooMany."""
    actor.require(Right.EDIT_IMAGES, scope)
    images = islice(_own(actor, scope, selection), MOST + 1)
    rows = [JobRow(image_id=image.id, subject=image.name) for image in images]
    if len(rows) > MOST:
        raise TooMany(_counted(actor, scope, selection)[0])
    deleted_images.purge()
    given = {**arguments, "batch": deleted_images.new_batch()}
    job = jobs.create(actor, scope, action.job, given, rows)
    jobs.start(job, vault, wait=True)
    return job


def undelete(actor: Actor, scope: Scope, vault: Vault, batch: str) -> Job | None:
    """Put back what was deleted together, as a job; None where nothing is left of it. Raises
    Forbidden."""
    actor.require(Right.EDIT_IMAGES, scope)
    kept = deleted_images.of_batch(scope, batch)
    if not kept:
        return None
    rows = [JobRow(image_id=image_id, subject=name) for image_id, name in kept]
    job = jobs.create(actor, scope, UNDELETE, {"batch": batch}, rows)
    jobs.start(job, vault, wait=True)
    return job


def can_be_undone(job: Job) -> bool:
    """Whether it has deleted something that can still be put back, and is over."""
    if job.action != ACTIONS["delete"].job or job.state not in {"done", "stopped"}:
        return False
    return deleted_images.is_kept(job.scope, job.arguments["batch"])


def still_there(scope: Scope, rows: Sequence[JobRow]) -> set[int]:
    """The numbers of those images of `rows` that `scope` sees."""
    numbers = [row.image_id for row in rows if row.image_id is not None]
    seen = Image.id.in_(numbers) & Image.seen_from(scope)
    return {image.id for image in Image.select(Image.id).where(seen)}


def os_arguments(family: str, version: str) -> Arguments:
    return {"os_family": family, "os_version": version}


def life_arguments(scope: Scope, on: date, reason: str, successor: str) -> Arguments:
    """`successor` is text that `life_cycle.named` knows, or ''. Raises LifeCycleError for what no
    image could take."""
    Life(on, None, reason)
    number = life_cycle.successor_named(scope, successor)
    return {"on": on.isoformat(), "reason": reason, "successor": number}


def count(actor: Actor, scope: Scope, selection: Selection) -> int:
    """How many of the selected ones the scope owns."""
    return _counted(actor, scope, selection)[0]


def _counted(actor: Actor, scope: Scope, selection: Selection) -> tuple[int, int]:
    """How many are the scope's own, and how many it inherits."""
    if selection.query is not None:
        own = catalogue.count(actor, scope, selection.query, own=True)
        return own, catalogue.count(actor, scope, selection.query) - own
    chosen = Image.id.in_(list(selection.images)) & Image.seen_from(scope)
    owners = [image.scope_id for image in Image.select(Image.scope).where(chosen)]
    own = owners.count(scope.id)
    return own, len(owners) - own


def _own(actor: Actor, scope: Scope, selection: Selection) -> Iterator[Image]:
    """Those that the scope owns, in the order of their numbers."""
    if selection.query is not None:
        yield from catalogue.each(actor, scope, selection.query, own=True)
        return
    own = Image.id.in_(list(selection.images)) & (Image.scope == scope)
    yield from Image.select(*catalogue.READ).where(own).order_by(Image.id)


def _below(scope: Scope) -> list[Scope]:
    return [each for each in scope.subtree().order_by(Scope.path) if each != scope]


Change = Callable[[Actor, Image, Arguments, Vault], "tuple[Any, str]"]
"""Does it to one image; says whether anything changed, and what there is to tell."""


def _edit(**changes: Any) -> Change:
    def edit(actor: Actor, image: Image, _arguments: Arguments, _vault: Vault) -> tuple[Any, str]:
        choices = replace(registration.choices_of(image), **changes)
        return registration.edit(actor, image, choices), ""

    return edit


def _set_os(actor: Actor, image: Image, arguments: Arguments, _vault: Vault) -> tuple[Any, str]:
    system = {name: arguments[name] for name in ("os_family", "os_version")}
    choices = replace(registration.choices_of(image), **system)
    return registration.edit(actor, image, choices), ""


def _deprecate(actor: Actor, image: Image, arguments: Arguments, _vault: Vault) -> tuple[Any, str]:
    """One by one a person sees what they take back; of many at once they do not."""
    if image.retired_on is not None:
        raise Refusal("It is retired, or will be. Make it active again first.")
    on = date.fromisoformat(arguments["on"])
    successor = arguments["successor"]
    return life_cycle.deprecate(actor, image, on, arguments["reason"], successor), ""


def _retire(actor: Actor, image: Image, arguments: Arguments, _vault: Vault) -> tuple[Any, str]:
    """What is not said now stays as it was said when it was deprecated."""
    on = date.fromisoformat(arguments["on"])
    reason = arguments["reason"] or image.status_reason
    successor = arguments["successor"] or image.successor_id
    return life_cycle.retire(actor, image, on, reason, successor), ""


def _restore(actor: Actor, image: Image, _arguments: Arguments, _vault: Vault) -> tuple[Any, str]:
    return life_cycle.restore(actor, image), ""


def _check(actor: Actor, image: Image, _arguments: Arguments, vault: Vault) -> tuple[Any, str]:
    if image.credentials_id is None:
        raise Refusal(
            f"Its credentials “{image.credentials_name}” were deleted. "
            "Choose others with Check now on its page."
        )
    verified = image.verified
    changes = registration.check_again(actor, image, vault)
    if image.state == ImageState.GONE:
        return changes, str(image.details["state_note"])
    if not verified:
        return True, "The cloud has it: it is verified now."
    return changes, f"Changed in the cloud: {', '.join(changes)}." if changes else ""


def _delete(actor: Actor, image: Image, arguments: Arguments, _vault: Vault) -> tuple[Any, str]:
    return registration.delete(actor, image, arguments["batch"]), ""


_CHANGES: Mapping[str, Change] = {
    "share": _edit(shared=True),
    "unshare": _edit(shared=False),
    "agent": _edit(agent_installed=True),
    "no-agent": _edit(agent_installed=False),
    "os": _set_os,
    "deprecate": _deprecate,
    "retire": _retire,
    "restore": _restore,
    "check": _check,
    "delete": _delete,
}


def _worker(change: Change) -> jobs.Worker:
    def work(
        actor: Actor, scope: Scope, arguments: Arguments, row: JobRow, vault: Vault
    ) -> Outcome:
        image = Image.get_or_none((Image.id == row.image_id) & (Image.scope == scope))
        if image is None:
            return Outcome("refused", f"{scope.label} does not own it any more.")
        image.scope = scope
        try:
            changed, message = change(actor, image, arguments, vault)
        except (Refusal, CloudError, VaultError) as error:
            return Outcome("refused", str(error))
        return Outcome("done" if changed else "unchanged", message)

    return work


def _undelete(
    actor: Actor, scope: Scope, arguments: Arguments, row: JobRow, _vault: Vault
) -> Outcome:
    try:
        deleted_images.restore(actor, scope, row.image_id or 0, arguments["batch"])
    except CannotRestore as error:
        return Outcome("refused", str(error))
    return Outcome("done")


for _key, _change in _CHANGES.items():
    _asks = _key == "check"
    jobs.register(
        ACTIONS[_key].job,
        _worker(_change),
        ACTIONS[_key].label,
        atomic=not _asks,
        side_by_side=_asks,
    )
jobs.register(UNDELETE, _undelete, "Restore deleted images", atomic=True)
