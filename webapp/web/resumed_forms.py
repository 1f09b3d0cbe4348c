"""Recover forms that were sent without a valid session or CSRF token, without processing them.

The person signs in if necessary, and the browser then sends the values again with a valid token and
the field RESUMED. A form with this field counts as invalid, so its view shows it again, filled in.
The person checks the values and sends the form.

This module must not know any form.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from urllib.parse import urlsplit

from flask import Flask, Response, g, request

from webapp.clouds import CLOUDS
from webapp.values.text import is_encodable
from webapp.web.rendering import toast

RESUMED = "resumed"
"""The name of the field that marks a form as sent again."""
MESSAGE = (
    "Your session had ended, so nothing was saved. Check the form and send it again. Enter "
    "passwords and secrets again, and choose files again."
)
DROPPED_NAMES = frozenset(
    {
        "csrf_token",
        RESUMED,
        "password",
        "current_password",
        *(
            field.name
            for cloud in CLOUDS.values()
            for field in cloud.credential_fields
            if field.secret
        ),
    }
)
"""The names of the fields whose values are not sent to the browser again."""


@dataclass(frozen=True)
class UnsentForm:
    """A form that was not processed: the path of its URL, and its (name, value) pairs."""

    path: str
    values: tuple[tuple[str, str], ...]

    def to_json(self) -> str:
        return json.dumps([self.path, self.values])


def init_app(app: Flask) -> None:
    app.after_request(_explain_redirect)


def current_unsent_form() -> UnsentForm | None:
    """Return the form in the current request, or None if the request came from another site.

    Secrets and files are left out.
    """
    if request.method != "POST" or not _is_from_this_site():
        return None
    values = request.form.items(multi=True)
    path = f"{request.script_root}{request.full_path}".rstrip("?")
    return UnsentForm(path, tuple(pair for pair in values if pair[0] not in DROPPED_NAMES))


def unsent_form_from_json(text: str) -> UnsentForm | None:
    """Return the form in a text of `UnsentForm.to_json`, or None for any other text.

    The caller must check the path.
    """
    try:
        path, pairs = json.loads(text)
        values = tuple((name, value) for name, value in pairs)
    except (ValueError, TypeError, RecursionError):
        return None
    texts = [path, *(text for pair in values for text in pair)]
    are_valid = all(isinstance(text, str) and is_encodable(text) for text in texts)
    return UnsentForm(path, values) if are_valid else None


def is_resumed() -> bool:
    """Return whether the current request sends a form again. Its view must only show the form."""
    return RESUMED in request.form


def refuse_resumed() -> str:
    """Return the message to show in a form that was sent again.

    If the view redirects instead of showing the form, `_explain_redirect` shows the message.
    """
    g.refused_resumed_form = True
    return MESSAGE


def _is_from_this_site() -> bool:
    """Return whether the browser says that a page of this site sent the request.

    Old browsers send neither header. Their forms are accepted, because a person checks the values.
    """
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    origin = request.headers.get("Origin")
    return site == "same-origin" and (origin is None or _host_of(origin) == request.host)


def _explain_redirect(response: Response) -> Response:
    """Show the message as a toast if the view redirects and so cannot show it in the form."""
    if g.get("refused_resumed_form") and response.status_code == 303:
        toast(MESSAGE, "warning")
    return response


def _host_of(origin: str) -> str:
    """Return the host and port of an Origin header, or '' if it has none."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""
