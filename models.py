"""The tables, their constraints, and the queries that belong to one table.

Knows Peewee and nothing of Flask, of a cloud's SDK, or of a form. What a column may hold is said
here and enforced by the database; rules that span rows live in the use cases under `webapp/`.
"""

from __future__ import annotations

import enum
from datetime import UTC, datetime
from functools import cached_property
from itertools import pairwise
from typing import Any

from peewee import (
    SQL,
    AutoField,
    BooleanField,
    CharField,
    Check,
    DatabaseProxy,
    DataError,
    DateTimeField,
    ForeignKeyField,
    IntegerField,
    IntegrityError,
    JSONField,
    Model,
    SqliteDatabase,
    TextField,
)
from playhouse.fields import EnumField

database = DatabaseProxy()

DATABASE_REFUSALS = (IntegrityError, DataError)
"""A broken constraint; PostgreSQL calls a text that is too long an error of data."""


def transaction() -> Any:
    """A writing transaction. SQLite takes its write lock at the start, so that two writers wait
    for each other; one that starts as a reader would fail at its first write instead."""
    if isinstance(database.obj, SqliteDatabase):
        return database.atomic("IMMEDIATE")
    return database.atomic()


def now() -> datetime:
    """The present instant, in UTC, in whole seconds: nothing here happens faster than a person
    clicks, and whole seconds read the same on every database."""
    return datetime.now(UTC).replace(microsecond=0)


class InstantField(DateTimeField):
    """An instant: stored in UTC without a zone, given and taken as an aware datetime."""

    def db_value(self, value: datetime | None) -> Any:
        if value is None:
            return None
        stored = value.astimezone(UTC).replace(tzinfo=None)
        return super().db_value(stored)  # type: ignore[no-untyped-call]

    def python_value(self, value: Any) -> datetime | None:
        stored = super().python_value(value)  # type: ignore[no-untyped-call]
        return None if stored is None else stored.replace(tzinfo=UTC)


class Level(enum.StrEnum):
    """The three levels of scope, from the top."""

    SCALR = "scalr"
    ACCOUNT = "account"
    ENVIRONMENT = "environment"

    @property
    def below(self) -> Level | None:
        """The level of the scopes directly below one of this level."""
        return {Level.SCALR: Level.ACCOUNT, Level.ACCOUNT: Level.ENVIRONMENT}.get(self)


class Role(enum.StrEnum):
    """What a person is at a scope, and so at every scope below it. From the least up."""

    VIEWER = "viewer"
    EDITOR = "editor"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        return list(Role).index(self)


class Table(Model):
    """The base of all. The tables are made by `migrations/`, never from these classes; a foreign
    key that a longer index begins with has none of its own."""

    class Meta:
        database = database
        legacy_table_names = False


class Scope(Table):
    """A node of the tree Scalr > Account > Environment. Every record belongs to exactly one."""

    id = AutoField()
    parent_id: int | None
    level = EnumField(Level, max_length=16)
    parent = ForeignKeyField("self", null=True, index=False, on_delete="CASCADE")
    path = CharField(max_length=129, unique=True)
    """'' for Scalr, 'acme', 'acme/production'. Given at creation and kept for good, so that a
    bookmark survives a renaming."""
    name = CharField(max_length=64)
    created_at = InstantField(default=now)

    class Meta:
        indexes = ((("parent", "name"), True),)
        constraints = (Check("(level = 'scalr') = (parent_id IS NULL)"),)

    @property
    def label(self) -> str:
        """How people call it: 'Scalr', 'Account acme', 'Environment acme / production'."""
        if self.level is Level.SCALR:
            return "Scalr"
        if self.level is Level.ACCOUNT:
            return f"Account {self.name}"
        return f"Environment {self.parent.name} / {self.name}"

    @cached_property
    def lineage(self) -> list[Scope]:
        """This scope and those above it, from here up to Scalr; one query at the most."""
        if self.parent_id is None:
            return [self]
        parts = self.path.split("/")
        paths = ["/".join(parts[:length]) for length in range(len(parts) - 1, -1, -1)]
        above = {scope.path: scope for scope in Scope.select().where(Scope.path.in_(paths))}
        chain = [self, *(above[path] for path in paths)]
        for lower, upper in pairwise(chain):
            lower.parent = upper
        return chain

    @property
    def above(self) -> list[int]:
        """The ids of the scopes above, from the nearest up."""
        return [scope.id for scope in self.lineage[1:]]

    def subtree(self) -> Any:
        """A query for this scope and every scope below it."""
        if self.path == "":
            return Scope.select()
        below = Scope.path.startswith(f"{self.path}/")
        return Scope.select().where((Scope.path == self.path) | below)

    @classmethod
    def at(cls, path: str) -> Scope | None:
        return cls.get_or_none(cls.path == path)


class Person(Table):
    """Somebody who signs in."""

    id = AutoField()
    email = CharField(max_length=254, unique=True)
    """In lower case."""
    name = CharField(max_length=128)
    password_hash = CharField(max_length=255)
    session_key = CharField(max_length=64)
    """Part of every session's cookie; a new one ends them all."""
    theme = CharField(max_length=8, default="system")
    created_at = InstantField(default=now)

    class Meta:
        constraints = (Check("theme IN ('system', 'light', 'dark')"),)


class Membership(Table):
    """A role that a person holds at a scope and below it."""

    id = AutoField()
    person_id: int
    scope_id: int
    person = ForeignKeyField(Person, index=False, on_delete="CASCADE")
    scope = ForeignKeyField(Scope, on_delete="CASCADE")
    role = EnumField(Role, max_length=8)
    created_at = InstantField(default=now)

    class Meta:
        indexes = ((("person", "scope"), True),)


class Invitation(Table):
    """A one-time link to a role. Only a digest of the link's token is kept."""

    id = AutoField()
    scope_id: int
    scope = ForeignKeyField(Scope, index=False, on_delete="CASCADE")
    email = CharField(max_length=254)
    role = EnumField(Role, max_length=8)
    token_digest = CharField(max_length=64, unique=True)
    invited_by = ForeignKeyField(Person, null=True, on_delete="SET NULL")
    created_at = InstantField(default=now)
    expires_at = InstantField()

    class Meta:
        indexes = ((("scope", "email"), True),)


class CloudCredentials(Table):
    """How to log in to one cloud. Owned by a scope; usable there and below, never above."""

    id = AutoField()
    scope_id: int
    scope = ForeignKeyField(Scope, index=False, on_delete="CASCADE")
    cloud = CharField(max_length=32)
    name = CharField(max_length=64)
    settings = JSONField()
    """The fields that are no secret."""
    secrets = TextField()
    """The secret ones, encrypted as one by `webapp.vault`."""
    account = CharField(max_length=128, default="")
    """Whom the cloud took us for when it was last asked; '' if it never was."""
    checked_at = InstantField(null=True)
    created_at = InstantField(default=now)

    class Meta:
        indexes = ((("scope", "name"), True),)

    @classmethod
    def usable_at(cls, scope: Scope) -> Any:
        """The condition for credentials that `scope` owns or inherits."""
        return cls.scope.in_([scope.id, *scope.above])


class Image(Table):
    """Our record of one cloud image. The five fields of the unique index are its identity."""

    id = AutoField()
    scope_id: int
    credentials_id: int | None
    scope = ForeignKeyField(Scope, index=False, on_delete="CASCADE")
    cloud = CharField(max_length=32)
    location = CharField(max_length=128, default="")
    cloud_image_id = CharField(max_length=512)
    compute_resource = CharField(max_length=255, default="")
    """'' stands for none in every one of these: NULLs are never equal in a unique index."""

    name = CharField(max_length=255)
    os_family = CharField(max_length=64)
    os_version = CharField(max_length=64)
    os_version_key = CharField(max_length=64, default="")
    """Sorts versions as numbers: `webapp.operating_systems.version_key`."""
    size_gb = IntegerField(null=True)
    agent_installed = BooleanField()
    shared = BooleanField()

    description = TextField(default="")
    architecture = CharField(max_length=32, default="")
    state = CharField(max_length=16)
    """A `webapp.clouds.base.ImageState`."""
    details = JSONField()
    """All that the cloud said when it was last read: `ImageDetails.to_json`."""

    credentials = ForeignKeyField(CloudCredentials, null=True, on_delete="SET NULL")
    credentials_name = CharField(max_length=64)
    """Outlives the credentials."""
    registered_by = ForeignKeyField(Person, null=True, on_delete="SET NULL")
    registered_by_name = CharField(max_length=254)
    registered_at = InstantField(default=now)
    checked_at = InstantField(default=now)

    class Meta:
        indexes = (
            (("scope", "cloud", "location", "cloud_image_id", "compute_resource"), True),
            (("scope", "registered_at"), False),
            (("cloud", "cloud_image_id"), False),
        )
        constraints = (
            Check("size_gb IS NULL OR size_gb >= 1"),
            Check("length(name) BETWEEN 2 AND 255"),
        )

    @classmethod
    def seen_from(cls, scope: Scope) -> Any:
        """The condition for images that `scope` owns or inherits."""
        return (cls.scope == scope.id) | (cls.scope.in_(scope.above) & cls.shared)

    @property
    def same_cloud_image(self) -> Any:
        """The condition for records of the same cloud image, at any scope."""
        return (
            (Image.cloud == self.cloud)
            & (Image.location == self.location)
            & (Image.cloud_image_id == self.cloud_image_id)
        )

    @property
    def identity(self) -> Any:
        """The condition for records that would be the same as this one, at any scope."""
        return self.same_cloud_image & (Image.compute_resource == self.compute_resource)


class BookmarkBar(Table):
    """The bookmarks that a person keeps at a scope, in order. No row: the default ones."""

    id = AutoField()
    person = ForeignKeyField(Person, index=False, on_delete="CASCADE")
    scope = ForeignKeyField(Scope, on_delete="CASCADE")
    items = JSONField()
    """[{"label": "Images", "path": "images?cloud=aws"}, …], the path relative to the scope."""

    class Meta:
        indexes = ((("person", "scope"), True),)


class AuditEntry(Table):
    """Who changed what, when, from what to what. Written with the change, never changed."""

    id = AutoField()
    at = InstantField(default=now)
    scope = ForeignKeyField(Scope, null=True, index=False, on_delete="SET NULL")
    scope_label = CharField(max_length=160)
    """Outlives the scope."""
    person = ForeignKeyField(Person, null=True, on_delete="SET NULL")
    person_name = CharField(max_length=254)
    action = CharField(max_length=48)
    """`noun.verb`: image.register, credentials.edit, member.remove."""
    subject = CharField(max_length=255)
    """The name of what was changed, at that time."""
    image_id = IntegerField(null=True)
    """For entries about an image, which the entry outlives: no foreign key."""
    changes = JSONField()
    """{"field": [from, to], …}; for a secret, only that it changed."""

    class Meta:
        indexes = ((("scope", "at"), False), (("image_id", "at"), False))


Scope.add_index(
    Scope.index(Scope.level, unique=True, where=SQL("level = 'scalr'"), name="scope_one_scalr")
)

TABLES = (
    Scope,
    Person,
    Membership,
    Invitation,
    CloudCredentials,
    Image,
    BookmarkBar,
    AuditEntry,
)
