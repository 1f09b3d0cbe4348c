"""Answer probes, which are health checks and requests for metrics, before Flask sees them.

So a probe needs no session and no valid Host header. Probes that arrive at the same time share one
check of the database.

- `/healthz` shows that the process answers.
- `/readyz` shows whether the process can serve requests. If it can't, the log contains the reason.
  The response contains the reason only if the request has the metrics token.
- `/metrics` shows the metrics. On the main port, a request without the metrics token gets the same
  response as a request for a page that does not exist.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from prometheus_client.exposition import choose_encoder

from webapp.web import exposition
from webapp.web.readiness import Readiness

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

HEALTH, READY, METRICS = PATHS = ("/healthz", "/readyz", "/metrics")
PROBE_MARK = "image_registry.is_probe"
"""A request with this key in its WSGI environment is left out of the access log."""
TEXT = "text/plain; charset=utf-8"


class Probes:
    """Answers probes. There is one instance per process."""

    def __init__(self, readiness: Readiness, version: str, token: str) -> None:
        self._readiness, self._token = readiness, token
        self._registry = exposition.open_registry(readiness, version)

    def wrap(self, app: WSGIApplication) -> WSGIApplication:
        """Return a middleware for the main port. `app` gets the requests that are not probes."""

        def with_probes(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            path = environ.get("PATH_INFO", "")
            if path not in PATHS or (path == METRICS and not self._has_token(environ)):
                return app(environ, start_response)
            environ[PROBE_MARK] = True
            return self._answer(environ, start_response)

        return with_probes

    def answer_on_metrics_port(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Answer on the port for metrics, which shows the metrics without a token."""
        if environ.get("PATH_INFO", "") not in PATHS:
            return _send(environ, start_response, "404 Not Found", b"not found\n")
        return self._answer(environ, start_response)

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if environ.get("REQUEST_METHOD") not in {"GET", "HEAD"}:
            status = "405 Method Not Allowed"
            return _send(environ, start_response, status, b"not allowed\n", allow="GET, HEAD")
        if path == METRICS:
            encode, content_type = choose_encoder(environ.get("HTTP_ACCEPT", ""))
            body = encode(self._registry)
            return _send(environ, start_response, "200 OK", body, content_type)
        problems = self._readiness.problems() if path == READY else ()
        status = "503 Service Unavailable" if problems else "200 OK"
        if path == READY and self._has_token(environ):
            report = {"ready": not problems, "problems": problems}
            body = f"{json.dumps(report)}\n".encode()
            return _send(environ, start_response, status, body, "application/json")
        body = b"not ready\n" if problems else b"ready\n" if path == READY else b"ok\n"
        return _send(environ, start_response, status, body)

    def _has_token(self, environ: WSGIEnvironment) -> bool:
        scheme, _, sent_token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        is_equal = hmac.compare_digest(sent_token.strip().encode(), self._token.encode())
        return bool(self._token) and scheme.lower() == "bearer" and is_equal


def _send(
    environ: WSGIEnvironment,
    start_response: StartResponse,
    status: str,
    body: bytes,
    content_type: str = TEXT,
    allow: str = "",
) -> Iterable[bytes]:
    headers = [
        ("Content-Type", content_type),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
    ]
    if allow:
        headers.append(("Allow", allow))
    start_response(status, headers)
    return [b"" if environ.get("REQUEST_METHOD") == "HEAD" else body]
