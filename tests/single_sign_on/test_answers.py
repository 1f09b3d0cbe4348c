"""Answers of a provider that pass the checks, and answers that do not."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from tests.single_sign_on.conftest import configured
from tests.single_sign_on.provider import (
    CLIENT_ID,
    KEY,
    METADATA,
    OTHER_KEY,
    IdentityProvider,
)
from webapp.single_sign_on import issuers
from webapp.single_sign_on.client import Account, Attempt, Client
from webapp.single_sign_on.configuration import SecondFactor
from webapp.single_sign_on.issuers import AnswerRefused, ProviderUnavailable

RETURN = "http://localhost/sign-in/with/example/answer"
SECRET_KEY = "secret of the tests"


def visit(client: Client, idp: IdentityProvider, **redeemed: Any) -> Account:
    """Visit the provider and redeem its code."""
    attempt = Attempt.begin(SECRET_KEY)
    idp.visit(client.authorization_url(attempt, RETURN))
    values: dict[str, Any] = {"attempt": attempt, "code": list(idp.codes)[-1], "issuer": idp.issuer}
    values = {**values, **redeemed}
    return client.redeem(values["attempt"], values["code"], RETURN, values["issuer"])


@pytest.fixture
def client(idp: IdentityProvider) -> Client:
    return Client(configured(idp.issuer))


def test_the_account_of_the_person(client: Client, idp: IdentityProvider) -> None:
    idp.claims = {"email": "alice@example.org", "name": "Alice", "sub": "a1"}
    account = visit(client, idp)
    assert (account.issuer, account.subject, account.name) == (idp.issuer, "a1", "Alice")
    assert (account.label, account.has_second_factor) == ("alice@example.org", False)
    sent = idp.visits[0]
    assert sent["code_challenge_method"] == "S256"
    assert sent["scope"] == "openid profile email"
    assert len(sent["nonce"]) == len(sent["state"]) == 43
    assert idp.requests == [METADATA, "/token", "/keys"]
    visit(client, idp)
    assert idp.requests[3:] == ["/token"], "the metadata and the keys are cached"


def _sign_with_other_key(idp: IdentityProvider) -> None:
    idp.key, idp.header = OTHER_KEY, {"kid": KEY.kid}


def _bring_a_key(idp: IdentityProvider, **header: Any) -> None:
    """Sign with a key that only the token itself names, and serve this key."""
    idp.key, idp.header = OTHER_KEY, {"kid": KEY.kid, **header}
    keys = json.dumps({"keys": [OTHER_KEY.as_dict(private=False)]}).encode()
    idp.answer = lambda path: (200, keys) if path in {"/other-keys", "/x5u"} else None


now = int(time.time())
WRONG: dict[str, Callable[[IdentityProvider], None]] = {
    "audience": lambda idp: idp.claims.update(aud="somebody-else"),
    "audience of another client": lambda idp: idp.claims.update(aud="other", azp=CLIENT_ID),
    "no audience": lambda idp: idp.claims.update(aud=None),
    "several audiences": lambda idp: idp.claims.update(aud=["image-registry", "other"]),
    "authorized party": lambda idp: idp.claims.update(azp="somebody-else"),
    "issuer": lambda idp: idp.claims.update(iss="https://evil.example.com"),
    "no issuer": lambda idp: idp.claims.update(iss=None),
    "nonce": lambda idp: idp.claims.update(nonce="another"),
    "no nonce": lambda idp: idp.claims.update(nonce=None),
    "expired": lambda idp: idp.claims.update(exp=now - 90, iat=now - 300),
    "no expiry": lambda idp: idp.claims.update(exp=None),
    "issued in the future": lambda idp: idp.claims.update(iat=now + 3600, exp=now + 7200),
    "not valid yet": lambda idp: idp.claims.update(nbf=now + 3600),
    "no subject": lambda idp: idp.claims.update(sub=None),
    "empty subject": lambda idp: idp.claims.update(sub=""),
    "subject is a number": lambda idp: idp.claims.update(sub=7),
    "long subject": lambda idp: idp.claims.update(sub="a" * 256),
    "access token": lambda idp: idp.claims.update(at_hash="another"),
    "not signed": lambda idp: setattr(idp, "forged", "none"),
    "unknown key": lambda idp: setattr(idp, "key", OTHER_KEY),
    "wrong signature": _sign_with_other_key,
    "signed with the public key": lambda idp: setattr(idp, "forged", "HS256"),
    "key in the token": lambda idp: _bring_a_key(idp, jwk=OTHER_KEY.as_dict(private=False)),
    "URL of keys in the token": lambda idp: _bring_a_key(idp, jku=f"{idp.issuer}/other-keys"),
    "URL of a certificate in the token": lambda idp: _bring_a_key(idp, x5u=f"{idp.issuer}/x5u"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_token_is_refused(client: Client, idp: IdentityProvider, what: str) -> None:
    WRONG[what](idp)
    with pytest.raises(AnswerRefused, match="couldn’t be verified"):
        visit(client, idp)
    assert set(idp.requests) <= {METADATA, "/token", "/keys"}


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "RS512"])
def test_only_listed_algorithms_are_accepted(
    client: Client, idp: IdentityProvider, monkeypatch: pytest.MonkeyPatch, algorithm: str
) -> None:
    idp.header = {"alg": algorithm}
    assert visit(client, idp)
    others = tuple(each for each in issuers.ALGORITHMS if each != algorithm)
    monkeypatch.setattr(issuers, "ALGORITHMS", others)
    with pytest.raises(AnswerRefused, match="couldn’t be verified"):
        visit(client, idp)


def test_no_algorithm_without_a_private_key_is_listed() -> None:
    assert {each[:2] for each in issuers.ALGORITHMS} == {"RS", "PS", "ES", "Ed"}


@pytest.mark.parametrize("name", ["exp", "iat", "nbf", "aud", "amr", "auth_time", "azp", "acr"])
def test_a_claim_of_a_wrong_type_never_fails(
    client: Client, idp: IdentityProvider, name: str
) -> None:
    values: tuple[Any, ...] = ("x", [], {}, [{}], 10**400, True, None, -1)
    for value in values:
        idp.claims = {name: value}
        with suppress(AnswerRefused):
            visit(client, idp)


def test_clocks_may_differ_a_little(client: Client, idp: IdentityProvider) -> None:
    moment = int(time.time())
    idp.claims = {"exp": moment - 20, "iat": moment - 300}
    assert visit(client, idp)
    idp.claims = {"iat": moment + 40, "nbf": moment + 40}
    assert visit(client, idp)


def test_an_answer_of_another_issuer_is_refused_before_the_code_is_sent(
    client: Client, idp: IdentityProvider
) -> None:
    for issuer in ("https://evil.example.com", "", None):
        with pytest.raises(AnswerRefused):
            visit(client, idp, issuer=issuer)
    assert "/token" not in idp.requests
    other = Client(configured(idp.issuer))
    idp.metadata = {"authorization_response_iss_parameter_supported": None}
    assert visit(other, idp, issuer=None)
    with pytest.raises(AnswerRefused):
        visit(other, idp, issuer="https://evil.example.com")


def test_a_code_belongs_to_its_visit(client: Client, idp: IdentityProvider) -> None:
    with pytest.raises(AnswerRefused):
        visit(client, idp, attempt=Attempt.begin(SECRET_KEY))
    idp.checks_pkce = False
    with pytest.raises(AnswerRefused):
        visit(client, idp, attempt=Attempt.begin(SECRET_KEY))
    for code in ("", "x" * 5000, "never-made"):
        with pytest.raises(AnswerRefused):
            visit(client, idp, code=code)


def test_new_keys_are_read_again_but_not_for_each_token(
    client: Client, idp: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    visit(client, idp)
    idp.key, idp.published = OTHER_KEY, [KEY, OTHER_KEY]
    with pytest.raises(AnswerRefused):
        visit(client, idp)
    assert idp.requests.count("/keys") == 1, "the keys have just been read"
    monkeypatch.setattr(issuers, "NEW_KEYS_SECONDS", 0.0)
    assert visit(client, idp)
    assert idp.requests.count("/keys") == 2


def test_a_second_factor_counts_only_as_configured(idp: IdentityProvider) -> None:
    plain = Client(configured(idp.issuer))
    factor = SecondFactor(frozenset({"mfa", "otp"}), frozenset({"urn:gold"}))
    strict = Client(configured(idp.issuer, second_factor=factor))
    for claims, expected in (
        ({"amr": ["pwd"]}, False),
        ({"amr": ["pwd", "otp"]}, True),
        ({"acr": "urn:gold"}, True),
        ({"acr": "urn:silver"}, False),
        ({}, False),
    ):
        idp.claims = claims
        assert visit(strict, idp).has_second_factor is expected
        assert not visit(plain, idp).has_second_factor


def test_a_proof_must_be_recent(client: Client, idp: IdentityProvider) -> None:
    attempt = Attempt.begin(SECRET_KEY)
    url = client.authorization_url(attempt, RETURN, is_proof=True)
    assert "prompt=login" in url
    assert "max_age=0" in url
    moment = time.time()
    client.require_recent(_account(moment - 5), moment)
    for old in (moment - 3600, None):
        with pytest.raises(AnswerRefused):
            client.require_recent(_account(old), moment)


def _account(authenticated_at: float | None) -> Account:
    return Account("i", "s", "n", "l", authenticated_at, False, {}, True)


BROKEN: dict[str, Callable[[str], tuple[int, bytes] | None]] = {
    "an error": lambda _path: (500, b""),
    "not found": lambda _path: (404, b"{}"),
    "a redirect": lambda _path: (302, b"{}"),
    "no JSON": lambda _path: (200, b"<html>"),
    "a list": lambda _path: (200, b"[]"),
    "too deep": lambda _path: (200, b"[" * 100_000),
    "too large": lambda _path: (200, b'{"a": "' + b"a" * 300_000 + b'"}'),
    "no text": lambda _path: (200, b"\xff\xfe"),
}


@pytest.mark.parametrize("what", BROKEN)
@pytest.mark.parametrize("broken", [METADATA, "/token", "/keys"])
def test_a_broken_answer_is_a_sentence(
    client: Client, idp: IdentityProvider, what: str, broken: str
) -> None:
    idp.answer = lambda path: BROKEN[what](path) if path == broken else None
    with pytest.raises((ProviderUnavailable, AnswerRefused), match="Example SSO"):
        visit(client, idp)


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "https://evil.example.com"},
        {"issuer": None},
        {"token_endpoint": "http://login.example.com/token"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"jwks_uri": 7},
        {"jwks_uri": None},
    ],
)
def test_wrong_metadata_is_refused(
    client: Client, idp: IdentityProvider, changes: dict[str, Any]
) -> None:
    idp.metadata = changes
    with pytest.raises(ProviderUnavailable):
        client.authorization_url(Attempt.begin(SECRET_KEY), RETURN)


def test_a_provider_that_hangs_or_is_down_is_a_sentence(
    client: Client, idp: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(issuers, "CALL_SECONDS", 0.3)
    idp.pause = 0.6
    began = time.monotonic()
    with pytest.raises(ProviderUnavailable):
        client.authorization_url(Attempt.begin(SECRET_KEY), RETURN)
    assert time.monotonic() - began < 0.6
    down = Client(configured("http://127.0.0.1:9"))
    with pytest.raises(ProviderUnavailable, match="Example SSO doesn’t respond"):
        down.authorization_url(Attempt.begin(SECRET_KEY), RETURN)


def test_calls_that_wait_do_not_use_up_the_threads(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(issuers, "WAIT_SECONDS", 0.05)
    for _ in range(issuers.CALLS_AT_ONCE):
        Client.turns.acquire()
    try:
        with pytest.raises(ProviderUnavailable):
            client.authorization_url(Attempt.begin(SECRET_KEY), RETURN)
    finally:
        Client.turns.release(issuers.CALLS_AT_ONCE)
    assert client.authorization_url(Attempt.begin(SECRET_KEY), RETURN)
