"""Set up the log, and add the request ID, the person, the scope and the route to its records.

`webapp.monitoring` formats each record and masks secrets. This module tells `webapp.monitoring`
which texts are secret.
"""

from __future__ import annotations

import logging
import re
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain, islice
from typing import Any
from urllib.parse import unquote, urlsplit

from flask import Flask, Response, g, has_request_context, request
from werkzeug.datastructures import MultiDict

from models import Level
from webapp.clouds import CLOUDS
from webapp.database import parse_postgresql
from webapp.monitoring import masking, metrics
from webapp.monitoring.log_lines import LineFormatter
from webapp.settings import Settings, SettingsError

REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{7,63}", re.ASCII)
"""Matches a request ID that a trusted proxy may set."""
SECRET_NAME = re.compile(r"password|secret|token|^(new|current|code)$", re.IGNORECASE)
"""Matches the names of fields and URL parts whose values are secret.

The secret fields of cloud credentials are secret too, whatever their names are.
"""
MAX_FIELDS = 20
"""The maximum number of secret values of form fields that are masked for each request.

Masking a value takes time, because its pattern must be compiled first. No form has so many secret
fields.
"""
MAX_COOKIES = 100
"""The maximum number of cookies that are masked for each request.

The application sets only a few cookies.
"""
FIELDS_OF_REQUEST = "image_registry.fields"
"""The key in the WSGI environment for the values that gunicorn's access log shows."""
GUNICORN_LOGGERS = ("gunicorn.error", "gunicorn.access")
_LEVELS = frozenset(Level)

log = logging.getLogger(__name__)


class LogHandler(logging.StreamHandler[Any]):
    """Writes the lines of the application and its libraries to standard error."""


class RequestFilter(logging.Filter):
    """Adds the values of the current request to each record that does not have them yet."""

    def filter(self, record: logging.LogRecord) -> bool:
        if not hasattr(record, "fields"):
            record.fields = _fields_of_request() if has_request_context() else {}
        return True


def configure(settings: Settings) -> None:
    """Log the app's events from `settings.log_level` upwards, and warnings of libraries.

    The lines of gunicorn get the same format. If the root logger had no handler, Python would write
    the warnings of libraries to standard error in another format.
    """
    masking.configure(_secrets_of(settings), _secrets_of_request)
    root = logging.getLogger()
    for old_handler in [each for each in root.handlers if isinstance(each, LogHandler)]:
        root.removeHandler(old_handler)
    root.addHandler(LogHandler())
    loggers = [root, *map(logging.getLogger, GUNICORN_LOGGERS)]
    for handler in (each for logger in loggers for each in logger.handlers):
        if isinstance(handler, LogHandler) or getattr(handler, "_gunicorn", False):
            handler.setFormatter(LineFormatter(settings.log_format, masking.mask))
            handler.filters = [RequestFilter()]
    for name in ("webapp", "peewee.migrations"):
        logging.getLogger(name).setLevel(settings.log_level)


def log_uncaught(arguments: threading.ExceptHookArgs) -> None:
    """Log an exception that ended a thread. Use this as `threading.excepthook`."""
    name = arguments.thread.name if arguments.thread else "?"
    if arguments.exc_type is not SystemExit and arguments.exc_value is not None:
        log.error("the thread %s ended with an error", name, exc_info=arguments.exc_value)


def init_app(app: Flask, *, behind_proxy: bool) -> None:
    """Count each request, and give it an ID. If `behind_proxy` is true, the proxy may set the ID.

    Call this function before other modules register functions with `after_request`. Flask runs
    these functions in reverse order, so `_end` runs last and measures the time of all of them.
    """

    @app.before_request
    def _begin() -> None:
        g.began = time.perf_counter()
        sent_id = request.headers.get("X-Request-ID", "") if behind_proxy else ""
        g.request_id = sent_id if REQUEST_ID.fullmatch(sent_id) else new_request_id()

    @app.after_request
    def _end(response: Response) -> Response:
        response.headers["X-Request-ID"] = request_id()
        request.environ[FIELDS_OF_REQUEST] = _fields_of_request()
        began, route, method = g.get("began"), route_name(), request.method

        def count() -> None:
            seconds = time.perf_counter() - began if began else 0.0
            metrics.count_request(route, method, response.status_code, seconds)

        if response.is_streamed:
            response.call_on_close(count)
        else:
            count()
        return response


def request_id() -> str:
    """Return the ID of this request.

    Error pages show the ID, so that an administrator can find the log lines of the request.
    """
    if "request_id" not in g:
        g.request_id = new_request_id()
    current: str = g.request_id
    return current


def route_name() -> str:
    """Return the name of the view, which is the same at all levels of scopes.

    Return `none` if no view matches the request.
    """
    blueprint, _, name = (request.endpoint or "none").rpartition(".")
    return name if blueprint in _LEVELS or not blueprint else f"{blueprint}.{name}"


def new_request_id() -> str:
    """Return a random ID for a request."""
    return uuid.uuid4().hex[:12]


def _fields_of_request() -> dict[str, Any]:
    actor, scope = g.get("actor"), g.get("scope")
    return {
        "request_id": request_id(),
        "person": actor.person.id if actor else None,
        "scope": (scope.path or "scalr") if scope else None,
        "route": route_name(),
        "method": request.method if request.method in metrics.METHODS else "other",
        "path": _path(),
    }


def _path() -> str:
    """Return the path without secrets, such as the token of an invitation."""
    path = f"{request.script_root}{request.path}"
    for name, value in (request.view_args or {}).items():
        if SECRET_NAME.search(name):
            path = path.replace(str(value), masking.MASK)
    return path


def _secrets_of(settings: Settings) -> Iterator[str]:
    yield settings.secret_key
    yield from settings.credentials_keys
    yield settings.metrics_token
    yield settings.smtp.password if settings.smtp else ""
    for url in (settings.database_url, settings.direct_database_url, settings.redis_url):
        yield from _passwords_in(url)


def _passwords_in(url: str) -> Iterator[str]:
    """Yield the password in a URL, as urllib parses it and as PostgreSQL's client parses it."""
    with suppress(ValueError):
        password = urlsplit(url).password or ""
        yield from (password, unquote(password))
    if url.startswith(("postgresql:", "postgres:")):
        with suppress(SettingsError, ImportError):
            yield str(parse_postgresql(url).get("password", ""))


def _secrets_of_request() -> Iterable[str]:
    """Return the secrets in the current request, such as passwords and cookies."""
    if not has_request_context():
        return ()
    cookies = islice(request.cookies.values(), MAX_COOKIES)
    return chain(_secrets_of_headers(), islice(_secrets_of_form(), MAX_FIELDS), cookies)


def _secrets_of_headers() -> Iterator[str]:
    yield request.headers.get("Authorization", "").rpartition(" ")[2]
    if request.authorization is not None:
        # With the scheme Basic, the header contains the password only in base64. Mask the decoded
        # password too.
        yield request.authorization.password or ""
    for name, value in (request.view_args or {}).items():
        if SECRET_NAME.search(name):
            yield str(value)


def _secrets_of_form() -> Iterator[str]:
    secret_names = {
        field.name for cloud in CLOUDS.values() for field in cloud.credential_fields if field.secret
    }
    # Use the form only if it is already parsed. Parsing it here could raise RequestEntityTooLarge.
    form: MultiDict[str, str] = request.__dict__.get("form") or MultiDict()
    for name in form:
        if name in secret_names or SECRET_NAME.search(name):
            yield from form.getlist(name)
