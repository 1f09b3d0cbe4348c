"""Reading the audit log, in pages with the newest entry first. `webapp.audit` writes it.

A page is a range of an index, whatever the size of the log. The values in entries are shortened by
the database, because one value can be larger than the rest of the page.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from models import AuditEntry, Image, Level, Scope, database, is_sqlite
from webapp import audit

PAGE_SIZE = 50
SHORT_VALUE, FEW_FIELDS = 500, 20
"""The most characters of a value, and the most fields of an entry, on a page of entries."""
LONG_VALUE, MANY_FIELDS = 500_000, 500
"""The most characters of a value, and the most fields, on the page of a single entry."""
LONGEST_ENTRY = 1_000_000
"""The most characters of all values together on the page of a single entry."""


@dataclass
class Entry:
    """An entry of the log. `changes` has each changed field as (old value, new value).

    If values or fields are left out, `is_shortened` is true.
    """

    id: int
    at: Any
    scope_label: str
    person_name: str
    action: str
    subject: str
    changes: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    is_shortened: bool = False


@dataclass(frozen=True)
class Page:
    """A page of entries, newest first.

    `newer` and `older` are the IDs at which the next pages in both directions begin, or None.
    """

    entries: list[Entry]
    newer: int | None
    older: int | None


def scope_page(scope: Scope, *, before: int = 0, after: int = 0, size: int = PAGE_SIZE) -> Page:
    """Return the entries about `scope` and the scopes below it.

    The page ends before the entry with the ID `before`, or begins after the ID `after`. 0 returns
    the newest entries. An account's log also contains the entries of its deleted environments, and
    Scalr's log those of all deleted scopes.
    """
    return _page(_of_scope(scope), before, after, size)


def image_page(image: Image, *, before: int = 0, after: int = 0, size: int = PAGE_SIZE) -> Page:
    """Return the entries about one image, like `scope_page`."""
    return _page(AuditEntry.record == image.reference, before, after, size)


def scope_entry(scope: Scope, entry_id: int) -> Entry | None:
    """Return an entry of the scope's log with its long values, or None."""
    return _entry(_of_scope(scope), entry_id)


def image_entry(image: Image, entry_id: int) -> Entry | None:
    """Return an entry about the image with its long values, or None."""
    return _entry(AuditEntry.record == image.reference, entry_id)


def _of_scope(scope: Scope) -> Any:
    if scope.level is Level.SCALR:
        return AuditEntry.id > 0
    if scope.level is Level.ACCOUNT:
        return AuditEntry.account_id == scope.id
    return AuditEntry.scope == scope.id


def _select(condition: Any) -> Any:
    columns = ["id", "at", "scope_label", "person_name", "action", "subject"]
    return AuditEntry.select(*(getattr(AuditEntry, name) for name in columns)).where(condition)


def _page(condition: Any, before: int, after: int, size: int) -> Page:
    query = _select(condition).limit(size + 1).tuples()
    if after:
        query = query.where(AuditEntry.id > after).order_by(AuditEntry.id)
    else:
        query = query.order_by(AuditEntry.id.desc())
        if before:
            query = query.where(AuditEntry.id < before)
    rows = [Entry(*row) for row in query]
    has_more, rows = len(rows) > size, rows[:size]
    if after and not has_more:
        # These are the newest entries. Show a whole page.
        return _page(condition, 0, 0, size)
    if after:
        rows.reverse()
    _add_changes(rows, SHORT_VALUE, FEW_FIELDS)
    if not rows:
        # All entries were written after the cursor.
        return Page([], newer=before - 1 if before else None, older=None)
    return Page(
        rows,
        newer=rows[0].id if after or before else None,
        older=rows[-1].id if (after or has_more) else None,
    )


def _entry(condition: Any, entry_id: int) -> Entry | None:
    row = _select(condition & (AuditEntry.id == entry_id)).tuples().first()
    if row is None:
        return None
    entry = Entry(*row)
    _add_changes([entry], LONG_VALUE, MANY_FIELDS)
    _shorten(entry)
    return entry


def _shorten(entry: Entry) -> None:
    """Shorten the values of an entry with more than LONGEST_ENTRY characters in total."""
    left = LONGEST_ENTRY
    for name, values in entry.changes.items():
        shown = tuple(
            value
            if len(str(value)) <= max(left // 2, SHORT_VALUE)
            else f"{str(value)[:SHORT_VALUE]}…"
            for value in values
        )
        entry.is_shortened |= shown != values
        entry.changes[name] = (shown[0], shown[1])
        left -= sum(len(str(value)) for value in shown)


# The texts of JSON values, which are cut to a number of characters. Values of one pair that are
# equal are not shown, unless they stand for a secret, and the database compares them completely.
_FIELDS = """
SELECT id, name, substr(before, 1, {length}), length(before),
  substr(after, 1, {length}), length(after), before = after
FROM ({fields}) AS fields WHERE number <= {count} ORDER BY id, number
"""
_SQLITE_FIELDS = """
SELECT id, name, before, after, row_number() OVER (PARTITION BY id ORDER BY position) AS number
FROM (
  SELECT entry.id, pair.key AS name, pair.id AS position,
    pair.value -> '$[0]' AS before, pair.value -> '$[1]' AS after
  FROM audit_entry AS entry, json_each(entry.changes) AS pair WHERE entry.id IN ({ids})
) AS pairs
"""
_POSTGRESQL_FIELDS = """
SELECT entry.id, pair.name, (pair.value -> 0)::text AS before, (pair.value -> 1)::text AS after,
  pair.number
FROM audit_entry AS entry,
  jsonb_each(entry.changes) WITH ORDINALITY AS pair (name, value, number)
WHERE entry.id IN ({ids})
"""


def _add_changes(entries: Iterable[Entry], length: int, count: int) -> None:
    """Read the changes of the entries: of each entry `count` fields, of each value `length`."""
    by_id = {entry.id: entry for entry in entries}
    if not by_id:
        return
    fields = (_SQLITE_FIELDS if is_sqlite() else _POSTGRESQL_FIELDS).format(
        ids=", ".join(map(str, by_id))
    )
    sql = _FIELDS.format(fields=fields, length=length, count=count + 1)
    for entry_id, name, old, old_length, new, new_length, is_equal in database.execute_sql(sql):
        entry = by_id[entry_id]
        if len(entry.changes) == count:
            entry.is_shortened = True
            continue
        pair = _value(old, old_length), _value(new, new_length)
        if is_equal and pair[0] != audit.SECRET:
            continue
        if pair[0] == pair[1] and not is_equal:
            pair = pair[0], f"{pair[1]} (different further on)"
        entry.changes[name] = pair
        entry.is_shortened |= max(old_length, new_length) > length


def _value(text: str, whole_length: int) -> Any:
    """Return the value of a JSON text. A text that was cut becomes its beginning and "…"."""
    if len(text) == whole_length:
        return json.loads(text)
    if not text.startswith('"'):
        return f"{text}…"
    # The cut may be inside an escape sequence, which has up to six characters.
    for end in range(len(text), len(text) - 6, -1):
        try:
            beginning = json.loads(f'{text[:end]}"')
        except ValueError:
            continue
        # The cut may also be between the two halves of a character.
        return beginning.encode("utf-8", "ignore").decode() + "…"
    return "…"
