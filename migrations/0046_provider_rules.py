"""Store the rules that give roles to people who sign in at identity providers."""

from __future__ import annotations

from typing import Any

from peewee import (
    AutoField,
    CharField,
    Database,
    DateTimeField,
    ForeignKeyField,
    IntegerField,
    Model,
    SqliteDatabase,
)
from playhouse.sqlite_ext import AutoIncrementField


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

    class ProviderRule(Base):
        revision = IntegerField()
        issuer = CharField(max_length=255)
        scope = ForeignKeyField(Scope, on_delete="CASCADE")
        claim = CharField(max_length=200)
        value = CharField(max_length=200)
        role = CharField(max_length=8)
        created_by = ForeignKeyField(Person, null=True, index=False, on_delete="SET NULL")
        created_at = DateTimeField()

        class Meta:
            indexes = ((("issuer", "scope", "claim", "value"), True),)

    db.create_tables([ProviderRule])


def down(migrator: Any, _db: Database) -> None:
    migrator.migrate(migrator.drop_table("provider_rule"))
