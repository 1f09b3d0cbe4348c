"""Store the messages that pages show for a few seconds, so that a person can read them again."""

from __future__ import annotations

from typing import Any

from peewee import (
    AutoField,
    CharField,
    Database,
    DateTimeField,
    ForeignKeyField,
    JSONField,
    Model,
)


def up(_migrator: Any, db: Database) -> None:
    class Person(Model):
        id = AutoField()

        class Meta:
            database = db

    class Scope(Model):
        id = AutoField()

        class Meta:
            database = db

    class Notice(Model):
        id = AutoField()
        person = ForeignKeyField(Person, index=False, on_delete="CASCADE")
        scope = ForeignKeyField(Scope, null=True, on_delete="CASCADE")
        at = DateTimeField(index=True)
        kind = CharField(max_length=8)
        text = CharField(max_length=1000)
        links = JSONField()

        class Meta:
            database = db
            legacy_table_names = False
            indexes = ((("person", "id"), False),)

    db.create_tables([Notice])


def down(migrator: Any, _db: Database) -> None:
    migrator.migrate(migrator.drop_table("notice"))
