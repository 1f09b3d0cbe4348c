"""Store the keys of requests that clients may repeat, with the responses."""

from __future__ import annotations

from typing import Any

from peewee import AutoField, CharField, Database, DateTimeField, DoubleField, Model, TextField


def up(_migrator: Any, db: Database) -> None:
    class RepeatableRequest(Model):
        id = AutoField()
        owner = CharField(max_length=64)
        key_digest = CharField(max_length=64)
        request_digest = CharField(max_length=64)
        claim = CharField(max_length=32)
        claimed_until = DoubleField()
        answer = TextField(null=True)
        created_at = DateTimeField(index=True)

        class Meta:
            database = db
            legacy_table_names = False
            indexes = ((("owner", "key_digest"), True),)

    db.create_tables([RepeatableRequest])


def down(migrator: Any, _db: Database) -> None:
    migrator.migrate(migrator.drop_table("repeatable_request"))
