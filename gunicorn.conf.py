"""The settings of gunicorn, which reads this file when it starts in this folder.

Options on the command line override these settings.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import re
import runpy
import shutil
import socket
import sys
import tempfile
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import gunicorn.util
from gunicorn.glogging import Logger as GunicornLogger
from gunicorn.http.errors import NoMoreData, ParseException
from gunicorn.http.message import Request as GunicornRequest
from gunicorn.http.parser import RequestParser
from gunicorn.workers.gthread import ThreadWorker

CLIENT_SECONDS = 60.0
"""How many seconds the server waits for a client to send the next part of the body of a request, or
to receive the next part of the response.

The time for the headers, and for the whole request, has no limit. So a reverse proxy must receive
the whole request before it forwards the request to the server."""

MAX_UNREAD_BYTES = 22 * 1024 * 1024
"""How many bytes the server reads and discards if the application has not read the whole body.

If a body is too large, the application refuses it without reading it. If the server then closed the
connection while the client was still sending, the client would often get an error instead of the
response, and nginx would respond with 502. nginx forwards at most this many bytes."""
UNREAD_SECONDS = 30.0
"""The maximum time in seconds for discarding the rest of a body. Then the connection is closed."""

LONGEST_START = 1000
"""How many bytes of a request are enough to see whether its URL belongs to the API."""
API_REQUEST = re.compile(
    rb"(?:\r\n)?[A-Z]+ (?:https?://[^/ ]+)?(?:%s)?/api/"
    % re.escape(os.environ.get("URL_PREFIX", "").rstrip("/").encode())
)
"""The beginning of a request to the API. A proxy may have removed URL_PREFIX from the path."""


class Worker(ThreadWorker):  # type: ignore[misc]
    """A worker that stops listening as soon as it shuts down, and gives up on slow clients.

    While the worker shuts down, its health check says that it is not ready. gunicorn's own worker
    would listen until its last request has ended. A proxy would then send requests that nobody
    accepts, instead of using another server.

    If a client stops sending the body of a request or receiving the response, the thread that
    serves the client is free again after CLIENT_SECONDS.
    """

    is_listening = True

    def handle_exit(self, sig: int, frame: Any) -> None:
        app = getattr(self, "wsgi", None)
        if app is not None:
            app.extensions["services"].readiness.drain()
        super().handle_exit(sig, frame)

    def set_accept_enabled(self, enabled: bool) -> None:
        super().set_accept_enabled(enabled)
        if self.is_listening and not enabled and not self.alive:
            self.is_listening = False
            self._stop_listening()

    def _stop_listening(self) -> None:
        """Accept the connections that wait, then close the sockets.

        After a reload, the new workers still listen: they have the same sockets.
        """
        for listener in self.sockets:
            accepted = -1
            while accepted != self.nr_conns:
                accepted = self.nr_conns
                self.accept(listener)
            listener.close()

    def handle_request(self, req: Any, conn: Any) -> bool:
        conn.sock.settimeout(CLIENT_SECONDS)
        try:
            keeps_connection = super().handle_request(req, conn)
        except TimeoutError:
            log.info("a client was too slow")
            return False
        deadline = time.monotonic() + UNREAD_SECONDS
        try:
            return conn.parser.finish_body(deadline, MAX_UNREAD_BYTES) and bool(keeps_connection)
        except (OSError, NoMoreData, ParseException):
            return False  # The response has been sent, so the client cannot get an error page.


class Request(GunicornRequest):  # type: ignore[misc]
    """A request that remembers its first bytes, even if it can't be parsed."""

    first_bytes = b""

    def __init__(self, *arguments: Any) -> None:
        """Parse the head. Errors get the attribute `first_bytes`, for `write_error`."""
        try:
            super().__init__(*arguments)
        except Exception as error:
            error.first_bytes = self.first_bytes  # type: ignore[attr-defined]
            raise

    def read_into(self, unreader: Any, buf: bytearray, stop: bool = False) -> None:
        length = len(buf)
        super().read_into(unreader, buf, stop)
        if len(self.first_bytes) < LONGEST_START:
            self.first_bytes += bytes(buf[length : length + LONGEST_START])


RequestParser.mesg_class = Request


def write_error(client: Any, status: int, _reason: str, _details: str) -> None:
    """Send the response of the application for a request that gunicorn refuses.

    For example, the URL or the headers are too long, or are not HTTP. `gunicorn.util.write_error`
    sends gunicorn's own pages, which say less and have no security headers. For a URL of the API,
    the response is a problem document.
    """
    # The main process must not import the application. See LOG_LINES_FILE.
    from webapp.api import problems  # noqa: PLC0415
    from webapp.web import error_pages  # noqa: PLC0415

    # gunicorn calls this function while it handles the error.
    is_api = API_REQUEST.match(getattr(sys.exc_info()[1], "first_bytes", b""))
    response = (problems if is_api else error_pages).refused_request(status)
    lines = [f"HTTP/1.1 {response.status}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in response.headers.items()]
    with contextlib.suppress(OSError):
        client.sendall("\r\n".join([*lines, "", ""]).encode() + response.get_data())
        client.shutdown(socket.SHUT_WR)
        # Read the rest of the request: closing a connection with unread data resets it, and the
        # browser would not show the page.
        client.settimeout(1)
        for _ in range(64):
            if not client.recv(65536):
                break


gunicorn.util.write_error = write_error

LOG_LINES_FILE = Path(__file__).parent / "webapp" / "monitoring" / "log_lines.py"
"""The file with the format of log lines.

The main process runs this file instead of importing the application. If the main process imported
the application, new workers would inherit its old code after a reload.
"""


class Logger(GunicornLogger):  # type: ignore[misc]
    """Writes the log lines of gunicorn in the format of the application."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        formatter_class = runpy.run_path(str(LOG_LINES_FILE))["LineFormatter"]
        formatter = formatter_class(os.environ.get("LOG_FORMAT", "text").lower())
        for handler in (*self.error_log.handlers, *self.access_log.handlers):
            handler.setFormatter(formatter)

    def access(self, resp: Any, _req: Any, environ: Any, request_time: timedelta) -> None:
        """Log a request, unless it is a probe. The URL's query is left out: it may be private."""
        if not self.access_log_enabled or environ.get("image_registry.is_probe"):
            return
        fields = {
            "request_id": None,
            "person": None,
            "scope": None,
            "method": environ.get("REQUEST_METHOD", ""),
            "path": environ.get("PATH_INFO", ""),
            **environ.get("image_registry.fields", {}),
            "status": int(str(resp.status).partition(" ")[0]),
            "duration_ms": round(request_time.total_seconds() * 1000, 1),
            "client": environ.get("REMOTE_ADDR") or None,
        }
        message = "%(method)s %(path)s %(status)s in %(duration_ms)s ms"
        self.access_log.info(message, fields, extra={"fields": fields})


def _threads() -> int:
    """Return the setting THREADS. The application also reads it, and accepts the same values."""
    value = os.environ.get("THREADS") or "16"
    if not re.fullmatch("[0-9]{1,9}", value) or not 1 <= int(value) <= 1000:
        sys.exit(f"Error: THREADS must be a whole number from 1 to 1000, not {value[:40]!r}.")
    return int(value)


bind = "127.0.0.1:8000"
worker_class = Worker
logger_class = Logger
limit_request_line = 8190
workers = 2
threads = _threads()
# Longer than any look-up in a cloud, so that a process can finish its requests before it ends.
graceful_timeout = 30
# Longer than the usual idle timeout of proxies, which is 60 seconds in nginx. Otherwise, the server
# could close an idle connection on which a proxy is just sending a request.
keepalive = 75
control_socket_disable = True

log = logging.getLogger("webapp")

METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
METRICS_SETTINGS = ("METRICS_BIND", "METRICS_TOKEN", "METRICS_TOKEN_FILE")
if os.environ.get("LOG_REQUESTS", "").lower() in {"true", "yes", "1", "on"}:
    accesslog = "-"


def on_starting(_server: Any) -> None:
    """Create the folder in which the workers store their metrics, unless metrics are turned off.

    The folder is new, because the metrics in an old folder would be added to the new ones. If
    possible, the folder is in memory, because a full disk would end the workers.
    """
    os.environ.pop(METRICS_FOLDER, None)
    if any(map(os.environ.get, METRICS_SETTINGS)):
        memory = "/dev/shm"  # noqa: S108  the folder in it belongs to this process alone
        parent = memory if os.access(memory, os.W_OK) else None
        os.environ[METRICS_FOLDER] = tempfile.mkdtemp(prefix="image-registry-", dir=parent)


def on_exit(_server: Any) -> None:
    folder = os.environ.pop(METRICS_FOLDER, "")
    if folder:
        shutil.rmtree(folder, ignore_errors=True)


def child_exit(_server: Any, worker: Any) -> None:
    """Delete the gauges of a worker that has ended. Its counters stay.

    `prometheus_client.multiprocess.mark_process_dead` does the same, but this function runs in the
    main process, which must not import `prometheus_client`.
    """
    folder = os.environ.get(METRICS_FOLDER)
    if folder:
        for file in Path(folder).glob(f"gauge_live*_{worker.pid}.db"):
            file.unlink(missing_ok=True)


def post_worker_init(worker: Any) -> None:
    """Log the version, and start the threads that work in the background.

    The modules that are already loaded stay until the process ends. After `gc.freeze`, the garbage
    collector does not visit them.
    """
    from webapp.web import logs  # noqa: PLC0415  the main process must not import it

    app = worker.wsgi
    log.info("Image Registry %s, process %s", app.config["VERSION"], os.getpid())
    gc.freeze()
    threading.excepthook = logs.log_uncaught
    app.extensions["services"].start_threads()


def worker_exit(_server: Any, worker: Any) -> None:
    """Wait up to five seconds for the job rows in progress. Then release unfinished rows."""
    app = getattr(worker, "wsgi", None)
    if app is not None:
        app.extensions["services"].background.stop(seconds=5)
