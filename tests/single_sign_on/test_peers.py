"""Linking an account and signing in with providers that are not ours, over real sockets."""

from __future__ import annotations

import html
import re
from pathlib import Path
from urllib.parse import urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from flask import Flask
from flask.testing import FlaskClient

import models
from models import Identity, Membership, Person, Role
from tests.conftest import ClientOf
from tests.single_sign_on import peers
from tests.single_sign_on.conftest import configure, configured
from tests.single_sign_on.helpers import begin_visit
from tests.views.pages import visible_text
from webapp.single_sign_on.configuration import RoleRule

ANSWER = "http://localhost/sign-in/with/example/answer"


def visit(client: FlaskClient, url: str, **form: str) -> str:
    """Begin at `url`, sign in at the provider, and return the path of its answer."""
    request = Request(begin_visit(client, url), urlencode(form).encode() if form else None)
    with build_opener(_Redirects()).open(request) as response:
        answer = urlsplit(response.headers["Location"])
    return f"{answer.path}?{answer.query}"


class _Redirects(HTTPRedirectHandler):
    """Returns the answers with a redirect instead of following them."""

    def _return(self, _request: object, answer: object, *_: object) -> object:
        return answer

    http_error_301 = http_error_302 = http_error_303 = _return  # type: ignore[assignment]


def link_and_sign_in(client_of: ClientOf, label: str, **form: str) -> None:
    client = client_of("account-editor")
    page = client.get(visit(client, "/security/link/example", **form))
    assert label in visible_text(page)
    found = re.search(r'name="link"[^>]*value="([^"]*)"', page.text)
    assert found is not None
    client.post("/security/link", data={"link": html.unescape(found[1])})
    assert label in visible_text(client.get("/security"))
    other = client_of("nobody")
    start = "/sign-in/with/example?next=/account/acme/views"
    assert other.get(visit(other, start, **form)).location == "/account/acme/views"
    assert other.get("/sessions").status_code == 200


def test_oauth2_mock_server(app: Flask, client_of: ClientOf, tmp_path: Path) -> None:
    before = app.extensions["services"]
    with peers.oauth2_mock_server(tmp_path / "log") as issuer:
        configure(app, configured(issuer))
        link_and_sign_in(client_of, "johndoe")
    app.extensions["services"] = before
    with models.open_connection():
        assert Identity.get().issuer == issuer


def test_rules_with_the_userinfo_of_oidc_provider_mock(
    app: Flask, client_of: ClientOf, tmp_path: Path
) -> None:
    before = app.extensions["services"]
    bob = {"sub": "bob", "email": "bob@example.org", "team": ["editors"]}
    with peers.oidc_provider_mock(tmp_path / "log", bob) as issuer:
        name, secret = peers.register_client(issuer, ANSWER)
        rules = (
            RoleRule("team", "editors", "acme", Role.EDITOR),
            # The provider puts all claims into the ID token, but not this one.
            RoleRule("groups", "nobody", "acme/production", Role.VIEWER),
        )
        values = {"client_id": name, "client_secret": secret, "roles": rules}
        configure(app, configured(issuer, **values))
        client = client_of("nobody")
        assert client.get(visit(client, "/sign-in/with/example", sub="bob")).status_code == 303
        assert "GET /userinfo" in (tmp_path / "log").read_text()
    app.extensions["services"] = before
    with models.open_connection():
        role = Membership.select(Membership, Person).join(Person).order_by(Person.id.desc()).get()
        assert (role.person.email, role.role) == ("bob@example.org", Role.EDITOR)


def test_oidc_provider_mock(app: Flask, client_of: ClientOf, tmp_path: Path) -> None:
    before = app.extensions["services"]
    alice = {"sub": "alice", "email": "alice@example.org"}
    with peers.oidc_provider_mock(tmp_path / "log", alice) as issuer:
        name, secret = peers.register_client(issuer, ANSWER)
        configure(app, configured(issuer, client_id=name, client_secret=secret))
        link_and_sign_in(client_of, "alice@example.org", sub="alice")
        wrong = configured(issuer, client_id=name, client_secret="wrong")
        configure(app, wrong)
        client = client_of("nobody")
        answer = client.get(visit(client, "/sign-in/with/example", sub="alice"))
        assert "couldn’t be verified" in visible_text(answer)
    app.extensions["services"] = before
