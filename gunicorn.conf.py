"""The settings of gunicorn, which reads this file when it starts in this folder.

Options on the command line override these settings.
"""

from __future__ import annotations

import gc
import logging
import os
from typing import Any

bind = "127.0.0.1:8000"
worker_class = "gthread"
workers = 2
threads = 16  # A look-up can occupy a thread for ten seconds.
keepalive = 75  # Longer than proxies wait, so that no connection closes during a request.
control_socket_disable = True

log = logging.getLogger("webapp")


def post_worker_init(worker: Any) -> None:
    """Log the version, and start loading the SDKs in the background.

    `gc.freeze` comes first: the modules that are already loaded stay until the process ends, so
    the garbage collector need not visit them.
    """
    app = worker.wsgi
    log.info("Image Registry %s, process %s", app.config["VERSION"], os.getpid())
    gc.freeze()
    app.extensions["services"].warm_up.start()
