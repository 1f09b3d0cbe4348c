"""The rules for tags, as people write them in forms and files."""

from __future__ import annotations

import pytest

from webapp.values.tags import (
    MAX_TAGS,
    describe_change,
    join_tags,
    parse_tag,
    parse_tags,
    split_tags,
    with_added,
    without,
)
from webapp.values.text import InvalidText


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("", []),
        (" , ,", []),
        ("cis", ["cis"]),
        ("team=web, cis", ["cis", "team=web"]),
        ("Team = Web , team=web", ["Team=Web"]),
        ("cis\nteam=web\r\n", ["cis", "team=web"]),
        ("a=b=c", ["a=b=c"]),
        ("two  words\u00a0here", ["two words here"]),
        ("e\u0301, \u00e9", ["\u00e9"]),
        ("\u05d0\u05d1=\u05d2, \u6620\u50cf", ["\u05d0\u05d1=\u05d2", "\u6620\u50cf"]),
    ],
)
def test_tags_in_a_text(text: str, tags: list[str]) -> None:
    assert parse_tags(split_tags(text)) == tags
    assert parse_tags(split_tags(join_tags(tags))) == tags


@pytest.mark.parametrize(
    ("tag", "message"),
    [
        ("a\x00b", "Remove the control character U+0000 from the tag."),
        ("a\x1fb", "Remove the control character U+001F from the tag."),
        ("a\u202eb", "It changes the order in which the other characters are shown."),
        ("\u200b", "Enter a tag of 1 to 128 characters."),
        ("", "Enter a tag of 1 to 128 characters."),
        ("x" * 129, "Enter a tag of 1 to 128 characters."),
        ("two\nlines", "Enter the tag as one line of text."),
        ("a,b", "The tag “a,b” contains a comma. Use two tags."),
        ("=web", "Enter a name before the “=” of the tag “=web”."),
        ("team=", "Enter a value after the “=” of the tag “team=”, or remove the “=”."),
    ],
)
def test_invalid_tags_are_refused(tag: str, message: str) -> None:
    with pytest.raises(InvalidText) as refusal:
        parse_tags([tag])
    assert message in refusal.value.message


def test_an_image_can_have_fifty_tags() -> None:
    tags = [f"tag{number}" for number in range(MAX_TAGS)]
    assert len(parse_tags([*tags, "TAG1"])) == MAX_TAGS
    with pytest.raises(InvalidText, match="at most 50 tags, but there are 51"):
        with_added(tags, ["one more"])


def test_too_many_tags_are_refused_before_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    read = []

    def count(tag: str) -> str:
        read.append(tag)
        return parse_tag(tag)

    monkeypatch.setattr("webapp.values.tags.parse_tag", count)
    with pytest.raises(InvalidText, match="at most 50 tags, but there are 100000"):
        parse_tags([f"tag{number}" for number in range(100_000)])
    assert read == []
    assert parse_tags(["cis", "CIS"] * 50_000) == ["cis"]
    assert read == ["cis", "CIS"]


def test_tags_are_added_and_removed_without_regard_to_case() -> None:
    assert with_added(["CIS"], ["cis", "team=web"]) == ["CIS", "team=web"]
    assert without(["CIS", "team=web"], ["cis", "team"]) == ["team=web"]


def test_a_change_is_described_in_words() -> None:
    assert describe_change(["cis"], ["cis", "a", "b"]) == "added a, b"
    assert describe_change(["cis", "a"], []) == "removed cis, a"
