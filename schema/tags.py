"""The form in which tags are compared, and the text in which searches look for an image's tags.

A tag is a text such as `cis`, or a key and a value such as `team=web`. Tags are compared without
regard to case, so `Team=Web` and `team=web` are the same tag. The *token* of a tag is the form in
which it is compared. An image with the tag `team=web` also has the token `team`, so that a search
for the key finds it. The *label* of a token is the text that people see: the tag as somebody typed
it, or `team=` for a key.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from schema.search_text import lower_case
from schema.text import comparable

LINE_END, LABEL_START = "\n", "\t"
"""Control characters, which no tag contains."""
ANY_VALUE = "="
"""The end of a label that means a key with any value, such as `team=`."""


def token_of(tag: str) -> str:
    """Return the form in which a tag or a key is compared.

    >>> token_of("Team=Web")
    'team=web'
    """
    return lower_case(comparable(tag))


def labels_by_token(tags: Iterable[str]) -> dict[str, str]:
    """Return the tokens of tags and of their keys, sorted, each with its label.

    >>> labels_by_token(["Team=Web", "CIS"])
    {'cis': 'CIS', 'team': 'Team=', 'team=web': 'Team=Web'}
    """
    tags = list(tags)
    keys = [tag.partition("=")[0] for tag in tags if "=" in tag]
    labels = {token_of(key): f"{key}{ANY_VALUE}" for key in reversed(keys)}
    labels |= {token_of(tag): tag for tag in tags}
    return dict(sorted(labels.items()))


def tag_index(tags: Sequence[str]) -> str:
    """Return the text that contains `token_text(token)` for each token of an image.

    >>> tag_index(["cis"])
    '\\ncis\\tcis\\n'
    """
    lines = [f"{token}{LABEL_START}{label}" for token, label in labels_by_token(tags).items()]
    return LINE_END.join(["", *lines, ""]) if lines else ""


def token_text(token: str) -> str:
    """Return the part of `tag_index` that only an image with this token has.

    >>> token_text("cis")
    '\\ncis\\t'
    """
    return f"{LINE_END}{token}{LABEL_START}"


def labels_in(index: str) -> dict[str, str]:
    """Return the label of each token in a result of `tag_index`.

    >>> labels_in(tag_index(["team=web"]))
    {'team': 'team=', 'team=web': 'team=web'}
    """
    lines = index.strip(LINE_END).split(LINE_END) if index else []
    return dict(line.split(LABEL_START, 1) for line in lines)
