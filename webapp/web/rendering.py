"""Rendering: whole pages or fragments, redirects, toasts, and the names that templates may use.

No other module knows the headers that HTMX sends and expects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode, urlsplit

from flask import Flask, Response, flash, g, make_response, render_template, request, url_for
from flask import redirect as flask_redirect
from flask_htmx import HTMX
from markupsafe import Markup, escape

from models import Level, Person, Scope
from webapp import audit
from webapp.access import Right
from webapp.clouds import CLOUDS
from webapp.clouds.details import ImageState
from webapp.images import operating_systems
from webapp.mail import outbox
from webapp.people import bookmarks, notices
from webapp.settings import SettingsError
from webapp.single_sign_on.configuration import Provider
from webapp.web import components, notes, passkeys, static_files
from webapp.web.services import services

htmx = HTMX()
ASSETS = ("vendor/htmx.min.js", "vendor/tabler.min.css", "vendor/icons.svg")


def render(
    page: str,
    /,
    *,
    fragment: str = "",
    label: str = "",
    background: bool = False,
    url: str = "",
    restorable: bool = False,
    status: int = 200,
    **context: Any,
) -> Response:
    """Return the page, or only its fragment if HTMX requests a fragment.

    `label` is the page's name in the bookmarks bar. A page without a label cannot be pinned. With
    `background`, the fragment updates only a part of the page, such as the progress of a job, so
    the title and the bookmarks bar stay the same. HTMX shows `url`, the canonical URL of the page,
    in the address bar. With `restorable`, the browser may store the page. When the person goes back
    to the page, the browser then restores what they entered.
    """
    partial = bool(fragment) and wants_fragment()
    template = "layout/_partial.html" if partial else page
    body = render_template(
        template, fragment=fragment, bookmark_label=label, background=background, **context
    )
    response = make_response(body, status)
    if partial and url:
        response.headers["HX-Push-Url"] = url
    if restorable and not partial:
        response.headers["Cache-Control"] = "no-cache, private"
    if fragment:
        response.vary.add("HX-Request")
    return response


def redirect(url: str) -> Response:
    """Redirect to `url` after a change. HTMX follows the redirect and gets the page's fragment."""
    response: Response = flask_redirect(url, 303)  # type: ignore[assignment]
    return response


def redirect_whole_page(url: str) -> Response:
    """Make the browser load `url` as a whole page, even if HTMX sent the request."""
    if not htmx:
        return redirect(url)
    response = make_response("", 204)
    response.headers["HX-Redirect"] = url
    return response


def render_refusal(
    title: str,
    message: str,
    status: int,
    *,
    toast_message: str = "",
    request_id: str = "",
    people: Sequence[Person] = (),
) -> Response:
    """Return a page with a message, or only a toast if HTMX requests a fragment.

    A toast does not replace the page, so everything that the person has typed stays. Pass
    `toast_message` if the message cannot be understood without the title. The toast then shows
    `toast_message` instead of the message. The page lists `people` below the message.
    """
    if wants_fragment():
        body = render_template("layout/_refusal.html", message=toast_message or message)
        response = make_response(body, status)
        response.headers["HX-Reswap"] = "none"
        response.headers["HX-Push-Url"] = "false"
    else:
        response = render(
            "layout/error.html",
            title=title,
            advice=message,
            request_id=request_id,
            people=people,
            status=status,
        )
    response.vary.add("HX-Request")
    return response


def render_outage(title: str, advice: str, unsent: Any) -> Response:
    """Return the response while the database does not work: a page, or a toast for HTMX.

    `unsent` is the form that was not processed, or None. The page has a button that sends this form
    again. The toast does not replace the page, so everything that the person has typed stays.
    """
    if wants_fragment():
        body = render_template("layout/_refusal.html", message=f"{title}. {advice}", outage=True)
        response = make_response(body, 503)
        response.headers["HX-Reswap"] = "none"
        response.headers["HX-Push-Url"] = "false"
    else:
        body = render_template("layout/outage.html", title=title, advice=advice, unsent=unsent)
        response = make_response(body, 503)
    response.vary.add("HX-Request")
    return response


def render_session_end(sign_in_url: str) -> Response:
    """Return the response to an HTMX request after the session has ended: a notice above the page.

    The rest of the page stays as it is, with everything that the person has typed.
    """
    body = render_template("layout/_session_end.html", sign_in_url=sign_in_url)
    response = make_response(body, 401)
    response.headers["HX-Retarget"] = "#session-end"
    response.headers["HX-Reswap"] = "innerHTML"
    response.headers["HX-Push-Url"] = "false"
    response.vary.add("HX-Request")
    return response


def reload_page() -> Response:
    """Make the browser load the current page again after an HTMX request."""
    response = make_response("", 204)
    response.headers["HX-Refresh"] = "true"
    return response


def toast(
    message: str,
    kind: str = "success",
    *,
    action: tuple[str, str, dict[str, str]] | None = None,
    about: Scope | None = None,
    **links: tuple[str, str],
) -> None:
    """Show a message on the next page and, from then on, on the Activity page.

    `links` are pairs of a text and a URL. A name in braces, such as `{page}`, is replaced by the
    link with this name. `action` describes a button: its text, the URL that it posts to, and the
    values that it posts.

    If the page belongs to no scope, pass as `about` the scope that the message names. The Activity
    page then shows the message only as long as the person can see this scope.
    """
    text = message_with_links(message, links)
    flash({"text": text, "action": action} if action else text, kind)  # type: ignore[arg-type]
    if actor := g.get("actor"):
        notices.save(actor, about or g.get("scope"), kind, message, links)


def message_with_links(message: str, links: Mapping[str, Sequence[str]]) -> str:
    """Return a message as HTML, with each name in braces replaced by the link with this name.

    A link is a pair of a text and a URL. Without links, the message is returned unchanged.
    """
    anchors = {
        name: Markup('<a href="{}">{}</a>').format(url, text) for name, (text, url) in links.items()
    }
    return escape(message).format(**anchors) if links else message


def scope_url(scope: Scope, endpoint: str = "images", **values: Any) -> str:
    """Return the URL of a page of `scope`, which may differ from the scope of the current page."""
    return url_at(scope.level, scope.path, endpoint, **values)


def url_at(level: str, path: str, endpoint: str = "images", **values: Any) -> str:
    """Return the URL of a page of the scope with this level and path."""
    account, _, environment = path.partition("/")
    if level != Level.SCALR:
        values["account"] = account
    if level == Level.ENVIRONMENT:
        values["environment"] = environment
    return url_for(f"{level}.{endpoint}", **values)


def absolute_url(endpoint: str, **values: Any) -> str:
    """Return the URL of a page with its scheme and host, for links that people send to others."""
    public_url = services().settings.public_url
    if public_url:
        return public_url + url_for(endpoint, **values)
    return url_for(endpoint, **values, _external=True)


def current_url() -> str:
    """Return the path and query of the page that the person sees, with the prefix of the site.

    If HTMX requests a fragment, this is the page that sent the request. Otherwise, it is the
    requested page if the method is GET. For other methods, return '', because the browser cannot
    return to the URL.
    """
    if wants_fragment():
        try:
            page = urlsplit(htmx.current_url or "")
        except ValueError:
            return ""
        return f"{page.path}?{page.query}".rstrip("?")
    if request.method != "GET":
        return ""
    return f"{request.script_root}{request.full_path}".rstrip("?")


def current_path() -> str:
    """Return the current path and query relative to the scope, in the format of bookmarks.

    The parameters for paging are left out, so a bookmark of a list opens the first page. A view can
    pass another `current_path` to its template.
    """
    base = scope_url(g.scope, "home")
    path = f"{request.script_root}{request.path}".removeprefix(base)
    arguments = [
        (name, value)
        for name, value in request.args.items(multi=True)
        if value and name not in bookmarks.PAGING_PARAMETERS
    ]
    return f"{path}?{urlencode(arguments)}" if arguments else path


def init_app(app: Flask) -> None:
    """Set up HTMX and the names that templates may use.

    Raises SettingsError if the browser's assets are not installed.
    """
    missing = [name for name in ASSETS if not (static_files.FOLDER / name).is_file()]
    if missing:
        raise SettingsError(
            f"{', '.join(missing)} not found in webapp/static. Run scripts/assets.py."
        )
    htmx.init_app(app)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.globals.update(
        scope_url=scope_url,
        current_url=current_url,
        message_with_links=message_with_links,
        AUDIT_ACTIONS=audit.ACTIONS,
        describe_several=audit.describe_several,
        CLOUDS=CLOUDS,
        Right=Right,
        Level=Level,
        ImageState=ImageState,
        operating_systems=operating_systems,
        sends_mail=outbox.is_enabled,
        identity_providers=_identity_providers,
        local_accounts=lambda: services().settings.local_accounts,
        passkey_obstacle=passkeys.obstacle,
        has_emergency_admin=lambda: bool(services().settings.emergency_admin),
    )
    components.init_app(app)
    notes.init_app(app)
    app.context_processor(_layout_context)


def wants_fragment() -> bool:
    """Return whether HTMX requests a fragment. Boosted links and the history need whole pages."""
    return bool(htmx) and not htmx.boosted and not htmx.history_restore_request


def _identity_providers() -> Mapping[str, Provider]:
    clients = services().single_sign_on.clients
    return {key: client.provider for key, client in clients.items()}


def _layout_context() -> dict[str, Any]:
    """Return the values that the layout of every page needs."""
    context = {"demonstration": services().settings.demonstration}
    actor, scope = g.get("actor"), g.get("scope")
    if actor is None or scope is None:
        return {**context, "actor": actor, "scope": None}
    return {
        **context,
        "actor": actor,
        "scope": scope,
        "may": lambda right, at=scope: actor.may(right, at),
        "bookmarks": bookmarks.load_bookmarks(actor, scope),
        "current_path": current_path(),
    }
