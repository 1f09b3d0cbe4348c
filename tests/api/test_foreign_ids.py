"""No answer of the API shows whether a record of others exists.

Every value of a path, of a query and of a body that can name a record is sent twice, as on the
pages. See `tests/views/test_foreign_ids.py`. The fields come from the types of the operations.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import msgspec
import pytest
from flask import Flask
from werkzeug.test import TestResponse

import models
from tests.access_tables import URLS
from tests.api.client import ApiClient, ClientFor
from tests.api.test_access_matrix import create_records
from tests.cast import HOMES
from tests.conftest import ScopeAt
from tests.foreign_ids import (
    Comparisons,
    ForeignRecords,
    Pair,
    foreign_records,
    no_jobs,
    restorable_database,
)
from tests.views.test_foreign_ids import WHO
from webapp.api.operations import OPERATIONS, Operation
from webapp.api.reference import EXAMPLE_BODIES
from webapp.tokens.rate_limits import RateLimits

__all__ = ["create_records", "foreign_records", "no_jobs"]

log = logging.getLogger(__name__)
PATH_KINDS = {
    "image_id": "image",
    "credentials_id": "credentials",
    "member_id": "membership",
    "import_id": "job",
    "invitation_id": "invitation",
    "view_id": "view",
    "job_id": "job",
    "entry_id": "entry",
    "token_id": "token",
    "role_rule_id": "role rule",
    "rule_id": "rule",
    "person_id": "person",
    "slug": "slug",
}
"""The kind of record that each value in a path names."""
FIELD_KINDS = {
    "cloud_image_id": ("cloud image",),
    "credentials": ("credentials",),
    "email": ("email",),
    "images": ("image",),
    "q": ("search",),
    "scope": ("path",),
    "successor": ("image", "successor"),
    "view": ("view",),
}
"""The kinds of records that each field can name."""
NOT_IDS = {
    *("action", "add", "agent_installed", "check", "cloud", "compute_resource", "dry_run"),
    *("expires_at", "if_exists", "limit", "location", "name", "networks", "notes", "on"),
    *("os_family", "os_version", "outcome", "reason", "remove", "required", "role", "shared"),
    "size_gb",
    *("sort", "status", "tags", "total", "values"),
    *("accept_losses", "claim", "provider", "value"),
    *("audience", "claims", "grant_type", "issuer", "subject_token", "subject_token_type"),
    *("answers", "content", "effect", "look_up", "operating_system", "plan"),
    # A number in a cursor is a position in the list.
    "cursor",
}
"""Fields that name no record of another scope."""
OWN = {"cloud": "aws"}
Pairs = Mapping[str, Sequence[Pair]]


@dataclass(frozen=True)
class Call:
    """One request. `path` continues the URL of the API."""

    method: str
    path: str
    query: Mapping[str, object] = field(default_factory=dict)
    body: Mapping[str, object] | None = None


def field_names(operation: Operation) -> tuple[list[str], list[str]]:
    """Return the names of the query parameters, and of the fields of the body."""
    names = (
        [each.name for each in msgspec.structs.fields(kind)] if kind is not None else []
        for kind in (operation.query_type, operation.body_type)
    )
    query, body = names
    return query, body


def test_every_field_is_classified() -> None:
    names = {name for each in OPERATIONS for part in field_names(each) for name in part}
    assert names == FIELD_KINDS.keys() | NOT_IDS
    in_paths = {name for each in OPERATIONS for name in re.findall(r"<(?:int:)?(\w+)>", each.path)}
    assert in_paths == PATH_KINDS.keys() | OWN.keys()


def _calls(
    operation: Operation, prefix: str, own: Mapping[str, object], pairs: Pairs
) -> Iterator[tuple[str, Pair, Callable[[str], Call]]]:
    """Yield the name of each value that can name a record, a pair, and a function for the call."""
    body = EXAMPLE_BODIES.get(operation.name, {}) if operation.body_type is not None else None

    path = prefix + operation.path.replace("int:", "")
    call = Call(operation.method, _filled(path, own), body=body)
    for name in re.findall(r"<(\w+)>", path):
        for pair in pairs[PATH_KINDS[name]] if name in PATH_KINDS else ():
            yield name, pair, partial(_with_record, call, path, own, name)
    for pair in pairs["path"] if prefix else ():
        yield "scope", pair, partial(_with_scope, call, prefix)
    query, fields = field_names(operation)
    for name, kind in _named(query):
        for pair in pairs[kind]:
            yield name, pair, partial(_with_parameter, call, name)
    for name, kind in _named(fields):
        for pair in pairs[kind]:
            yield name, pair, partial(_with_value, call, name)


def _named(names: Iterable[str]) -> list[tuple[str, str]]:
    """Return each field that can name a record, with each kind of record."""
    return [(name, kind) for name in names for kind in FIELD_KINDS.get(name, ())]


def _with_parameter(call: Call, name: str, value: str) -> Call:
    return replace(call, query={name: value})


def _filled(path: str, values: Mapping[str, object]) -> str:
    for name, value in values.items():
        path = path.replace(f"<{name}>", str(value))
    return path


def _with_record(call: Call, path: str, own: Mapping[str, object], name: str, value: str) -> Call:
    return replace(call, path=_filled(path, {**own, name: value}))


def _with_scope(call: Call, prefix: str, value: str) -> Call:
    level = prefix.split("/")[1]
    return replace(call, path=call.path.replace(prefix, f"/{level}/{value}", 1))


def _with_value(call: Call, name: str, text: str) -> Call:
    """Return the call with this value in its body, with the JSON type of the field."""
    value: object = int(text) if text.isdecimal() else text
    return replace(call, body={**(call.body or {}), name: [value] if name == "images" else value})


def _send(
    api: ApiClient, restore: Callable[[], None], make: Callable[[str], Call], value: str
) -> list[TestResponse]:
    restore()
    call = make(value)
    options: dict[str, Any] = {"query_string": dict(call.query), "headers": {"If-Match": '"1"'}}
    if call.body is not None:
        options["json"] = call.body
    return [api.open(call.method, call.path, **options)]


@pytest.fixture
def _no_rate_limit(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    unlimited = replace(app.extensions["services"], rate_limits=RateLimits("", 1_000_000))
    monkeypatch.setitem(app.extensions, "services", unlimited)


@pytest.mark.usefixtures("no_network", "no_jobs", "_no_rate_limit")
@pytest.mark.parametrize("who", [each for each in WHO if each != "outsider"])
def test_records_of_others_look_like_no_records(
    api_of: ClientFor,
    scope: ScopeAt,
    create_records: Callable[[str], dict[str, object]],
    foreign_records: ForeignRecords,
    who: str,
) -> None:
    level = who.partition("-")[0]
    beside = {"account": "globex", "environment": "acme/staging"}[level]
    records = create_records(level)
    own = {name: records.get(name.removesuffix("_id"), 1) for name in PATH_KINDS if name != "slug"}
    own |= {**OWN, "slug": records["child"] or "none"}
    pairs = foreign_records.create(scope(HOMES[level]), scope(beside))
    api, found = api_of(who), Comparisons()
    models.database.close()
    with restorable_database() as restore:
        for operation in OPERATIONS:
            prefix = URLS[level] if level in {each.value for each in operation.levels} else ""
            for name, pair, make in _calls(operation, prefix, own, pairs):
                send = partial(_send, api, restore, make)
                found.compare(f"{operation.method} {operation.path} {name}", pair, send)
    log.info("%s: %s", who, found.summary())
    assert found.number > 150
    assert not found.differences, "\n".join(found.differences)
