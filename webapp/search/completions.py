"""Find the values that an unfinished value can become, such as "ubuntu" for `os:u`.

A value is unfinished if it is not in a built-in list (`Term.is_in_builtin_list`), and no visible
image has it. There is one exception: an OS family that is in no list, but that visible images have,
followed by a version. For example, if visible images have the family "Plan 9", then "Plan 9 ed" is
unfinished only if one of these images has a version that begins with "ed". Otherwise, "Plan 9 ed"
is a finished value that no image has (`_find_stored_os` in the parser).

A term with an unfinished value finds the images whose value begins with the unfinished value, so
that the results do not disappear while a person types. Both the spelling of the database and the
label on pages count as the value of an image.
"""

from __future__ import annotations

from collections.abc import Collection

from schema.text import place_key
from webapp.clouds import CLOUDS
from webapp.images import operating_systems
from webapp.search.keys import ARCHITECTURES, FIXED_VALUES, Key
from webapp.search.language import begins_with, values_beginning_with
from webapp.search.query import Term

COMPLETED_KEYS = (Key.LOCATION, Key.OS, Key.ARCH)
"""The keys whose unfinished values `completions` compares with the values of visible images.

`webapp.search.catalogue` completes the values of `tag`.
"""
MAX_COMPLETIONS = 200
"""The maximum number of values that one unfinished value can become."""


def is_unfinished(term: Term) -> bool:
    """Return whether the value of a term may be unfinished.

    The parser does not look up all architectures. So even if `Term.stored` is (), a visible image
    may have the architecture, and the caller must check this.
    """
    return term.key in COMPLETED_KEYS and not (term.stored or term.is_in_builtin_list)


def completions(term: Term, values: Collection[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    """Return the values that the unfinished value of `term` can become, sorted.

    `values` are the values of visible images: families with versions for `os`, and tuples of one
    text for the other keys. If a family begins with the unfinished value, the result contains the
    family without a version, and none of its versions.
    """
    if term.key is not Key.OS:
        return tuple(sorted(value for value in values if _begins(term.key, value[0], term.value)))
    families = {value[:1] for value in values if _begins_os(value[:1], term.value)}
    versions = {
        (family, version)
        for family, version in values
        if version and (family,) not in families and _begins_os((family, version), term.value)
    }
    return tuple(sorted(families | versions))


def fixed_completions(key: Key, text: str) -> list[str]:
    """Return the values that `text` can become, if `key` is `cloud` or has fixed values."""
    if key is Key.CLOUD:
        spellings = {name: each.key for each in CLOUDS.values() for name in (each.key, each.label)}
    else:
        spellings = FIXED_VALUES.get(key, {})
    return values_beginning_with(text, spellings)


def _begins(key: Key, value: str, text: str) -> bool:
    if key is Key.LOCATION:
        return begins_with(text, [value]) or bool(
            place_key(text) and place_key(value).startswith(place_key(text))
        )
    aliases = [alias for alias, canonical in ARCHITECTURES.items() if canonical == value]
    return begins_with(text, [value, *aliases])


def _begins_os(value: tuple[str, ...], text: str) -> bool:
    return begins_with(text, [" ".join(value), operating_systems.label(*value)])
