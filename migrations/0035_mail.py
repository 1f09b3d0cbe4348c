"""Add the outbox and the links that reset passwords, and store when an address was verified."""

from __future__ import annotations

from typing import Any

from peewee import (
    AutoField,
    BooleanField,
    CharField,
    Database,
    DateTimeField,
    DoubleField,
    ForeignKeyField,
    IntegerField,
    JSONField,
    Model,
    SqliteDatabase,
)

from webapp.database import online

atomic = False


def up(_migrator: Any, db: Database) -> None:
    class Person(Model):
        id = AutoField()

        class Meta:
            database = db

    class Invitation(Model):
        id = AutoField()

        class Meta:
            database = db

    class OutgoingMail(Model):
        id = AutoField()
        kind = CharField(max_length=32)
        key = CharField(max_length=32)
        recipient = CharField(max_length=254)
        invitation = ForeignKeyField(Invitation, null=True, on_delete="CASCADE")
        details = JSONField()
        created_at = DateTimeField()
        expires_at = DateTimeField()
        attempts = IntegerField()
        next_attempt_at = DoubleField(index=True)
        refused = BooleanField()
        error = CharField(max_length=255)

        class Meta:
            database = db
            legacy_table_names = False

    class PasswordReset(Model):
        id = AutoField()
        person = ForeignKeyField(Person, on_delete="CASCADE")
        token_digest = CharField(max_length=64, unique=True)
        expires_at = DateTimeField()

        class Meta:
            database = db
            legacy_table_names = False

    instant = "DATETIME" if isinstance(db, SqliteDatabase) else "TIMESTAMP"
    online.add_columns(db, "person", {"email_proved_at": instant})
    online.add_columns(db, "invitation", {"mailed": "BOOLEAN NOT NULL DEFAULT FALSE"})
    db.create_tables([OutgoingMail, PasswordReset])


def down(migrator: Any, _db: Database) -> None:
    migrator.migrate(
        migrator.drop_table("password_reset"),
        migrator.drop_table("outgoing_mail"),
        migrator.drop_column("invitation", "mailed"),
        migrator.drop_column("person", "email_proved_at"),
    )
