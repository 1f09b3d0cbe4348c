"""Loading of SDKs in the background, before a person waits for them.

Importing an SDK takes seconds, so neither the start nor a look-up should wait for it. It also takes
up to 160 MB, so the SDK of a cloud that nobody uses should not be loaded. A thread of each process
therefore loads one SDK after the other: for each cloud with stored credentials, and for a cloud
whose credentials somebody is about to enter. The thread keeps checking, because another process may
store the first credentials of a cloud.
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

CHECK_SECONDS = 5.0
"""How often to check for newly used clouds: less than it takes to fill in a form."""

log = logging.getLogger(__name__)


class WarmUp:
    """Loads SDKs in a thread. There is one instance per process."""

    def __init__(self) -> None:
        self._requested: set[str] = set()
        self._loaded: set[str] = set()
        self._wake = threading.Event()
        self._started = threading.Lock()

    def start(self) -> None:
        """Start the thread, unless it was started before.

        Call this only after the server has forked, since a fork does not copy threads.
        """
        if self._started.acquire(blocking=False):
            threading.Thread(target=self._run, name="warm-up", daemon=True).start()

    def request(self, key: str) -> None:
        """Load the SDK of this cloud next, because somebody is about to use it."""
        self._requested.add(key)
        self._wake.set()

    def load_missing(self) -> None:
        """Load the SDK of every cloud in use that is not loaded yet."""
        for key in sorted((self._requested | _clouds_in_use()) - self._loaded):
            CLOUDS[key].warm_up()
            # Garbage collections delay requests. They can skip the SDK, which is never unloaded.
            gc.freeze()
            self._loaded.add(key)
            log.debug("the SDK of %s is loaded", key)

    def _run(self) -> None:
        while True:
            self.load_missing()
            self._wake.wait(CHECK_SECONDS)
            self._wake.clear()


def init_app(app: Flask, warm_up: WarmUp) -> None:
    """Start `warm_up` with the first request.

    Under gunicorn, `gunicorn.conf.py` has already started it in each worker.
    """

    @app.before_request
    def _start() -> None:
        if not app.testing:
            warm_up.start()


def _clouds_in_use() -> set[str]:
    """Return the keys of the clouds with stored credentials, or an empty set if the query fails."""
    try:
        with models.database.connection_context():
            rows = CloudCredentials.select(CloudCredentials.cloud).distinct()
            return {row.cloud for row in rows} & CLOUDS.keys()
    except PeeweeException as error:
        log.warning("cannot read which clouds are in use: %s", error)
        return set()
