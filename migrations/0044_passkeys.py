"""Store passkeys."""

from __future__ import annotations

from typing import Any

from peewee import (
    AutoField,
    BigIntegerField,
    CharField,
    Database,
    DateTimeField,
    ForeignKeyField,
    JSONField,
    Model,
)


def up(_migrator: Any, db: Database) -> None:
    class Base(Model):
        class Meta:
            database = db
            legacy_table_names = False

    class Person(Base):
        id = AutoField()

    class Passkey(Base):
        id = AutoField()
        person = ForeignKeyField(Person, on_delete="CASCADE")
        name = CharField(max_length=64)
        credential = CharField(max_length=1364, unique=True)
        public_key = CharField(max_length=2000)
        user_handle = CharField(max_length=86)
        sign_count = BigIntegerField()
        transports = JSONField()
        created_at = DateTimeField()
        used_at = DateTimeField(null=True)

    db.create_tables([Passkey])


def down(migrator: Any, _db: Database) -> None:
    migrator.migrate(migrator.drop_table("passkey"))
