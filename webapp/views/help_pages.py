"""The help pages: the user chapters of `docs/`, and the reference of the API.

Every signed-in person can read these pages, even a person without a scope.
"""

from __future__ import annotations

from flask import Blueprint, Response, abort
from flask_login import login_required

from webapp.api import reference, urls
from webapp.web import chapters
from webapp.web.rendering import render

pages = Blueprint("help", __name__, url_prefix="/help")


@pages.get("")
@login_required
def index() -> Response:
    return render("help/index.html", chapters=chapters.all_chapters())


@pages.get("/api/reference")
@login_required
def api_reference() -> Response:
    """Render the reference of the API, with a command to try each operation."""
    return render("help/api_reference.html", sections=reference.sections(), api_url=urls.root_url())


@pages.get("/<name>")
@login_required
def chapter(name: str) -> Response:
    if name not in chapters.NAMES:
        abort(404)
    return render(
        "help/chapter.html", chapters=chapters.all_chapters(), chapter=chapters.chapter(name)
    )
