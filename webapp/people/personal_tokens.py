"""Revoke the personal tokens of a person who may no longer use them.

Call these functions in the transaction that changes the person or their roles. Other functions for
tokens are in `webapp.tokens`.
"""

from __future__ import annotations

from models import ApiToken, Membership, Person, load_scopes
from webapp import audit
from webapp.access import Actor


def revoke_all(actor: Actor, person: Person) -> None:
    """Revoke all personal tokens of a person who was disabled or removed."""
    for token in _tokens_of(person):
        _revoke(actor, token)


def revoke_without_role(actor: Actor | None, person: Person, by: str = audit.REGISTRY) -> None:
    """Revoke the personal tokens at scopes where the person no longer has a role.

    Without an actor, the audit log shows the name `by`.
    """
    scope_ids = {row.scope_id for row in Membership.select().where(Membership.person == person)}
    for token in _tokens_of(person):
        if not scope_ids.intersection(scope.id for scope in token.scope.lineage):
            _revoke(actor, token, by)


def _tokens_of(person: Person) -> list[ApiToken]:
    is_own = (ApiToken.person == person) & ApiToken.is_personal
    found = list(ApiToken.select().where(is_own).order_by(ApiToken.id))
    load_scopes(found)
    return found


def _revoke(actor: Actor | None, token: ApiToken, by: str = audit.REGISTRY) -> None:
    token.delete_instance()
    audit.record(actor, token.scope, "token.revoke", token.name, record=token, by=by)
