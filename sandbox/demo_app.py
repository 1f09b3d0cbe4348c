"""The app that the demonstration serves. It migrates and fills its database when it is created.

No separate process prepares the database: it would also have to import the app, and imports take
most of the start time.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

from flask import Flask

import models
import webapp
from sandbox import demonstration
from webapp import database
from webapp.web.services import services


def create_app(sandbox: str) -> Flask:
    """Return the app. `sandbox` is the path of sandbox.json, which `sandbox.__main__` writes."""
    app = webapp.create_app()
    # The terminal shows the accounts to sign in with, not a line for each migration.
    logging.disable(logging.INFO)
    try:
        with app.app_context(), models.database.connection_context():
            database.migrate(models.database.obj)
            demonstration.seed(services().vault, json.loads(Path(sandbox).read_text()))
    finally:
        logging.disable(logging.NOTSET)
    app.jinja_env.globals.update(
        sample_people=demonstration.sample_people(),
        sample_password=demonstration.PASSWORD,
        example_images=demonstration.EXAMPLE_IMAGES,
    )
    return app
