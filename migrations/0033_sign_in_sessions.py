"""Store the sessions of the people who have signed in.

The table `ended_session` and the column `person.session_key` stay, because servers of the older
version use them during an upgrade.
"""

from __future__ import annotations

from typing import Any

from peewee import AutoField, CharField, Database, DateTimeField, ForeignKeyField, Model


def up(_migrator: Any, db: Database) -> None:
    class Person(Model):
        id = AutoField()

        class Meta:
            database = db

    class SignInSession(Model):
        id = AutoField()
        digest = CharField(max_length=64, unique=True)
        person = ForeignKeyField(Person, on_delete="CASCADE")
        session_key = CharField(max_length=64)
        kind = CharField(max_length=16)
        address = CharField(max_length=45)
        browser = CharField(max_length=64)
        created_at = DateTimeField()
        seen_at = DateTimeField()

        class Meta:
            database = db
            legacy_table_names = False

    db.create_tables([SignInSession])


def down(migrator: Any, _db: Database) -> None:
    migrator.migrate(migrator.drop_table("sign_in_session"))
