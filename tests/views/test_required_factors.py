"""A scope that requires a second factor: what its people see, and the way to a factor and back.

`test_access_matrix.py` checks every page of such a scope.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from datetime import timedelta

import pyotp
import pytest
from flask.testing import FlaskClient

import models
from models import Authenticator, Job, Membership, Notice, Role, Scope
from tests.conftest import ActorOf, ClientOf, Clock, MakeImage, ScopeAt
from tests.factors.helpers import add_authenticator
from tests.views.pages import markup_problems, visible_text
from webapp.credentials.vault import Vault
from webapp.people import accounts
from webapp.tokens import tokens

RequireAt = Callable[[str], None]
RULE = "/account/acme/members/second-factor"
MISSING = "You need a second factor to continue"


@pytest.fixture
def require_at(scope: ScopeAt) -> RequireAt:
    def require_at(path: str) -> None:
        with models.open_connection():
            Scope.update(requires_factor=True).where(Scope.path == path).execute()

    return require_at


def add_factor(actor_of: ActorOf, who: str, vault: Vault) -> None:
    with models.open_connection():
        add_authenticator(actor_of(who).person, vault)


def set_up_authenticator(client: FlaskClient, url: str) -> str:
    """Set up an authenticator app on the page at `url`. Return the page with the recovery codes."""
    page = client.get(url).text
    secret = re.search(r"<code class=\"text-break\">([A-Z2-7 ]+)</code>", page)
    sealed = re.search(r'name="set_up"[^>]*value="([^"]*)"', page)
    action = re.search(r'<form method="post" action="([^"]*authenticator[^"]*)"', page)
    assert secret
    assert sealed
    assert action
    code = pyotp.TOTP(secret[1].replace(" ", "")).now()
    form = {"set_up": html.unescape(sealed[1]), "code": code}
    return client.post(html.unescape(action[1]), data=form).text


def link_in(page: str, text: str) -> str:
    """Return the URL of the first link whose text contains `text`."""
    links = re.findall(r'<a [^>]*href="([^"]*)"[^>]*>(.*?)</a>', page, re.DOTALL)
    return next(html.unescape(url) for url, label in links if text in visible_text(label))


def test_a_person_sets_up_a_factor_and_returns_to_the_page(
    client_of: ClientOf, require_at: RequireAt, make_image: MakeImage
) -> None:
    make_image("acme", name="golden-base")
    client = client_of("account-viewer")
    require_at("acme")
    page = client.get("/account/acme/images?q=golden&sort=name")
    assert (page.status_code, MISSING in page.text) == (403, True)
    assert "golden-base" not in page.text
    assert not markup_problems(page.text)
    security = client.get(link_in(page.text, "Set up a second factor")).text
    assert "You need a second factor for some of your scopes" in visible_text(security)
    codes = set_up_authenticator(client, link_in(security, "Set up an authenticator app"))
    assert link_in(codes, "stored the codes") == "/account/acme/images?q=golden&sort=name"
    assert "golden-base" in client.get("/account/acme/images?q=golden&sort=name").text


def test_the_way_back_stays_on_this_site(client_of: ClientOf) -> None:
    page = client_of("account-viewer").get("/security?next=//evil.example/x").text
    assert link_in(page, "Set up") == "/security/authenticator?next=/"


def test_a_form_is_not_processed_and_leads_back_to_its_page(
    client_of: ClientOf, require_at: RequireAt
) -> None:
    client = client_of("account-viewer")
    require_at("acme")
    site = {"Origin": "http://localhost", "Referer": "http://localhost/account/acme/images"}
    page = client.post("/account/acme/views", data={"name": "Mine"}, headers=site)
    assert (page.status_code, "Nothing was saved." in page.text) == (403, True)
    assert link_in(page.text, "Set up") == "/security?next=/account/acme/images"


def test_nothing_of_the_scope_is_shown_elsewhere(
    client_of: ClientOf,
    actor_of: ActorOf,
    scope: ScopeAt,
    make_image: MakeImage,
    require_at: RequireAt,
) -> None:
    """A person with a role at Scalr sees nothing of the scopes that the role reaches."""
    make_image("acme/production", 1, name="golden-secret")
    make_image("", 2, name="golden-shared")
    person = actor_of("scalr-admin").person
    production = scope("acme/production")
    Job.create(
        scope=production, person=person, action="image-share", arguments={}, total=1, state="done"
    )
    Notice.create(person=person, scope=production, kind="success", text="golden-secret", links={})
    client = client_of("scalr-admin")
    require_at("")
    for path in ("acme/production", "acme", "", "none"):
        found = client.get("/palette", query_string={"q": "golden", "scope": path})
        assert "golden-" not in found.text.replace('value="golden"', "")
        for text in ("prod", "acme", "Scalr"):
            found = client.get("/palette", query_string={"q": text, "scope": path})
            assert 'href="/account/acme' not in found.text
            assert 'href="/environment/acme' not in found.text
            assert 'href="/scalr' not in found.text
    for url in ("/scopes", "/activity", "/security", "/sessions", "/tokens"):
        page = client.get(url)
        assert page.status_code == 200
        assert "golden-secret" not in page.text
        assert "production" not in page.text
    for url in ("/scalr/images?q=in:below", "/scalr/overview", "/scalr/images/export.csv"):
        page = client.get(url)
        assert page.status_code == 403
        assert "golden" not in page.text.replace("q%3Dgolden", "")
    home = client.get("/")
    assert (home.status_code, MISSING in home.text) == (403, True)


def test_a_stronger_role_says_what_it_needs(
    client_of: ClientOf, actor_of: ActorOf, scope: ScopeAt, require_at: RequireAt
) -> None:
    """A viewer of acme is also an admin of an environment that requires a factor."""
    person = actor_of("account-viewer").person
    production = scope("acme/production")
    models.Membership.create(person=person, scope=production, role=models.Role.ADMIN)
    client = client_of("account-viewer")
    require_at("acme/production")
    assert client.get("/environment/acme/production/images").status_code == 200
    page = client.get("/environment/acme/production/members")
    assert (page.status_code, MISSING in page.text) == (403, True)


def test_roles_above_still_count(client_of: ClientOf, require_at: RequireAt) -> None:
    """An admin of an environment must not be able to take the rights of people above it."""
    require_at("acme/production")
    for who in ("account-viewer", "scalr-admin"):
        client = client_of(who)
        assert client.get("/account/acme/images").status_code == 200
        assert client.get("/environment/acme/production/images").status_code == 200
    client = client_of("environment-viewer")
    assert client.get("/environment/acme/production/images").status_code == 403


def test_an_admin_requires_a_factor_and_stops_requiring_it(
    client_of: ClientOf, actor_of: ActorOf, vault: Vault
) -> None:
    client = client_of("account-admin")
    refused = client.get(RULE)
    assert "Only people with a second factor can require one" in visible_text(refused)
    assert link_in(refused.text, "Set up") == f"/security?next={RULE}"
    assert client.post(RULE, data={"rule": "required"}).status_code == 422
    add_factor(actor_of, "account-admin", vault)
    asked = client.get(RULE)
    assert not markup_problems(asked.text)
    assert "5 people have no second factor" in visible_text(asked)
    assert client.post(RULE, data={"rule": "required"}).location == "/account/acme/members"
    listed = client.get("/account/acme/members")
    assert "Account acme now requires a second factor" in visible_text(listed)
    assert listed.text.count("No second factor") == 2
    other = client_of("environment-admin")
    assert other.get("/environment/acme/production/members").status_code == 403
    add_factor(actor_of, "environment-admin", vault)
    below = other.get("/environment/acme/production/members")
    assert "Required by Account acme" in visible_text(below)
    assert "/members/second-factor" not in below.text
    answer = other.post(
        "/environment/acme/production/members/second-factor", data={"rule": "optional"}
    )
    assert answer.status_code == 303
    assert "Account acme requires a second factor" in visible_text(other.get(answer.location))
    assert client.post(RULE, data={"rule": "optional"}).status_code == 303
    assert client_of("account-viewer").get("/account/acme/images").status_code == 200


def test_the_rule_needs_a_new_proof(
    client_of: ClientOf, actor_of: ActorOf, vault: Vault, clock: Clock
) -> None:
    add_factor(actor_of, "account-admin", vault)
    client = client_of("account-admin")
    clock.go_to(clock.now + timedelta(minutes=16))
    assert client.get(RULE).location == f"/confirm?next={RULE}"


def test_the_page_to_rotate_a_token_opens_only_if_the_token_can_be_rotated(
    client_of: ClientOf,
    actor_of: ActorOf,
    scope: ScopeAt,
    vault: Vault,
    require_at: RequireAt,
) -> None:
    """The person has a role at Scalr that counts, and a stronger one at acme that does not."""
    person = actor_of("account-admin").person
    with models.open_connection():
        Membership.create(person=person, scope=scope(""), role=Role.VIEWER)
        made = tokens.create(
            accounts.actor_for(person),
            scope("acme"),
            vault,
            name="Mine",
            role=Role.ADMIN,
            expires_at=models.now() + timedelta(days=7),
            networks=[],
            is_personal=True,
        )
    client, url = client_of("account-admin"), f"/tokens/{made.token.id}/rotate"
    assert "Rotate Mine" in visible_text(client.get(url))
    require_at("acme")
    for method in ("GET", "POST"):
        answer = client.open(url, method=method)
        assert answer.location == "/tokens"
        assert "Your own role at Account acme is only viewer." in visible_text(
            client.get("/tokens")
        )


def test_two_admins_require_a_factor_at_the_same_moment(
    client_of: ClientOf, actor_of: ActorOf, scope: ScopeAt, vault: Vault
) -> None:
    for who in ("account-admin", "scalr-admin"):
        add_factor(actor_of, who, vault)
    first, second = client_of("account-admin"), client_of("scalr-admin")
    for client in (first, second):
        assert "Require a second factor" in client.get(RULE).text
    for client in (first, second):
        assert client.post(RULE, data={"rule": "required"}).status_code == 303
    with models.open_connection():
        assert scope("acme").requires_factor
        action = models.AuditEntry.action == "member.require_factor"
        assert models.AuditEntry.select().where(action).count() == 1


def test_removing_the_last_factor_warns_and_ends_access(
    client_of: ClientOf, actor_of: ActorOf, vault: Vault, require_at: RequireAt
) -> None:
    add_factor(actor_of, "account-viewer", vault)
    client, remove = client_of("account-viewer"), "/security/authenticator/remove"
    assert "because an admin requires one" not in client.get(remove).text
    require_at("acme")
    assert client.get("/account/acme/images").status_code == 200
    page = visible_text(client.get(remove))
    assert "Your roles at these scopes will not count without a second factor" in page
    assert "Account acme" in page
    assert client.post(remove).status_code == 303
    assert client.get("/account/acme/images").status_code == 403
    assert client.get("/security").status_code == 200


def test_an_admin_of_scalr_sees_what_a_person_loses(
    client_of: ClientOf, actor_of: ActorOf, vault: Vault, require_at: RequireAt
) -> None:
    for who in ("account-viewer", "scalr-admin"):
        add_factor(actor_of, who, vault)
    require_at("acme")
    admin, viewer = client_of("scalr-admin"), client_of("account-viewer")
    member = models.Membership.get(person=actor_of("account-viewer").person).id
    url = f"/account/acme/members/{member}/remove-factors"
    page = visible_text(admin.get(url))
    assert "account-viewer’s roles at these scopes will not count without" in page
    assert admin.post(url).status_code == 303
    assert viewer.get("/account/acme/images").status_code == 403


def test_the_last_admin_is_not_locked_out(
    client_of: ClientOf, actor_of: ActorOf, vault: Vault, require_at: RequireAt
) -> None:
    """The Scalr admin loses their factor, and sets up another one on their own pages."""
    require_at("")
    client = client_of("scalr-admin")
    assert client.get("/").status_code == 403
    set_up_authenticator(client, "/security/authenticator")
    assert client.get("/scalr/images").status_code == 200
    with models.open_connection():
        assert Authenticator.select().count() == 1
