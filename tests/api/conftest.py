"""Fixtures for the tests of the API."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from flask import Flask

import models
from tests.api.client import ApiClient, ClientFor
from tests.cast import CAST
from tests.conftest import ActorOf, ScopeAt
from webapp.credentials.vault import Vault
from webapp.tokens import tokens


@pytest.fixture
def api_of(app: Flask, actor_of: ActorOf, scope: ScopeAt, vault: Vault) -> ClientFor:
    """Return a function that returns a client with a token of a person of the cast.

    The token has the role of the person at the person's scope. With `is_personal=False`, the token
    belongs to this scope, and not to the person.
    """

    def api_of(name: str, *, is_personal: bool = True) -> ApiClient:
        path, role = CAST[name]
        assert path is not None
        assert role is not None
        with models.database.connection_context():
            new = tokens.create(
                actor_of(name if is_personal else "scalr-admin"),
                scope(path),
                vault,
                name=f"{name} {uuid.uuid4().hex[:8]}",
                role=role,
                expires_at=models.now() + timedelta(days=1),
                is_personal=is_personal,
            )
        return ApiClient(app.test_client(), new.text)

    return api_of
