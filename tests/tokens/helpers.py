"""Tokens for tests."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import models
from models import AuditEntry, Role, Scope, TokenRule
from webapp.access import Actor
from webapp.credentials.vault import Vault
from webapp.single_sign_on import token_rules
from webapp.tokens import tokens
from webapp.tokens.tokens import NewToken

CLIENT = "203.0.113.7"


def make_token(actor: Actor, scope: Scope, vault: Vault, **values: Any) -> NewToken:
    """Create a token that is personal, can edit images, and is valid for 30 days by default."""
    defaults = {
        "name": "nightly build",
        "role": Role.EDITOR,
        "expires_at": models.now() + timedelta(days=30),
        "is_personal": True,
    }
    return tokens.create(actor, scope, vault, **{**defaults, **values})


def entries_with(action: str) -> list[AuditEntry]:
    """Return the entries of the audit log with this action, oldest first."""
    return list(AuditEntry.select().where(AuditEntry.action == action).order_by(AuditEntry.id))


def make_rule(actor: Actor, scope: Scope, **values: Any) -> TokenRule:
    """Create a rule for the repository acme/images of an example provider, for editors."""
    defaults = {
        "name": "images",
        "issuer": "https://idp.example.com",
        "audience": "https://registry.example.com",
        "claims": {"repository": "acme/images"},
        "role": Role.EDITOR,
    }
    return token_rules.create(actor, scope, **{**defaults, **values})
