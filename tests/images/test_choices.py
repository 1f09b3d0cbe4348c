"""The rules for the values that people enter for an image."""

from __future__ import annotations

import pytest

from tests.conftest import MakeImage, choices
from webapp.images.choices import InvalidChoices


@pytest.mark.parametrize(
    ("invalid", "field"),
    [
        ({"name": "x"}, "name"),
        ({"name": "x" * 256}, "name"),
        ({"name": "line\nbreak"}, "name"),
        ({"name": "\u3000 \u200b"}, "name"),
        ({"name": "\u202egold"}, "name"),
        ({"os_family": "My\u2066Linux"}, "os_family"),
        ({"os_version": "9\x1b"}, "os_version"),
        ({"os_family": ""}, "os_family"),
        ({"os_version": ""}, "os_version"),
        ({"os_version": "x" * 65}, "os_version"),
        ({"size_gb": 0}, "size_gb"),
        ({"size_gb": 2**31}, "size_gb"),
    ],
)
def test_invalid_choices_are_refused(invalid: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidChoices) as caught:
        choices(**invalid)
    assert caught.value.field == field


def test_an_image_of_an_environment_is_never_shared(make_image: MakeImage) -> None:
    assert not make_image("acme/production").shared
