"""Table of cloud credentials."""

from __future__ import annotations

from typing import Any

from peewee import AutoField, CharField, ForeignKeyField, JSONField, TextField

from schema.base import EditedTable
from schema.columns import InstantField, now
from schema.tenancy import Scope


class CloudCredentials(EditedTable):
    """Credentials for one cloud. The scope that owns them and the scopes below it can use them."""

    id = AutoField()
    scope_id: int
    scope = ForeignKeyField(Scope, index=False, on_delete="CASCADE")
    cloud = CharField(max_length=32)
    name = CharField(max_length=64)
    settings = JSONField()
    """The fields that are not secret."""
    secrets = TextField()
    """The secret fields, encrypted together by `webapp.credentials.vault`."""
    account = CharField(max_length=128, default="")
    """The cloud account that the last check reported. '' if the values were never checked."""
    checked_at = InstantField(null=True)
    created_at = InstantField(default=now)

    class Meta:
        indexes = ((("scope", "name"), True),)

    @classmethod
    def usable_at(cls, scope: Scope) -> Any:
        """Return the query condition for credentials that `scope` owns or inherits."""
        return cls.scope.in_([scope.id, *scope.above])

    def store_secrets(self) -> None:
        """Store the re-encrypted secrets.

        The caller must have locked the row in its transaction. The revision stays the same, because
        no person has changed the credentials.
        """
        table = type(self)
        table.update(secrets=self.secrets).where(table.id == self.id).execute()
