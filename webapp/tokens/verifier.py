"""Find out for whom a token acts, and with which role."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from ipaddress import ip_address, ip_network
from typing import Any, Protocol

from peewee import JOIN

import models
from models import (
    DATABASE_FAILURES,
    ApiToken,
    Job,
    Membership,
    Person,
    Prepared,
    Role,
    Scope,
    transaction,
)
from webapp import audit
from webapp.access import Actor
from webapp.credentials.vault import API_TOKEN, Vault
from webapp.people import accounts, effective_roles
from webapp.people.attempts import Attempts
from webapp.people.browsers import plain_address
from webapp.people.last_seen import LastUsed
from webapp.refusals import Refusal
from webapp.tokens import token_text

REPLAY_LIFETIME = timedelta(minutes=5)
"""How long after a rotation the client can repeat the rotation request with the token's old text.

The client then gets the stored response. See `webapp.api.idempotency`.
"""
UNKNOWN_TOKEN = "an unknown token"  # noqa: S105  not a token
"""The name in the audit log for a token that does not exist.

The log does not contain the text that was sent, because this text could be another secret.
"""


class TokenRefused(Refusal):
    """The token does not exist, or must not be used now or from this address."""


def set_text(token: ApiToken, text: str, vault: Vault) -> None:
    """Set the fields of `token` by which its text is recognized, without saving the token.

    Each token has its own random MAC key. The vault encrypts this key. When the keys of the vault
    change, the vault encrypts this key again, so that the tokens still work.
    """
    mac_key = secrets.token_hex(32)
    token.sealed_key, token.mac = vault.seal({"key": mac_key}, API_TOKEN), _mac(mac_key, text)


def _mac(mac_key: str, text: str) -> str:
    return hmac.new(bytes.fromhex(mac_key), text.encode(), hashlib.sha256).hexdigest()


def _has_text(sealed_key: str, mac: str, text: str, vault: Vault) -> bool:
    """Return whether `mac` is the MAC of `text`. The time needed doesn't depend on the secret."""
    values = vault.unseal(sealed_key, API_TOKEN)
    return values is not None and hmac.compare_digest(_mac(values["key"], text), mac)


def _is_previous_text(token: ApiToken, text: str, vault: Vault) -> bool:
    """Return whether the token had this text before it was rotated, at most REPLAY_LIFETIME ago."""
    if token.rotated_at is None or not token.previous_mac:
        return False
    is_recent = models.now() - token.rotated_at < REPLAY_LIFETIME
    return is_recent and _has_text(token.previous_sealed_key, token.previous_mac, text, vault)


@dataclass(frozen=True)
class TokenVerifier:
    """Checks the tokens of requests."""

    vault: Vault
    attempts: Attempts
    last_used: LastUsed

    def authenticate(self, text: str, address: str) -> Actor:
        """Return the actor for a request with the token `text` from the IP address `address`.

        Unlike `authenticate_repeatable`, accept only the current text of the token.
        """
        actor, _ = self.authenticate_repeatable(text, address, may_repeat=False)
        return actor

    def authenticate_repeatable(
        self, text: str, address: str, *, may_repeat: bool
    ) -> tuple[Actor, bool]:
        """Return the actor for a request with the token `text` from the IP address `address`.

        The actor has at most the role of the token, and only at the scope of the token and below.
        A token is wrong if it does not exist, if its secret is wrong, or if it must not be used
        from `address`. After many wrong tokens from the same address, a wrong token raises
        TooManyAttempts instead of TokenRefused. Even then, a valid token from an allowed address is
        accepted. Any other token that is refused, such as a malformed or expired token, always
        raises TokenRefused.

        If `may_repeat` is true, also accept the previous text of a token that was rotated less than
        REPLAY_LIFETIME ago. The second returned value is true if the request has the previous
        text. The caller must answer such a request only with a stored response. Raises TokenRefused
        and TooManyAttempts.
        """
        key = token_text.key_in(text)
        if key is None:
            raise TokenRefused("This is not a valid token. Check that you copied the whole token.")
        rows = _rows_with_key(key)
        token: ApiToken | None = rows[0] if rows else None
        is_current = token is not None and _has_text(token.sealed_key, token.mac, text, self.vault)
        is_previous = (
            may_repeat
            and not is_current
            and token is not None
            and _is_previous_text(token, text, self.vault)
        )
        if token is None or not (is_current or is_previous):
            reason = "wrong secret" if token else "unknown token"
            self._record_refused_token(token, address, reason)
            raise TokenRefused("This token does not exist, or was rotated or revoked.")
        if token.expires_at <= models.now():
            raise TokenRefused(f"This token expired on {token.expires_at:%Y-%m-%d}.")
        if token.networks and not is_within(address, token.networks):
            self._record_refused_token(token, address, "wrong network")
            raise TokenRefused(f"This token must not be used from the IP address {address}.")
        actor = _actor(rows)
        if actor is None:
            raise TokenRefused(_reason_without_role(rows))
        self.last_used.remember(token)
        return actor, is_previous

    def _record_refused_token(self, token: ApiToken | None, address: str, reason: str) -> None:
        """Count and record a wrong token. Raises TooManyAttempts after many wrong tokens."""
        action, client = "token.refused", plain_address(address)
        self.attempts.begin_token(address)
        if self.attempts.may_record(action, address):
            with suppress(*DATABASE_FAILURES), transaction():
                audit.record(
                    None,
                    token.scope if token else None,
                    action,
                    token.name if token else UNKNOWN_TOKEN,
                    changes={"address": (None, client), "reason": (None, reason)},
                    record=token,
                    by=audit.STRANGER,
                )
                return
        audit.log_event(action, {"address": client, "reason": reason})


def actor_of_job(job: Job) -> Actor:
    """Return the actor for a job: the person who started it, with the rights that they have now.

    If the job was started with a token, the actor has the rights of this token. After the token is
    revoked, the actor has no rights. A long job may continue after the token has expired.
    """
    if not job.token_key:
        return replace(accounts.actor_for(job.person), job_id=job.id)
    rows = _rows_with_key(job.token_key)
    found = _actor(rows) if rows else None
    return replace(found or Actor(job.person), job_id=job.id)


def actor_with_key(key: str) -> Actor | None:
    """Return the actor for the token with this key, or None if the token must not be used now."""
    rows = _rows_with_key(key)
    if not rows or rows[0].expires_at <= models.now():
        return None
    return _actor(rows)


def is_within(address: str, networks: Sequence[str]) -> bool:
    """Return whether an IP address is in one of the networks."""
    try:
        parsed: Any = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    parsed = getattr(parsed, "ipv4_mapped", None) or parsed
    return any(parsed in ip_network(network) for network in networks)


class _Row(Protocol):
    """A row that `_rows_with_key` returns: a token, with one membership or none.

    There is a row for each membership that applies. If the token is personal, `membership` is a
    membership of its person that applies at the token's scope. `lacks_factor` says that the role of
    the membership does not count, because the person has no second factor.
    """

    is_personal: bool
    role: Role
    person: Person
    membership: Membership | None
    has_factor: bool
    lacks_factor: bool


def _actor(rows: Sequence[Any]) -> Actor | None:
    """Return the actor for a token, or None if the token gives its person no role."""
    role, token = _role(rows), rows[0]
    if role is None:
        return None
    ignored_roles = [row.membership.role for row in rows if row.membership and row.lacks_factor]
    lacking_factor = {token.scope_id: _weaker_role(token, ignored_roles)} if ignored_roles else {}
    if not token.is_personal:
        # The service person of a scope is named after the scope. The stored name is from the time
        # when the last token was created. Since then, the scope may have been renamed.
        token.person.name = accounts.service_name(token.scope.label)
    # A scope is not a person, so the tokens of a scope need no second factor.
    has_factor = bool(token.has_factor) or not token.is_personal
    return Actor(
        token.person,
        {token.scope_id: role},
        token=token,
        roles_without_factor=lacking_factor,
        has_factor=has_factor,
    )


def _role(rows: Sequence[_Row]) -> Role | None:
    """Return the role with which a token acts at its scope, or None."""
    token = rows[0]
    if not token.is_personal:
        return token.role
    roles = [row.membership.role for row in rows if row.membership and not row.lacks_factor]
    if token.person.disabled_at is not None or not roles:
        return None
    return _weaker_role(token, roles)


def _weaker_role(token: _Row, roles: Sequence[Role]) -> Role:
    """Return the role of the token, but at most the strongest of `roles`."""
    strongest = max(roles, key=lambda role: role.rank)
    return min(token.role, strongest, key=lambda role: role.rank)


def _reason_without_role(rows: Sequence[_Row]) -> str:
    """Return why the owner of a personal token has no role at the scope of the token.

    Usually, the owner lacks a second factor. The tokens of people who are disabled or lose their
    role are revoked (see `webapp.people.personal_tokens`), so the last message is only for a token
    that nevertheless still exists.
    """
    is_disabled = rows[0].person.disabled_at is not None
    if not is_disabled and any(row.membership and row.lacks_factor for row in rows):
        return (
            "The scope of this token requires a second factor, and its owner has none. The owner "
            "can set one up on the Sign-in and security page."
        )
    return "The owner of this token no longer has a role at its scope."


_Parent: Any = Scope.alias()
_rows_with_key = Prepared(
    lambda placeholder: (
        ApiToken.select(
            ApiToken,
            Person,
            Scope,
            _Parent,
            Membership.id,
            Membership.role,
            effective_roles.has_factor(ApiToken.person).alias("has_factor"),
            effective_roles.lacks_factor(ApiToken.person, Membership.scope).alias("lacks_factor"),
        )
        .join(Person, on=ApiToken.person == Person.id, attr="person")
        .join_from(ApiToken, Scope, on=ApiToken.scope == Scope.id, attr="scope")
        .join(_Parent, JOIN.LEFT_OUTER, on=Scope.parent == _Parent.id, attr="parent")
        .join_from(
            ApiToken,
            Membership,
            JOIN.LEFT_OUTER,
            on=(Membership.person == ApiToken.person)
            & (
                (Membership.scope == Scope.id)
                | (Membership.scope == Scope.parent)
                | (Membership.scope == _Parent.parent)
            ),
            attr="membership",
        )
        .where(ApiToken.key == placeholder, Scope.deleted_at.is_null())
    )
)
