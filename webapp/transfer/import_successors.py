"""Find the successors that are named in the lines of a file, and check them.

The lines of a file are applied one after another, and each line can change which successors are
valid. So this module applies each line to a model of the database in memory, and checks the next
line against the model. Each image is a node of the model. If the file registers the image, the node
is the image's identity. Otherwise, the node is the image's ID.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from peewee import fn

from models import Image, LifeCycle, Scope
from webapp.clouds.locators import Locator
from webapp.images.identity import ImageIdentity, parse_references, reference_to_image
from webapp.images.successors import (
    LONGEST_CHAIN,
    InvalidSuccessor,
    referenced_id,
    retired_successor_error,
    successors_from,
)
from webapp.values.text import normalized

Node = int | ImageIdentity
_ReferenceKey = tuple[str, str, str | None, str | None]
"""A key that finds the images to which a reference in a text can refer.

The key consists of a cloud, an image key, a location or None for any location, and a compute
resource or None for any compute resource.
"""
CHUNK_SIZE = 500
"""The maximum number of values in a query."""


@dataclass(frozen=True)
class KnownImage:
    """A registered image, or an image in the file, that a line can name as the successor."""

    node: Node
    identity: ImageIdentity
    locator: Locator
    name: str
    retired: bool = False

    def label(self, predecessor: ImageIdentity) -> str:
        """Return the text by which an export names this image as the successor of `predecessor`."""
        return reference_to_image(self.identity, self.locator, predecessor)


class Successors:
    """The successors of the images that `scope` sees, and of the images in a file.

    `in_file` are the images of the lines. `texts` are the texts by which lines name successors.
    `stored_successors` are the IDs of the images' current successors.
    """

    def __init__(
        self,
        scope: Scope,
        in_file: Iterable[KnownImage],
        texts: Collection[str],
        stored_successors: Collection[int],
    ) -> None:
        self._scope = scope
        self._by_key: dict[str, dict[Node, KnownImage]] = defaultdict(dict)
        self._by_reference_key: dict[_ReferenceKey, dict[Node, KnownImage]] = defaultdict(dict)
        self._by_name: dict[str, dict[Node, KnownImage]] = defaultdict(dict)
        self._successor_by_node: dict[Node, Node | None] = {}
        self._in_file: set[Node] = set()
        for image in in_file:
            self._in_file.add(image.node)
            self._add(image)
        registered = {node for node in self._in_file if isinstance(node, int)}
        self._load(texts, {*stored_successors, *registered})

    def find(self, identity: ImageIdentity, text: str, stored_successor: int | None) -> KnownImage:
        """Return the image that `text` names.

        `identity` is the image of the line, and `stored_successor` is the ID of this image's stored
        successor, or None. Images with the cloud, location and compute resource of the line's image
        take precedence. If several images match equally, return the stored successor if it is one
        of them. If it is not, or if no image matches at all, raise InvalidSuccessor.
        """
        image_id, is_explicit = referenced_id(text)
        found = self._by_id.get(image_id) if image_id else None
        if found:
            return found
        if is_explicit:
            raise self._not_found(text)
        groups = self._nearest(identity, text)
        if not groups and (named := self._by_name.get(normalized(text))):
            groups = [named]
        if not groups:
            raise self._not_found(text)
        for group in groups:
            if stored_successor is not None and stored_successor in group:
                return group[stored_successor]
        if sum(map(len, groups)) > 1:
            raise InvalidSuccessor(
                f"More than one image matches the successor “{text[:80]}”. Enter the ID of the "
                "image, such as #12. It is the number at the end of the URL of the image’s page."
            )
        return next(iter(groups[0].values()))

    def label(self, image_id: int, predecessor: ImageIdentity) -> str:
        """Return the text by which an export names an image as the successor of `predecessor`.

        If the scope can't see the image, return the ID of the image, such as '#12'.
        """
        image = self._by_id.get(image_id)
        return image.label(predecessor) if image else f"#{image_id}"

    def require_valid(self, node: Node, successor: KnownImage) -> None:
        """Raise InvalidSuccessor if the image at `node` can't have this successor.

        The lines before the line of this image are already applied to the model.
        """
        if successor.node == node:
            raise InvalidSuccessor("An image can’t be its own successor. Choose another image.")
        # A retired successor in the file is valid: an export can contain an image whose successor
        # was retired before the export.
        if successor.retired and not self.is_in_file(successor):
            raise retired_successor_error(successor.name)
        if node in islice(self._chain(successor.node), LONGEST_CHAIN):
            raise InvalidSuccessor(
                "The successors of that image lead back to this image. Choose another image."
            )

    def is_in_file(self, successor: KnownImage) -> bool:
        return successor.node in self._in_file

    def set(self, node: Node, successor: Node | None) -> None:
        """Store the successor that an image has after its line is applied."""
        self._successor_by_node[node] = successor

    def _nearest(self, identity: ImageIdentity, text: str) -> Sequence[Mapping[Node, KnownImage]]:
        """Return the best matches among the images that `text` can name by a cloud image ID.

        `identity` is the image of the line. If `text` contains a location, the images in this
        location match better than other images. Otherwise, the images in the cloud and location of
        the line's image match better. Among these images, an image on the expected compute resource
        matches best. The expected compute resource is the resource in `text` or, if `text` contains
        none, the resource of the line's image.

        The result has one group of images for each cloud, and no group is empty. The same cloud
        image ID can occur in thousands of locations, and thousands of lines can name this ID. So
        the number of steps for a line must not depend on the number of images.
        """
        same_resource: list[_ReferenceKey] = []
        same_location: list[_ReferenceKey] = []
        anywhere: list[_ReferenceKey] = []
        for reference in self._references[text]:
            image = (reference.cloud.key, reference.image_key)
            location, resource = reference.location, reference.compute_resource
            if location or reference.cloud.key == identity.cloud:
                near = location or identity.location
                expected = identity.compute_resource if resource is None else resource
                same_resource.append((*image, near, expected))
                same_location.append((*image, near, resource or None))
            anywhere.append((*image, location or None, resource or None))
        for reference_keys in (same_resource, same_location, anywhere):
            groups = [
                self._by_reference_key[each]
                for each in reference_keys
                if each in self._by_reference_key
            ]
            if groups:
                return groups
        return []

    def _not_found(self, text: str) -> InvalidSuccessor:
        return InvalidSuccessor(
            f"There is no image with the ID, cloud image ID or name “{text[:80]}” at "
            f"{self._scope.label} or in this file."
        )

    def _chain(self, node: Node | None) -> Iterator[Node]:
        """Yield the image at `node`, its successor, and so on.

        `_load` has read all successors of registered images.
        """
        while node is not None:
            yield node
            node = self._successor_by_node.get(node)

    def _add(self, image: KnownImage) -> None:
        self._by_key[image.identity.image_key].setdefault(image.node, image)
        self._by_name[image.name].setdefault(image.node, image)

    def _load(self, texts: Collection[str], image_ids: Collection[int]) -> None:
        """Read the registered images with these IDs, and the images that `texts` may name.

        Also read the successors of these images, the successors of the successors, and so on.
        """
        named_ids = {image_id for image_id, _ in map(referenced_id, texts) if image_id}
        self._references = {text: parse_references(text) for text in texts}
        keys = {each.image_key for found in self._references.values() for each in found}
        self._by_id: dict[int, KnownImage] = {}
        for field, values in (
            (Image.id, {*image_ids, *named_ids, *self._ids_with_names(texts)}),
            (Image.image_key, keys),
        ):
            for chunk in _chunks(list(values)):
                self._load_where(field.in_(chunk))
        for key in keys:
            for node, known_image in self._by_key.get(key, {}).items():
                for reference_key in _reference_keys(known_image.identity):
                    self._by_reference_key[reference_key][node] = known_image
        for node, successor in successors_from(self._by_id).items():
            self._successor_by_node.setdefault(node, successor)

    def _ids_with_names(self, names: Collection[str]) -> Collection[int]:
        """Return the IDs of at most two visible images for each name.

        Thousands of images can have the same name, but two are enough to see that the name is
        ambiguous.
        """
        columns = (fn.MIN(Image.id), fn.MAX(Image.id))
        found: set[int] = set()
        for chunk in _chunks(list({normalized(name) for name in names})):
            condition = Image.name.in_(chunk) & Image.visible_from(self._scope)
            query = Image.select(*columns).where(condition).group_by(Image.name)
            found.update(*query.tuples())
        return found

    def _load_where(self, condition: object) -> None:
        columns = (
            *(Image.id, Image.cloud, Image.location, Image.cloud_image_id),
            *(Image.compute_resource, Image.name, Image.status),
        )
        for row in Image.select(*columns).where(condition & Image.visible_from(self._scope)):
            image = KnownImage(
                row.id,
                ImageIdentity.from_image(row),
                Locator(row.location, row.cloud_image_id, row.compute_resource),
                row.name,
                retired=row.status is LifeCycle.RETIRED,
            )
            self._by_id[row.id] = image
            # An image of the file can be found by its stored name and by its new name in the file.
            self._by_key[image.identity.image_key][row.id] = image
            self._by_name[row.name][row.id] = image


def _reference_keys(identity: ImageIdentity) -> Iterator[_ReferenceKey]:
    """Yield the keys of all references that can refer to the image with this identity."""
    for location in (identity.location, None):
        for resource in (identity.compute_resource, None):
            yield identity.cloud, identity.image_key, location, resource


def _chunks(values: Sequence[object]) -> Iterator[Sequence[object]]:
    for start in range(0, len(values), CHUNK_SIZE):
        yield values[start : start + CHUNK_SIZE]
