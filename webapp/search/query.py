"""A parsed search: its terms, and the pieces of its text that could not be parsed.

`webapp.search.parser` turns text into queries, and `str` turns queries into text.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from schema.search_text import indexed_text, lower_case
from webapp.images import operating_systems
from webapp.refusals import Refusal
from webapp.search import labels
from webapp.search.image_ids import is_image_id, spelled_image_ids
from webapp.search.keys import ARCHITECTURES, FIXED_VALUES, YES_NO, Key
from webapp.search.syntax import KEY_AND_VALUE, quote
from webapp.search.values import split_os

SHORT_TEXT_LENGTH = 60
"""The maximum length of a piece of the search in a message. See `shorten`."""


@dataclass(frozen=True)
class Term:
    """One condition of a search.

    `operator` compares sizes and dates, for example ">". It is '' for equality and for all other
    keys.

    `stored` is the value in the spelling of the database, if `value` could be read in several ways.
    For `os`, `stored` is a family, or a family and a version, and an image with this value need not
    exist. For `location`, it has all stored spellings of the location, and `value` is the first
    spelling. For the other keys of `STORED_KEYS`, it is one text. If `stored` is (), use `value`
    itself.

    `completions` are the values that an unfinished `value` can become. Each is one text or, for
    `os`, a family, or a family and a version. See `webapp.search.completions`.
    """

    key: Key
    value: str
    excluded: bool = False
    operator: str = ""
    stored: tuple[str, ...] = field(default=(), compare=False, repr=False)
    completions: tuple[tuple[str, ...], ...] = field(default=(), compare=False, repr=False)

    def __str__(self) -> str:
        """Return the term as a person types it."""
        minus = "-" if self.excluded else ""
        if self.key is Key.WORD:
            return minus + quote(self.value, always=_needs_quotes(self.value))
        return f"{minus}{self.key}:{self.operator}{quote(self.value)}"

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts in lower case. A matching image contains at least one of them.

        For a word and for `id`, the texts are the value and each cloud image ID that the value
        spells. For all other keys, there are no texts.
        """
        if self.key not in {Key.WORD, Key.ID}:
            return ()
        text = lower_case(self.value)
        if self.key is Key.WORD:
            text = indexed_text(text)
        return tuple(dict.fromkeys((text, *spelled_image_ids(self.value))))

    @property
    def is_listed(self) -> bool:
        """Whether the value is an OS or an architecture in the lists of the registry."""
        if self.key is Key.ARCH:
            return self.value in ARCHITECTURES.values()
        family, version = split_os(self.value)
        known = operating_systems.FAMILIES.get(family) if self.key is Key.OS else None
        return known is not None and version in {"", *(each.key for each in known.versions)}

    def is_finished_by(self, term: Term) -> bool:
        """Return whether the value of `term` is one of the values that this value can become."""
        value: tuple[str, ...] = (term.value,)
        if term.key is Key.OS:
            value = term.stored or tuple(filter(None, split_os(term.value)))
        return value in self.completions

    @property
    def label(self) -> str:
        """The term as a phrase for people, such as “Cloud: AWS” or “Not shared”."""
        if self.excluded and FIXED_VALUES.get(self.key) is YES_NO:
            opposite_value = "no" if self.value == "yes" else "yes"
            return replace(self, value=opposite_value, excluded=False).label
        phrase = labels.phrase(self.key, self.operator, self.value, self.value_label)
        phrase = f"not {phrase}" if self.excluded else phrase
        return phrase[0].upper() + phrase[1:]

    @property
    def short_label(self) -> str:
        """The label without its key if the value alone is clear, for example “AWS”."""
        if self.excluded or self.key not in labels.KEY_LABELS:
            return self.label
        return self.value_label

    @property
    def value_label(self) -> str:
        """The name of the value in the interface, such as “This scope” for `owner:here`."""
        if self.completions:
            return f"{self.value}…"
        return labels.value_label(self.key, self.value, self.stored)


@dataclass(frozen=True)
class Problem:
    """A piece of the text that could not be parsed, and a message that explains why."""

    text: str
    message: str


@dataclass(frozen=True)
class Query:
    """A parsed search. `text` is the typed text with single spaces between its pieces."""

    terms: tuple[Term, ...]
    problems: tuple[Problem, ...]
    text: str

    def __str__(self) -> str:
        """Return the terms as text. Pieces that could not be parsed are left out."""
        return " ".join(map(str, self.terms))

    def __bool__(self) -> bool:
        return bool(self.terms)

    def require_understood(self) -> None:
        """Raise NotUnderstood if a part of the text could not be parsed."""
        if self.problems:
            raise NotUnderstood(self)

    def terms_for(self, key: Key) -> tuple[Term, ...]:
        return tuple(term for term in self.terms if term.key is key)

    @property
    def includes_below(self) -> bool:
        """Whether the search includes the images of the scopes below the current scope."""
        return any(not term.excluded for term in self.terms_for(Key.IN))

    @property
    def reach(self) -> Query:
        """The query for all images among which this query searches."""
        return INCLUDING_BELOW if self.includes_below else OWNED_OR_INHERITED

    @property
    def words(self) -> tuple[Term, ...]:
        return self.terms_for(Key.WORD)

    def without_term(self, removed: Term) -> Query:
        return self._with_terms(term for term in self.terms if term != removed)

    def with_term(self, added: Term) -> Query:
        """Return the query with `added` at the end.

        The opposite term is removed. For example, `-cloud:aws` is the opposite of `cloud:aws`. A
        term with an unfinished value that `added` finishes is removed too.
        """
        removed = {added, replace(added, excluded=not added.excluded)}
        removed |= {term for term in self.terms_for(added.key) if term.is_finished_by(added)}
        others = (term for term in self.terms if term not in removed)
        return self._with_terms([*others, added])

    def with_term_toggled(self, term: Term) -> Query:
        return self.without_term(term) if term in self.terms else self.with_term(term)

    def with_term_replaced(self, old: Term, new: Term) -> Query:
        """Return a query with the same text, in which `new` stands for `old`."""
        return replace(self, terms=tuple(new if term == old else term for term in self.terms))

    def without_below(self) -> Query:
        """Return the query for the same images, except those of the scopes below."""
        return self._with_terms(term for term in self.terms if term.key is not Key.IN)

    def with_below_toggled(self) -> Query:
        """Return the query that includes the scopes below or, if it does already, leaves them out.

        Terms that need the scopes below are removed too.
        """
        if not self.includes_below:
            return self.with_term(INCLUDE_BELOW)
        needs_below = {
            INCLUDE_BELOW,
            Term(Key.OWNER, "below"),
            Term(Key.OWNER, "below", excluded=True),
        }
        return self._with_terms(term for term in self.terms if term not in needs_below)

    def with_problem(self, term: Term, message: str) -> Query:
        """Return a query with the same text, in which `term` has become a problem."""
        terms = tuple(other for other in self.terms if other != term)
        return replace(self, terms=terms, problems=(*self.problems, Problem(str(term), message)))

    def _with_terms(self, terms: Iterable[Term]) -> Query:
        """Return a query with these terms.

        Pieces that could not be parsed stay in the text, so that the person can correct them.
        """
        terms = tuple(terms)
        texts = (*map(str, terms), *(problem.text for problem in self.problems))
        return Query(terms, self.problems, " ".join(texts))


OWNED_OR_INHERITED = Query((), (), "")
"""The query without terms, which matches every image that a scope owns or inherits."""
INCLUDE_BELOW = Term(Key.IN, "below")
INCLUDING_BELOW = Query((INCLUDE_BELOW,), (), str(INCLUDE_BELOW))
"""The query that also matches every image of the scopes below."""


class NotUnderstood(Refusal):
    """A part of a search could not be parsed, so the other terms may find other images than meant.

    Such a search may show images, but it must not select the images of an action or an export.
    """

    def __init__(self, query: Query) -> None:
        self.query = query
        pieces = ", ".join(f"“{shorten(problem.text)}”" for problem in query.problems)
        super().__init__(
            f"A part of your search can’t be used: {pieces}. Correct it or remove it. Until then, "
            "it is ignored, so the search may find other images than you meant."
        )


def shorten(text: str) -> str:
    """Return a piece of a search, shortened for a message."""
    return text if len(text) <= SHORT_TEXT_LENGTH else f"{text[:SHORT_TEXT_LENGTH]}…"


def _needs_quotes(word: str) -> bool:
    """Return whether a word without quotes would not be parsed as the same word."""
    has_key = KEY_AND_VALUE.fullmatch(word) is not None and not is_image_id(word)
    return word.startswith("-") or has_key
