"""The text of tokens."""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import Any

import pytest

from webapp.tokens import token_text


def test_a_text_has_a_prefix_a_key_a_secret_and_a_checksum() -> None:
    key = token_text.new_key()
    text = token_text.new_text(key)
    prefix, found, rest = text.split("_")
    assert (prefix, found, len(rest), len(text)) == ("imr", key, 38, 55)
    assert token_text.key_in(text) == key
    assert token_text.new_text(key) != text


def test_the_checksum_is_the_crc_32_in_base_62() -> None:
    """docs/api.md describes the checksum for scanners. This computes it in another way."""
    body = "imr_0123456789ab_0123456789ABCDEFGHIJKLMNOPQRSTUV"
    value = 0
    for digit in token_text.checksum(body):
        value = value * 62 + token_text.ALPHABET.index(digit)
    assert value == zlib.crc32(body.encode())
    assert token_text.checksum(body) == "1nOzNu"


def test_the_example_of_the_documentation_checks_tokens() -> None:
    chapter = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
    namespace: dict[str, Any] = {}
    exec(chapter.split("```python\n")[1].split("```")[0], namespace)  # noqa: S102  our own text
    text = token_text.new_text(token_text.new_key())
    assert namespace["is_token"](text)
    assert not namespace["is_token"](f"{text[:-7]}-{text[-6:]}")
    assert re.fullmatch(r"imr_[0-9a-z]{12}_[0-9A-Za-z]{38}", text)
    assert "`imr_[0-9a-z]{12}_[0-9A-Za-z]{38}`" in chapter


def test_every_single_mistyped_character_is_noticed() -> None:
    text = token_text.new_text("0123456789ab")
    for position, character in enumerate(text):
        for other in "0aZ_":
            mistyped = f"{text[:position]}{other}{text[position + 1 :]}"
            assert character == other or token_text.key_in(mistyped) is None


@pytest.mark.parametrize("change", [str.upper, str.lower, lambda text: text[:-1]])
def test_a_changed_text_has_no_key(change: object) -> None:
    assert callable(change)
    assert token_text.key_in(change(token_text.new_text("0123456789ab"))) is None


@pytest.mark.parametrize("text", ["", "imr_", "x" * 55, "imr_é", "imr_0123456789ab_\n", "\0"])
def test_other_texts_have_no_key(text: str) -> None:
    assert token_text.key_in(text) is None
