"""The pages for the rules that give roles to people who sign in at identity providers."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient

import models
from models import Identity, ProviderRule, Role
from tests.conftest import ActorOf, ClientOf, Clock, ScopeAt
from tests.single_sign_on.conftest import configure, configured
from tests.single_sign_on.helpers import make_role_rule
from tests.views.pages import visible_text
from webapp.single_sign_on import role_rules
from webapp.single_sign_on.configuration import RoleRule

ISSUER = "https://login.example.com"
AT_ACME = "/account/acme/role-rules"
RULE = {"provider": "example", "claim": "groups", "value": "ops", "role": "editor"}


@pytest.fixture
def providers(app: Flask) -> None:
    """Configure a provider with rules in the operator's file."""
    rules = (
        RoleRule("groups", "fixed", "acme", Role.VIEWER),
        RoleRule("groups", "lost", "acme/lost", Role.VIEWER),
        RoleRule("groups", "secret", "globex", Role.ADMIN),
    )
    other = configured("https://b.example", key="b", label="Other SSO")
    configure(app, configured(ISSUER, roles=rules), other)


def link(actor_of: ActorOf, *names: str) -> None:
    with models.open_connection():
        for name in names:
            Identity.create(person=actor_of(name).person, issuer=ISSUER, subject=name, label=name)


def rule() -> ProviderRule:
    with models.open_connection():
        found: ProviderRule = ProviderRule.select().order_by(ProviderRule.id.desc()).get()
        return found


def revision_on(client: FlaskClient, url: str) -> str:
    found = re.search(r'name="revision"[^>]*value="([0-9]+)"', client.get(url).text)
    assert found is not None
    return found[1]


def test_without_a_provider_the_page_says_what_to_do(client_of: ClientOf) -> None:
    client = client_of("account-admin")
    page = client.get(AT_ACME)
    assert "No identity provider is configured" in visible_text(page)
    assert "docs/single-sign-on.md" in visible_text(page)
    assert "role-rules" not in client.get("/account/acme/members").text
    answer = client.post(f"{AT_ACME}/new", data=RULE)
    assert (answer.status_code, ProviderRule.select().count()) == (422, 0)
    assert "No identity provider is configured" in visible_text(answer)


@pytest.mark.usefixtures("providers")
def test_an_admin_creates_edits_and_removes_a_rule(client_of: ClientOf) -> None:
    client = client_of("account-admin")
    assert AT_ACME in client.get("/account/acme/members").text
    form = visible_text(client.get(f"{AT_ACME}/new"))
    assert "members of Account acme sign in at the provider, they lose the roles" in form
    assert client.post(f"{AT_ACME}/new", data={**RULE, "provider": "b"}).location == AT_ACME
    listed = visible_text(client.get(AT_ACME))
    for text in ("groups = ops", "Account acme", "Editor", "fixed", "In the file of the operator"):
        assert text in listed
    assert "acme/lost Doesn’t exist" in listed
    assert "secret" not in listed
    assert "secret" in visible_text(client_of("scalr-admin").get("/scalr/role-rules"))
    edit = f"{AT_ACME}/{rule().id}/edit"
    values = {**RULE, "role": "viewer", "revision": revision_on(client, edit)}
    assert client.post(edit, data=values).location == AT_ACME
    assert (rule().role, rule().issuer) == (Role.VIEWER, "https://b.example")
    delete = f"{AT_ACME}/{rule().id}/delete"
    assert "This is the last rule of" in visible_text(client.get(delete))
    assert client.post(delete, data={"revision": revision_on(client, delete)}).location == AT_ACME
    assert client.get(delete).location == AT_ACME
    log = visible_text(client.get("/account/acme/audit"))
    for action in ("created", "edited", "removed"):
        assert f"{action} the role rule groups = ops at Other SSO" in log


def test_losses_have_to_be_confirmed(app: Flask, client_of: ClientOf, actor_of: ActorOf) -> None:
    configure(app, configured(ISSUER))
    link(actor_of, "account-admin", "account-viewer", "environment-editor")
    client, new = client_of("account-admin"), f"{AT_ACME}/new"
    page = client.get(new)
    assert "sign in at Example SSO, they lose the roles" in visible_text(page)
    assert 'name="confirmed"' not in page.text
    asked = client.post(new, data=RULE)
    assert asked.status_code == 422
    assert "can sign in at Example SSO: account-admin, account-viewer. The" in visible_text(asked)
    assert 'name="confirmed"' in asked.text
    assert 'value="ops"' in asked.text
    assert client.post(new, data={**RULE, "confirmed": "y"}).location == AT_ACME
    assert client.post(new, data={**RULE, "value": "b"}).location == AT_ACME
    first = f"{AT_ACME}/{rule().id}"
    values = {**RULE, "value": "c", "revision": revision_on(client, f"{first}/edit")}
    assert client.post(f"{first}/edit", data=values).status_code == 422
    assert client.post(f"{first}/edit", data={**values, "confirmed": "y"}).location == AT_ACME
    text = visible_text(client.get(f"{first}/delete"))
    assert "These members use Example SSO: account-admin, account-viewer." in text


@pytest.mark.usefixtures("providers")
def test_two_editors_see_both_versions(
    client_of: ClientOf, actor_of: ActorOf, scope: ScopeAt
) -> None:
    with models.open_connection():
        made = make_role_rule(actor_of("account-admin"), scope("acme"))
    one, other = client_of("account-admin"), client_of("scalr-admin")
    edit, above = f"{AT_ACME}/{made.id}/edit", f"/scalr/role-rules/{made.id}/edit"
    values = {**RULE, "revision": revision_on(one, edit)}
    assert other.post(above, data={**values, "value": "theirs"}).location == "/scalr/role-rules"
    conflict = one.post(edit, data={**values, "value": "yours"})
    assert conflict.status_code == 409
    assert "theirs" in visible_text(conflict)
    link(actor_of, "account-viewer")
    sealed = re.search(r'name="versions"[^>]*value="([^"]+)"', conflict.text)
    assert sealed is not None
    answer = {"versions": sealed[1], "every": "yours"}
    refused = one.post(edit, data=answer)
    assert refused.status_code == 422
    assert "account-viewer" in visible_text(refused)
    assert one.post(edit, data={**answer, "confirmed": "y"}).location == AT_ACME
    assert rule().value == "yours"
    stale = {"revision": values["revision"]}
    delete = f"{AT_ACME}/{made.id}/delete"
    assert one.post(delete, data=stale).status_code == 409
    with models.open_connection():
        role_rules.delete(actor_of("account-admin"), rule(), "Example SSO")
    missing = one.post(edit, data={**values, "value": "typed"})
    assert missing.status_code == 404
    text = visible_text(missing)
    assert "“groups = yours at Example SSO” was removed account-admin removed the role rule" in text
    assert "typed" in text
    assert f'href="{AT_ACME}">Back to the list' in missing.text
    unknown = one.post(f"{AT_ACME}/999999/edit", data=values)
    assert f'href="{AT_ACME}">Back to the list' in unknown.text
    assert one.post(delete, data=stale).location == AT_ACME


@pytest.mark.usefixtures("providers")
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"provider": "nothing"}, "Choose a value from the list"),
        ({"claim": ""}, "Enter the name of the claim"),
        ({"value": ""}, "Enter the value"),
        ({"value": "v" * 201}, "200 characters"),
        ({"role": "owner"}, "Choose a value from the list"),
    ],
)
def test_a_wrong_rule_is_explained(
    client_of: ClientOf, values: dict[str, str], message: str
) -> None:
    answer = client_of("account-admin").post(f"{AT_ACME}/new", data={**RULE, **values})
    assert answer.status_code == 422
    assert message in visible_text(answer)
    assert ProviderRule.select().count() == 0


@pytest.mark.usefixtures("providers")
def test_changes_need_a_proof(
    client_of: ClientOf, actor_of: ActorOf, scope: ScopeAt, clock: Clock
) -> None:
    with models.open_connection():
        made = make_role_rule(actor_of("account-admin"), scope("acme"))
    client = client_of("account-admin")
    clock.go_to(clock.now + timedelta(minutes=15, seconds=1))
    assert client.get(AT_ACME).status_code == 200
    for path in ("new", f"{made.id}/edit", f"{made.id}/delete"):
        assert client.get(f"{AT_ACME}/{path}").location.startswith("/confirm")
        site = {"Origin": "http://localhost", "Referer": f"http://localhost{AT_ACME}"}
        assert client.post(f"{AT_ACME}/{path}", data=RULE, headers=site).status_code == 401
    assert ProviderRule.select().count() == 1


def test_a_rule_of_a_provider_that_is_gone_can_be_removed(
    client_of: ClientOf, actor_of: ActorOf, scope: ScopeAt
) -> None:
    with models.open_connection():
        made = make_role_rule(actor_of("account-admin"), scope("acme"))
    client = client_of("account-admin")
    listed = visible_text(client.get(AT_ACME))
    assert "these rules have no effect" in listed
    assert f"{ISSUER} Not configured" in listed
    delete = f"{AT_ACME}/{made.id}/delete"
    assert client.post(delete, data={"revision": made.revision}).location == AT_ACME
    assert ProviderRule.select().count() == 0
