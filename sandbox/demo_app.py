"""The app as the demonstration serves it: it migrates and fills its database first. In one process
with the serving, since most of a start is spent on imports."""

from __future__ import annotations

from flask import Flask

import models
import webapp
from webapp import database, demonstration
from webapp.services import services


def create_app(endpoint: str) -> Flask:
    """`endpoint` is where the sandbox cloud answers."""
    app = webapp.create_app()
    with app.app_context(), models.database.connection_context():
        database.migrate(models.database.obj)
        demonstration.seed(services().vault, endpoint)
    return app
