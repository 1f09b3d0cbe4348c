"""Loading the SDKs before somebody waits for them.

Importing one costs seconds, which no start and no NEXT should wait for, and up to 160 MB, which a
cloud that nobody uses should not take. So a thread of each process loads them one after the other
in the background: those of the clouds that there are credentials of, and that of a cloud whose
credentials somebody is about to enter. It goes on looking, since another process may have stored
the first credentials of a cloud.
"""

from __future__ import annotations

import gc
import logging
import threading

from flask import Flask
from peewee import PeeweeException

import models
from models import CloudCredentials
from webapp.clouds import CLOUDS

LOOK_SECONDS = 5.0
"""How often it looks for clouds that are new: less than it takes to fill in a form."""

log = logging.getLogger(__name__)


class WarmUp:
    """One for each process."""

    def __init__(self) -> None:
        self._wanted: set[str] = set()
        self._loaded: set[str] = set()
        self._wake = threading.Event()
        self._started = threading.Lock()

    def start(self) -> None:
        """Not before the server has forked: a thread stays behind. Does nothing when done
        before."""
        if self._started.acquire(blocking=False):
            threading.Thread(target=self._run, name="warm-up", daemon=True).start()

    def want(self, key: str) -> None:
        """Somebody is about to use this cloud."""
        self._wanted.add(key)
        self._wake.set()

    def look(self) -> None:
        """Load what is used by now and not loaded yet."""
        for key in sorted((self._wanted | _used()) - self._loaded):
            CLOUDS[key].warm_up()
            # It stays: looking for garbage among it would make somebody wait again and again.
            gc.freeze()
            self._loaded.add(key)
            log.debug("the SDK of %s is loaded", key)

    def _run(self) -> None:
        while True:
            self.look()
            self._wake.wait(LOOK_SECONDS)
            self._wake.clear()


def init_app(app: Flask, warm_up: WarmUp) -> None:
    """`gunicorn.conf.py` starts it with each worker; for other servers the first request does."""

    @app.before_request
    def _start() -> None:
        if not app.testing:
            warm_up.start()


def _used() -> set[str]:
    """The clouds that there are credentials of; none while the database does not answer."""
    try:
        with models.database.connection_context():
            rows = CloudCredentials.select(CloudCredentials.cloud).distinct()
            return {row.cloud for row in rows} & CLOUDS.keys()
    except PeeweeException as error:
        log.warning("cannot tell which clouds are used: %s", error)
        return set()
