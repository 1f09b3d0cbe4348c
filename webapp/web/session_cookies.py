"""The cookies of the application.

The session cookie contains the token of the session, which `webapp.people.sessions` creates. The
state cookie is Flask's signed cookie. It contains, for example, the CSRF token and the messages for
the next page. The state cookie alone does not sign anybody in. The device cookie is signed too, and
shows that a person has signed in with this browser before. `webapp.people.attempts` explains how
the device cookie is used.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Flask, Request, Response, current_app, g, request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from itsdangerous import BadData, BadSignature, URLSafeTimedSerializer

import models
from webapp.credentials.signatures import timed_serializer
from webapp.people.attempts import person_key
from webapp.settings import Settings
from webapp.web.services import services

STATE_LIFETIME = timedelta(days=31)
"""How long a browser keeps the state cookie after the last response that set it."""
CLOCK_DIFFERENCE = timedelta(days=1)
"""If the clocks of two servers differ by at most this time, each server accepts the state cookies
of the other, and the times in these cookies (see `is_recent`)."""
DEVICE_LIFETIME = timedelta(days=365)
OLD_COOKIE = "session"
"""The cookie of older versions, which was signed and had both the session and the state."""


class StateCookies(SecureCookieSessionInterface):
    """Signs cookies with SHA-256, and also reads cookies of servers whose clock is ahead.

    Flask's own class signs with SHA-1. It ignores a cookie that was signed in the future. The CSRF
    token in the cookie would then be missing, so every form would be refused.
    """

    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer:
        return timed_serializer(str(app.secret_key), self.salt, serializer=self.serializer)

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession:
        serializer = self.get_signing_serializer(app)
        cookie = request.cookies.get(self.get_cookie_name(app))
        if not cookie:
            return self.session_class()
        try:
            values, signed_at = serializer.loads(cookie, return_timestamp=True)
        except BadSignature:
            return self.session_class()
        age = datetime.now(UTC) - signed_at
        is_valid = -CLOCK_DIFFERENCE <= age <= STATE_LIFETIME
        return self.session_class(values if is_valid else None)


def init_app(app: Flask, settings: Settings) -> None:
    """Configure the state cookie. Set the other two cookies in the responses that change them."""
    app.session_interface = StateCookies()
    app.config.update(
        SESSION_COOKIE_NAME=cookie_name("state", settings),
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=settings.secure_cookies,
        SESSION_COOKIE_PATH=settings.url_prefix or "/",
        PERMANENT_SESSION_LIFETIME=STATE_LIFETIME,
        # The cookie is renewed once a day, see `webapp.views.person_pages`.
        SESSION_REFRESH_EACH_REQUEST=False,
    )
    app.after_request(_set_cookies)


def is_recent(moment: float, seconds: float) -> bool:
    """Return whether a moment in the state cookie is at most `seconds` ago.

    `moment` is in seconds since the epoch, by the clock of the server that set the cookie. This
    clock may be ahead.
    """
    age = models.now().timestamp() - moment
    return -CLOCK_DIFFERENCE.total_seconds() <= age <= seconds


def session_token() -> str:
    """Return the token in the session cookie, which is not verified yet, or ''."""
    return request.cookies.get(cookie_name("session", services().settings), "")


def send_session_token(token: str) -> None:
    """Let the response set the session cookie. Delete the cookie if `token` is ''."""
    g.session_token_to_send = token


def device_id(email: str) -> str:
    """Return the ID of this browser, or '' if the person has not signed in with it before.

    `email` is the normalized e-mail address of the person.
    """
    cookie = request.cookies.get(cookie_name("device", services().settings), "")
    try:
        person, device = _device_signer().loads(
            cookie, max_age=int(DEVICE_LIFETIME.total_seconds())
        )
    except (BadData, TypeError, ValueError):
        return ""
    return str(device) if person == person_key(email) else ""


def remember_device(email: str) -> None:
    """Let the response set the device cookie for the person with this e-mail address."""
    device = device_id(email) or secrets.token_urlsafe(16)
    g.device_cookie_to_send = _device_signer().dumps([person_key(email), device])


def _device_signer() -> URLSafeTimedSerializer:
    return timed_serializer(services().settings.secret_key, "device")


def cookie_name(name: str, settings: Settings) -> str:
    """Return the full name of the cookie `session`, `state` or `device`.

    If `settings.secure_cookies` is true, the full name begins with `__Host-` or, if the application
    has a URL prefix, with `__Secure-`. Otherwise, the full name is `name`, because browsers accept
    both prefixes only over HTTPS. Browsers accept `__Host-` only if this host sets the cookie for
    all of its paths, so no other host of the domain can replace the cookie.
    """
    if not settings.secure_cookies:
        return name
    return f"__Secure-{name}" if settings.url_prefix else f"__Host-{name}"


def _set_cookies(response: Response) -> Response:
    settings, path = services().settings, current_app.config["SESSION_COOKIE_PATH"]
    options: dict[str, Any] = {
        "path": path,
        "secure": settings.secure_cookies,
        "httponly": True,
        "samesite": "Lax",
    }
    token, device = g.pop("session_token_to_send", None), g.pop("device_cookie_to_send", None)
    if token:
        lifetime = services().session_lifetimes.absolute
        response.set_cookie(cookie_name("session", settings), token, max_age=lifetime, **options)
    elif token is not None:
        name = cookie_name("session", settings)
        for each in {name, OLD_COOKIE} & {name, *request.cookies}:
            response.delete_cookie(each, **options)
    if device:
        response.set_cookie(
            cookie_name("device", settings), device, max_age=DEVICE_LIFETIME, **options
        )
    return response
