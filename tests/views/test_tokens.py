"""The pages for API tokens of a person and of a scope."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from flask import Flask
from werkzeug.test import TestResponse

import models
from models import ApiToken, AuditEntry, Membership, Notice, Person, Role, TokenRule
from tests.cast import PASSWORD
from tests.conftest import ActorOf, ClientOf, Clock, ScopeAt
from tests.tokens.helpers import CLIENT, make_rule, make_token
from tests.views.pages import visible_text
from tests.views.test_step_up import SITE, answer_form, send_again
from webapp.access import Actor
from webapp.credentials.vault import Vault
from webapp.people import members
from webapp.tokens.verifier import TokenRefused, TokenVerifier

OWN, OF_ACME = "/tokens", "/account/acme/tokens"
TEXT = re.compile(r'<code id="new-token"[^>]*>(imr_[0-9a-z]{12}_[0-9A-Za-z]{38})</code>')


@pytest.fixture
def verifier(app: Flask) -> TokenVerifier:
    found: TokenVerifier = app.extensions["services"].token_verifier
    return found


def form(scope_id: int | None = None, days: int = 10, **values: str) -> dict[str, str]:
    last_day = models.today() + timedelta(days=days)
    fields = {"name": "nightly", "role": "viewer", "expires_at": last_day.isoformat()}
    return {**fields, **({"scope": str(scope_id)} if scope_id else {}), **values}


def text_in(response: TestResponse) -> str:
    found = TEXT.search(response.text)
    assert found is not None, visible_text(response)
    return found[1]


def authenticate(verifier: TokenVerifier, text: str) -> Actor:
    with models.open_connection():
        return verifier.authenticate(text, CLIENT)


def test_a_person_creates_a_token_for_one_of_their_scopes(
    client_of: ClientOf, scope: ScopeAt, verifier: TokenVerifier
) -> None:
    client = client_of("account-editor")
    before = client.get(f"{OWN}?scope=acme/production")
    assert f'href="{OWN}/new?scope=acme/production"' in before.text
    page = client.get(f"{OWN}/new?scope=acme/production")
    chosen = re.search(r'<option selected value="([0-9]+)">([^<]*)', page.text)
    assert chosen is not None
    assert chosen[2] == "Environment acme / production"
    assert "Environment globex" not in page.text
    created = client.post(f"{OWN}/new", data=form(int(chosen[1]), networks=f"{CLIENT}\r\n::1"))
    assert created.status_code == 200
    assert "no-store" in created.headers["Cache-Control"]
    text = text_in(created)
    actor = authenticate(verifier, text)
    assert actor.token is not None
    assert actor.token.networks == [f"{CLIENT}/32", "::1/128"]
    assert f"{actor.token.expires_at:%Y-%m-%d %H:%M}" == (
        f"{models.today() + timedelta(days=11):%Y-%m-%d} 00:00"
    )
    listed = visible_text(client.get(OWN))
    assert "nightly" in listed
    assert "Environment acme / production" in listed
    assert f"imr_{actor.token.key}_…" in listed
    with models.open_connection():
        stored = [str(row) for table in (AuditEntry, Notice) for row in table.select().dicts()]
    assert text[17:] not in f"{client.get(OWN).text}{client.get('/activity').text}{stored}"


def test_only_scopes_of_the_person_can_be_chosen(client_of: ClientOf, scope: ScopeAt) -> None:
    client = client_of("account-editor")
    with models.open_connection():
        foreign = scope("globex").id
    response = client.post(f"{OWN}/new", data=form(foreign))
    assert response.status_code == 422
    assert "Choose a value from the list" in visible_text(response)
    for url in (f"{OWN}/new?scope=globex", f"{OWN}/new?scope=none"):
        page = client.get(url)
        assert (page.status_code, "Account globex" in page.text) == (200, False)
    with models.open_connection():
        assert ApiToken.select().count() == 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": ""}, "Enter a name."),
        ({"role": "admin"}, "Your own role at Account acme is only editor."),
        ({"role": "root"}, "Choose a value from the list."),
        ({"expires_at": ""}, "Enter a date"),
        ({"expires_at": "soon"}, "Enter a date as YYYY-MM-DD"),
        ({"expires_at": "2020-01-01"}, "Choose a day in the future."),
        ({"expires_at": "2099-01-01"}, "at most 366 days"),
        ({"networks": "10.0.0.0/40"}, "“10.0.0.0/40” is not an IP network."),
    ],
)
def test_an_invalid_form_keeps_what_was_entered(
    client_of: ClientOf, scope: ScopeAt, values: dict[str, str], message: str
) -> None:
    client = client_of("account-editor")
    with models.open_connection():
        acme = scope("acme").id
    response = client.post(f"{OWN}/new", data=form(acme, networks="10.1.0.0/16") | values)
    assert response.status_code == 422
    assert message in visible_text(response)
    kept = "10.0.0.0/40" if "networks" in values else "10.1.0.0/16"
    assert kept in response.text


def test_an_admin_creates_rotates_and_revokes_a_token_of_a_scope(
    client_of: ClientOf, verifier: TokenVerifier
) -> None:
    client = client_of("account-admin")
    assert "Account acme has no API tokens" in visible_text(client.get(OF_ACME))
    first = text_in(client.post(f"{OF_ACME}/new", data=form(role="admin")))
    token = authenticate(verifier, first).token
    assert token is not None
    url = f"{OF_ACME}/{token.id}"
    listed = visible_text(client.get(OF_ACME))
    assert "by account-admin (account-admin@example.com)" in listed
    assert "Never" in listed
    assert "The token was never used." in visible_text(client.get(f"{url}/revoke"))
    rotated = client.post(f"{url}/rotate", data=form(days=300, revision="1"))
    second = text_in(rotated)
    assert "The old token no longer works." in visible_text(rotated)
    assert authenticate(verifier, second).token == token
    with pytest.raises(TokenRefused):
        authenticate(verifier, first)
    # The browser sends the form again, for example when the page is reloaded.
    again = client.post(f"{url}/rotate", data=form(days=300, revision="1"))
    assert (again.status_code, TEXT.search(again.text)) == (409, None)
    assert authenticate(verifier, second).token == token
    outdated = client.post(f"{url}/revoke", data={"revision": "1"})
    assert (outdated.status_code, "account-admin" in outdated.text) == (409, True)
    revoked = client.post(f"{url}/revoke", data={"revision": "2"}, follow_redirects=True)
    assert "Token “nightly” revoked." in visible_text(revoked)
    with pytest.raises(TokenRefused):
        authenticate(verifier, second)
    for path in ("rotate", "revoke"):
        gone = client.get(f"{url}/{path}", follow_redirects=True)
        assert "already been revoked" in visible_text(gone)


def test_sending_the_form_again_creates_no_second_token(client_of: ClientOf) -> None:
    client = client_of("account-admin")
    text_in(client.post(f"{OF_ACME}/new", data=form()))
    again = client.post(f"{OF_ACME}/new", data=form())
    assert (again.status_code, TEXT.search(again.text)) == (422, None)
    assert "Another token has this name." in visible_text(again)


def test_a_rotation_needs_a_valid_day(
    client_of: ClientOf, actor_of: ActorOf, scope: ScopeAt, vault: Vault, verifier: TokenVerifier
) -> None:
    with models.open_connection():
        made = make_token(actor_of("account-editor"), scope("acme"), vault)
    url = f"{OWN}/{made.token.id}/rotate"
    response = client_of("account-editor").post(url, data=form(days=-1, revision="1"))
    assert response.status_code == 422
    assert "Choose a day in the future." in visible_text(response)
    authenticate(verifier, made.text)


def test_people_see_only_their_own_tokens(
    client_of: ClientOf, actor_of: ActorOf, scope: ScopeAt, vault: Vault, verifier: TokenVerifier
) -> None:
    with models.open_connection():
        made = make_token(actor_of("account-editor"), scope("acme"), vault)
    for who in ("account-admin", "scalr-admin", "account-viewer"):
        client = client_of(who)
        assert "nightly build" not in client.get(OWN).text
        for path in ("rotate", "revoke"):
            data = form(revision="1")
            response = client.post(f"{OWN}/{made.token.id}/{path}", data=data)
            assert response.status_code == 303
            response = client.post(f"{OF_ACME}/{made.token.id}/{path}", data=data)
            assert response.status_code in {303, 403}
    authenticate(verifier, made.text)


def test_creating_and_rotating_need_a_new_proof_but_revoking_does_not(
    client_of: ClientOf, actor_of: ActorOf, scope: ScopeAt, vault: Vault, clock: Clock
) -> None:
    client = client_of("account-admin")
    with models.open_connection():
        made = make_token(actor_of("account-admin"), scope("acme"), vault, is_personal=False)
    clock.go_to(clock.now + timedelta(minutes=16))
    url = f"{OF_ACME}/{made.token.id}"
    rotate = client.post(f"{url}/rotate", data=form(revision="1"), headers=SITE)
    page = client.post(f"{OF_ACME}/new", data=form(), headers=SITE)
    assert (rotate.status_code, page.status_code) == (401, 401)
    revoked = client.post(f"{url}/revoke", data={"revision": "1"}, headers=SITE)
    assert revoked.status_code == 303
    ready = answer_form(client, page, current_password=PASSWORD)
    text_in(send_again(client, ready))


def test_a_deleted_person_leaves_the_tokens_of_the_scope(
    client_of: ClientOf, actor_of: ActorOf, scope: ScopeAt, vault: Vault
) -> None:
    with models.open_connection():
        admin = actor_of("account-admin")
        make_token(admin, scope("acme"), vault, is_personal=False)
        Person.get_by_id(admin.person.id).delete_instance()
    page = client_of("scalr-admin").get(OF_ACME)
    assert (page.status_code, "nightly build" in page.text) == (200, True)


def test_the_audit_log_names_the_token_and_links_to_the_tokens_of_a_scope(
    client_of: ClientOf, actor_of: ActorOf, scope: ScopeAt, vault: Vault, verifier: TokenVerifier
) -> None:
    with models.open_connection():
        admin, acme = actor_of("account-admin"), scope("acme")
        of_scope = make_token(admin, acme, vault, is_personal=False, role=Role.ADMIN).text
        make_token(
            verifier.authenticate(of_scope, CLIENT), acme, vault, is_personal=False, name="b"
        )
        make_token(admin, acme, vault, name="own")
    page = client_of("account-admin").get("/account/acme/audit")
    text = visible_text(page)
    assert "Account acme with the token “nightly build” created the token b" in text
    assert "account-admin (account-admin@example.com) created the token own" in text
    assert page.text.count(f'<a href="{OF_ACME}"><strong>') == 2
    searched = client_of("account-admin").get("/account/acme/audit?q=by:%22Account+acme%22")
    assert "created the token b" in visible_text(searched)
    assert "created the token own" not in visible_text(searched)


RULES = f"{OF_ACME}/rules"
RULE = {
    "name": "deployments",
    "issuer": "https://token.actions.githubusercontent.com",
    "audience": "https://registry.example.com",
    "claims": "repository = acme/images\r\n\r\nref = refs/heads/*",
    "role": "editor",
}


def test_an_admin_creates_and_deletes_a_rule(client_of: ClientOf) -> None:
    client = client_of("account-admin")
    assert 'value="http://localhost"' in client.get(f"{RULES}/new").text
    assert client.post(f"{RULES}/new", data=RULE).location == OF_ACME
    with models.open_connection():
        rule = TokenRule.get()
    assert rule.claims == {"repository": "acme/images", "ref": "refs/heads/*"}
    listed = visible_text(client.get(OF_ACME))
    for text in ("deployments", RULE["issuer"], "repository = acme/images", "Editor", "Never"):
        assert text in listed
    assert "Rules for pipelines" not in visible_text(client.get(OWN))
    url = f"{RULES}/{rule.id}/delete"
    asked = client.get(url)
    revision = re.search(r'name="revision"[^>]*value="([0-9]+)"', asked.text)
    assert revision is not None
    assert client.post(url, data={"revision": revision[1]}).location == OF_ACME
    assert client.get(url).location == OF_ACME
    with models.open_connection():
        assert not TokenRule.select().exists()
        actions = [each.action for each in AuditEntry.select().order_by(AuditEntry.id)]
    assert actions[-2:] == ["token.rule", "token.rule_delete"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"claims": "repository"}, "has no “=”"),
        ({"claims": "ref = a\nref = b"}, "appears twice"),
        ({"claims": "repository = *"}, "whose pattern is more than “*”"),
        ({"claims": "a b = c"}, "is not the name of a claim"),
        ({"claims": ""}, "Enter at least one claim"),
        ({"issuer": "http://idp.example.com"}, "Enter the URL of the provider"),
        ({"networks": "x"}, "is not an IP network"),
    ],
)
def test_a_wrong_rule_is_explained(
    client_of: ClientOf, values: dict[str, str], message: str
) -> None:
    answer = client_of("account-admin").post(f"{RULES}/new", data={**RULE, **values})
    assert answer.status_code == 422
    assert message in visible_text(answer)


def test_a_rule_needs_a_proof_and_a_stopped_rule_is_marked(
    client_of: ClientOf, actor_of: ActorOf, scope: ScopeAt, clock: Clock
) -> None:
    with models.open_connection():
        make_rule(actor_of("account-admin"), scope("acme"))
    client = client_of("scalr-admin")
    assert "Stopped" not in visible_text(client.get(OF_ACME))
    with models.open_connection():
        membership = Membership.get(person=actor_of("account-admin").person)
        members.remove(actor_of("scalr-admin"), scope("acme"), membership.id)
    page = visible_text(client.get(OF_ACME))
    assert "The person or token that created this rule can no longer manage tokens here" in page
    clock.go_to(clock.now + timedelta(minutes=15, seconds=1))
    assert client.get(f"{RULES}/new").location.startswith("/confirm")
    asked = client.post(f"{RULES}/new", data=RULE, headers=SITE)
    assert asked.status_code == 401
    assert TokenRule.select().count() == 1
