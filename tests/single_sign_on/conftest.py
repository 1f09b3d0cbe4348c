"""Fixtures: an identity provider on a real socket, which the app uses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from flask import Flask

from tests.single_sign_on.provider import (
    CLIENT_ID,
    CLIENT_SECRET,
    IdentityProvider,
    identity_provider,
)
from webapp.single_sign_on import issuers
from webapp.single_sign_on.client import SingleSignOn
from webapp.single_sign_on.configuration import Configuration, Provider, SecondFactor
from webapp.web.services import Services

CONTACT = "the platform team (platform@example.com)"


def configured(issuer: str, **changes: object) -> Provider:
    """Return a provider as the operator might configure it."""
    values: dict[str, object] = {
        "key": "example",
        "label": "Example SSO",
        "issuer": issuer,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "scopes": ("openid", "profile", "email"),
        "client_authentication": "",
        "ca_file": "",
        "second_factor": SecondFactor(),
    }
    return Provider(**{**values, **changes})  # type: ignore[arg-type]


def configure(app: Flask, *providers: Provider) -> None:
    """Let the app use these providers."""
    services: Services = app.extensions["services"]
    configuration = Configuration({each.key: each for each in providers}, CONTACT)
    app.extensions["services"] = replace(services, single_sign_on=SingleSignOn(configuration))


@pytest.fixture
def idp(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[IdentityProvider]:
    """Return a running provider, which the app knows as `example`."""
    # A busy machine may take long. The tests of the time limit set a limit of their own.
    monkeypatch.setattr(issuers, "CALL_SECONDS", 60.0)
    before = app.extensions["services"]
    with identity_provider() as provider:
        configure(app, configured(provider.issuer))
        yield provider
    app.extensions["services"] = before
