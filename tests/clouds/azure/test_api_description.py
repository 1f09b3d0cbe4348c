"""The Azure sandbox against Microsoft's description of the Resource Manager.

Prism checks every request of the adapter and every kind of answer of the sandbox.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import azure, azure_images, azure_shared_galleries, faulty, tls
from sandbox.faulty import Answer, Request
from tests.clouds import prism
from tests.clouds.azure.answers import is_login
from tests.clouds.azure.peer import AzurePeer
from tests.clouds.vendor_data import folder
from webapp.clouds.azure.adapter import Azure
from webapp.clouds.credentials import CredentialValues
from webapp.clouds.errors import (
    CloudError,
    CredentialsRejected,
    ImageNotFound,
    ImageNotVisible,
    PermissionDenied,
    UnknownLocation,
)
from webapp.clouds.locators import Locator

OWN, GOLDEN = azure_images.ACME_IMAGE, azure_images.GOLDEN
SHARED = azure_shared_galleries.CONTOSO_LINUX


class RecordingProxy:
    """Sends Resource Manager requests through Prism, and records the answers."""

    def __init__(self, server: azure.Azure, prism_url: str) -> None:
        self._server, self._forward = server, faulty.forwarding(prism_url)
        self.answers: list[tuple[str, int]] = []
        self.violations: list[str] = []

    def __call__(self, request: Request) -> Answer | None:
        if is_login(request):
            return self._server(request)
        answer = self._forward(request)
        assert answer is not None
        if b"stoplight.io" in answer.body or answer.content_type == "application/problem+json":
            self.violations.append(f"{request.path}: {answer.body.decode()}")
        path = re.sub(r"/(?:subscriptions|resourceGroups|locations)/[^/?]+", "", request.path)
        self.answers.append((path.split("?")[0], answer.status))
        return answer


@pytest.fixture(scope="module")
def proxy_and_credentials(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[RecordingProxy, CredentialValues]]:
    description = folder("azure") / "azure_images.swagger.json"
    log = tmp_path_factory.mktemp("prism") / "prism.log"
    server = azure.Azure()
    with faulty.serve(server) as server_url, prism.proxy(description, server_url, log) as prism_url:
        recorder = RecordingProxy(server, prism_url)
        with faulty.serve(recorder, tls=tls.trusted()) as url:
            yield recorder, AzurePeer().credentials(url)


def test_prism_reports_a_violation(
    proxy_and_credentials: tuple[RecordingProxy, CredentialValues], tmp_path: Path
) -> None:
    """Without this test, the other tests would also pass if Prism found no violations at all."""
    description = folder("azure") / "azure_images.swagger.json"
    broken = faulty.answering(
        200, json.dumps({"properties": {"osDiskImage": {}}}), "application/json"
    )
    with faulty.serve(broken) as plain, prism.proxy(description, plain, tmp_path / "log") as proxy:
        other = RecordingProxy(azure.Azure(), proxy)
        with faulty.serve(other, tls=tls.trusted()) as url, pytest.raises(CloudError):
            Azure().describe(
                AzurePeer().credentials(url), Locator("eastus", azure_images.NOBLE.urn())
            )
    assert "must have required property 'name'" in other.violations[0]


def test_every_kind_of_answer_is_as_microsoft_describes(
    proxy_and_credentials: tuple[RecordingProxy, CredentialValues],
) -> None:
    recorder, good = proxy_and_credentials
    adapter = Azure()
    adapter.check(good)
    adapter.locations(good)
    for offered in azure_images.MARKETPLACE:
        adapter.describe(good, Locator("", offered.urn()))
        adapter.describe(good, Locator(offered.regions[0], offered.urn("latest")))
    for owned in azure_images.MANAGED:
        adapter.describe(good, Locator("", owned.resource_id))
    for definition in azure_images.DEFINITIONS:
        for version in definition.versions:
            adapter.describe(good, Locator("", definition.version_id(version.number)))
    adapter.describe(good, Locator("", GOLDEN.version_id("latest")))
    for shared in azure_shared_galleries.SHARED_DEFINITIONS:
        for number in (*(version.number for version in shared.versions), "latest"):
            adapter.describe(good, Locator("", shared.version_id(number)))
    for kind, image_id, location in _failing_look_ups():
        with pytest.raises(kind):
            adapter.describe(good, Locator(location, image_id))
    other = CredentialValues({**good, "subscription_id": azure_images.TENANT})
    with pytest.raises(CredentialsRejected):
        Azure().check(other)
    assert recorder.violations == []
    kinds = {(re.sub(r"/[^/]*\d[^/]*", "/x", path), status) for path, status in recorder.answers}
    assert {status for _, status in kinds} == {200, 400, 403, 404}
    assert len(recorder.answers) > 120
    assert len(kinds) > 35
    served = {path.lower() for path, status in recorder.answers if status == 200}
    for sharing in ("communitygalleries", "sharedgalleries"):
        gallery = f"/providers/microsoft.compute/{sharing}/[^/]+"
        for path in ("", "/images/[^/]+", "/images/[^/]+/versions", "/images/[^/]+/versions/.+"):
            assert any(re.fullmatch(gallery + path, each) for each in served), (sharing, path)


def test_rejected_tokens_are_as_microsoft_describes(
    proxy_and_credentials: tuple[RecordingProxy, CredentialValues],
) -> None:
    recorder, good = proxy_and_credentials
    with pytest.raises(CredentialsRejected):
        Azure().check(CredentialValues({**good, "client_secret": "wrong"}))
    before = len(recorder.answers)
    adapter = Azure()
    adapter.check(good)
    recorder._server.expire_tokens()
    adapter.locations(good)
    assert [status for _, status in recorder.answers[before:]] == [200, 401, 200]
    assert recorder.violations == []


def _failing_look_ups() -> list[tuple[type[CloudError], str, str]]:
    missing = OWN.resource_id.replace(OWN.name, "nothing")
    return [
        (ImageNotFound, azure_images.NOBLE.urn("1.2.3"), "eastus"),
        (ImageNotFound, "Canonical/ubuntu-24_04-lts/no-such-sku/1.2.3", "eastus"),
        (ImageNotFound, "Canonical/no-such-offer/server/1.2.3", "eastus"),
        (ImageNotFound, "Nobody/offer/server/1.2.3", "eastus"),
        (UnknownLocation, azure_images.NOBLE.urn(), "atlantis"),
        (ImageNotFound, missing, ""),
        (ImageNotFound, OWN.resource_id.replace(azure_images.GROUP, "no-such-group"), ""),
        (PermissionDenied, OWN.resource_id.replace(azure_images.GROUP, "acme-locked"), ""),
        (ImageNotVisible, OWN.resource_id.replace(azure_images.SUBSCRIPTION, NOBODY), ""),
        (ImageNotFound, GOLDEN.version_id("9.9.9"), ""),
        (ImageNotFound, GOLDEN.version_id("1.0.9").replace(GOLDEN.name, "nothing"), ""),
        (ImageNotFound, SHARED.version_id("9.9.9"), ""),
        (ImageNotFound, SHARED.version_id("1.0.10"), "eastus"),
        (ImageNotVisible, SHARED.version_id("1.0.9").replace(SHARED.gallery, "Nobody-1"), ""),
        (UnknownLocation, SHARED.version_id("1.0.9"), "atlantis"),
        (ImageNotFound, azure_images.ONLY_DRAFTS.version_id("latest"), ""),
    ]


NOBODY = "00000000-0000-0000-0000-000000000000"
