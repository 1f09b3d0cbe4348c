"""The life of an image as its owner sees it: active, deprecated, retired. A date that lies ahead is
a plan, which takes effect by itself on its day. Knows nothing of what the cloud says."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import models
from models import Image, LifeCycle, Scope, transaction
from webapp import audit
from webapp.access import Actor, Right
from webapp.refusals import Refusal

REASON_LENGTH = 255
LONGEST_CHAIN = 1_000
"""Successors that are followed, from one to the next."""
_NUMBERED = re.compile(r"#([0-9]{1,9})(?:\s.*)?|([0-9]{1,9})", re.DOTALL)

log = logging.getLogger(__name__)
_settling = threading.Lock()
_settled: date | None = None
"""The day that this process has last settled."""


class LifeCycleError(Refusal):
    """A rule about the life cycle forbids it."""


@dataclass(frozen=True)
class Life:
    """From which days on, in UTC, an image is deprecated and retired; None for never. `successor`
    is the id of the image to use instead."""

    deprecated_on: date | None = None
    retired_on: date | None = None
    reason: str = ""
    successor: int | None = None

    def __post_init__(self) -> None:
        """Raises LifeCycleError for the first that breaks a rule."""
        if not self:
            if self.reason or self.successor:
                raise LifeCycleError(
                    "A reason and a successor are for images that are deprecated or retired.",
                    "status",
                )
        elif self.deprecated_on and self.retired_on and self.retired_on < self.deprecated_on:
            raise LifeCycleError("An image is not retired before it is deprecated.", "on")
        if len(self.reason) > REASON_LENGTH:
            raise LifeCycleError(f"A reason has at most {REASON_LENGTH} characters.", "reason")
        if not self.reason.isprintable():
            raise LifeCycleError("A reason is one line of text.", "reason")

    def __bool__(self) -> bool:
        """Whether it ends, now or later."""
        return bool(self.deprecated_on or self.retired_on)

    @property
    def status(self) -> LifeCycle:
        """As of today."""
        today = models.today()
        if self.retired_on and self.retired_on <= today:
            return LifeCycle.RETIRED
        if self.deprecated_on and self.deprecated_on <= today:
            return LifeCycle.DEPRECATED
        return LifeCycle.ACTIVE


ENDLESS = Life()


def of(image: Image) -> Life:
    return Life(image.deprecated_on, image.retired_on, image.status_reason, image.successor_id)


def deprecate(
    actor: Actor, image: Image, on: date, reason: str = "", successor_id: int | None = None
) -> audit.Changes:
    """From `on`, which may lie ahead; a retirement that was planned or done is taken back. Returns
    what changed. Raises Forbidden and LifeCycleError."""
    return change(actor, image, Life(on, None, reason, successor_id))


def retire(
    actor: Actor, image: Image, on: date, reason: str = "", successor_id: int | None = None
) -> audit.Changes:
    """From `on`, which may lie ahead; an earlier deprecation stays. Returns what changed. Raises
    Forbidden and LifeCycleError."""
    before = image.deprecated_on if image.deprecated_on and image.deprecated_on <= on else None
    return change(actor, image, Life(before, on, reason, successor_id))


def restore(actor: Actor, image: Image) -> audit.Changes:
    """Active again, or for good: what was planned is given up. Returns what changed. Raises
    Forbidden."""
    return change(actor, image, ENDLESS)


def change(actor: Actor, image: Image, life: Life) -> audit.Changes:
    """Whatever `life` says takes effect at once as far as its days have come. Returns what
    changed. Raises Forbidden and LifeCycleError."""
    actor.require(Right.EDIT_IMAGES, image.scope)
    with transaction():
        if life.successor is not None and life.successor != image.successor_id:
            _require_successor(image, life.successor)
        changes = audit.difference(_told(of(image)), _told(life))
        if changes:
            action = _action(life)
            _take(image, life)
            image.save(only=_COLUMNS)
            audit.record(actor, image.scope, action, image.name, image=image, changes=changes)
    return changes


_COLUMNS = (
    Image.deprecated_on,
    Image.retired_on,
    Image.status_reason,
    Image.successor,
    Image.status,
)


def _take(image: Image, life: Life) -> None:
    image.deprecated_on, image.retired_on = life.deprecated_on, life.retired_on
    image.status_reason, image.status = life.reason, life.status
    image.successor = life.successor


def _action(life: Life) -> str:
    if life.retired_on:
        return "image.retire"
    return "image.deprecate" if life.deprecated_on else "image.restore"


def _told(life: Life) -> Mapping[str, Any]:
    """As the audit log keeps it. A successor by its number: who sees the one image and its history
    need not see the other."""
    told = {name: _text(value) for name, value in asdict(life).items()}
    return {**told, "successor": f"#{life.successor}" if life.successor else None}


def _text(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value or None


def _require_successor(image: Image, successor_id: int) -> None:
    """Raises LifeCycleError."""
    seen = Image.seen_from(image.scope) & (Image.id == successor_id)
    successor = Image.select(Image.id, Image.status, Image.successor).where(seen).first()
    if successor is None:
        raise LifeCycleError(
            f"{image.scope.label} sees no image with the number {successor_id}.", "successor"
        )
    if successor.id == image.id:
        raise LifeCycleError("An image cannot be its own successor.", "successor")
    _require_usable(successor)
    if image.id in _chain(successor):
        raise LifeCycleError(
            "That image is followed by this one itself. Choose another one.", "successor"
        )


def _require_usable(successor: Image) -> None:
    """Raises LifeCycleError."""
    if successor.status is LifeCycle.RETIRED:
        raise LifeCycleError("That image is retired itself. Choose another one.", "successor")


def _chain(image: Image) -> set[int]:
    """Those that follow it, one after the other."""
    found: set[int] = set()
    following = image.successor_id
    while following is not None and following not in found and len(found) < LONGEST_CHAIN:
        found.add(following)
        following = Image.select(Image.successor).where(Image.id == following).scalar()
    return found


def successor_of(image: Image, scope: Scope) -> Image | None:
    """The image to use instead, as far as `scope` sees it."""
    if image.successor_id is None:
        return None
    seen = Image.seen_from(scope) & (Image.id == image.successor_id)
    successor: Image | None = Image.get_or_none(seen)
    return successor


def mention(image_id: int, name: str) -> str:
    """Return text that people can read and `named` finds without doubt: '#12 noble'."""
    return f"#{image_id} {name}"


def successor_named(scope: Scope, text: str) -> int | None:
    """The number of the image that may succeed others; None for no text. Raises LifeCycleError."""
    if not text.strip():
        return None
    successor = named(scope, text)
    _require_usable(successor)
    number: int = successor.id
    return number


def named(scope: Scope, text: str) -> Image:
    """The one image that somebody at `scope` means by its number ('12', '#12 noble'), its cloud
    image id or its name. Raises LifeCycleError."""
    text = text.strip()
    seen = Image.seen_from(scope)
    numbered = _NUMBERED.fullmatch(text)
    if numbered:
        number = int(numbered[1] or numbered[2])
        found = list(Image.select().where(seen & (Image.id == number)))
        if found or numbered[1]:
            return _the_only(found, text, scope)
    same = (Image.cloud_image_id == text) | (Image.name == text)
    return _the_only(list(Image.select().where(seen & same).limit(2)), text, scope)


def _the_only(found: list[Image], text: str, scope: Scope) -> Image:
    if not found:
        raise LifeCycleError(
            f"{scope.label} sees no image with the number, cloud image ID or name “{text}”.",
            "successor",
        )
    if len(found) > 1:
        raise LifeCycleError(
            f"Several images are called “{text}”. Give the number of the one that you mean: it is "
            f"at the end of the address of its page.",
            "successor",
        )
    return found[0]


def settle() -> None:
    """Let the dates take effect whose day has come; doing it twice does no harm."""
    today = models.today()
    still = LifeCycle.ACTIVE, LifeCycle.DEPRECATED
    due = Image.retired_on <= today, Image.status.in_(still)
    Image.update(status=LifeCycle.RETIRED).where(*due).execute()
    due = Image.deprecated_on <= today, Image.status == LifeCycle.ACTIVE
    Image.update(status=LifeCycle.DEPRECATED).where(*due).execute()


def settle_if_due() -> None:
    """Once a day, in UTC, and process; whoever comes while another does it goes on."""
    global _settled  # noqa: PLW0603  one for the process
    today = models.today()
    if _settled == today or not _settling.acquire(blocking=False):
        return
    try:
        with transaction():
            settle()
        _settled = today
    finally:
        _settling.release()
