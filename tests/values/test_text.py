"""The rules for text of one line: names, reasons, operating systems."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schema.text import LONGEST_PLACE_KEY, normalize, place_key
from webapp.clouds.characters import fold
from webapp.values.text import InvalidText, LineRule, displayable, displayable_lines

NAME = LineRule("name", 20, 2, "name")
ZWJ, ZWNJ = "\u200d", "\u200c"
MANY_MARKS = "a" + "\u0300" * 250_000 + "\u0316" * 250_000


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("a\u00a0b", "a b"),
        ("a\u3000b", "a b"),
        ("a \u2003\u202f\tb", "a b"),
        ("a\u2028b", "a b"),
        ("a\u2800\u3164b", "a b"),
        ("\ufeffgolden\u200b ", "golden"),
        (f"👩{ZWJ}💻", f"👩{ZWJ}💻"),
        (f"نمی{ZWNJ}خواهم", f"نمی{ZWNJ}خواهم"),
        ("Cafe\u0301", "Café"),
        ("שלום\u200f!", "שלום\u200f!"),
        ("\ue000x", "\ue000x"),
    ],
)
def test_a_name_is_stored_in_one_form(typed: str, stored: str) -> None:
    assert NAME.parse(typed) == stored


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("gold\u202edlog", r"U\+202E \(right-to-left override\).*changes the order"),
        ("gold\u2066", r"U\+2066 .*changes the order"),
        ("gold\x1b[31m", r"control character U\+001B"),
        ("gold\x85", r"control character U\+0085"),
        ("gold\x00", r"control character U\+0000"),
        ("gold\ud800", r"control character U\+D800"),
        ("gold\ufffe", r"control character U\+FFFE"),
        ("two\nlines", "one line"),
        (ZWJ * 3, "only invisible characters"),
        ("x", "2 to 20 characters"),
        ("\u3000 \u00a0", "2 to 20 characters"),
        ("x" * 21, "2 to 20 characters"),
        ("e" + "\u0301" * 32, "Remove accents from the name. One character can have at most 30"),
        (MANY_MARKS, "Remove accents"),
    ],
)
def test_a_name_is_refused_with_the_reason(typed: str, words: str) -> None:
    with pytest.raises(InvalidText, match=words) as caught:
        NAME.parse(typed)
    assert caught.value.field == "name"


@given(st.text(st.characters(exclude_categories=()), max_size=30))
def test_any_text_is_refused_or_stored_in_a_stable_form(typed: str) -> None:
    rule = LineRule("name", 100)
    try:
        stored = rule.parse(typed)
    except InvalidText:
        return
    assert rule.parse(stored) == stored
    assert unicodedata.is_normalized("NFC", stored)
    assert stored == " ".join(stored.split())
    assert stored.encode().decode() == stored


@given(st.text(st.characters(exclude_categories=()), max_size=30))
@example("a" + "\u0300" * 50 + "\u0316" * 50)
@example("e" + "\u0344" * 30)
@example("e" + "\u0301\u200b" * 40)
def test_the_text_of_a_cloud_always_becomes_a_valid_line(text: str) -> None:
    line = displayable(text)
    problem = LineRule("name", 200).problem(line)
    assert not problem or "only invisible" in problem
    assert displayable(line) == line
    assert displayable_lines(displayable_lines(text)) == displayable_lines(text)


def test_text_with_too_many_marks_is_not_normalized() -> None:
    """Normalizing it would take minutes."""
    assert normalize("NFC", MANY_MARKS) == MANY_MARKS
    assert place_key(MANY_MARKS) == MANY_MARKS[:LONGEST_PLACE_KEY]
    assert fold(MANY_MARKS.upper()) == MANY_MARKS
    assert normalize("NFC", "e" + "\u0301" * 30) == "é" + "\u0301" * 29
