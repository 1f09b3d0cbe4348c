"""Endpoints that are not Azure, and answers with unexpected content."""

from __future__ import annotations

import pytest

from sandbox import azure_images, faulty, tls
from sandbox.faulty import answering
from tests.clouds.azure import answers
from tests.clouds.azure.answers import (
    after_login,
    by_path,
)
from tests.clouds.azure.peer import AzurePeer
from tests.clouds.azure.refusals import HOME, LOCATOR, NOBLE, OWN, look_up_error_after_login
from tests.clouds.helpers import cloud_error
from webapp.clouds.azure.adapter import Azure
from webapp.clouds.errors import CloudUnreachable, ImageNotFound, PermissionDenied
from webapp.clouds.locators import Locator

GARBAGE = ["<html>Welcome</html>", "", "{}", "[]", "null", "\x00", '"x"', '{"properties": null}']


@pytest.mark.parametrize("kind", ["text/html", "application/json"])
@pytest.mark.parametrize("status", [200, 301, 404])
def test_unexpected_answers_are_reported(adapter: Azure, status: int, kind: str) -> None:
    for body in GARBAGE:
        behavior = after_login(answering(status, body, kind))
        with faulty.serve(behavior, tls=tls.trusted()) as url:
            credentials = AzurePeer().credentials(url)
            for call in (
                lambda: adapter.describe(credentials, LOCATOR),  # noqa: B023
                lambda: adapter.describe(credentials, OWN),  # noqa: B023
                lambda: adapter.check(credentials),  # noqa: B023
                lambda: adapter.locations(credentials),  # noqa: B023
            ):
                error = cloud_error(call)
                assert isinstance(error, CloudUnreachable)
                assert "didn’t respond like Azure Resource Manager" in str(error)


@pytest.mark.parametrize("junk", [5, "x", [], [1], {}, {"a": 1}, None, True])
def test_values_of_unexpected_types_are_left_out(adapter: Azure, junk: object) -> None:
    """If a member has an unexpected type, only the fact or size from that member is left out."""
    names = (
        "plan osDiskImage dataDiskImages hyperVGeneration architecture imageDeprecationStatus "
        "features storageProfile publishingProfile provisioningState sourceVirtualMachine "
        "identifier purchasePlan endOfLifeDate safetyProfile replicationStatus osType osState"
    )
    fields = {"properties": dict.fromkeys(names.split(), junk), "name": junk, "location": junk}
    fields["tags"] = junk
    behavior = after_login(answers.answering(fields))
    version = Locator("", azure_images.GOLDEN.version_id("1.0.9"))
    with faulty.serve(behavior, tls=tls.trusted()) as url:
        credentials = AzurePeer().credentials(url)
        for locator in (LOCATOR, OWN, version):
            assert adapter.describe(credentials, locator).size_gb is None


def test_lists_with_unexpected_items_are_reported(adapter: Azure) -> None:
    every: list[list[object]] = [[5], [None], ["x"], [[]], [{"name": 5}], [{"properties": "x"}]]
    for junk in every:
        manager = by_path(
            answers.answering({"properties": {}}),
            **{"golden/versions?": answers.answering({"value": junk})},
            skus=answers.answering(junk),
            locations=answers.answering({"value": junk}),
        )
        latest = Locator("", azure_images.GOLDEN.version_id("latest"))
        error = look_up_error_after_login(adapter, manager, latest)
        assert isinstance(error, ImageNotFound | CloudUnreachable)
        error = look_up_error_after_login(adapter, manager, Locator(HOME, NOBLE.urn("latest")))
        assert isinstance(error, ImageNotFound)
        error = look_up_error_after_login(adapter, manager, Locator("", NOBLE.urn()))
        assert isinstance(error, PermissionDenied | CloudUnreachable)
