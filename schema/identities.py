"""Tables of single sign-on: the accounts of people at identity providers, and role rules."""

from __future__ import annotations

from peewee import SQL, AutoField, BooleanField, CharField, ForeignKeyField
from playhouse.fields import EnumField

from schema.base import EditedTable, Table
from schema.columns import InstantField, Role, now
from schema.tenancy import Person, Scope


class Identity(Table):
    """An account at an identity provider. A person can sign in to the registry with this account.

    The issuer and the subject identify the account. Its e-mail address does not identify the
    account, because the provider can give the address to somebody else.
    """

    id = AutoField()
    person_id: int
    person = ForeignKeyField(Person, on_delete="CASCADE")
    issuer = CharField(max_length=255)
    subject = CharField(max_length=255)
    label = CharField(max_length=254)
    """The e-mail address or name at the provider when the account was last used. Pages show it."""
    created_at = InstantField(default=now)
    used_at = InstantField(null=True)
    """When the person last signed in with the account, or None."""
    used_factor = BooleanField(default=False, constraints=[SQL("DEFAULT FALSE")])
    """Whether the person used a second factor at the provider when they last signed in there."""

    class Meta:
        indexes = ((("issuer", "subject"), True),)


class ProviderRule(EditedTable):
    """A rule that gives a role at a scope to some people who sign in at an identity provider.

    Like the rules in the operator's file (`webapp.single_sign_on`), it applies whenever somebody
    signs in at the provider.
    """

    id = AutoField()
    scope_id: int
    created_by_id: int | None
    issuer = CharField(max_length=255)
    """The issuer of the identity provider to which the rule applies.

    The rule does not refer to the provider by its key in the operator's file, because the operator
    could later give this key to another provider.
    """
    scope = ForeignKeyField(Scope, on_delete="CASCADE")
    claim = CharField(max_length=200)
    value = CharField(max_length=200)
    role = EnumField(Role, max_length=8)
    created_by = ForeignKeyField(Person, null=True, index=False, on_delete="SET NULL")
    created_at = InstantField(default=now)

    class Meta:
        indexes = ((("issuer", "scope", "claim", "value"), True),)


class UsedAnswer(Table):
    """A sign-in answer or ID token that was used and must not be used again.

    A sign-in answer is identified by the state that an identity provider returned, or by the
    challenge that a passkey signed.
    """

    digest = CharField(primary_key=True, max_length=64)
    """The SHA-256 digest of the state, challenge or ID token, in hexadecimal digits."""
    at = InstantField(default=now, index=True)
    """When the sign-in answer was used, or when the ID token expires. Old rows are deleted."""

    class Meta:
        table_name = "spent_state"
