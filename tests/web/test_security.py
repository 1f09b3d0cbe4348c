"""Headers that protect every answer, the hosts that are trusted, and absolute URLs."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from flask import Flask
from flask.testing import FlaskClient

import models
import webapp
from models import AuditEntry
from tests.conftest import ClientOf, NewDatabase, sign_in
from tests.environ import ENVIRON
from webapp import database
from webapp.web import static_files
from webapp.web.security import HEADERS, STRICT_TRANSPORT

TOKEN = "Security-token-0123456789"
ClientWith = Callable[..., FlaskClient]


@pytest.fixture
def client_with(new_database: NewDatabase) -> Iterator[ClientWith]:
    """Return a function that creates an app with these settings and returns a client."""
    with ExitStack() as stack:

        def client_with(**changes: str) -> FlaskClient:
            url = stack.enter_context(new_database())
            app = webapp.create_app({**ENVIRON, "DATABASE_URL": url, **changes})
            app.config.update(TESTING=True, WTF_CSRF_ENABLED=False)
            stack.callback(database.close_all, models.database.obj)
            return app.test_client()

        yield client_with


def test_every_answer_has_the_headers(client_with: ClientWith) -> None:
    client = client_with(SECURE_COOKIES="true", METRICS_TOKEN=TOKEN, TRUSTED_HOSTS="localhost")
    static, https = static_files.versioned_path("app.css"), "https://localhost"
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    answers = [
        (200, client.get("/sign-in", base_url=https)),
        (303, client.get("/scopes", base_url=https)),
        (404, client.get("/nothing", base_url=https)),
        (405, client.delete("/sign-in", base_url=https)),
        (400, client.get("/sign-in", base_url="https://other.example.com")),
        (413, client.post("/sign-in", base_url=https, data=b"x" * 1_100_000)),
        (200, client.get(static, base_url=https)),
        (304, client.get(static, base_url=https, headers={"If-None-Match": "*"})),
        (404, client.get("/static/nothing.css", base_url=https)),
        (200, client.get("/healthz", base_url=https)),
        (200, client.get("/metrics", base_url=https, headers=bearer)),
    ]
    for status, answer in answers:
        assert answer.status_code == status
        for name, value in (*HEADERS.items(), STRICT_TRANSPORT):
            if name != "Content-Security-Policy" or status != 400:
                assert answer.headers.getlist(name) == [value]
        assert len(answer.headers.getlist("Content-Security-Policy")) == 1


def test_browsers_use_https_for_a_year_and_for_subdomains() -> None:
    name, value = STRICT_TRANSPORT
    assert name == "Strict-Transport-Security"
    assert value == f"max-age={365 * 24 * 3600}; includeSubDomains"


def test_the_policy_allows_only_content_of_the_application() -> None:
    policy = HEADERS["Content-Security-Policy"]
    for directive in ("default-src 'none'", "object-src 'none'", "base-uri 'none'"):
        assert directive in policy
    assert "unsafe" not in policy
    assert "*" not in policy


def test_methods_that_no_view_needs_are_refused(app: Flask) -> None:
    client = app.test_client()
    for method in ("TRACE", "TRACK", "CONNECT", "PROPFIND", "nonsense"):
        assert client.open("/sign-in", method=method).status_code == 405
    allowed = {method for rule in app.url_map.iter_rules() for method in rule.methods or ()}
    assert allowed == {"GET", "HEAD", "OPTIONS", "POST"}


def test_a_text_names_its_charset(client_of: ClientOf) -> None:
    client = client_of("account-admin")
    paths = (
        "/sign-in",
        "/nothing",
        "/account/acme/images/export.csv",
        "/healthz",
        "/static/app.css",
    )
    for path in paths:
        answer = client.get(path)
        assert answer.headers["Content-Type"].endswith("; charset=utf-8"), path


def test_a_change_never_uses_a_safe_method(client_of: ClientOf) -> None:
    client = client_of("account-admin")
    for path in ("/sign-out", "/theme", "/account/acme/bookmarks/remove"):
        assert client.get(path).status_code == 405


def test_every_page_forbids_storing(client_of: ClientOf) -> None:
    client = client_of("account-admin")
    for path in ("/sessions", "/account/acme/images", "/account/acme/members", "/nothing"):
        assert client.get(path).headers["Cache-Control"] == "no-store", path


@pytest.mark.parametrize(("secure", "scheme"), [("true", "http"), ("false", "https")])
def test_only_a_site_that_always_uses_https_tells_browsers_so(
    client_with: ClientWith, secure: str, scheme: str
) -> None:
    client = client_with(SECURE_COOKIES=secure)
    answer = client.get("/sign-in", base_url=f"{scheme}://localhost")
    assert answer.status_code == 200
    assert STRICT_TRANSPORT[0] not in answer.headers


def test_the_scheme_that_a_trusted_proxy_names_counts(client_with: ClientWith) -> None:
    client = client_with(SECURE_COOKIES="true", TRUSTED_PROXIES="1")
    answer = client.get("/sign-in", headers={"X-Forwarded-Proto": "https"})
    assert STRICT_TRANSPORT in answer.headers.items()


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        ("0", "198.51.100.9", "192.0.2.1"),
        ("0", "198.51.100.9, 198.51.100.8", "192.0.2.1"),
        ("1", "198.51.100.9", "198.51.100.9"),
        ("1", "198.51.100.9, 198.51.100.8", "198.51.100.8"),
        ("2", "203.0.113.9, 198.51.100.9, 198.51.100.8", "198.51.100.9"),
        ("2", "198.51.100.8", "192.0.2.1"),
    ],
)
def test_only_trusted_proxies_name_the_address_of_the_client(
    client_with: ClientWith, proxies: str, forwarded: str, address: str
) -> None:
    """The address is recorded for sign-ins. It is also the client whose attempts are counted."""
    client = client_with(TRUSTED_PROXIES=proxies)
    headers = {"X-Forwarded-For": forwarded, "X-Real-IP": "198.51.100.1", "Forwarded": "for=::1"}
    values = {"email": "account-admin@example.com", "password": "a wrong password"}
    peer = {"REMOTE_ADDR": "192.0.2.1"}
    client.post("/sign-in", data=values, headers=headers, environ_base=peer)
    with models.database.connection_context():
        entry = AuditEntry.get(AuditEntry.action == "person.refused")
    assert entry.changes["address"] == [None, address]


@pytest.mark.parametrize("host", ["other.example.com", "registry.example.com.evil.example", "::1"])
def test_other_hosts_get_a_page_that_names_the_right_url(
    client_with: ClientWith, host: str
) -> None:
    client = client_with(PUBLIC_URL="https://registry.example.com", URL_PREFIX="/images")
    for path in ("/images/sign-in", "/images/nothing", "/images/metrics"):
        answer = client.get(path, headers={"Host": host})
        assert answer.status_code == 400
        assert "isn’t a host name of the registry" in answer.text
        assert 'href="https://registry.example.com/images/"' in answer.text
        assert host not in answer.text
        assert answer.headers["Cache-Control"] == "no-store"
        style = re.search("<style>(.*)</style>", answer.text)
        assert style
        digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
        assert f"'sha256-{digest}'" in answer.headers["Content-Security-Policy"]


def test_trusted_hosts_are_answered(client_with: ClientWith) -> None:
    client = client_with(
        PUBLIC_URL="https://registry.example.com:8443", TRUSTED_HOSTS="*.example.net"
    )
    for host in ("registry.example.com", "registry.example.com:8443", "a.example.net:1"):
        assert client.get("/sign-in", headers={"Host": host}).status_code == 200
    for path in ("/healthz", "/readyz"):
        assert client.get(path, headers={"Host": "10.0.0.7:8000"}).status_code == 200


@pytest.mark.parametrize("host", ["..", "a..b", "localhost:x"])
def test_a_host_that_is_no_host_name_is_refused(client_of: ClientOf, host: str) -> None:
    # A path with two slashes would redirect to a URL without a host.
    for path in ("/sign-in", "/account//acme/images"):
        response = client_of("nobody").get(path, headers={"Host": host})
        assert response.status_code == 400
        assert "Host header" in response.text
        assert "TRUSTED_HOSTS" not in response.text


@pytest.mark.parametrize("public_url", ["", "https://registry.example.com"])
def test_links_of_invitations_begin_with_the_public_url(
    client_with: ClientWith, public_url: str
) -> None:
    client = client_with(PUBLIC_URL=public_url, TRUSTED_HOSTS="localhost", URL_PREFIX="/images")
    sign_in(client, "account-admin@example.com")
    data = {"email": "new@example.com", "role": "viewer"}
    answer = client.post("/images/account/acme/members", data=data)
    start = public_url or "http://localhost"
    assert f">{start}/images/invitation/" in answer.text
