"""The language of the audit log's search: terms, their labels, and explanations of mistakes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from models import AuditEntry, Person
from tests.conftest import ActorOf, ScopeAt
from webapp.audit import ACTIONS
from webapp.search.audit_log import suggestions
from webapp.search.audit_log.keys import DID, ON
from webapp.search.audit_log.parser import parse_search
from webapp.search.audit_log.query import Author, Query
from webapp.search.audit_log.times import find_zone, parse_period
from webapp.search.values import InvalidValue

NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)
"""In Berlin, the day of this instant has 23 hours."""


@pytest.fixture
def parse(actor_of: ActorOf, scope: ScopeAt) -> object:
    here, actor = scope("acme"), actor_of("account-admin")
    for name in ("Alice", "Alina", "Alien", "The registry"):
        Person.create(email=f"{name}@example.com", name=name, password_hash="", session_key="")
        if name == "Alien":
            continue
        AuditEntry.create(
            scope=here, scope_label="", person_name=name, action="image.edit", subject="s",
            changes={},
        )  # fmt: skip
    return lambda text, zone="": parse_search(actor, here, text, find_zone(zone))


def test_each_action_has_a_value_of_did_and_of_on() -> None:
    assert frozenset().union(*DID.values()) == set(ACTIONS)
    assert sum(map(len, DID.values())) == len(ACTIONS)
    assert frozenset().union(*ON.values()) == set(ACTIONS)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("by:ali", "By ali…"),
        ("by:alice", "By Alice"),
        ("by:registry", "By The registry"),
        ("did:deleted", "Deleted"),
        ("did:del", "Deleted"),
        ("did:ren", "Renamed"),
        ("did:resto", "Restored"),
        ("did:de", "Deleted or deprecated"),
        ("-did:check", "Not checked"),
        ("on:images", "On image"),
        ("on:cred", "On credentials"),
        ("on:web-prod", "On “web-prod…”"),
        ("at:2026-11", "In 2026-11 (UTC)"),
        ("at:2026-11-24", "On 2026-11-24 (UTC)"),
        ("-at:today", "Not today (UTC)"),
        ("at:>2026-11-01", "After 2026-11-01 (UTC)"),
        ("at:7d", "In the last 7 days"),
        ("job:012", "Job 12"),
        ("golden", "“golden”"),
        ('-"by:x"', "Not “by:x”"),
    ],
)
def test_labels_of_terms(parse: object, text: str, label: str) -> None:
    query: Query = parse(text)  # type: ignore[operator]
    assert [term.label for term in query.terms] == [label]
    assert [term.short_label for term in query.terms] == [label[0].lower() + label[1:]]
    assert not query.problems
    again: Query = parse(str(query))  # type: ignore[operator]
    assert again.terms == query.terms


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bye:me", "Did you mean “by:”?"),
        ("cloud:aws", "Available tokens: by, did, on, at, job."),
        ("did:explode", "Use one of: register, edit"),
        ("did:", "for example did:delete"),
        ("at:yesterdy", "a day, month or year (2026-11-24, 2026-11 or 2026), today"),
        ("at:2026-13", "isn’t a valid time"),
        ("at:>7d", "Use at:7d"),
        ("job:x", "isn’t a job ID"),
        ("by=me", "Did you mean “by:me”?"),
        ("-by:bob", "nobody with this name is in this log"),
    ],
)
def test_a_mistake_is_explained(parse: object, text: str, message: str) -> None:
    query: Query = parse(text)  # type: ignore[operator]
    (problem,) = query.problems
    assert message in problem.message
    assert query.text == text


def test_authors_are_people_of_this_log(parse: object, actor_of: ActorOf, scope: ScopeAt) -> None:
    """A search must not reveal who has an account."""

    def authors(text: str) -> tuple[Author, ...]:
        query: Query = parse(text)  # type: ignore[operator]
        return query.terms[0].authors

    assert authors("by:ali") == (Author("Alice"), Author("Alina"))
    assert authors("by:stranger") == authors("by:stranger@example.com") == ()
    me = actor_of("account-admin").person
    AuditEntry.create(
        scope=scope("acme"), scope_label="", person=me, person_name=me.name, action="image.edit",
        subject="s", changes={},
    )  # fmt: skip
    assert authors("by:me") == authors(f"by:{me.email.upper()}") == (Author(me.name),)
    Person.create(email="twin@example.com", name=me.name, password_hash="", session_key="")
    assert authors("by:me") == (Author(me.name, me.id),)
    assert authors(f"by:{me.name}") == (Author(me.name),)


@pytest.mark.parametrize(
    ("value", "start", "end"),
    [
        ("2026", "2025-12-31 23:00", "2026-12-31 23:00"),
        ("2026-03", "2026-02-28 23:00", "2026-03-31 22:00"),
        ("2026-03-29", "2026-03-28 23:00", "2026-03-29 22:00"),
        ("today", "2026-03-28 23:00", "2026-03-29 22:00"),
        ("yesterday", "2026-03-27 23:00", "2026-03-28 23:00"),
        (">2026-03-29", "2026-03-29 22:00", None),
        (">=2026-03-29", "2026-03-28 23:00", None),
        ("<2026-03", None, "2026-02-28 23:00"),
        ("<=2026-03", None, "2026-03-31 22:00"),
        ("36h", "2026-03-28 00:00", None),
    ],
)
def test_periods_begin_and_end_in_the_zone(value: str, start: str | None, end: str | None) -> None:
    days = value.lstrip("<>=")
    operator = value.removesuffix(days)
    period = parse_period(operator, days, find_zone("Europe/Berlin"), NOON)
    assert [period.start, period.end] == [
        None if each is None else datetime.fromisoformat(f"{each}+00:00") for each in (start, end)
    ]


@pytest.mark.parametrize("name", ["", "Nowhere/City", "../../etc/passwd", "x" * 99, "Europe"])
def test_an_unknown_zone_is_utc(name: str) -> None:
    period = parse_period("", "today", find_zone(name), NOON)
    assert (period.start, period.end) == (NOON - timedelta(hours=12), NOON + timedelta(hours=12))


@pytest.mark.parametrize("value", ["0001", "9999", "2026-02-30", "٢٠٢٦", "0d", "20260101", ""])
def test_other_times_are_refused(value: str) -> None:
    with pytest.raises(InvalidValue):
        parse_period("", value, UTC, NOON)


def test_suggestions(parse: object, scope: ScopeAt) -> None:
    def labels(text: str) -> list[str]:
        return [each.label for each in suggestions.suggest(scope("acme"), text, len(text))]

    assert labels("") == ["by:", "did:", "on:", "at:", "job:"]
    assert labels("-d") == ["-did:"]
    assert labels("by:") == ["by:me", "by:Alice", "by:Alina", 'by:"The registry"']
    assert labels("x by:lin") == ["by:Alina"]
    assert labels("did:stop") == ["did:stop", "did:unshare"][1:]
    assert labels("on:c") == ["on:credentials", "on:account"]
    assert "at:7d" in labels("at:")
    assert labels("by:stranger") == []
