"""Rules for roles for tests."""

from __future__ import annotations

from typing import Any

from models import ProviderRule, Role, Scope
from tests.single_sign_on.conftest import configured
from webapp.access import Actor
from webapp.single_sign_on import role_rules


def make_role_rule(actor: Actor, scope: Scope, **values: Any) -> ProviderRule:
    """Create a rule for the group “editors” of a provider, for editors."""
    defaults = {
        "provider": configured("https://login.example.com"),
        "claim": "groups",
        "value": "editors",
        "role": Role.EDITOR,
        "accepts_losses": True,
    }
    return role_rules.create(actor, scope, **{**defaults, **values})
