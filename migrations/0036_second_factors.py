"""Store authenticator apps and recovery codes."""

from __future__ import annotations

from typing import Any

from peewee import (
    AutoField,
    BigIntegerField,
    CharField,
    Database,
    DateTimeField,
    ForeignKeyField,
    Model,
)


def up(_migrator: Any, db: Database) -> None:
    class Base(Model):
        class Meta:
            database = db
            legacy_table_names = False

    class Person(Base):
        id = AutoField()

    class Authenticator(Base):
        id = AutoField()
        person = ForeignKeyField(Person, unique=True, on_delete="CASCADE")
        secret = CharField(max_length=500)
        last_step = BigIntegerField()
        created_at = DateTimeField()

    class RecoveryCode(Base):
        id = AutoField()
        person = ForeignKeyField(Person, on_delete="CASCADE")
        digest = CharField(max_length=64, unique=True)

    db.create_tables([Authenticator, RecoveryCode])


def down(migrator: Any, _db: Database) -> None:
    migrator.migrate(migrator.drop_table("recovery_code"))
    migrator.migrate(migrator.drop_table("authenticator"))
