"""Exchanging ID tokens of pipelines for tokens."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest
from flask import Flask
from werkzeug.test import TestResponse

import models
from models import ApiToken, AuditEntry, Membership, Role, TokenRule
from tests.api.client import ApiClient, ClientFor
from tests.conftest import ActorOf, Clock, ScopeAt
from tests.single_sign_on import peers
from tests.single_sign_on.provider import KEY, OTHER_KEY, IdentityProvider, identity_provider
from tests.tokens.helpers import make_rule
from webapp.access import Actor
from webapp.clouds.outgoing import endpoints
from webapp.credentials.vault import Vault
from webapp.people import members, single_use
from webapp.single_sign_on import issuers, token_rules
from webapp.single_sign_on.token_exchange import RuleIssuers
from webapp.tokens import tokens
from webapp.tokens.tokens import TokenError
from webapp.web.services import Services

AUDIENCE = "https://registry.example.com"
GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"


def use_new_issuers(app: Flask) -> None:
    """Forget the keys of providers of other tests."""
    services: Services = app.extensions["services"]
    app.extensions["services"] = replace(services, rule_issuers=RuleIssuers())


@pytest.fixture
def idp(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[IdentityProvider]:
    """Return a provider that no other test has seen, so no process knows its keys."""
    monkeypatch.setattr(issuers, "CALL_SECONDS", 60.0)
    use_new_issuers(app)
    with identity_provider() as provider:
        yield provider


@pytest.fixture
def admin(actor_of: ActorOf) -> Actor:
    return actor_of("account-admin")


@pytest.fixture
def rule(idp: IdentityProvider, admin: Actor, scope: ScopeAt) -> TokenRule:
    claims = {"repository": "acme/images", "ref": "refs/heads/*"}
    return make_rule(admin, scope("acme"), issuer=idp.issuer, claims=claims)


def id_token(idp: IdentityProvider, **changes: Any) -> str:
    now = int(models.now().timestamp())
    claims = {
        "iss": idp.issuer,
        "aud": AUDIENCE,
        "sub": "repo:acme/images:ref:refs/heads/main",
        "jti": str(time.monotonic_ns()),
        "iat": now,
        "exp": now + 300,
        "repository": "acme/images",
        "ref": "refs/heads/main",
        **changes,
    }
    return idp.sign({name: value for name, value in claims.items() if value is not None})


def exchange(app: Flask, text: str, scope: str = "/account/acme", **changes: str) -> TestResponse:
    form = {
        "grant_type": GRANT,
        "subject_token": text,
        "subject_token_type": ID_TOKEN,
        "scope": scope,
        **changes,
    }
    return app.test_client().post("/api/v1/token", data=form)


def refusal(answer: TestResponse) -> str:
    assert answer.status_code == 400, answer.text
    assert answer.json is not None
    assert answer.json["type"] == "urn:problem-type:id-token-refused"
    assert answer.json["error"] == "invalid_request"
    return str(answer.json["detail"])


def test_an_id_token_is_exchanged_for_a_token_of_15_minutes(
    app: Flask, idp: IdentityProvider, rule: TokenRule, clock: Clock
) -> None:
    text = id_token(idp)
    answer: Any = exchange(app, text)
    assert answer.status_code == 200, answer.text
    assert answer.json["token_type"] == "Bearer"
    assert answer.json["expires_in"] == 900
    assert answer.headers["Cache-Control"] == "no-store"
    api = ApiClient(app.test_client(), answer.json["access_token"])
    current: Any = api.get("/tokens/current").json
    assert (current["role"], current["scope"]["path"]) == ("editor", "acme")
    assert api.get("/account/acme/images").status_code == 200
    assert api.get("/account/globex/images").status_code == 404
    entry = AuditEntry.get(AuditEntry.action == "token.exchange")
    assert entry.subject == rule.name
    assert entry.changes["subject"][1] == "repo:acme/images:ref:refs/heads/main"
    assert text not in str(entry.__data__)
    assert TokenRule.get().used_at is not None
    clock.go_to(clock.now + timedelta(minutes=16))
    assert api.get("/tokens/current").status_code == 401


def test_a_subject_that_the_database_cannot_store_is_escaped(
    app: Flask, idp: IdentityProvider, rule: TokenRule
) -> None:
    assert exchange(app, id_token(idp, sub="a\0b")).status_code == 200
    entry = AuditEntry.get(AuditEntry.action == "token.exchange")
    assert entry.changes["subject"][1] == r"'a\x00b'"
    assert entry.scope_id == rule.scope_id


def test_json_works_too(app: Flask, idp: IdentityProvider, rule: TokenRule) -> None:
    body = {
        "grant_type": GRANT,
        "subject_token": id_token(idp),
        "subject_token_type": ID_TOKEN,
        "scope": f"/account/{rule.scope.path}",
    }
    assert app.test_client().post("/api/v1/token", json=body).status_code == 200


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"aud": "https://other.example.com"}, "no rule of this scope accepts its audience"),
        ({"aud": None}, "is not valid"),
        ({"repository": "acme/images-evil"}, "no rule of this scope accepts"),
        ({"repository": None}, "no rule of this scope accepts"),
        ({"ref": "refs/tags/v1"}, "no rule of this scope accepts"),
        ({"iss": "https://other.example.com"}, "This scope has no rule for the issuer"),
        ({"iss": "https://\0"}, "This scope has no rule for the issuer"),
        ({"iss": ["https://other.example.com"]}, "This scope has no rule for the issuer"),
        ({"exp": 1_000_000}, "is not valid"),
        ({"exp": None}, "is not valid"),
        ({"exp": "tomorrow"}, "is not valid"),
        ({"exp": float("nan")}, "is not valid"),
        ({"iat": float("nan")}, "is not valid"),
        ({"nbf": 4_000_000_000}, "is not valid"),
        ({"iat": None}, "is not valid"),
        ({"sub": None}, "is not valid"),
    ],
)
def test_wrong_claims_are_refused(
    app: Flask, idp: IdentityProvider, rule: TokenRule, changes: dict[str, Any], words: str
) -> None:
    assert words in refusal(exchange(app, id_token(idp, **changes)))
    assert not ApiToken.select().exists()
    assert AuditEntry.get(AuditEntry.action == "token.exchange_refused").scope_id == rule.scope_id


@pytest.mark.parametrize(
    ("pattern", "text", "is_match"),
    [
        ("main", "main", True),
        ("main", "main2", False),
        ("*", "x", True),
        ("refs/*", "refs/", True),
        ("refs/*", "xrefs/a", False),
        ("*/main", "refs/heads/main", True),
        ("*/main", "refs/heads/main/x", False),
        ("a*a", "a", False),
        ("a*b*c", "a.b.c", True),
        ("a*b*b", "a.b", False),
        ("a**b", "ab", True),
        ("a.c*", "abc", False),
        ("a*\nb", "a\n\nb", True),
        ("a*" * 30 + "b", "a" * 8_000, False),
    ],
)
def test_a_star_stands_for_any_text(
    app: Flask, idp: IdentityProvider, rule: TokenRule, pattern: str, text: str, is_match: bool
) -> None:
    TokenRule.update(claims={"ref": pattern}).execute()
    answer = exchange(app, id_token(idp, ref=text))
    assert answer.status_code == (200 if is_match else 400)


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
def test_a_token_that_everybody_could_sign_is_refused(
    app: Flask, idp: IdentityProvider, rule: TokenRule, algorithm: str
) -> None:
    idp.forged = algorithm
    assert "is not valid" in refusal(exchange(app, id_token(idp)))
    assert TokenRule.get_by_id(rule.id).used_at is None


def test_a_token_with_an_unknown_key_is_refused(
    app: Flask, idp: IdentityProvider, rule: TokenRule
) -> None:
    idp.key = OTHER_KEY
    assert "is not valid" in refusal(exchange(app, id_token(idp)))
    idp.key, idp.header = OTHER_KEY, {"kid": KEY.kid}
    assert "is not valid" in refusal(exchange(app, id_token(idp)))
    assert TokenRule.get_by_id(rule.id).used_at is None


@pytest.mark.parametrize("value", [None, "JWT", "jwt", "application/jwt"])
def test_an_id_token_may_name_its_type(
    app: Flask, idp: IdentityProvider, rule: TokenRule, value: str | None
) -> None:
    idp.header = {"typ": value}
    assert exchange(app, id_token(idp)).status_code == 200


@pytest.mark.parametrize(
    "value", ["at+jwt", "application/at+jwt", "logout+jwt", "secevent+jwt", ""]
)
def test_a_token_of_another_type_is_refused(
    app: Flask,
    idp: IdentityProvider,
    rule: TokenRule,
    value: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    idp.header = {"typ": value}
    assert "its type" in refusal(exchange(app, id_token(idp)))
    assert "is not an ID token" in caplog.text
    assert TokenRule.get_by_id(rule.id).used_at is None


def test_new_keys_of_the_provider_are_read(
    app: Flask, idp: IdentityProvider, rule: TokenRule, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert exchange(app, id_token(idp)).status_code == 200
    reads = len(idp.requests)
    assert exchange(app, id_token(idp)).status_code == 200
    assert len(idp.requests) == reads
    monkeypatch.setattr(issuers, "NEW_KEYS_SECONDS", 0.0)
    idp.key, idp.published = OTHER_KEY, [KEY, OTHER_KEY]
    assert exchange(app, id_token(idp)).status_code == 200
    assert TokenRule.get_by_id(rule.id).used_at is not None


def test_private_keys_of_a_provider_are_not_used(
    app: Flask, idp: IdentityProvider, rule: TokenRule
) -> None:
    """joserfc would calculate with the private exponent, for hours if it is long."""
    key: Any = {**KEY.as_dict(private=False), "d": "A" * 1_000, "x5c": ["A" * 5_000]}
    publish(idp, [{"kty": "oct", "k": "AA"}, key])
    assert exchange(app, id_token(idp)).status_code == 200
    assert TokenRule.get_by_id(rule.id).used_at is not None


@pytest.mark.parametrize(
    "keys",
    [
        [{**KEY.as_dict(private=False), "n": "A" * 1_401}],
        [{**KEY.as_dict(private=False), "n": ["A"]}],
        [KEY.as_dict(private=False)] * 101,
        [None],
        {"kty": "RSA"},
    ],
)
def test_invalid_keys_of_a_provider_are_refused(
    app: Flask, idp: IdentityProvider, rule: TokenRule, keys: Any
) -> None:
    publish(idp, keys)
    assert exchange(app, id_token(idp)).status_code == 503
    assert TokenRule.get_by_id(rule.id).used_at is None


def publish(idp: IdentityProvider, keys: Any) -> None:
    """Let the provider answer requests for its keys with `keys`."""
    answer = 200, json.dumps({"keys": keys}).encode()
    idp.answer = lambda path: answer if "well-known" not in path else None


def test_slow_providers_of_an_account_do_not_delay_other_accounts(
    app: Flask, idp: IdentityProvider, rule: TokenRule, actor_of: ActorOf, scope: ScopeAt
) -> None:
    make_rule(actor_of("stranger"), scope("globex"), issuer=idp.issuer)
    with ExitStack() as stack, ThreadPoolExecutor(3) as threads:
        slow = [stack.enter_context(identity_provider()) for _ in range(3)]
        for each in slow:
            each.pause = 3.0
            make_rule(actor_of("stranger"), scope("globex"), name=each.issuer, issuer=each.issuer)
        texts = [id_token(each) for each in slow]
        answers = list(threads.map(lambda text: _timed(app, text, "/account/globex"), texts))
        busy = [seconds for answer, seconds in answers if "other calls" in answer.text]
        assert len(busy) == 1
        assert busy[0] < 2
        waiting = [threads.submit(exchange, app, id_token(slow[0]), "/account/globex")]
        assert exchange(app, id_token(idp), f"/account/{rule.scope.path}").status_code == 200
        assert waiting[0].result().status_code in (200, 400)


def _timed(app: Flask, text: str, scope: str) -> tuple[TestResponse, float]:
    """Return the answer, and the seconds that it took."""
    begun = time.monotonic()
    return exchange(app, text, scope), time.monotonic() - begun


def test_each_id_token_works_once(
    app: Flask, idp: IdentityProvider, rule: TokenRule, clock: Clock
) -> None:
    text = id_token(idp, exp=int(models.now().timestamp()) + 7200)
    assert exchange(app, text).status_code == 200
    assert "was exchanged before" in refusal(exchange(app, text))
    clock.go_to(clock.now + timedelta(minutes=100))
    single_use.purge_chunk()
    assert "was exchanged before" in refusal(exchange(app, text))
    assert ApiToken.select().where(ApiToken.rule_id == rule.id).count() == 1


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "e30.e30.", "é.é.é", "a." * 400_000])
def test_texts_that_are_no_id_tokens_are_refused(
    app: Flask, idp: IdentityProvider, rule: TokenRule, text: str
) -> None:
    assert refusal(exchange(app, text))
    assert idp.requests == []
    assert TokenRule.get_by_id(rule.id).used_at is None


def test_scopes_without_rules_and_without_records_get_the_same_answer(
    app: Flask, idp: IdentityProvider, rule: TokenRule
) -> None:
    there = refusal(exchange(app, id_token(idp), "/account/globex"))
    nowhere = refusal(exchange(app, id_token(idp), "/account/nothing"))
    below = refusal(exchange(app, id_token(idp), f"/environment/{rule.scope.path}/production"))
    assert there == nowhere == below
    assert exchange(app, id_token(idp), "acme").status_code == 400
    assert exchange(app, id_token(idp), grant_type="password").status_code == 400


def test_the_strongest_matching_rule_counts(
    app: Flask, idp: IdentityProvider, rule: TokenRule, admin: Actor
) -> None:
    claims = {"repository": "acme/images"}
    values = {"issuer": idp.issuer, "claims": claims}
    make_rule(admin, rule.scope, name="admins", role=Role.ADMIN, **values)
    make_rule(admin, rule.scope, name="viewers", role=Role.VIEWER, **values)
    answer: Any = exchange(app, id_token(idp)).json
    api = ApiClient(app.test_client(), answer["access_token"])
    assert api.get("/tokens/current").json["role"] == "admin"  # type: ignore[index]


def test_a_rule_limits_the_networks(app: Flask, idp: IdentityProvider, rule: TokenRule) -> None:
    TokenRule.update(networks=["203.0.113.0/24"]).where(TokenRule.id == rule.id).execute()
    assert "forbids the IP address 127.0.0.1" in refusal(exchange(app, id_token(idp)))


def test_a_rule_stops_when_its_maker_loses_the_right(
    app: Flask, idp: IdentityProvider, rule: TokenRule, actor_of: ActorOf, scope: ScopeAt
) -> None:
    person = actor_of("account-admin").person
    membership = Membership.get(person=person)
    members.change_role(actor_of("scalr-admin"), scope("acme"), membership.id, Role.EDITOR)
    assert "no longer works" in refusal(exchange(app, id_token(idp)))
    members.change_role(actor_of("scalr-admin"), scope("acme"), membership.id, Role.ADMIN)
    assert exchange(app, id_token(idp)).status_code == 200
    assert token_rules.is_in_force(token_rules.rules_of_issuer(rule.scope, rule.issuer)[0])


def test_a_rule_that_was_made_with_a_token_ends_with_it(
    app: Flask, api_of: ClientFor, idp: IdentityProvider, clock: Clock
) -> None:
    api = api_of("account-admin", is_personal=False)
    body = {
        "name": "images",
        "issuer": idp.issuer,
        "audience": AUDIENCE,
        "claims": {"repository": "acme/*"},
        "role": "editor",
    }
    created: Any = api.post("/account/acme/token-rules", body)
    assert created.status_code == 201, created.text
    assert created.headers["Location"].endswith(f"/token-rules/{created.json['id']}")
    assert exchange(app, id_token(idp)).status_code == 200
    clock.go_to(clock.now + timedelta(hours=25))
    assert "no longer works" in refusal(exchange(app, id_token(idp)))


def test_deleting_a_rule_ends_its_tokens(
    app: Flask, idp: IdentityProvider, rule: TokenRule, admin: Actor
) -> None:
    answer: Any = exchange(app, id_token(idp)).json
    api = ApiClient(app.test_client(), answer["access_token"])
    assert api.get("/tokens/current").status_code == 200
    rotated = api.post("/tokens/current/rotate", {"expires_at": models.now().isoformat()})
    assert rotated.status_code == 422
    assert tokens.tokens_at(admin, rule.scope) == []
    token_rules.delete(admin, rule)
    assert api.get("/tokens/current").status_code == 401


def test_a_rule_is_within_the_rights_of_its_maker(
    api_of: ClientFor, actor_of: ActorOf, scope: ScopeAt, vault: Vault
) -> None:
    with pytest.raises(TokenError, match="more than “\\*”"):
        make_rule(actor_of("account-admin"), scope("acme"), claims={"repository": "*"})
    for issuer in ("http://idp.example.com", "ftp://x", "https://u@idp.example.com", "x"):
        with pytest.raises(TokenError, match="URL of the provider"):
            make_rule(actor_of("account-admin"), scope("acme"), issuer=issuer)
    for path in ("", "globex"):
        with pytest.raises(Exception, match="tokens:manage"):
            make_rule(actor_of("account-admin"), scope(path))
    limited = tokens.create(
        actor_of("account-admin"),
        scope("acme"),
        vault,
        name="limited",
        role=Role.ADMIN,
        expires_at=models.now() + timedelta(days=1),
        networks=["127.0.0.0/8"],
        is_personal=False,
    )
    api = ApiClient(api_of("account-admin").client, limited.text)
    body = {
        "name": "wider",
        "issuer": "https://idp.example.com",
        "audience": AUDIENCE,
        "claims": {"repository": "acme/images"},
        "role": "viewer",
    }
    answer = api.post("/account/acme/token-rules", body)
    assert answer.status_code == 422
    assert answer.json is not None
    assert answer.json["errors"][0]["field"] == "networks"


def test_a_provider_that_does_not_answer_is_not_called_again_at_once(
    app: Flask, idp: IdentityProvider, rule: TokenRule
) -> None:
    idp.answer = lambda _path: (500, b"")
    answer = exchange(app, id_token(idp))
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    reads = len(idp.requests)
    assert exchange(app, id_token(idp)).status_code == 503
    assert len(idp.requests) == reads
    assert TokenRule.get_by_id(rule.id).used_at is None


def test_the_addresses_of_providers_are_checked(
    app: Flask, idp: IdentityProvider, rule: TokenRule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rule must not make the server connect to itself, unless the operator allows it."""
    monkeypatch.setattr(endpoints, "rules", endpoints.EndpointRules())
    assert exchange(app, id_token(idp)).status_code == 503
    assert idp.requests == []
    assert TokenRule.get_by_id(rule.id).used_at is None


def test_many_wrong_id_tokens_are_delayed(
    app: Flask, idp: IdentityProvider, rule: TokenRule
) -> None:
    statuses = [exchange(app, id_token(idp, aud="x")).status_code for _ in range(120)]
    assert set(statuses) == {400, 429}
    assert TokenRule.get_by_id(rule.id).used_at is None


def test_an_id_token_of_oauth2_mock_server(
    app: Flask, admin: Actor, scope: ScopeAt, tmp_path: Path
) -> None:
    use_new_issuers(app)
    with peers.oauth2_mock_server(tmp_path / "log") as issuer:
        with models.open_connection():
            claims = {"sub": "john*"}
            make_rule(admin, scope("acme"), issuer=issuer, audience="images-ci", claims=claims)
        form = {"grant_type": "authorization_code", "code": "any", "client_id": "images-ci"}
        body = urlencode({**form, "redirect_uri": "http://localhost/"}).encode()
        with urlopen(Request(f"{issuer}/token", body)) as response:
            text = json.load(response)["id_token"]
        answer = exchange(app, text)
    assert answer.status_code == 200, answer.text
