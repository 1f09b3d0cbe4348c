"""Answer probes on a separate port, even while all threads that serve pages are busy.

A probe is a health check or a request for metrics. See `webapp.web.probes`.
"""

from __future__ import annotations

import logging
import socket
import sys
import threading
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from webapp.web.probes import Probes

log = logging.getLogger(__name__)


class _Server(ThreadingMixIn, WSGIServer):
    """A server for few clients. All workers share the port, so any of them may answer."""

    daemon_threads = True
    allow_reuse_port = True

    def __init__(self, address: tuple[str, int]) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Bind the port without asking a name server for the name of the address."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        log.info("a request for metrics failed: %s", sys.exception())


class _Handler(WSGIRequestHandler):
    timeout = 5

    def log_message(self, *_arguments: Any) -> None:
        """Log nothing, because monitoring sends requests all the time."""


class MetricsServer:
    """Serves the port in a background thread. There is one instance per process."""

    def __init__(self, probes: Probes, address: tuple[str, int]) -> None:
        self._probes, self._address = probes, address
        self._started = threading.Lock()

    def start(self) -> None:
        """Start the thread. If the port can't be opened, log an error. Further calls do nothing."""
        if not self._started.acquire(blocking=False):
            return
        try:
            server = _Server(self._address)
        except OSError as error:
            log.error("the port for metrics cannot be opened: %s", error)  # noqa: TRY400
            return
        server.set_app(self._probes.answer_on_metrics_port)
        threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
