"""A parsed search of the audit log."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from webapp.search.audit_log.keys import DID, ON, Key, did_label
from webapp.search.labels import DATE_OPERATORS
from webapp.search.language import ParsedSearch
from webapp.search.syntax import KEY_AND_VALUE, quote


@dataclass(frozen=True)
class Author:
    """A name in the column `person_name`.

    If `person_id` is 0, every person with this name is meant. Otherwise, only the person with this
    ID is meant.
    """

    name: str
    person_id: int = 0


@dataclass(frozen=True)
class Period:
    """The time from `start` up to, but not including, `end`. None means that there is no limit."""

    start: datetime | None
    end: datetime | None


@dataclass(frozen=True)
class Term:
    """One condition of a search.

    `meanings` are the keys of `DID` or `ON` that the value can mean. If a value of `on` has no
    meanings, it is the beginning of a name. `authors` are the people who match a value of `by`.
    `period` is the period that a value of `at` means, and `zone` the name of the time zone of its
    days. For an age such as “7d”, `zone` is ''.
    """

    key: Key
    value: str
    excluded: bool = False
    operator: str = ""
    meanings: tuple[str, ...] = field(default=(), compare=False, repr=False)
    authors: tuple[Author, ...] = field(default=(), compare=False, repr=False)
    period: Period | None = field(default=None, compare=False, repr=False)
    zone: str = field(default="", compare=False, repr=False)

    def __str__(self) -> str:
        """Return the term as a person types it."""
        minus = "-" if self.excluded else ""
        if self.key is Key.WORD:
            needs_quotes = self.value.startswith("-") or KEY_AND_VALUE.fullmatch(self.value)
            return minus + quote(self.value, always=bool(needs_quotes))
        return f"{minus}{self.key}:{self.operator}{quote(self.value)}"

    @property
    def actions(self) -> frozenset[str]:
        """The actions that a value of `did` or `on` means."""
        values = {Key.DID: DID, Key.ON: ON}[self.key]
        return frozenset[str]().union(*(values[meaning] for meaning in self.meanings))

    @property
    def is_name(self) -> bool:
        """Whether this is a value of `on` that is the beginning of a name."""
        return self.key is Key.ON and not self.meanings

    @property
    def label(self) -> str:
        """The term as a phrase for people, such as “By Alice” or “Not deleted”."""
        return self.short_label[0].upper() + self.short_label[1:]

    @property
    def short_label(self) -> str:
        """The term within a list of terms: like `label`, but it begins in lower case."""
        return f"not {self._phrase}" if self.excluded else self._phrase

    @property
    def _phrase(self) -> str:
        if self.key is Key.BY:
            names = [author.name for author in self.authors]
            return f"by {names[0] if len(names) == 1 else self.value + ('…' if names else '')}"
        if self.key is Key.DID:
            return did_label(self.meanings)
        if self.key is Key.ON:
            return f"on {' or '.join(self.meanings)}" if self.meanings else f"on “{self.value}…”"
        if self.key is Key.AT:
            return self._time_phrase
        return f"job {self.value}" if self.key is Key.JOB else f"“{self.value}”"

    @property
    def _time_phrase(self) -> str:
        if not self.zone:
            number, unit = self.value[:-1], {"h": "hour", "d": "day"}[self.value[-1]]
            return f"in the last {number} {unit}s" if number != "1" else f"in the last {unit}"
        when = f"{self.value} ({self.zone})"
        if self.operator:
            return f"{DATE_OPERATORS[self.operator]} {when}"
        if self.value.isalpha():  # Such as “today”.
            return when
        return f"{DATE_OPERATORS[''] if self.value.count('-') > 1 else 'in'} {when}"


class Query(ParsedSearch[Term]):
    """A parsed search of the audit log."""

    def for_job(self, job_id: int, action: str) -> Query:
        """Return this query, limited to one job and to actions with the same verb as `action`.

        All other terms about jobs, actions and kinds of records are left out of the result.
        """
        verb = next(verb for verb, actions in DID.items() if action in actions)
        others = [
            term
            for term in self.terms
            if term.key not in {Key.JOB, Key.DID} and (term.key is not Key.ON or term.is_name)
        ]
        return self._with_terms(
            [*others, Term(Key.JOB, str(job_id)), Term(Key.DID, verb, meanings=(verb,))]
        )


ALL_ENTRIES = Query((), (), "")
