"""Store API tokens, and store in jobs and audit entries which token was used."""

from __future__ import annotations

from typing import Any

from peewee import (
    AutoField,
    BooleanField,
    CharField,
    Database,
    DateTimeField,
    ForeignKeyField,
    IntegerField,
    JSONField,
    Model,
    SqliteDatabase,
)
from playhouse.sqlite_ext import AutoIncrementField

from webapp.database import online

atomic = False
COLUMNS = {
    "person": ("is_service", "BOOLEAN NOT NULL DEFAULT FALSE"),
    "job": ("token_key", "VARCHAR(12) NOT NULL DEFAULT ''"),
    "audit_entry": ("token_name", "VARCHAR(64) NOT NULL DEFAULT ''"),
}


def up(_migrator: Any, db: Database) -> None:
    # IDs are never reused, because entries of the audit log contain them.
    key = AutoIncrementField if isinstance(db, SqliteDatabase) else AutoField

    class Base(Model):
        id = key()

        class Meta:
            database = db
            legacy_table_names = False

    class Person(Base):
        pass

    class Scope(Base):
        pass

    class ApiToken(Base):
        revision = IntegerField()
        key = CharField(max_length=12, unique=True)
        name = CharField(max_length=64)
        is_personal = BooleanField()
        person = ForeignKeyField(Person, index=False, on_delete="CASCADE")
        scope = ForeignKeyField(Scope, on_delete="CASCADE")
        role = CharField(max_length=8)
        networks = JSONField()
        sealed_key = CharField(max_length=500)
        mac = CharField(max_length=64)
        created_by = ForeignKeyField(Person, null=True, index=False, on_delete="SET NULL")
        created_at = DateTimeField()
        rotated_at = DateTimeField(null=True)
        expires_at = DateTimeField(index=True)
        used_at = DateTimeField(null=True)

        class Meta:
            indexes = ((("person", "scope", "name"), True),)

    for table, (name, kind) in COLUMNS.items():
        online.add_columns(db, table, {name: kind})
    db.create_tables([ApiToken])


def down(migrator: Any, db: Database) -> None:
    if db.table_exists("api_token"):
        migrator.migrate(migrator.drop_table("api_token"))
    for table, (name, _kind) in COLUMNS.items():
        if name in {column.name for column in db.get_columns(table)}:
            online.change_table(db, f"ALTER TABLE {table} DROP COLUMN {name}")
