"""Finding the image that a line names as its successor, among many images with the same ID."""

from __future__ import annotations

import contextlib
import random
from collections import defaultdict
from collections.abc import Collection

import pytest

from tests.conftest import ScopeAt
from webapp.clouds.locators import Locator
from webapp.images.identity import ImageIdentity, ImageReference, parse_references
from webapp.images.successors import InvalidSuccessor
from webapp.transfer.import_successors import KnownImage, Node, Successors

AMI = "ami-0123456789abcdef0"
UUID = "6f2b8c1e-1a3d-4e5f-8a9b-0c1d2e3f4a5b"
URN = "canonical/noble/server/1.0.0"
LOCATIONS = ("us-east-1", "eu-west-1", "ap-south-1")
IDS = {"aws": AMI, "openstack": UUID, "vmware": UUID, "azure": URN}
TEXTS = [
    *(AMI, UUID, URN, AMI.upper(), "web", "ami-0fedcba9876543210", f"//:{UUID}:one"),
    *(f"{location}:{image_id}" for location in LOCATIONS for image_id in (AMI, UUID, URN)),
    *(f"{place}:{UUID}:{resource}" for place in LOCATIONS for resource in ("one", "TWO", "x", "")),
]


def known_image(
    cloud: str, location: str, resource: str = "", node: Node | None = None
) -> KnownImage:
    locator = Locator(location, IDS[cloud], resource)
    identity = ImageIdentity.from_locator(cloud, locator)
    return KnownImage(identity if node is None else node, identity, locator, "web")


def best_matches(
    images: Collection[KnownImage], predecessor: ImageIdentity, text: str
) -> set[KnownImage]:
    """Return the images that `text` names, by comparing each image with each reference."""
    ranked = defaultdict(set)
    for reference in parse_references(text):
        resource = reference.compute_resource
        resource = predecessor.compute_resource if resource is None else resource
        for image in images:
            candidate = image.identity
            if not _matches(reference, candidate):
                continue
            is_near = candidate.location == (reference.location or predecessor.location) and (
                bool(reference.location) or candidate.cloud == predecessor.cloud
            )
            ranked[is_near + (is_near and candidate.compute_resource == resource)].add(image)
    return ranked[max(ranked)] if ranked else {each for each in images if each.name == text}


@pytest.mark.parametrize("seed", range(40))
def test_the_nearest_image_is_found(seed: int, scope: ScopeAt) -> None:
    choose = random.Random(seed)
    places = [
        (cloud, location, resource)
        for cloud in IDS
        for location in LOCATIONS
        for resource in (("", "one", "two") if cloud == "vmware" else ("",))
        if cloud != "azure" or location == LOCATIONS[0]
    ]
    chosen = choose.sample(places, choose.randint(0, len(places)))
    images = [
        known_image(*place, node=choose.choice((None, 1_000_000 + number)))
        for number, place in enumerate(chosen)
    ]
    successors = Successors(scope("acme"), images, TEXTS, ())
    nodes = [image.node for image in images if isinstance(image.node, int)]
    for text in TEXTS:
        for place in places:
            predecessor, stored = known_image(*place).identity, choose.choice([None, *nodes])
            expected = best_matches(images, predecessor, text)
            expected = {image for image in expected if image.node == stored} or expected
            if len(expected) == 1:
                assert {successors.find(predecessor, text, stored)} == expected
                continue
            words = "More than one image" if expected else "There is no image"
            with pytest.raises(InvalidSuccessor, match=words):
                successors.find(predecessor, text, stored)


class CountedImage(KnownImage):
    """An image that counts how often its identity is read."""

    reads = 0

    def __getattribute__(self, name: str) -> object:
        CountedImage.reads += name == "identity"
        return super().__getattribute__(name)


@pytest.mark.parametrize(
    ("cloud", "text"),
    [
        ("aws", "region-{}:" + AMI),
        ("aws", AMI),
        ("vmware", "region-{}:" + UUID),
        ("vmware", "region-{}:" + UUID + ":one"),
        ("vmware", "/:" + UUID + ":one"),
    ],
)
def test_few_candidates_are_compared(cloud: str, text: str, scope: ScopeAt) -> None:
    """Each line names one of many images with the same ID."""
    images = []
    for number in range(300):
        image = known_image(cloud, f"region-{number}")
        images.append(CountedImage(image.node, image.identity, image.locator, image.name))
    texts = [text.format(number) for number in range(300)]
    successors = Successors(scope("acme"), images, texts, ())
    CountedImage.reads = 0
    for each in texts:
        with contextlib.suppress(InvalidSuccessor):
            successors.find(known_image(cloud, "elsewhere").identity, each, None)
    assert CountedImage.reads <= len(texts)


def _matches(reference: ImageReference, identity: ImageIdentity) -> bool:
    """Return whether the reference refers to the image with this identity.

    An empty location or compute resource of the reference matches every value of the identity.
    """
    return (
        (identity.cloud, identity.image_key) == (reference.cloud.key, reference.image_key)
        and reference.location in {"", identity.location}
        and (reference.compute_resource or identity.compute_resource) == identity.compute_resource
    )
