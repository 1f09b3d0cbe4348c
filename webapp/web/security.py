"""Protection against forged requests, injected markup, and text that cannot be stored."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, abort, request
from flask.globals import request_ctx
from flask_wtf import CSRFProtect
from flask_wtf import csrf as flask_wtf_csrf
from markupsafe import Markup

from webapp.credentials.signatures import timed_serializer
from webapp.values.text import is_encodable
from webapp.web import plain_pages
from webapp.web.services import services

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "font-src 'self'; img-src 'self' data:; form-action 'self'; object-src 'none'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
UNUSED_FEATURES = (
    "accelerometer",
    "camera",
    "display-capture",
    "geolocation",
    "gyroscope",
    "hid",
    "idle-detection",
    "magnetometer",
    "microphone",
    "midi",
    "payment",
    "screen-wake-lock",
    "serial",
    "usb",
    "xr-spatial-tracking",
)
"""The browser features that no page needs, and that no script may use."""
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": ", ".join(f"{name}=()" for name in UNUSED_FEATURES),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
"""The headers of every response. A response may have another Content-Security-Policy."""
STRICT_TRANSPORT = ("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
"""Tells browsers to use only HTTPS for this host and its subdomains during the next year."""
STRICT_TRANSPORT_BELOW_PREFIX = (STRICT_TRANSPORT[0], "max-age=31536000")
"""STRICT_TRANSPORT without the subdomains, for an installation below a path prefix.

Such an installation shares its host name, so the subdomains may belong to other applications.
"""

csrf = CSRFProtect()
log = logging.getLogger(__name__)


def init_app(app: Flask, trusted_hosts: Sequence[str]) -> None:
    """Check every request before its view. Any host is accepted if `trusted_hosts` is empty."""
    # For a domain with its subdomains, the setting contains *.example.net. Flask expects
    # .example.net.
    app.config["TRUSTED_HOSTS"] = [name.removeprefix("*") for name in trusted_hosts] or None
    app.before_request(_refuse_host)
    app.before_request(_reject_unencodable_text)
    # Flask-WTF signs with SHA-1 and has no setting for this. So replace its serializer.
    flask_wtf_csrf.URLSafeTimedSerializer = timed_serializer
    csrf.init_app(app)
    app.after_request(_forbid_storing)


class SecurityHeaders:
    """A WSGI middleware that adds the headers in HEADERS that a response lacks.

    With `strict_transport`, responses over HTTPS also get STRICT_TRANSPORT or, below a path prefix,
    STRICT_TRANSPORT_BELOW_PREFIX. ProxyFix and UrlPrefix must wrap this middleware, because they
    set the scheme that the browser uses, and the prefix.
    """

    def __init__(self, app: WSGIApplication, *, strict_transport: bool) -> None:
        self._app, self._strict_transport = app, strict_transport

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        headers_to_add = [*HEADERS.items()]
        if self._strict_transport and environ.get("wsgi.url_scheme") == "https":
            has_prefix = bool(environ.get("SCRIPT_NAME"))
            headers_to_add.append(STRICT_TRANSPORT_BELOW_PREFIX if has_prefix else STRICT_TRANSPORT)

        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            names = {name.lower() for name, _ in headers}
            missing = [pair for pair in headers_to_add if pair[0].lower() not in names]
            return start_response(status, [*headers, *missing], *exc_info)

        return self._app(environ, start)


def _refuse_host() -> Response | None:
    """Respond with 400 if the Host header is not valid or not trusted.

    The response is a plain page, because other pages contain URLs, and Flask cannot build URLs
    without a valid host name. So for such a host, even a path with two slashes in a row gets this
    page, instead of a redirect to the path with one slash.
    """
    if request_ctx.url_adapter is not None and request.host:
        return None
    log.info("refused the host %r", request.headers.get("Host", "")[:200])
    settings, advice = services().settings, "Check the address in your browser."
    if settings.public_url:
        url = f"{settings.public_url}{request.script_root}/"
        advice = Markup('Open <a href="{0}">{0}</a> instead.').format(url)
    paragraphs = ["The Host header of this request isn’t a host name of the registry.", advice]
    if settings.trusted_hosts:
        paragraphs.append("Administrators can add host names with the setting TRUSTED_HOSTS.")
    page = plain_pages.plain_page("The registry can’t be opened here", *paragraphs)
    return Response(page, 400, {"Content-Security-Policy": plain_pages.POLICY})


def _reject_unencodable_text() -> None:
    """Respond with 400 if a text in the request contains NUL or a lone surrogate.

    Nobody types such text, and PostgreSQL cannot store it.
    """
    pairs = (*request.args.items(multi=True), *request.form.items(multi=True))
    names = (upload.filename or "" for upload in request.files.values())
    texts = (request.path, *(text for pair in pairs for text in pair), *names)
    if not all(map(is_encodable, texts)):
        abort(400)


def _forbid_storing(response: Response) -> Response:
    """Forbid caches to store a page, because it may contain data that only this person may see."""
    response.headers.setdefault("Cache-Control", "no-store")
    return response
