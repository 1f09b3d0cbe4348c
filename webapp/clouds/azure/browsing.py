"""List the images of a subscription: managed images, and versions in compute galleries.

This module imports the SDK through `sdk`, so it is itself imported only on first use.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from webapp.clouds.azure import details, ids
from webapp.clouds.azure.sdk import Session
from webapp.clouds.browsing import ImageCollector
from webapp.clouds.errors import InvalidImageId, InvalidLocation
from webapp.clouds.follow_up import PARALLEL_CALLS, follow_up_deadline
from webapp.clouds.instants import parse_instant
from webapp.clouds.locators import ListedImage
from webapp.clouds.outgoing.calls import call_each_within

MAX_GALLERIES = 20
"""The maximum number of galleries whose definitions are listed for one result page.

Each gallery needs a call.
"""
MAX_DEFINITIONS = 100
"""The maximum number of image definitions whose versions are listed for one result page.

Each definition needs a call.
"""
_IMAGES, _VERSIONS = "images", "versions"
"""How a cursor names the two lists: the managed images, and the versions in galleries."""


@dataclass(frozen=True)
class _Gallery:
    """A compute gallery. `group` is its resource group."""

    name: str
    group: str

    @property
    def key(self) -> str:
        """The text by which galleries are sorted."""
        return f"{self.name} {self.group}"


@dataclass(frozen=True)
class _Definition:
    gallery: _Gallery
    name: str


def browse(session: Session, location: str, collector: ImageCollector) -> None:
    """Add to `collector` the managed images of the subscription, then the versions in galleries.

    If `location` is not '', only the images that are available there are added. The cursor consists
    of the name of the list that the next result page continues, and the position in this list.
    """
    list_name, _, position = collector.cursor.partition(":")
    if list_name != _VERSIONS:
        next_key = _add_managed_images(session, location, collector, position)
        if next_key:
            collector.next_cursor = f"{_IMAGES}:{next_key}"
            return
        position = ""
    first_gallery, _, after_definition = position.partition(":")
    collector.next_cursor = _add_versions(
        session, location, collector, first_gallery, after_definition
    )


def _add_managed_images(
    session: Session, location: str, collector: ImageCollector, last_key: str
) -> str:
    """Add managed images. Return the `last_key` for the next result page, or ''."""
    resources, is_complete = session.managed_images()
    collector.is_complete &= is_complete
    images = [
        _to_listed_image(each, details.text(each, "name"), "Managed image", "")
        for each in resources
        if _is_available(location, [details.text(each, "location")])
    ]
    return collector.add_page(filter(None, images), last_key)


def _add_versions(
    session: Session,
    location: str,
    collector: ImageCollector,
    first_gallery: str,
    after_definition: str,
) -> str:
    """Add the versions in a few galleries. Return the next cursor, or '' after the last gallery.

    `first_gallery` is the key of the first of these galleries. The definitions up to
    `after_definition`, in the order of `sort_key`, are left out, because previous result pages
    contain their versions.
    """
    deadline = follow_up_deadline()
    galleries, next_gallery = _galleries(session, collector, first_gallery)

    def sort_key(each: _Definition) -> str:
        # Each definition needs a call to list its versions, and the time is limited. So the
        # definitions that match the search come first.
        name = f"{each.name} {each.gallery.key}"
        return f"{int(not collector.matches(name))} {name}"

    definitions = {sort_key(each): each for each in _definitions(session, collector, galleries)}
    next_keys = sorted(key for key in definitions if key > after_definition)

    def versions(key: str) -> list[Mapping[str, Any]]:
        gallery = definitions[key].gallery
        return session.gallery_versions("", gallery.group, gallery.name, definitions[key].name)

    keys = next_keys[:MAX_DEFINITIONS]
    seconds = deadline - time.monotonic()
    versions_by_key = call_each_within(seconds, versions, keys, PARALLEL_CALLS)
    count = 0
    for key in keys:
        collector.is_complete &= key in versions_by_key
        for version in versions_by_key.get(key, ()):
            _add_version(collector, definitions[key], version, location)
        count += 1
        if collector.is_full:
            break
    if count < len(next_keys):
        return f"{_VERSIONS}:{first_gallery}:{next_keys[count - 1]}"
    return f"{_VERSIONS}:{next_gallery}:" if next_gallery else ""


def _galleries(
    session: Session, collector: ImageCollector, first_gallery: str
) -> tuple[list[_Gallery], str]:
    """Return a few galleries, and the key of the gallery after them, or '' if there is none.

    The galleries are sorted by their keys. The first is the gallery with the key `first_gallery`
    or, if it was deleted, the next gallery.
    """
    resources, is_complete = session.galleries()
    collector.is_complete &= is_complete
    galleries = [
        _Gallery(details.text(each, "name"), ids.group_in(details.text(each, "id")))
        for each in resources
    ]
    next_galleries = [each for each in galleries if each.key >= first_gallery]
    next_galleries.sort(key=lambda each: each.key)
    later_galleries = next_galleries[MAX_GALLERIES:]
    page = [each for each in next_galleries[:MAX_GALLERIES] if each.group and each.name]
    return page, later_galleries[0].key if later_galleries else ""


def _definitions(
    session: Session, collector: ImageCollector, galleries: Sequence[_Gallery]
) -> list[_Definition]:
    """Return the image definitions of the galleries."""
    definitions = []
    for gallery in galleries:
        resources, is_complete = session.gallery_definitions(gallery.group, gallery.name)
        collector.is_complete &= is_complete
        names = (details.text(each, "name") for each in resources)
        definitions += [_Definition(gallery, each) for each in names if each]
    return definitions


def _add_version(
    collector: ImageCollector, definition: _Definition, version: Mapping[str, Any], location: str
) -> None:
    publishing = details.mapping_at(details.mapping_at(version, "properties"), "publishingProfile")
    targets = publishing.get("targetRegions")
    regions = [
        details.text(each, "name")
        for each in (targets if isinstance(targets, list) else ())
        if isinstance(each, dict)
    ]
    if not _is_available(location, regions):
        return
    name = f"{definition.name} {details.text(version, 'name')}"
    origin = f"Gallery {definition.gallery.name}"
    image = _to_listed_image(version, name, origin, details.text(publishing, "publishedDate"))
    if image:
        collector.add(image)


def _is_available(location: str, regions: Iterable[str]) -> bool:
    """Return whether `location` is '' or one of `regions`.

    `regions` comes from a response of Azure. A text that is not the name of a region is ignored.
    """
    for region in regions:
        with suppress(InvalidLocation):
            if ids.parse_location(region) == location:
                return True
    return not location


def _to_listed_image(
    resource: Mapping[str, Any], name: str, origin: str, created: str
) -> ListedImage | None:
    """Return the image, or None if Azure returned an ID that is not the ID of an image."""
    try:
        image_id = ids.parse(details.text(resource, "id")).value
    except InvalidImageId:
        return None
    return ListedImage(image_id, name, origin, parse_instant(created))
