"""Add rules to exchange ID tokens for API tokens. Let the API recognize a token's previous text."""

from __future__ import annotations

from typing import Any

from peewee import (
    AutoField,
    CharField,
    Database,
    DateTimeField,
    ForeignKeyField,
    IntegerField,
    JSONField,
    Model,
    SqliteDatabase,
)
from playhouse.sqlite_ext import AutoIncrementField

from webapp.database import indexes, online

atomic = False
INDEX = "api_token_rule_id"
COLUMNS = {
    "previous_sealed_key": "VARCHAR(500) NOT NULL DEFAULT ''",
    "previous_mac": "VARCHAR(64) NOT NULL DEFAULT ''",
    "rule_id": "INTEGER",
}


def up(_migrator: Any, db: Database) -> None:
    # IDs are never reused, because entries of the audit log contain them.
    key = AutoIncrementField if isinstance(db, SqliteDatabase) else AutoField

    class Base(Model):
        id = key()

        class Meta:
            database = db
            legacy_table_names = False

    class Person(Base):
        pass

    class Scope(Base):
        pass

    class TokenRule(Base):
        revision = IntegerField()
        scope = ForeignKeyField(Scope, index=False, on_delete="CASCADE")
        name = CharField(max_length=48)
        issuer = CharField(max_length=255)
        audience = CharField(max_length=255)
        claims = JSONField()
        role = CharField(max_length=8)
        networks = JSONField()
        created_by = ForeignKeyField(Person, null=True, index=False, on_delete="SET NULL")
        made_with = CharField(max_length=12)
        created_at = DateTimeField()
        used_at = DateTimeField(null=True)

        class Meta:
            indexes = ((("scope", "name"), True),)

    db.create_tables([TokenRule])
    online.add_columns(db, "api_token", COLUMNS)
    indexes.create_index(db, INDEX, "api_token (rule_id)")


def down(migrator: Any, db: Database) -> None:
    indexes.drop_index(db, INDEX)
    present = {column.name for column in db.get_columns("api_token")}
    if "rule_id" in present:  # An older version would list these tokens.
        db.execute_sql("DELETE FROM api_token WHERE rule_id IS NOT NULL")
    for name in COLUMNS:
        if name in present:
            online.change_table(db, f"ALTER TABLE api_token DROP COLUMN {name}")
    if db.table_exists("token_rule"):
        migrator.migrate(migrator.drop_table("token_rule"))
