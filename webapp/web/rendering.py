"""From a view to HTML: whole page or fragment, toasts, and what templates may call. The only
place that knows what HTMX sends and wants."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from flask import Flask, Response, flash, g, make_response, render_template, request, url_for
from flask import redirect as flask_redirect
from flask_htmx import HTMX
from markupsafe import Markup, escape

from models import Level, Scope
from webapp import audit
from webapp.access import Right
from webapp.clouds import CLOUDS
from webapp.clouds.base import ImageState
from webapp.images import operating_systems
from webapp.people import bookmarks
from webapp.settings import SettingsError
from webapp.web import components as marks
from webapp.web.services import services

htmx = HTMX()
ASSETS = ("vendor/htmx.min.js", "vendor/tabler.min.css", "vendor/icons.svg")


def render(
    page: str, /, *, fragment: str = "", label: str = "", status: int = 200, **context: Any
) -> Response:
    """The page, or its fragment when HTMX asks for a part. `label` names the page in the
    bookmarks bar; without one it cannot be pinned."""
    partial = bool(fragment) and _wants_fragment()
    template = "layout/_partial.html" if partial else page
    body = render_template(template, fragment=fragment, bookmark_label=label, **context)
    response = make_response(body, status)
    if fragment:
        response.vary.add("HX-Request")
    return response


def redirect(url: str) -> Response:
    """After a change: see the page at `url`. HTMX follows, and gets that page's fragment."""
    response: Response = flask_redirect(url, 303)  # type: ignore[assignment]
    return response


def leave(url: str) -> Response:
    """Send the browser itself to `url`, also from a request that HTMX made."""
    if not htmx:
        return redirect(url)
    response = make_response("", 204)
    response.headers["HX-Redirect"] = url
    return response


def toast(
    message: str,
    kind: str = "success",
    *,
    action: tuple[str, str, dict[str, str]] | None = None,
    **links: tuple[str, str],
) -> None:
    """Show a message on the next page. `{name}` in it becomes the link (text, address) given
    under that name; `action` is a button: its text, the address it posts to, and what."""
    anchors = {
        name: Markup('<a href="{}">{}</a>').format(address, text)
        for name, (text, address) in links.items()
    }
    text = escape(message).format(**anchors) if links else message
    flash({"text": text, "action": action} if action else text, kind)  # type: ignore[arg-type]


def scope_url(scope: Scope, endpoint: str = "images", **values: Any) -> str:
    """The address of a page of `scope`, whichever scope the present page belongs to."""
    account, _, environment = scope.path.partition("/")
    if scope.level is not Level.SCALR:
        values["account"] = account
    if scope.level is Level.ENVIRONMENT:
        values["environment"] = environment
    return url_for(f"{scope.level}.{endpoint}", **values)


def current_path() -> str:
    """The present page relative to its scope, with its search, as a bookmark keeps it."""
    base = scope_url(g.scope, "home")
    path = request.path.removeprefix(base)
    arguments = [(name, value) for name, value in request.args.items(multi=True) if value]
    return f"{path}?{urlencode(arguments)}" if arguments else path


def init_app(app: Flask) -> None:
    """Raises SettingsError while the browser's assets are not installed."""
    missing = [name for name in ASSETS if not (marks.STATIC / name).is_file()]
    if missing:
        raise SettingsError(
            f"webapp/static lacks {', '.join(missing)}. `scripts/assets.py` installs them."
        )
    htmx.init_app(app)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.globals.update(
        scope_url=scope_url,
        AUDIT_ACTIONS=audit.ACTIONS,
        CLOUDS=CLOUDS,
        Right=Right,
        Level=Level,
        ImageState=ImageState,
        operating_systems=operating_systems,
    )
    marks.init_app(app)
    app.context_processor(_frame)


def _wants_fragment() -> bool:
    return bool(htmx) and not htmx.boosted and not htmx.history_restore_request


def _frame() -> dict[str, Any]:
    """What the frame of every page needs."""
    frame = {"demonstration": services().settings.demonstration}
    actor, scope = g.get("actor"), g.get("scope")
    if actor is None or scope is None:
        return {**frame, "actor": actor, "scope": None}
    return {
        **frame,
        "actor": actor,
        "scope": scope,
        "may": lambda right, at=scope: actor.may(right, at),
        "bookmarks": bookmarks.load_bookmarks(actor, scope),
        "current_path": current_path(),
    }
