"""The language of the search box: its text becomes a `Query`, and a query becomes its text again.
Pure: asks no database. What the terms mean for images is in `webapp.search.conditions`.

Terms stand between blanks: plain words, and `key:value`, which a leading minus excludes; quotes
hold words together. Terms of different keys must all hold. Several values of one key are
alternatives, but for words, id, size and created, which must all hold. What is excluded must not.
"""

from __future__ import annotations

import contextlib
import enum
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from difflib import get_close_matches

from models import Level, LifeCycle
from webapp.clouds import CLOUDS, recognise
from webapp.clouds.base import ImageState
from webapp.images import operating_systems

MOST_TERMS = 20
LONGEST = 500
"""Characters of the text; the rest is not looked at."""
SHORTEST = 3
"""Characters of a word: the index is of trigrams."""


class Key(enum.StrEnum):
    """What a term is about."""

    WORD = "word"
    """No key: any part of name, cloud image id or description."""
    CLOUD = "cloud"
    LOCATION = "location"
    OS = "os"
    SCOPE = "scope"
    OWNER = "owner"
    SHARED = "shared"
    AGENT = "agent"
    ARCH = "arch"
    STATUS = "status"
    VERIFIED = "verified"
    SIZE = "size"
    CREATED = "created"
    BY = "by"
    ID = "id"


KEYS = [each for each in Key if each is not Key.WORD]
YES_NO = {"yes": "yes", "y": "yes", "true": "yes", "no": "no", "n": "no", "false": "no"}
OWNERS = {"here": "here", "me": "here", "own": "here", "above": "above", "inherited": "above"}
STATUSES = dict.fromkeys([*map(str, LifeCycle), *map(str, ImageState)])
ARCHITECTURES = {"amd64": "x86_64", "x64": "x86_64", "aarch64": "arm64"}
WORDS = {
    Key.SCOPE: {str(each): str(each) for each in Level},
    Key.OWNER: OWNERS,
    Key.SHARED: YES_NO,
    Key.AGENT: YES_NO,
    Key.VERIFIED: YES_NO,
    Key.STATUS: {each: each for each in STATUSES},
}
"""The keys that know only certain values, with other spellings of them."""
OPERATORS = {"<": "before", "<=": "until", ">": "after", ">=": "since", "": "on"}
NAMES = {
    Key.CLOUD: "Cloud",
    Key.LOCATION: "Location",
    Key.OS: "OS",
    Key.SCOPE: "Scope",
    Key.ARCH: "Architecture",
    Key.STATUS: "Status",
    Key.BY: "Registered by",
    Key.ID: "ID holds",
}
_FAMILY_NAMES = sorted(
    (
        (name, family)
        for family in operating_systems.FAMILIES.values()
        for name in {family.key, family.label.lower()}
    ),
    key=lambda named: -len(named[0]),
)
"""The longest first: "Rocky Linux 9" is not the version "Linux 9" of "rocky"."""
_PIECE = re.compile(r'(?:"(?:\\.|[^"\\])*(?:"|\\?\Z)|[^\s"])+', re.DOTALL)
_QUOTED = re.compile(r'"((?:\\.|[^"\\])*)(?:"|\\?\Z)', re.DOTALL)
_KEYED = re.compile(r"([A-Za-z]+):(?!//)(.*)", re.DOTALL)
"""An address, https://…, is a word."""
_COMPARED = re.compile(r"(<=|>=|<|>|)(.*)", re.DOTALL)
_PLAIN = re.compile(r'[^\s"]+')


@dataclass(frozen=True)
class Term:
    """One thing that is asked for. `operator` is '' or a comparison, of sizes and dates."""

    key: Key
    value: str
    excluded: bool = False
    operator: str = ""

    def __str__(self) -> str:
        """As one types it."""
        minus = "-" if self.excluded else ""
        if self.key is Key.WORD:
            return minus + _quoted(self.value, always=_needs_quotes(self.value))
        return f"{minus}{self.key}:{self.operator}{_quoted(self.value)}"

    @property
    def label(self) -> str:
        """As one says it, for people."""
        if self.excluded and WORDS.get(self.key) is YES_NO:
            return _label(replace(self, value="no" if self.value == "yes" else "yes"))
        return ("not " if self.excluded else "") + _label(self)


@dataclass(frozen=True)
class Problem:
    """A piece of the text that cannot be searched for, and why."""

    text: str
    message: str


@dataclass(frozen=True)
class Query:
    """All that is asked for; `text` is as it was typed."""

    terms: tuple[Term, ...]
    problems: tuple[Problem, ...]
    text: str

    def __str__(self) -> str:
        return " ".join(map(str, self.terms))

    def __bool__(self) -> bool:
        return bool(self.terms)

    def of(self, key: Key) -> tuple[Term, ...]:
        return tuple(term for term in self.terms if term.key is key)

    @property
    def words(self) -> tuple[Term, ...]:
        return self.of(Key.WORD)

    def without(self, term: Term) -> Query:
        return self._of(each for each in self.terms if each != term)

    def plus(self, term: Term) -> Query:
        """Also with `term`; with its opposite no longer."""
        opposite = replace(term, excluded=not term.excluded)
        return self._of([*(each for each in self.terms if each not in {term, opposite}), term])

    def toggled(self, term: Term) -> Query:
        return self.without(term) if term in self.terms else self.plus(term)

    def _of(self, terms: Iterable[Term]) -> Query:
        """What could not be understood stays, to be put right."""
        terms = tuple(terms)
        texts = (*map(str, terms), *(problem.text for problem in self.problems))
        return Query(terms, self.problems, " ".join(texts))


EVERYTHING = Query((), (), "")


def parse(text: str) -> Query:
    """Any text can be parsed; what cannot be understood is among the problems."""
    text = text[:LONGEST]
    terms: dict[Term, None] = {}
    problems: dict[Problem, None] = {}
    pieces = [match[0] for match in _PIECE.finditer(text)]
    for piece in pieces:
        found = _read(piece)
        if isinstance(found, Problem):
            problems[found] = None
        elif len(terms) < MOST_TERMS:
            terms[found] = None
        elif found not in terms:
            problems[Problem(piece, f"A search has at most {MOST_TERMS} terms.")] = None
    return Query(tuple(terms), tuple(problems), " ".join(pieces))


def _read(piece: str) -> Term | Problem:
    excluded = piece.startswith("-") and len(piece) > 1
    rest = piece[1:] if excluded else piece
    keyed = _KEYED.fullmatch(rest)
    if keyed is None or _is_image_id(rest):
        return _word(piece, _unquoted(rest), excluded=excluded)
    name, value = keyed[1].lower(), keyed[2]
    if name not in KEYS:
        return Problem(piece, _unknown(name, rest))
    key = Key(name)
    operator = ""
    if key in {Key.SIZE, Key.CREATED}:
        operator, value = _COMPARED.fullmatch(value).groups()  # type: ignore[union-attr]
    value = _unquoted(value).strip()
    if not value:
        return Problem(piece, f"“{piece}” needs a value, such as {_example(key)}.")
    try:
        return Term(key, _canonical(key, value), excluded, operator)
    except ValueError as error:
        return Problem(piece, str(error))


def _is_image_id(keyed: str) -> bool:
    """Whether a text with a colon is read as an image id: not where it begins with a key, although
    a publisher could be named "os"."""
    return keyed.partition(":")[0].lower() not in KEYS and bool(recognise(keyed))


def _word(piece: str, value: str, *, excluded: bool) -> Term | Problem:
    value = value.strip()
    if len(value) < SHORTEST:
        return Problem(piece, _too_short(value or piece))
    return Term(Key.WORD, value, excluded)


def _too_short(value: str) -> str:
    return f"“{value}” is too short to search for. Type at least {SHORTEST} characters."


def _unknown(name: str, rest: str) -> str:
    near = get_close_matches(name, KEYS, n=1, cutoff=0.5)
    meant = f" Did you mean “{near[0]}:”?" if near else ""
    keys = ", ".join(KEYS)
    return (
        f"“{name}:” is not known.{meant} The known ones are {keys}. "
        f"To search for the text itself, put quotes around it: {_quoted(rest, always=True)}"
    )


def _canonical(key: Key, value: str) -> str:
    """Raises ValueError, worded for the person."""
    if key in WORDS:
        return _known(key, value, WORDS[key])
    return {
        Key.CLOUD: _cloud,
        Key.OS: _os,
        Key.ARCH: lambda said: ARCHITECTURES.get(said.lower(), said.lower()),
        Key.SIZE: _size,
        Key.CREATED: _date,
        Key.BY: lambda said: "me" if said.lower() == "me" else said,
        Key.ID: _id,
    }.get(key, str)(value)


def _id(value: str) -> str:
    if len(value) < SHORTEST:
        raise ValueError(_too_short(value))
    return value


def _known(key: Key, value: str, known: dict[str, str]) -> str:
    found = known.get(value.lower())
    if found is None:
        choice = ", ".join(dict.fromkeys(known.values()))
        raise ValueError(f"“{key}:” is one of {choice}, not “{value}”.")
    return found


def _cloud(value: str) -> str:
    keys = {each.label.lower(): key for key, each in CLOUDS.items()} | {key: key for key in CLOUDS}
    if value.lower() not in keys:
        raise ValueError(f"“cloud:” is one of {', '.join(CLOUDS)}, not “{value}”.")
    return keys[value.lower()]


def _os(value: str) -> str:
    """A family or a family and a version, by their keys where they are known: 'ubuntu 24.04'."""
    said = value.lower()
    for name, family in _FAMILY_NAMES:
        if said == name:
            return family.key
        if said.startswith(f"{name} "):
            return f"{family.key} {_version(family, value[len(name) :].strip())}"
    lone = {
        f"{family.key} {version.key}"
        for family in operating_systems.FAMILIES.values()
        for version in family.versions
        if said in version.label.lower().split()
    }
    return lone.pop() if len(lone) == 1 else value


def _version(family: operating_systems.Family, said: str) -> str:
    named = {each.label.lower(): each.key for each in family.versions}
    named |= {each.key.lower(): each.key for each in family.versions}
    within = [key for label, key in named.items() if said.lower() in label.split()]
    return named.get(said.lower()) or (within[0] if len(set(within)) == 1 else said)


def _size(value: str) -> str:
    digits = value.lower().removesuffix("gb").strip()
    if not (digits.isascii() and digits.isdecimal()) or not 0 < int(digits) < 2**31:
        raise ValueError(f"“size:” is in whole GB, such as {_example(Key.SIZE)}, not “{value}”.")
    return str(int(digits))


def _date(value: str) -> str:
    with contextlib.suppress(ValueError):
        # Python also reads weeks, and dates without hyphens.
        if date.fromisoformat(value).isoformat() == value:
            return value
    raise ValueError(f"“created:” is a date, such as {_example(Key.CREATED)}, not “{value}”.")


def _example(key: Key) -> str:
    examples = {
        Key.CLOUD: f"cloud:{next(iter(CLOUDS))}",
        Key.LOCATION: "location:us-east-1",
        Key.OS: 'os:"ubuntu 24.04"',
        Key.ARCH: "arch:arm64",
        Key.SIZE: "size:>30",
        Key.CREATED: "created:<2026-01-01",
        Key.BY: "by:me",
        Key.ID: "id:0abc",
    }
    return examples.get(key) or f"{key}:{next(iter(WORDS[key]))}"


def _label(term: Term) -> str:
    key, value = term.key, term.value
    if key is Key.WORD:
        return f"“{value}”"
    if key in {Key.SHARED, Key.AGENT, Key.VERIFIED}:
        said = {Key.SHARED: "shared", Key.AGENT: "with agent", Key.VERIFIED: "verified"}[key]
        return said if value == "yes" else f"not {said}"
    if key is Key.OWNER:
        return "owned here" if value == "here" else "inherited"
    if key is Key.SIZE:
        return f"size {term.operator or '='} {value} GB"
    if key is Key.CREATED:
        return f"registered {OPERATORS[term.operator]} {value}"
    shown = {
        Key.CLOUD: lambda: CLOUDS[value].label,
        Key.OS: lambda: operating_systems.label(*_parted(value)),
        Key.SCOPE: value.capitalize,
    }.get(key, lambda: value)
    return f"{NAMES[key]}: {shown()}"


def _parted(value: str) -> tuple[str, str]:
    family, _, version = value.partition(" ")
    return (family, version) if family in operating_systems.FAMILIES else (value, "")


def _unquoted(piece: str) -> str:
    return _QUOTED.sub(lambda match: re.sub(r"\\(.)", r"\1", match[1], flags=re.DOTALL), piece)


def _quoted(value: str, *, always: bool = False) -> str:
    if not always and _PLAIN.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _needs_quotes(word: str) -> bool:
    """Whether a plain word would be read as something else."""
    return word.startswith("-") or (_KEYED.fullmatch(word) is not None and not _is_image_id(word))


def pieces_of(text: str) -> Iterator[re.Match[str]]:
    """Where the pieces of a text stand, for suggestions."""
    return _PIECE.finditer(text)
