"""Parse the syntax that the search languages of all pages share.

A search consists of terms, separated by spaces. A term is a word or `key:value`, and a leading
minus excludes what the term matches. `webapp.search.parser` defines the language of the Images
page, and `webapp.search.audit_log.parser` the language of the audit log.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Generic, Protocol, Self, TypeVar

from schema.text import comparable
from webapp.refusals import Refusal
from webapp.search.syntax import find_pieces, is_quoted, quote, unquote

MAX_TERMS = 20
MAX_TEXT_LENGTH = 500
"""The maximum length of a search, in characters.

`parse_pieces` explains what happens to a longer text.
"""
SHORT_TEXT_LENGTH = 60
"""The maximum length of a piece of the search in a message. See `shorten`."""
COMPARISON = re.compile(r"(<=|>=|<|>|)(.*)", re.DOTALL)
"""Matches the operator and the rest of a value, such as ">30"."""
_MISTYPED_TERM = re.compile(r"[-(\s]*([A-Za-z]+)\s*[:=：]\s*(?!//)(.*)", re.DOTALL)
"""Matches a word that begins like a term, for example "(status:active)" or "status=active"."""


class AnyTerm(Protocol):
    """A term of any of the search languages."""

    @property
    def key(self) -> str: ...


T = TypeVar("T", bound=AnyTerm)


@dataclass(frozen=True)
class Problem:
    """A piece of the text that cannot be used, and a message that explains why."""

    text: str
    message: str


@dataclass(frozen=True)
class ParsedSearch(Generic[T]):
    """A parsed search. `text` is its text, with single spaces between the pieces."""

    terms: tuple[T, ...]
    problems: tuple[Problem, ...]
    text: str

    def __str__(self) -> str:
        """Return the terms as text. Pieces that became problems are left out."""
        return " ".join(map(str, self.terms))

    def __bool__(self) -> bool:
        return bool(self.terms)

    def require_understood(self) -> None:
        """Raise NotUnderstood if the query has problems."""
        if self.problems:
            raise NotUnderstood(self)

    def terms_for(self, key: str) -> tuple[T, ...]:
        return tuple(term for term in self.terms if term.key == key)

    def without_term(self, removed: T) -> Self:
        return self._with_terms(term for term in self.terms if term != removed)

    def with_term_replaced(self, old: T, new: T) -> Self:
        """Return the query with the term `new` instead of `old`. Its `text` stays the same."""
        return replace(self, terms=tuple(new if term == old else term for term in self.terms))

    def with_problem(self, term: T, message: str) -> Self:
        """Return the query with a problem instead of `term`. Its `text` stays the same."""
        terms = tuple(other for other in self.terms if other != term)
        return replace(self, terms=terms, problems=(*self.problems, Problem(str(term), message)))

    def _with_terms(self, terms: Iterable[T]) -> Self:
        """Return a query with these terms.

        Pieces that became problems stay in the text, so that the person can correct them.
        """
        terms = tuple(terms)
        texts = (*map(str, terms), *(problem.text for problem in self.problems))
        return replace(self, terms=terms, text=" ".join(texts))


class NotUnderstood(Refusal):
    """A part of a search cannot be used.

    Such a search may find other records than the person meant. A page may show these records, but
    an action or an export must not use them.
    """

    def __init__(self, query: ParsedSearch[T]) -> None:
        self.query = query
        pieces = ", ".join(f"“{shorten(problem.text)}”" for problem in query.problems)
        super().__init__(
            f"A part of your search can’t be used: {pieces}. Correct it or remove it. Until then, "
            "it is ignored, so the search may find other results than you meant."
        )


def parse_pieces(
    text: str, parse_piece: Callable[[str], T | Problem]
) -> tuple[tuple[T, ...], tuple[Problem, ...], str]:
    """Divide a text into pieces. Return the terms, the problems and the text of a `ParsedSearch`.

    `parse_piece` returns the term or the problem of each piece. If the text is longer than
    `MAX_TEXT_LENGTH`, the rest of the text becomes one problem. The rest begins with the first
    piece that does not fit. Each term after the first `MAX_TERMS` terms becomes a problem too.
    """
    terms: dict[T, None] = {}
    problems: dict[Problem, None] = {}
    pieces: list[str] = []
    length = -1
    for match in find_pieces(text):
        piece = match[0]
        length += 1 + len(piece)
        if length > MAX_TEXT_LENGTH:
            piece = text[match.start() :].strip()
            problems[Problem(piece, _too_long_message(piece))] = None
            pieces.append(piece)
            break
        pieces.append(piece)
        parsed = parse_piece(piece)
        if isinstance(parsed, Problem):
            problems[parsed] = None
        elif len(terms) < MAX_TERMS:
            terms[parsed] = None
        elif parsed not in terms:
            problems[Problem(piece, _too_many_terms_message(piece))] = None
    return tuple(terms), tuple(problems), " ".join(pieces)


def split_minus(piece: str) -> tuple[bool, str]:
    """Return whether a piece excludes what it matches, and the piece without its minus."""
    excluded = piece.startswith("-") and len(piece) > 1
    return excluded, piece[1:] if excluded else piece


def mistyped_term(piece: str, value: str, keys: Collection[str]) -> Problem | None:
    """Return the problem of a piece that looks like a mistyped term, such as "status=active".

    `value` is the text of the piece, without its quotes and its minus.
    """
    match = _MISTYPED_TERM.match(value)
    if not match or is_quoted(piece):
        return None
    key, key_value = match[1].lower(), unquote(match[2]).rstrip(")")
    if key not in keys:
        return None
    excluded, _ = split_minus(piece)
    correct = f"{'-' if excluded else ''}{key}:{key_value}"
    return Problem(piece, f"“{piece}” isn’t a search term. Did you mean “{correct}”?")


def unknown_key(piece: str, name: str, text: str, keys: Collection[str]) -> Problem:
    """Return the problem of a piece with an unknown key. `text` is the piece without its minus."""
    similar = get_close_matches(name, keys, n=1, cutoff=0.5)
    suggestion = f" Did you mean “{similar[0]}:”?" if similar else ""
    return Problem(
        piece,
        f"“{name}:” isn’t a search token.{suggestion} Available tokens: {', '.join(keys)}. "
        f"To search for the text itself, put it in quotes: {quote(text, always=True)}",
    )


def missing_value(piece: str, example: str) -> Problem:
    return Problem(piece, f"“{piece}” needs a value, for example {example}.")


def invalid_choice_message(key: str, value: str, choices: Iterable[str]) -> str:
    """Return the message for a value that is not one of the accepted values of a key."""
    accepted = ", ".join(dict.fromkeys(choices))
    return f"“{value}” isn’t a valid value for “{key}:”. Use one of: {accepted}."


def values_beginning_with(text: str, spellings: Mapping[str, str]) -> list[str]:
    """Return the values with a spelling that begins with `text`.

    `spellings` maps each spelling to its value.
    """
    return list(
        dict.fromkeys(value for name, value in spellings.items() if begins_with(text, [name]))
    )


def begins_with(text: str, names: Iterable[str]) -> bool:
    """Return whether one of the names of a value begins with `text`. Ignore case."""
    start = comparable(text).lower()
    return any(comparable(name).lower().startswith(start) for name in names)


def shorten(text: str) -> str:
    """Return a piece of a search, shortened for a message."""
    return text if len(text) <= SHORT_TEXT_LENGTH else f"{text[:SHORT_TEXT_LENGTH]}…"


def _too_long_message(ignored_text: str) -> str:
    return (
        f"A search can have at most {MAX_TEXT_LENGTH} characters. The text from "
        f"“{shorten(ignored_text)}” on was ignored. Shorten your search."
    )


def _too_many_terms_message(piece: str) -> str:
    return (
        f"“{piece}” was ignored because a search can have at most {MAX_TERMS} terms. "
        "Remove another term first."
    )
