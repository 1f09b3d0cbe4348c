"""Suggest keys and terms while a person types in the search box of the audit log."""

from __future__ import annotations

from collections.abc import Iterator

from models import Scope
from webapp.search.audit_log.authors import names_containing
from webapp.search.audit_log.keys import DID, HINTS, KEYS, ON, Key, did_label
from webapp.search.audit_log.query import Term
from webapp.search.language import begins_with
from webapp.search.suggestions import MAX_SUGGESTIONS, Suggestion, suggest_completions

TIMES = {
    "today": "",
    "yesterday": "",
    "24h": "the last 24 hours",
    "7d": "the last 7 days",
    "30d": "the last 30 days",
}


def suggest(scope: Scope, text: str, caret: int) -> list[Suggestion]:
    """Return suggestions for the piece of `text` that contains the caret, or for a new piece."""
    return suggest_completions(text, caret, lambda prefix: _completions(scope, prefix))


def _completions(scope: Scope, prefix: str) -> Iterator[tuple[str, str]]:
    """Yield the keys and terms to which `prefix` can be completed, each with its hint."""
    name, colon, part = prefix.partition(":")
    if colon:
        if name in KEYS:
            yield from _terms(scope, Key(name), part)
        return
    for key in KEYS:
        if key.startswith(name):
            yield f"{key}:", HINTS[key]
    if len(name) > 1:
        for value_key in (Key.DID, Key.ON, Key.BY, Key.AT):
            yield from _terms(scope, value_key, name)


def _terms(scope: Scope, key: Key, part: str) -> Iterator[tuple[str, str]]:
    """Yield the terms of `key` whose value or hint contains `part`, each with its hint.

    The terms whose value or hint begins with `part` come first.
    """
    hints = {
        Key.BY: _people(scope, part) if key is Key.BY else {},
        Key.DID: {verb: did_label([verb]) for verb in DID},
        Key.ON: dict.fromkeys(ON, ""),
        Key.AT: TIMES,
    }.get(key, {})
    matching = [
        (not begins_with(part, [value, hint]), str(Term(key, value)), hint)
        for value, hint in hints.items()
        if part in value.lower() or part in hint.lower()
    ]
    for _, text, hint in sorted(matching, key=lambda each: each[0]):
        yield text, hint


def _people(scope: Scope, part: str) -> dict[str, str]:
    names = names_containing(scope, part, MAX_SUGGESTIONS)
    return {"me": "your own changes"} | dict.fromkeys(names, "")
