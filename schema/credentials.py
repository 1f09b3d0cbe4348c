"""Table of cloud credentials."""

from __future__ import annotations

from typing import Any

from peewee import AutoField, CharField, ForeignKeyField, JSONField, TextField

from schema.base import Table
from schema.columns import InstantField, now
from schema.tenancy import Scope


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
    """The secret ones, encrypted as one by `webapp.credentials.vault`."""
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
