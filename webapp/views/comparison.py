"""Compare an image with another image, or with itself as it was after an earlier check."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from flask import Response, abort, g, url_for

from models import Image
from webapp.access import Right
from webapp.audit import log
from webapp.audit.log import Entry
from webapp.images import comparison, successors
from webapp.images.comparison import Section
from webapp.images.successors import InvalidSuccessor
from webapp.views.arguments import id_argument, search_text
from webapp.views.image_access import sees_credentials, visible_image_or_404
from webapp.views.scope_pages import needs, pages
from webapp.web.rendering import redirect, render

MAX_ENTRIES = 200
"""The maximum number of audit entries that are read to find earlier checks, the newest first."""
LABEL_NAME_LENGTH = 16
"""The maximum length of the image's name in a label that also names the other image or a check."""


@pages.get("/images/<int:image_id>/compare")
@needs(Right.VIEW_IMAGES)
def compare_image(image_id: int) -> Response:
    image = visible_image_or_404(image_id)
    checks = _checks(image)
    page = partial(_page, image, checks)
    if entry_id := id_argument("check"):
        check = next((each for each in checks.entries if each.id == entry_id), None)
        if check is None:
            abort(404)
        newer_entries = log.image_entries_since(
            image, check.id, MAX_ENTRIES, show_credentials=sees_credentials()
        )
        sections = comparison.compare_with_earlier(
            image, newer_entries, show_credentials=sees_credentials()
        )
        return page(sections, check=check)
    if not (text := search_text()):
        return page([])
    try:
        other = successors.find_image(g.scope, text)
    except InvalidSuccessor as error:
        return page([], text=text, error=error.message, status=422)
    if text != str(other.id):
        return redirect(url_for(".compare_image", image_id=image.id, q=other.id))
    sections = comparison.compare(image, other, show_credentials=sees_credentials())
    reference = successors.reference_to(other.id, other.name)
    return page(sections, other=other, text=reference)


@dataclass(frozen=True)
class _Checks:
    """The checks with which a person can compare the image, the newest first.

    `are_complete` is false if the image has more than MAX_ENTRIES audit entries. In this case, the
    image may have older checks that cannot be chosen.
    """

    entries: list[Entry]
    are_complete: bool


def _checks(image: Image) -> _Checks:
    """Return the checks with which a person can compare an image.

    The registration counts as a check. If the newest audit entry is a check, leave it out, because
    the image has not changed since that check.
    """
    found = log.image_page(image, show_credentials=False, size=MAX_ENTRIES)
    checks = [each for each in found.entries[1:] if each.action in comparison.CHECK_ACTIONS]
    return _Checks(checks, found.older is None)


def _page(
    image: Image,
    checks: _Checks,
    sections: list[Section],
    *,
    other: Image | None = None,
    check: Entry | None = None,
    text: str = "",
    error: str = "",
    status: int = 200,
) -> Response:
    return render(
        "images/compare.html",
        label=_label(image, other, check),
        image=image,
        other=other,
        check=check,
        checks=checks.entries,
        checks_are_complete=checks.are_complete,
        max_entries=MAX_ENTRIES,
        sections=sections,
        successor=successors.visible_successor(image, g.scope),
        text=text,
        error=error,
        status=status,
    )


def _label(image: Image, other: Image | None, check: Entry | None) -> str:
    """Return the title of the page, which is also its label in the bookmarks bar."""
    name = image.name
    if len(name) > LABEL_NAME_LENGTH:
        name = f"{name[: LABEL_NAME_LENGTH - 1]}…"
    if check is not None:
        return f"Compare {name} with {check.at:%Y-%m-%d %H:%M} UTC"
    if other is not None:
        return f"Compare {name} with {successors.reference_to(other.id, other.name)}"
    return f"Compare {image.name}"
