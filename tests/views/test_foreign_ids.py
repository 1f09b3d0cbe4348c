"""No page shows whether a record of others exists.

Every value of a URL, of a query and of a form that can name a record is sent twice: with a record
that the person may not see, and with a record that does not exist. Both answers must be the same.
The URLs come from the routes, and the fields from the forms and from what the views read. A field
that is in neither of the tables below fails the test. `FOREIGN_IDS=all` in the environment compares
for the whole cast.
"""

from __future__ import annotations

import logging
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pyotp
import pytest
from flask import Flask
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

import models
from models import Person, SessionKind
from tests.access_tables import URLS
from tests.cast import HOMES
from tests.conftest import ScopeAt
from tests.factors.helpers import SECRET
from tests.foreign_ids import (
    SEALED,
    Comparisons,
    ForeignRecords,
    Pair,
    foreign_records,
    no_jobs,
    restorable_database,
)
from tests.views.hostile import PageForms, Request, field_names, record_names
from tests.views.test_access_matrix import PERSONAL, ROWS, create_records
from webapp.clouds import CLOUDS
from webapp.credentials.vault import Vault
from webapp.people import sessions
from webapp.views.more_images import COPY, RESOURCE
from webapp.views.person_pages import PERSON_ID

__all__ = ["create_records", "foreign_records", "no_jobs"]

log = logging.getLogger(__name__)
FEW = ("account-admin", "environment-editor")
ALL = (
    *(f"{level}-{role}" for level in ("account", "environment") for role in ("viewer", "editor")),
    *("account-admin", "environment-admin", "outsider"),
)
WHO = ALL if os.environ.get("FOREIGN_IDS") == "all" else FEW

PATH_KINDS = {
    "account": "account",
    "environment": "environment",
    "image_id": "image",
    "credentials_id": "credentials",
    "membership_id": "membership",
    "invitation_id": "invitation",
    "person_id": "person",
    "view_id": "view",
    "job_id": "job",
    "entry_id": "entry",
    "session_id": "session",
    "identity_id": "identity",
    "passkey_id": "passkey",
    "number": "token",
    "role_rule_id": "role rule",
    "rule_id": "rule",
    "slug": "slug",
}
"""The kind of record that each value in a URL names. The others are in NOT_IDS."""
FIELD_KINDS: Mapping[str, tuple[str, ...]] = {
    **{f"credentials_{cloud}": ("credentials",) for cloud in CLOUDS},
    "credentials": ("credentials",),
    "after": ("entry",),
    "before": ("entry",),
    "check": ("entry",),
    "email": ("email",),
    "ids": ("cloud image",),
    "image": ("image",),
    "image_id": ("cloud image", "image"),
    "image_ids": ("image",),
    "jobs_before": ("job",),
    "like": ("image",),
    "next": ("url",),
    "path": ("url", "path"),
    "q": ("search",),
    "running": ("job",),
    "scope": ("path", "scope"),
    "successor": ("successor",),
}
"""The kinds of records that each field can name."""
CLOUD_FIELDS = {
    f"{before}{each.name}{after}"
    for cloud in CLOUDS.values()
    for each in (*cloud.credential_fields, cloud.image_id_field, cloud.location_field)
    if each is not None
    for before, after in (("", ""), ("clear_", ""), ("", "_file"))
}
NOT_IDS = {
    *CLOUD_FIELDS,
    *(f"location_{cloud}" for cloud in CLOUDS),
    *[
        "action",
        "agent_installed",
        "audience",
        "claim",
        "claims",
        "confirmed",
        "issuer",
        "provider",
        "value",
        "all",
        "back",
        "batch",
        "caret",
        "code",
        "columns",
        "compare",
        "compute_resource",
        "contents",
        "copies",
        "csrf_token",
        "current_password",
        "density",
        "entered",
        "error",
        "every",
        "expected",
        "expires_at",
        "file",
        "format",
        "how",
        "import",
        "iss",
        "label",
        "link",
        "live",
        "name",
        "networks",
        "notes",
        "on",
        "os_family",
        "os_family_other",
        "os_version",
        "os_version_other",
        "page",
        "page_size",
        "passkey",
        "plan",
        "paste",
        "position",
        "progress",
        "reason",
        "receipt",
        "replace",
        "resumed",
        "revision",
        "revisions",
        "role",
        "rule",
        "set_up",
        "shared",
        "show",
        "shown",
        "size_gb",
        "skip_check",
        "sort",
        "start_page",
        "state",
        "status",
        "tags",
        "text",
        "theme",
        "unsent",
        "versions",
        "zone",
    ],
}
"""Fields that name no record, or only with a value that the application has encrypted."""
PREFIXES = (COPY, RESOURCE)
"""The beginning of the names of fields for single rows, which name no record."""
PAGES = (
    "/images?q=cloud%3Aaws",
    "/images/{image}/compare?q={promoted}",
)
"""Further pages with forms."""
DEPTH = 2
"""How many forms are sent one after the other to find the next ones."""
PATH_VALUES = {
    "account": {"account": "acme", "kind": "environments", "slug": "staging"},
    "environment": {
        "account": "acme", "environment": "production", "kind": "environments", "slug": "x"
    },
}  # fmt: skip
OWN = {
    "cloud_key": "aws",
    "name": "searching",
    "provider": "nothing",
    "token": "never-made",
    "session_id": 999_999,
    "identity_id": 999_999,
    "passkey_id": 999_999,
}
"""Further values in URLs."""
Pairs = Mapping[str, Sequence[Pair]]


@dataclass
class Site:
    """Sends requests of one person, each with the same cookies and the same records."""

    app: Flask
    token: str
    person: str
    restore: Callable[[], None]

    def send(self, request: Request) -> list[TestResponse]:
        """Send a request, follow the redirects, and return all answers."""
        self.restore()
        client = self.app.test_client()
        client.set_cookie("session", self.token)
        with client.session_transaction() as state:
            state[PERSON_ID] = self.person
        answers = [request.send(client)]
        while answers[-1].status_code in {302, 303} and len(answers) < 3:
            url = urlsplit(answers[-1].location)
            answers.append(client.get(url.path, query_string=url.query))
        return answers


class Requests:
    """Makes the requests of one person at one level: one for each route, and one for each form."""

    def __init__(self, app: Flask, level: str, own: Mapping[str, object], site: Site) -> None:
        self._adapter = app.url_map.bind("")
        self._site = site
        self._bases: dict[tuple[str, str], list[Request]] = defaultdict(list)
        self.own = {**OWN, **own}
        for rule in app.url_map.iter_rules():
            if rule.endpoint.partition(".")[0] in {level, "people", "help"}:
                for method in {"GET", "POST"} & (rule.methods or set()):
                    self._bases[method, rule.endpoint].append(Request(method, self._path(rule)))

    def _path(self, rule: Rule) -> str:
        values = {name: self.own[name] for name in rule.arguments}
        return self._adapter.build(rule.endpoint, values)

    def read_forms(self, urls: Iterable[str]) -> None:
        """Add the forms of these pages, and the forms of the pages to which the forms lead."""
        found = [
            Request("GET", each.path, tuple(parse_qsl(each.query))) for each in map(urlsplit, urls)
        ]
        known = set()
        for _ in range(DEPTH + 1):
            pages, found = found, []
            for page in pages:
                parser = PageForms()
                parser.feed(self._site.send(page)[-1].get_data(as_text=True))
                for form in (replace(each, path=each.path or page.path) for each in parser.forms):
                    names = tuple(name for name, _ in form.fields)
                    key = (form.method, self._endpoint(form), names)
                    if key[1] and key not in known:
                        known.add(key)
                        self._bases[form.method, key[1]].append(form)
                        if form.method == "POST":
                            found.append(form)

    def _endpoint(self, request: Request) -> str:
        """Return the endpoint of a form, or '' if it is not sent or ends the session."""
        try:
            endpoint: str = self._adapter.match(request.path, method=request.method)[0]
        except HTTPException:
            return ""
        return "" if endpoint == "people.sign_out" else endpoint

    def __iter__(self) -> Iterator[tuple[str, Request]]:
        """Yield each request with the endpoint of its view."""
        for (_, endpoint), requests in self._bases.items():
            for request in requests:
                yield endpoint, request

    def with_other_records(
        self, endpoint: str, request: Request, pairs: Pairs
    ) -> Iterator[tuple[str, Pair, Callable[[str], Request]]]:
        """Yield a name, a pair, and a function that puts a value into the URL of a request."""
        arguments = self._adapter.match(request.path, method=request.method)[1]
        for name in arguments.keys() & PATH_KINDS:
            for pair in pairs[PATH_KINDS[name]]:
                yield name, pair, partial(self._with_argument, endpoint, request, arguments, name)

    def _with_argument(
        self, endpoint: str, request: Request, arguments: Mapping[str, Any], name: str, value: str
    ) -> Request:
        path = self._adapter.build(endpoint, {**arguments, name: value})
        return replace(request, path=path)


def with_other_values(
    request: Request, names: Iterable[str], pairs: Pairs
) -> Iterator[tuple[str, Pair, Callable[[str], Request]]]:
    """Yield a name, a pair, and a function that puts a value into a field of a request."""
    for name in sorted(names):
        for kind in FIELD_KINDS.get(name, ()):
            for pair in pairs[kind]:
                yield name, pair, partial(_with_value, request, name)


def _with_value(request: Request, name: str, value: str) -> Request:
    """Return the request with this value of a field. A form also gets it in the query."""
    query = tuple(each for each in request.query or request.fields if each[0] != name)
    if request.method == "GET":
        return replace(request, query=(*query, (name, value)), fields=())
    fields = tuple(each for each in request.fields if each[0] != name)
    return replace(request, query=((name, value),), fields=(*fields, (name, value)))


def test_sealed_values_are_not_compared(app: Flask) -> None:
    vault: Vault = app.extensions["services"].vault
    assert SEALED.fullmatch(vault.seal({"secret": SECRET}, "test"))


def test_every_field_is_classified() -> None:
    unknown = set(field_names()) - FIELD_KINDS.keys() - NOT_IDS
    assert not unknown, "add these fields to FIELD_KINDS or to NOT_IDS"


@pytest.mark.usefixtures("no_network", "no_jobs")
@pytest.mark.parametrize("who", WHO)
def test_records_of_others_look_like_no_records(
    app: Flask,
    scope: ScopeAt,
    create_records: Callable[[str], dict[str, object]],
    foreign_records: ForeignRecords,
    monkeypatch: pytest.MonkeyPatch,
    who: str,
) -> None:
    level = who.partition("-")[0]
    level = level if level in HOMES else "account"
    beside = {"account": "globex", "environment": "acme/staging"}[level]
    records = create_records(level)
    pairs = foreign_records.create(scope(HOMES[level]), scope(beside))
    person = Person.get(Person.email == f"{who}@example.com")
    token = sessions.start(person, SessionKind.PASSWORD, "127.0.0.1", "")
    models.database.close()
    recording_request, names_read = record_names(app)
    monkeypatch.setattr(app, "request_class", recording_request)
    # Otherwise, each page that sets up an authenticator app shows another secret and QR code.
    monkeypatch.setattr(pyotp, "random_base32", lambda: SECRET)
    found, unknown = Comparisons(), set[str]()
    with restorable_database() as restore:
        site = Site(app, token, str(person.id), restore)
        requests = Requests(app, level, {**PATH_VALUES[level], **_own(records)}, site)
        requests.read_forms(_pages(level, records))
        every = [
            (name, values[0].nonexistent)
            for name, kinds in FIELD_KINDS.items()
            for values in [pairs[kinds[0]]]
        ]
        for endpoint, request in list(requests):
            site.send(replace(request, query=tuple(every)))
            names = names_read[request.method, endpoint] | {name for name, _ in request.fields}
            unknown |= {each for each in names if not _is_classified(each)}
            for variants in (
                requests.with_other_records(endpoint, request, pairs),
                with_other_values(request, names, pairs),
            ):
                for name, pair, make in variants:
                    send = partial(_send_with, site, make)
                    found.compare(f"{request.method} {endpoint} {name}", pair, send)
    log.info("%s: %s", who, found.summary())
    assert not unknown, "add these fields to FIELD_KINDS or to NOT_IDS"
    assert found.number > 300
    assert not found.differences, "\n".join(found.differences)


def _is_classified(name: str) -> bool:
    return name in FIELD_KINDS or name in NOT_IDS or name.startswith(PREFIXES)


def _send_with(site: Site, make: Callable[[str], Request], value: str) -> list[TestResponse]:
    return site.send(make(value))


def _own(records: Mapping[str, object]) -> dict[str, object]:
    """Return the records of the person's scope by the names of values in URLS."""
    names = (
        "image",
        "credentials",
        "invitation",
        "person",
        "view",
        "job",
        "entry",
        "rule",
        "role_rule",
    )
    own = {f"{name}_id": records[name] for name in names}
    return {**own, "membership_id": records["member"], "number": records["token"]}


def _pages(level: str, records: Mapping[str, object]) -> Iterator[str]:
    for row in ROWS:
        if row.method == "GET" and level[0] in row.levels and "export" not in row.path:
            yield URLS[level] + row.path.format(**records)
    for url in PAGES:
        yield URLS[level] + url.format(**records)
    yield from (path for method, path in PERSONAL if method == "GET")
