"""A parsed search for images: its terms, and the pieces of its text that cannot be used.

`webapp.search.parser` turns text into queries, and `str` turns queries into text.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from schema.search_text import indexed_text, lower_case
from webapp.images import operating_systems
from webapp.search import labels
from webapp.search.image_ids import is_image_id, spelled_image_ids
from webapp.search.keys import ARCHITECTURES, FIXED_VALUES, KEYS, YES_NO, Key
from webapp.search.language import ParsedSearch, mistyped_term
from webapp.search.syntax import KEY_AND_VALUE, quote
from webapp.search.values import split_os


@dataclass(frozen=True)
class Term:
    """One condition of a search.

    `operator` compares sizes and dates, for example ">". It is '' for equality, and for all keys
    except `size` and `created`.

    `stored` is the value in the spelling of the database. It is () if `value` itself has this
    spelling, or if `value` is unfinished. For `os`, `stored` is a family, or a family and a
    version, even if no image has them. For `location`, `stored` has all stored spellings of the
    location, and `value` is the first spelling. For the other keys of `STORED_KEYS`, `stored` is
    one text.

    `completions` are the values that an unfinished `value` can become. Each completion is a tuple.
    For `os`, it contains a family, or a family and a version. For all other keys, it contains one
    text. See `webapp.search.completions`.
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
        """The texts to look for, in lower case. An image needs to contain only one of them.

        For a word and for `id`, the texts are the value and each cloud image ID that the value
        spells. A word of one or two characters has separators around it (`indexed_text`). A term
        with any other key has no texts.
        """
        if self.key not in {Key.WORD, Key.ID}:
            return ()
        text = lower_case(self.value)
        if self.key is Key.WORD:
            text = indexed_text(text)
        return tuple(dict.fromkeys((text, *spelled_image_ids(self.value))))

    @property
    def is_in_builtin_list(self) -> bool:
        """Whether the value is in the built-in lists of operating systems and architectures."""
        if self.key is Key.ARCH:
            return self.value in ARCHITECTURES.values()
        family, version = split_os(self.value)
        entry = operating_systems.FAMILIES.get(family) if self.key is Key.OS else None
        return entry is not None and version in {"", *(each.key for each in entry.versions)}

    def is_finished_by(self, term: Term) -> bool:
        """Return whether the value of `term` is one of the completions of this term."""
        value: tuple[str, ...] = (term.value,)
        if term.key is Key.OS:
            value = term.stored or tuple(filter(None, split_os(term.value)))
        return value in self.completions

    @property
    def label(self) -> str:
        """The term as a phrase for people, such as “Cloud: AWS” or “Not shared”."""
        return self._phrase[0].upper() + self._phrase[1:]

    @property
    def short_label(self) -> str:
        """The term in a list of terms, such as “AWS” or “not shared”.

        The label does not contain the key if the value alone is clear.
        """
        if self.excluded or self.key not in labels.KEY_LABELS:
            return self._phrase
        return self.value_label

    @property
    def _phrase(self) -> str:
        """The label, whose first letter may be in lower case."""
        value, is_excluded = self.value, self.excluded
        if is_excluded and FIXED_VALUES.get(self.key) is YES_NO:
            value, is_excluded = "no" if value == "yes" else "yes", False
        phrase = labels.phrase(self.key, self.operator, value, self.value_label)
        return f"not {phrase}" if is_excluded else phrase

    @property
    def value_label(self) -> str:
        """The name of the value in the interface, such as “This scope” for `owner:here`."""
        if self.completions:
            return f"{self.value}…"
        return labels.value_label(self.key, self.value, self.stored)


@dataclass(frozen=True)
class Query(ParsedSearch[Term]):
    """A parsed search for images."""

    @property
    def includes_below(self) -> bool:
        """Whether the search includes the images of the scopes below the current scope."""
        return any(not term.excluded for term in self.terms_for(Key.IN))

    @property
    def reach(self) -> Query:
        """The query for all images in the scopes that this query covers."""
        return INCLUDING_BELOW if self.includes_below else OWNED_OR_INHERITED

    @property
    def words(self) -> tuple[Term, ...]:
        return self.terms_for(Key.WORD)

    def with_term(self, added: Term) -> Query:
        """Return the query with `added` at the end.

        The opposite term is removed. For example, `-cloud:aws` is the opposite of `cloud:aws`. A
        term with an unfinished value is removed too if `added` is one of its completions.
        """
        removed = {added, replace(added, excluded=not added.excluded)}
        removed |= {term for term in self.terms_for(added.key) if term.is_finished_by(added)}
        others = (term for term in self.terms if term not in removed)
        return self._with_terms([*others, added])

    def with_term_toggled(self, term: Term) -> Query:
        return self.without_term(term) if term in self.terms else self.with_term(term)

    def without_below(self) -> Query:
        """Return the query for the same images, except those of the scopes below."""
        return self._with_terms(term for term in self.terms if term.key is not Key.IN)

    def with_below_toggled(self) -> Query:
        """Return this query without the scopes below if it includes them, otherwise with them.

        Without the scopes below, terms with `owner:below` cannot be used, so they are removed too.
        """
        if not self.includes_below:
            return self.with_term(INCLUDE_BELOW)
        needs_below = {
            INCLUDE_BELOW,
            Term(Key.OWNER, "below"),
            Term(Key.OWNER, "below", excluded=True),
        }
        return self._with_terms(term for term in self.terms if term not in needs_below)


OWNED_OR_INHERITED = Query((), (), "")
"""The query without terms, which matches every image that a scope owns or inherits."""
INCLUDE_BELOW = Term(Key.IN, "below")
INCLUDING_BELOW = Query((INCLUDE_BELOW,), (), str(INCLUDE_BELOW))
"""The query that matches every image that a scope owns or inherits, or that a scope below owns."""


def _needs_quotes(word: str) -> bool:
    """Return whether a word needs quotes because the parser would read it as something else.

    `quote` itself adds quotes to a word with spaces.
    """
    has_key = KEY_AND_VALUE.fullmatch(word) is not None and not is_image_id(word)
    return word.startswith("-") or has_key or mistyped_term(word, word, KEYS) is not None
