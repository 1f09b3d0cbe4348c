"""Read entries of the audit log, with the newest entry first. `webapp.audit` writes the log.

`webapp.search.audit_log` finds the entries for each page of the log of a scope.

The entries about an image are one range of an index, so the time to read a page of them does not
grow with the log. The database shortens long values, because one value can be larger than the rest
of the page.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from models import AuditEntry, Image, Level, Scope, database, is_sqlite
from webapp import audit

PAGE_SIZE = 50
SHORT_VALUE = 500
"""The maximum length of a value on a page of entries.

All lengths in this module are in characters.
"""
FEW_FIELDS = 20
"""The maximum number of fields of an entry on a page of entries."""
LONG_TAGS = 8_000
"""The maximum length of a list of tags as JSON on a page of entries.

This limit is higher than SHORT_VALUE, because the page shows only the difference between two lists.
"""
LONG_VALUE = 500_000
"""The maximum length of a value on the page of a single entry."""
MANY_FIELDS = 500
"""The maximum number of fields on the page of a single entry."""
LONGEST_ENTRY = 1_000_000
"""The approximate maximum length of all values together on the page of a single entry."""
CREDENTIALS_FIELDS = ("credentials", "Credentials")
"""The fields that contain names of credentials in the changes of an image.

An edit of an image records the change under the name of the field. A check of an image in its cloud
records the change under the label of the field.
"""


@dataclass
class Entry:
    """An entry of the log. `changes` are the changed fields, each as (old value, new value).

    `subject` is the name of the record that the entry is about, and `record` is the reference to
    this record. If a value was cut or a field was left out, `is_shortened` is true.
    """

    id: int
    at: Any
    scope_label: str
    person_name: str
    person_email: str
    token_name: str
    action: str
    subject: str
    record: str
    job_id: int | None
    changes: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    is_shortened: bool = False


@dataclass(frozen=True)
class Page:
    """A page of entries, newest first.

    To get the page with newer entries, pass `newer` as `after`. To get the page with older entries,
    pass `older` as `before`. None means that there is no such page.
    """

    entries: list[Entry]
    newer: int | None
    older: int | None


def entries_with_ids(ids: Sequence[int]) -> list[Entry]:
    """Return the entries with these IDs, newest first. Long values are shortened."""
    if not ids:
        return []
    query = _select(AuditEntry.id.in_(ids)).order_by(AuditEntry.id.desc()).tuples()
    entries = [Entry(*row) for row in query]
    _add_changes(entries, SHORT_VALUE, FEW_FIELDS)
    return entries


def image_page(
    image: Image,
    *,
    show_credentials: bool,
    before: int = 0,
    after: int = 0,
    size: int = PAGE_SIZE,
) -> Page:
    """Return one page of the entries about an image.

    `before` selects entries older than this ID, and `after` selects entries newer than this ID. If
    both are 0, return the newest entries. Without `show_credentials`, the changes don't contain
    names of credentials.
    """
    page = _page(AuditEntry.record == image.reference, before, after, size)
    if not show_credentials:
        _remove_credentials(page.entries)
    return page


def image_entries_since(
    image: Image, entry_id: int, size: int, *, show_credentials: bool
) -> list[Entry]:
    """Return at most `size` of the entries about an image, all newer than the entry `entry_id`.

    The newest entry is first. Values are cut and fields are left out as on the page of a single
    entry, except that the values together can be longer. Without `show_credentials`, the changes
    don't contain names of credentials.
    """
    is_newer = (AuditEntry.record == image.reference) & (AuditEntry.id > entry_id)
    query = _select(is_newer).order_by(AuditEntry.id.desc()).limit(size).tuples()
    entries = [Entry(*row) for row in query]
    _add_changes(entries, LONG_VALUE, MANY_FIELDS)
    if not show_credentials:
        _remove_credentials(entries)
    return entries


def scope_entry(scope: Scope, entry_id: int) -> Entry | None:
    """Return an entry of the scope's log, or None. Only very long values are cut."""
    return _entry(_scope_condition(scope), entry_id)


def image_entry(image: Image, entry_id: int, *, show_credentials: bool) -> Entry | None:
    """Return an entry about the image, or None. Only very long values are cut.

    Without `show_credentials`, the changes don't contain names of credentials.
    """
    entry = _entry(AuditEntry.record == image.reference, entry_id)
    if entry and not show_credentials:
        _remove_credentials([entry])
    return entry


def _remove_credentials(entries: Iterable[Entry]) -> None:
    for entry in entries:
        for name in CREDENTIALS_FIELDS:
            entry.changes.pop(name, None)


def _scope_condition(scope: Scope) -> Any:
    if scope.level is Level.SCALR:
        return AuditEntry.id > 0
    if scope.level is Level.ACCOUNT:
        return AuditEntry.account_id == scope.id
    return AuditEntry.scope == scope.id


def _select(condition: Any) -> Any:
    people = ("person_name", "person_email", "token_name")
    columns = ["id", "at", "scope_label", *people, "action", "subject", "record", "job_id"]
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
        # At most `size` entries are newer than `after`, so they belong to the newest page. Return
        # the newest `size` entries, even if some are not newer than `after`: the page is then full.
        return _page(condition, 0, 0, size)
    if after:
        rows.reverse()
    _add_changes(rows, SHORT_VALUE, FEW_FIELDS)
    if not rows:
        # There are no entries, or no entry is older than `before`.
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
    """Cut long values, so that all values together usually have at most LONGEST_ENTRY characters.

    The fields are processed in their order. `remaining` is LONGEST_ENTRY minus the length of all
    values of the earlier fields. A value is cut to SHORT_VALUE characters if it is longer than both
    SHORT_VALUE and half of `remaining`.
    """
    remaining = LONGEST_ENTRY
    for name, values in entry.changes.items():
        short_values = tuple(
            value
            if len(str(value)) <= max(remaining // 2, SHORT_VALUE)
            else f"{str(value)[:SHORT_VALUE]}…"
            for value in values
        )
        entry.is_shortened |= short_values != values
        entry.changes[name] = (short_values[0], short_values[1])
        remaining -= sum(len(str(value)) for value in short_values)


# This query returns each old and new value as JSON text, cut to `length` characters. The database
# compares the complete values. `_add_changes` leaves out a field whose values are equal, unless it
# is a secret.
_FIELDS = """
SELECT id, name, substr(before, 1, {length}), length(before),
  substr(after, 1, {length}), length(after), before = after, {length}
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
    """Add the changes to the entries: at most `count` fields of each entry.

    A value with more than `length` characters is cut. A list of tags is cut only if it also has
    more than LONG_TAGS characters.
    """
    by_id = {entry.id: entry for entry in entries}
    if not by_id:
        return
    fields = (_SQLITE_FIELDS if is_sqlite() else _POSTGRESQL_FIELDS).format(
        ids=", ".join(map(str, by_id))
    )
    length_limit = f"CASE name WHEN 'tags' THEN {max(length, LONG_TAGS)} ELSE {length} END"
    sql = _FIELDS.format(fields=fields, length=length_limit, count=count + 1)
    for entry_id, name, old, old_length, new, new_length, is_equal, limit in database.execute_sql(
        sql
    ):
        entry = by_id[entry_id]
        if len(entry.changes) == count:
            entry.is_shortened = True
            continue
        pair = _parse_value(old, old_length), _parse_value(new, new_length)
        if is_equal and pair[0] != audit.SECRET:
            continue
        if pair[0] == pair[1] and not is_equal:
            pair = pair[0], f"{pair[1]} (the rest differs)"
        entry.changes[name] = pair
        entry.is_shortened |= max(old_length, new_length) > limit


def _parse_value(text: str, full_length: int) -> Any:
    """Return the value of a JSON text.

    If the text is shorter than `full_length`, the database has cut it. In this case, return the
    beginning of the value as text, followed by "…".
    """
    if len(text) == full_length:
        return json.loads(text)
    if not text.startswith('"'):
        return f"{text}…"
    # The cut may be inside an escape sequence, which has up to six characters.
    for end in range(len(text), len(text) - 6, -1):
        try:
            beginning = json.loads(f'{text[:end]}"')
        except ValueError:
            continue
        # The cut may also be between the two halves of a surrogate pair.
        return beginning.encode("utf-8", "ignore").decode() + "…"
    return "…"
