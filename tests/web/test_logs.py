"""The log of requests, which never contains secrets."""

from __future__ import annotations

import base64
import io
import json
import logging
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from flask import Flask
from flask.testing import FlaskClient
from psycopg.conninfo import conninfo_to_dict

from tests.conftest import ClientOf
from tests.environ import ENVIRON
from webapp.clouds.aws.adapter import Aws
from webapp.clouds.credentials import CredentialValues
from webapp.monitoring import masking
from webapp.people import sessions
from webapp.settings import read_settings
from webapp.web import logs

SECRET = "Canary \"<&>' +/\\ 71"


@pytest.fixture
def output() -> Iterator[io.StringIO]:
    """Yield what the application logs, as JSON."""
    yield configure({**ENVIRON, "LOG_FORMAT": "json", "LOG_LEVEL": "DEBUG"})
    logs.configure(read_settings(ENVIRON))


def configure(settings: dict[str, str]) -> io.StringIO:
    """Configure the log and return its stream. Each configuration replaces the handler."""
    logs.configure(read_settings(settings))
    (handler,) = (each for each in logging.getLogger().handlers if type(each) is logs.LogHandler)
    stream = io.StringIO()
    handler.setStream(stream)
    return stream


@pytest.mark.parametrize(
    "sent",
    ["", "short", "x" * 65, "a b c d e f", "<script>alert(1)</script>", "abcdefgh\t", "é" * 10,
     "abcdefgh\u2028", ".abcdefgh"],
)  # fmt: skip
def test_a_malformed_request_id_is_replaced(app: Flask, sent: str) -> None:
    site = Flask("behind a proxy")
    logs.init_app(site, behind_proxy=True)
    value = sent.encode().decode("latin-1")
    answer = site.test_client().get("/", environ_overrides={"HTTP_X_REQUEST_ID": value})
    assert len(answer.headers["X-Request-ID"]) == 12
    assert answer.headers["X-Request-ID"].isalnum()


def test_only_a_trusted_proxy_sets_the_request_id(app: Flask) -> None:
    headers = {"X-Request-ID": "f00dfeed-1234"}
    for is_trusted in (True, False):
        site = Flask("site")
        logs.init_app(site, behind_proxy=is_trusted)
        answer = site.test_client().get("/", headers=headers)
        assert (answer.headers["X-Request-ID"] == "f00dfeed-1234") is is_trusted


def test_every_answer_has_a_request_id(client_of: ClientOf) -> None:
    client = client_of("scalr-admin")
    paths = ("/", "/sign-in", "/nothing", "/scalr/images", "/scalr/nothing")
    ids = {client.get(path).headers["X-Request-ID"] for path in paths}
    assert len(ids) == len(paths)


def test_an_error_page_shows_the_request_id_of_its_log_lines(
    client_of: ClientOf, monkeypatch: pytest.MonkeyPatch, output: io.StringIO
) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise ValueError(f"a library repeats {SECRET!r} and {quote(SECRET)}\nforged")

    monkeypatch.setattr(sessions, "sign_in", fail)
    client = client_of("nobody")
    client.application.config["PROPAGATE_EXCEPTIONS"] = False
    try:
        form = {"email": "a@example.com", "password": SECRET}
        answer = client.post("/sign-in", data=form, headers={"Origin": "http://localhost"})
    finally:
        client.application.config["PROPAGATE_EXCEPTIONS"] = None
    assert answer.status_code == 500
    request_id = answer.headers["X-Request-ID"]
    assert request_id in answer.text
    records = [json.loads(line) for line in output.getvalue().splitlines()]
    failed = next(each for each in records if "traceback" in each)
    assert failed["request_id"] == request_id
    assert (failed["route"], failed["method"]) == ("people.sign_in", "POST")
    assert "a library repeats '…' and …" in failed["traceback"]
    assert "anary" not in output.getvalue()


def test_the_log_names_the_person_the_scope_and_the_route(
    client_of: ClientOf, output: io.StringIO
) -> None:
    assert client_of("account-viewer").get("/account/acme/images/new").status_code == 403
    values = next(json.loads(line) for line in output.getvalue().splitlines() if "refused" in line)
    assert isinstance(values["person"], int)
    assert (values["scope"], values["route"]) == ("acme", "new_image")


def test_the_token_of_an_invitation_is_not_in_the_path(app: Flask) -> None:
    with app.test_request_context("/invitation/Canary-token-1234"):
        assert logs._fields_of_request()["path"] == "/invitation/…"


@pytest.mark.parametrize("header", ["Cookie", "Authorization"])
def test_session_cookies_and_tokens_are_masked(
    app: Flask, output: io.StringIO, header: str
) -> None:
    value = "session=Canary-cookie-1234" if header == "Cookie" else "Digest Canary-cookie-1234"
    with app.test_request_context("/", headers={header: value}):
        logging.getLogger("urllib3").warning("sent %s", value)
    assert "Canary" not in output.getvalue()
    assert "sent" in output.getvalue()


def test_a_token_that_is_sent_as_a_password_is_masked(app: Flask, output: io.StringIO) -> None:
    pair = base64.b64encode(b"ci:imr_Canary-1234").decode()
    with app.test_request_context("/", headers={"Authorization": f"Basic {pair}"}):
        logging.getLogger("urllib3").warning("sent %s and %s", pair, "imr_Canary-1234")
    assert "Canary" not in output.getvalue()
    assert pair not in output.getvalue()
    assert "sent" in output.getvalue()


@pytest.mark.usefixtures("app", "output")
def test_the_settings_are_masked() -> None:
    settings = {
        **ENVIRON,
        "DATABASE_URL": "postgresql://u:Canary%2Fdb@h/x",
        "REDIS_URL": "redis://:Canary-redis@h/0",
        "METRICS_TOKEN": "Canary-metrics-1234",
        "SMTP_URL": "smtps://u:Canary%2Fmail@h",
        "MAIL_FROM": "registry@example.com",
        "PUBLIC_URL": "https://registry.example.com",
    }
    output = configure(settings)
    for secret in (
        "Canary/db",
        "Canary%2Fdb",
        "Canary-redis",
        "Canary-metrics-1234",
        "Canary/mail",
    ):
        logging.getLogger("redis").warning("connecting with %s", secret)
    logging.getLogger("x").error("%s", [ENVIRON["SECRET_KEY"], ENVIRON["CREDENTIALS_KEYS"]])
    lines = output.getvalue().splitlines()
    assert [line.endswith("connecting with …") for line in lines] == [True] * 5 + [False]
    assert lines[-1].endswith("['…', '…']")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:Canary#ret@h/db",
        "postgresql://u:Canary?ret@h/db",
        "postgresql://u:Canary[ret@h/db",
        "postgresql://u:Canary%23ret@h/db",
        "postgresql://u@h/db?password=Canary-ret",
    ],
)
@pytest.mark.usefixtures("app", "output")
def test_each_password_that_postgresql_accepts_is_masked(url: str) -> None:
    logs.configure(read_settings({**ENVIRON, "DATABASE_URL": url}))
    password = conninfo_to_dict(url)["password"]
    assert masking.mask(f"connecting with {password}") == "connecting with …"


def test_what_an_sdk_logs_during_a_call_is_masked(
    app: Flask, output: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(_self: Aws, _credentials: object) -> None:
        logging.getLogger("botocore").warning("signing with %r\nnext", SECRET)

    monkeypatch.setattr(Aws, "_check", check)
    Aws().check(CredentialValues({"secret_access_key": SECRET}))
    (line,) = output.getvalue().splitlines()
    assert json.loads(line)["message"] == "signing with '…'\\nnext"


def test_configuring_twice_writes_each_line_once(app: Flask, output: io.StringIO) -> None:
    logging.getLogger("webapp.x").info("once")
    assert output.getvalue().count("once") == 1


def test_hostile_paths_and_headers_forge_no_line(client_of: ClientOf, output: io.StringIO) -> None:
    client: FlaskClient = client_of("account-viewer")
    hostile = quote("acme\n2026 ERROR forged\x1b")
    client.get(f"/account/acme/images/new?x={hostile}", headers={"User-Agent": "\x1b[2J"})
    client.get(f"/account/{hostile}/images/new")
    assert "refused" in output.getvalue()
    for line in output.getvalue().splitlines():
        assert line.isprintable()
        json.loads(line)


def test_refused_requests_are_logged(
    app: Flask, client_of: ClientOf, output: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of("account-viewer")
    assert client.get("/account/acme/members").status_code == 403
    monkeypatch.setitem(app.config, "WTF_CSRF_ENABLED", True)
    assert client.post("/theme", data={"theme": "dark"}).status_code == 400
    lines = [json.loads(line) for line in output.getvalue().splitlines()]
    refused = [(each["message"], each["route"]) for each in lines if "refused" in each["message"]]
    assert refused == [
        ("refused: members:manage at Account acme", "member_list"),
        ("refused a form with an invalid CSRF token, for people.theme", "people.theme"),
    ]
