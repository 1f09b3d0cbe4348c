"""Keep the values of a form that was sent but not processed, and show the form again.

If the session or the CSRF token was not valid, the person signs in if necessary. Then the browser
sends the values again with a valid token and the field RESUMED. A view treats a form with this
field as invalid and shows it again with the values, so that the person can check and send it.

If the session was valid, but the person had to prove who they are, the form is sent again without
this field, and is processed. But if secrets or files had to be left out of the form, the form is
sent again with the value CONFIRMED in the field RESUMED, so that the view shows the form.

If the database did not work, the page of the outage sends the form again in the same way, with the
value OUTAGE if secrets or files had to be left out of the form.

This module must not know any form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from flask import request

from webapp.clouds import CLOUDS
from webapp.web.services import services

RESUMED = "resumed"
"""The name of the field that marks a form as sent again."""
MESSAGE = (
    "Your session had ended, so nothing was saved. Check the form and send it again. Enter "
    "passwords and secrets again, and choose files again."
)
CONFIRMED = "confirmed"
"""The value of the field RESUMED if the person had to prove who they are."""
CONFIRMED_MESSAGE = (
    "Nothing was saved yet, because you had to confirm that it’s you. Enter passwords and secrets "
    "again, choose files again, and send the form."
)
OUTAGE = "outage"
"""The value of the field RESUMED if the database did not work."""
OUTAGE_MESSAGE = (
    "Because of a problem with the database, your entries may not have been saved. Check the form, "
    "enter passwords and secrets again, choose files again, and send the form."
)
UNSENT_FORM = "unsent form"
"""The purpose of the encrypted text of a form, for `Vault.seal`."""
SECRETS = frozenset(
    {
        "password",
        "current_password",
        "code",
        "passkey",
        *(
            field.name
            for cloud in CLOUDS.values()
            for field in cloud.credential_fields
            if field.secret
        ),
    }
)
"""The names of the fields that contain passwords and secrets."""
DROPPED_NAMES = SECRETS | {"csrf_token", RESUMED}
"""The names of the fields whose values are not sent back to the browser."""


@dataclass(frozen=True)
class UnsentForm:
    """A form that was not processed.

    `path` is the path and query of the URL to which the form was sent. `page` is the path and query
    of the page that contains the form, or ''. `values` are the (name, value) pairs of the form.
    `is_complete` is false if `current_unsent_form` left out secrets or files. `encrypt` does not
    store `is_complete`.
    """

    path: str
    page: str
    values: Sequence[tuple[str, str]]
    is_complete: bool = True

    def encrypt(self) -> str:
        """Return the form as encrypted text for a hidden field.

        Only this application can create such a text. So another site cannot make this application
        show a form with values that the other site has chosen.
        """
        values = {"path": self.path, "page": self.page, "values": self.values}
        return services().vault.seal(values, UNSENT_FORM)


def current_unsent_form() -> UnsentForm | None:
    """Return the form in the current request, without secrets and files.

    Return None if the request is not a POST, or if it came from another site.
    """
    if request.method != "POST" or not is_from_this_site():
        return None
    values = [pair for pair in request.form.items(multi=True) if pair[0] not in DROPPED_NAMES]
    path = f"{request.script_root}{request.full_path}".rstrip("?")
    has_secrets = any(value for name, value in request.form.items(multi=True) if name in SECRETS)
    has_files = any(file.filename for file in request.files.values())
    # If the form was already sent again, it no longer contains its secrets and files.
    is_complete = not is_resumed() and not has_secrets and not has_files
    return UnsentForm(path, _page_of(request.referrer or ""), values, is_complete)


def posted_unsent_form() -> UnsentForm | None:
    """Return the form in the field `unsent` of this request, or None if the field is not valid."""
    encrypted = request.form.get("unsent", "")
    if not encrypted or not is_from_this_site():
        return None
    values = services().vault.unseal(encrypted, UNSENT_FORM)
    return UnsentForm(**values) if values and values.keys() == {"path", "page", "values"} else None


def is_from_this_site() -> bool:
    """Return whether the browser says that a page of this site sent the request.

    Browsers send the header Origin with every POST. They send Sec-Fetch-Site only over HTTPS and to
    localhost, so this header may be missing.
    """
    origin = request.headers.get("Origin", "")
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    return site == "same-origin" and bool(origin) and _host_of(origin) == request.host


def is_resumed() -> bool:
    """Return whether the current request sends a form again. The view must then only show it."""
    return RESUMED in request.form


def resumed_message() -> str:
    """Return the message above a form that is shown again."""
    messages = {CONFIRMED: CONFIRMED_MESSAGE, OUTAGE: OUTAGE_MESSAGE}
    return messages.get(request.values.get(RESUMED, ""), MESSAGE)


def _host_of(url: str) -> str:
    """Return the host and port of a URL, or '' if the URL has no host."""
    try:
        return urlsplit(url).netloc
    except ValueError:
        return ""


def _page_of(referrer: str) -> str:
    """Return the path and query of the page that sent the request, or '' if it is not known."""
    if _host_of(referrer) != request.host:
        return ""
    page = urlsplit(referrer)
    return f"{page.path}?{page.query}".rstrip("?")
