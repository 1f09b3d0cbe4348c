"""An error does not repeat a long value of the request in full."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask

from tests.access_tables import URLS
from tests.api.client import ClientFor
from tests.api.test_access_matrix import create_records
from tests.api.test_foreign_ids import PATH_KINDS, field_names
from webapp.api.operations import OPERATIONS, Operation
from webapp.api.reference import EXAMPLE_BODIES
from webapp.tokens.rate_limits import RateLimits

__all__ = ["create_records"]

LONG = "y" * 5000
LONGEST_ECHO = 100
"""The most characters of a value that an error may repeat."""
BODIES: tuple[object, ...] = (
    *(LONG, [LONG], {LONG: "x"}, {LONG: {"location": "x"}}, {LONG: 1}, {"aws": LONG}),
    *({"aws": {LONG: "x"}}, {"aws": {"location": LONG}}, {"aws": {"location": "x", LONG: ""}}),
)
"""JSON values that contain a long text."""


def _requests(operation: Operation) -> Iterator[dict[str, Any]]:
    """Yield the options of requests with a long text in each parameter and each field."""
    query, fields = field_names(operation)
    example = EXAMPLE_BODIES.get(operation.name, {})
    has_body = operation.body_type is not None
    body = {"json": example} if has_body else {}
    for name in (*query, LONG):
        yield {"query_string": {name: LONG}, **body}
    yield {"query_string": f"{LONG}=a&{LONG}=b", **body}
    if has_body:
        yield {"json": {**example, LONG: LONG}}
        for name in fields:
            for value in BODIES:
                yield {"json": {**example, name: value}}


@pytest.mark.usefixtures("no_network")
def test_no_error_repeats_a_long_value(
    app: Flask,
    api_of: ClientFor,
    create_records: Callable[[str], dict[str, object]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unlimited = replace(app.extensions["services"], rate_limits=RateLimits("", 1_000_000))
    monkeypatch.setitem(app.extensions, "services", unlimited)
    records, api = create_records("account"), api_of("account-admin")
    own = {name: records.get(name.removesuffix("_id"), 1) for name in PATH_KINDS if name != "slug"}
    own |= {"slug": "staging", "cloud": "aws"}
    repeated, number = [], 0
    for operation in OPERATIONS:
        if operation.method == "DELETE" or (operation.levels and "account" not in operation.levels):
            continue
        prefix = URLS["account"] if operation.levels else ""
        path = re.sub(r"<(?:int:)?(\w+)>", lambda name: str(own[name[1]]), operation.path)
        for options in _requests(operation):
            headers = {"If-Match": "*"} if operation.if_match else {}
            answer = api.open(operation.method, prefix + path, headers=headers, **options)
            if answer.status_code >= 400:
                number += 1
                found = max(map(len, re.findall("y+", answer.text)), default=0)
                if found > LONGEST_ECHO:
                    repeated.append(
                        f"{operation.name}: {answer.text.replace(LONG, '<LONG>')[:300]}"
                    )
    assert number > 300
    assert not repeated, "\n".join(repeated)
