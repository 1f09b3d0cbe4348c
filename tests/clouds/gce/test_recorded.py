"""The Compute Engine adapter and its sandbox, compared with data from Google.

The adapter reads images and errors that were recorded from Google. Every answer of the sandbox is
validated against Google's description of the API.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from sandbox import faulty, gce, gce_images
from tests.clouds import prism, vendor_data
from tests.clouds.gce.answers import JSON
from tests.clouds.gce.peer import gce_credentials
from webapp.clouds.details import ImageDetails, ImageState
from webapp.clouds.errors import CloudError, ImageNotFound
from webapp.clouds.gce.adapter import Gce
from webapp.clouds.gce.details import resource_path
from webapp.clouds.locators import Locator
from webapp.images import operating_systems

# The operating systems of the recorded images, by the prefix of the image name.
SYSTEMS = {
    "backports-debian-7": ("debian", "7"),
    "centos-6": ("centos", "6"),
    "centos-7": ("centos", "7"),
    "coreos-alpha": ("coreos", "alpha"),
    "coreos-beta": ("coreos", "beta"),
    "coreos-stable": ("coreos", "stable"),
    "cos-beta-65": ("cos", "65"),
    "cos-stable-63": ("cos", "63"),
    "debian-12": ("debian", "12"),
    "debian-6": ("debian", "6"),
    "debian-7": ("debian", "7"),
    "opensuse-13-1": ("opensuse", "13.1"),
    "rhel-7": ("rhel", "7.0"),  # according to the description of the image
    "sles-11-sp3": ("sles", "11-sp3"),
    "sles-11-sp4": ("sles", "11-sp4"),
    "sles-12-sp2": ("sles", "12-sp2"),
    "sles-12-sp3": ("sles", "12-sp3"),
    "suse-manager-3-1": ("sles", "12-sp2"),  # according to the description of the image
    "ubuntu-1204": ("ubuntu", "12.04"),
    "ubuntu-1404": ("ubuntu", "14.04"),
    "ubuntu-1410": ("ubuntu", "14.10"),
    **{
        f"sql-{year}-{edition}-windows-{windows}": ("windows-server", windows)
        for year in (2012, 2014, 2016, 2017)
        for edition in ("enterprise", "express", "standard", "web")
        for windows in ("2012-r2", "2016")
    },
}


def recorded(name: str) -> Any:
    return json.loads((vendor_data.folder("gcp") / name).read_text())


@pytest.fixture(scope="module")
def pairs() -> list[tuple[dict[str, Any], ImageDetails]]:
    """Return each recorded image with the details that the adapter reads from it."""
    adapter, answers = Gce(), iter(recorded("gce_images.json")["items"])
    found: list[tuple[dict[str, Any], ImageDetails]] = []
    current_image: dict[str, Any] = {}

    def replay(_: faulty.Request) -> faulty.Answer:
        return faulty.Answer(200, json.dumps(current_image).encode(), JSON)

    with faulty.serve(replay) as url:
        credentials = gce_credentials(url)
        for image in answers:
            current_image = image
            found.append(
                (
                    image,
                    adapter.describe(credentials, Locator("", resource_path(image["selfLink"]))),
                )
            )
    return found


def test_real_images_become_facts(pairs: list[tuple[dict[str, Any], ImageDetails]]) -> None:
    for image, details in pairs:
        facts = {fact.key: fact.value for fact in details.facts}
        assert details.name == image["name"]
        assert details.description == image.get("description", "")
        assert details.size_gb == (int(image.get("diskSizeGb", 0)) or None)
        assert details.created_at == datetime.fromisoformat(image["creationTimestamp"])
        assert details.image_id == ""
        assert facts["number"] == str(int(image["id"]))
        assert facts["project"] == resource_path(image["selfLink"]).partition("/")[0]
        assert facts.get("family") == image.get("family")
        assert ("licenses" in facts) == bool(image.get("licenses"))
        assert ("replacement" in facts) == ("replacement" in image.get("deprecated", {}))
        deprecated = image.get("deprecated", {}).get("state") == "DEPRECATED"
        state = ImageState.DEPRECATED if deprecated else ImageState.AVAILABLE
        assert details.state is state
    states = Counter(details.state for _, details in pairs)
    assert len(pairs) == 93
    assert states == {ImageState.DEPRECATED: 67, ImageState.AVAILABLE: 26}


def test_there_is_one_statement_about_each_deprecated_image(
    pairs: list[tuple[dict[str, Any], ImageDetails]],
) -> None:
    statements: Counter[str] = Counter()
    for image, details in pairs:
        deprecated = image.get("deprecated", {})
        if not deprecated:
            assert (details.state_note, details.replacement) == ("", "")
            continue
        start, _, rest = details.state_note.partition(". It still works, but a newer image is rec")
        statements[start.partition(" since ")[2]] += 1
        replacement = resource_path(deprecated.get("replacement", ""))
        assert details.replacement == replacement
        assert rest == ("ommended." + (f" Use {replacement} instead." if replacement else ""))
        if replacement:
            assert Gce().parse_image_id(deprecated["replacement"]).value == replacement
    assert statements.pop("an unknown date") == 58
    assert sum(statements.values()) == 9


def test_real_images_suggest_their_operating_system(
    pairs: list[tuple[dict[str, Any], ImageDetails]],
) -> None:
    recognizable = correct = 0
    for image, details in pairs:
        known = [each for each in SYSTEMS if image["name"].startswith(each)]
        if known:
            recognizable += 1
            found = operating_systems.suggest(details.os_texts)
            correct += found is not None and (found.family, found.version) == SYSTEMS[known[0]]
    assert recognizable == 89
    assert correct == recognizable


def test_a_real_error_is_translated() -> None:
    answers = {key: each for key, each in recorded("gce_errors.json").items() if key[0] != "_"}
    assert answers.keys() == {"not_found"}
    body = json.dumps(answers["not_found"]).encode()
    locator = Locator("", "acme-images/global/images/web")
    with faulty.serve(lambda _: faulty.Answer(404, body, JSON)) as url:  # noqa: SIM117
        with pytest.raises(ImageNotFound, match="no image acme-images/global/images/web"):
            Gce().describe(gce_credentials(url), locator)


@pytest.fixture(scope="module")
def description(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of a stricter version of Google's description of the API.

    The stricter version allows only the fields that it describes. Google does not describe errors,
    so errors must have the same fields as the recorded error.
    """
    description = recorded("compute.v1.images.prism.json")
    for definition in description["definitions"].values():
        if "properties" in definition:
            definition.setdefault("additionalProperties", False)
    error = {
        "type": "object",
        "required": ["error"],
        "additionalProperties": False,
        "properties": {"error": _shape(recorded("gce_errors.json")["not_found"]["error"])},
    }
    for operations in description["paths"].values():
        operations["get"]["responses"]["default"] = {"description": "An error", "schema": error}
    file = tmp_path_factory.mktemp("prism") / "compute.json"
    file.write_text(json.dumps(description))
    return file


def _shape(example: Any) -> dict[str, Any]:
    """Return a JSON schema for values that have the same fields as `example`.

    The schema also allows `details`, which only newer errors have.
    """
    if isinstance(example, dict):
        shapes = {key: _shape(each) for key, each in example.items()}
        more = (
            {"details": {"type": "array", "items": {"type": "object"}}} if "code" in shapes else {}
        )
        return {
            "type": "object",
            "properties": {**shapes, **more},
            "required": sorted(shapes),
            "additionalProperties": False,
        }
    if isinstance(example, list):
        return {"type": "array", "items": _shape(example[0]), "minItems": 1}
    return {"type": "integer" if isinstance(example, int) else "string"}


def _walk(url: str) -> Iterator[str]:
    """Request every answer that the sandbox can give, and yield the result of each request."""
    adapter, good = Gce(), gce_credentials(url)
    for known in gce_images.CATALOG:
        yield adapter.describe(good, Locator("", known.image_id)).state
    for family in {known.family_id for known in gce_images.CATALOG if known.family}:
        with suppress(ImageNotFound):
            yield f"family {adapter.describe(good, Locator('', family)).state}"
    yield adapter.check(good).account
    unknown = "debian-cloud/global/images/debian-99"
    refused = [unknown, "no-such-project/global/images/web", gce.THROTTLED, gce.UNAVAILABLE]
    for image_id in (*refused, gce.FORBIDDEN, "debian-cloud/global/images/family/debian-99"):
        with pytest.raises(CloudError) as caught:
            adapter.describe(good, Locator("", image_id))
        yield type(caught.value).__name__
    stranger = json.loads(good["service_account_key"])
    for changed in (
        {"client_email": "who@example.com"},
        {"project_id": gce_images.FOREIGN_PROJECT},
    ):
        key = json.dumps({**stranger, **changed})
        with suppress(CloudError):
            yield adapter.check(gce_credentials(url, service_account_key=key)).account
            continue
        yield "CredentialsRejected"


def test_every_answer_of_the_sandbox_is_as_google_describes(
    description: Path, tmp_path: Path
) -> None:
    log = tmp_path / "prism.log"
    with gce.start() as upstream, prism.proxy(description, upstream, log) as url:
        seen = Counter(_walk(url))
    assert sum(seen.values()) >= 40
    assert seen.keys() >= {
        *(ImageState.AVAILABLE, ImageState.DEPRECATED, ImageState.DISABLED, ImageState.GONE),
        *(ImageState.PENDING, ImageState.FAILED, "family available", "acme-images"),
        *("ImageNotFound", "PermissionDenied", "CloudThrottled", "CloudUnreachable"),
        *("CredentialsRejected", "globex-images"),
    }
    logged = log.read_text()
    assert "violation" not in logged.lower(), [
        line for line in logged.splitlines() if "violation" in line.lower()
    ]
    statuses = Counter(
        line.rpartition(" ")[2] for line in logged.splitlines() if " has returned " in line
    )
    assert statuses.keys() == {"200", "401", "403", "404", "429", "503"}


@pytest.mark.parametrize(
    "body", [{"name": "web", "diskSizeGb": {"unit": "GB"}}, {"name": "web", "diskSize": "10"}]
)
def test_a_violation_would_be_noticed(
    description: Path, tmp_path: Path, body: dict[str, Any]
) -> None:
    log = tmp_path / "prism.log"
    with (
        faulty.serve(faulty.answering(200, json.dumps(body), JSON)) as upstream,
        prism.proxy(description, upstream, log) as url,
    ):
        with pytest.raises(CloudError):
            Gce().describe(gce_credentials(url), Locator("", "acme-images/global/images/web"))
        end = time.monotonic() + 30  # Prism logs the violation after its answer.
        while "violation" not in log.read_text().lower():
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.05)
