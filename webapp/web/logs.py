"""Logging: one line per event, with the request ID, the person and the scope."""

from __future__ import annotations

import logging
import uuid

from flask import g, has_request_context

FORMAT = "%(asctime)s %(levelname)s %(name)s [%(request_id)s %(person)s %(scope)s] %(message)s"


class RequestFilter(logging.Filter):
    """Adds the values of the current request to each record, or `-` outside a request."""

    def filter(self, record: logging.LogRecord) -> bool:
        inside = has_request_context()
        actor = g.get("actor") if inside else None
        scope = g.get("scope") if inside else None
        record.request_id = request_id() if inside else "-"
        record.person = actor.person.id if actor else "-"
        record.scope = (scope.path or "scalr") if scope else "-"
        return True


def request_id() -> str:
    """Return the ID of this request.

    Error pages show the ID, so that an administrator can find the log lines of the request.
    """
    if "request_id" not in g:
        g.request_id = uuid.uuid4().hex[:12]
    current: str = g.request_id
    return current


def configure(level: str) -> None:
    """Log the app's events from `level` upwards to standard error."""
    handler = logging.StreamHandler()
    handler.addFilter(RequestFilter())
    handler.setFormatter(logging.Formatter(FORMAT))
    for name in ("webapp", "peewee.migrations"):
        logger = logging.getLogger(name)
        logger.setLevel(level)
        logger.handlers = [handler]
