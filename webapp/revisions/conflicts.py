"""Detect that a record was changed after a person loaded it, so that no change is overwritten.

A use case that saves an edit locks the record, and compares the revision that the person saw with
the stored revision. Two kinds of changes do not count as conflicts, because nobody entered them in
a form: changes by a check of an image in its cloud, and changes by a date that becomes due. This
module must not know what the fields of a record mean.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from models import AuditEntry, EditedTable, Person
from webapp import audit
from webapp.refusals import Refusal

ACTIONS_WITHOUT_EDITS = ("image.check", "image.due")
"""The actions in the audit log that never conflict with the edit of a person."""
SUCCESSOR_ACTION = "image.successor"
"""The action in the audit log for an image whose successor was deleted or restored.

Only a form that contains the successor could overwrite this change.
"""


class RecordDeleted(Refusal):
    """Somebody deleted the record after it was loaded."""

    def __init__(self, record: EditedTable) -> None:
        super().__init__("This record has just been deleted.")
        self.reference = record.reference


class EditConflict(Refusal):
    """Somebody changed the record after it was loaded, so the new change was not saved.

    `revision` is the stored revision. `changes` are the changes since the revision that the person
    saw, without the changes that never conflict. `theirs` are the stored values, and `yours` the
    new values, of the fields that the refused change would have set. Only `require_no_conflict`
    sets `theirs` and `yours`. In any other conflict, for example before a deletion, they are empty.
    """

    def __init__(
        self,
        record: EditedTable,
        changes: Collection[Change],
        theirs: Mapping[str, Any] | None = None,
        yours: Mapping[str, Any] | None = None,
    ) -> None:
        people = list(dict.fromkeys(change.person_name for change in changes))
        super().__init__(
            f"{' and '.join(people)} changed {_field_labels(changes)} in the meantime."
            if people
            else "This record has changed in the meantime."
        )
        self.revision = record.revision
        self.changes = tuple(changes)
        self.theirs, self.yours = dict(theirs or {}), dict(yours or {})

    def message_for(self, person: Person) -> str:
        """Return the message for `person`, who may have made the changes in another window."""
        if not are_all_by(person, self.changes):
            return self.message
        return f"You changed {_field_labels(self.changes)} in another tab or window."


@dataclass(frozen=True)
class Change:
    """The change of one field since a revision.

    `before` is the value at that revision, and `after` is the stored value, both as the audit log
    contains them. They are equal only if the field is a secret. `person_name` and `person_id`
    identify the person who changed the field last, and `at` is the time of this change. `person_id`
    is None if the application changed the field, or if the person was deleted.
    """

    field: str
    before: Any
    after: Any
    person_name: str
    at: datetime
    person_id: int | None = None


def are_all_by(person: Person, changes: Collection[Change]) -> bool:
    """Return whether `person` made all `changes`. Return False if there are none."""
    return {change.person_id for change in changes} == {person.id}


def _field_labels(changes: Collection[Change]) -> str:
    return ", ".join(audit.field_label(change.field) for change in changes)


def changes_since(
    record: EditedTable, revision: int, ignored: Collection[str] = ACTIONS_WITHOUT_EDITS
) -> list[Change]:
    """Return one change for each field that was changed since `revision`.

    A field that has the same value now as at `revision` is left out, unless it is a secret. The
    actions in `ignored` do not count. The field that was changed first comes first.
    """
    newer = (AuditEntry.record == record.reference) & (AuditEntry.revision > revision)
    found: dict[str, Change] = {}
    for entry in AuditEntry.select().where(newer).order_by(AuditEntry.id):
        if entry.action in ignored:
            continue
        for field, (before, after) in entry.changes.items():
            first = found[field].before if field in found else before
            found[field] = Change(field, first, after, entry.person_name, entry.at, entry.person_id)
    return [
        change
        for change in found.values()
        if change.before != change.after or change.after == audit.SECRET
    ]


def lock(record: EditedTable) -> None:
    """Reload the record, and lock it until the current transaction ends.

    Call this at the start of each transaction that changes or deletes a record. Raises
    RecordDeleted.
    """
    if not record.reload(lock=True):
        raise RecordDeleted(record)


def require_unchanged(
    record: EditedTable, based_on: int, fields: Collection[str] | None = None
) -> None:
    """Raise EditConflict if people have changed the record since the revision `based_on`.

    ACTIONS_WITHOUT_EDITS never count. If `fields` is not None, only changes of these fields count.
    If `fields` is None, SUCCESSOR_ACTION does not count either, so that a bulk action can delete an
    image after it has deleted the successor of the image.
    """
    if record.revision == based_on:
        return
    ignored = (*ACTIONS_WITHOUT_EDITS, *((SUCCESSOR_ACTION,) if fields is None else ()))
    changes = [
        change
        for change in changes_since(record, based_on, ignored)
        if fields is None or change.field in fields
    ]
    if changes:
        raise EditConflict(record, changes)


def require_no_conflict(
    record: EditedTable,
    based_on: int,
    theirs: Mapping[str, Any],
    yours: Mapping[str, Any],
    *,
    together: Collection[str] = (),
    logged: bool = True,
) -> None:
    """Raise EditConflict if saving `yours` would overwrite changes since the revision `based_on`.

    `theirs` are the stored values. If the stored and the new value of a field are equal, the field
    causes no conflict. `together` are fields that depend on each other, for example the family and
    the version of an operating system. If one of them was changed, all of them count as changed.
    Every field counts as changed if the audit log does not contain the changes of the record
    (`logged` is false), or if the form contained no revision (`based_on` is 0).
    """
    if record.revision == based_on:
        return
    changes = changes_since(record, based_on)
    is_known = logged and based_on > 0
    changed = {change.field for change in changes} if is_known else set(yours)
    if changed & set(together):
        changed = changed | set(together)
    if any(theirs[field] != yours[field] for field in yours.keys() & changed):
        raise EditConflict(record, changes, {field: theirs[field] for field in yours}, yours)
