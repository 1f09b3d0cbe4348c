"""Delete images, and restore them within 24 hours.

Deleting an image stores a copy of its columns, except the OMITTED_COLUMNS, which are computed from
other columns. Restoring the image inserts the stored columns again. So a new column of `Image`
needs no change here, unless a database trigger computes the column. Images that were deleted
together form a batch. An image can be restored only with the ID of its batch, which nobody can
guess.

If image B is the successor of image A, then A is a predecessor of B. Detaching a predecessor clears
its successor. Reconnecting a predecessor sets its successor again.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from enum import Enum
from functools import cache
from typing import Any

from peewee import DateField, Field, ForeignKeyField, IntegrityError
from playhouse.fields import EnumField

from models import (
    LARGEST_ID,
    DeletedImage,
    Image,
    Prepared,
    Scope,
    delete_chunk,
    is_sqlite,
    now,
    transaction,
)
from schema.base import Table
from schema.columns import InstantField
from schema.images import DERIVED_COLUMNS
from webapp import audit
from webapp.access import Actor, Right
from webapp.images import catching_up, life_cycle
from webapp.images.choices import choices_of, filled_choices
from webapp.images.identity import ImageIdentity, find_registered
from webapp.images.successors import successors_from
from webapp.refusals import Refusal
from webapp.revisions.conflicts import lock, require_unchanged

RESTORABLE_FOR = timedelta(hours=24)
"""How long after its deletion an image can be restored."""
MAX_PREDECESSORS = 50
"""If an image has more predecessors, a job detaches or reconnects them in several transactions."""
OMITTED_COLUMNS = {*DERIVED_COLUMNS, "group_id", "account_id"}
"""The columns that the stored copy leaves out, because they are computed from other columns."""


class CannotRestore(Refusal):
    """The image can't be restored."""


def delete(
    actor: Actor,
    image: Image,
    batch: str = "",
    based_on: int | None = None,
    detached: Sequence[int] = (),
) -> str:
    """Delete an image from the registry and return the ID of its batch.

    The ID of the batch is needed to restore the image. The cloud image is not changed. If `batch`
    is empty, the image starts a new batch. `based_on` is the revision that the person saw. If it is
    None, the revision of `image` is used. `detached` contains the IDs of the predecessors that
    `detach_predecessors` has already detached. All other predecessors are detached in the
    transaction that deletes the image. Raises Forbidden, RecordDeleted and EditConflict.
    """
    actor.require(Right.EDIT_IMAGES, image.scope)
    based_on = image.revision if based_on is None else based_on
    batch = batch or new_batch()
    with transaction():
        lock(image)
        actor.require(Right.EDIT_IMAGES, image.scope)
        require_unchanged(image, based_on)
        predecessors = _select_predecessors(image.id, LARGEST_ID)
        _store_copy(actor, image, batch, [*detached, *(each.id for each in predecessors)])
        filled = filled_choices(choices_of(image))
        changes = {name: (value, None) for name, value in filled.items()}
        changes["cloud_image_id"] = (image.cloud_image_id, None)
        audit.record(actor, image.scope, "image.delete", image.name, record=image, changes=changes)
        if predecessors:
            # The deletion of the row would clear the successor of each predecessor too, but without
            # audit entries.
            _set_successor(actor, Image.successor == image.id, image.id, None)
        image.delete_instance()
    return batch


def has_many_predecessors(image: Image) -> bool:
    """Return whether the image has too many predecessors to delete it in one transaction."""
    return len(_select_predecessors(image.id, MAX_PREDECESSORS + 1)) > MAX_PREDECESSORS


# A job sends this query for each image that it deletes.
_select_predecessors = Prepared(
    lambda placeholder: (
        Image.select(Image.id)
        .where(Image.successor == placeholder)
        .order_by(Image.id)
        .limit(placeholder)
    )
)


def detach_predecessors(actor: Actor, image: Image) -> list[int]:
    """Detach the first MAX_PREDECESSORS predecessors of an image that will be deleted.

    Return their IDs, for the parameter `detached` of `delete`. Raises Forbidden.
    """
    actor.require(Right.EDIT_IMAGES, image.scope)
    ids = [each.id for each in _select_predecessors(image.id, MAX_PREDECESSORS)]
    is_predecessor = Image.id.in_(ids) & (Image.successor == image.id)
    _set_successor(actor, is_predecessor, image.id, None)
    return ids


def has_image_with_many_predecessors(scope: Scope, batch: str) -> bool:
    """Return whether an image of a batch has too many predecessors for one transaction.

    Images that can no longer be restored are ignored.
    """
    rows = DeletedImage.select().where(_restorable(scope, batch))
    return any(len(row.record["succeeds"]) > MAX_PREDECESSORS for row in rows)


def predecessors_to_restore(scope: Scope, batch: str, image_id: int) -> list[int]:
    """Return the IDs of the former predecessors of an image, or [] if it can't be restored."""
    row = _find_restorable(scope, batch, image_id)
    return list(row.record["succeeds"]) if row else []


def reconnect_predecessors(
    actor: Actor, scope: Scope, image_id: int, predecessor_ids: list[int]
) -> None:
    """Make a restored image the successor of the former predecessors `predecessor_ids` again.

    `_reconnect_predecessors` says which predecessors are skipped. Do nothing if the image was
    deleted again. Raises Forbidden.
    """
    actor.require(Right.EDIT_IMAGES, scope)
    image = Image.get_or_none((Image.id == image_id) & (Image.scope == scope))
    if image is not None:
        _reconnect_predecessors(actor, image, predecessor_ids)


def new_batch() -> str:
    """Return an ID for a new batch. Nobody can guess the ID."""
    return secrets.token_hex(16)


def purge_chunk() -> bool:
    """Delete the copies of some images that can no longer be restored.

    Return whether more such copies may remain.
    """
    return delete_chunk(DeletedImage, DeletedImage.deleted_at < now() - RESTORABLE_FOR)


def restorable_images(scope: Scope, batch: str) -> list[tuple[int, str]]:
    """Return an (ID, name) pair for each restorable image of a batch.

    The image that was deleted last comes first, and callers restore the images in this order. A
    restored image gets its successor back only if the successor exists. So if the successor was
    deleted after the image, the successor must be restored before the image.
    """
    order, name = DeletedImage.record["order"], DeletedImage.record["columns"]["name"]
    query: Any = DeletedImage.select(order.as_text(), DeletedImage.id, name.as_text())
    rows = query.where(_restorable(scope, batch)).tuples()
    last_first = sorted(rows, key=lambda row: int(row[0]), reverse=True)
    return [(image_id, name) for _, image_id, name in last_first]


def restorable_ids(scope: Scope, batch: str) -> Any:
    """Return a query for the IDs of the restorable images of a batch."""
    return DeletedImage.select(DeletedImage.id).where(_restorable(scope, batch))


def can_restore(scope: Scope, batch: str, *, at_least: int = 1) -> bool:
    """Return whether at least `at_least` images of a batch can be restored."""
    return len(restorable_ids(scope, batch).limit(at_least)) == at_least


def restore_batch(
    actor: Actor, scope: Scope, batch: str
) -> tuple[list[Image], list[tuple[str, str]]]:
    """Restore the restorable images of a batch.

    Return the restored images, and a (name, reason) pair for each image that could not be restored.
    Raises Forbidden.
    """
    actor.require(Right.EDIT_IMAGES, scope)
    restored: list[Image] = []
    refused: list[tuple[str, str]] = []
    for image_id, name in restorable_images(scope, batch):
        try:
            restored.append(restore_image(actor, scope, image_id, batch))
        except CannotRestore as error:
            refused.append((name, error.message))
    return restored, refused


def restore_image(
    actor: Actor, scope: Scope, image_id: int, batch: str, *, reconnect: bool = True
) -> Image:
    """Restore one image with its ID and history.

    If `reconnect` is true, the image becomes the successor of its former predecessors again.
    `_reconnect_predecessors` says which predecessors are skipped. If the credentials or the
    successor of the restored image no longer exist, the image is restored without them. Raises
    Forbidden and CannotRestore.
    """
    actor.require(Right.EDIT_IMAGES, scope)
    try:
        with transaction():
            row = _find_restorable(scope, batch, image_id)
            if row is None:
                raise CannotRestore(
                    "This image has already been restored, or it was deleted more than 24 hours "
                    "ago."
                )
            columns = row.record["columns"]
            image = _image_from(columns)
            image.scope = scope
            image.revision += 1
            _require_unregistered(image)
            image.save(force_insert=True)
            if reconnect:
                _reconnect_predecessors(actor, image, row.record["succeeds"])
            row.delete_instance()
            changes = _lost_references(columns, image)
            audit.record(actor, scope, "image.undelete", image.name, record=image, changes=changes)
    except IntegrityError as error:
        # Somebody else registered or restored the image between the check and the insert.
        raise CannotRestore(
            "This image has already been registered again. Reload the page."
        ) from error
    return image


def _restorable(scope: Scope, batch: str) -> Any:
    """Return the query condition for the restorable images of a batch."""
    in_batch = (DeletedImage.scope == scope) & (DeletedImage.batch == batch)
    return in_batch & (DeletedImage.deleted_at >= now() - RESTORABLE_FOR)


def _find_restorable(scope: Scope, batch: str, image_id: int) -> DeletedImage | None:
    rows: list[DeletedImage] = _select_deleted(image_id)
    oldest = now() - RESTORABLE_FOR
    for row in rows:
        if (row.scope_id, row.batch) == (scope.id, batch) and row.deleted_at >= oldest:
            return row
    return None


_select_deleted = Prepared(
    lambda placeholder: DeletedImage.select().where(DeletedImage.id == placeholder)
)


def _require_unregistered(image: Image) -> None:
    """Raise CannotRestore if the same image is registered at the scope or is inherited by it."""
    registered = find_registered(image.scope, ImageIdentity.from_image(image))
    if registered is not None:
        raise CannotRestore(f"This image is already registered at {registered.scope.label}.")


def _reconnect_predecessors(actor: Actor, image: Image, predecessor_ids: list[int]) -> None:
    """Make `image` the successor of its former predecessors again.

    Skip a predecessor that now has another successor, a predecessor that no longer has a
    deprecation or retirement date, and a predecessor that is now a direct or indirect successor of
    `image`.
    """
    if not predecessor_ids:
        return
    successors = successors_from([image.id])
    is_reconnected = Image.id.in_([each for each in predecessor_ids if each not in successors])
    without_successor = is_reconnected & Image.successor.is_null()
    has_dates = Image.deprecated_on.is_null(False) | Image.retired_on.is_null(False)
    _set_successor(actor, without_successor & has_dates, None, image.id)


def clear_successors_at(actor: Actor | None, scope: Scope, size: int) -> int:
    """Clear the successor of images whose successor belongs to `scope`, which is being deleted.

    An image of another scope can have such a successor if the image was promoted. Change at most
    `size` images, with an audit entry for each, and return their number. Images of scopes that are
    being deleted are not changed.
    """
    successor = Image.alias()
    found: Any = (
        Image.select(Image.id, Image.successor)
        .join(successor, on=(Image.successor == successor.id))
        .join(Scope, on=(Image.scope == Scope.id))
        .where((successor.scope == scope.id) & Scope.deleted_at.is_null())
        .order_by(Image.id)
        .limit(size)
    )
    predecessors: dict[int, list[int]] = {}
    for image_id, successor_id in found.tuples():
        predecessors.setdefault(successor_id, []).append(image_id)
    for successor_id, ids in predecessors.items():
        is_predecessor = Image.id.in_(ids) & (Image.successor == successor_id)
        _set_successor(actor, is_predecessor, successor_id, None)
    return sum(map(len, predecessors.values()))


def _set_successor(
    actor: Actor | None, condition: Any, before: int | None, after: int | None
) -> None:
    """Change the successor of the images that meet `condition`, with an audit entry for each.

    `before` and `after` are the IDs of the old and the new successor, or None. The audit log is
    used to detect edit conflicts. Without these entries, a person who is changing the life cycle of
    such an image would overwrite the new successor unnoticed.
    """
    query = (
        Image.select(Image.id, Image.scope, Image.name, Image.revision, Scope)
        .join(Scope)
        .where(condition)
    )
    if not is_sqlite():
        query = query.for_update(of=Image)
    predecessors = list(query.order_by(Image.id))
    Image.update_all(successor=after).where(condition).execute()
    for predecessor in predecessors:
        predecessor.revision += 1
        life_cycle.record_new_successor(actor, predecessor, before, after)


def _store_copy(actor: Actor, image: Image, batch: str, predecessors: Sequence[int]) -> None:
    """Store a copy of `image` before its deletion. All columns of `image` must be loaded.

    `predecessors` contains the IDs of all predecessors, even if a predecessor is already detached.
    """
    columns = {
        name: _to_json(value)
        for name, value in image.__data__.items()
        if name not in OMITTED_COLUMNS
    }
    record = {
        "columns": columns,
        "succeeds": list(predecessors),
        "order": time.time_ns(),
    }
    DeletedImage.create(
        id=image.id, scope=image.scope, batch=batch, record=record, deleted_by=actor.person
    )


def _to_json(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    return value.isoformat() if isinstance(value, date) else value


def _image_from(columns: Mapping[str, Any]) -> Image:
    """Return an unsaved image with the stored `columns`.

    A column that is not in `columns` gets its default. Life-cycle dates that have passed since the
    deletion take effect.
    """
    fields = Image._meta.fields  # noqa: SLF001
    image = Image(**{name: _from_json(fields[name], value) for name, value in columns.items()})
    image.status = life_cycle.plan_of(image).status
    if "deprecation_announced_for" not in columns:  # An older version deleted the image.
        image.deprecation_announced_for = catching_up.announced_deprecation(image)
    return image


def _lost_references(columns: Mapping[str, Any], image: Image) -> audit.Changes:
    """Return the references that a restored image lost, as changes for the audit log.

    An image loses the reference to its successor or its credentials if they were deleted meanwhile.
    """
    successor, had_credentials = columns["successor"], columns["credentials"] is not None
    changes: dict[str, tuple[object, object]] = {}
    if successor is not None and image.successor_id is None:
        changes["successor"] = (f"#{successor}", None)
    if had_credentials and image.credentials_id is None:
        changes["credentials"] = (image.credentials_name, None)
    return changes


@cache
def _select_key(table: type[Table]) -> Prepared:
    key: Any = table._meta.primary_key  # noqa: SLF001  Peewee has no other way
    return Prepared(lambda placeholder: table.select(key).where(key == placeholder))


def _from_json(field: Field, value: Any) -> Any:
    """Return the value of `field` from JSON, or None for a reference to a deleted row."""
    if value is None:
        return None
    if isinstance(field, ForeignKeyField):
        return value if _select_key(field.rel_model)(value) else None
    if isinstance(field, InstantField):
        return datetime.fromisoformat(value)
    if isinstance(field, DateField):
        return date.fromisoformat(value)
    if isinstance(field, EnumField):
        return field.python_value(value)
    return value
