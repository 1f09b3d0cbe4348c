"""The settings of gunicorn, which reads this file when it starts in this folder.

Options on the command line override these settings.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import socket
from typing import Any

from gunicorn.http.errors import LimitRequestHeaders, LimitRequestLine
from gunicorn.workers.gthread import ThreadWorker

TOO_LONG = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>The address is too long · Image Registry</title>
<body style="font-family: sans-serif; max-width: 40rem; margin: 4rem auto; padding: 0 1rem">
<h1>The address is too long</h1>
<p>The text that you entered does not fit into the address of a page. Go back, shorten the text, and
try again. An image ID, for example, is never this long: copy only the ID.</p>
</body>
</html>
""".encode()
"""The page for a request that gunicorn refuses before the application sees it."""


class Worker(ThreadWorker):  # type: ignore[misc]
    """A worker that explains why it refuses a long URL, instead of showing gunicorn's page."""

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        if not isinstance(exc, (LimitRequestHeaders, LimitRequestLine)):
            super().handle_error(req, client, addr, exc)
            return
        status = "414 URI Too Long"
        if isinstance(exc, LimitRequestHeaders):
            status = "431 Request Header Fields Too Large"
        head = (
            f"HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\n"
            f"Content-Length: {len(TOO_LONG)}\r\nConnection: close\r\n\r\n"
        )
        with contextlib.suppress(OSError):
            client.sendall(head.encode() + TOO_LONG)
            client.shutdown(socket.SHUT_WR)
            # Read the rest of the request: closing a connection with unread data resets it, and
            # the browser would not show the page.
            client.settimeout(1)
            for _ in range(64):
                if not client.recv(65536):
                    break


bind = "127.0.0.1:8000"
worker_class = Worker
limit_request_line = 8190
workers = 2
threads = int(os.environ.get("THREADS") or 16)  # The application reads this setting too.
keepalive = 75  # Longer than proxies wait, so that no connection closes during a request.
control_socket_disable = True

log = logging.getLogger("webapp")


def post_worker_init(worker: Any) -> None:
    """Log the version, and start the threads that work in the background.

    `gc.freeze` comes first: the modules that are already loaded stay until the process ends, so
    the garbage collector need not visit them.
    """
    app = worker.wsgi
    log.info("Image Registry %s, process %s", app.config["VERSION"], os.getpid())
    gc.freeze()
    app.extensions["services"].start_threads()


def worker_exit(_server: Any, worker: Any) -> None:
    """Finish the rows of jobs that are in progress, or let another process do them at once."""
    app = getattr(worker, "wsgi", None)
    if app is not None:
        app.extensions["services"].background.stop(seconds=5)
