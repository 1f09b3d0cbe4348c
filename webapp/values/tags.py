"""The rules for tags: which tags are valid, how they are stored, and how many an image can have."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from schema.tags import token_of
from webapp.values.text import InvalidText, LineRule

MAX_TAGS = 50
MAX_ENTERED = 20 * MAX_TAGS
"""The maximum number of different texts that `parse_tags` accepts.

Several texts can be the same tag, so this number is larger than MAX_TAGS.
"""
MAX_LENGTH = 128
"""The maximum length of a tag, in characters."""
_SEPARATORS = re.compile(r"[,\r\n]+")
_RULE = LineRule("tag", MAX_LENGTH, 1, "tags", InvalidText)
_MAX_SHOWN_LENGTH = 40
"""The maximum length of a tag in a message."""


def split_tags(text: str) -> list[str]:
    """Return the tags in a text, as they are written there. Commas and line breaks separate them.

    >>> split_tags("cis, team=web,")
    ['cis', 'team=web']
    """
    return [tag for part in _SEPARATORS.split(text) if (tag := part.strip())]


def join_tags(tags: Iterable[str]) -> str:
    """Return a text from which `split_tags` reads the same tags.

    >>> join_tags(["cis", "team=web"])
    'cis, team=web'
    """
    return ", ".join(tags)


def parse_tags(tags: Iterable[str]) -> list[str]:
    """Return the tags as they are stored: normalized, sorted and without duplicates.

    If two tags differ only in case, the first one stays. Raises InvalidText.

    >>> parse_tags(["team = Web", "cis", "CIS"])
    ['cis', 'team=Web']
    """
    texts = list(dict.fromkeys(tags))
    _require_count(len(texts), MAX_ENTERED)
    by_token: dict[str, str] = {}
    for tag in map(parse_tag, texts):
        by_token.setdefault(token_of(tag), tag)
    _require_count(len(by_token), MAX_TAGS)
    return [by_token[token] for token in sorted(by_token)]


def _require_count(count: int, limit: int) -> None:
    if count > limit:
        raise InvalidText(
            f"An image can have at most {MAX_TAGS} tags, but there are {count}. Remove some of "
            "them.",
            "tags",
        )


def parse_tag(tag: str) -> str:
    """Return a tag as it is stored, without spaces around its first “=”. Raises InvalidText."""
    text = _RULE.parse(tag)
    if "," in text:
        raise InvalidText(f"The tag “{_short(text)}” contains a comma. Use two tags.", "tags")
    key, equals, value = (part.strip() for part in text.partition("="))
    if equals and not key:
        raise InvalidText(f"Enter a name before the “=” of the tag “{_short(text)}”.", "tags")
    if equals and not value:
        raise InvalidText(
            f"Enter a value after the “=” of the tag “{_short(text)}”, or remove the “=”.", "tags"
        )
    return f"{key}{equals}{value}"


def with_added(tags: Sequence[str], added: Iterable[str]) -> list[str]:
    """Return `tags` and `added` as one list of tags, as they are stored. Raises InvalidText.

    If two tags differ only in case, the tag in `tags` stays.
    """
    return parse_tags([*tags, *added])


def without(tags: Iterable[str], removed: Iterable[str]) -> list[str]:
    """Return the tags that are not among `removed`, without regard to case."""
    tokens = set(map(token_of, removed))
    return [tag for tag in tags if token_of(tag) not in tokens]


def describe_change(before: Sequence[str], after: Sequence[str]) -> str:
    """Return the difference between two lists of tags in words.

    >>> describe_change(["cis"], ["team=web"])
    'added team=web; removed cis'
    """
    changes = {
        "added": [tag for tag in after if tag not in before],
        "removed": [tag for tag in before if tag not in after],
    }
    return "; ".join(f"{verb} {join_tags(tags)}" for verb, tags in changes.items() if tags)


def _short(tag: str) -> str:
    return tag if len(tag) <= _MAX_SHOWN_LENGTH else f"{tag[:_MAX_SHOWN_LENGTH]}…"
