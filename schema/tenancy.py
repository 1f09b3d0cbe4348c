"""Tables of scopes, people, memberships and invitations."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from itertools import pairwise
from typing import Any

from peewee import (
    JOIN,
    SQL,
    AutoField,
    BooleanField,
    CharField,
    Check,
    ForeignKeyField,
    IntegerField,
)
from playhouse.fields import EnumField

from schema.base import EditedTable, Prepared, Table, fetch_tuples
from schema.columns import InstantField, Level, Role, SessionKind, now


class Scope(EditedTable):
    """A node of the tree Scalr > Account > Environment. It owns images and credentials."""

    id = AutoField()
    parent_id: int | None
    level = EnumField(Level, max_length=16)
    parent = ForeignKeyField("self", null=True, index=False, on_delete="CASCADE")
    path = CharField(max_length=129, unique=True)
    """For example '' (Scalr), 'acme' or 'acme/production'. A renamed scope keeps its path."""
    name = CharField(max_length=64)
    created_at = InstantField(default=now)
    deleted_at = InstantField(null=True)
    """When somebody began to delete the scope, or None.

    From this time on, the records of the scope are deleted in chunks. Meanwhile, another scope can
    use the former path and name of the scope.
    """
    requires_factor = BooleanField(default=False, constraints=[SQL("DEFAULT FALSE")])
    """Whether roles at this scope and at all scopes below it need a second factor.

    `webapp.people.effective_roles` defines which roles do not count without a second factor.
    """

    class Meta:
        indexes = ((("parent", "name"), True),)
        constraints = (Check("(level = 'scalr') = (parent_id IS NULL)"),)

    @property
    def label(self) -> str:
        """The name on pages: 'Scalr', 'Account acme', 'Environment acme / production'."""
        parent_name = self.parent.name if self.level is Level.ENVIRONMENT else ""
        return _label(self.level, self.name, parent_name)

    @property
    def account_path(self) -> str:
        """The path of the account to which this scope belongs; '' for the Scalr scope."""
        return self.path.partition("/")[0]

    @cached_property
    def lineage(self) -> list[Scope]:
        """This scope and the scopes above it, the nearest first. Takes at most one query."""
        if self.parent_id is None:
            return [self]
        # The list begins with `self`, because the query doesn't find a scope that is not saved yet
        # or was just deleted.
        above = [
            scope for scope in _select_lineage(*lineage_paths(self.path)) if scope.path != self.path
        ]
        return _link([self, *_nearest_first(above)])

    @cached_property
    def any_scope_was_being_deleted(self) -> bool:
        """Whether any scope was being deleted when this property was first read. Takes one query.

        The scope that is being deleted can be anywhere in the tree. Its images still exist, but
        nobody sees them. The result stays the same for this object, so load the scope again for
        each request and for each chunk of a job.
        """
        return bool(Scope.select(SQL("1")).where(Scope.deleted_at.is_null(False)).limit(1).tuples())

    @property
    def above(self) -> list[int]:
        """The IDs of the scopes above, the nearest first."""
        return [scope.id for scope in self.lineage[1:]]

    def subtree(self) -> Any:
        """Return a query for this scope and every scope below it."""
        if self.path == "":
            return Scope.select().where(Scope.deleted_at.is_null())
        below = Scope.path.startswith(f"{self.path}/")
        return Scope.select().where((Scope.path == self.path) | below)

    @classmethod
    def select_with_parents(cls) -> Any:
        """Return a query for scopes and their parents. `label` needs the parent of a scope."""
        above = cls.alias()
        is_parent = cls.parent == above.id
        return cls.select(cls, above).join(above, JOIN.LEFT_OUTER, on=is_parent, attr="parent")

    @classmethod
    def owners(cls, ids: Iterable[int]) -> dict[int, tuple[str, str, str]]:
        """Return the levels, labels and paths of the scopes with these IDs, by ID.

        A list can have images of many scopes, and creating models would take too long.
        """
        above = cls.alias()
        columns = cls.id, cls.level, cls.path, cls.name, above.name
        query = cls.select(*columns).join(above, JOIN.LEFT_OUTER, on=cls.parent == above.id)
        return {
            scope_id: (level, _label(Level(level), name, parent_name), path)
            for scope_id, level, path, name, parent_name in fetch_tuples(
                query.where(cls.id.in_(ids))
            )
        }

    @classmethod
    def at(cls, path: str) -> Scope | None:
        """Return the scope at `path` with the scopes above it, or None. Takes one query."""
        return cls.from_lineage(path, _select_lineage(*lineage_paths(path)))

    @classmethod
    def from_lineage(cls, path: str, scopes: Iterable[Scope]) -> Scope | None:
        """Return the scope at `path`, or None. `scopes` are the scopes at `lineage_paths(path)`."""
        lineage = _nearest_first(scopes)
        if not lineage or lineage[0].path != path or lineage[0].deleted_at is not None:
            return None
        lineage[0].__dict__["lineage"] = _link(lineage)
        return lineage[0]


def _label(level: Level, name: str, parent_name: str) -> str:
    if level is Level.SCALR:
        return "Scalr"
    if level is Level.ACCOUNT:
        return f"Account {name}"
    return f"Environment {parent_name} / {name}"


def lineage_paths(path: str) -> tuple[str, str, str]:
    """Return the path of a scope and the paths of its account and of the Scalr scope.

    The paths may be equal. For an account, for example, the first two paths are the same.
    """
    account, _, _ = path.partition("/")
    return path, account, ""


def _nearest_first(scopes: Iterable[Scope]) -> list[Scope]:
    return sorted(scopes, key=lambda scope: -len(scope.path))


def _link(lineage: list[Scope]) -> list[Scope]:
    """Set the parent of each scope to the next scope in the list. Return `lineage`."""
    for lower, upper in pairwise(lineage):
        lower.parent = upper
    return lineage


_select_lineage = Prepared(
    lambda placeholder: Scope.select().where(Scope.path.in_([placeholder] * 3))
)


Scope.add_index(
    # Usually, no scope is being deleted, and the index is empty.
    Scope.index(Scope.deleted_at, name="scope_deleted_at", where=Scope.deleted_at.is_null(False))
)
Scope.add_index(
    Scope.index(Scope.level, unique=True, where=SQL("level = 'scalr'"), name="scope_one_scalr")
)
Scope.add_index(
    Scope.index(Scope.parent, name="scope_requires_factor", where=Scope.requires_factor)
)


def load_scopes(records: Iterable[Any]) -> None:
    """Load the scopes of the records and the parents of these scopes, with one query."""
    records = list(records)
    ids = {record.scope_id for record in records}
    scopes = {scope.id: scope for scope in Scope.select_with_parents().where(Scope.id.in_(ids))}
    for record in records:
        # If the scope is missing, it has just been deleted together with the record.
        if record.scope_id in scopes:
            record.scope = scopes[record.scope_id]


class Person(Table):
    """A person with a user account, or the service person of a scope (`is_service`)."""

    id = AutoField()
    email = CharField(max_length=254, unique=True)
    """In lower case."""
    name = CharField(max_length=128)
    password_hash = CharField(max_length=255)
    """'' if the person has no password, because they sign in only at an identity provider."""
    session_key = CharField(max_length=64)
    """Each session of the person contains this key. A new key ends the sessions with an old key."""
    theme = CharField(max_length=8, default="system")
    columns = CharField(max_length=255, default="")
    """The chosen columns of the Images page, separated by spaces; '' for the default columns."""
    page_size = IntegerField(default=50)
    """The number of images on one page of the list of images."""
    density = CharField(max_length=16, default="comfortable")
    """The height of the rows of the list of images."""
    created_at = InstantField(default=now)
    disabled_at = InstantField(null=True)
    """When an admin disabled the user account, or None. If it is set, the person cannot sign in."""
    removed_at = InstantField(null=True)
    """When an admin removed the person, or None. If it is set, `disabled_at` is set too.

    The row stays, because images, views and entries of the audit log refer to it.
    """
    signed_in_at = InstantField(null=True)
    """When the person last signed in. None if they never did, or did only in an older version."""
    email_verified_at = InstantField(null=True, column_name="email_proved_at")
    """When the person first opened a link in a mail to their address, or None.

    Until then, the registry does not know whether the address belongs to the person.
    """
    is_service = BooleanField(default=False, constraints=[SQL("DEFAULT FALSE")])
    """Whether this is the service person of a scope, for whom the tokens of the scope act.

    A service person cannot sign in (`disabled_at` is set), has no role, and is not listed among the
    people. Its name is the label of the scope. See `webapp.tokens`.
    """

    class Meta:
        constraints = (
            Check("theme IN ('system', 'light', 'dark')"),
            Check("page_size IN (25, 50, 100, 250)"),
            Check("density IN ('comfortable', 'compact')"),
        )

    @property
    def label(self) -> str:
        """The name and the e-mail address, such as 'Ada (ada@example.com)'.

        The label contains the address, because several people can choose the same name. If the
        person was removed, if the name is the e-mail address, or if this is a service person, the
        label is only the name.
        """
        name_is_email = self.name == self.email
        has_no_address = self.removed_at or self.is_service
        return self.name if name_is_email or has_no_address else f"{self.name} ({self.email})"

    @property
    def contact(self) -> str:
        """The e-mail address or, for a service person, the name."""
        return self.name if self.is_service else self.email


class SignInSession(Table):
    """A browser in which a person has signed in. Signing out deletes the row.

    Only a digest of the token in the cookie is stored, so nobody can sign in with the contents of
    the database.
    """

    id = AutoField()
    person_id: int
    digest = CharField(max_length=64, unique=True)
    """The SHA-256 digest of the token, in hexadecimal digits."""
    person = ForeignKeyField(Person, on_delete="CASCADE")
    session_key = CharField(max_length=64)
    """The session key of the person. The session is valid only while the person has the same key.

    A server of an older version does not know this table. But if a person changes their password at
    such a server, they get a new key, so this session ends too.
    """
    kind = EnumField(SessionKind, max_length=16)
    address = CharField(max_length=45)
    """The IP address of the browser when the session began, or ''."""
    browser = CharField(max_length=64)
    """A short text such as “Firefox on Linux”."""
    created_at = InstantField(default=now)
    seen_at = InstantField(default=now)
    """About when the session was last used. See `webapp.people.last_seen`."""
    confirmed_at = InstantField(null=True)
    """When the person last proved who they are. NULL if this was at the start of the session."""
    provider = CharField(max_length=32, default="", constraints=[SQL("DEFAULT ''")])
    """The key of the identity provider at which the person signed in, or ''."""
    used_factor = BooleanField(default=False, constraints=[SQL("DEFAULT FALSE")])
    """Whether the person used a second factor at the identity provider when they signed in."""
    previous_digest = CharField(max_length=64, null=True)
    """The digest of the previous token of the session, or None.

    When the person proves again who they are, the session gets a new token. Requests that the
    browser sent before it received the new token contain the previous token. The previous token is
    valid for a few seconds after `rotated_at`.
    """
    rotated_at = InstantField(null=True)


SignInSession.add_index(
    SignInSession.index(
        SignInSession.previous_digest,
        name="sign_in_session_previous_digest",
        where=SignInSession.previous_digest.is_null(False),
    )
)


class EndedSession(Table):
    """A session that began in an older version, and that a person ended by signing out.

    Servers of older versions use the table during an upgrade. This version only deletes old rows.
    """

    token = CharField(primary_key=True, max_length=64)
    ended_at = InstantField(default=now, index=True)


class Membership(EditedTable):
    """A role that a person holds at a scope and at every scope below it."""

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
    """A link that gives one person a role. Only a digest of the token in the link is stored."""

    id = AutoField()
    scope_id: int
    scope = ForeignKeyField(Scope, index=False, on_delete="CASCADE")
    email = CharField(max_length=254)
    role = EnumField(Role, max_length=8)
    token_digest = CharField(max_length=64, unique=True)
    invited_by_id: int | None
    invited_by = ForeignKeyField(Person, null=True, on_delete="SET NULL")
    created_at = InstantField(default=now)
    expires_at = InstantField()
    mailed = BooleanField(default=False)
    """Whether the link was only sent to the e-mail address, and never shown to the inviter."""

    class Meta:
        indexes = ((("scope", "email"), True),)
