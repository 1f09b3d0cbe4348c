"""Properties of the search language, for any text.

Any text can be parsed, and no part of the text is lost. If a query is written as text and parsed
again, the result is the same query.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from schema.text import comparable
from webapp.clouds import CLOUDS
from webapp.images import operating_systems
from webapp.search.keys import FIXED_VALUES, KEYS, Key
from webapp.search.language import MAX_TERMS, MAX_TEXT_LENGTH
from webapp.search.parser import parse
from webapp.search.query import Query, Term
from webapp.search.values import MIN_WORD_LENGTH

thorough = settings(max_examples=80, deadline=None)

# One line, like the content of the search box. The second strategy draws many special characters.
printable = st.characters(exclude_categories=("C", "Zl", "Zp"))
parts = st.sampled_from([*'ab:-"\\ <>=.0', "os:", "clod:", "size:", "by:"])
typed = st.text(printable, max_size=MAX_TEXT_LENGTH + 100) | st.lists(parts, max_size=120).map(
    "".join
)


def _is_not_me(term: Term) -> bool:
    """Return whether the value is not "me", because "me" means the person who searches."""
    return term.value.lower() != "me"


awkward = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["-", "--", "os:", "-id:", "clod:", '"', "\\", ""]),
        st.text(st.sampled_from('ab"\\ -:<>='), max_size=12),
    ),
)
image_ids = st.sampled_from(["ubuntu:server:latest", "Canonical:ubuntu:server:latest", "urn:a:b"])
values = (
    (st.text(printable, max_size=40) | awkward | image_ids)
    .map(lambda value: comparable(value).strip())
    .filter(lambda value: len(value) >= MIN_WORD_LENGTH)
)
free = st.builds(
    Term, st.sampled_from([Key.WORD, Key.LOCATION, Key.BY, Key.ID]), values, st.booleans()
).filter(_is_not_me)
chosen = st.sampled_from(
    [
        *(Term(Key.CLOUD, cloud) for cloud in CLOUDS),
        *(Term(key, value) for key, words in FIXED_VALUES.items() for value in words.values()),
        *(Term(Key.OS, family) for family in operating_systems.FAMILIES),
        *(
            Term(Key.OS, f"{family.key} {version.key}")
            for family in operating_systems.FAMILIES.values()
            for version in family.versions
        ),
    ]
)
operators = st.sampled_from(["", "<", "<=", ">", ">="])
sizes = st.integers(1, 2**31 - 1).map(str)
days = st.dates(date.min, date.max).map(date.isoformat)
compared = st.builds(Term, st.just(Key.SIZE), sizes, st.booleans(), operators) | st.builds(
    Term, st.just(Key.CREATED), days, st.booleans(), operators
)
terms = free | compared | st.builds(replace, chosen, excluded=st.booleans())


def _opposite(term: Term) -> Term:
    return replace(term, excluded=not term.excluded)


@st.composite
def queries(draw: st.DrawFn) -> Query:
    """Draw queries in which no term is the opposite of another term."""
    drawn = draw(st.lists(terms, max_size=6, unique_by=lambda each: (each.key, each.value)))
    return Query(tuple(drawn), (), " ".join(map(str, drawn)))


@st.composite
def pieces(draw: st.DrawFn) -> str:
    """Draw one complete piece: plain or quoted, with a known key, an unknown key or none."""
    key = draw(st.sampled_from(["", "", *(f"{each}:" for each in KEYS), "clod:", "12:", "OS:"]))
    plain = st.text(st.sampled_from("abc019<>=-:."), max_size=8)
    quoted = st.text(st.sampled_from('abc 019:-"\\'), max_size=8).map(
        lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    )
    piece = draw(st.sampled_from(["", "-"])) + key + draw(plain | quoted)
    assume(piece)
    return piece


@thorough
@given(typed)
def test_any_text_can_be_parsed(text: str) -> None:
    query = parse(text)
    assert len(query.terms) <= MAX_TERMS
    assert len(set(query.terms)) == len(query.terms)
    assert all(problem.text and problem.message for problem in query.problems)
    assert bool(text.strip()) == bool(query.terms or query.problems)
    assert parse(query.text) == query
    assert all(term.label for term in query.terms)


@thorough
@given(typed)
def test_a_parsed_query_is_parsed_again_to_the_same_terms(text: str) -> None:
    query = parse(text)
    assume(len(str(query)) <= MAX_TEXT_LENGTH)
    again = parse(str(query))
    assert again.terms == query.terms
    assert not again.problems
    assert again.text == str(again) == str(query)


@thorough
@given(terms)
@example(Term(Key.WORD, "-golden"))
@example(Term(Key.WORD, "-golden", excluded=True))
@example(Term(Key.WORD, "os:ubuntu"))
@example(Term(Key.WORD, "status=active"))
@example(Term(Key.WORD, "(status:active)", excluded=True))
@example(Term(Key.ID, "ubuntu:server:latest"))
@example(Term(Key.WORD, "one \\"))
def test_a_term_survives_being_written_and_parsed(term: Term) -> None:
    query = parse(str(term))
    assert query.terms == (term,)
    assert not query.problems


few = st.lists(pieces(), min_size=1, max_size=20)
many = st.lists(st.integers(100, 150).map(str) | pieces(), min_size=MAX_TERMS + 5, max_size=40)


@thorough
@given(few | many, st.sampled_from([" ", "  ", "\t", "\u3000"]))
def test_every_piece_becomes_one_term_or_one_problem(typed_pieces: list[str], blank: str) -> None:
    """Equal terms and equal problems appear only once. Terms beyond the limit become problems."""
    text = blank.join(typed_pieces)
    assume(len(text) <= MAX_TEXT_LENGTH)
    alone = [parse(piece) for piece in typed_pieces]
    assert all(len(each.terms) + len(each.problems) == 1 for each in alone)
    expected = list(dict.fromkeys(term for each in alone for term in each.terms))
    whole = parse(text)
    assert whole.terms == tuple(expected[:MAX_TERMS])
    problem_texts = {problem.text for problem in whole.problems}
    for piece, each in zip(typed_pieces, alone, strict=True):
        is_in_query = bool(each.terms) and each.terms[0] in whole.terms
        assert is_in_query is (piece not in problem_texts)


@thorough
@given(queries(), terms)
def test_adding_and_removing_a_term_undo_each_other(query: Query, term: Term) -> None:
    assume(term not in query.terms and _opposite(term) not in query.terms)
    more = query.with_term(term)
    assert more.terms == (*query.terms, term)
    assert more.with_term(term).terms == more.terms
    assert more.without_term(term).terms == query.terms
    assert query.without_term(term).terms == query.terms
    assert query.with_term_toggled(term).with_term_toggled(term).terms == query.terms
    assert more.text == str(more)


@thorough
@given(queries().filter(bool), st.data())
def test_a_term_can_be_replaced_by_its_opposite(query: Query, data: st.DataObject) -> None:
    term = data.draw(st.sampled_from(query.terms))
    replaced = query.with_term(_opposite(term))
    assert term not in replaced.terms
    assert set(replaced.terms) ^ set(query.terms) == {term, _opposite(term)}
    assert set(query.with_term_toggled(term).with_term_toggled(term).terms) == set(query.terms)


@thorough
@given(queries())
def test_every_term_has_one_key(query: Query) -> None:
    assert sum(len(query.terms_for(key)) for key in Key) == len(query.terms)
    assert query.words == query.terms_for(Key.WORD)
    assert bool(query) == bool(query.terms)
