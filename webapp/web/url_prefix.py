"""Serve the application below a path prefix, such as `/registry`.

The WSGI standard has a variable for the prefix, SCRIPT_NAME, which `url_for` puts in front of every
URL. This module must not know Flask.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from webapp.settings import PLAIN_PATH

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class UrlPrefix:
    """A WSGI middleware that moves the prefix of the path to SCRIPT_NAME.

    `prefix` is the prefix of every URL, or ''. The proxy in front may pass the prefix on or remove
    it. With `trust_forwarded`, the header X-Forwarded-Prefix names the prefix that a proxy has
    removed. A header whose value is not a plain path is ignored.
    """

    def __init__(self, app: WSGIApplication, prefix: str, *, trust_forwarded: bool) -> None:
        self._app, self._prefix, self._trust_forwarded = app, prefix, trust_forwarded

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        prefix = self._prefix
        if prefix and (path == prefix or path.startswith(f"{prefix}/")):
            environ["PATH_INFO"] = path[len(prefix) :] or "/"
        if self._trust_forwarded:
            forwarded = environ.get("HTTP_X_FORWARDED_PREFIX", "").rstrip("/")
            prefix = forwarded if PLAIN_PATH.fullmatch(forwarded) else prefix
        if prefix:
            environ["SCRIPT_NAME"] = prefix
        return self._app(environ, start_response)
