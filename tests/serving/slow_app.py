"""The application with one more page: `/slow` answers after two seconds."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

import webapp

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment
    from flask import Flask

SECONDS = 2


def create_app() -> Flask:
    app = webapp.create_app()
    answer = app.wsgi_app

    def slow(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/slow":
            return answer(environ, start_response)
        time.sleep(SECONDS)
        start_response("200 OK", [("Content-Length", "4")])
        return [b"done"]

    app.wsgi_app = slow  # type: ignore[method-assign]
    return app
