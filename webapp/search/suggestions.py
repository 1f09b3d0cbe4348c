"""What the search box suggests while somebody types: keys, and values that the scope sees."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from models import Scope
from webapp.clouds import CLOUDS
from webapp.images import operating_systems
from webapp.search import facets
from webapp.search.language import KEYS, WORDS, Key, Term, parse, pieces_of

MOST = 8
HINTS = {
    Key.CLOUD: "which cloud",
    Key.LOCATION: "region or data center",
    Key.OS: "operating system, with or without its version",
    Key.SCOPE: "scalr, account or environment",
    Key.OWNER: "here or above",
    Key.SHARED: "yes or no",
    Key.AGENT: "Scalr agent installed: yes or no",
    Key.ARCH: "x86_64, arm64",
    Key.STATUS: "active, deprecated, retired, or as the cloud says",
    Key.VERIFIED: "seen in the cloud: yes or no",
    Key.SIZE: "in GB: size:>30",
    Key.CREATED: "registered: created:<2026-01-01",
    Key.BY: "who registered it: by:me",
    Key.ID: "part of the cloud image ID",
}
SEEN = (Key.CLOUD, Key.OS, Key.LOCATION, Key.ARCH)
"""The keys whose values are those of the images."""


@dataclass(frozen=True)
class Suggestion:
    """`text` is what the whole box then holds, and `caret` where one goes on typing."""

    text: str
    caret: int
    label: str
    hint: str


def suggest(scope: Scope, text: str, caret: int) -> list[Suggestion]:
    """For the piece of `text` that the caret is in, or for a new one."""
    start, end = caret, caret
    for match in pieces_of(text):
        if match.start() <= caret <= match.end():
            start, end = match.span()
    piece = text[start:caret]
    minus = "-" if piece.startswith("-") else ""
    typed = piece.removeprefix("-").lower().replace('"', "")
    found = []
    for said, hint in _offers(scope, typed):
        if said == text[start:end].removeprefix("-"):
            continue
        put = f"{minus}{said}" + ("" if said.endswith(":") else " ")
        whole = text[:start] + put + text[end:].lstrip()
        found.append(Suggestion(whole, start + len(put), f"{minus}{said}", hint))
        if len(found) == MOST:
            break
    return found


def _offers(scope: Scope, typed: str) -> Iterator[tuple[str, str]]:
    """What could be meant, and what it is."""
    name, colon, part = typed.partition(":")
    if colon:
        if name in KEYS:
            yield from _values(scope, Key(name), part)
        return
    for key in KEYS:
        if key.startswith(name):
            yield f"{key}:", HINTS[key]
    if len(name) > 1:
        for seen in (*SEEN, Key.STATUS):
            yield from _values(scope, seen, name)


def _values(scope: Scope, key: Key, part: str) -> Iterator[tuple[str, str]]:
    if key in SEEN:
        known = {value: _name(key, value) for value in facets.values(scope, key)}
    elif key in WORDS:
        known = dict.fromkeys(dict.fromkeys(WORDS[key].values()), "")
    else:
        known = {Key.BY: {"me": "registered by you"}}.get(key, {})
    for value, label in known.items():
        if part in value.lower() or part in label.lower():
            term = Term(key, value)
            if parse(str(term)).terms:
                yield str(term), label if label.lower() != value.lower() else ""


def _name(key: Key, value: str) -> str:
    if key is Key.CLOUD:
        return CLOUDS[value].label if value in CLOUDS else value
    return operating_systems.label(value) if key is Key.OS else value
