"""Collect the images that an adapter lists, up to a maximum number."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from webapp.clouds.locators import ListedImage

MAX_BROWSED = 500
"""The maximum number of images in a list. A person narrows a longer list with a search."""
MAX_PAGES = 10
"""The maximum number of pages that an adapter reads from its cloud for one list."""
OWNED, SHARED = "Owned", "Shared by "


@dataclass(frozen=True)
class ImageList:
    """Some of the images that credentials own or that are shared with them, the newest first."""

    images: tuple[ListedImage, ...]
    is_complete: bool
    """Whether the list contains all images that match the search."""


class Browser:
    """The images that match a search.

    An adapter adds the images that its cloud lists, page by page, until the list is full. If it
    stops before the cloud has listed all images, it sets `is_complete` to false.
    """

    def __init__(self, search: str) -> None:
        self.words = tuple(search.casefold().split())
        """The words of the search. Each of them must occur in the name or the ID of an image."""
        self.is_complete = True
        self._found: dict[str, ListedImage] = {}

    @property
    def is_full(self) -> bool:
        return len(self._found) > MAX_BROWSED

    def matches(self, text: str) -> bool:
        """Return whether `text` contains each word of the search."""
        folded = text.casefold()
        return all(word in folded for word in self.words)

    def add(self, image: ListedImage) -> None:
        """Add an image if it matches the search. If it was added before, do nothing."""
        if not self.is_full and self.matches(f"{image.name} {image.image_id} {image.origin}"):
            self._found.setdefault(image.image_id, image)

    def result(self) -> ImageList:
        """Return the images that were added, the newest first, and then by name."""
        oldest = datetime.min.replace(tzinfo=UTC)
        images = list(self._found.values())[:MAX_BROWSED]
        images.sort(key=lambda image: (image.name.casefold(), image.image_id))
        images.sort(key=lambda image: image.created or oldest, reverse=True)
        return ImageList(tuple(images), self.is_complete and not self.is_full)
