"""Azure ignores the case of IDs, but the adapter returns one canonical ID per image."""

from __future__ import annotations

import pytest

from sandbox import azure, azure_images
from tests.clouds.azure.peer import AzurePeer
from webapp.clouds.azure.adapter import Azure
from webapp.clouds.azure.ids import parse_canonical, with_azure_spelling
from webapp.clouds.locators import Locator

NOBLE = azure_images.NOBLE.urn()
IDS = (NOBLE, azure_images.ACME_IMAGE.resource_id, azure_images.GOLDEN.version_id("1.0.10"))


def test_an_id_in_upper_case_gets_the_spelling_of_azure() -> None:
    adapter = Azure()
    with azure.start() as url:
        credentials = AzurePeer().credentials(url)
        for image_id in IDS:
            assert adapter.describe(credentials, Locator("", image_id)).image_id == ""
            upper_case = adapter.parse_image_id(image_id.upper()).value
            assert upper_case != image_id
            assert adapter.describe(credentials, Locator("", upper_case)).image_id == image_id


@pytest.mark.parametrize(
    "answered", ["", "nonsense", "/subscriptions/x", azure_images.BIONIC.urn(), IDS[1], IDS[2]]
)
def test_the_id_of_another_image_is_ignored(answered: str) -> None:
    assert with_azure_spelling(parse_canonical(NOBLE), answered) == parse_canonical(NOBLE)
