"""Convert values from the spelling that people type into the spelling that the database uses."""

from __future__ import annotations

import contextlib
from datetime import date

from schema.tags import ANY_VALUE, token_of
from webapp.clouds import CLOUDS
from webapp.images import operating_systems
from webapp.refusals import Refusal
from webapp.search.keys import ARCHITECTURES, FIXED_VALUES, Key
from webapp.search.language import invalid_choice_message
from webapp.values.tags import parse_tag
from webapp.values.text import InvalidText

MAX_OS_FAMILY_LENGTH = 64
"""The maximum length of the column `os_family`, in characters."""
MIN_WORD_LENGTH = 3
"""The minimum length of a word, or of the value of `id:`, in characters.

A word can be shorter if it contains a character that can be a whole word, such as a Chinese
character. See `schema.search_text`.
"""
OS_FAMILY_NAMES = sorted(
    (
        (name, family)
        for family in operating_systems.FAMILIES.values()
        for name in {family.key, family.label.lower()}
    ),
    key=lambda entry: -len(entry[0]),
)
"""A (name, family) pair for each lower-case name of an OS family.

The longest name comes first, so that "Rocky Linux 9" is not parsed as version "Linux 9" of "rocky".
"""


class InvalidValue(Refusal):
    """A person typed a value that the key does not accept."""


def canonical_value(key: Key, value: str) -> str:
    """Return the value in the spelling that the database uses. Raises InvalidValue."""
    if key in FIXED_VALUES:
        return _choose_value(key, value, FIXED_VALUES[key])
    parsers = {
        Key.CLOUD: _parse_cloud,
        Key.OS: _parse_os,
        Key.ARCH: lambda text: ARCHITECTURES.get(text.lower(), text.lower()),
        Key.SIZE: _parse_size,
        Key.CREATED: _parse_date,
        Key.BY: lambda text: "me" if text.lower() == "me" else text,
        Key.ID: _parse_id,
        Key.TAG: _parse_tag,
    }
    return parsers.get(key, str)(value)


def _choose_value(key: Key, value: str, choices: dict[str, str]) -> str:
    """Return the canonical value of one of `choices`. Raises InvalidValue.

    `choices` maps lower-case spellings to canonical values.
    """
    chosen = choices.get(value.lower())
    if chosen is None:
        raise InvalidValue(invalid_choice_message(key, value, choices.values()))
    return chosen


def _parse_cloud(value: str) -> str:
    by_label = {cloud.label.lower(): key for key, cloud in CLOUDS.items()}
    return _choose_value(Key.CLOUD, value, {key: key for key in CLOUDS} | by_label)


def _parse_os(value: str) -> str:
    """Return a family, or a family and a version, such as 'ubuntu 24.04'.

    A name in the operating system data is replaced by its key: "Rocky Linux 9" becomes "rocky 9",
    and "noble" becomes "ubuntu 24.04". Any other text is returned unchanged.
    """
    text = value.lower()
    for name, family in OS_FAMILY_NAMES:
        if text == name:
            return family.key
        if text.startswith(f"{name} "):
            return f"{family.key} {_parse_os_version(family, value[len(name) :].strip())}"
    # A word such as the codename "noble" identifies a version if only one label contains the word.
    matches = {
        f"{family.key} {version.key}"
        for family in operating_systems.FAMILIES.values()
        for version in family.versions
        if text in version.label.lower().split()
    }
    return matches.pop() if len(matches) == 1 else value


def _parse_os_version(family: operating_systems.Family, text: str) -> str:
    keys = {version.label.lower(): version.key for version in family.versions}
    keys |= {version.key.lower(): version.key for version in family.versions}
    if text.lower() in keys:
        return keys[text.lower()]
    matches = {key for label, key in keys.items() if text.lower() in label.split()}
    return matches.pop() if len(matches) == 1 else text


def _parse_size(value: str) -> str:
    digits = value.lower().removesuffix("gb").strip()
    if not (digits.isascii() and digits.isdecimal()) or not 0 < int(digits) < 2**31:
        raise InvalidValue(
            f"“{value}” isn’t a valid size. Use whole GB, for example {example_term(Key.SIZE)}."
        )
    return str(int(digits))


def _parse_date(value: str) -> str:
    with contextlib.suppress(ValueError):
        # `fromisoformat` also accepts week dates, and dates without hyphens.
        if date.fromisoformat(value).isoformat() == value:
            return value
    raise InvalidValue(
        f"“{value}” isn’t a valid date. Use YYYY-MM-DD, for example {example_term(Key.CREATED)}."
    )


def _parse_id(value: str) -> str:
    if len(value) < MIN_WORD_LENGTH:
        raise InvalidValue(too_short_message(value))
    return value


def _parse_tag(value: str) -> str:
    """Return the form in which a tag, or a key such as `team` or `team=`, is compared.

    See `schema.tags.token_of`.
    """
    try:
        return token_of(parse_tag(value.removesuffix(ANY_VALUE)))
    except InvalidText as error:
        raise InvalidValue(
            f"“{value}” isn’t a valid tag. Use a tag or a key, for example "
            f"{example_term(Key.TAG)} or tag:team."
        ) from error


def split_os(value: str) -> tuple[str, str]:
    """Return the family and the version in a value of `os`. The version can be ''.

    If the first word is not the key of a family in the operating system data, the whole value is
    the family.
    """
    family, _, version = value.partition(" ")
    return (family, version) if family in operating_systems.FAMILIES else (value, "")


def too_short_message(value: str) -> str:
    return f"“{value}” is too short. Type at least {MIN_WORD_LENGTH} characters."


def example_term(key: Key) -> str:
    examples = {
        Key.CLOUD: f"cloud:{next(iter(CLOUDS))}",
        Key.LOCATION: "location:us-east-1",
        Key.OS: 'os:"ubuntu 24.04"',
        Key.ARCH: "arch:arm64",
        Key.SIZE: "size:>30",
        Key.CREATED: "created:<2026-01-01",
        Key.BY: "by:me",
        Key.ID: "id:0abc",
        Key.TAG: "tag:team=web",
    }
    return examples.get(key) or f"{key}:{next(iter(FIXED_VALUES[key]))}"
