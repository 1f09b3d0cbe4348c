"""Collect the images that an adapter lists, page by page.

A cloud returns its list of images in *response pages*. The registry returns the list in *result
pages*. A result page contains the matching images of one or more response pages. Some adapters read
the whole list for each result page, and return the next part of the matching images.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from webapp.clouds.locators import ListedImage

PAGE_LENGTH = 500
"""The number of images after which a result page is full.

A result page can have more images, because a response page is never split.
"""
WHOLE_LIST_PAGE_LENGTH = 1_000
"""The maximum number of images in a result page if the adapter reads the whole list for each page.

These result pages are longer than others, so that the whole list is read less often.
"""
MAX_PAGE_LENGTH = 1_000
"""The maximum number of images in a result page."""
MAX_PAGES = 20
"""The maximum number of response pages that an adapter reads for one result page.

This limit does not apply if the adapter reads the whole list for each result page.
"""
PAGE_SECONDS = 4.0
"""The seconds after which a result page ends, even if it is not full.

The next result page begins with the first response page that was not read. This limit does not
apply if the adapter reads the whole list for each result page.
"""
OWNED, SHARED_BY = "Owned", "Shared by "
"""The values of `ListedImage.origin` in AWS and OpenStack. The image's owner follows SHARED_BY."""


@dataclass(frozen=True)
class ImageList:
    """A result page: images that credentials own or that are shared with them.

    Within a result page, the newest images come first. The order of the result pages depends on the
    adapter. For example, it is the order of the cloud's list or, if `add_page` divides the whole
    list, the order of the names.
    """

    images: tuple[ListedImage, ...]
    next_cursor: str
    """Where the next result page begins, or '' if this is the last result page. Only the adapter
    knows what the text means."""
    is_complete: bool
    """False if this result page had to leave out images that may match the search."""


class ImageCollector:
    """Collects the images that match a search, for one result page.

    An adapter begins at `cursor`, and adds images of the cloud until `has_enough` is true. If
    the cloud has more images, the adapter sets `next_cursor`. If some images can't be listed at
    all, the adapter sets `is_complete` to false.
    """

    def __init__(self, search: str, cursor: str = "") -> None:
        """`cursor` is the `next_cursor` of the previous result page, or '' for the first.

        The cursor comes from the URL of the request, so it can be any text.
        """
        self.words = tuple(search.casefold().split())
        """The words of the search. Each word must occur in the name, ID or origin of an image."""
        self.cursor = cursor
        self.next_cursor = ""
        self.is_complete = True
        self._images: dict[str, ListedImage] = {}
        self._end = time.monotonic() + PAGE_SECONDS

    @property
    def is_full(self) -> bool:
        return len(self._images) >= PAGE_LENGTH

    @property
    def has_enough(self) -> bool:
        """Whether the result page is full, or PAGE_SECONDS have passed."""
        return self.is_full or time.monotonic() >= self._end

    def matches(self, text: str) -> bool:
        """Return whether `text` contains each word of the search, ignoring case."""
        folded = text.casefold()
        return all(word in folded for word in self.words)

    def add(self, image: ListedImage) -> None:
        """Add an image if it matches the search. If it was added before, do nothing."""
        if not self._matches_image(image) or image.image_id in self._images:
            return
        if len(self._images) < MAX_PAGE_LENGTH:
            self._images[image.image_id] = image
        else:
            self.is_complete = False

    def add_page(self, images: Iterable[ListedImage], last_key: str) -> str:
        """Add the images of one result page, and return the `last_key` for the next page.

        `images` is the whole list of the cloud, and `_key` returns the key of an image. The page
        begins after the image with the key `last_key`, or at the first image if `last_key` is ''.
        Return '' if this is the last page.
        """
        keys = {_key(image): image for image in images if self._matches_image(image)}
        next_keys = sorted(key for key in keys if key > last_key)
        page = next_keys[:WHOLE_LIST_PAGE_LENGTH]
        for key in page:
            self.add(keys[key])
        return page[-1] if page and len(page) < len(next_keys) else ""

    def result(self) -> ImageList:
        """Return the images that were added, the newest first.

        Images of the same age, or without a date, are sorted by name.
        """
        oldest = datetime.min.replace(tzinfo=UTC)
        images = sorted(self._images.values(), key=_key)
        images.sort(key=lambda image: image.created or oldest, reverse=True)
        return ImageList(tuple(images), self.next_cursor, self.is_complete)

    def _matches_image(self, image: ListedImage) -> bool:
        return self.matches(f"{image.name} {image.image_id} {image.origin}")


def _key(image: ListedImage) -> str:
    """Return the key that sorts images by name. No two images have the same key."""
    return f"{image.name.casefold()} {image.image_id}"
