"""Store which process does which work in the background."""

from __future__ import annotations

from typing import Any

from peewee import CharField, Database, DoubleField, Model


def up(_migrator: Any, db: Database) -> None:
    class Lease(Model):
        name = CharField(primary_key=True, max_length=64)
        token = CharField(max_length=32)
        expires_at = DoubleField()

        class Meta:
            database = db
            legacy_table_names = False

    db.create_tables([Lease])


def down(migrator: Any, _db: Database) -> None:
    migrator.migrate(migrator.drop_table("lease"))
