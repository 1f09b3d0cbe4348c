"""The page for a person who needs a second factor to open a scope.

The page links to Sign-in and security, with the URL to return to in the parameter `next`. The pages
that set up a factor pass this parameter on.
"""

from __future__ import annotations

import logging

from flask import Response, request

from webapp.web.rendering import current_url, render, render_refusal, wants_fragment
from webapp.web.resumed_forms import current_unsent_form

TITLE = "You need a second factor to continue"
log = logging.getLogger(__name__)


def render_factor_missing() -> Response:
    """Return the page that says that a second factor is required here.

    The page names no scope, because the person must not see the scope without a second factor. The
    response to HTMX is only a toast, so everything that the person has typed stays.
    """
    log.info("refused: a second factor is required")
    if wants_fragment():
        return render_refusal(TITLE, "", 403, toast_message=f"{TITLE}. Reload this page.")
    unsent = current_unsent_form()
    return render(
        "people/factor_missing.html",
        title=TITLE,
        return_to=unsent.page if unsent else current_url(),
        is_form=request.method == "POST",
        status=403,
    )
