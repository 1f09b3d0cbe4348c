"""Tables of the scope tree and of the people who hold roles in it."""

from __future__ import annotations

from functools import cached_property
from itertools import pairwise
from typing import Any

from peewee import SQL, AutoField, CharField, Check, ForeignKeyField, IntegerField
from playhouse.fields import EnumField

from schema.base import Prepared, Table
from schema.columns import InstantField, Level, Role, now


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
        # It may not be there itself: not yet saved, or deleted a moment ago.
        above = (scope for scope in _along(self.path) if scope.path != self.path)
        return _linked([self, *above])

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
        """With those above it, in one query."""
        found = _along(path)
        if not found or found[0].path != path:
            return None
        found[0].__dict__["lineage"] = _linked(found)
        return found[0]


def _along(path: str) -> list[Scope]:
    """The scope at `path` and those above it, as far as they exist, from there up to Scalr."""
    account, _, _ = path.partition("/")
    return sorted(_at_any(path, account, ""), key=lambda scope: -len(scope.path))


def _linked(chain: list[Scope]) -> list[Scope]:
    for lower, upper in pairwise(chain):
        lower.parent = upper
    return chain


_at_any = Prepared(lambda mark: Scope.select().where(Scope.path.in_([mark] * 3)))


Scope.add_index(
    Scope.index(Scope.level, unique=True, where=SQL("level = 'scalr'"), name="scope_one_scalr")
)


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
    columns = CharField(max_length=255, default="")
    """Those of the Images page that they chose, with blanks between; '' for the usual ones."""
    page_size = IntegerField(default=50)
    """Of the Images page."""
    created_at = InstantField(default=now)

    class Meta:
        constraints = (
            Check("theme IN ('system', 'light', 'dark')"),
            Check("page_size IN (25, 50, 100, 250)"),
        )


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
