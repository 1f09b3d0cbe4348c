"""The signatures of texts that browsers store."""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64decode
from pathlib import Path

import pytest
from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from flask.testing import FlaskClient
from itsdangerous import URLSafeSerializer, URLSafeTimedSerializer

from tests.conftest import ClientOf
from tests.environ import ENVIRON
from tests.web.test_session_cookies import sign_in
from webapp.credentials import signatures
from webapp.web.session_cookies import StateCookies

SECRET_KEY = ENVIRON["SECRET_KEY"]
WEBAPP = Path(signatures.__file__).parents[1]


def is_signed_with_sha_256(text: str, salt: str) -> bool:
    """Return whether HMAC-SHA-256 made the key and the signature, without using itsdangerous."""
    signed, _, signature = text.rpartition(".")
    key = hmac.digest(SECRET_KEY.encode(), salt.encode(), "sha256")
    expected = hmac.digest(key, signed.encode(), "sha256")
    return urlsafe_b64decode(f"{signature}=") == expected


def cookie_of(client: FlaskClient, name: str) -> str:
    cookie = client.get_cookie(name)
    assert cookie is not None
    return str(cookie.value)


def test_receipts_are_signed_with_sha_256(app: Flask) -> None:
    text = app.extensions["services"].receipts._serializer.dumps({})
    assert is_signed_with_sha_256(text, "look-up receipt")


def test_cookies_and_forms_are_signed_with_sha_256(
    app: Flask, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of("nobody")
    sign_in(client)
    assert is_signed_with_sha_256(cookie_of(client, "device"), "device")
    monkeypatch.setitem(app.config, "WTF_CSRF_ENABLED", True)
    page = client.get("/password").text
    [token, *_] = re.findall('name="csrf_token"[^>]* value="([^"]+)"', page)
    assert is_signed_with_sha_256(token, "wtf-csrf-token")
    assert is_signed_with_sha_256(cookie_of(client, "state"), "cookie-session")


@pytest.mark.parametrize("value", [[], {"a": "b"}])
def test_texts_of_older_versions_are_valid(app: Flask, value: object) -> None:
    receipt = URLSafeSerializer(SECRET_KEY, salt="look-up receipt").dumps(value)
    assert signatures.serializer(SECRET_KEY, "look-up receipt").loads(receipt) == value
    device = URLSafeTimedSerializer(SECRET_KEY, salt="device").dumps(value)
    assert signatures.timed_serializer(SECRET_KEY, "device").loads(device, max_age=60) == value
    older = SecureCookieSessionInterface().get_signing_serializer(app)
    assert older is not None
    state = StateCookies().get_signing_serializer(app)
    assert state.loads(older.dumps(value)) == value


def test_no_other_module_makes_signatures_of_itsdangerous() -> None:
    importers = {
        path.relative_to(WEBAPP).as_posix(): set(re.findall(r"\b\w*(?:Serializer|Signer)\b", text))
        for path in sorted(WEBAPP.rglob("*.py"))
        if re.search(r"\b(import|from) +itsdangerous\b", text := path.read_text(encoding="utf-8"))
    }
    assert importers == {
        "credentials/signatures.py": {"URLSafeSerializer", "URLSafeTimedSerializer"},
        "images/receipts.py": set(),  # It needs only an exception.
        "web/session_cookies.py": {"URLSafeTimedSerializer"},  # It needs only the type.
    }
