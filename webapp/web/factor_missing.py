"""The page for a person who needs a second factor to open a scope.

It links to the pages that set up a factor. They pass on the URL to return to, in the parameter
`next`.
"""

from __future__ import annotations

import logging

from flask import Response, request

from webapp.web.rendering import current_url, render, render_refusal, wants_fragment
from webapp.web.resumed_forms import current_unsent_form

TITLE = "You need a second factor to continue"
log = logging.getLogger(__name__)


def render_factor_missing() -> Response:
    """Return the page that says that a second factor is required here. It names no scope.

    A request of HTMX only gets a toast, so that everything that the person has typed stays.
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
