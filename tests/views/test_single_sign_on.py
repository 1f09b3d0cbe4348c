"""Signing in at an identity provider, linking and unlinking accounts, and proving who one is."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

import models
from models import AuditEntry, Identity, Membership, Person, Role, Scope, SignInSession, UsedAnswer
from tests.cast import PASSWORD
from tests.conftest import ActorOf, ClientOf, Clock
from tests.factors.helpers import add_authenticator, code
from tests.single_sign_on import conftest as sign_on
from tests.single_sign_on.conftest import configure, configured
from tests.single_sign_on.helpers import begin_visit, provider_url
from tests.single_sign_on.provider import (
    ACCESS_TOKEN,
    CLIENT_SECRET,
    METADATA,
    IdentityProvider,
    identity_provider,
)
from tests.views.pages import visible_text
from webapp.credentials.vault import Vault
from webapp.factors import proofs
from webapp.people import directory, single_use
from webapp.single_sign_on.configuration import RoleRule, SecondFactor

idp = sign_on.idp
EMAIL = "account-admin@example.com"
START = "/sign-in/with/example"
SITE = {"Origin": "http://localhost", "Referer": "http://localhost/account/acme/views"}


@pytest.fixture
def person(actor_of: ActorOf, idp: IdentityProvider) -> Person:
    """Return the admin of acme, who has linked the account of the provider."""
    found = actor_of("account-admin").person
    Identity.create(
        person=found, issuer=idp.issuer, subject="248289761001", label="old@example.org"
    )
    return found


def visit(client: FlaskClient, idp: IdentityProvider, url: str = START, **changes: str) -> str:
    """Go to the provider and sign in there. Return where the provider sends the person."""
    return idp.visit(begin_visit(client, url), **changes)


def is_signed_in(client: FlaskClient) -> bool:
    return client.get("/sessions").status_code == 200


def last_entry() -> AuditEntry:
    with models.open_connection():
        found: AuditEntry = AuditEntry.select().order_by(AuditEntry.id.desc()).get()
        return found


def test_a_person_signs_in(client_of: ClientOf, idp: IdentityProvider, person: Person) -> None:
    client = client_of("nobody")
    page = client.get("/sign-in?next=/account/acme/views")
    assert "Sign in with Example SSO" in visible_text(page)
    form = re.search(r'<form [^>]*action="(/sign-in/with/example[^"]*)"', page.text)
    assert form is not None
    idp.claims = {"email": "new@example.org"}
    answer = client.get(visit(client, idp, html.unescape(form[1])))
    assert answer.location == "/account/acme/views"
    assert is_signed_in(client)
    with models.open_connection():
        identity = Identity.get(person=person)
        assert identity.label == "new@example.org"
        assert identity.used_at is not None
        assert SignInSession.get(person=person).provider == "example"
    entry = last_entry()
    assert (entry.action, entry.person_email) == ("person.sign_in", EMAIL)
    assert entry.changes["method"] == [None, "provider: example"]


@pytest.fixture
def csrf_protection(app: Flask) -> Iterator[None]:
    app.config["WTF_CSRF_ENABLED"] = True
    yield
    app.config["WTF_CSRF_ENABLED"] = False


@pytest.mark.usefixtures("csrf_protection")
def test_only_a_form_of_the_registry_begins_a_sign_in(
    client_of: ClientOf, idp: IdentityProvider, person: Person
) -> None:
    client, url = client_of("nobody"), f"{START}?next=/account/acme/views"
    page = client.get(url)
    assert page.status_code == 200
    assert "Sign in with Example SSO" in visible_text(page)
    evil = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    for token in ("", "forged"):
        refused = client.post(url, data={"csrf_token": token}, headers=evil)
        assert refused.status_code == 422
        assert (
            "This page expired before you sent it. Select Continue to try again."
            in visible_text(refused)
        )
    assert not idp.requests, "no request has reached the provider or begun a visit"
    with client.session_transaction() as state:
        assert "provider_visits" not in state
    begun = client.post(url, data={"csrf_token": _token_in(page)})
    answer = client.get(idp.visit(provider_url(begun)))
    assert answer.location == "/account/acme/views"
    assert is_signed_in(client)


@pytest.mark.usefixtures("csrf_protection")
def test_only_a_form_of_the_registry_begins_a_link_or_a_proof(
    client_of: ClientOf, idp: IdentityProvider, person: Person
) -> None:
    client = client_of("nobody")
    page = client.get(START)
    client.get(idp.visit(provider_url(client.post(START, data={"csrf_token": _token_in(page)}))))
    idp.requests.clear()
    for url, question in (
        ("/security/link/example", "You then see the account, and can still cancel."),
        ("/confirm/with/example", "To confirm that it’s you, sign in at Example SSO again."),
    ):
        page = client.get(url)
        assert (page.status_code, question in visible_text(page)) == (200, True)
        assert client.post(url, data={"csrf_token": "forged"}, headers=SITE).status_code == 400
        with client.session_transaction() as state:
            assert not state.get("provider_visits")
        idp.visit(provider_url(client.post(url, data={"csrf_token": _token_in(page)})))
        with client.session_transaction() as state:
            assert state.pop("provider_visits")


def _token_in(page: TestResponse) -> str:
    found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page.text)
    assert found is not None
    return found[1]


def test_signing_in_gives_the_browser_a_new_session(
    client_of: ClientOf, idp: IdentityProvider, person: Person
) -> None:
    client = client_of("nobody")
    client.set_cookie("session", "A" * 43)
    client.get(visit(client, idp))
    cookie = client.get_cookie("session")
    assert cookie is not None
    assert cookie.value != "A" * 43


def test_an_account_with_the_same_address_is_not_linked(
    client_of: ClientOf, idp: IdentityProvider
) -> None:
    idp.claims = {"email": EMAIL, "email_verified": True}
    client = client_of("nobody")
    answer = client.get(visit(client, idp))
    assert answer.status_code == 403
    assert "isn’t linked to a user account" in visible_text(answer)
    assert "ask the platform team (platform@example.com) for access" in visible_text(answer)
    assert not is_signed_in(client)
    entry = last_entry()
    assert (entry.action, entry.subject) == ("person.refused", "an unknown account at Example SSO")
    assert EMAIL not in str(entry.changes)


def test_the_same_subject_of_another_issuer_is_another_account(
    app: Flask, client_of: ClientOf, idp: IdentityProvider, person: Person
) -> None:
    with identity_provider() as other:
        second = configured(other.issuer, key="other", label="Other")
        configure(app, configured(idp.issuer), second)
        client = client_of("nobody")
        assert client.get(visit(client, other, "/sign-in/with/other")).status_code == 403
        client.get(visit(client, idp))
    assert is_signed_in(client)


def test_disabled_and_removed_people_are_refused(
    client_of: ClientOf, actor_of: ActorOf, idp: IdentityProvider, person: Person
) -> None:
    with models.open_connection():
        directory.disable(actor_of("scalr-admin"), person.id)
    client = client_of("nobody")
    answer = client.get(visit(client, idp))
    assert (answer.status_code, "disabled" in visible_text(answer)) == (403, True)
    assert last_entry().action == "person.refused"
    with models.open_connection():
        directory.remove(actor_of("scalr-admin"), person.id)
        assert Identity.select().count() == 0
    assert client.get(visit(client, idp)).status_code == 403
    assert not is_signed_in(client)


def test_the_answer_belongs_to_the_browser_and_the_provider(
    app: Flask, client_of: ClientOf, idp: IdentityProvider, person: Person
) -> None:
    client, other = client_of("nobody"), client_of("nobody")
    url = visit(client, idp)
    assert "began in another browser" in visible_text(other.get(url))
    assert not is_signed_in(other)
    assert client.get(re.sub("state=[^&]*", "state=forged", url)).status_code == 403
    assert client.get(re.sub("state=[^&]*&?", "", url)).status_code == 403
    configure(app, configured(idp.issuer), configured("https://b.example", key="b", label="B"))
    assert client.get(url.replace("/example/", "/b/")).status_code == 403
    assert "/token" not in idp.requests
    client.get(url)
    assert is_signed_in(client)


def test_an_answer_of_another_issuer_is_refused(
    client_of: ClientOf, idp: IdentityProvider, person: Person
) -> None:
    client = client_of("nobody")
    assert client.get(visit(client, idp, iss="https://evil.example")).status_code == 403
    assert "/token" not in idp.requests


def test_an_answer_is_used_once(client_of: ClientOf, idp: IdentityProvider, person: Person) -> None:
    client = client_of("nobody")
    url = visit(client, idp)
    copy = client.get_cookie("state")
    assert copy is not None
    client.get(url)
    client.post("/sign-out")
    assert client.get(url).status_code == 403
    replay = client_of("nobody")
    replay.set_cookie("state", copy.value)
    idp.codes["code-1"] = idp.visits[0]
    assert "already used" in visible_text(replay.get(url))
    assert not is_signed_in(replay)


def test_a_visit_ends_after_ten_minutes(
    client_of: ClientOf, idp: IdentityProvider, person: Person, clock: Clock
) -> None:
    client = client_of("nobody")
    url = visit(client, idp)
    clock.go_to(clock.now + timedelta(seconds=601))
    assert "This sign-in has expired" in visible_text(client.get(url))


def test_a_visit_that_a_server_with_a_fast_clock_began_is_valid(
    client_of: ClientOf, idp: IdentityProvider, person: Person, clock: Clock
) -> None:
    client = client_of("nobody")
    url = visit(client, idp)
    clock.go_to(clock.now - timedelta(seconds=2))
    client.get(url)
    assert is_signed_in(client)


def test_used_answers_are_deleted(
    client_of: ClientOf, idp: IdentityProvider, person: Person, clock: Clock
) -> None:
    client = client_of("nobody")
    client.get(visit(client, idp))
    with models.open_connection():
        single_use.purge_chunk()
        assert UsedAnswer.select().count() == 1
        clock.go_to(clock.now + timedelta(minutes=21))
        single_use.purge_chunk()
        assert UsedAnswer.select().count() == 0


@pytest.mark.parametrize(
    "target",
    ["https://evil.example", "//evil.example", "/\\evil.example", "\t//evil.example", "x" * 900],
)
def test_the_next_page_is_never_on_another_site(
    client_of: ClientOf, idp: IdentityProvider, person: Person, target: str
) -> None:
    client = client_of("nobody")
    start = provider_url(client.post(START, query_string={"next": target}))
    assert client.get(idp.visit(start)).location == "/"
    with client.session_transaction() as state:
        assert "provider_visits" not in state


def test_a_cancelled_sign_in_says_so(client_of: ClientOf, idp: IdentityProvider) -> None:
    client = client_of("nobody")
    answer = client.get(visit(client, idp, error="access_denied", code="x"))
    assert "Example SSO canceled or refused the sign-in" in visible_text(answer)
    hostile = {"error": "<b>x", "error_description": "<script>"}
    answer = client.get(visit(client, idp, **hostile))
    assert answer.status_code == 403
    assert "<b>x" not in answer.text
    assert "<script>" not in answer.text


def test_a_person_returns_to_the_page_after_a_visit_that_failed(
    client_of: ClientOf, idp: IdentityProvider, person: Person
) -> None:
    client, url = client_of("nobody"), "/account/acme/views"
    failed = client.get(visit(client, idp, f"{START}?next={url}", error="access_denied"))
    forms = re.findall(r'<form [^>]*action="(/sign-in[^"]*)"', failed.text)
    assert forms[0] == f"/sign-in?next={url}"
    assert forms[-1] == f"{START}?next={url}"
    assert client.get(visit(client, idp, forms[-1])).location == url


def test_a_provider_that_is_down_leaves_the_password(
    app: Flask, client_of: ClientOf, idp: IdentityProvider
) -> None:
    configure(app, configured("http://127.0.0.1:9"))
    answer = client_of("nobody").post(START)
    assert "Example SSO doesn’t respond" in visible_text(answer)
    assert 'name="password"' in answer.text


def test_unknown_providers_do_not_exist(client_of: ClientOf, idp: IdentityProvider) -> None:
    for who in ("nobody", "account-admin"):
        for url in ("/sign-in/with/x", "/sign-in/with/x/answer"):
            assert client_of(who).get(url).status_code == 404
        assert client_of(who).post("/sign-in/with/x").status_code == 404
    for url in ("/security/link/x", "/confirm/with/x", "/confirm/with/example"):
        for method in ("GET", "POST"):
            assert client_of("account-admin").open(url, method=method).status_code == 404


def test_the_second_factor_of_the_registry_is_asked_for(
    app: Flask, client_of: ClientOf, idp: IdentityProvider, person: Person, vault: Vault
) -> None:
    with models.open_connection():
        add_authenticator(person, vault)
    client = client_of("nobody")
    asked = client.get(visit(client, idp, f"{START}?next=/account/acme/views")).location
    assert asked == "/sign-in/code?next=/account/acme/views"
    assert not is_signed_in(client)
    assert client.post(asked, data={"code": code()}).location == "/account/acme/views"
    with models.open_connection():
        assert SignInSession.get(person=person).provider == "example"
    configure(app, configured(idp.issuer, second_factor=SecondFactor(frozenset({"mfa"}))))
    idp.claims = {"amr": ["pwd", "mfa"]}
    other = client_of("nobody")
    other.get(visit(other, idp))
    assert is_signed_in(other), "the factor of the provider counts"


@pytest.fixture
def linking(client_of: ClientOf, idp: IdentityProvider) -> FlaskClient:
    idp.claims = {"email": "alice@example.org", "name": "Alice"}
    return client_of("account-admin")


def sealed(page: TestResponse) -> str:
    found = re.search(r'name="link"[^>]*value="([^"]*)"', page.text)
    assert found is not None
    return html.unescape(found[1])


def test_a_person_links_an_account_and_unlinks_it(
    linking: FlaskClient, client_of: ClientOf, idp: IdentityProvider
) -> None:
    assert "Not linked" in visible_text(linking.get("/security"))
    page = linking.get(visit(linking, idp, "/security/link/example"))
    assert "alice@example.org" in visible_text(page)
    with models.open_connection():
        assert Identity.select().count() == 0, "only the form links the account"
    linking.post("/security/link", data={"link": sealed(page)})
    assert last_entry().action == "person.link"
    shown = visible_text(linking.get("/security"))
    assert "alice@example.org" in shown
    other = client_of("nobody")
    other.get(visit(other, idp))
    assert is_signed_in(other)
    with models.open_connection():
        number = Identity.get().id
    url = f"/security/identities/{number}/unlink"
    assert "Your other sessions" in visible_text(linking.get(url))
    linking.post(url)
    assert last_entry().action == "person.unlink"
    assert not is_signed_in(other)
    assert is_signed_in(linking)
    assert "no longer linked" in visible_text(linking.post(url, follow_redirects=True))


def test_unlinking_an_account_of_a_former_provider_ends_the_sessions_from_there(
    app: Flask, linking: FlaskClient, client_of: ClientOf, idp: IdentityProvider
) -> None:
    page = linking.get(visit(linking, idp, "/security/link/example"))
    linking.post("/security/link", data={"link": sealed(page)})
    other, password = client_of("nobody"), client_of("account-admin")
    other.get(visit(other, idp))
    configure(app)
    assert is_signed_in(other)
    with models.open_connection():
        number = Identity.get().id
    linking.post(f"/security/identities/{number}/unlink")
    assert not is_signed_in(other)
    assert is_signed_in(linking)
    assert is_signed_in(password)


def sign_in_with_factor(app: Flask, client_of: ClientOf, idp: IdentityProvider) -> FlaskClient:
    """Sign in at a provider that reports a second factor."""
    configure(app, configured(idp.issuer, second_factor=SecondFactor(frozenset({"mfa"}))))
    idp.claims = {"amr": ["mfa"]}
    client = client_of("nobody")
    client.get(visit(client, idp))
    return client


def test_a_factor_of_an_unlinked_account_no_longer_counts(
    app: Flask, client_of: ClientOf, idp: IdentityProvider, person: Person
) -> None:
    """The current session stays, but without the factor. The page says so before."""
    client = sign_in_with_factor(app, client_of, idp)
    with models.open_connection():
        number = Identity.get().id
    url = f"/security/identities/{number}/unlink"
    assert "will not count" not in client.get(url).text
    with models.open_connection():
        Scope.update(requires_factor=True).where(Scope.path == "acme").execute()
    assert client.get("/account/acme/images").status_code == 200
    warning = "Your roles at these scopes will not count without a second factor"
    assert warning in visible_text(client.get(url))
    client.post(url)
    assert client.get("/security").status_code == 200
    assert client.get("/account/acme/images").status_code == 403


def test_a_factor_at_the_provider_remains_when_another_is_removed(
    client_of: ClientOf, actor_of: ActorOf, idp: IdentityProvider, person: Person, vault: Vault
) -> None:
    with models.open_connection():
        for who in ("account-admin", "scalr-admin"):
            add_authenticator(actor_of(who).person, vault)
        member = Membership.get(person=person).id
        Scope.update(requires_factor=True).where(Scope.path == "acme").execute()
    own, admin = client_of("account-admin"), client_of("scalr-admin")
    for used in (True, False):
        with models.open_connection():
            Identity.update(used_factor=used).execute()
            SignInSession.update(used_factor=used).execute()
        for page in (
            own.get("/security/authenticator/remove"),
            admin.get(f"/account/acme/members/{member}/remove-factors"),
        ):
            assert page.status_code == 200
            assert ("will not count" in page.text) is not used


def test_a_session_with_a_password_has_no_factor_of_a_provider(
    client_of: ClientOf, actor_of: ActorOf, idp: IdentityProvider, person: Person, vault: Vault
) -> None:
    with models.open_connection():
        add_authenticator(actor_of("account-admin").person, vault)
        Scope.update(requires_factor=True).where(Scope.path == "acme").execute()
        Identity.update(used_factor=True).execute()
    page = client_of("account-admin").get("/security/authenticator/remove")
    assert "will not count" in page.text


def test_another_account_at_the_provider_keeps_the_factor(
    app: Flask, client_of: ClientOf, idp: IdentityProvider, person: Person
) -> None:
    client = sign_in_with_factor(app, client_of, idp)
    with models.open_connection():
        Scope.update(requires_factor=True).where(Scope.path == "acme").execute()
        other = Identity.create(person=person, issuer=idp.issuer, subject="other", label="other")
    url = f"/security/identities/{other.id}/unlink"
    assert "will not count" not in client.get(url).text
    client.post(url)
    assert client.get("/account/acme/images").status_code == 200


def test_a_session_of_a_provider_stays_one_after_a_new_password(
    app: Flask, client_of: ClientOf, idp: IdentityProvider, person: Person
) -> None:
    """So the person need not sign in there again to use roles that need a second factor."""
    client = sign_in_with_factor(app, client_of, idp)
    with models.open_connection():
        Scope.update(requires_factor=True).where(Scope.path == "acme").execute()
    form = {"current_password": PASSWORD, "password": "seven lamps beside orange water"}
    assert client.post("/password", data=form).status_code == 303
    assert client.get("/account/acme/images").status_code == 200
    with models.open_connection():
        session = SignInSession.get(person=person)
        assert (session.provider, session.used_factor) == ("example", True)


def test_an_account_belongs_to_one_person(
    linking: FlaskClient, client_of: ClientOf, idp: IdentityProvider
) -> None:
    first = linking.get(visit(linking, idp, "/security/link/example"))
    other = client_of("account-viewer")
    second = other.get(visit(other, idp, "/security/link/example"))
    stolen = other.post("/security/link", data={"link": sealed(first)}, follow_redirects=True)
    assert "The confirmation page has expired" in visible_text(stolen)
    for client, page, message in (
        (linking, first, "Account linked"),
        (linking, first, "already linked to your user account"),
        (other, second, "already linked to another user account"),
    ):
        answer = client.post("/security/link", data={"link": sealed(page)}, follow_redirects=True)
        assert message in visible_text(answer)
    with models.open_connection():
        foreign = Identity.get().id
    unlinked = other.post(f"/security/identities/{foreign}/unlink", follow_redirects=True)
    assert "no longer linked" in visible_text(unlinked)
    with models.open_connection():
        assert Identity.select().count() == 1


def test_a_link_expires_and_cannot_be_forged(
    linking: FlaskClient, idp: IdentityProvider, clock: Clock
) -> None:
    page = linking.get(visit(linking, idp, "/security/link/example"))
    clock.go_to(clock.now + timedelta(seconds=601))
    for value in (sealed(page), "forged", ""):
        answer = linking.post("/security/link", data={"link": value}, follow_redirects=True)
        assert "The confirmation page has expired" in visible_text(answer)


def test_linking_and_unlinking_need_a_new_proof(
    client_of: ClientOf, idp: IdentityProvider, person: Person, clock: Clock
) -> None:
    client = client_of("account-admin")
    clock.go_to(clock.now + timedelta(minutes=16))
    with models.open_connection():
        number = Identity.get().id
    for url in ("/security/link/example", f"/security/identities/{number}/unlink"):
        assert client.get(url).location.startswith("/confirm?next=")
    assert client.post(f"/security/identities/{number}/unlink", headers=SITE).status_code == 401
    for url in ("/security/link", "/security/link/example"):
        assert client.post(url, headers=SITE).status_code == 401


def test_a_link_that_another_session_began_is_refused(
    linking: FlaskClient, client_of: ClientOf, idp: IdentityProvider
) -> None:
    url = visit(linking, idp, "/security/link/example")
    copy = linking.get_cookie("state")
    assert copy is not None
    other = client_of("account-viewer")
    other.set_cookie("state", copy.value)
    assert "expired" in visible_text(other.get(url, follow_redirects=True))


def old_session(client_of: ClientOf, idp: IdentityProvider, clock: Clock) -> FlaskClient:
    client = client_of("nobody")
    client.get(visit(client, idp))
    clock.go_to(clock.now + timedelta(minutes=16))
    idp.claims |= {"exp": int(clock.now.timestamp()) + 300}
    return client


def test_a_session_of_a_provider_is_confirmed_at_the_provider(
    client_of: ClientOf, idp: IdentityProvider, person: Person, clock: Clock
) -> None:
    client = old_session(client_of, idp, clock)
    asked = client.get("/account/acme/credentials/new").location
    page = client.get(asked)
    assert "Sign in again at Example SSO" in visible_text(page)
    assert 'type="password"' not in page.text
    assert client.post("/confirm", data={"current_password": PASSWORD}).status_code == 422
    form = re.search(r'<form [^>]*action="(/confirm/with/example[^"]*)"', page.text)
    assert form is not None
    proof = html.unescape(form[1])
    idp.claims["auth_time"] = int(clock.now.timestamp()) - 900
    refused = client.get(visit(client, idp, proof), follow_redirects=True)
    assert "didn’t ask you to sign in again. Sign out of Example SSO" in visible_text(refused)
    assert (idp.visits[-1]["prompt"], idp.visits[-1]["max_age"]) == ("login", "0")
    idp.claims["auth_time"] = None
    assert "couldn’t be verified" in visible_text(
        client.get(visit(client, idp, proof), follow_redirects=True)
    )
    idp.claims |= {"auth_time": int(clock.now.timestamp()), "sub": "somebody else"}
    assert "isn’t linked to your user account" in visible_text(
        client.get(visit(client, idp, proof), follow_redirects=True)
    )
    assert client.get("/account/acme/credentials/new").status_code == 303
    del idp.claims["sub"]
    done = client.get(visit(client, idp, proof))
    assert done.location == "/account/acme/credentials/new"
    assert client.get(done.location).status_code == 200


def test_a_person_who_used_a_factor_at_the_provider_uses_it_again_to_confirm(
    app: Flask, client_of: ClientOf, idp: IdentityProvider, person: Person, clock: Clock
) -> None:
    url = "/account/acme/credentials/new"
    client = sign_in_with_factor(app, client_of, idp)
    clock.go_to(clock.now + timedelta(minutes=16))
    now = int(clock.now.timestamp())
    idp.claims |= {"exp": now + 300, "auth_time": now, "amr": ["pwd"]}
    proof = f"/confirm/with/example?next={url}"
    refused = client.get(visit(client, idp, proof), follow_redirects=True)
    assert "Example SSO didn’t ask for your second factor." in visible_text(refused)
    assert client.get(url).location == f"/confirm?next={url}"
    idp.claims["amr"] = ["pwd", "mfa"]
    assert client.get(visit(client, idp, proof)).location == url
    assert client.get(url).status_code == 200


def test_a_form_stays_in_its_tab_while_the_person_is_at_the_provider(
    client_of: ClientOf, idp: IdentityProvider, person: Person, clock: Clock
) -> None:
    client = old_session(client_of, idp, clock)
    form = {"email": "x@example.com", "role": "viewer"}
    page = client.post("/account/acme/members", data=form, headers=SITE)
    assert (page.status_code, 'target="_blank"' in page.text) == (401, True)
    unsent = re.search(r'name="unsent" value="([^"]*)"', page.text)
    assert unsent is not None
    values = {"unsent": html.unescape(unsent[1])}
    early = client.post("/confirm", data=values, headers=SITE)
    assert "You haven’t confirmed that it’s you yet" in visible_text(early)
    idp.claims["auth_time"] = int(clock.now.timestamp())
    client.get(visit(client, idp, "/confirm/with/example"))
    ready = client.post("/confirm", data=values, headers=SITE)
    assert 'value="x@example.com"' in ready.text


def test_a_form_stays_in_its_tab_while_the_person_signs_in(
    client_of: ClientOf, idp: IdentityProvider, person: Person
) -> None:
    client = client_of("nobody")
    page = client.post("/account/acme/views", data={"name": "Mine"}, headers=SITE)
    unsent = re.search(r'name="unsent" value="([^"]*)"', page.text)
    assert unsent is not None
    client.get(visit(client, idp))
    values = {"unsent": html.unescape(unsent[1])}
    assert 'value="Mine"' in client.post("/sign-in", data=values, headers=SITE).text


def test_a_person_with_a_second_factor_confirms_at_the_provider_and_with_a_code(
    client_of: ClientOf, idp: IdentityProvider, person: Person, clock: Clock, vault: Vault
) -> None:
    client = old_session(client_of, idp, clock)
    with models.open_connection():
        add_authenticator(person, vault)
    url = "/account/acme/credentials/new"
    asked = client.get(url).location
    page = client.get(asked)
    assert "Sign in again at Example SSO" in visible_text(page)
    assert "Afterwards, enter a code." in visible_text(page)
    for form in ({"code": code()}, {"current_password": PASSWORD, "code": code()}):
        assert client.post(asked, data=form).status_code == 422
        assert client.get(url).status_code == 303
    idp.claims["auth_time"] = int(clock.now.timestamp())
    asked = client.get(visit(client, idp, f"/confirm/with/example?next={url}")).location
    assert asked == f"/confirm?next={url}"
    assert client.get(url).status_code == 303, "the code is missing"
    page = client.get(asked)
    assert "Sign in again at Example SSO" not in visible_text(page)
    assert 'name="current_password"' not in page.text
    now = clock.now
    clock.go_to(now - timedelta(seconds=2))  # Another server, whose clock is behind.
    assert "Sign in again at Example SSO" not in visible_text(client.get(asked))
    clock.go_to(now)
    assert client.post(asked, data={"code": "000000"}).status_code == 422
    done = client.post(asked, data={"code": code()}, follow_redirects=True)
    assert (done.status_code, done.request.path) == (200, url)
    assert "You’ve confirmed that it’s you." in visible_text(done)


def test_the_code_must_follow_the_sign_in_at_the_provider_within_ten_minutes(
    client_of: ClientOf, idp: IdentityProvider, person: Person, clock: Clock, vault: Vault
) -> None:
    client, other = old_session(client_of, idp, clock), client_of("nobody")
    other.get(visit(other, idp))
    with models.open_connection():
        add_authenticator(person, vault)
    idp.claims["auth_time"] = int(clock.now.timestamp())
    client.get(visit(client, idp, "/confirm/with/example"))
    with client.session_transaction() as state:
        proved = state["proved_at_provider"]
    with other.session_transaction() as state:
        state["proved_at_provider"] = proved
    assert "Sign in again at Example SSO" in visible_text(other.get("/confirm")), "other session"
    assert "Sign in again at Example SSO" not in visible_text(client.get("/confirm"))
    clock.go_to(clock.now + timedelta(seconds=601))
    assert client.post("/confirm", data={"code": code()}).status_code == 422
    assert client.get("/account/acme/credentials/new").status_code == 303


def test_a_person_whose_factors_were_removed_meanwhile_signs_in_at_the_provider_again(
    client_of: ClientOf, idp: IdentityProvider, person: Person, clock: Clock, vault: Vault
) -> None:
    client = old_session(client_of, idp, clock)
    with models.open_connection():
        add_authenticator(person, vault)
    idp.claims["auth_time"] = int(clock.now.timestamp())
    client.get(visit(client, idp, "/confirm/with/example"))
    with models.open_connection():
        proofs.remove_factors(person)
    page = client.get("/confirm")
    assert "Sign in again at Example SSO" in visible_text(page)
    assert 'type="password"' not in page.text
    client.get(visit(client, idp, "/confirm/with/example"))
    assert client.get("/account/acme/credentials/new").status_code == 200


def test_a_person_without_password_and_provider_signs_in_again(
    app: Flask, client_of: ClientOf, idp: IdentityProvider, person: Person, clock: Clock
) -> None:
    client = old_session(client_of, idp, clock)
    configure(app)
    assert 'name="current_password"' in client.get("/confirm").text
    with models.open_connection():
        Person.update(password_hash="").where(Person.id == person.id).execute()
    page = client.get("/confirm")
    assert "Sign out and sign in again." in visible_text(page)
    assert 'type="password"' not in page.text
    assert client.post("/confirm", headers=SITE).status_code == 422
    form = {"email": "x@example.com", "role": "viewer"}
    page = client.post("/account/acme/members", data=form, headers=SITE)
    assert "In another tab, sign out and sign in again." in visible_text(page)
    unsent = re.search(r'name="unsent" value="([^"]*)"', page.text)
    assert unsent is not None
    values = {"unsent": html.unescape(unsent[1])}
    early = client.post("/confirm", data=values, headers=SITE)
    assert "You haven’t confirmed that it’s you yet. Sign in again first." in visible_text(early)
    configure(app, configured(idp.issuer))
    client.post("/sign-out")
    client.get(visit(client, idp))
    configure(app)
    ready = client.post("/confirm", data=values, headers=SITE)
    assert 'value="x@example.com"' in ready.text


def test_no_secret_is_shown_or_logged(
    client_of: ClientOf,
    idp: IdentityProvider,
    person: Person,
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = client_of("nobody")
    idp.answer = lambda path: (400, CLIENT_SECRET.encode()) if path == "/token" else None
    answer = client.get(visit(client, idp))
    idp.answer = lambda _path: None
    client.get(visit(client, idp))
    pages = answer.text + client.get("/security").text
    with models.open_connection():
        stored = str([entry.changes for entry in AuditEntry.select()])
    assert CLIENT_SECRET not in pages + stored + caplog.text
    assert "code-1" not in pages + stored + caplog.text


def test_tokens_of_the_provider_stay_on_the_server(
    client_of: ClientOf,
    idp: IdentityProvider,
    person: Person,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The browser gets neither token, nor does the database or the log. No other site gets them."""
    signed: list[str] = []
    sign = IdentityProvider.sign

    def recording_sign(provider: IdentityProvider, claims: dict[str, Any]) -> str:
        signed.append(sign(provider, claims))
        return signed[-1]

    monkeypatch.setattr(IdentityProvider, "sign", recording_sign)
    client = client_of("nobody")
    answer = client.get(visit(client, idp))
    assert is_signed_in(client)
    (id_token,) = signed
    with client.session_transaction() as state:
        stored_in_browser = str(dict(state))
    seen = f"{answer.headers}{answer.text}{client.get('/security').text}{stored_in_browser}"
    with models.open_connection():
        rows = str(
            [list(table.select().dicts()) for table in (SignInSession, Identity, AuditEntry)]
        )
    for token in (ACCESS_TOKEN, id_token, id_token.rpartition(".")[2]):
        assert token not in seen + rows + caplog.text
    assert idp.requests == [METADATA, "/token", "/keys"]


def test_a_stranger_with_a_role_becomes_a_member(
    app: Flask, client_of: ClientOf, idp: IdentityProvider
) -> None:
    rule = RoleRule("groups", "images", "acme", Role.VIEWER)
    configure(app, configured(idp.issuer, roles=(rule,)))
    idp.claims = {"email": "Nora@example.org", "name": "Nora", "groups": ["images"]}
    client = client_of("nobody")
    assert client.get(visit(client, idp, f"{START}?next=/account/acme/images")).status_code == 303
    assert client.get("/account/acme/images").status_code == 200
    page = client.get("/security")
    assert "Not used" in visible_text(page)
    assert "Change password" not in visible_text(page)
    assert "You have no password" in visible_text(client.get("/password", follow_redirects=True))
    with models.open_connection():
        number = Identity.get().id
    url = f"/security/identities/{number}/unlink"
    assert "only way to sign in" in visible_text(client.post(url, follow_redirects=True))
    idp.claims["groups"] = []
    other = client_of("nobody")
    other.get(visit(other, idp))
    assert client.get("/account/acme/images").status_code == 404
