"""Read one image from Glance. If this fails, find out why.

This module imports keystoneauth through `errors`, so it is imported only on first use.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from webapp.clouds.characters import fold
from webapp.clouds.details import ImageDetails
from webapp.clouds.errors import CloudError, ImageNotFound, ImageNotVisible, UnknownLocation
from webapp.clouds.follow_up import (
    follow_up_deadline,
    in_other_regions_error,
    search_regions,
    seconds_left,
)
from webapp.clouds.locators import Locator
from webapp.clouds.openstack import details, errors
from webapp.clouds.outgoing.calls import DeadlineExceeded, call_within

if TYPE_CHECKING:
    import requests

    from webapp.clouds.openstack.sdk import Client, Login


def describe(client: Client, locator: Locator) -> ImageDetails:
    """Return the details of the image. Raises CloudError.

    After the login, reading the image takes one request. If the image is not found, follow-up
    requests find out why.
    """
    deadline = follow_up_deadline()
    login = client.login()
    region = region_of(login, locator.location)
    if region != locator.location:
        found = describe(client, replace(locator, location=region))
        return replace(found, location=region)
    image = _read_image(client, login, locator.location, locator.image_id)
    if image is None:
        _require_image_list(client, login, locator.location, deadline)
        raise _not_found_error(client, login, locator, deadline)
    return details.image_details(image)


def region_of(login: Login, name: str) -> str:
    """Return the name of a region with an image service, as the catalog spells it.

    If no region is called exactly `name`, return the name that differs from `name` only in what
    `fold` ignores, such as case. Raises UnknownLocation if there is no such name, or if there are
    several.
    """
    if name in login.image_urls:
        return name
    spellings = [region for region in login.image_urls if fold(region) == fold(name)]
    if len(spellings) == 1:
        return spellings[0]
    if not login.image_urls:
        raise UnknownLocation(
            "OpenStack lists no image service for this project in any region. Ask your cloud "
            "administrator, or choose other credentials."
        )
    raise UnknownLocation(
        "No OpenStack region with this name has an image service. Available regions: "
        f"{errors.join_region_names(list(login.image_urls))}. Enter one of these names."
    )


def _read_image(client: Client, login: Login, region: str, image_id: str) -> dict[str, Any] | None:
    """Return Glance's description of the image, or None after the status 404. Raises CloudError."""
    response = client.get(region, f"{login.image_urls[region]}/{image_id}")
    if response.status_code == 404:
        return None
    if response.status_code != 200:
        raise errors.image_response_error(response, region, login.project)
    try:
        image = response.json()
    except (ValueError, RecursionError) as error:
        raise errors.not_glance_error(region) from error
    if not isinstance(image, dict) or image.get("id") != image_id or not image.get("status"):
        raise errors.not_glance_error(region)
    return image


def _require_image_list(client: Client, login: Login, region: str, deadline: float) -> None:
    """Raise CloudError unless Glance lists images for these credentials.

    After the status 404 for an image, the response for the list shows whether the image is really
    missing. A server that is not Glance returns 404 for the list as well. If the user is not
    allowed to read images, Glance returns 404 for every image, but 403 for the list.
    """
    url = f"{login.image_urls[region]}?limit=1"
    try:
        response = call_within(seconds_left(deadline), client.get, region, url)
    except (DeadlineExceeded, CloudError) as error:
        raise errors.image_may_exist_error(region) from error
    if response.status_code == 404:
        raise errors.not_glance_error(region)
    if response.status_code == 403:
        raise errors.image_response_error(response, region, login.project)
    if response.status_code != 200 or not _is_json_object(response):
        raise errors.image_may_exist_error(region)


def _is_json_object(response: requests.Response) -> bool:
    try:
        return isinstance(response.json(), dict)
    except (ValueError, RecursionError):
        return False


def _not_found_error(
    client: Client, login: Login, locator: Locator, deadline: float
) -> ImageNotFound | ImageNotVisible:
    """Return the error for a missing image. Its message names other regions that have the image.

    Glance gives the same response for a deleted image and for an image that is private to another
    project. So if no other region has the image, return ImageNotVisible.
    """
    problem = f"There is no image {locator.image_id} in {locator.location}"

    def has_image(region: str) -> bool:
        return _read_image(client, login, region, locator.image_id) is not None

    others = [region for region in login.image_urls if region != locator.location]
    regions = search_regions(has_image, others, deadline)
    if regions:
        return in_other_regions_error(problem, list(regions))
    return ImageNotVisible(
        f"{problem}, or it is private to another project. Check the ID, the location and the "
        "project of the credentials.",
        login.project_id,
    )
