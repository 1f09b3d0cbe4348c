"""The images of a scope: lists, searches and single images."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Annotated

from flask import g
from msgspec import UNSET, Meta, Struct, UnsetType

from models import Image as ImageRecord
from models import SavedView
from webapp.access import Forbidden, Right
from webapp.api.image_documents import Image, ImageSummary, document_of, summary_of
from webapp.api.operations import Answer, RecordId, operation
from webapp.api.paging import LIMIT, Cursor, Limit, foreign_cursor, page_links
from webapp.api.problems import LONGEST_ECHO, ApiProblem, FieldError
from webapp.clouds.messages import shorten
from webapp.images import recently_deleted
from webapp.search import catalogue, saved_views
from webapp.search.catalogue import Listing
from webapp.search.ordering import SORTS

TAG = "Images"
DEFAULT_SORT = "-created"


class ListQuery(Struct, forbid_unknown_fields=True):
    """The parameters of the list of images."""

    q: Annotated[
        str,
        Meta(
            description="A search, as in the search box of the Images page.", examples=["os:ubuntu"]
        ),
    ] = ""
    sort: Annotated[
        str,
        Meta(description=f"One of {', '.join(SORTS)}. A leading minus reverses the order."),
    ] = ""
    view: Annotated[
        RecordId | UnsetType,
        Meta(description="The ID of a saved view. Its search is combined with `q`."),
    ] = UNSET
    limit: Limit = LIMIT
    cursor: Cursor = ""
    total: Annotated[bool, Meta(description="Whether to count all images that match.")] = False


class ImageList(Struct):
    """One page of images."""

    items: list[ImageSummary]
    next: Annotated[str | None, Meta(description="The URL of the next page, or null.")]
    total: Annotated[
        int | UnsetType, Meta(description="The number of images that match, if requested.")
    ] = UNSET
    total_is_exact: Annotated[
        bool | UnsetType, Meta(description="False if more images than `total` match.")
    ] = UNSET


@operation(
    "GET /images",
    tag=TAG,
    right=Right.VIEW_IMAGES,
    problems=("search-not-understood",),
)
def list_images(query: ListQuery) -> Answer[ImageList]:
    """List or search the images of a scope.

    The list contains the images that the scope owns and the shared images of the scopes above. With
    `in:below`, it also contains the images of the scopes below. If a part of the search can't be
    used, the request fails.
    """
    listing = _listing_of(query)
    page = catalogue.find_page(g.actor, g.scope, listing)
    found = ImageList(items=[summary_of(each) for each in page.images], next=None)
    if query.total:
        count = page.count
        if not count.counted:
            count = catalogue.count_matches(g.actor, g.scope, listing.query)
        found.total, found.total_is_exact = count.number, count.exact
    found.next, headers = page_links(page.next)
    return Answer(found, headers=headers)


@operation("GET /images/<int:image_id>", tag=TAG, right=Right.VIEW_IMAGES, problems=("deleted",))
def get_image(image_id: int) -> Answer[Image]:
    """Get an image that the scope owns or inherits."""
    return answer_with(visible_image(image_id))


def answer_with(image: ImageRecord, status: int = 200) -> Answer[Image]:
    """Return the `Answer` that contains an image and its revision."""
    return Answer(document_of(image), status, revision=image.revision)


def visible_image(image_id: int) -> ImageRecord:
    """Return an image that the scope owns or inherits.

    Raises ApiProblem: 410 if the image was deleted in the last 24 hours, and 404 otherwise.
    """
    image = catalogue.find_visible_image(g.scope, image_id)
    if image is not None:
        return image
    deleted = recently_deleted.visible_from(g.scope, image_id)
    if deleted is None:
        raise ApiProblem("not-found")
    raise ApiProblem(
        "deleted",
        f"“{deleted.name}” was deleted. Until {deleted.restorable_until:%Y-%m-%d %H:%M} UTC, it "
        "can be restored.",
    )


def owned_image(image_id: int) -> ImageRecord:
    """Return an image that the scope owns.

    Raises ApiProblem like `visible_image`. Raises Forbidden if the scope inherits the image,
    because an inherited image can be changed only at the scope that owns it.
    """
    image = visible_image(image_id)
    if image.scope_id != g.scope.id:
        raise Forbidden(Right.EDIT_IMAGES, image.scope)
    image.scope = g.scope
    return image


def _listing_of(query: ListQuery) -> Listing:
    """Return the listing that the parameters describe. Raises ApiProblem and NotUnderstood."""
    text, sort = query.q, query.sort
    if query.view is not UNSET:
        view = saved_views.find_visible_view(g.actor, g.scope, query.view)
        if view is None:
            raise _invalid("view", f"There is no view with the ID {query.view} at this scope.")
        text, sort = _combine_search(view, text, sort)
    sort = sort or DEFAULT_SORT
    name = sort.removeprefix("-")
    if name not in SORTS:
        similar = get_close_matches(name, SORTS, n=1, cutoff=0.5)
        hint = f" Did you mean “{similar[0]}”?" if similar else f" Use one of: {', '.join(SORTS)}."
        raise _invalid("sort", f"“{shorten(name, LONGEST_ECHO)}” isn’t a sort order.{hint}")
    parsed = catalogue.parse_search(g.scope, text)
    parsed.require_understood()
    listing = Listing(
        parsed, name, descending=sort.startswith("-"), size=query.limit, after=query.cursor
    )
    if not catalogue.is_valid_cursor(listing):
        raise foreign_cursor()
    return listing


def _combine_search(view: SavedView, text: str, sort: str) -> tuple[str, str]:
    """Return the search and the sort order of a list that uses a view.

    The search is the view's search combined with `text`. The order is `sort`, or the view's order
    if `sort` is empty.
    """
    parameters = saved_views.parameters_of(view)
    return f"{parameters.get('q', '')} {text}".strip(), sort or parameters.get("sort", "")


def _invalid(parameter: str, message: str) -> ApiProblem:
    return ApiProblem("invalid-request", message, [FieldError(parameter, message)])
