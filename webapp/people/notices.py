"""Store the messages that pages show as toasts, so that people can read them again."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta

from peewee import JOIN

from models import DATABASE_FAILURES, Notice, Scope, delete_chunk, load_scopes, now
from webapp.access import Actor
from webapp.people import scopes
from webapp.values.text import displayable

RETENTION = timedelta(days=7)
"""The age at which a message is deleted."""
MAX_LENGTH = 1000
"""The maximum length of a message, in characters."""

log = logging.getLogger(__name__)


def save(
    actor: Actor, scope: Scope | None, kind: str, text: str, links: Mapping[str, Sequence[str]]
) -> None:
    """Store a message that a page at `scope` shows to the actor.

    `Notice` explains the arguments. If the database fails, the message is not stored. No exception
    is raised, because the change that the message is about was already saved or refused.
    """
    text = displayable(text)
    shortened = text if len(text) <= MAX_LENGTH else f"{text[: MAX_LENGTH - 1]}…"
    try:
        Notice.create(
            person=actor.person, scope=scope, kind=kind, text=shortened, links=dict(links)
        )
    except DATABASE_FAILURES as error:
        log.warning("cannot store a message that a page shows: %s", error)


def find_page(actor: Actor, *, before: int = 0, size: int = 20) -> tuple[list[Notice], int]:
    """Return one page of the actor's messages, the newest first, and the cursor of the next page.

    `before` is a cursor that an earlier call returned, or 0 for the first page. The cursor is 0 on
    the last page. Messages from scopes that the actor can no longer see are left out, because
    these messages can contain names of records.
    """
    is_visible = Notice.scope.is_null() | scopes.is_visible_to(actor)
    is_recent = Notice.at >= now() - RETENTION
    query = Notice.select().join(Scope, JOIN.LEFT_OUTER)
    query = query.where((Notice.person == actor.person) & is_visible & is_recent)
    if before:
        query = query.where(Notice.id < before)
    rows = list(query.order_by(Notice.id.desc()).limit(size + 1))
    page = rows[:size]
    load_scopes(notice for notice in page if notice.scope_id is not None)
    return page, page[-1].id if len(rows) > size else 0


def purge_chunk() -> bool:
    """Delete some messages that are older than RETENTION. Return whether more of them may exist."""
    return delete_chunk(Notice, Notice.at < now() - RETENTION)
