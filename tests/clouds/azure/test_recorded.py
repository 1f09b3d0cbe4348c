"""The Azure adapter against real answers of the Resource Manager, replayed over a socket."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from sandbox import faulty, tls
from sandbox.azure_manager import json_answer
from sandbox.faulty import Answer, Request
from tests.clouds.azure.answers import after_login, arm_error
from tests.clouds.azure.peer import AzurePeer
from tests.clouds.vendor_data import folder
from webapp.clouds.azure.adapter import Azure
from webapp.clouds.credentials import CredentialValues
from webapp.clouds.details import Fact, ImageDetails, ImageState
from webapp.clouds.errors import CloudError, ImageNotFound, InvalidImageId
from webapp.clouds.locators import Locator
from webapp.images import image_details, operating_systems

NOBODY = "00000000-0000-0000-0000-000000000000"
NOT_FOUND = arm_error("NotFound", "Artifact: VMImage was not found.", 404)
LOCATION = re.compile(r"/locations/([^/]+)/(?:edgeZones/[^/]+/)?", re.IGNORECASE)
URN = re.compile(
    r"publishers/([^/]+)/artifacttypes/vmimage/offers/([^/]+)/skus/([^/]+)/versions/([^/]+)$",
    re.IGNORECASE,
)


SHARED = r"/(?:community|shared)Galleries(?:/[^/]+)?"


class Replay:
    """A server that returns the recorded answer for a path. It ignores an edge zone in the path."""

    def __init__(self) -> None:
        self.bodies: dict[str, Any] = {}

    def __call__(self, request: Request) -> Answer | None:
        body = self.bodies.get(_without_edge_zone(request.path))
        return NOT_FOUND(request) if body is None else json_answer(body)


def _without_edge_zone(path: str) -> str:
    return re.sub(r"/edgezones/[^/]+", "", path.split("?", maxsplit=1)[0].lower())


@pytest.fixture(scope="module")
def replay() -> Replay:
    return Replay()


@pytest.fixture(scope="module")
def credentials(replay: Replay) -> Iterator[CredentialValues]:
    with faulty.serve(after_login(replay), tls=tls.trusted()) as url:
        good = AzurePeer().credentials(url)
        yield CredentialValues({**good, "subscription_id": NOBODY})


def test_every_recorded_answer_is_described_or_explained(
    replay: Replay, credentials: CredentialValues
) -> None:
    """The adapter turns each answer into facts, or into an error that a person can act on."""
    recordings = json.loads((folder("azure") / "azure_real_recordings.json").read_text())
    interactions = recordings["interactions"]
    everything = {_without_edge_zone(each["path"]): each["body"] for each in interactions}
    adapter = Azure()
    outcomes: Counter[str] = Counter()
    for each in interactions:
        path = each["path"].split("?")[0]
        replay.bodies = {**everything, _without_edge_zone(path): each["body"]}
        outcomes[_outcome_of(adapter, credentials, path, each["body"])] += 1
    assert sum(outcomes.values()) == 307
    assert outcomes == {
        "marketplace image: facts": 85,
        "marketplace latest: facts": 38,
        "marketplace latest: empty": 5,
        f"marketplace latest: {NOT_RECORDED}": 34,
        "marketplace offers and SKUs: read to explain an error": 18,
        "managed image: facts": 26,
        "gallery definition: facts": 12,
        f"gallery definition: {NOT_RECORDED}": 16,
        "gallery version: facts": 30,
        "gallery latest: facts": 2,
        "locations: facts": 1,
        "not supported: a list of images: refused without a call": 3,
        "shared version: facts": 12,
        "shared latest: facts": 4,
        "shared gallery or definition: refused without a call": 21,
    }


def _outcome_of(adapter: Azure, credentials: CredentialValues, path: str, body: Any) -> str:
    """Check how the adapter reads an answer. Return the kind of the answer and the outcome."""
    location = LOCATION.search(path)
    region = location[1].lower() if location else ""

    def describe(image_id: str) -> ImageDetails:
        canonical = adapter.parse_image_id(image_id).value
        details = adapter.describe(credentials, Locator(region, canonical))
        assert image_details.from_json(image_details.to_json(details)) == details
        assert details.os_texts
        return details

    for pattern, kind, check in _KINDS:
        found = re.search(pattern, path, re.IGNORECASE)
        if found:
            return f"{kind}: {check(describe, path, body, *found.groups())}"
    assert path.endswith("/locations")
    labels = [each.label for each in adapter.locations(credentials)]
    assert len(labels) == len(body["value"])
    assert "westeurope — West Europe" in labels
    return "locations: facts"


Describe = Callable[[str], ImageDetails]
FACTS = "facts"
NOT_RECORDED = "not found, because related answers were not recorded"


def _check_marketplace_image(
    describe: Describe, path: str, body: Mapping[str, Any], *urn: str
) -> str:
    details = describe(":".join(urn))
    properties = body["properties"]
    assert details.size_gb == properties["osDiskImage"]["sizeInGb"]
    assert details.architecture == ("x86_64" if "architecture" in properties else "")
    assert details.state is ImageState.AVAILABLE
    assert len(details.volumes) == 1 + len(properties["dataDiskImages"])
    assert bool(details.warnings) == ("plan" in properties)
    return FACTS


def _check_latest(describe: Describe, path: str, body: Any, *sku: str) -> str:
    names = [each["name"] for each in body]
    if not names:
        with pytest.raises(ImageNotFound):
            describe(":".join((*sku, "latest")))
        return "empty"
    newest = max(names, key=lambda name: tuple(map(int, name.split("."))))
    try:
        details = describe(":".join((*sku, "latest")))
    except ImageNotFound as error:
        reasons = (f"newest version is {newest}", "no such", ", but ")
        assert any(reason in str(error) for reason in reasons)  # noqa: PT017  any reason is correct
        return NOT_RECORDED
    assert details.image_id.split("/")[-1] == newest
    return FACTS


def _check_list(describe: Describe, path: str, body: Any, publisher: str, _skus: str) -> str:
    """The adapter reads these lists to explain which part of an ID is wrong."""
    parts = ["no-such-offer", "no-such-sku", "1.2.3"]
    offer = re.search(r"offers/([^/]+)/skus$", path, re.IGNORECASE)
    if offer:
        parts[0] = offer[1]
    with pytest.raises(ImageNotFound, match=r"has no such|publisher doesn’t exist"):
        describe(":".join((publisher, *parts)))
    return "read to explain an error"


def _check_managed_image(describe: Describe, path: str, body: Mapping[str, Any], name: str) -> str:
    details = describe(path)
    assert details.name == name
    storage = body["properties"]["storageProfile"]
    assert details.size_gb == storage["osDisk"].get("diskSizeGB")
    assert len(details.volumes) == 1 + len(storage["dataDisks"])
    assert details.state is ImageState.AVAILABLE
    return FACTS


def _check_definition(describe: Describe, path: str, body: Mapping[str, Any]) -> str:
    """A definition alone is not an image, but a definition with a version is."""
    with pytest.raises(InvalidImageId, match="without a version"):
        describe(path)
    try:
        details = describe(f"{path}/versions/1.1.2")
    except ImageNotFound as error:
        assert body["name"] in str(error)  # noqa: PT017  both outcomes are correct
        return NOT_RECORDED
    assert details.name == ""
    assert Fact("definition", "Image definition", body["name"]) in details.facts
    return FACTS


def _check_version(describe: Describe, path: str, body: Mapping[str, Any], number: str) -> str:
    properties = body["properties"]
    try:
        details = describe(path)
    except ImageNotFound as error:
        assert number in str(error)  # noqa: PT017  the definition was not recorded
        return NOT_RECORDED
    assert details.created_at is not None
    assert (
        details.created_at.isoformat()[:19] == properties["publishingProfile"]["publishedDate"][:19]
    )
    assert details.size_gb == properties["storageProfile"]["osDiskImage"]["sizeInGB"]
    return FACTS


def _check_versions(describe: Describe, path: str, body: Mapping[str, Any]) -> str:
    try:
        details = describe(f"{path}/latest")
    except ImageNotFound as error:
        assert "latest" in str(error)  # noqa: PT017  the definition was not recorded
        return NOT_RECORDED
    assert details.image_id.endswith(f"/versions/{body['value'][-1]['name']}")
    return FACTS


def _check_shared_version(
    describe: Describe, path: str, body: Mapping[str, Any], number: str
) -> str:
    try:
        details = describe(path)
    except ImageNotFound as error:
        assert "no such image" in str(error)  # noqa: PT017  the definition was not recorded
        return NOT_RECORDED
    properties = body["properties"]
    assert details.created_at is not None
    assert details.created_at.isoformat()[:19] == properties["publishedDate"][:19]
    disk = properties["storageProfile"]["osDiskImage"]
    assert details.size_gb == disk["diskSizeGB"]
    facts = {each.key: each.value for each in details.facts}
    assert facts["version"] == number
    assert facts["latest"] == "Yes"
    assert details.lookup_location
    return FACTS


def _check_shared_versions(describe: Describe, path: str, body: Mapping[str, Any]) -> str:
    details = describe(f"{path}/latest")
    assert details.image_id == body["value"][-1]["identifier"]["uniqueId"]
    return FACTS


def _check_no_version(describe: Describe, path: str, *_: object) -> str:
    words = "without a version", "the ID of a", "has no resource group"
    with pytest.raises(InvalidImageId, match="|".join(words)):
        describe(path)
    return "refused without a call"


def _check_image_list(describe: Describe, path: str, *_: object) -> str:
    with pytest.raises(InvalidImageId):
        describe(path)
    return "refused without a call"


_KINDS: tuple[tuple[str, str, Callable[..., str]], ...] = (
    (rf"{SHARED}/images/[^/]+/versions/([^/]+)$", "shared version", _check_shared_version),
    (rf"{SHARED}/images/[^/]+/versions$", "shared latest", _check_shared_versions),
    (SHARED, "shared gallery or definition", _check_no_version),
    (URN.pattern, "marketplace image", _check_marketplace_image),
    (
        r"publishers/([^/]+)/artifacttypes/vmimage/offers/([^/]+)/skus/([^/]+)/versions$",
        "marketplace latest",
        _check_latest,
    ),
    (
        r"publishers/([^/]+)/artifacttypes/vmimage/offers((?:/[^/]+/skus)?)$",
        "marketplace offers and SKUs",
        _check_list,
    ),
    (r"galleries/[^/]+/images/[^/]+/versions/([^/]+)$", "gallery version", _check_version),
    (r"galleries/[^/]+/images/[^/]+/versions$", "gallery latest", _check_versions),
    (r"galleries/[^/]+/images/[^/]+$", "gallery definition", _check_definition),
    (r"Compute/images/([^/]+)$", "managed image", _check_managed_image),
    (r"/images$", "not supported: a list of images", _check_image_list),
)

FAMILIES: tuple[tuple[str, str], ...] = (
    (r"ubuntu.*?/(\d\d)[._](\d\d)", "ubuntu"),
    (r"focal/(20)_(04)", "ubuntu"),
    (r"linuxdsvmubuntu", "ubuntu"),
    (r"debian-(\d+)/", "debian"),
    (r"/centos/(\d+)", "centos"),
    (r"/rhel/(\d+)", "rhel"),
    (r"windows.*?/(20\d\d)(?:-(r2))?", "windows-server"),
)
"""Pairs of a pattern and an operating system family. If a URN matches the pattern, its image has
this family, and the groups of the pattern contain the version."""


def test_the_suggested_operating_system(replay: Replay, credentials: CredentialValues) -> None:
    data = folder("azure")
    images = json.loads((data / "azure_marketplace_images.json").read_text())["images"]
    interactions = json.loads((data / "azure_real_recordings.json").read_text())["interactions"]
    bodies = {(each["urn"], each["location"]): each["body"] for each in images}
    for each in interactions:
        urn, location = URN.search(each["path"]), LOCATION.search(each["path"])
        if urn and location:
            bodies["/".join(urn.groups()), location[1].lower()] = each["body"]
    adapter = Azure()
    correct, wrong, unrecognizable = 0, [], []
    for (urn_text, region), body in bodies.items():
        replay.bodies = {_without_edge_zone(_path_of(urn_text, region)): body}
        details = adapter.describe(credentials, Locator(region, urn_text))
        expected = _expected_system(urn_text)
        found = operating_systems.suggest(details.os_texts)
        if expected is None:
            unrecognizable.append((urn_text, found))
        elif found and (found.family, found.version) == expected:
            correct += 1
        else:
            wrong.append((urn_text, found))
    assert len(images) == 41
    assert len(bodies) >= 41
    assert correct >= 0.95 * (correct + len(wrong)), wrong
    assert correct > 50
    assert not [found for _, found in unrecognizable if found], unrecognizable


def _path_of(urn: str, region: str) -> str:
    publisher, offer, sku, version = urn.split("/")
    return (
        f"/subscriptions/{NOBODY}/providers/Microsoft.Compute/locations/{region}/publishers/"
        f"{publisher}/artifacttypes/vmimage/offers/{offer}/skus/{sku}/versions/{version}"
    )


def _expected_system(urn: str) -> tuple[str, str] | None:
    for pattern, family in FAMILIES:
        found = re.search(pattern, urn.lower())
        if found:
            separator = "-" if family == "windows-server" else "."
            return family, separator.join(filter(None, found.groups()))
    return None


def test_answers_missing_in_the_replay_are_not_found(
    replay: Replay, credentials: CredentialValues
) -> None:
    replay.bodies = {}
    with pytest.raises(CloudError, match="publisher doesn’t exist"):
        Azure().describe(credentials, Locator("westus", "Nobody/offer/sku/1.2.3"))
