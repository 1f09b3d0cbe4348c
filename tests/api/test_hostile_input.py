"""No request makes the API fail, whatever its path, parameters, body and headers contain.

It is the twin of `tests/views/test_hostile_input.py`, with the same settings in the environment.
The fields come from the types of the operations, and the values also have other JSON types.
"""

from __future__ import annotations

import json
import logging
import random
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote_from_bytes

import pytest
from flask import Flask
from werkzeug.test import TestResponse

import models
from models import ApiToken
from tests.access_tables import URLS
from tests.api.client import ApiClient, ClientFor
from tests.api.test_access_matrix import create_records
from tests.api.test_foreign_ids import PATH_KINDS, field_names
from tests.cast import CAST, HOMES
from tests.views.hostile_effects import answer_problems, forbidden_changes, stored_rows
from tests.views.hostile_values import HEADERS, NUMBERS, RAW_VALUES, VALUES
from tests.views.test_hostile_input import REQUESTS, RESTORE_EVERY, SEED, restore
from webapp.api.operations import JSON, OPERATIONS, Operation
from webapp.api.reference import EXAMPLE_BODIES
from webapp.tokens.rate_limits import RateLimits

__all__ = ["create_records"]

log = logging.getLogger(__name__)
WHO = [name for name, (home, _) in CAST.items() if home is not None]
BODIES = (b"", b"{", b"[" * 5000, b"null", b'{"name":"\\ud800"}', b'{"a":1e999}', b"\xff", b"[]")
"""Bodies that are no object, or not JSON."""
OTHER_TYPES: tuple[object, ...] = (
    *(None, True, False, 0, -1, 2**31, 2**63, 2**70, 1.5, 1e308, [], {}, [[]], {"a": {"b": []}}),
    *([None], ["x"] * 2000, [2**70], {"\u0000": "\ud800"}, [{"id": 1}]),
)
OWN_VALUES = {"account": ["acme"], "environment": ["production"], "cloud": ["aws", "vmware"]}


class Requests:
    """Makes hostile requests. The same seed gives the same requests."""

    def __init__(
        self, seed: int, level: str, records: Mapping[str, object], foreign: Sequence[str]
    ) -> None:
        self._random = random.Random(seed)
        self._level, self._records, self._foreign = level, records, foreign
        self.inputs = 0

    def __call__(self, number: int) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Yield the method, the path and the options of `number` requests."""
        operations = list(OPERATIONS)
        self._random.shuffle(operations)
        for index in range(number):
            operation = operations[index % len(operations)]
            yield operation.method, self._path(operation), self._options(operation)

    def _path(self, operation: Operation) -> str:
        prefix = ""
        if operation.levels:
            prefix = URLS[self._level if self._random.random() < 0.9 else "scalr"]
        return prefix + re.sub(r"<(?:int:)?(\w+)>", self._path_value, operation.path)

    def _path_value(self, name: re.Match[str]) -> str:
        self.inputs += 1
        if self._random.random() < 0.7:
            own = self._records.get(name[1].removesuffix("_id"), 1)
            return str(self._random.choice(OWN_VALUES.get(name[1], [own])))
        choices: tuple[str | bytes, ...] = (*NUMBERS, *RAW_VALUES, *self._foreign, *VALUES)
        if name[1] in PATH_KINDS:
            choices = NUMBERS
        value = self._random.choice(choices)
        return quote_from_bytes(_encoded(value), safe="")

    def _options(self, operation: Operation) -> dict[str, Any]:
        query, fields = field_names(operation)
        options: dict[str, Any] = {"headers": {}}
        if query and self._random.random() < 0.8:
            names = self._random.sample(query, self._random.randint(1, len(query)))
            pairs = [(name, _encoded(self._text())) for name in (*names, "other")[: len(names)]]
            options["query_string"] = "&".join(f"{n}={quote_from_bytes(v)}" for n, v in pairs)
            self.inputs += len(pairs)
        if operation.body_type is not None:
            options["content_type"] = JSON
            options["data"] = self._body(EXAMPLE_BODIES.get(operation.name, {}), fields)
        if operation.if_match and self._random.random() < 0.9:
            options["headers"]["If-Match"] = self._random.choice(('"1"', "*", '"x"', "", "\xff"))
        if self._random.random() < 0.2:
            name, value = self._random.choice(HEADERS)
            if name not in {"Content-Length", "Transfer-Encoding", "Content-Type", "Cookie"}:
                options["headers"][name] = value
                self.inputs += 1
        return options

    def _body(self, example: Mapping[str, object], fields: Sequence[str]) -> bytes:
        self.inputs += 1
        if self._random.random() < 0.05:
            return self._random.choice(BODIES)
        body = dict(example)
        for _ in range(self._random.choice((1, 1, 2, 3))):
            name = self._random.choice(fields) if fields else "x"
            body[name if self._random.random() < 0.95 else str(self._text())] = self._json()
            self.inputs += 1
        return json.dumps(body, ensure_ascii=self._random.random() < 0.5).encode(
            "utf-8", "surrogatepass"
        )

    def _json(self) -> object:
        kind = self._random.random()
        if kind < 0.3:
            return self._random.choice(OTHER_TYPES)
        if kind < 0.45:
            return [_as_text(self._text()) for _ in range(self._random.randint(1, 3))]
        if kind < 0.55:
            return {_as_text(self._text()): _as_text(self._text())}
        if kind < 0.7:
            return self._random.choice([int(each) for each in self._foreign if each.isdecimal()])
        return _as_text(self._text())

    def _text(self) -> str | bytes:
        kind = self._random.random()
        if kind < 0.05:
            return self._random.choice(RAW_VALUES)
        return self._random.choice(self._foreign if kind < 0.2 else VALUES)


def _encoded(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")


def _as_text(value: str | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _problems_of(answer: TestResponse) -> list[str]:
    """Return what is wrong with an answer. No answer is HTML."""
    problems = answer_problems(answer)
    if answer.status_code >= 500 and answer.status_code not in {502, 504}:
        problems.append(f"status {answer.status_code}")
    if answer.data and answer.mimetype == "text/html":
        problems.append(f"type {answer.mimetype}")
    return problems


def _send(api: ApiClient, method: str, path: str, options: dict[str, Any]) -> list[str]:
    try:
        return _problems_of(api.open(method, path, **options))
    except Exception as error:  # noqa: BLE001  every error is a failure
        return [f"{type(error).__name__}: {error}"[:300]]


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("who", WHO)
def test_no_request_makes_the_api_fail(
    app: Flask,
    api_of: ClientFor,
    create_records: Callable[[str], dict[str, object]],
    monkeypatch: pytest.MonkeyPatch,
    who: str,
) -> None:
    level = who.partition("-")[0]
    level = level if level in HOMES else "account"
    records = create_records(level)
    foreign = [str(records[name]) for name in ("unrelated", "foreign", "foreign_member", "private")]
    foreign += ["globex", "globex/lab", "stranger@example.com", f"#{records['unrelated']}"]
    unlimited = replace(app.extensions["services"], rate_limits=RateLimits("", 10_000_000))
    monkeypatch.setitem(app.extensions, "services", unlimited)
    requests = Requests(SEED + zlib.crc32(who.encode()), level, records, foreign)
    failures: Counter[str] = Counter()
    api, initial = api_of(who), stored_rows()
    before = initial
    for index, (method, path, options) in enumerate(requests(REQUESTS)):
        if index % RESTORE_EVERY == 0:
            failures.update(
                f"forbidden change of {change}"[:1000]
                for change in forbidden_changes(who, before, stored_rows())
            )
            restore(initial)
            with models.database.connection_context():
                ApiToken.delete().where(ApiToken.name.startswith(f"{who} ")).execute()
            api, before = api_of(who), stored_rows()
        for problem in _send(api, method, path, options):
            failures[f"{problem} in {method} {path} {str(options)[:600]}"] += 1
    log.info("%s: %s requests, %s inputs", who, REQUESTS, requests.inputs)
    assert not failures, "\n".join(map(str, failures.most_common(20)))
