"""Parse the text of the search box into a `Query`.

This module contains no SQL. `webapp.search.conditions` translates terms into SQL. The caller of
`parse` passes a function that finds the values that images have (`webapp.search.visible_values`).

A search consists of terms, separated by spaces. A term is a word or `key:value`. Several words in
quotes belong to one term. If a search has several terms with the same key, an image must match at
least one of these terms. For example, `cloud:aws cloud:gce os:ubuntu` finds the Ubuntu images of
AWS and of Google Cloud. But an image must match every word, and every term with the key `id`,
`tag`, `size` or `created`. A term with a leading minus excludes images: `-cloud:aws` finds the
images of all other clouds. An unfinished value, such as “u” in `os:u`, matches every value that
begins with it. A value of `id`, `size`, `created` or `by` is never unfinished. See
`webapp.search.completions`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence

from schema.search_text import is_wide
from schema.text import comparable
from webapp.clouds import CLOUDS
from webapp.images import operating_systems
from webapp.search.completions import fixed_completions
from webapp.search.image_ids import is_image_id, only_image_id
from webapp.search.keys import ARCHITECTURES, KEYS, Key
from webapp.search.language import (
    COMPARISON,
    MAX_TEXT_LENGTH,
    Problem,
    begins_with,
    missing_value,
    mistyped_term,
    parse_pieces,
    split_minus,
    unknown_key,
)
from webapp.search.query import Query, Term
from webapp.search.syntax import KEY_AND_VALUE, unquote
from webapp.search.values import (
    MAX_OS_FAMILY_LENGTH,
    MIN_WORD_LENGTH,
    OS_FAMILY_NAMES,
    InvalidValue,
    canonical_value,
    example_term,
    too_short_message,
)
from webapp.values.text import replace_control_characters

StoredValues = Callable[[Key, Sequence[str]], Collection[tuple[str, ...]]]
"""A function that takes a key of `STORED_KEYS` and some texts, and returns values that images have.

A value is a tuple: a family and a version for `os`, and one text for the other keys. The function
returns the values whose first item is one of the texts. For `location`, it also returns the other
spellings of the texts.
"""


def _no_stored_values(_key: Key, _texts: Sequence[str]) -> Collection[tuple[str, ...]]:
    return ()


def parse(text: str, stored_values: StoredValues = _no_stored_values) -> Query:
    """Return the query that `text` describes.

    Any text can be parsed: a piece that is not a valid term becomes a problem of the query, and so
    does the end of a text that is too long. Control characters are replaced, so that pages can show
    the text. To parse a text that a person typed, call `webapp.search.catalogue.parse_search`,
    which passes the values of the visible images.
    """
    # One of the replaced characters is `schema.search_text.SEPARATOR`. It separates the short words
    # at the end of the `search_text` of an image, so a word of a search must not contain it.
    text = replace_control_characters(text)
    if len(text) <= MAX_TEXT_LENGTH and (image_id := only_image_id(text)):
        return Query((Term(Key.WORD, image_id),), (), " ".join(text.split()))
    return Query(*parse_pieces(text, lambda piece: _parse_piece(piece, stored_values)))


def includes_below(text: str) -> bool:
    """Return whether a search includes the images of the scopes below.

    The result decides which images `stored_values` reads. So call this function before you call
    `parse` with `stored_values`.
    """
    return parse(text).includes_below


def _parse_piece(piece: str, stored_values: StoredValues) -> Term | Problem:
    excluded, included = split_minus(piece)
    match = KEY_AND_VALUE.fullmatch(included)
    if match is None or is_image_id(included):
        return _parse_word(piece, unquote(included), excluded=excluded)
    name, value = match[1].lower(), match[2]
    if name not in KEYS:
        return unknown_key(piece, name, included, KEYS)
    key = Key(name)
    operator = ""
    if key in {Key.SIZE, Key.CREATED}:
        operator, value = COMPARISON.fullmatch(value).groups()  # type: ignore[union-attr]
    value = unquote(value)
    if found := _find_stored(key, value, stored_values):
        text, stored = found
        return Term(key, text, excluded, stored=stored)
    # Locations and architectures are stored as the cloud writes them.
    if key not in {Key.LOCATION, Key.ARCH}:
        value = comparable(value)
    value = value.strip()
    if not value:
        return missing_value(piece, example_term(key))
    try:
        return Term(key, canonical_value(key, value), excluded, operator)
    except InvalidValue as error:
        return _parse_unfinished(key, value, excluded=excluded) or Problem(piece, error.message)


def _parse_unfinished(key: Key, value: str, *, excluded: bool) -> Term | None:
    """Return the term for an unfinished value of `cloud` or of a key with fixed values, or None."""
    completions = fixed_completions(key, value)
    if len(completions) == 1:
        return Term(key, completions[0], excluded)
    values = tuple((each,) for each in completions)
    return Term(key, value.lower(), excluded, completions=values) if completions else None


def _find_stored(
    key: Key, value: str, stored_values: StoredValues
) -> tuple[str, tuple[str, ...]] | None:
    """Return `Term.value` and `Term.stored` if `value` means a stored value, or None.

    For `location`, `Term.value` is the first spelling of the location. For the other keys, see
    `_find_stored_text`.
    """
    if key is Key.LOCATION:
        spellings = _find_spellings(value, stored_values)
        return (spellings[0], spellings) if spellings else None
    for text in dict.fromkeys((value, value.strip(), comparable(value).strip())):
        if stored := _find_stored_text(key, text, stored_values):
            return text, stored
    return None


def _find_stored_text(key: Key, text: str, stored_values: StoredValues) -> tuple[str, ...]:
    """Return the stored value that `text` means, or ().

    Also return () if `key` is not one of `STORED_KEYS`. Some texts can have only one meaning: the
    key of a cloud, such as `aws`, and an architecture in lower case that is not an alias. To save
    time, return () for these texts without a query to the database.
    """
    if key is Key.OS:
        return _find_stored_os(text, stored_values)
    canonical = {
        Key.CLOUD: text in CLOUDS,
        Key.ARCH: text == text.lower().strip() and text not in ARCHITECTURES,
    }
    if canonical.get(key, True):
        return ()
    return (text,) if (text,) in stored_values(key, [text]) else ()


def _find_spellings(location: str, stored_values: StoredValues) -> tuple[str, ...]:
    """Return all stored spellings of a location, sorted. See `visible_values.location_key`."""
    if not location:
        return ()  # '' means that an image has no location, as in some clouds.
    found = stored_values(Key.LOCATION, [location])
    return tuple(sorted(spelling for (spelling,) in found))


def _find_stored_os(text: str, stored_values: StoredValues) -> tuple[str, ...]:
    """Return the family, or the family and the version, that `text` means, or ().

    A listed family is one of `operating_systems.FAMILIES`, and a stored family is a family that an
    image has. If `text` is the key of a listed family, or a stored family, it means this family.
    Otherwise, `text` can be a stored family followed by a version. The longest stored family is
    tried first:

    - If an image has this family and exactly this version, `text` means both.
    - Otherwise, if `text` begins with the name of a listed family, and this name is not shorter
      than the stored family, the next stored family is tried. If no stored family is left,
      return (): `text` means the listed family, and the caller parses it.
    - Otherwise, `text` means the stored family and the version, even if no image has this version.
      But if a stored version of this family begins with the version in `text`, the version is
      unfinished, so return ().

    For example, a person may have typed "Rocky Linux" as the family of an image. "Rocky Linux 9"
    means this family only if such an image has the version "9". Otherwise, "Rocky Linux 9" means
    version 9 of the listed family Rocky Linux.
    """
    if text in operating_systems.FAMILIES:
        return (text,)
    families = _possible_families(text)
    found = set(stored_values(Key.OS, families)) if families else set()
    stored_families = {family for family, _version in found}
    if text in stored_families:
        return (text,)
    names = [name for name, _ in OS_FAMILY_NAMES if text.lower().startswith(f"{name} ")]
    longest_name_length = max(map(len, names), default=0)
    for family in sorted(stored_families, key=len, reverse=True):
        version = text[len(family) + 1 :]
        if (family, version) in found:
            return (family, version)
        if len(family) > longest_name_length:
            is_unfinished = any(
                name == family and begins_with(version, [stored]) for name, stored in found
            )
            return () if is_unfinished else (family, version)
    return ()


def _possible_families(text: str) -> list[str]:
    """Return the text before each space, and the whole text.

    A text that is empty, or too long for a family, is left out.
    """
    ends = [match.start() for match in re.finditer(" ", text)]
    return [text[:end] for end in (*ends, len(text)) if 0 < end <= MAX_OS_FAMILY_LENGTH]


def _parse_word(piece: str, value: str, *, excluded: bool) -> Term | Problem:
    value = comparable(value).strip()
    if problem := mistyped_term(piece, value, KEYS):
        return problem
    if len(value) < MIN_WORD_LENGTH and not any(map(is_wide, value)):
        return Problem(piece, too_short_message(value or piece))
    return Term(Key.WORD, value, excluded)
