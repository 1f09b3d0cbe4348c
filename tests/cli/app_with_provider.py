"""The application with an identity provider, without the settings that a real one needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import webapp
from models import Role
from tests.single_sign_on.conftest import configure, configured
from webapp.single_sign_on.configuration import RoleRule

if TYPE_CHECKING:
    from flask import Flask

ISSUER = "https://login.example.com"
RULES = (RoleRule("groups", "fixed-group", "acme/production", Role.VIEWER),)


def create_app() -> Flask:
    app = webapp.create_app()
    configure(app, configured(ISSUER, roles=RULES))
    return app
