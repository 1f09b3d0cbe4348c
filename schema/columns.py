"""Column types, and the fixed values that a column may hold."""

from __future__ import annotations

import enum
from datetime import UTC, date, datetime
from typing import Any

from peewee import DateTimeField


def now() -> datetime:
    """The present instant, in UTC, in whole seconds: nothing here happens faster than a person
    clicks, and whole seconds read the same on every database."""
    return datetime.now(UTC).replace(microsecond=0)


def today() -> date:
    """The present day, in UTC."""
    return now().date()


class InstantField(DateTimeField):
    """An instant: stored in UTC without a zone, given and taken as an aware datetime."""

    def db_value(self, value: datetime | None) -> Any:
        if value is None:
            return None
        stored = value.astimezone(UTC).replace(tzinfo=None)
        return super().db_value(stored)  # type: ignore[no-untyped-call]

    def python_value(self, value: Any) -> datetime | None:
        return None if value is None else as_instant(value)


def as_instant(stored: Any) -> datetime:
    """An instant as it was stored. SQLite gives text, which Peewee would take longer to read."""
    naive = datetime.fromisoformat(stored) if isinstance(stored, str) else stored
    aware: datetime = naive.replace(tzinfo=UTC)
    return aware


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


class LifeCycle(enum.StrEnum):
    """How far an image is in its life, as its owner says."""

    ACTIVE = "active"
    DEPRECATED = "deprecated"
    """Still usable; whoever looks for an image is pointed elsewhere."""
    RETIRED = "retired"
    """Not to be used any more."""
