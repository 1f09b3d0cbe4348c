"""The rules for successors, and the search for the image that a text identifies.

The successor of an image is the image that replaces it.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from models import Image, LifeCycle, Scope
from webapp.clouds.messages import shorten
from webapp.images.identity import image_id_condition
from webapp.refusals import Refusal
from webapp.values.text import normalized

LONGEST_CHAIN = 1_000
"""The maximum number of images to visit when looking for a cycle, including the first image."""
CHUNK_SIZE = 500
"""The maximum number of images whose successors one query finds."""
_ID_REFERENCE = re.compile(r"#([0-9]{1,9})(?:\s.*)?|([0-9]{1,9})", re.DOTALL)


class InvalidSuccessor(Refusal):
    """The image can't be the successor, or the text does not identify exactly one image."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "successor")


def reference_to(image_id: int, name: str) -> str:
    """Return the text by which `find_image` finds a registered image, such as '#12 noble'."""
    return f"#{image_id} {name}"


def referenced_id(text: str) -> tuple[int | None, bool]:
    """Return the ID of a registered image from `text`, or None, and whether the ID is explicit.

    An ID with "#" is explicit. Without "#", the text can also be a cloud image ID or a name.
    """
    match = _ID_REFERENCE.fullmatch(text.strip())
    return (int(match[1] or match[2]), bool(match[1])) if match else (None, False)


def find_image(scope: Scope, text: str) -> Image:
    """Return the image that `text` identifies, among the images that `scope` can see.

    `text` is the ID of a registered image ('12' or '#12 noble'), a cloud image ID in any spelling,
    or a name. Raises InvalidSuccessor if no image or more than one image matches.
    """
    text = text.strip()
    visible = Image.visible_from(scope)
    image_id, is_explicit = referenced_id(text)
    if image_id is not None:
        found = list(Image.select().where(visible & (Image.id == image_id)))
        if found or is_explicit:
            return _only_one(found, text, scope)
    matches = Image.name == normalized(text)
    if (has_image_id := image_id_condition(text)) is not None:
        matches |= has_image_id
    return _only_one(list(Image.select().where(visible & matches).limit(2)), text, scope)


def parse_successor(scope: Scope, text: str) -> int | None:
    """Return the ID of the successor that `text` identifies, or None for an empty text.

    Raises InvalidSuccessor if no image or more than one image matches, or if the image is retired.
    """
    if not text.strip():
        return None
    successor = find_image(scope, text)
    _require_not_retired(successor)
    image_id: int = successor.id
    return image_id


def visible_successor(image: Image, scope: Scope) -> Image | None:
    """Return the successor of `image` if `scope` can see it, or None."""
    if image.successor_id is None:
        return None
    visible = Image.visible_from(scope) & (Image.id == image.successor_id)
    successor: Image | None = Image.get_or_none(visible)
    return successor


def require_valid_successor(
    image: Image, successor_id: int, *, may_be_retired: bool = False
) -> None:
    """Raise InvalidSuccessor if the image with this ID can't be the successor of `image`."""
    visible = Image.visible_from(image.scope) & (Image.id == successor_id)
    successor = Image.select(Image.id, Image.name, Image.status).where(visible).first()
    if successor is None:
        raise InvalidSuccessor(f"There is no image #{successor_id} at {image.scope.label}.")
    if successor.id == image.id:
        raise InvalidSuccessor("An image can’t be its own successor. Choose another image.")
    if not may_be_retired:
        _require_not_retired(successor)
    # If this image is not the successor of any image, no chain of successors can lead back to it.
    if Image.select(Image.id).where(Image.successor == image.id).exists() and (
        image.id in successors_from([successor_id])
    ):
        raise InvalidSuccessor(
            "The successors of that image lead back to this image. Choose another image."
        )


def successors_from(image_ids: Collection[int]) -> dict[int, int | None]:
    """Return a mapping from the ID of an image to the ID of its successor.

    The mapping contains the images `image_ids`, their successors, the successors of these
    successors, and so on. If an image has no successor, its value is None. The number of visited
    images is at most LONGEST_CHAIN times the number of `image_ids`.
    """
    successor_ids: dict[int, int | None] = {}
    unvisited_ids = list(image_ids)
    while unvisited_ids:
        chunk, unvisited_ids = unvisited_ids[:CHUNK_SIZE], unvisited_ids[CHUNK_SIZE:]
        first = Image.select(Image.id, Image.successor).where(Image.id.in_(chunk))
        chain = first.cte("chain", recursive=True, columns=("id", "successor_id"))
        following_images = Image.select(Image.id, Image.successor).join(
            chain, on=(Image.id == chain.c.successor_id)
        )
        # UNION removes images that were already visited, so the query ends even in a cycle.
        visited = chain.union(following_images)
        query = visited.select_from(visited.c.id, visited.c.successor_id)
        successor_ids |= dict(query.limit(LONGEST_CHAIN * len(chunk)).tuples())
    return successor_ids


def retired_successor_error(name: str) -> InvalidSuccessor:
    return InvalidSuccessor(f"The successor “{name}” is retired. Choose another image.")


def _require_not_retired(successor: Image) -> None:
    if successor.status is LifeCycle.RETIRED:
        raise retired_successor_error(successor.name)


def _only_one(found: list[Image], text: str, scope: Scope) -> Image:
    if not found:
        raise InvalidSuccessor(
            f"There is no image with the ID, cloud image ID or name “{shorten(text, 80)}” at "
            f"{scope.label}."
        )
    if len(found) > 1:
        raise InvalidSuccessor(
            f"More than one image matches “{shorten(text, 80)}”. Enter the ID of the image "
            "instead. It is the number at the end of the URL of the image’s page."
        )
    return found[0]
