"""Exchange the ID token of a pipeline for an API token that is valid for a few minutes (RFC 8693).

A provider such as GitHub Actions or GitLab CI signs an ID token for each job of a pipeline. With
this ID token, the pipeline needs no stored secret. The rules of a scope say which ID tokens are
accepted. Each rule names a provider and the claims that the provider's ID tokens must contain.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import time
from base64 import urlsafe_b64decode
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from peewee import IntegrityError

import models
from models import DATABASE_FAILURES, ApiToken, Scope, TokenRule, UsedAnswer, transaction
from schema.base import Table
from webapp import audit
from webapp.clouds.outgoing.budgets import Budget, BudgetUsedUp
from webapp.credentials.vault import Vault
from webapp.monitoring import masking
from webapp.people.attempts import Attempts
from webapp.people.browsers import plain_address
from webapp.refusals import Refusal
from webapp.single_sign_on import token_rules
from webapp.single_sign_on.claims import ClaimTexts
from webapp.single_sign_on.issuers import (
    CALLS_AT_ONCE,
    CLOCK_SKEW_SECONDS,
    AnswerRefused,
    Issuer,
    ProviderBusy,
    ProviderUnavailable,
)
from webapp.tokens import token_text, tokens
from webapp.tokens.tokens import NewToken
from webapp.tokens.verifier import is_within

log = logging.getLogger(__name__)

LIFETIME = timedelta(minutes=15)
"""How long a new API token is valid."""
LONGEST_ID_TOKEN = 16 * 1024
ID_TOKEN_TYPES = frozenset({"jwt", "application/jwt"})
"""The accepted values of the header `typ`, in lower case. ID tokens without `typ` are accepted too.

GitHub Actions and GitLab CI send `JWT`, and Kubernetes sends no `typ`. Other values identify tokens
with another purpose, such as `at+jwt` for access tokens (RFC 9068) and `logout+jwt`.
"""
MAX_VALID = 100
"""How many API tokens of one rule can be valid at the same time."""
MAX_ISSUERS = 200
"""The maximum number of providers whose keys a process caches.

A provider that several accounts use counts once for each account.
"""
CALLS_PER_ACCOUNT = 2
"""How many calls to providers may be in progress for the rules of one account.

An account is a scope directly below the Scalr scope.
"""
PAUSE_SECONDS = 10.0
"""How long a provider is not called after a call failed."""


class ExchangeRefused(Refusal):
    """The ID token cannot be exchanged."""


class RuleIssuer(Issuer):
    """A provider for the rules of one account. Several threads can use it at the same time.

    `turn` returns a context manager for one call to the provider. If too many calls are in
    progress, the context manager does not wait, but raises BudgetUsedUp.
    """

    def __init__(self, url: str, turn: Callable[[], AbstractContextManager[None]]) -> None:
        super().__init__(url)
        self._call_turn = turn
        self._read_lock = threading.Lock()
        self._paused_until = 0.0

    def claims_of(self, text: str) -> Mapping[str, Any]:
        """Return the claims of an ID token of this provider. The token must be valid now.

        The audience of the token is not checked. Raises AnswerRefused and ProviderUnavailable.
        """
        from joserfc.jwt import JWTClaimsRegistry  # noqa: PLC0415  imports cryptography

        metadata = self._read_metadata(("jwks_uri",))
        with self._refusing_bad_tokens():
            token = self._decode(text, metadata["jwks_uri"])
            if str(token.header.get("typ", "JWT")).lower() not in ID_TOKEN_TYPES:
                raise self._refused("the header “typ” says that the token is not an ID token")
            registry = JWTClaimsRegistry(
                now=int(models.now().timestamp()),
                leeway=CLOCK_SKEW_SECONDS,
                iss={"essential": True, "value": self.url},
                aud={"essential": True},
                sub={"essential": True},
                exp={"essential": True},
                iat={"essential": True},
            )
            registry.validate(token.claims)
        return token.claims

    def _read(self, url: str, access_token: str = "") -> Mapping[str, Any]:
        if time.monotonic() < self._paused_until:
            raise self._unavailable("it did not work a moment ago")
        if not self._read_lock.acquire(blocking=False):
            raise self._busy()
        try:
            values: Mapping[str, Any] = self._within_limits(super()._read, url, access_token)
        except ProviderBusy:
            raise
        except ProviderUnavailable:
            self._paused_until = time.monotonic() + PAUSE_SECONDS
            raise
        finally:
            self._read_lock.release()
        return values

    @contextmanager
    def _turn(self) -> Iterator[None]:
        try:
            with self._call_turn():
                yield
        except BudgetUsedUp as error:
            raise self._busy() from error

    def _busy(self) -> ProviderBusy:
        return ProviderBusy(
            f"The keys of {self.url} can’t be read, because other calls to providers are in "
            "progress. Try again in a few seconds."
        )

    def _unavailable(self, reason: object) -> ProviderUnavailable:
        log.warning("the provider %s of a rule does not work: %s", self.url, reason)
        return ProviderUnavailable(
            f"The provider {self.url} doesn’t respond as expected. Try again in a few minutes."
        )

    def _refused(self, reason: str) -> AnswerRefused:
        log.warning("refused an ID token of %s: %s", self.url, reason)
        return AnswerRefused(
            "The ID token is not valid: it has expired, or its type, its signature or its claims "
            "are wrong."
        )


class RuleIssuers:
    """The providers to which rules refer. There is one instance per process.

    Each account has its own `RuleIssuer` for a provider. So after a call of one account has failed,
    other accounts can still call the same provider.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._issuers: OrderedDict[tuple[str, str], RuleIssuer] = OrderedDict()
        self._calls: Counter[str] = Counter()

    def find(self, url: str, account: str) -> RuleIssuer:
        """Return the provider at `url` for the account with this path."""
        with self._lock:
            found = self._issuers.pop((account, url), None)
            if found is None:
                found = RuleIssuer(url, partial(self._turn, account))
            self._issuers[account, url] = found
            while len(self._issuers) > MAX_ISSUERS:
                self._issuers.popitem(last=False)
            return found

    @contextmanager
    def _turn(self, account: str) -> Iterator[None]:
        """Count a call while the context is active. Raises BudgetUsedUp."""
        with self._lock:
            if self._calls[account] >= CALLS_PER_ACCOUNT:
                raise BudgetUsedUp(Budget.ACCOUNT, CALLS_PER_ACCOUNT)
            if self._calls.total() >= CALLS_AT_ONCE:
                raise BudgetUsedUp(Budget.PROCESS, CALLS_AT_ONCE)
            self._calls[account] += 1
        try:
            yield
        finally:
            with self._lock:
                self._calls[account] -= 1


@dataclass(frozen=True)
class TokenExchange:
    """Exchanges ID tokens for API tokens."""

    vault: Vault
    attempts: Attempts
    issuers: RuleIssuers

    def exchange(self, id_token: str, path: str, address: str) -> NewToken:
        """Return a new token of the scope at `path`, if a rule of the scope accepts the ID token.

        `address` is the IP address of the client. Each ID token works once. If several rules accept
        the ID token, the rule with the strongest role is used. Raises ExchangeRefused,
        AnswerRefused and ProviderUnavailable. After many refused ID tokens from the same address,
        raises TooManyAttempts.
        """
        with masking.masked([id_token]):
            scope, rule = Scope.at(path), None
            try:
                issuer = _issuer_in(id_token)
                rules = _rules_for(scope, issuer)
                claims = self.issuers.find(issuer, rules[0].scope.account_path).claims_of(id_token)
                rule = _matching_rule(rules, claims, address)
                return self._create(rule, id_token, claims)
            except (ExchangeRefused, AnswerRefused) as error:
                self._record_refusal(scope, rule, address, error)
                raise

    def _create(self, rule: TokenRule, id_token: str, claims: Mapping[str, Any]) -> NewToken:
        scope, subject = rule.scope, str(claims["sub"])[:255]
        key = token_text.new_key()
        token = ApiToken(
            key=key,
            name=f"{rule.name} {key}",
            scope=scope,
            role=rule.role,
            is_personal=False,
            networks=rule.networks,
            created_by=rule.created_by,
            expires_at=models.now() + LIFETIME,
            rule_id=rule.id,
        )
        with transaction():
            # `update` leaves the revision of the rule unchanged: nobody has edited the rule.
            table: type[Table] = TokenRule
            if not table.update({"used_at": models.now()}).where(TokenRule.id == rule.id).execute():
                raise ExchangeRefused("The rule for this ID token has just been deleted.")
            _spend(id_token, claims)
            is_valid = (ApiToken.rule_id == rule.id) & (ApiToken.expires_at > models.now())
            if ApiToken.select().where(is_valid).count() >= MAX_VALID:
                raise ExchangeRefused(
                    f"The rule “{rule.name}” already has {MAX_VALID} valid tokens. Try again in a "
                    "few minutes."
                )
            token.person = tokens.service_person(scope)
            text = tokens.renew(token, self.vault)
            token.save(force_insert=True)
            audit.record(
                None,
                scope,
                "token.exchange",
                rule.name,
                record=rule,
                changes={
                    "subject": (None, subject if subject.isprintable() else ascii(subject)),
                    "role": (None, rule.role),
                    "token": (None, key),
                },
                by=urlsplit(rule.issuer).hostname or rule.issuer,
            )
        return NewToken(token, text)

    def _record_refusal(
        self, scope: Scope | None, rule: TokenRule | None, address: str, error: Refusal
    ) -> None:
        """Count and record a refused ID token. Raises TooManyAttempts."""
        action, client = "token.exchange_refused", plain_address(address)
        self.attempts.begin_token(address)
        name = rule.name if rule else "an ID token"
        if scope is not None and self.attempts.may_record(action, address):
            changes = {"address": (None, client), "reason": (None, error.message)}
            with suppress(*DATABASE_FAILURES), transaction():
                audit.record(None, scope, action, name, changes=changes, by=audit.STRANGER)
                return
        audit.log_event(action, {"address": client, "reason": error.message})


def _issuer_in(id_token: str) -> str:
    """Return the issuer that an ID token names. The token is not verified yet."""
    parts = id_token.split(".")
    if len(id_token) > LONGEST_ID_TOKEN or len(parts) != 3 or not id_token.isascii():
        raise ExchangeRefused("This is not an ID token. Send a signed JWT of your provider.")
    try:
        claims = json.loads(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        issuer = claims["iss"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ExchangeRefused("The ID token can’t be read. It must be a signed JWT.") from error
    # PostgreSQL refuses queries with some texts, for example a text with a NUL character.
    is_plain = isinstance(issuer, str) and issuer.isascii() and issuer.isprintable()
    return issuer if is_plain else ""


def _rules_for(scope: Scope | None, issuer: str) -> list[TokenRule]:
    """Return the rules of the scope for this issuer. Raises ExchangeRefused if there are none."""
    rules = token_rules.rules_of_issuer(scope, issuer) if scope else []
    if not rules:
        raise ExchangeRefused(
            "This scope has no rule for the issuer of the ID token. Check the scope, and the "
            "rules on its API tokens page."
        )
    return rules


def _matching_rule(rules: list[TokenRule], claims: Mapping[str, Any], address: str) -> TokenRule:
    """Return the rule with the strongest role among those that accept the claims.

    Raises ExchangeRefused.
    """
    texts = ClaimTexts(claims)
    matches = [each for each in rules if _accepts(each, claims, texts)]
    if not matches:
        raise ExchangeRefused(
            "The ID token is valid, but no rule of this scope accepts its audience and its claims."
        )
    matches = [each for each in matches if not each.networks or is_within(address, each.networks)]
    if not matches:
        raise ExchangeRefused(f"The rule for this ID token forbids the IP address {address}.")
    matches = [each for each in matches if token_rules.is_in_force(each)]
    if not matches:
        raise ExchangeRefused(
            "The rule for this ID token no longer works, because the person or token that created "
            "the rule can no longer manage the tokens of the scope. An admin must create the rule "
            "again."
        )
    return max(matches, key=lambda rule: rule.role.rank)


def _accepts(rule: TokenRule, claims: Mapping[str, Any], texts: ClaimTexts) -> bool:
    """Return whether a rule accepts the audience and the claims of an ID token."""
    audience = claims.get("aud")
    if rule.audience not in (audience if isinstance(audience, list) else [audience]):
        return False
    return all(
        any(_matches(pattern, text) for text in texts[name])
        for name, pattern in rule.claims.items()
    )


def _matches(pattern: str, text: str) -> bool:
    """Return whether a text matches a pattern, in which `*` matches any text.

    Users choose the pattern and the text, and a regular expression with many `.*` could take
    hours. So each part of the pattern is searched for only once, after the part before it.
    """
    first, *parts = pattern.split("*")
    if not parts:
        return text == pattern
    *middle, last = parts
    if not text.startswith(first):
        return False
    end = len(first)
    for part in middle:
        found = text.find(part, end)
        if found < 0:
            return False
        end = found + len(part)
    return text.endswith(last) and len(text) - len(last) >= end


def _spend(id_token: str, claims: Mapping[str, Any]) -> None:
    """Make sure that an ID token is used only once. Raises ExchangeRefused.

    The digest leaves out the signature, because the same text can have several valid signatures.
    """
    signed_text = id_token.rpartition(".")[0]
    digest = hashlib.sha256(f"ID token: {signed_text}".encode()).hexdigest()
    # `single_use.purge_chunk` deletes the row some minutes after the ID token has expired.
    latest_expiry = models.now() + timedelta(days=366)
    expires_at = min(
        datetime.fromtimestamp(min(claims["exp"], latest_expiry.timestamp()), UTC), latest_expiry
    )
    try:
        with transaction():
            UsedAnswer.insert(digest=digest, at=expires_at).execute()
    except IntegrityError as error:
        raise ExchangeRefused(
            "This ID token was exchanged before. Each ID token works once, so request a new one."
        ) from error
