"""Fixtures: the app, a fresh database for each test, and clients for the cast.

Tests run on SQLite. With `--database postgresql`, they run on PostgreSQL, and with
`--database pgbouncer` on PostgreSQL behind PgBouncer.
"""

from __future__ import annotations

import re
import shutil
import socket
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from argon2 import PasswordHasher
from flask import Flask, Response, request_finished
from flask.testing import FlaskClient
from peewee import PeeweeException
from werkzeug.test import TestResponse

import models
import webapp
from models import AuditEntry, CloudCredentials, Image, Person, Scope, SessionKind
from tests import cast
from tests.canaries import Canaries, learning
from tests.environ import ENVIRON
from tests.pgbouncer import pgbouncer
from tests.postgresql import cluster
from webapp import database
from webapp.access import Actor
from webapp.clouds import CLOUDS
from webapp.clouds.details import Fact, ImageDetails, ImageState, Volume
from webapp.clouds.locators import Locator
from webapp.clouds.outgoing import endpoints
from webapp.credentials.vault import Vault
from webapp.images import registration
from webapp.images.choices import ImageChoices
from webapp.images.receipts import Receipt
from webapp.jobs import backoff
from webapp.people import accounts, sessions
from webapp.people.attempts import Attempts
from webapp.people.last_seen import LastSeen, LastUsed
from webapp.views.person_pages import PERSON_ID
from webapp.web.services import Services

NOWHERE = "http://127.0.0.1:9"
"""An endpoint without a server."""
PRODUCTION_HASHER = accounts._hasher
"""The hasher of the application. The tests replace it by a faster one."""
NewDatabase = Callable[[], AbstractContextManager[str]]
AUDIT_TEXTS = (
    "SELECT person_name, person_email, scope_label, subject, record, changes FROM audit_entry"
)

# Types of the fixtures that return a function. `scope` finds a scope by its path.
ActorOf = Callable[[str], Actor]
ClientOf = Callable[[str], FlaskClient]
ScopeAt = Callable[[str], Scope]
MakeCredentials = Callable[..., CloudCredentials]
MakeImage = Callable[..., Image]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--database",
        choices=("sqlite", "postgresql", "pgbouncer"),
        default="sqlite",
        help="database to run the tests on",
    )


@pytest.fixture(scope="session")
def new_database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NewDatabase]:
    """Yield a function that provides a database which contains only the cast."""
    if request.config.getoption("database") == "sqlite":
        yield _sqlite(tmp_path_factory.mktemp("sqlite"))
        return
    with cluster() as server:
        if request.config.getoption("database") == "postgresql":
            yield _postgresql(server)
            return
        with pgbouncer(server) as pooled:
            yield _postgresql(server, pooled)


def _sqlite(folder: Path) -> NewDatabase:
    """Copy one filled database file for each test."""
    golden = folder / "golden.db"
    fill_database(f"sqlite:///{golden}")

    @contextmanager
    def new() -> Iterator[str]:
        copy = folder / f"{uuid.uuid4().hex}.db"
        shutil.copyfile(golden, copy)
        copy.chmod(0o600)
        yield f"sqlite:///{copy}"
        for leftover in folder.glob(f"{copy.name}*"):
            leftover.unlink()

    return new


def _postgresql(server: str, pooled: str = "") -> NewDatabase:
    """Use one database, and restore it before each test from a copy of its rows in a second schema.

    Restoring takes 7 ms; copying a whole database takes half a second. If `pooled` is the URL of a
    PgBouncer in front of the server, the app and its migrations use it.
    """
    database_name = f"tests_{uuid.uuid4().hex}"

    def url_at(address: str) -> str:
        return f"{address.removesuffix(urlsplit(address).path)}/{database_name}"

    url = url_at(server)
    url_of_app = url_at(pooled or server)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {database_name}")
    fill_database(url_of_app, pgbouncer=bool(pooled))
    tables = [table._meta.table_name for table in models.TABLES]
    copy = "".join(f"CREATE TABLE golden.{name} AS TABLE public.{name};" for name in tables)
    clear = "".join(f"DELETE FROM public.{name};" for name in reversed(tables))
    restore = "".join(f"INSERT INTO public.{name} TABLE golden.{name};" for name in tables)
    with psycopg.connect(url) as connection:
        connection.execute(f"CREATE SCHEMA golden; {copy}")

    @contextmanager
    def new() -> Iterator[str]:
        with psycopg.connect(url) as connection:
            connection.execute(clear + restore)
        yield url_of_app

    return new


def fill_database(url: str, *, pgbouncer: bool = False) -> None:
    """Migrate the empty database at `url`, and add the cast."""
    golden = database.open_database(url, pgbouncer=pgbouncer)
    models.database.initialize(golden)
    with golden.connection_context():
        database.migrate(golden)
        cast.fill()
    database.close_all(golden)


@pytest.fixture(autouse=True, scope="session")
def _fast_hashes() -> Iterator[None]:
    """Let the process of the tests hash passwords quickly. Servers that it starts hash slowly."""
    hasher = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accounts, "_hasher", hasher)
        patch.setattr(accounts, "_DUMMY_HASH", hasher.hash(uuid.uuid4().hex))
        yield


@pytest.fixture(autouse=True, scope="session")
def _all_canaries() -> Iterator[Canaries]:
    found = Canaries()
    with learning(found):
        yield found


@pytest.fixture(autouse=True)
def canaries(_all_canaries: Canaries) -> Iterator[Canaries]:
    """Return the secrets of the test. The test fails if one of them leaks.

    A leak in an answer is an error of the request. Other leaks are reported after the test.
    """
    _all_canaries.begin()
    yield _all_canaries
    assert not _all_canaries.leaks


@pytest.fixture(autouse=True, scope="session")
def _allow_loopback() -> None:
    """Let adapters connect to the peers, which listen on loopback addresses."""
    endpoints.configure(ENVIRON["ALLOWED_ENDPOINTS"].split(","))


@pytest.fixture(scope="session")
def behind_pgbouncer(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("database") == "pgbouncer")


@pytest.fixture(scope="session")
def session_app(new_database: NewDatabase, behind_pgbouncer: bool) -> Iterator[Flask]:
    """Create the app once, which takes longer than most tests. `app` gives it a fresh database."""
    with new_database() as url:
        setting = str(behind_pgbouncer).lower()
        app = webapp.create_app({**ENVIRON, "DATABASE_URL": url, "PGBOUNCER": setting})
        app.config.update(TESTING=True, WTF_CSRF_ENABLED=False)
        app.test_client_class = ClosingClient
        request_finished.connect(_require_unique_ids, app)
        yield app
        database.close_all(models.database.obj)


class ClosingClient(FlaskClient):
    """A client that reads and closes each response, as a server does.

    An export that is never closed would keep its connection until garbage collection, and then
    close the connection of another test.
    """

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        return super().open(*args, **{"buffered": True, **kwargs})


def _require_unique_ids(_app: Flask, response: Response, **_: object) -> None:
    """Fail if a page or fragment of any test has the same element ID twice."""
    is_text = "Content-Encoding" not in response.headers and not response.is_streamed
    if response.mimetype == "text/html" and is_text:
        ids = Counter(re.findall(r'\sid="([^"]*)"', response.get_data(as_text=True)))
        assert not [name for name, count in ids.items() if count > 1]


@pytest.fixture
def app(
    session_app: Flask, new_database: NewDatabase, behind_pgbouncer: bool, canaries: Canaries
) -> Iterator[Flask]:
    with new_database() as url:
        fresh = database.open_database(url, pgbouncer=behind_pgbouncer)
        models.database.initialize(fresh)
        services: Services = session_app.extensions["services"]
        session_app.extensions["services"] = replace(
            services, attempts=Attempts(""), last_seen=LastSeen(), tokens_used=LastUsed()
        )
        yield session_app
        session_app.extensions["services"] = services
        # The database of a few tests is still out of order.
        with suppress(PeeweeException), fresh.connection_context():
            canaries.check_rows(fresh.execute_sql(AUDIT_TEXTS))
        database.close_all(fresh)


@pytest.fixture(autouse=True)
def no_pauses_between_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let jobs try again at once."""
    for name in ("FIRST_CLOUD_PAUSE", "FIRST_DATABASE_PAUSE", "BUDGET_PAUSE"):
        monkeypatch.setattr(backoff, name, 0.0)
    monkeypatch.setattr(backoff, "BUDGET_WAITS", 3)


class Clock:
    """A clock that a test sets. Before the first `go_to`, it shows the real time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = models.now()
        monkeypatch.setattr(models, "now", lambda: self.now)
        monkeypatch.setattr(models, "today", self.today)

    def today(self) -> date:
        return self.now.date()

    def go_to(self, instant: datetime) -> None:
        self.now = instant


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the clock of the code that calls `models.now` and `models.today`."""
    return Clock(monkeypatch)


@pytest.fixture
def db(app: Flask) -> Iterator[Flask]:
    """Open a connection, for tests that call use cases. A request in the test closes it."""
    models.database.connect(reuse_if_open=True)
    yield app
    if not models.database.is_closed():
        models.database.close()


@pytest.fixture
def vault(app: Flask) -> Vault:
    services: Services = app.extensions["services"]
    return services.vault


def sign_in(client: FlaskClient, email: str) -> None:
    """Sign a person in without the password, because hashing a password is slow on purpose."""
    with models.database.connection_context():
        person = Person.get(Person.email == email)
        token = sessions.start(person, SessionKind.PASSWORD, "127.0.0.1", "")
    client.set_cookie("session", token)
    with client.session_transaction() as state:
        state[PERSON_ID] = str(person.id)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection of an SDK at once. The database has its own sockets."""

    def refuse(*_arguments: object, **_options: object) -> None:
        raise ConnectionRefusedError

    def not_found(*_arguments: object, **_options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", not_found)
    monkeypatch.setattr("time.sleep", lambda _seconds: None)


@pytest.fixture
def client_of(app: Flask) -> ClientOf:
    """Return a function that signs in a person of the cast; 'nobody' gives a signed-out client."""

    def client_of(name: str) -> FlaskClient:
        client = app.test_client()
        if name != "nobody":
            sign_in(client, f"{name}@example.com")
        return client

    return client_of


@pytest.fixture
def actor_of(db: Flask) -> ActorOf:
    return lambda name: accounts.actor_for(Person.get(Person.email == f"{name}@example.com"))


@pytest.fixture
def scope(db: Flask) -> ScopeAt:
    return lambda path: Scope.get(Scope.path == path)


@pytest.fixture
def acme(scope: ScopeAt) -> Scope:
    return scope("acme")


@pytest.fixture
def editor(actor_of: ActorOf) -> Actor:
    """Return the editor of acme."""
    return actor_of("account-editor")


@pytest.fixture
def make_credentials(db: Flask, vault: Vault) -> MakeCredentials:
    def make(path: str = "", name: str = "AWS", endpoint: str = NOWHERE) -> CloudCredentials:
        row = CloudCredentials(scope=Scope.at(path), cloud="aws", name=name)
        values = {
            "access_key_id": "AKIAEXAMPLE",
            "secret_access_key": "not-a-secret-at-all",
            "session_token": "",
            "role_arn": "",
            "partition": "aws",
            "endpoint_url": endpoint,
        }
        vault.store(row, CLOUDS["aws"].credential_fields, values)
        row.save(force_insert=True)
        return row

    return make


def reload(image: Image) -> Image:
    """Return the image as it is stored now."""
    stored: Image = Image.get_by_id(image.id)
    return stored


def entries_of(image: Image) -> list[AuditEntry]:
    """Return all entries of the audit log about an image, newest first."""
    entries = AuditEntry.select().where(AuditEntry.record == image.reference)
    return list(entries.order_by(AuditEntry.id.desc()))


def details(**changes: object) -> ImageDetails:
    """Return image details as a cloud might report them."""
    defaults = {
        "name": "ubuntu-noble-24.04",
        "description": "Ubuntu 24.04",
        "architecture": "x86_64",
        "size_gb": 8,
        "state": ImageState.AVAILABLE,
        "state_note": "",
        "created_at": datetime(2026, 1, 2, tzinfo=UTC),
        "deprecated_at": None,
        "facts": (Fact("owner", "Owner account", "099720109477"),),
        "volumes": (Volume("/dev/sda1", "gp3", 8, "snap-1", encrypted=False, root=True),),
        "os_texts": ("ubuntu-noble-24.04",),
    }
    return ImageDetails(**{**defaults, **changes})  # type: ignore[arg-type]


def choices(**changes: object) -> ImageChoices:
    """Return choices as a person might make them."""
    defaults = {
        "name": "noble",
        "os_family": "ubuntu",
        "os_version": "24.04",
        "size_gb": 8,
        "agent_installed": True,
        "shared": True,
    }
    return ImageChoices(**{**defaults, **changes})  # type: ignore[arg-type]


def receipt(credentials: CloudCredentials, number: int = 1, **changes: object) -> Receipt:
    """Return a receipt for AMI number `number`, as if it had just been looked up."""
    location = str(changes.pop("location", "us-east-1"))
    locator = Locator(location, f"ami-{number:017x}")
    return Receipt("aws", credentials.id, credentials.revision, locator, details(**changes))


@pytest.fixture
def make_image(make_credentials: MakeCredentials, actor_of: ActorOf) -> MakeImage:
    """Return a function that registers an image as the Scalr admin, with Scalr's credentials."""
    created: list[CloudCredentials] = []

    def make(
        path: str = "", number: int = 1, location: str = "us-east-1", **changes: object
    ) -> Image:
        if not created:
            created.append(make_credentials())
        scope = Scope.at(path)
        assert scope is not None
        proof = receipt(created[0], number, location=location)
        return registration.register(actor_of("scalr-admin"), scope, proof, choices(**changes))

    return make
