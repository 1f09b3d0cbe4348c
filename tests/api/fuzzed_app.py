"""The application for the tests with Schemathesis: wrong tokens do not slow its clients down.

Schemathesis sends a wrong token to each operation, all from one address.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.cli import app_with_provider

if TYPE_CHECKING:
    from flask import Flask


def create_app() -> Flask:
    app = app_with_provider.create_app()
    attempts = app.extensions["services"].attempts
    attempts.begin_token = lambda _address: None
    return app
