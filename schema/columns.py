"""Column types, and the fixed values of columns."""

from __future__ import annotations

import enum
from datetime import UTC, date, datetime
from typing import Any

from peewee import DateTimeField, TextField

LARGEST_ID = 2**31 - 1
"""The largest ID that every database can store."""


def now() -> datetime:
    """Return the current instant in UTC, in whole seconds.

    No table needs more precision, and every database stores whole seconds exactly.
    """
    return datetime.now(UTC).replace(microsecond=0)


def today() -> date:
    """Return the current day in UTC."""
    return now().date()


class InstantField(DateTimeField):
    """A column for instants: an aware datetime in Python, UTC without a zone in the database."""

    def db_value(self, value: datetime | None) -> Any:
        if value is None:
            return None
        utc_value = value.astimezone(UTC).replace(tzinfo=None)
        return super().db_value(utc_value)  # type: ignore[no-untyped-call]

    def python_value(self, value: Any) -> datetime | None:
        return None if value is None else as_instant(value)


class TagsField(TextField):
    """A column for the tags of an image: in Python a list, in the database a text.

    Each line of the text is a tag. A tag contains no line break.
    """

    def db_value(self, value: list[str] | None) -> Any:
        return None if value is None else "\n".join(value)

    def python_value(self, value: str | None) -> list[str] | None:
        return None if value is None else stored_tags(value)


def stored_tags(text: str) -> list[str]:
    """Return the tags in the text that the database stores."""
    return text.split("\n") if text else []


def as_instant(value: Any) -> datetime:
    """Return a stored instant as an aware datetime.

    SQLite returns text. `fromisoformat` parses the text faster than Peewee does.
    """
    naive = datetime.fromisoformat(value) if isinstance(value, str) else value
    aware: datetime = naive.replace(tzinfo=UTC)
    return aware


class Level(enum.StrEnum):
    """The three levels of scopes, from the top to the bottom."""

    SCALR = "scalr"
    ACCOUNT = "account"
    ENVIRONMENT = "environment"

    @property
    def below(self) -> Level | None:
        """The level of the scopes directly below a scope of this level. None for ENVIRONMENT."""
        return {Level.SCALR: Level.ACCOUNT, Level.ACCOUNT: Level.ENVIRONMENT}.get(self)


class Role(enum.StrEnum):
    """The roles of people at a scope and all scopes below it, from the weakest to the strongest."""

    VIEWER = "viewer"
    EDITOR = "editor"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        return list(Role).index(self)


class SessionKind(enum.StrEnum):
    """How a session began."""

    PASSWORD = "password"  # noqa: S105  not a password
    """The person signed in with their password, or changed it."""
    INVITATION = "invitation"
    """The person created a user account by accepting an invitation."""
    PROVIDER = "provider"
    """The person signed in at an identity provider."""
    PASSKEY = "passkey"
    """The person signed in with a passkey, without a password."""


class LifeCycle(enum.StrEnum):
    """The status of an image. Editors of the owning scope set it, or plan it for a later day."""

    ACTIVE = "active"
    DEPRECATED = "deprecated"
    """Still usable, but people should use another image."""
    RETIRED = "retired"
    """Must not be used any more."""
