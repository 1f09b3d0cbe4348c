"""List the images of a subscription: managed images, and versions in compute galleries.

This module imports the SDK through `sdk`, so it is imported only on first use.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from webapp.clouds.answers import parse_instant
from webapp.clouds.azure import details, ids
from webapp.clouds.azure.sdk import Session
from webapp.clouds.browsing import Browser
from webapp.clouds.errors import InvalidImageId
from webapp.clouds.follow_up import REGIONS_AT_ONCE, follow_up_deadline
from webapp.clouds.locators import ListedImage
from webapp.clouds.outgoing.calls import call_each_within

MAX_GALLERIES = 20
MAX_DEFINITIONS = 100
"""The maximum number of image definitions whose versions are listed, each with one call."""


@dataclass(frozen=True)
class _Definition:
    group: str
    gallery: str
    name: str


def browse(session: Session, location: str, browser: Browser) -> None:
    """Add the images of the subscription to `browser`.

    With a location, only the images that are available there are added.
    """
    deadline = follow_up_deadline()
    images, is_complete = session.managed_images()
    browser.is_complete &= is_complete
    for image in images:
        region = details.text(image, "location")
        if not location or ids.parse_location(region) == location:
            _add(browser, image, details.text(image, "name"), "Managed image", "")
    definitions = _definitions(session, browser)
    # Azure lists the versions of only one definition at a time. So the definitions that match the
    # search are read first.
    definitions.sort(key=lambda each: not browser.matches(f"{each.name} {each.gallery}"))
    browser.is_complete &= len(definitions) <= MAX_DEFINITIONS

    def versions(each: _Definition) -> list[Mapping[str, Any]]:
        return session.gallery_versions("", each.group, each.gallery, each.name)

    asked = definitions[:MAX_DEFINITIONS]
    found = call_each_within(deadline - time.monotonic(), versions, asked, REGIONS_AT_ONCE)
    browser.is_complete &= len(found) == len(asked)
    for definition in asked:
        for version in found.get(definition, ()):
            _add_version(browser, definition, version, location)


def _definitions(session: Session, browser: Browser) -> list[_Definition]:
    """Return the image definitions of all galleries."""
    galleries, is_complete = session.galleries()
    browser.is_complete &= is_complete and len(galleries) <= MAX_GALLERIES
    definitions = []
    for gallery in islice(galleries, MAX_GALLERIES):
        group, name = ids.group_in(details.text(gallery, "id")), details.text(gallery, "name")
        if not group or not name:
            continue
        found, is_complete = session.gallery_definitions(group, name)
        browser.is_complete &= is_complete
        names = (details.text(each, "name") for each in found)
        definitions += [_Definition(group, name, each) for each in names if each]
    return definitions


def _add_version(
    browser: Browser, definition: _Definition, version: Mapping[str, Any], location: str
) -> None:
    publishing = details.mapping_at(details.mapping_at(version, "properties"), "publishingProfile")
    targets = publishing.get("targetRegions")
    regions = {
        ids.parse_location(details.text(each, "name"))
        for each in (targets if isinstance(targets, list) else ())
        if isinstance(each, dict)
    }
    if location and location not in regions:
        return
    name = f"{definition.name} {details.text(version, 'name')}"
    origin = f"Gallery {definition.gallery}"
    _add(browser, version, name, origin, details.text(publishing, "publishedDate"))


def _add(
    browser: Browser, resource: Mapping[str, Any], name: str, origin: str, created: str
) -> None:
    """Add an image, unless Azure returned an ID that is not the ID of an image."""
    try:
        image_id = ids.parse(details.text(resource, "id")).value
    except InvalidImageId:
        return
    browser.add(ListedImage(image_id, name, origin, parse_instant(created)))
