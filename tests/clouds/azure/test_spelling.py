"""Azure ignores the case of IDs. One image has one canonical ID here."""

from __future__ import annotations

import pytest

from sandbox import azure, azure_images
from tests.clouds.azure.peer import AzurePeer
from webapp.clouds.azure.adapter import Azure
from webapp.clouds.azure.ids import parse_canonical, with_azure_spelling
from webapp.clouds.base import Locator

NOBLE = azure_images.NOBLE.urn()
IDS = (NOBLE, azure_images.OWN.resource_id, azure_images.GOLDEN.version_id("1.0.10"))


def test_an_id_in_other_letters_comes_out_as_azure_spells_it() -> None:
    adapter = Azure()
    with azure.start() as address:
        credentials = AzurePeer().credentials(address)
        for image_id in IDS:
            assert adapter.describe(credentials, Locator("", image_id)).image_id == ""
            shouted = adapter.parse_image_id(image_id.upper()).value
            assert shouted != image_id
            assert adapter.describe(credentials, Locator("", shouted)).image_id == image_id


@pytest.mark.parametrize(
    "answered", ["", "nonsense", "/subscriptions/x", azure_images.BIONIC.urn(), IDS[1], IDS[2]]
)
def test_an_answer_with_the_id_of_something_else_changes_nothing(answered: str) -> None:
    assert with_azure_spelling(parse_canonical(NOBLE), answered) == parse_canonical(NOBLE)
