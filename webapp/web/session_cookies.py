"""Session cookies that servers accept from each other although their clocks differ."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Flask, Request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from itsdangerous import BadSignature

from webapp.people.sessions import CLOCK_DIFFERENCE, COOKIE_LIFETIME


class SessionCookies(SecureCookieSessionInterface):
    """Flask's session cookies, which may also be signed by a server whose clock is ahead.

    By itself, Flask refuses a cookie that was signed in the future, so the person is signed out.
    """

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession:
        serializer = self.get_signing_serializer(app)
        cookie = request.cookies.get(self.get_cookie_name(app))
        if serializer is None or not cookie:
            return self.session_class()
        try:
            values, signed_at = serializer.loads(cookie, return_timestamp=True)
        except BadSignature:
            return self.session_class()
        age = datetime.now(UTC) - signed_at
        is_valid = -CLOCK_DIFFERENCE <= age <= COOKIE_LIFETIME
        return self.session_class(values if is_valid else None)
