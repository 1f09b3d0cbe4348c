"""Suggest keys and terms while a person types in the search box."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter

from models import Scope
from webapp.search import conditions, facets, tags
from webapp.search.keys import FIXED_VALUES, KEYS, Key
from webapp.search.language import begins_with
from webapp.search.parser import includes_below
from webapp.search.query import INCLUDING_BELOW, OWNED_OR_INHERITED, Query, Term
from webapp.search.syntax import find_pieces

MAX_SUGGESTIONS = 8
HINTS = {
    Key.CLOUD: "cloud provider",
    Key.LOCATION: "region or datacenter",
    Key.OS: "operating system, with or without version",
    Key.SCOPE: "scalr, account or environment",
    Key.OWNER: "here, above or below",
    Key.IN: "below: also search the scopes below",
    Key.SHARED: "yes or no",
    Key.AGENT: "Scalr agent installed: yes or no",
    Key.ARCH: "x86_64, arm64",
    Key.STATUS: "active, deprecated, retired or a cloud state",
    Key.TAG: "tag or key of a tag, for example tag:team=web",
    Key.VERIFIED: "checked in the cloud: yes or no",
    Key.SIZE: "in GB, for example size:>30",
    Key.CREATED: "date registered, in UTC, for example created:<2026-01-01",
    Key.BY: "person who registered the image, for example by:me",
    Key.ID: "part of the cloud image ID",
}
VISIBLE_VALUE_KEYS = (Key.CLOUD, Key.OS, Key.LOCATION, Key.ARCH)
"""The keys whose suggestions come from `facets.visible_values`, in the order of the suggestions."""


@dataclass(frozen=True)
class Suggestion:
    """One suggestion.

    If the person accepts the suggestion, the search box contains `text`, and the caret is at the
    position `caret`.
    """

    text: str
    caret: int
    label: str
    hint: str


def suggest(scope: Scope, text: str, caret: int) -> list[Suggestion]:
    """Return suggestions for the piece of `text` that contains the caret, or for a new piece."""
    reach = INCLUDING_BELOW if includes_below(text) else OWNED_OR_INHERITED
    return suggest_completions(text, caret, lambda prefix: _completions(scope, reach, prefix))


def suggest_completions(
    text: str, caret: int, completions: Callable[[str], Iterable[tuple[str, str]]]
) -> list[Suggestion]:
    """Return suggestions for the piece of `text` that contains the caret, or for a new piece.

    `completions` gets the beginning of a piece, in lower case and without its minus and its quotes.
    It returns the keys and terms to which this beginning can be completed, each with its hint.
    """
    start, end = caret, caret
    for match in find_pieces(text):
        if match.start() <= caret <= match.end():
            start, end = match.span()
    before_caret = text[start:caret]
    minus = "-" if before_caret.startswith("-") else ""
    prefix = before_caret.removeprefix("-").lower().replace('"', "")
    suggestions = []
    for completion, hint in completions(prefix):
        if completion == text[start:end].removeprefix("-"):
            continue
        insertion = f"{minus}{completion}" + ("" if completion.endswith(":") else " ")
        new_text = text[:start] + insertion + text[end:].lstrip()
        suggestions.append(
            Suggestion(new_text, start + len(insertion), f"{minus}{completion}", hint)
        )
        if len(suggestions) == MAX_SUGGESTIONS:
            break
    return suggestions


def _completions(scope: Scope, reach: Query, prefix: str) -> Iterator[tuple[str, str]]:
    """Yield the keys and terms to which `prefix` can be completed, each with its hint."""
    name, colon, part = prefix.partition(":")
    keys = [key for key in KEYS if key is not Key.IN or scope.level.below]
    if colon:
        if name in keys:
            key = Key(name)
            yield from _terms(scope, reach, key, part, _possible_values(scope, reach, [key])[key])
        return
    for key in keys:
        if key.startswith(name):
            yield f"{key}:", HINTS[key]
    if len(name) > 1:
        value_keys = (*VISIBLE_VALUE_KEYS, Key.STATUS, Key.TAG)
        values = _possible_values(scope, reach, value_keys)
        for key in value_keys:
            yield from _terms(scope, reach, key, name, values[key])


def _terms(
    scope: Scope, reach: Query, key: Key, part: str, values: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """Yield the terms of `key` whose value or label contains `part`, each with its hint.

    `values` is the result of `_possible_values`. The terms whose value or label begins with `part`
    come first, because an unfinished value such as `part` matches every value that begins with it.
    Tags are sorted by their number of images instead.
    """
    if key is Key.TAG:
        slices = conditions.scope_slices(scope, reach)
        for use in tags.most_frequent(slices, MAX_SUGGESTIONS, part):
            yield str(Term(Key.TAG, use.token)), use.name if use.name != use.token else ""
        return
    terms = []
    for value in values:
        term = Term(key, value, stored=(value,) if key in VISIBLE_VALUE_KEYS else ())
        label = "registered by you" if key is Key.BY else term.value_label
        if part in value.lower() or part in label.lower():
            hint = label if label.lower() != value.lower() else ""
            terms.append((not begins_with(part, [value, label]), str(term), hint))
    for _, text, hint in sorted(terms, key=itemgetter(0)):
        yield text, hint


def _possible_values(scope: Scope, reach: Query, keys: Sequence[Key]) -> dict[Key, list[str]]:
    """Return the values to suggest for each key.

    The list is empty for keys such as `size`, and for tags, which `_terms` finds itself.
    """
    visible_keys = [key for key in keys if key in VISIBLE_VALUE_KEYS]
    values = facets.visible_values(scope, reach, visible_keys) if visible_keys else {}
    for key in keys:
        if key in FIXED_VALUES:
            values[key] = list(dict.fromkeys(FIXED_VALUES[key].values()))
        values.setdefault(key, ["me"] if key is Key.BY else [])
    return values
