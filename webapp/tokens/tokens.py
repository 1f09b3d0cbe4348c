"""Create, list, rotate and revoke tokens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from ipaddress import ip_network
from typing import Any

from peewee import JOIN, IntegrityError

import models
from models import ApiToken, Person, Role, Scope, load_scopes, transaction
from webapp import audit
from webapp.access import Actor, Forbidden, Right
from webapp.credentials.vault import Vault
from webapp.people import accounts
from webapp.refusals import Refusal
from webapp.revisions.conflicts import RecordDeleted, lock, require_unchanged
from webapp.tokens import token_text
from webapp.tokens.verifier import set_text
from webapp.values.text import LineRule

LONGEST_DAYS = 366
"""The maximum number of days from today to the last day of a token."""
MAX_TOKENS = 100
"""The maximum number of tokens of a person or of a scope.

Tokens that pipelines got by a rule do not count: see `webapp.single_sign_on.token_rules`.
"""
MAX_NETWORKS = 20
"""The maximum number of networks of a token."""
RETENTION = timedelta(days=30)
"""How long the lists show a token that has expired."""
RULE_RETENTION = timedelta(days=1)
"""How long the token of a pipeline is stored after it has expired.

A pipeline gets such a token by a rule. A background job of the registry that was started with the
token can continue as long as the token is stored.
"""
REVOKED = "This token has already been revoked."


class TokenError(Refusal):
    """A token can't be created or changed. The message says why."""


NAME = LineRule("name", 64, 1, "name", TokenError)


@dataclass(frozen=True)
class NewToken:
    """A token and its text, which cannot be shown again."""

    token: ApiToken
    text: str


def latest_expiry() -> datetime:
    """Return the latest time at which a new token can expire: the end of a day in UTC."""
    last_day = models.now() + timedelta(days=LONGEST_DAYS + 1)
    return datetime.combine(last_day.date(), time(), last_day.tzinfo)


_IS_LISTED = ~ApiToken.is_personal & ApiToken.rule_id.is_null()
"""The condition for tokens in the lists of scopes.

Tokens of rules are left out, because they expire after minutes.
"""


def create(
    actor: Actor,
    scope: Scope,
    vault: Vault,
    *,
    name: str,
    role: Role,
    expires_at: datetime,
    networks: Iterable[str] = (),
    is_personal: bool,
) -> NewToken:
    """Create a token of the actor or, if `is_personal` is false, of `scope`.

    The token works at `scope` and below. `networks` are IP addresses and networks. If the actor
    acts with a token, the new token cannot do more than the actor's token.

    Raises Forbidden and TokenError.
    """
    token = ApiToken(
        scope=scope, name=NAME.parse(name), role=role, is_personal=is_personal, networks=[]
    )
    _require_may_create(actor, token)
    token.expires_at, token.networks = expires_at, parse_networks(networks)
    token.key, token.created_by = token_text.new_key(), actor.person
    _require_valid_expiry_and_networks(actor, expires_at, token.networks)
    try:
        with transaction():
            token.person = actor.person if is_personal else service_person(scope)
            if _owned_by(token.person, scope, is_personal).count() >= MAX_TOKENS:
                raise TokenError(
                    f"There are already {MAX_TOKENS} tokens. Revoke tokens that nobody uses."
                )
            text = renew(token, vault)
            token.save(force_insert=True)
            changes = {**_audit_values(token), "owner": (None, _owner_label(token))}
            audit.record(actor, scope, "token.create", token.name, record=token, changes=changes)
    except IntegrityError as error:
        raise TokenError("Another token has this name. Choose another name.", "name") from error
    return NewToken(token, text)


def tokens_of(actor: Actor) -> list[ApiToken]:
    """Return the actor's personal tokens, sorted by name.

    If the actor acts with a token, return only the tokens at the scope of this token and below.
    """
    return [each for each in _load(_is_own(actor)) if _is_visible(actor, each)]


def tokens_at(actor: Actor, scope: Scope) -> list[ApiToken]:
    """Return the tokens that the list of a scope shows, sorted by name. Raises Forbidden."""
    actor.require(Right.MANAGE_TOKENS, scope)
    return _load((ApiToken.scope == scope) & _IS_LISTED)


def find_own(actor: Actor, token_id: int) -> ApiToken | None:
    """Return the token with this ID if `tokens_of` returns it, or else None."""
    found = _load(_is_own(actor) & (ApiToken.id == token_id))
    return next((each for each in found if _is_visible(actor, each)), None)


def find_current(actor: Actor) -> ApiToken | None:
    """Return the token with which the actor acts, or None."""
    return next(iter(_load(ApiToken.id == actor.token.id)), None) if actor.token else None


def find_at(actor: Actor, scope: Scope, token_id: int) -> ApiToken | None:
    """Return the token with this ID if `tokens_at` returns it, or else None. Raises Forbidden."""
    actor.require(Right.MANAGE_TOKENS, scope)
    is_wanted = (ApiToken.id == token_id) & (ApiToken.scope == scope) & _IS_LISTED
    return next(iter(_load(is_wanted)), None)


def rotate(
    actor: Actor,
    token: ApiToken,
    vault: Vault,
    *,
    expires_at: datetime,
    based_on: int | None = None,
) -> NewToken:
    """Replace the secret of a token. The old text stops working immediately, with one exception.

    The response with the new text can get lost, so the client may repeat its request to rotate the
    token. For `verifier.REPLAY_LIFETIME`, this repeated request can use the old text, and gets the
    same response. Tokens that pipelines got by a rule can't be rotated. A person who is signed in
    can't rotate a personal token whose role is stronger than the person's own role at the token's
    scope. A role of the person does not count if it requires a second factor that the person has
    not used in the session. `based_on` is the revision that the person saw. If it is None, no
    conflict is detected. Raises Forbidden, TokenError and EditConflict.
    """
    require_may_rotate(actor, token)
    with transaction():
        _lock(token, based_on)
        _require_valid_expiry_and_networks(actor, expires_at, token.networks)
        before, token.expires_at = token.expires_at, expires_at
        token.previous_sealed_key, token.previous_mac = token.sealed_key, token.mac
        text, token.rotated_at = renew(token, vault), models.now()
        token.save(
            only=[
                *(ApiToken.sealed_key, ApiToken.mac, ApiToken.expires_at, ApiToken.rotated_at),
                *(ApiToken.previous_sealed_key, ApiToken.previous_mac),
            ]
        )
        changes = {
            "secret": (audit.SECRET, audit.SECRET),
            "expires_at": (_time(before), _time(expires_at)),
        }
        audit.record(actor, token.scope, "token.rotate", token.name, record=token, changes=changes)
    return NewToken(token, text)


def require_may_rotate(actor: Actor, token: ApiToken) -> None:
    """Raise Forbidden or TokenError unless the actor may rotate the token. See `rotate`."""
    _require_may_change(actor, token)
    if token.is_personal and actor.token is None:
        # A session without a second factor must not get the rights of a stronger token.
        _require_as_strong(actor, token)
    if token.rule_id is not None:
        raise TokenError("This token can’t be rotated. Exchange a new ID token instead.")


def revoke(actor: Actor, token: ApiToken, based_on: int | None = None) -> None:
    """Delete a token, which stops working immediately.

    `based_on` is the revision that the person saw. If it is None, no conflict is detected. Raises
    Forbidden, TokenError and EditConflict.
    """
    if actor.token is not None and token.is_personal and token.person_id == actor.person.id:
        _require_not_stronger(actor, token)
    else:
        _require_may_change(actor, token)
    with transaction():
        _lock(token, based_on)
        token.delete_instance()
        audit.record(actor, token.scope, "token.revoke", token.name, record=token)


def purge_chunk() -> bool:
    """Delete some tokens that expired long ago. Return whether more may remain."""
    is_old = ApiToken.expires_at < models.now() - RETENTION
    is_old_rule_token = ApiToken.rule_id.is_null(False) & (
        ApiToken.expires_at < models.now() - RULE_RETENTION
    )
    return models.delete_chunk(ApiToken, is_old | is_old_rule_token)


def _require_may_create(actor: Actor, token: ApiToken) -> None:
    """Raise Forbidden or TokenError unless the actor may create `token`."""
    if not token.is_personal:
        actor.require(Right.MANAGE_TOKENS, token.scope)
    elif actor.token is not None:
        raise TokenError("A token can’t create personal tokens. Sign in to create one.")
    _require_as_strong(actor, token)


def _require_as_strong(actor: Actor, token: ApiToken) -> None:
    """Raise Forbidden or TokenError unless the actor has at least the role of the token."""
    own_role = actor.role_at(token.scope)
    if own_role is None:
        raise Forbidden(Right.VIEW_IMAGES, token.scope)
    if token.role.rank > own_role.rank:
        raise TokenError(f"Your own role at {token.scope.label} is only {own_role}.", "role")


def _require_may_change(actor: Actor, token: ApiToken) -> None:
    """Raise Forbidden unless the actor may rotate and revoke the token.

    An actor who acts with a token may change this token and, if the role of this token allows it,
    the tokens of scopes.
    """
    if actor.token is not None and actor.token.id == token.id:
        return
    is_own = token.is_personal and actor.token is None and token.person_id == actor.person.id
    if token.is_personal and not is_own:
        raise Forbidden(Right.MANAGE_TOKENS, token.scope)
    if not token.is_personal:
        actor.require(Right.MANAGE_TOKENS, token.scope)


def _require_not_stronger(actor: Actor, token: ApiToken) -> None:
    """Raise Forbidden or TokenError if a personal token can do more than the token of the actor."""
    own_role = actor.role_at(token.scope)
    if own_role is None:
        raise Forbidden(Right.VIEW_IMAGES, token.scope)
    is_current = actor.token is not None and actor.token.id == token.id
    if token.role.rank > own_role.rank and not is_current:
        raise TokenError(
            f"The token of this request has only the role {own_role} at {token.scope.label}. To "
            f"revoke “{token.name}”, use a stronger token, or sign in and use the page “Your API "
            "tokens”."
        )


def _require_valid_expiry_and_networks(
    actor: Actor, expires_at: datetime, networks: Sequence[str]
) -> None:
    """Raise TokenError if a new or rotated token would expire in the past or too late.

    If the actor acts with a token, the new or rotated token must not be valid for longer than the
    actor's token, nor for addresses outside the networks of that token.
    """
    if expires_at <= models.now():
        raise TokenError("Choose a day in the future.", "expires_at")
    if expires_at > latest_expiry():
        raise TokenError(f"Choose a day at most {LONGEST_DAYS} days from today.", "expires_at")
    current = actor.token
    if current is None:
        return
    if expires_at > current.expires_at:
        raise TokenError(
            f"Choose a time no later than {_time(current.expires_at)}, when the token of this "
            "request expires.",
            "expires_at",
        )
    require_networks_within(actor, networks)


def require_networks_within(actor: Actor, networks: Sequence[str]) -> None:
    """Raise TokenError unless the actor's token can be used from all addresses in `networks`.

    An empty `networks` stands for all addresses, because a token or rule without networks can be
    used from all addresses. If the actor acts without a token, nothing is checked.
    """
    outer = [ip_network(each) for each in actor.token.networks] if actor.token else []
    inner = [ip_network(each) for each in networks]
    if outer and (not inner or not all(_is_subnet(each, outer) for each in inner)):
        raise TokenError(
            "Choose only networks from which the token of this request can be used.", "networks"
        )


def _is_subnet(network: Any, outer: Sequence[Any]) -> bool:
    return any(network.version == each.version and network.subnet_of(each) for each in outer)


def parse_networks(texts: Iterable[str]) -> list[str]:
    """Return IP addresses and networks as networks, without duplicates. Raises TokenError."""
    found: dict[str, None] = {}
    for text in texts:
        try:
            found[str(ip_network(text.strip(), strict=False))] = None
        except ValueError as error:
            raise TokenError(
                f"“{text.strip()[:50]}” is not an IP network. Enter an address or a network such "
                "as 203.0.113.0/24.",
                "networks",
            ) from error
    if len(found) > MAX_NETWORKS:
        raise TokenError(f"Enter at most {MAX_NETWORKS} networks.", "networks")
    return list(found)


def service_person(scope: Scope) -> Person:
    """Return the service person, for whom the tokens of a scope act, and update its name.

    Call this in a transaction. The ID of the scope identifies the person, because IDs of scopes are
    never reused.
    """
    return accounts.service_person(f"scope:{scope.id}", scope.label)


def _owned_by(person: Person, scope: Scope, is_personal: bool) -> Any:
    """Return a query for the tokens of a person, or for the tokens of a scope."""
    of_person = ApiToken.person == person
    is_counted = ApiToken.is_personal if is_personal else (ApiToken.scope == scope) & _IS_LISTED
    return ApiToken.select().where(of_person & is_counted)


def _is_own(actor: Actor) -> Any:
    return (ApiToken.person == actor.person) & ApiToken.is_personal


def _is_visible(actor: Actor, token: ApiToken) -> bool:
    """Return whether the actor may see `token`, which is one of their own tokens.

    An actor who acts with a token sees only tokens at the scope of this token and below.
    """
    return actor.token is None or actor.role_at(token.scope) is not None


def _load(condition: Any) -> list[ApiToken]:
    """Return tokens with their scopes and the people who created them, sorted by name."""
    query = (
        ApiToken.select(ApiToken, Person)
        .join(Person, JOIN.LEFT_OUTER, on=ApiToken.created_by == Person.id, attr="created_by")
        .where(condition)
        .order_by(ApiToken.name, ApiToken.id)
    )
    found: list[ApiToken] = list(query)
    load_scopes(found)
    return found


def renew(token: ApiToken, vault: Vault) -> str:
    """Give the token a new secret, and return its text. The token is not saved."""
    text = token_text.new_text(token.key)
    set_text(token, text, vault)
    return text


def _lock(token: ApiToken, based_on: int | None) -> None:
    """Reload and lock a token. Raises TokenError and EditConflict."""
    scope = token.scope
    try:
        lock(token)
    except RecordDeleted as error:
        raise TokenError(REVOKED) from error
    token.scope = scope  # It is already loaded.
    if based_on is not None:
        require_unchanged(token, based_on)


def _audit_values(token: ApiToken) -> dict[str, tuple[Any, Any]]:
    """Return the values of a new token for the audit log."""
    values = {"role": token.role, "expires_at": _time(token.expires_at), "networks": token.networks}
    return {name: (None, value) for name, value in values.items() if value}


def _owner_label(token: ApiToken) -> str:
    return token.person.label if token.is_personal else token.scope.label


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
