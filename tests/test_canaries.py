"""A secret in an answer, a line of the log or an entry of the audit log makes a test fail."""

from __future__ import annotations

import base64
import html
import json
import logging
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote

import pytest
from flask import Flask, Response

from models import Role
from tests.canaries import CREDENTIALS, LINK, SESSION, SETTING, TOKEN, Canaries, Leaked
from tests.conftest import ActorOf, ClientOf, MakeCredentials, ScopeAt
from tests.postgresql import free_port
from tests.served import serve
from tests.tokens.helpers import make_token
from webapp.credentials.vault import Vault
from webapp.monitoring import masking
from webapp.monitoring.log_lines import LineFormatter
from webapp.people import members
from webapp.tokens import token_text

PASSWORD_OF_MAIL = "the password of mails"
SECRET = 'canary "5" <&> ü/+ of the sea'


def _in_base64(offset: int, text: str) -> str:
    return base64.b64encode(b"x" * offset + text.encode() + b"and more").decode()


SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "JSON": json.dumps,
    "JSON without ASCII": lambda text: json.dumps(text, ensure_ascii=False),
    "URL": lambda text: quote(text, ""),
    "HTML": html.escape,
    "XML": lambda text: text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"),
    **{f"base64 after {number} bytes": partial(_in_base64, number) for number in range(4)},
    "base64 of a URL": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_an_answer_with_a_secret_is_an_error(
    app: Flask,
    client_of: ClientOf,
    canaries: Canaries,
    monkeypatch: pytest.MonkeyPatch,
    spelling: str,
) -> None:
    canaries.add(CREDENTIALS, [SECRET])
    leak = f"text {SPELLINGS[spelling](SECRET)} more text"
    monkeypatch.setitem(app.view_functions, "help.index", lambda: Response(leak))
    with pytest.raises(Leaked, match=r"the answer of index shows: .*secret of credentials"):
        client_of("account-viewer").get("/help")


def test_a_header_with_a_secret_is_an_error(
    app: Flask, client_of: ClientOf, canaries: Canaries, monkeypatch: pytest.MonkeyPatch
) -> None:
    canaries.add(SESSION, ["the token of a session"])

    def view() -> Response:
        return Response("text", headers={"X-Debug": "the token of a session"})

    monkeypatch.setitem(app.view_functions, "help.index", view)
    with pytest.raises(Leaked):
        client_of("account-viewer").get("/help")


def test_only_the_view_that_creates_a_token_shows_it(
    app: Flask,
    client_of: ClientOf,
    actor_of: ActorOf,
    scope: ScopeAt,
    vault: Vault,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = make_token(actor_of("account-admin"), scope("acme"), vault).text
    monkeypatch.setitem(app.view_functions, "people.new_token", lambda: Response(text))
    monkeypatch.setitem(app.view_functions, "people.token_list", lambda: Response(text))
    client = client_of("account-admin")
    assert client.get("/tokens/new").text == text
    with pytest.raises(Leaked, match=TOKEN):
        client.get("/tokens")


def test_a_line_of_the_log_with_a_secret_is_noted(canaries: Canaries) -> None:
    canaries.add(CREDENTIALS, [SECRET])
    record = logging.makeLogRecord({"msg": f"calling {quote(SECRET)}"})
    LineFormatter(mask=masking.mask).format(record)
    assert canaries.leaks == ["a line of the log contains: {'secret of credentials'}"]
    canaries.leaks.clear()


def test_an_entry_of_the_audit_log_with_a_secret_is_noted(canaries: Canaries) -> None:
    canaries.add(LINK, ["the token of a link"])
    canaries.check_rows([("acme", "image.edit"), ("acme", "to /invitation/the token of a link")])
    assert canaries.leaks == ["an entry of the audit log contains: {'link'}"]
    canaries.leaks.clear()


SERVER = """
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
port, log, metrics, status = sys.argv[1:]
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(int(status) if self.path == "/metrics" else 200)
        self.end_headers()
        self.wfile.write(metrics.encode())
print(log, flush=True)
HTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()
"""
"""A server that writes one text to its log, and has another text as its metrics."""


def _run_server(folder: Path, log: str, metrics: str, status: int = 200) -> None:
    address = f"127.0.0.1:{(port := free_port())}"
    environ = {"SECRET_KEY": SECRET, "SMTP_URL": f"smtp://a:{quote(PASSWORD_OF_MAIL)}@mail"}
    command = [sys.executable, "-c", SERVER, str(port), log, metrics, str(status)]
    with serve(command, environ | {"METRICS_BIND": address}, folder / "log", f"http://{address}"):
        pass


LEAKS: dict[str, tuple[str, str]] = {
    "a token": (f"calling with {token_text.new_text(token_text.new_key())}!", TOKEN),
    "a setting": (f"calling with {SECRET}!", SETTING),
    "a setting in base64": (_in_base64(1, SECRET), SETTING),
    "a password in a URL": (f"calling with {PASSWORD_OF_MAIL}", SETTING),
}


@pytest.mark.parametrize("leak", LEAKS)
def test_a_server_that_logs_a_secret_is_an_error(tmp_path: Path, leak: str) -> None:
    text, kind = LEAKS[leak]
    with pytest.raises(Leaked, match=f"{kind}.* in the log"):
        _run_server(tmp_path, text, "")


@pytest.mark.parametrize("leak", LEAKS)
def test_metrics_with_a_secret_are_an_error(tmp_path: Path, leak: str) -> None:
    text, kind = LEAKS[leak]
    with pytest.raises(Leaked, match=f"{kind}.* in the metrics"):
        _run_server(tmp_path, "", text)


@pytest.mark.parametrize("status", [401, 500])
def test_metrics_that_cannot_be_read_are_an_error(tmp_path: Path, status: int) -> None:
    with pytest.raises(HTTPError):
        _run_server(tmp_path, "", "requests_total 1", status)


def test_a_server_may_log_what_only_looks_like_a_token(tmp_path: Path) -> None:
    """The key of a token is public, and a text with a wrong checksum is no token."""
    key = token_text.new_key()
    _run_server(tmp_path, f"imr_{key} imr_{key}_{'0' * 38}", "requests_total 1")


def test_the_secrets_of_a_test_are_learned(
    canaries: Canaries,
    client_of: ClientOf,
    actor_of: ActorOf,
    scope: ScopeAt,
    make_credentials: MakeCredentials,
) -> None:
    make_credentials("acme")
    client_of("account-viewer")
    token = members.invite(actor_of("account-admin"), scope("acme"), "new@example.com", Role.VIEWER)
    assert canaries.kinds["not-a-secret-at-all"] == CREDENTIALS
    assert canaries.kinds[token] == LINK
    assert SESSION in canaries.kinds.values()
