"""Load the SDKs of the clouds in the background, so that nobody has to wait for them.

Importing an SDK takes seconds, so neither the start of the app nor a look-up should wait for it. An
SDK also needs up to 160 MB of memory, so an SDK that nobody uses should not be loaded.

Therefore each process has a thread that loads one SDK after the other. The thread loads the SDK of
each cloud with stored credentials, and of each cloud whose credentials somebody is about to enter.
The thread checks regularly, because another process may store the first credentials of a cloud.
"""

from __future__ import annotations

import gc
import logging
import threading

from peewee import PeeweeException

import models
from models import CloudCredentials
from webapp import database
from webapp.clouds import CLOUDS

CHECK_SECONDS = 5.0
"""Seconds between two checks for clouds whose first credentials another process has stored.

After somebody has stored credentials, it takes them longer than this to start a look-up.
"""

log = logging.getLogger(__name__)


class WarmUp:
    """Loads SDKs in a thread. There is one instance per process."""

    def __init__(self) -> None:
        self._requested: set[str] = set()
        self._loaded: set[str] = set()
        self._wake = threading.Event()
        self._started = threading.Lock()

    def start(self) -> None:
        """Start the thread if it is not running yet.

        Call this only after the server has forked, because a fork does not copy threads.
        """
        if self._started.acquire(blocking=False):
            threading.Thread(target=self._run, name="warm-up", daemon=True).start()

    def request(self, key: str) -> None:
        """Make the thread load the SDK of this cloud now, because somebody is about to use it."""
        self._requested.add(key)
        self._wake.set()

    def load_missing(self) -> None:
        """Load the missing SDKs of the clouds that are in use or requested."""
        for key in sorted((self._requested | _clouds_in_use()) - self._loaded):
            CLOUDS[key].warm_up()
            # Exclude the objects of the SDK from garbage collection, which delays requests. An SDK
            # is never unloaded.
            gc.freeze()
            self._loaded.add(key)
            log.debug("the SDK of %s is loaded", key)

    def _run(self) -> None:
        while True:
            self.load_missing()
            self._wake.wait(CHECK_SECONDS)
            self._wake.clear()


def _clouds_in_use() -> set[str]:
    """Return the keys of the clouds with stored credentials.

    If the query fails, return an empty set. `record_failure` logs the beginning of an outage.
    """
    try:
        with models.database.connection_context():
            rows = CloudCredentials.select(CloudCredentials.cloud).distinct()
            return {row.cloud for row in rows} & CLOUDS.keys()
    except PeeweeException as error:
        if database.record_failure(error) is None:
            log.warning("cannot read which clouds are in use: %s", error)
        return set()
