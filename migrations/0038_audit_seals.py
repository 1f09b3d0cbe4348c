"""Store the seals of the audit log. A seal shows whether its entries were changed later."""

from __future__ import annotations

from typing import Any

from peewee import CharField, Database, IntegerField, Model, TextField


def up(_migrator: Any, db: Database) -> None:
    class AuditSeal(Model):
        number = IntegerField(primary_key=True)
        first_id = IntegerField()
        last_id = IntegerField()
        entry_count = IntegerField()
        fingerprints = TextField()
        digest = CharField(max_length=64)
        key_id = CharField(max_length=16)
        mac = CharField(max_length=64)

        class Meta:
            database = db
            legacy_table_names = False

    db.create_tables([AuditSeal])


def down(migrator: Any, _db: Database) -> None:
    migrator.migrate(migrator.drop_table("audit_seal"))
