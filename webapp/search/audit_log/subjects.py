"""Find the scopes of the records that entries are about, so that pages can link to the records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from models import (
    ApiToken,
    CloudCredentials,
    DeletedImage,
    Image,
    Membership,
    SavedView,
    Scope,
    load_scopes,
)
from webapp.audit.log import Entry

_TABLES: Mapping[str, tuple[Any, ...]] = {
    "image": (Image, DeletedImage),
    "cloud_credentials": (CloudCredentials,),
    "membership": (Membership,),
    "saved_view": (SavedView,),
    "api_token": (ApiToken,),
}
"""The tables that can contain a record, by the first part of its `EditedTable.reference`."""


@dataclass(frozen=True)
class Subject:
    """A record that exists, or a deleted image that can be restored.

    `scope` is the scope that owns the record, or the record itself if it is a scope. `is_shared`
    says whether the record is an image that the scopes below see too.
    """

    kind: str
    id: int
    scope: Scope
    is_shared: bool = False


def find_subjects(entries: Iterable[Entry]) -> dict[str, Subject]:
    """Return the subjects that the entries are about, by their references.

    The result leaves out deleted records that cannot be restored, personal tokens, and kinds of
    records without a page.
    """
    ids: dict[str, set[int]] = {}
    for entry in entries:
        kind, _, number = entry.record.partition(":")
        if number:
            ids.setdefault(kind, set()).add(int(number))
    subjects = {
        f"scope:{scope.id}": Subject("scope", scope.id, scope)
        for scope in _scopes(ids.pop("scope", set()))
    }
    found = [
        (kind, record)
        for kind, numbers in ids.items()
        for table in _TABLES.get(kind, ())
        for record in _records(table, numbers)
    ]
    load_scopes(record for _, record in found)
    for kind, record in found:
        is_shared = isinstance(record, Image) and record.shared
        subject = Subject(kind, record.id, record.scope, is_shared)
        subjects[f"{kind}:{record.id}"] = subject
    return subjects


def _scopes(ids: set[int]) -> list[Scope]:
    if not ids:
        return []
    is_visible = Scope.id.in_(ids) & Scope.deleted_at.is_null()
    return list(Scope.select_with_parents().where(is_visible))


def _records(table: Any, ids: set[int]) -> list[Any]:
    columns = [table.id, table.scope, *([Image.shared] if table is Image else [])]
    query = table.select(*columns).where(table.id.in_(ids))
    # Personal tokens are left out, because only their owner can see the page that lists them.
    return list(query.where(~ApiToken.is_personal) if table is ApiToken else query)
