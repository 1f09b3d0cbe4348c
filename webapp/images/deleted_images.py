"""Images that were deleted a short while ago, kept whole so that it can be undone. What was
deleted together is a batch, whose name nobody can guess. Knows nothing of what the columns of an
image mean, so that new ones need nothing here."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from enum import Enum
from typing import Any

from peewee import DateField, Field, ForeignKeyField, IntegrityError
from playhouse.fields import EnumField

from models import DeletedImage, Image, Scope, now, transaction
from schema.columns import InstantField
from webapp import audit
from webapp.access import Actor, Right
from webapp.images import life_cycle
from webapp.images.identity import ImageIdentity, find_registered
from webapp.refusals import Refusal

KEPT = timedelta(hours=24)
NOT_KEPT = frozenset({"group_id", "name_key", "size_key", "search_text"})
"""What follows from the other columns."""


class CannotRestore(Refusal):
    """The image cannot be restored."""


def new_batch() -> str:
    return secrets.token_hex(16)


def keep(actor: Actor, image: Image, batch: str) -> None:
    """To be called in the transaction that deletes the image, before that. It must have been read
    whole."""
    columns = image.__data__
    pointing = Image.select(Image.id).where(Image.successor == image.id)
    record = {
        "columns": {name: _plain(each) for name, each in columns.items() if name not in NOT_KEPT},
        "succeeds": [each.id for each in pointing],
        "order": time.time_ns(),
    }
    DeletedImage.create(
        id=image.id, scope=image.scope, batch=batch, record=record, deleted_by=actor.person
    )


def purge() -> None:
    """Forget those that can be put back no more."""
    DeletedImage.delete().where(DeletedImage.deleted_at < now() - KEPT).execute()


def of_batch(scope: Scope, batch: str) -> list[tuple[int, str]]:
    """The numbers and names of what can still be put back, what was deleted last first: so each
    finds its successor, and those that it succeeded, as they were."""
    rows = list(DeletedImage.select().where(_kept(scope, batch)))
    rows.sort(key=lambda row: int(row.record["order"]), reverse=True)
    return [(row.id, row.record["columns"]["name"]) for row in rows]


def is_kept(scope: Scope, batch: str) -> bool:
    """Whether anything of it can still be put back."""
    return bool(DeletedImage.select(DeletedImage.id).where(_kept(scope, batch)).exists())


def undo(actor: Actor, scope: Scope, batch: str) -> tuple[list[Image], list[tuple[str, str]]]:
    """Put back all of a batch that can be, each by itself; and the names of the others, with the
    reason. Raises Forbidden."""
    actor.require(Right.EDIT_IMAGES, scope)
    restored: list[Image] = []
    refused: list[tuple[str, str]] = []
    for image_id, name in of_batch(scope, batch):
        try:
            restored.append(restore(actor, scope, image_id, batch))
        except CannotRestore as error:
            refused.append((name, str(error)))
    return restored, refused


def restore(actor: Actor, scope: Scope, image_id: int, batch: str) -> Image:
    """Put one image back under the number that it had, with its history, and again as the
    successor of those that it was one of, unless they have got another. Credentials or a
    successor that are gone meanwhile stay gone. Raises Forbidden and CannotRestore."""
    actor.require(Right.EDIT_IMAGES, scope)
    try:
        with transaction():
            row = DeletedImage.get_or_none(_kept(scope, batch) & (DeletedImage.id == image_id))
            if row is None:
                raise CannotRestore("It was put back already, or deleted too long ago.")
            image = _read(row.record["columns"])
            _require_free(image)
            image.save(force_insert=True)
            _succeed_again(image, row.record["succeeds"])
            row.delete_instance()
            audit.record(actor, scope, "image.undelete", image.name, image=image)
    except IntegrityError as error:
        # Somebody else was faster between our look and our insert.
        raise CannotRestore("It is registered again already. Reload the page.") from error
    return image


def _kept(scope: Scope, batch: str) -> Any:
    same = (DeletedImage.scope == scope) & (DeletedImage.batch == batch)
    return same & (DeletedImage.deleted_at >= now() - KEPT)


def _require_free(image: Image) -> None:
    """Raises CannotRestore."""
    there = find_registered(image.scope, ImageIdentity.from_image(image))
    if there is not None:
        raise CannotRestore(f"It was registered again meanwhile at {there.scope.label}.")


def _succeed_again(image: Image, numbers: list[int]) -> None:
    pointing = Image.id.in_(numbers) & Image.successor.is_null()
    ends = Image.deprecated_on.is_null(False) | Image.retired_on.is_null(False)
    Image.update(successor=image.id).where(pointing & ends).execute()


def _plain(value: Any) -> Any:
    """As JSON has it."""
    if isinstance(value, Enum):
        return value.value
    return value.isoformat() if isinstance(value, date) else value


def _read(columns: Mapping[str, Any]) -> Image:
    """A column that the record does not know has its default. Days that came meanwhile take
    effect."""
    fields = Image._meta.fields  # noqa: SLF001
    image = Image(**{name: _value(fields[name], each) for name, each in columns.items()})
    image.status = life_cycle.of(image).status
    return image


def _value(field: Field, value: Any) -> Any:
    """The reverse of `_plain`; what a foreign key names and is gone is named no longer."""
    if value is None:
        return None
    if isinstance(field, ForeignKeyField):
        there = field.rel_field == value
        return value if field.rel_model.select().where(there).exists() else None
    if isinstance(field, InstantField):
        return datetime.fromisoformat(value)
    if isinstance(field, DateField):
        return date.fromisoformat(value)
    if isinstance(field, EnumField):
        return field.python_value(value)
    return value
