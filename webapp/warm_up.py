"""Loading the SDKs before somebody waits for them. Importing one costs seconds, and memory that a
cloud nobody uses should not take: so in the background, after the first request of each process,
and only for clouds that there are credentials of."""

from __future__ import annotations

import logging
import threading

from flask import Flask

import models
from models import CloudCredentials
from webapp.clouds import CLOUDS

log = logging.getLogger(__name__)


def init_app(app: Flask) -> None:
    started = threading.Lock()

    @app.before_request
    def _start() -> None:
        if not app.testing and started.acquire(blocking=False):
            threading.Thread(target=_load, name="warm-up", daemon=True).start()


def _load() -> None:
    with models.database.connection_context():
        used = {row.cloud for row in CloudCredentials.select(CloudCredentials.cloud).distinct()}
    for key in used & CLOUDS.keys():
        CLOUDS[key].warm_up()
        log.debug("the SDK of %s is loaded", key)
