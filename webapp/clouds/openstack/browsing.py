"""List the images of a project in Glance, and find the same image in other regions.

This module imports keystoneauth through `errors`, so it is imported only on first use.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from webapp.clouds import base
from webapp.clouds.answers import parse_instant
from webapp.clouds.browsing import MAX_PAGES, OWNED, SHARED, Browser
from webapp.clouds.details import ImageCopy, ImageDetails
from webapp.clouds.follow_up import follow_up_deadline, search_regions
from webapp.clouds.locators import ListedImage, Locator
from webapp.clouds.openstack import errors, ids
from webapp.clouds.openstack.details import image_details
from webapp.clouds.openstack.lookup import region_of

if TYPE_CHECKING:
    from webapp.clouds.openstack.sdk import Client, Login

PAGE_SIZE = 200
"""The number of images that are requested with one call. Glance can return fewer."""


def browse(client: Client, location: str, browser: Browser) -> None:
    """Add the images of the project, and the images that are shared with it, to `browser`."""
    login = client.login()
    region = region_of(login, location)
    for query in ({"owner": login.project_id}, {"visibility": "shared"}):
        for image in _images(client, login, region, query, browser):
            _add(browser, login, image)


def find_copies(client: Client, locator: Locator, details: ImageDetails) -> tuple[ImageCopy, ...]:
    """Return the images in other regions that have the name and the owner of `details`."""
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


def _add(browser: Browser, login: Login, image: dict[str, Any]) -> None:
    image_id, name, owner = (image.get(key) for key in ("id", "name", "owner"))
    if not isinstance(image_id, str) or not ids.UUID.fullmatch(image_id):
        return
    is_own = owner == login.project_id
    if not is_own and image.get("visibility") != "shared":
        return  # The image is public for everybody.
    label = name if isinstance(name, str) and name else image_id
    origin = OWNED if is_own else f"{SHARED}{owner or 'another project'}"
    browser.add(ListedImage(image_id, label, origin, parse_instant(image.get("created_at"))))


def _images(
    client: Client, login: Login, region: str, query: dict[str, str], browser: Browser
) -> Iterator[dict[str, Any]]:
    """Yield the images of all pages, until `browser` is full or MAX_PAGES pages were read."""
    arguments = {**query, "limit": str(PAGE_SIZE), "sort": "created_at:desc"}
    seen = set()
    for _ in range(MAX_PAGES):
        page, has_next_page = _read_page(client, login, region, arguments)
        yield from page
        marker = str(page[-1].get("id")) if page else ""
        if not has_next_page or not ids.UUID.fullmatch(marker) or browser.is_full:
            return
        if marker in seen:  # The server ignores the marker.
            break
        seen.add(marker)
        arguments["marker"] = marker
    browser.is_complete = False


def _read_page(
    client: Client, login: Login, region: str, arguments: dict[str, str]
) -> tuple[list[dict[str, Any]], bool]:
    """Return one page of a list, and whether another page follows. Raises CloudError."""
    response = client.get(region, f"{login.image_urls[region]}?{urlencode(arguments)}")
    if response.status_code == 404:
        raise errors.not_glance_error(region)
    if response.status_code != 200:
        raise errors.image_response_error(response, region, login.project)
    try:
        answer = response.json()
    except (ValueError, RecursionError) as error:
        raise errors.not_glance_error(region) from error
    images = answer.get("images") if isinstance(answer, dict) else None
    if not isinstance(images, list):
        raise errors.not_glance_error(region)
    return [image for image in images if isinstance(image, dict)], bool(answer.get("next"))
