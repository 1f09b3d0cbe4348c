"""The first schema: scopes, people and their roles, cloud credentials, images, bookmarks, audit."""

from __future__ import annotations

from typing import Any

from peewee import (
    SQL,
    AutoField,
    BooleanField,
    CharField,
    Check,
    Database,
    DateTimeField,
    ForeignKeyField,
    IntegerField,
    JSONField,
    Model,
    Node,
    SqliteDatabase,
    TextField,
)
from playhouse.sqlite_ext import AutoIncrementField

TABLES = (
    "audit_entry",
    "bookmark_bar",
    "image",
    "cloud_credentials",
    "invitation",
    "membership",
    "person",
    "scope",
)


def up(_migrator: Any, db: Database) -> None:
    scope, person = _create_scopes_and_people(db)
    credentials = _create_credentials(db, scope)
    _create_images(db, scope, person, credentials)
    _create_bookmarks_and_audit(db, scope, person)


def down(migrator: Any, _db: Database) -> None:
    migrator.migrate(*(migrator.drop_table(name) for name in TABLES))


def _base_class(db: Database) -> type[Model]:
    """Return the base class of the tables, whose IDs are never reused.

    If an ID were reused, an old URL or audit entry would point to the wrong record. PostgreSQL's
    sequences never reuse an ID. SQLite needs AUTOINCREMENT.
    """
    key = AutoIncrementField if isinstance(db, SqliteDatabase) else AutoField

    class Base(Model):
        id = key()

        class Meta:
            database = db
            legacy_table_names = False

    return Base


def _byte_order(db: Database) -> list[Node]:
    """Return the constraints that make a column sort by bytes.

    SQLite always sorts by bytes. On PostgreSQL, other collations than "C" can ignore punctuation.
    """
    return [] if isinstance(db, SqliteDatabase) else [SQL('COLLATE "C"')]


def _create_scopes_and_people(db: Database) -> tuple[type[Model], type[Model]]:
    class Scope(_base_class(db)):  # type: ignore[misc]
        level = CharField(max_length=16)
        parent = ForeignKeyField("self", null=True, index=False, on_delete="CASCADE")
        path = CharField(max_length=129, unique=True)
        name = CharField(max_length=64)
        created_at = DateTimeField()

        class Meta:
            indexes = ((("parent", "name"), True),)
            constraints = (
                Check("level IN ('scalr', 'account', 'environment')"),
                Check("(level = 'scalr') = (parent_id IS NULL)"),
            )

    Scope.add_index(
        Scope.index(Scope.level, unique=True, where=SQL("level = 'scalr'"), name="scope_one_scalr")
    )

    class Person(_base_class(db)):  # type: ignore[misc]
        email = CharField(max_length=254, unique=True)
        name = CharField(max_length=128)
        password_hash = CharField(max_length=255)
        session_key = CharField(max_length=64)
        theme = CharField(max_length=8)
        created_at = DateTimeField()

        class Meta:
            constraints = (Check("theme IN ('system', 'light', 'dark')"),)

    class Membership(_base_class(db)):  # type: ignore[misc]
        person = ForeignKeyField(Person, index=False, on_delete="CASCADE")
        scope = ForeignKeyField(Scope, on_delete="CASCADE")
        role = CharField(max_length=8)
        created_at = DateTimeField()

        class Meta:
            indexes = ((("person", "scope"), True),)
            constraints = (Check("role IN ('viewer', 'editor', 'admin')"),)

    class Invitation(_base_class(db)):  # type: ignore[misc]
        scope = ForeignKeyField(Scope, index=False, on_delete="CASCADE")
        email = CharField(max_length=254)
        role = CharField(max_length=8)
        token_digest = CharField(max_length=64, unique=True)
        invited_by = ForeignKeyField(Person, null=True, on_delete="SET NULL")
        created_at = DateTimeField()
        expires_at = DateTimeField()

        class Meta:
            indexes = ((("scope", "email"), True),)
            constraints = (Check("role IN ('viewer', 'editor', 'admin')"),)

    db.create_tables([Scope, Person, Membership, Invitation])
    return Scope, Person


def _create_credentials(db: Database, scope: type[Model]) -> type[Model]:
    class CloudCredentials(_base_class(db)):  # type: ignore[misc]
        cloud = CharField(max_length=32)
        name = CharField(max_length=64)
        settings = JSONField()
        secrets = TextField()
        account = CharField(max_length=128)
        checked_at = DateTimeField(null=True)
        created_at = DateTimeField()
        scope_ = ForeignKeyField(scope, column_name="scope_id", index=False, on_delete="CASCADE")

        class Meta:
            indexes = ((("scope_", "name"), True),)

    db.create_tables([CloudCredentials])
    return CloudCredentials


def _create_images(
    db: Database, scope: type[Model], person: type[Model], credentials: type[Model]
) -> None:
    class Image(_base_class(db)):  # type: ignore[misc]
        scope_ = ForeignKeyField(scope, column_name="scope_id", index=False, on_delete="CASCADE")
        cloud = CharField(max_length=32)
        location = CharField(max_length=128)
        cloud_image_id = CharField(max_length=512)
        compute_resource = CharField(max_length=255)
        name = CharField(max_length=255)
        os_family = CharField(max_length=64)
        os_version = CharField(max_length=64)
        os_version_key = CharField(max_length=64, constraints=_byte_order(db))
        size_gb = IntegerField(null=True)
        agent_installed = BooleanField()
        shared = BooleanField()
        description = TextField()
        architecture = CharField(max_length=32)
        state = CharField(max_length=16)
        details = JSONField()
        credentials_ = ForeignKeyField(
            credentials, column_name="credentials_id", null=True, on_delete="SET NULL"
        )
        credentials_name = CharField(max_length=64)
        registered_by = ForeignKeyField(person, null=True, on_delete="SET NULL")
        registered_by_name = CharField(max_length=254)
        registered_at = DateTimeField()
        checked_at = DateTimeField()

        class Meta:
            indexes = (
                (("scope_", "cloud", "location", "cloud_image_id", "compute_resource"), True),
                (("scope_", "registered_at"), False),
                (("cloud", "cloud_image_id"), False),
            )
            constraints = (
                Check("size_gb IS NULL OR size_gb >= 1"),
                Check("length(name) BETWEEN 2 AND 255"),
            )

    db.create_tables([Image])


def _create_bookmarks_and_audit(db: Database, scope: type[Model], person: type[Model]) -> None:
    class BookmarkBar(_base_class(db)):  # type: ignore[misc]
        person_ = ForeignKeyField(person, column_name="person_id", index=False, on_delete="CASCADE")
        scope_ = ForeignKeyField(scope, column_name="scope_id", on_delete="CASCADE")
        items = JSONField()

        class Meta:
            indexes = ((("person_", "scope_"), True),)

    class AuditEntry(_base_class(db)):  # type: ignore[misc]
        at = DateTimeField()
        scope_ = ForeignKeyField(
            scope, column_name="scope_id", null=True, index=False, on_delete="SET NULL"
        )
        scope_label = CharField(max_length=160)
        person_ = ForeignKeyField(person, column_name="person_id", null=True, on_delete="SET NULL")
        person_name = CharField(max_length=254)
        action = CharField(max_length=48)
        subject = CharField(max_length=255)
        image_id = IntegerField(null=True)
        changes = JSONField()

        class Meta:
            indexes = ((("scope_", "at"), False), (("image_id", "at"), False))

    db.create_tables([BookmarkBar, AuditEntry])
