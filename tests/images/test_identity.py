"""The rule that a scope sees each image only once, and what makes two images the same."""

from __future__ import annotations

import pytest

from tests.conftest import MakeImage
from webapp.images.identity import AlreadyRegistered


@pytest.mark.parametrize(
    ("first", "second", "refused"),
    [
        ("", "", True),
        ("", "acme", True),
        ("", "acme/production", True),
        ("acme", "acme/production", True),
        ("acme", "", False),  # lower scopes do not count
        ("acme", "globex", False),  # sibling scopes do not count
        ("acme/production", "acme/staging", False),
    ],
)
def test_an_image_is_registered_once_where_it_is_visible(
    make_image: MakeImage, first: str, second: str, refused: bool
) -> None:
    registered = make_image(first)
    if not refused:
        assert make_image(second).scope.path == second
        return
    with pytest.raises(AlreadyRegistered) as caught:
        make_image(second)
    assert caught.value.image == registered


def test_an_unshared_image_does_not_block_lower_scopes(make_image: MakeImage) -> None:
    make_image("", shared=False)
    assert make_image("acme").scope.path == "acme"


def test_another_location_is_another_image(make_image: MakeImage) -> None:
    make_image("acme", location="us-east-1")
    assert make_image("acme", location="eu-west-1").location == "eu-west-1"
