"""Serving a Flask app on loopback from a thread of this process."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask
from werkzeug.serving import make_server

LOOPBACK = "127.0.0.1"


@contextmanager
def serve_app(app: Flask, port: int = 0) -> Iterator[str]:
    """Serve `app` until the context ends, and yield the URL. Port 0 means any free port."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # By default it logs each request.
    server = make_server(LOOPBACK, port, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://{LOOPBACK}:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
