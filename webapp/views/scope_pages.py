"""The blueprint for the pages of a scope. It is mounted three times: once for each level.

The URLs begin with `/scalr`, `/account/<account>` or `/environment/<account>/<environment>`. Before
each view, `g.scope` is set to the scope. If the scope does not exist, or if the person may not see
the scope, the response is 404. But if the person could see the scope with a second factor, the
response is a page that asks for one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from flask import Blueprint, Flask, Response, abort, g, request, url_for
from flask_login import login_required

from models import Scope
from webapp.access import Right
from webapp.people.bookmarks import PAGE_PATH
from webapp.web.factor_missing import render_factor_missing
from webapp.web.scope_paths import PREFIXES, pop_scope_path

P = ParamSpec("P")
R = TypeVar("R")

pages = Blueprint("scope", __name__)


def mount(app: Flask) -> None:
    for level, prefix in PREFIXES.items():
        app.register_blueprint(pages, name=level.value, url_prefix=prefix)


def needs(right: Right) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator that raises Forbidden unless the person has `right` at the scope."""

    def decorate(view: Callable[P, R]) -> Callable[P, R]:
        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            g.actor.require(right, g.scope)
            return view(*args, **kwargs)

        return guarded

    return decorate


def page_url(path: str) -> str:
    """Return the URL of the page at `path`, which is relative to the scope.

    For any other text, such as the URL of another site, return the URL of the Images page.
    """
    return url_for(".home") + path if PAGE_PATH.fullmatch(path) else url_for(".images")


@pages.url_value_preprocessor
def _read_scope_path(_endpoint: str | None, values: dict[str, Any] | None) -> None:
    g.scope_path = pop_scope_path({} if values is None else values)


@pages.url_defaults
def _add_scope_path(endpoint: str, values: dict[str, Any]) -> None:
    """Add the current scope to the URLs of its pages, so that `url_for(".images")` suffices."""
    scope = g.get("scope")
    if scope is None or endpoint.partition(".")[0] != scope.level.value:
        return
    for name, part in zip(("account", "environment"), scope.path.split("/"), strict=False):
        if part:
            values.setdefault(name, part)


@pages.before_request
@login_required
def _set_scope() -> Response | None:
    scope: Scope | None = g.requested_scope
    if scope is None or scope.level != request.blueprint:
        abort(404)
    if g.actor.role_at(scope) is None:
        return render_factor_missing() if g.actor.lacks_factor(scope) else abort(404)
    g.scope = scope
    return None
