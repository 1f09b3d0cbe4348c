"""A secret in an answer, a line of the log or an entry of the audit log makes a test fail."""

from __future__ import annotations

import base64
import html
import json
import logging
from collections.abc import Callable
from functools import partial
from urllib.parse import quote

import pytest
from flask import Flask, Response

from models import Role
from tests.canaries import CREDENTIALS, LINK, SESSION, TOKEN, Canaries, Leaked
from tests.conftest import ActorOf, ClientOf, MakeCredentials, ScopeAt
from tests.tokens.helpers import make_token
from webapp.credentials.vault import Vault
from webapp.monitoring import masking
from webapp.monitoring.log_lines import LineFormatter
from webapp.people import members

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
