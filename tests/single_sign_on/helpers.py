"""Rules for roles, and visits to providers, for tests."""

from __future__ import annotations

import html
import re
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

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


def provider_url(page: TestResponse) -> str:
    """Return the URL at the provider that a page opens."""
    found = re.search(r'<meta http-equiv="refresh" content="0;url=([^"]+)">', page.text)
    assert found is not None, page.text
    url = html.unescape(found[1])
    assert found[1] in page.text.split("<main")[1], "the page also has a link"
    return url


def begin_visit(client: FlaskClient, url: str = "/sign-in/with/example") -> str:
    """Send the form that begins a visit to a provider, and return the URL at the provider."""
    return provider_url(client.post(url))
