"""Parse the text of the search box of the audit log.

The language has the same syntax as on the Images page (`webapp.search.parser`), but other keys. An
entry must match every word and every `at:`. For each other key in a search, an entry must match at
least one of the terms with this key. An entry must match none of the terms that are excluded with a
minus. An unfinished value of `by:`, `did:` or `on:` matches every value that begins with it, but an
e-mail address must be complete.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import tzinfo

from models import Scope, now
from schema.text import comparable
from webapp.access import Actor
from webapp.search.audit_log.authors import MAX_AUTHORS, find_authors
from webapp.search.audit_log.keys import DID, DID_SPELLINGS, EXAMPLES, KEYS, ON_SPELLINGS, Key
from webapp.search.audit_log.query import Query, Term
from webapp.search.audit_log.times import is_age, parse_period, zone_name
from webapp.search.language import (
    COMPARISON,
    Problem,
    invalid_choice_message,
    missing_value,
    mistyped_term,
    parse_pieces,
    split_minus,
    unknown_key,
    values_beginning_with,
)
from webapp.search.syntax import KEY_AND_VALUE, unquote
from webapp.search.values import InvalidValue
from webapp.values.text import replace_control_characters

MAX_JOB_DIGITS = 9
"""The maximum number of digits of a job ID. A longer number can be too large for the database."""


def parse_search(actor: Actor, scope: Scope, text: str, zone: tzinfo) -> Query:
    """Parse the text that a person typed on the audit log of `scope`, and return the query.

    Any text can be parsed: a piece that is not a valid term becomes a problem of the query. `zone`
    is the time zone of the days in the text.
    """
    text = replace_control_characters(text)
    query = Query(*parse_pieces(text, lambda piece: _parse_piece(piece, zone)))
    for term in query.terms_for(Key.BY):
        authors = find_authors(actor, scope, term.value)
        if len(authors) > MAX_AUTHORS:
            message = f"“{term}” can mean more than {MAX_AUTHORS} people. Type more of the name."
            query = query.with_problem(term, message)
        elif not authors and term.excluded:
            message = f"“{term}” excludes nothing, because nobody with this name is in this log."
            query = query.with_problem(term, message)
        else:
            query = query.with_term_replaced(term, replace(term, authors=authors))
    return query


def _parse_piece(piece: str, zone: tzinfo) -> Term | Problem:
    excluded, included = split_minus(piece)
    match = KEY_AND_VALUE.fullmatch(included)
    if match is None:
        return _parse_word(piece, unquote(included), excluded=excluded)
    name, value = match[1].lower(), match[2]
    if name not in KEYS:
        return unknown_key(piece, name, included, KEYS)
    key, operator = Key(name), ""
    if key is Key.AT:
        operator, value = COMPARISON.fullmatch(value).groups()  # type: ignore[union-attr]
    value = comparable(unquote(value)).strip()
    if not value:
        return missing_value(piece, EXAMPLES[key])
    try:
        return _parse_value(Term(key, value, excluded, operator), zone)
    except InvalidValue as error:
        return Problem(piece, error.message)


def _parse_value(term: Term, zone: tzinfo) -> Term:
    """Return the term with the meanings of its value. Raises InvalidValue."""
    value = term.value
    if term.key is Key.DID:
        found = _meanings(value, DID_SPELLINGS)
        if not found:
            raise InvalidValue(invalid_choice_message(term.key, value, DID))
        return _with_meanings(term, found)
    if term.key is Key.ON:
        return _with_meanings(term, _meanings(value, ON_SPELLINGS))
    if term.key is Key.AT:
        period = parse_period(term.operator, value, zone, now())
        name = "" if is_age(value) else zone_name(zone)
        return replace(term, value=value.lower(), period=period, zone=name)
    if term.key is Key.JOB:
        is_number = value.isascii() and value.isdecimal() and len(value) <= MAX_JOB_DIGITS
        if not is_number:
            raise InvalidValue(
                f"“{value}” isn’t a job ID. Use an ID, for example {EXAMPLES[Key.JOB]}."
            )
        return replace(term, value=str(int(value)))
    return replace(term, value="me") if value.lower() == "me" else term


def _meanings(value: str, spellings: dict[str, str]) -> list[str]:
    """Return the one meaning of `value` if `value` is a complete spelling.

    Otherwise, return all meanings with a spelling that begins with `value`.
    """
    exact = spellings.get(value.lower())
    return [exact] if exact else values_beginning_with(value, spellings)


def _with_meanings(term: Term, found: list[str]) -> Term:
    value = found[0] if len(found) == 1 else term.value
    return replace(term, value=value, meanings=tuple(found))


def _parse_word(piece: str, value: str, *, excluded: bool) -> Term | Problem:
    value = comparable(value).strip()
    if problem := mistyped_term(piece, value, KEYS):
        return problem
    if not value:
        return Problem(piece, f"“{piece}” is too short. Type at least one character.")
    return Term(Key.WORD, value, excluded)
