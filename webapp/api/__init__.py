"""The JSON API, with which programs perform the actions that people perform on the pages.

Programs send API tokens; the API has no sessions. The API is a separate Flask app below `/api/v1`.
So it does not run the functions that the pages run before and after each request, for example to
read cookies. Both apps share the configuration and the services. A view parses the request, calls
one use case, and returns the response.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from flask import Flask, Request, Response, request
from flask.globals import request_ctx
from flask.sessions import SecureCookieSessionInterface
from flask_compress import Compress
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from models import LARGEST_ID
from webapp import database
from webapp.api import (
    audit,
    authentication,
    clouds,
    credentials,
    exports,
    image_actions,
    images,
    imports,
    jobs,
    members,
    openapi,
    overview,
    people,
    problems,
    registration,
    role_rules,
    scopes,
    token_rules,
    tokens,
    views,
)
from webapp.api.operations import OPERATIONS, Operation
from webapp.api.problems import ApiProblem
from webapp.api.urls import ROOT
from webapp.values.text import is_encodable
from webapp.web import large_bodies, logs, services
from webapp.web.person_limits import PersonLimits
from webapp.web.scope_paths import PREFIXES

__all__ = [
    "audit",
    "clouds",
    "credentials",
    "exports",
    "image_actions",
    "images",
    "imports",
    "jobs",
    "members",
    "mount",
    "openapi",
    "overview",
    "people",
    "registration",
    "role_rules",
    "scopes",
    "token_rules",
    "tokens",
    "views",
]


PUBLIC_ENDPOINTS = {f"api.{each.name}" for each in OPERATIONS if each.is_public}


class NoSessions(SecureCookieSessionInterface):
    """A session interface that neither reads nor sets a cookie."""

    def open_session(self, app: Flask, request: Request) -> None:  # noqa: ARG002  Flask's names
        return None


def mount(app: Flask, person_limits: PersonLimits, *, behind_proxy: bool) -> Flask:
    """Serve the API below ROOT of `app`, and return the app of the API.

    Before this call, wrap `app.wsgi_app` in `person_limits`. This function itself wraps the API in
    `person_limits`. If you wrapped `app.wsgi_app` later, the limits would apply to the API twice.
    After this call, wrap `app.wsgi_app` in all other middlewares, so that they apply to the API
    too.
    """
    api = Flask(__name__, static_folder=None)
    api.config, api.extensions = app.config, app.extensions
    api.session_interface = NoSessions()
    api.url_map.merge_slashes = False  # `//` in a path gets a problem, not a redirect.
    logs.init_app(api, behind_proxy=behind_proxy)
    database.init_app(api)
    services.init_app(api)
    problems.init_app(api)
    Compress(api)
    api.before_request(_refuse_unusable_requests)
    api.before_request(_authenticate)
    api.after_request(_forbid_storing)
    api.after_request(authentication.describe_usage)
    api.teardown_request(authentication.forget)
    api.teardown_request(large_bodies.end)
    for each in OPERATIONS:
        _add_rules(api, each)
    limited_app = person_limits.wrap(api.wsgi_app, problems.too_many_at_once, is_api=True)
    app.wsgi_app = DispatcherMiddleware(  # type: ignore[method-assign]
        app.wsgi_app, {ROOT: limited_app}
    )
    return api


def _add_rules(api: Flask, operation: Operation) -> None:
    """Add one URL rule for each level of the operation, or one rule if its path has no scope."""
    options: dict[str, Any] = {"methods": [operation.method], "provide_automatic_options": False}
    if not operation.levels:
        endpoint = f"api.{operation.name}"
        view = partial(_respond, operation)
        api.add_url_rule(operation.path, endpoint, view, **options)
    for level in operation.levels:
        view = partial(_respond_at_scope, operation, level.value)
        endpoint = f"{level}.api_{operation.name}"
        api.add_url_rule(PREFIXES[level] + operation.path, endpoint, view, **options)


def _respond_at_scope(operation: Operation, level: str, **values: Any) -> Response:
    authentication.find_scope(level, values)
    return _respond(operation, **values)


def _respond(operation: Operation, **values: Any) -> Response:
    # The URL rules have no maximum for IDs. With a maximum, the response to a larger ID would be
    # 405 instead of 404 at a path with several methods.
    if any(isinstance(value, int) and value > LARGEST_ID for value in values.values()):
        raise ApiProblem("not-found")
    return operation.handle(values)


def _refuse_unusable_requests() -> None:
    """Raise ApiProblem (400) if the Host header, the path or a query parameter can't be used."""
    if request_ctx.url_adapter is None or not request.host:
        raise ApiProblem("invalid-request", "The Host header isn’t a host name of the registry.")
    pairs = request.args.items(multi=True)
    if not all(map(is_encodable, (request.path, *(text for pair in pairs for text in pair)))):
        raise ApiProblem("invalid-request", "The URL contains a character that is not allowed.")


def _authenticate() -> None:
    """Authenticate the request, unless its URL doesn't exist or its operation is public."""
    if request.url_rule is not None and request.url_rule.endpoint not in PUBLIC_ENDPOINTS:
        authentication.authenticate()


def _forbid_storing(response: Response) -> Response:
    """Forbid caches to store a response, unless the view has set the header Cache-Control."""
    response.headers.setdefault("Cache-Control", "no-store")
    return response
