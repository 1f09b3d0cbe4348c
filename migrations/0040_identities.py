"""Store the accounts of people at identity providers, and at which provider a session began.

`spent_state` contains digests that identify the used responses of providers. A response must not be
used again.
"""

from __future__ import annotations

from typing import Any

from peewee import AutoField, CharField, Database, DateTimeField, ForeignKeyField, Model

from webapp.database import online

atomic = False


def up(_migrator: Any, db: Database) -> None:
    class Base(Model):
        class Meta:
            database = db
            legacy_table_names = False

    class Person(Base):
        id = AutoField()

    class Identity(Base):
        id = AutoField()
        person = ForeignKeyField(Person, on_delete="CASCADE")
        issuer = CharField(max_length=255)
        subject = CharField(max_length=255)
        label = CharField(max_length=254)
        created_at = DateTimeField()
        used_at = DateTimeField(null=True)

        class Meta:
            indexes = ((("issuer", "subject"), True),)

    class SpentState(Base):
        digest = CharField(primary_key=True, max_length=64)
        at = DateTimeField(index=True)

    db.create_tables([Identity, SpentState])
    online.add_columns(db, "sign_in_session", {"provider": "VARCHAR(32) NOT NULL DEFAULT ''"})


def down(migrator: Any, db: Database) -> None:
    if "provider" in {column.name for column in db.get_columns("sign_in_session")}:
        online.change_table(db, "ALTER TABLE sign_in_session DROP COLUMN provider")
    migrator.migrate(migrator.drop_table("spent_state"))
    migrator.migrate(migrator.drop_table("identity"))
