"""Operations with GET change nothing, and answer with the described fields and no others.

The operations come from the table of the access matrix, which covers all of them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import jsonschema
import pytest
from werkzeug.test import TestResponse

from tests.access_tables import URLS
from tests.api.client import ApiClient, ClientFor
from tests.api.test_access_matrix import ROWS, WITHOUT_SCOPE, create_records
from tests.cast import HOMES
from tests.views.test_safe_requests import all_rows, difference
from webapp.api import openapi

__all__ = ["create_records"]

CreateRecords = Callable[[str], dict[str, object]]

pytestmark = pytest.mark.usefixtures("no_network")


def get_paths(level: str, records: dict[str, object]) -> Iterator[tuple[str, str]]:
    """Yield the path of each operation with GET, and its path in the OpenAPI document."""
    for row in ROWS:
        if row.method == "GET" and level[0] in row.levels:
            yield URLS[level] + row.path.format(**records), URLS[level] + row.path
    records = {"token_id": records["token"]}
    for method, path in WITHOUT_SCOPE:
        if method == "GET":
            template = path.replace("int:", "").replace("<", "{").replace(">", "}")
            yield template.format(**records), template


def shape(path: str) -> str:
    """Return a path in which `*` replaces each value, also the names of scopes."""
    parts = ["*" if part.startswith("{") else part for part in path.split("/")]
    if parts[1] in {"account", "environment"}:
        names = {"account": 1, "environment": 2}[parts[1]]
        parts[2 : 2 + names] = ["*"] * names
    return "/".join(parts)


@pytest.mark.parametrize("level", HOMES)
def test_a_get_request_changes_no_row(
    api_of: ClientFor, create_records: CreateRecords, level: str
) -> None:
    records, api = create_records(level), api_of(f"{level}-admin")
    before = all_rows()
    for path, _ in get_paths(level, records):
        api.get(path)
        assert not difference(before), path


def strict_schemas() -> dict[str, Any]:
    """Return the schemas of the OpenAPI document, in which no object has further fields."""
    schemas: dict[str, Any] = copy.deepcopy(openapi.document()["components"]["schemas"])
    for schema in schemas.values():
        if "properties" in schema:
            schema["additionalProperties"] = False
    return schemas


def check_fields(answer: TestResponse, described: dict[str, Any]) -> None:
    """Raise ValidationError if the answer lacks a described field, or has another field."""
    content = described["responses"][str(answer.status_code)]["content"]
    schema = content[answer.mimetype]["schema"]
    jsonschema.validate(answer.json, {**schema, "components": {"schemas": strict_schemas()}})


@pytest.mark.parametrize("level", HOMES)
def test_every_answer_has_only_the_described_fields(
    api_of: ClientFor, create_records: CreateRecords, level: str
) -> None:
    records, api = create_records(level), api_of(f"{level}-admin")
    described = {shape(path): each for path, each in openapi.document()["paths"].items()}
    checked = 0
    for path, template in get_paths(level, records):
        answer = api.get(path)
        if answer.mimetype == "application/json":
            check_fields(answer, described[shape(template)]["get"])
            checked += 1
    assert checked > 20


def test_a_field_that_is_not_described_is_found(api_of: ClientFor) -> None:
    answer = api_of("account-viewer").get("/scopes")
    described = openapi.document()["paths"]["/scopes"]["get"]
    check_fields(answer, described)
    answer.set_data(answer.get_data().replace(b'"items":[{', b'"items":[{"secret":1,', 1))
    answer.__dict__.pop("json", None)
    with pytest.raises(jsonschema.ValidationError, match="'secret' was unexpected"):
        check_fields(answer, described)


@pytest.mark.parametrize("level", HOMES)
def test_every_answer_says_what_it_is_and_is_not_stored(
    api_of: ClientFor, create_records: CreateRecords, level: str
) -> None:
    """A browser that opens a URL of the API renders nothing, and caches store nothing."""
    records, api = create_records(level), api_of(f"{level}-admin")
    for client in (api, ApiClient(api.client, "")):
        for path, _ in get_paths(level, records):
            answer = client.get(path)
            # With an ETag, the client itself may keep the answer, but asks before it uses it again.
            assert answer.headers["Cache-Control"] in {"no-store", "private, no-cache"}, path
            assert answer.headers["X-Content-Type-Options"] == "nosniff", path
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"], path
            if str(answer.mimetype).startswith("text/"):
                assert answer.content_type == "text/csv; charset=utf-8", path
            elif answer.get_data():
                assert answer.mimetype in {
                    "application/json",
                    "application/jsonl",
                    "application/problem+json",
                }, path
