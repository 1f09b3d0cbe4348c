"""Store the names of scopes, credentials, views and people in Unicode form NFC, with single spaces.

Names are compared in this form. A name that already has this form does not change. If two names
that must differ become equal, one of the names gets a number, for example “Prod (2)”. The log of
the migration lists each record whose name gets a number. The audit log also lists these records,
except private views.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Any

from peewee import (
    AutoField,
    BooleanField,
    CharField,
    Database,
    DateTimeField,
    IntegerField,
    JSONField,
    Model,
)

from webapp.database import online

atomic = False
log = logging.getLogger(__name__)

BLANKS = re.compile(r"[\t\u2028\u2029\u2800\u3164\uffa0]|[^\S\x0a-\x0d\x1c-\x1f\x85]")
ACTIONS = {"cloud_credentials": "credentials.edit", "saved_view": "view.edit"}
WITHOUT_WIDTH = re.compile("[\xad\u180e\u200b\u2060-\u2064\ufeff]")


def up(_migrator: Any, db: Database) -> None:
    scope, credentials, view, person, image, entry = _tables(db)
    for table, unique_within in (
        (scope, ("parent_id",)),
        (credentials, ("scope_id",)),
        (view, ("scope_id", "person_id")),
    ):
        # The oldest record is renamed first, so that it gets no number if possible.
        for row in sorted(_changed(table), key=lambda row: row.id):
            with online.write_transaction(db):
                _rename(table, unique_within, row, entry, scope)
    for row in _changed(person):
        person.update(name=_line(row.name)[:128]).where(person.id == row.id).execute()
    for column in (image.registered_by_name, image.credentials_name):
        for (name,) in list(image.select(column).distinct().tuples()):
            if _line(name) not in {"", name}:
                _replace_name(db, column, name)


def _replace_name(db: Database, column: Any, name: str) -> None:
    image, line = column.model, _line(name)[: column.max_length]

    def replace(ids: Sequence[int]) -> None:
        same = image.id.in_(ids) & (column == name)
        image.update({column: line}).where(same).execute()

    online.in_batches(
        db, "image", replace, where=f"{column.column_name} = {db.param}", params=[name]
    )


def down(_migrator: Any, _db: Database) -> None:
    """Leave the names as they are: older versions can read them."""


def _changed(table: Any) -> list[Any]:
    return [row for row in table.select() if _line(row.name) not in {"", row.name}]


def _line(text: str) -> str:
    text = WITHOUT_WIDTH.sub("", unicodedata.normalize("NFC", text))
    return " ".join(part for part in BLANKS.sub(" ", text).strip(" \r\n").split(" ") if part)


def _rename(table: Any, unique_within: tuple[str, ...], row: Any, entry: Any, scope: Any) -> None:
    """Store the normalized name of a record, with a number if another record has this name.

    Two records with the same values in the columns `unique_within` must have different names.
    """
    max_length = table.name.max_length
    normalized = name = _line(row.name)[:max_length]
    same_values = [getattr(table, column) == getattr(row, column) for column in unique_within]
    for number in count(2):
        if not table.select().where(table.name == name, *same_values).exists():
            break
        ending = f" ({number})"
        name = normalized[: max_length - len(ending)] + ending
    values = {"name": name, "revision": row.revision + 1}
    table.update(values).where(table.id == row.id).execute()
    if name == normalized:
        return
    kind = table._meta.table_name  # noqa: SLF001
    log.warning("%s %s was renamed to “%s”, because “%s” exists", kind, row.id, name, normalized)
    if kind == "saved_view" and not row.shared:
        return  # Nobody else sees the view, so the audit log has no entries about it.
    owner = row.id if kind == "scope" else row.scope_id
    entry.insert(
        at=datetime.now(UTC).replace(tzinfo=None),
        scope_id=owner,
        scope_label=scope.select(scope.name).where(scope.id == owner).scalar() or "",
        person_name="Upgrade",
        action=f"{row.level}.rename" if kind == "scope" else ACTIONS[kind],
        subject=name,
        record=f"{kind}:{row.id}",
        revision=values["revision"],
        changes={"name": [row.name, name]},
    ).execute()


def _tables(db: Database) -> tuple[Any, ...]:
    class Base(Model):
        id = AutoField()

        class Meta:
            database = db
            legacy_table_names = False

    class Scope(Base):
        level = CharField()
        parent_id = IntegerField(null=True)
        name = CharField(max_length=64)
        revision = IntegerField()

    class CloudCredentials(Base):
        scope_id = IntegerField()
        name = CharField(max_length=64)
        revision = IntegerField()

    class SavedView(Base):
        scope_id = IntegerField()
        person_id = IntegerField()
        name = CharField(max_length=60)
        shared = BooleanField()
        revision = IntegerField()

    class Person(Base):
        name = CharField(max_length=128)

    class Image(Base):
        registered_by_name = CharField(max_length=254)
        credentials_name = CharField(max_length=64)

    class AuditEntry(Base):
        at = DateTimeField()
        scope_id = IntegerField(null=True)
        scope_label = CharField(max_length=160)
        person_name = CharField(max_length=254)
        action = CharField(max_length=48)
        subject = CharField(max_length=255)
        record = CharField(max_length=48)
        revision = IntegerField(null=True)
        changes = JSONField()

    return Scope, CloudCredentials, SavedView, Person, Image, AuditEntry
