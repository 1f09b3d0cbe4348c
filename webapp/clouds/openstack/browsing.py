"""List the images of a project in Glance, and find the copies of an image in other regions.

A copy is an image with the same name and owner.

This module imports keystoneauth through `errors`, so it is imported only on first use.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from webapp.clouds import base
from webapp.clouds.browsing import MAX_PAGES, OWNED, SHARED_BY, ImageCollector
from webapp.clouds.details import ImageCopy, ImageDetails
from webapp.clouds.follow_up import follow_up_deadline, search_regions
from webapp.clouds.instants import parse_instant
from webapp.clouds.locators import ListedImage, Locator
from webapp.clouds.openstack import errors, ids
from webapp.clouds.openstack.details import image_details
from webapp.clouds.openstack.lookup import region_of

if TYPE_CHECKING:
    from webapp.clouds.openstack.sdk import Client, Login

_OWN, _SHARED = "own", "shared"
"""How a cursor names the two lists: the images of the project, and the images shared with it."""
PAGE_SIZE = 200
"""The number of images that `browse` requests at a time. Glance can return fewer."""


def browse(client: Client, location: str, collector: ImageCollector) -> None:
    """Add to `collector` the images of the project, and then the images that are shared with it.

    The cursor consists of the name of the list that the next result page continues, and Glance's
    marker. The marker is the ID of the last image that was read from this list, or '' if no image
    of this list was read.
    """
    login = client.login()
    region = region_of(login, location)
    queries = {_OWN: {"owner": login.project_id}, _SHARED: {"visibility": "shared"}}
    list_name, _, marker = collector.cursor.partition(":")
    for _ in range(MAX_PAGES):
        list_name = list_name if list_name in queries else _OWN
        arguments = {**queries[list_name], "limit": str(PAGE_SIZE), "sort": "created_at:desc"}
        if marker:
            arguments["marker"] = marker
        page, has_next_page = _read_page(client, login, region, arguments)
        for image in page:
            _add(collector, login, image)
        last = str(page[-1].get("id")) if page else ""
        # A server that ignores the marker returns the same page again. Stop reading such a list.
        can_continue = bool(ids.UUID.fullmatch(last)) and last != marker
        collector.is_complete &= can_continue or not has_next_page
        if has_next_page and can_continue:
            marker = last
        elif list_name == _OWN:
            list_name, marker = _SHARED, ""
        else:
            collector.next_cursor = ""
            return
        collector.next_cursor = f"{list_name}:{marker}"
        if collector.has_enough:
            return


def find_copies(client: Client, locator: Locator, details: ImageDetails) -> tuple[ImageCopy, ...]:
    """Return the copies in other regions: the images with the name and the owner in `details`."""
    deadline = follow_up_deadline()
    login = client.login()

    def find(region: str) -> list[ImageCopy]:
        page, _ = _read_page(client, login, region, {"name": details.name, "limit": "20"})
        found = [
            ImageCopy(region, str(image.get("id")), image_details(image))
            for image in page
            if image.get("name") == details.name and ids.UUID.fullmatch(str(image.get("id")))
        ]
        return [each for each in found if each.details.owner == details.owner]

    others = [region for region in login.image_urls if region != locator.location]
    found = search_regions(find, others, deadline, base.CALL_SECONDS)
    return tuple(chain.from_iterable(found.values()))


def _add(collector: ImageCollector, login: Login, image: dict[str, Any]) -> None:
    image_id, name, owner = (image.get(key) for key in ("id", "name", "owner"))
    if not isinstance(image_id, str) or not ids.UUID.fullmatch(image_id):
        return
    is_own = owner == login.project_id
    if not is_own and image.get("visibility") != "shared":
        return  # The image neither belongs to the project nor is shared with it.
    label = name if isinstance(name, str) and name else image_id
    origin = OWNED if is_own else f"{SHARED_BY}{owner or 'another project'}"
    collector.add(ListedImage(image_id, label, origin, parse_instant(image.get("created_at"))))


def _read_page(
    client: Client, login: Login, region: str, arguments: dict[str, str]
) -> tuple[list[dict[str, Any]], bool]:
    """Return the images of one page of a list, and whether another page follows.

    Raises CloudError.
    """
    response = client.get(region, f"{login.image_urls[region]}?{urlencode(arguments)}")
    if response.status_code == 404:
        raise errors.not_glance_error(region)
    if response.status_code != 200:
        raise errors.image_response_error(response, region, login.project)
    try:
        body = response.json()
    except (ValueError, RecursionError) as error:
        raise errors.not_glance_error(region) from error
    images = body.get("images") if isinstance(body, dict) else None
    if not isinstance(images, list):
        raise errors.not_glance_error(region)
    return [image for image in images if isinstance(image, dict)], bool(body.get("next"))
