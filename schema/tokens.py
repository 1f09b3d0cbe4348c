"""Tables of API tokens and token rules. With a token, a program acts for a person or a scope."""

from __future__ import annotations

from peewee import (
    AutoField,
    BooleanField,
    CharField,
    ForeignKeyField,
    IntegerField,
    JSONField,
)
from playhouse.fields import EnumField

from schema.base import EditedTable
from schema.columns import InstantField, Role, now
from schema.tenancy import Person, Scope


class TokenRule(EditedTable):
    """A rule that says which ID tokens can be exchanged for an API token of a scope."""

    id = AutoField()
    scope_id: int
    created_by_id: int | None
    scope = ForeignKeyField(Scope, index=False, on_delete="CASCADE")
    name = CharField(max_length=48)
    issuer = CharField(max_length=255)
    """The URL of the provider, as in the claim `iss` of its ID tokens."""
    audience = CharField(max_length=255)
    claims = JSONField()
    """A pattern for each claim that the rule compares, by the name of the claim."""
    role = EnumField(Role, max_length=8)
    networks = JSONField(default=list)
    """The IP networks from which the rule and its tokens can be used. If the list is empty, there
    is no limit."""
    created_by = ForeignKeyField(Person, null=True, index=False, on_delete="SET NULL")
    """The creator. The rule works only while this person still has the right to create it."""
    made_with = CharField(max_length=12, default="")
    """The key of the API token with which the rule was created, or ''.

    The rule stops working when this token expires or is revoked.
    """
    created_at = InstantField(default=now)
    used_at = InstantField(null=True)

    class Meta:
        indexes = ((("scope", "name"), True),)


class ApiToken(EditedTable):
    """A token for the API. Revoking the token deletes the row.

    The text of the token is not stored, so nobody can use the API with the contents of the
    database.
    """

    id = AutoField()
    scope_id: int
    person_id: int
    created_by_id: int | None
    key = CharField(max_length=12, unique=True)
    """The public part of the text, which identifies the token. It is random and never reused."""
    name = CharField(max_length=64)
    is_personal = BooleanField()
    """Whether the token belongs to `person`. Otherwise, it belongs to `scope`."""
    person = ForeignKeyField(Person, index=False, on_delete="CASCADE")
    """The person for whom the token acts: its owner, or the service person of its scope."""
    scope = ForeignKeyField(Scope, on_delete="CASCADE")
    """The token works at this scope and at every scope below it."""
    role = EnumField(Role, max_length=8)
    """The role of the token at `scope`. A personal token never has more rights than its person."""
    networks = JSONField(default=list)
    """The IP networks from which the token can be used. If the list is empty, there is no limit."""
    sealed_key = CharField(max_length=500)
    """The random key of `mac`, encrypted by `webapp.credentials.vault`."""
    mac = CharField(max_length=64)
    """The HMAC-SHA-256 of the text, in hexadecimal digits."""
    previous_sealed_key = CharField(max_length=500, default="")
    """`sealed_key` before the last rotation, or ''."""
    previous_mac = CharField(max_length=64, default="")
    """`mac` before the last rotation, or ''."""
    rule_id = IntegerField(null=True, index=True)
    """The ID of the rule by which an ID token was exchanged for this token, or None.

    This is not a foreign key, because SQLite could not drop such a column in a downgrade.
    """
    created_by = ForeignKeyField(Person, null=True, index=False, on_delete="SET NULL")
    created_at = InstantField(default=now)
    rotated_at = InstantField(null=True)
    """When the token last got a new secret, or None."""
    expires_at = InstantField(index=True)
    used_at = InstantField(null=True)
    """About when the token was last used, to the hour; None if it was never used."""

    class Meta:
        indexes = ((("person", "scope", "name"), True),)
