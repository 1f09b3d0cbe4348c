"""Find secrets where none may appear: in answers, lines of the log, and entries of the audit log.

Each secret of a test is a canary: the passwords that are hashed, the secrets of credentials (also
the contents of key files), the texts of API tokens, the secrets of authenticator apps, recovery
codes, the tokens of sessions, invitations and links in mails, and the secrets of the settings, such
as keys, the password of the mail server and the client secrets of identity providers. `Canaries`
learns them from the functions that create or use them, so new tests need not name their secrets.

A few answers show a secret once, on purpose. SHOWN_ONCE lists them.

Servers that tests start as processes have secrets that this process does not learn. `tests.served`
searches their logs and their metrics for the secrets of their settings, for API tokens, whose form
is enough to recognize them, and for the secrets that a test adds.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from logging import LogRecord
from typing import Any
from urllib.parse import quote, quote_plus, unquote, urlsplit
from xml.sax.saxutils import escape

import pyotp
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.exceptions import HTTPException
from werkzeug.test import TestResponse

from tests import cast
from tests.api.client import ROOT
from tests.environ import ENVIRON
from webapp.api.operations import OPERATIONS
from webapp.clouds.credentials import Field
from webapp.credentials.vault import Vault
from webapp.factors import recovery
from webapp.mail.messages import Writer
from webapp.monitoring import masking
from webapp.monitoring.log_lines import LineFormatter
from webapp.people import accounts, members, sessions
from webapp.tokens import token_text

SHORTEST = 8
"""A shorter text can appear by chance, so it is no canary."""
PASSWORD, CREDENTIALS, SETTING = "password", "secret of credentials", "secret of the settings"
TOKEN, SESSION, LINK = "API token", "session", "link"
TOTP, CODE = "secret of an authenticator app", "recovery code"
SHOWN_ONCE = {
    TOKEN: {
        "new_token",
        "rotate_token",
        "api_create_token",
        "api_exchange_token",
        "api_rotate_token",
        "api_rotate_current_token",
    },
    TOTP: {"set_up_authenticator"},
    CODE: {"set_up_authenticator", "add_passkey", "recovery_codes"},
    LINK: {"invite", "api_invite", "invitation", "reset_password"},
}
"""The views that show a secret, by kind of secret. The view of a link repeats its own URL."""
SECRET_SETTINGS = ("SECRET_KEY", "CREDENTIALS_KEYS", "METRICS_TOKEN")
URL_SETTINGS = ("DATABASE_URL", "DIRECT_DATABASE_URL", "REDIS_URL", "SMTP_URL")
"""The settings that are a URL, which may contain a password."""
TOKEN_TEXT = re.compile("imr_[0-9a-z]{12}_[0-9A-Za-z]{38}")


class Leaked(AssertionError):
    """A secret is where it must not be."""


@lru_cache(maxsize=4096)
def spellings(secret: str) -> frozenset[str]:
    """Return a secret as plain text, and as in JSON, URLs, XML, HTML and base64.

    In base64, the secret can be anywhere in a longer text, so there are three alignments.
    """
    found = {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    found |= {quote(secret), quote(secret, ""), quote_plus(secret)}
    found |= {escape(secret), escape(secret, {'"': "&quot;", "'": "&apos;"}), html.escape(secret)}
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        found |= set(_in_base64(secret.encode(), encode))
    return frozenset(found)


def _in_base64(secret: bytes, encode: Callable[[bytes], bytes]) -> Iterator[str]:
    """Yield the characters that only depend on the secret, for each alignment."""
    for offset, first in enumerate((0, 2, 3)):
        end = (offset + len(secret)) * 8 // 6
        yield encode(bytes(offset) + secret).decode()[first:end]


@dataclass
class Canaries:
    """The secrets of a test, by their text."""

    kinds: dict[str, str] = field(default_factory=dict)
    leaks: list[str] = field(default_factory=list)
    """The leaks that the next check of the fixture `canaries` reports."""

    def begin(self) -> None:
        """Forget the secrets of the last test, except the secrets that all tests share."""
        self.kinds.clear()
        self.leaks.clear()
        self.add(PASSWORD, [cast.PASSWORD])
        self.add(SETTING, (ENVIRON[name] for name in ("SECRET_KEY", "CREDENTIALS_KEYS")))

    def add(self, kind: str, texts: Iterable[str | None]) -> None:
        for text in texts:
            if text and len(text) >= SHORTEST:
                self.kinds.setdefault(text, kind)

    def found_in(self, text: str) -> set[str]:
        """Return the kinds of the secrets in a text, in any spelling."""
        return {
            kind
            for secret, kind in list(self.kinds.items())
            if any(spelling in text for spelling in spellings(secret))
        }

    def check_output(self, name: str, text: str) -> None:
        """Raise Leaked if what a server wrote contains a secret, or any API token."""
        leaked = self.found_in(text)
        if any(map(token_text.key_in, TOKEN_TEXT.findall(text))):
            leaked.add(TOKEN)
        if leaked:
            raise Leaked(f"{leaked} in {name}")

    def check_answer(self, app: Flask, answer: TestResponse) -> None:
        """Raise Leaked if the body or a header of an answer contains a secret."""
        body = answer.get_data().decode(errors="replace")
        headers = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
        cookies = answer.headers.getlist("Set-Cookie")
        for cookie in cookies:
            headers = headers.replace(cookie, "")
        leaked = self.found_in(body) | self.found_in(headers)
        leaked |= self.found_in("\n".join(cookies)) - {SESSION}
        if leaked:
            view = _view_of(app, answer)
            forbidden = {kind for kind in leaked if view not in SHOWN_ONCE.get(kind, ())}
            if forbidden:
                raise Leaked(f"the answer of {view or answer.request.path} shows: {forbidden}")

    def check_line(self, line: str) -> None:
        """Note a leak if a line of the log contains a secret. Threads write lines too."""
        if leaked := self.found_in(line):
            self.leaks.append(f"a line of the log contains: {leaked}")

    def check_rows(self, rows: Iterable[Collection[object]]) -> None:
        """Note a leak if a row of the database contains a secret."""
        for row in rows:
            if leaked := self.found_in("\n".join(map(str, row))):
                self.leaks.append(f"an entry of the audit log contains: {leaked}")


def of_settings(environ: Mapping[str, str]) -> Canaries:
    """Return the secrets in the settings of a server."""
    found = Canaries()
    for name in SECRET_SETTINGS:
        found.add(SETTING, environ.get(name, "").split(","))
    for name in URL_SETTINGS:
        url = urlsplit(environ.get(name, ""))
        # The databases of tests have a password that is a name, and appears by chance.
        if url.password != url.username:
            found.add(SETTING, [url.password, unquote(url.password or "")])
    return found


def _view_of(app: Flask, answer: TestResponse) -> str:
    """Return the name of the view that answered, without its blueprint, or ''."""
    method, path = answer.request.method, answer.request.path
    # The site may have a prefix.
    for each in (path, path[path.find("/", 1) :]):
        try:
            endpoint, _ = app.url_map.bind("").match(each, method)
        except HTTPException:
            continue
        return str(endpoint).rpartition(".")[2]
    return _operation_of(method, path)


def _operation_of(method: str, path: str) -> str:
    """Return the name of an operation of the API after `api_`, or ''. It has routes of its own."""
    scope = r"(?:/scalr|/account/[^/]+|/environment/[^/]+/[^/]+)?"
    for operation in OPERATIONS:
        pattern = re.sub(r"<[^>]+>", "[^/]+", operation.path)
        if operation.method == method and re.fullmatch(f"{ROOT}{scope}{pattern}", path):
            return f"api_{operation.name}"
    return ""


@contextmanager
def learning(canaries: Canaries) -> Iterator[None]:
    """Learn the secrets that the application uses, and check its answers and log lines."""
    patch = pytest.MonkeyPatch()

    def learn(
        owner: Any, name: str, secrets_of: Callable[..., Iterable[str | None]], kind: str
    ) -> None:
        original = getattr(owner, name)

        def call(*arguments: Any, **options: Any) -> Any:
            arguments = tuple([*each] if isinstance(each, Iterator) else each for each in arguments)
            result = original(*arguments, **options)
            canaries.add(kind, secrets_of(result, *arguments))
            return result

        patch.setattr(owner, name, call)

    def stored(_: None, _vault: Vault, _row: object, fields: Iterable[Field], values: Any) -> Any:
        return [values.get(each.name) for each in fields if each.secret]

    def in_use(_: None, owner: object, values: Iterable[str]) -> Iterable[str]:
        # `masked` also masks codes of identity providers, which a page may repeat in its own URL.
        return () if isinstance(owner, masking._Owner) else values

    learn(accounts, "_hash", lambda _, password: [password], PASSWORD)
    learn(Vault, "store", stored, CREDENTIALS)
    learn(masking, "mask_while_alive", in_use, CREDENTIALS)
    learn(masking, "configure", lambda _, permanent, _read: permanent, SETTING)
    learn(pyotp, "random_base32", lambda secret: [secret], TOTP)
    learn(recovery, "replace_codes", lambda codes, _: codes, CODE)
    learn(token_text, "new_text", lambda text, _key: [text], TOKEN)
    learn(sessions, "start", lambda token, *_: [token], SESSION)
    learn(members, "invite", lambda token, *_: [token], LINK)
    learn(Writer, "token_of", lambda token, *_: [token], LINK)
    format_record = LineFormatter.format

    def format_and_check(formatter: LineFormatter, record: LogRecord) -> str:
        line = format_record(formatter, record)
        if formatter._mask is masking.mask:
            canaries.check_line(line)
        return line

    patch.setattr(LineFormatter, "format", format_and_check)
    send = FlaskClient.open

    def send_and_check(client: FlaskClient, *arguments: Any, **options: Any) -> TestResponse:
        answer = send(client, *arguments, **options)
        if not answer.is_streamed:
            canaries.check_answer(client.application, answer)
        return answer

    patch.setattr(FlaskClient, "open", send_and_check)
    try:
        yield
    finally:
        patch.undo()
