"""The app as the demonstration serves it: it migrates and fills its database first. In one process
with the serving, since most of a start is spent on imports."""

from __future__ import annotations

import json
from pathlib import Path

from flask import Flask

import models
import webapp
from sandbox import demonstration
from webapp import database
from webapp.web.services import services


def create_app(sandbox: str) -> Flask:
    """`sandbox` is the path of its sandbox.json."""
    app = webapp.create_app()
    with app.app_context(), models.database.connection_context():
        database.migrate(models.database.obj)
        demonstration.seed(services().vault, json.loads(Path(sandbox).read_text()))
    return app
