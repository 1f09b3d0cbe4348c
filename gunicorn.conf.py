"""What gunicorn reads by itself when it is started in this folder. What its command line says goes
before it."""

from __future__ import annotations

import gc
from typing import Any

bind = "127.0.0.1:8000"
worker_class = "gthread"
workers = 2
threads = 16  # A look-up may hold one for ten seconds.
keepalive = 75  # Longer than proxies keep a connection, so that none is closed under a request.
control_socket_disable = True


def post_worker_init(worker: Any) -> None:
    """Load the SDKs that are used, in the background. What is there by now stays, see there."""
    gc.freeze()
    worker.wsgi.extensions["services"].warm_up.start()
