"""The application below a path prefix, named by a setting or by a trusted proxy."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import create_environ

import models
import webapp
from tests.cast import PASSWORD
from tests.conftest import ClosingClient, NewDatabase
from tests.environ import ENVIRON
from webapp import database
from webapp.views.person_pages import local_url
from webapp.web.url_prefix import UrlPrefix

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

URL = re.compile(r'(?:href|action|src|hx-get|hx-post|data-suggest)="([^"#?]+)')
PAGE = re.compile(r'<a [^>]*href="([^"#]+)')
BEHIND_PROXY = {"TRUSTED_PROXIES": "1", "TRUST_FORWARDED_PREFIX": "true"}


@contextmanager
def open_site(new_database: NewDatabase, settings: Mapping[str, str]) -> Iterator[FlaskClient]:
    """Yield a client of an app with these settings."""
    with new_database() as url:
        app = webapp.create_app({**ENVIRON, "DATABASE_URL": url, **settings})
        app.config.update(TESTING=True, WTF_CSRF_ENABLED=False)
        app.test_client_class = ClosingClient
        yield app.test_client()
        database.close_all(models.database.obj)


def sign_in(client: FlaskClient) -> str:
    """Sign in and return the URL of the next page."""
    person = {"email": "account-admin@example.com", "password": PASSWORD}
    answer = client.post("/registry/sign-in", data=person)
    assert answer.status_code == 303
    return str(answer.location)


def crawl(client: FlaskClient) -> set[str]:
    """Open every page below /registry/ that a link leads to, and return the URLs in all pages."""
    urls: set[str] = set()
    opened: set[str] = set()
    waiting = ["/registry/"]
    while waiting:
        page = waiting.pop()
        answer = client.get(page)
        assert answer.status_code in {200, 302, 303}, page
        links = {answer.location} if answer.location else set()
        if answer.mimetype == "text/html":
            links |= {html.unescape(url) for url in PAGE.findall(answer.text)}
            urls |= {html.unescape(url) for url in URL.findall(answer.text)}
        new = {link for link in links if "?" not in link and link.startswith("/registry/")} - opened
        opened |= new
        waiting.extend(new)
    return urls | opened


@pytest.mark.parametrize(
    ("settings", "is_removed", "headers"),
    [
        ({"URL_PREFIX": "/registry/"}, False, {}),
        ({"URL_PREFIX": "/registry"}, True, {}),
        (BEHIND_PROXY, True, {"HTTP_X_FORWARDED_PREFIX": "/registry"}),
    ],
    ids=["passed on", "removed", "forwarded"],
)
def test_every_url_has_the_prefix(
    new_database: NewDatabase, settings: dict[str, str], is_removed: bool, headers: dict[str, str]
) -> None:
    with open_site(new_database, settings) as client:
        app = client.application.wsgi_app

        def proxy(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            if is_removed:
                environ["PATH_INFO"] = environ["PATH_INFO"].removeprefix("/registry")
            return app({**environ, **headers}, start_response)

        client.application.wsgi_app = proxy  # type: ignore[method-assign]
        assert sign_in(client) == "/registry/"
        urls = crawl(client)
    assert len(urls) > 50
    assert not [url for url in urls if url.startswith("/") and not url.startswith("/registry/")]


@pytest.mark.parametrize(
    ("settings", "headers"),
    [
        ({"URL_PREFIX": "/registry"}, {}),
        (BEHIND_PROXY, {"X-Forwarded-Prefix": "/registry"}),
    ],
)
def test_other_applications_of_the_host_keep_their_storage_and_subdomains(
    new_database: NewDatabase, settings: dict[str, str], headers: dict[str, str]
) -> None:
    with open_site(new_database, {"SECURE_COOKIES": "true", **settings}) as client:
        answer = client.post("/sign-out", base_url="https://localhost", headers=headers)
        assert answer.location == "/registry/sign-in"
    assert "Clear-Site-Data" not in answer.headers
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"


def test_pins_views_and_the_theme_return_to_their_page_below_the_prefix(
    new_database: NewDatabase,
) -> None:
    with open_site(new_database, {"URL_PREFIX": "/registry"}) as client:
        answer = client.get("/registry/account/acme/images?q=os:ubuntu")
        assert answer.location == (
            "/registry/sign-in?next=/registry/account/acme/images?q%3Dos:ubuntu"
        )
        sign_in(client)
        page = client.get("/registry/account/acme/images?q=os:ubuntu").text
        assert 'name="path" value="images?q=os%3Aubuntu"' in page
        pinned = client.post(
            "/registry/account/acme/bookmarks",
            data={"label": "Ubuntu", "path": "images?q=os%3Aubuntu"},
        )
        assert pinned.location == "/registry/account/acme/images?q=os%3Aubuntu"
        assert ">Ubuntu</a>" in client.get("/registry/account/acme/images").text
        saved = client.post(
            "/registry/account/acme/views", data={"name": "Ubuntu", "path": "images?q=os%3Aubuntu"}
        )
        assert saved.location == "/registry/account/acme/images?q=os%3Aubuntu"
        next_url = re.search(r'name="next" value="(/[^"]*)"', page)
        assert next_url is not None
        theme = client.post("/registry/theme", data={"theme": "dark", "next": next_url[1]})
        assert theme.location == "/registry/account/acme/images?q=os:ubuntu"


@pytest.mark.parametrize(
    "forwarded",
    [
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "/registry,/evil",
        "/registry, /evil",
        "/../admin",
        "/a/./b",
        "registry",
        "/a b",
        "/a?b",
        "/é",
        "/",
        "/" + "a" * 65,
        "/a" * 9,
    ],
)
def test_a_forwarded_prefix_that_is_not_one_plain_path_is_ignored(forwarded: str) -> None:
    assert script_name(forwarded, trust_forwarded=True) == ""


def test_a_forwarded_prefix_is_ignored_unless_it_is_enabled() -> None:
    assert script_name("/registry", trust_forwarded=True) == "/registry"
    assert script_name("/registry", trust_forwarded=False) == ""


def script_name(forwarded: str, *, trust_forwarded: bool) -> str:
    """Return the prefix that the application sees for a forwarded prefix."""

    def app(environ: WSGIEnvironment, _start_response: StartResponse) -> Iterable[bytes]:
        return [environ["SCRIPT_NAME"].encode()]

    prefix = UrlPrefix(app, "", trust_forwarded=trust_forwarded)
    environ = create_environ("/", headers={"X-Forwarded-Prefix": forwarded})
    return b"".join(prefix(environ, lambda *_: lambda _: None)).decode()


@pytest.mark.parametrize(
    "target",
    [
        "",
        "images",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "//[x",
        "https://evil.example",
        "/\t/evil.example",
        "/a\r\nLocation: https://evil.example",
        "/\x00",
        "/\ud800",
    ],
)
def test_a_target_outside_the_site_becomes_the_start_page(app: Flask, target: str) -> None:
    with app.test_request_context("/"):
        assert local_url(target) == "/"


@pytest.mark.parametrize("target", ["/", "/scalr/images?q=a%0Ab", "/[x", "/é?q=//evil.example"])
def test_a_target_on_the_site_stays(app: Flask, target: str) -> None:
    with app.test_request_context("/"):
        assert local_url(target) == target


@pytest.mark.parametrize("target", ["/other/page", "/registryx/page", "/registry", "/registry//a"])
def test_a_target_outside_the_prefix_becomes_the_start_page(app: Flask, target: str) -> None:
    with app.test_request_context("/", environ_overrides={"SCRIPT_NAME": "/registry"}):
        assert local_url(target) == "/registry/"
        assert local_url("/registry/scalr/images") == "/registry/scalr/images"
