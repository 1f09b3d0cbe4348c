"""The log: one line an event, constant text with values as arguments; request id, person and
scope are added here, once."""

from __future__ import annotations

import logging
import uuid

from flask import g, has_request_context

FORMAT = "%(asctime)s %(levelname)s %(name)s [%(request_id)s %(person)s %(scope)s] %(message)s"


class RequestFilter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        inside = has_request_context()
        actor = g.get("actor") if inside else None
        scope = g.get("scope") if inside else None
        record.request_id = request_id() if inside else "-"
        record.person = actor.person.id if actor else "-"
        record.scope = (scope.path or "scalr") if scope else "-"
        return True


def request_id() -> str:
    """Shown on the page of an unexpected error, so that its log lines can be found."""
    if "request_id" not in g:
        g.request_id = uuid.uuid4().hex[:12]
    found: str = g.request_id
    return found


def configure(level: str) -> None:
    handler = logging.StreamHandler()
    handler.addFilter(RequestFilter())
    handler.setFormatter(logging.Formatter(FORMAT))
    for name in ("webapp", "peewee.migrations"):
        logger = logging.getLogger(name)
        logger.setLevel(level)
        logger.handlers = [handler]
