"""Requests with values that no page sends, over every route and every field of the app.

The routes come from the URL map. The fields come from the forms on the pages, from the form
classes, and from the names that the views read. The same seed gives the same requests.
"""

from __future__ import annotations

import importlib
import pkgutil
import random
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes, urlsplit

from flask import Flask, has_request_context
from flask import request as current_request
from flask.testing import FlaskClient
from werkzeug.datastructures import ImmutableMultiDict
from werkzeug.routing import IntegerConverter, Rule
from werkzeug.test import TestResponse
from wtforms import Form

import webapp.forms
from tests.views.hostile_values import (
    HEADERS,
    MARKUP,
    NUMBERS,
    RAW_VALUES,
    SQL,
    TEMPLATES,
    VALUES,
)
from webapp.clouds import CLOUDS

VIEWS = Path(webapp.forms.__file__).parent.parent / "views"
URLS = ("/scalr", "/account/acme", "/environment/acme/production")
_READ_NAME = re.compile(
    r'(?:args|arguments|form)(?:\.get\(|\[)"(\w+)"'
    r'|(?:number|id)_argument\("(\w+)"'
    r'|"(\w+)" in request\.'
)
Fields = tuple[tuple[str, str | bytes], ...]


@dataclass(frozen=True)
class Request:
    """One request. `path` is already quoted."""

    method: str
    path: str
    query: Fields = ()
    fields: Fields = ()
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None

    def send(self, client: FlaskClient) -> TestResponse:
        """Return the answer. Raises what the app raises."""
        options: dict[str, Any] = {"query_string": _encode(self.query)}
        headers = dict(self.headers)
        if self.method == "POST":
            options["data"] = _encode(self.fields).encode() if self.body is None else self.body
            options["content_type"] = "application/x-www-form-urlencoded"
        environ = {
            "HTTP_" + name.upper().replace("-", "_"): value
            for name, value in headers.items()
            if name not in {"Content-Type", "Content-Length"}
        }
        if "Content-Length" in headers:
            environ["CONTENT_LENGTH"] = headers["Content-Length"]
        if "Content-Type" in headers and self.method == "POST":
            environ["CONTENT_TYPE"] = headers["Content-Type"]
        return client.open(self.path, method=self.method, environ_overrides=environ, **options)


@dataclass
class PageForms(HTMLParser):
    """Collects the forms of a page: their method, action and fields.

    Boxes that are not checked are included too, so that requests change the values of all fields.
    """

    forms: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self._select = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            url = urlsplit(values.get("action", ""))
            self.forms.append(Request(values.get("method", "get").upper(), url.path))
        elif not self.forms:
            return
        elif tag == "select":
            self._select = values.get("name", "")
        elif tag == "option" and self._select and "selected" in values:
            self._add(self._select, values.get("value", ""))
        elif tag in {"input", "textarea"}:
            self._add(values.get("name", ""), values.get("value", ""))

    def _add(self, name: str, value: str) -> None:
        if name and name != "csrf_token":
            form = self.forms[-1]
            self.forms[-1] = replace(form, fields=(*form.fields, (name, value)))


def form_classes() -> list[type[Form]]:
    """Return all classes of forms in `webapp.forms`."""
    found: dict[str, type[Form]] = {}
    for module in pkgutil.iter_modules(webapp.forms.__path__):
        loaded = importlib.import_module(f"webapp.forms.{module.name}")
        for value in vars(loaded).values():
            if isinstance(value, type) and issubclass(value, Form):
                found[value.__qualname__] = value
    return [value for value in found.values() if value.__module__.startswith("webapp.forms")]


def field_names() -> list[str]:
    """Return the names of all fields of forms and credentials, and of fields that a view reads."""
    names = {"csrf_token", "resumed", "unsent", "versions"}
    for form in form_classes():
        names |= {
            name for name in dir(form) if type(getattr(form, name)).__name__ == "UnboundField"
        }
    for cloud in CLOUDS.values():
        names.add(f"credentials_{cloud.key}")
        for each in (*cloud.credential_fields, cloud.image_id_field, cloud.location_field):
            names |= {each.name, f"clear_{each.name}", f"{each.name}_file"} if each else set()
    return sorted(names | set(query_names()))


def query_names() -> list[str]:
    """Return the names that views read from the URL or the form without a form class."""
    sources = "".join(path.read_text() for path in sorted(VIEWS.glob("*.py")))
    return sorted(
        {name for match in _READ_NAME.finditer(sources) for name in match.groups() if name}
    )


NamesRead = dict[tuple[str, str | None], set[str]]


def record_names(app: Flask) -> tuple[type, NamesRead]:
    """Return a class of requests, and the names that views read from the query or the form.

    The dictionary has the names for each method and endpoint. Requests of the class fill it.
    """
    names: NamesRead = defaultdict(set)

    class Recording(ImmutableMultiDict[str, str]):
        def note(self, name: Any) -> None:
            if has_request_context():
                names[current_request.method, current_request.endpoint].add(str(name))

        def __getitem__(self, name: Any) -> Any:
            self.note(name)
            return super().__getitem__(name)

        def __contains__(self, name: Any) -> bool:
            self.note(name)
            return super().__contains__(name)

        def getlist(self, *arguments: Any, **options: Any) -> Any:
            self.note(arguments[0])
            return super().getlist(*arguments, **options)

    recording = {"parameter_storage_class": Recording}
    return type("RecordingRequest", (app.request_class,), recording), names


class Crawl:
    """Makes hostile requests.

    `records` are the IDs of existing records by URL argument. `foreign` are names and IDs of
    records that the person may not see. `names_read` are the names that each view reads.
    """

    def __init__(
        self,
        app: Flask,
        seed: int,
        records: Mapping[str, Sequence[object]],
        foreign: Sequence[str],
        names_read: NamesRead,
    ) -> None:
        self._random = random.Random(seed)
        self._records, self._foreign, self._names_read = records, foreign, names_read
        self._names, self._query_names = field_names(), query_names()
        self._targets = [
            (method, rule)
            for rule in app.url_map.iter_rules()
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
        ]
        self.forms: list[Request] = []
        self._known: set[tuple[object, ...]] = set()

    def read_forms(self, client: FlaskClient, paths: Sequence[str]) -> None:
        """Collect the forms of these pages, so that requests reach the code behind valid fields."""
        for path in paths:
            page = PageForms()
            page.feed(client.get(path).get_data(as_text=True))
            for form in page.forms:
                # The layout repeats its forms on every page.
                known = (form.method, form.path, tuple(name for name, _ in form.fields))
                if form.path and form.path != "/sign-out" and known not in self._known:
                    self._known.add(known)
                    self.forms.append(form)

    def requests(self, number: int) -> Iterator[Request]:
        """Yield `number` requests: in turn for the next route, and for a random form of a page."""
        targets = list(self._targets)
        self._random.shuffle(targets)
        for index in range(number):
            if self.forms and index % 2:
                base = self._random.choice(self.forms)
            else:
                base = self._for_rule(*targets[(index // 2) % len(targets)])
            yield self._with_headers(self._mutated(base))

    def _for_rule(self, method: str, rule: Rule) -> Request:
        path = ""
        for is_argument, text in rule._trace:
            path += self._argument(rule, text) if is_argument else text
        path = path.lstrip("|")
        offered = self._query_names if self._random.random() < 0.6 else self._names
        read = sorted(self._names_read[method, rule.endpoint] - {"csrf_token"})
        if read and self._random.random() < 0.7:
            offered = read
        names = self._random.sample(offered, min(len(offered), self._random.randint(1, 4)))
        fields = tuple((name, self._value()) for name in names)
        if method == "GET":
            return Request(method, path, query=fields)
        return Request(method, path, fields=fields)

    def _argument(self, rule: Rule, name: str) -> str:
        is_number = isinstance(rule._converters[name], IntegerConverter)
        if self._random.random() < 0.8 and self._records.get(name):
            return str(self._random.choice(self._records[name]))
        if is_number and self._random.random() < 0.7:
            return _quoted(self._random.choice(NUMBERS))
        return _quoted(self._value()).replace("/", "%2F")

    def _mutated(self, request: Request) -> Request:
        """Replace the values of some fields, repeat a field, or add one."""
        is_query = request.method == "GET"
        fields = list(request.query or request.fields if is_query else request.fields)
        for _ in range(self._random.choice((1, 1, 1, 2, 4))):
            if fields and self._random.random() < 0.8:
                index = self._random.randrange(len(fields))
                pair = (fields[index][0], self._value())
                if self._random.random() < 0.15:
                    fields.insert(index, pair)
                else:
                    fields[index] = pair
            else:
                fields.append((self._random.choice(self._names), self._value()))
        if is_query:
            return replace(request, query=tuple(fields), fields=())
        body = None
        if self._random.random() < 0.04:
            body = self._random.choice(
                (b"--b\r\n", b"a=b&" * 1500, b"\xff" * 2000, b"%" * 999, b"x" * 2_000_000)
            )
        return replace(request, fields=tuple(fields), body=body)

    def _with_headers(self, request: Request) -> Request:
        chosen = []
        if self._random.random() < 0.3:
            chosen = self._random.sample(HEADERS, self._random.randint(1, 2))
        if self._random.random() < 0.01:
            pairs = tuple((f"p{number}", "1") for number in range(10_000))
            request = replace(request, query=pairs)
        return replace(request, headers=tuple(chosen))

    def _value(self) -> str | bytes:
        kind = self._random.random()
        if kind < 0.1:
            return self._random.choice(RAW_VALUES)
        if kind < 0.2:
            length = self._random.choice((1, 3, 70, 300, 4000))
            return "".join(chr(self._code_point()) for _ in range(length))
        if kind < 0.25:
            return str(self._random.randint(-(2**70), 2**70))
        if kind < 0.35:
            return self._random.choice(self._foreign)
        if kind < 0.5:
            return self._random.choice((*MARKUP, *TEMPLATES, *SQL))
        return self._random.choice(VALUES)

    def _code_point(self) -> int:
        high = self._random.choice((0x7F, 0x2FF, 0x206F, 0xD7FF, 0x10FFFF))
        code_point = self._random.randint(0, high)
        return code_point if not 0xD800 <= code_point <= 0xDFFF else 0xFFFD


def _quoted(value: str | bytes) -> str:
    raw = value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")
    return quote_from_bytes(raw, safe="")


def _encode(fields: Fields) -> str:
    return "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in fields)
