"""The palette: one search over the pages, scopes and images that a person can open."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Response, g, request
from flask_login import login_required

from models import Scope
from webapp.people import scopes
from webapp.search import catalogue
from webapp.search.catalogue import Listing
from webapp.search.rows import ListedImage
from webapp.values.text import is_encodable
from webapp.views.arguments import search_text
from webapp.views.person_pages import pages
from webapp.web.navigation import Link, find_pages
from webapp.web.rendering import render, scope_url, url_at

MAX_PAGES = 8
MAX_SCOPES = 5
MAX_IMAGES = 5
MAX_TEXT_LENGTH = 200


@dataclass(frozen=True)
class Palette:
    """The results of a search. `scope` is the scope whose pages and images are searched."""

    text: str
    scope: Scope | None
    pages: list[Link]
    scopes: list[Scope]
    images: list[ListedImage]
    has_more_images: bool
    problem: str
    """The reason why no images were searched, or an empty text."""

    @property
    def size(self) -> int:
        """The number of results. The link to all matching images counts as a result."""
        return len(self.pages) + len(self.scopes) + len(self.images) + self.has_more_images

    def url_of(self, image: ListedImage) -> str:
        """Return the URL of an image's page.

        If a scope below the searched scope owns the image, this is the page at the owner.
        Otherwise, it is the page at the searched scope.
        """
        if self.scope and image.scope_id in {self.scope.id, *self.scope.above}:
            return scope_url(self.scope, "image", image_id=image.id)
        return url_at(image.level, image.owner_path, "image", image_id=image.id)


@pages.get("/palette")
@login_required
def palette() -> Response:
    text, scope = search_text()[:MAX_TEXT_LENGTH], _requested_scope()
    images, has_more, problem = _find_images(scope, text) if scope else ([], False, "")
    found = Palette(
        text=text,
        scope=scope,
        pages=find_pages(g.actor, scope, text, MAX_PAGES),
        scopes=scopes.visible_to(g.actor, text, MAX_SCOPES).rows,
        images=images,
        has_more_images=has_more,
        problem=problem,
    )
    return render(
        "palette/palette.html", fragment="palette/_results.html", background=True, found=found
    )


def _requested_scope() -> Scope | None:
    """Return the scope in the query string if the person may see it, else their home scope.

    Return None for a person without a role.
    """
    path = request.args.get("scope", "")
    scope = Scope.at(path) if is_encodable(path) else None
    if scope is None or g.actor.role_at(scope) is None:
        return scopes.home_scope(g.actor)
    return scope


def _find_images(scope: Scope, text: str) -> tuple[list[ListedImage], bool, str]:
    """Return the newest images that a search finds, whether there are more, and a problem or ''.

    If a part of the search cannot be used, return no images, and the reason as the problem. Also
    return no images for an empty search and for `in:below` alone, because they match every image.
    """
    query = catalogue.parse_search(scope, text)
    if query.problems:
        return [], False, query.problems[0].message
    if query.terms == query.reach.terms:
        return [], False, ""
    page = catalogue.find_page(g.actor, scope, Listing(query, size=MAX_IMAGES))
    return page.images, bool(page.next), ""
