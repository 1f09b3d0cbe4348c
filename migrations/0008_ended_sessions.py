"""Store the sessions that people ended by signing out."""

from __future__ import annotations

from typing import Any

from peewee import CharField, Database, DateTimeField, Model


def up(_migrator: Any, db: Database) -> None:
    class EndedSession(Model):
        token = CharField(primary_key=True, max_length=64)
        ended_at = DateTimeField(index=True)

        class Meta:
            database = db
            legacy_table_names = False

    db.create_tables([EndedSession])


def down(migrator: Any, _db: Database) -> None:
    migrator.migrate(migrator.drop_table("ended_session"))
