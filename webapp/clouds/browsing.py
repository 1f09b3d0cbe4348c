"""Collect the images that an adapter lists, page by page."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from webapp.clouds.locators import ListedImage

PAGE_LENGTH = 500
"""The number of images after which a page of the list is full. A page can have a few more images,
because a page of the cloud is never split."""
WHOLE_LIST_PAGE_LENGTH = 1_000
"""The maximum number of images in a page of a list that the cloud returns only as a whole. Such a
list is read again for each page, so it has fewer pages."""
MAX_PAGE_LENGTH = 1_000
"""The maximum number of images in a page of the list."""
MAX_PAGES = 20
"""The maximum number of pages that an adapter reads from its cloud for one page of the list."""
PAGE_SECONDS = 4.0
"""The time after which a page of the list ends, even if it is not full. The next page continues."""
OWNED, SHARED = "Owned", "Shared by "


@dataclass(frozen=True)
class ImageList:
    """A page of the images that credentials own or that are shared with them.

    The images of a page are sorted, the newest first. Clouds return the pages in their own order.
    """

    images: tuple[ListedImage, ...]
    next_cursor: str
    """Where the next page begins, or '' if this is the last page. Only the adapter knows what the
    text means."""
    is_complete: bool
    """Whether the pages together contain all images that match the search."""


class Browser:
    """The images that match a search.

    An adapter begins at `cursor`, and adds the images that its cloud lists until `has_enough`. If
    the cloud has more images, the adapter sets `next_cursor`. If some images can't be listed at
    all, it sets `is_complete` to false.
    """

    def __init__(self, search: str, cursor: str = "") -> None:
        """`cursor` is the `next_cursor` of the previous page, or '' for the first page.

        It is in the URL of the page, so it can be any text.
        """
        self.words = tuple(search.casefold().split())
        """The words of the search. Each of them must occur in the name or the ID of an image."""
        self.cursor = cursor
        self.next_cursor = ""
        self.is_complete = True
        self._found: dict[str, ListedImage] = {}
        self._end = time.monotonic() + PAGE_SECONDS

    @property
    def is_full(self) -> bool:
        return len(self._found) >= PAGE_LENGTH

    @property
    def has_enough(self) -> bool:
        """Whether the page is full, or has taken long enough."""
        return self.is_full or time.monotonic() >= self._end

    def matches(self, text: str) -> bool:
        """Return whether `text` contains each word of the search."""
        folded = text.casefold()
        return all(word in folded for word in self.words)

    def add(self, image: ListedImage) -> None:
        """Add an image if it matches the search. If it was added before, do nothing."""
        if not self._matches_image(image) or image.image_id in self._found:
            return
        if len(self._found) < MAX_PAGE_LENGTH:
            self._found[image.image_id] = image
        else:
            self.is_complete = False

    def add_page(self, images: Iterable[ListedImage], after: str) -> str:
        """Add a page of a list that was read as a whole: the images that follow `after`, by name.

        Return the value of `after` for the next page, or '' if there is no other page.
        """
        keys = {_key(image): image for image in images if self._matches_image(image)}
        following = sorted(key for key in keys if key > after)
        page = following[:WHOLE_LIST_PAGE_LENGTH]
        for key in page:
            self.add(keys[key])
        return page[-1] if page and len(page) < len(following) else ""

    def result(self) -> ImageList:
        """Return the images that were added, the newest first, and then by name."""
        oldest = datetime.min.replace(tzinfo=UTC)
        images = sorted(self._found.values(), key=_key)
        images.sort(key=lambda image: image.created or oldest, reverse=True)
        return ImageList(tuple(images), self.next_cursor, self.is_complete)

    def _matches_image(self, image: ListedImage) -> bool:
        return self.matches(f"{image.name} {image.image_id} {image.origin}")


def _key(image: ListedImage) -> str:
    """Return a text by which images are sorted by name. No two images have the same text."""
    return f"{image.name.casefold()} {image.image_id}"
