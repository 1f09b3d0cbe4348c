"""Searches find the same entries as plain Python, on every page and in every log."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, timedelta

import pytest
from peewee import fn

import models
from models import AuditEntry, Person, Scope, now
from tests.conftest import ActorOf, ScopeAt
from tests.query_plans import plan_of
from webapp.access import Actor
from webapp.search.audit_log import finder, instants
from webapp.search.audit_log.finder import Page
from webapp.search.audit_log.keys import Key
from webapp.search.audit_log.parser import parse_search
from webapp.search.audit_log.query import Query, Term

PATHS = ("", "acme", "acme/production", "globex")
ACTIONS = ("image.edit", "image.check", "image.delete", "credentials.delete", "view.remove")
NAMES = ("Alice", "Alina", "Bob", "The registry")
SEARCHES = (
    "",
    "by:alice",
    "by:ali",
    "-by:ali",
    "by:me",
    "by:me by:bob",
    "by:nobody",
    "did:delete",
    "did:delete did:check",
    "-did:check",
    "did:delete on:credentials",
    "did:check on:credentials",
    "on:image -did:edit",
    "on:web",
    "on:web on:credentials",
    "-on:web",
    "on:WEB-1 by:ali",
    "eb-1",
    "eb- -1",
    "by:bob did:check 2",
    "at:2026-02",
    "at:>=2026-02-10 at:<2026-02-20 by:bob",
    "-at:2026-02",
    "at:<2000",
    "at:>2026-02-20 did:delete web",
    "job:3",
    "job:3 did:delete",
    "-job:3 by:alice",
    "job:3 job:4 on:web",
    "web " + " ".join(f"job:{number}" for number in range(3, 13)),
)


def matches(entry: AuditEntry, query: Query) -> bool:
    """Return whether an entry matches, without SQL."""

    def term_matches(term: Term) -> bool:
        if term.key is Key.WORD:
            return term.value.lower() in entry.subject.lower()
        if term.key is Key.BY:
            return any(
                author.name == entry.person_name and author.person_id in {0, entry.person_id}
                for author in term.authors
            )
        if term.key is Key.JOB:
            return bool(entry.job_id == int(term.value))
        if term.key is Key.AT:
            assert term.period
            begins = term.period.start is None or term.period.start <= entry.at
            return begins and (term.period.end is None or entry.at < term.period.end)
        if term.is_name:
            return entry.subject.lower().startswith(term.value.lower())
        return entry.action in term.actions

    for key in Key:
        terms = query.terms_for(key)
        included = [term_matches(term) for term in terms if not term.excluded]
        combine = all if key in {Key.WORD, Key.AT} else any
        if included and not combine(included):
            return False
        if any(term_matches(term) for term in terms if term.excluded):
            return False
    return True


@pytest.fixture
def admin(actor_of: ActorOf, scope: ScopeAt) -> Actor:
    """Fill the log, and return a person who made some of the changes."""
    actor = actor_of("scalr-admin")
    twin = Person.create(
        email="twin@example.com", name=actor.person.name, password_hash="", session_key=""
    )
    for name in NAMES[:-1]:
        Person.create(email=f"{name}@example.com", name=name, password_hash="", session_key="")
    chance = random.Random(7)
    start = now().replace(year=2026, month=1, day=20, tzinfo=UTC)
    scopes = [scope(path) for path in (*PATHS, "acme/staging")]
    with models.transaction():
        for number in range(400):
            person = chance.choice([None, None, actor.person, twin])
            AuditEntry.create(
                # IDs and times do not have exactly the same order.
                at=start + timedelta(hours=3 * number, minutes=chance.randrange(9)),
                scope=chance.choice(scopes),
                scope_label="",
                person=person,
                person_name=person.name if person else chance.choice(NAMES),
                action=chance.choice(ACTIONS),
                subject=f"{chance.choice(['Web', 'db'])}-{chance.randrange(20)}",
                job_id=chance.choice([None, 3, 4]),
                changes={},
            )
    return actor


@pytest.fixture(params=[1_000, 5])
def short_walk(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.setattr(finder, "FEW", request.param)
    monkeypatch.setattr(finder, "SCAN_LIMIT", 25)
    monkeypatch.setattr(finder, "SCATTERED_SCAN_LIMIT", 12)
    monkeypatch.setattr(instants, "NARROW", 4)
    monkeypatch.setattr(instants, "PROBES", 3)


def pages(scope: Scope, query: Query, *, size: int, fold: bool = False) -> Iterator[Page]:
    page = finder.find_page(scope, query, size=size, fold=fold)
    yield page
    while page.older:
        page = finder.find_page(scope, query, before=page.older, size=size, fold=fold)
        yield page


def newer_pages(
    scope: Scope, query: Query, after: int, *, size: int, fold: bool = False
) -> Iterator[Page]:
    """Follow “Newer” up to the page that is the newest."""
    page = finder.find_page(scope, query, after=after, size=size, fold=fold)
    yield page
    while page.newer is not None:
        page = finder.find_page(scope, query, after=page.newer, size=size, fold=fold)
        yield page


@pytest.mark.parametrize("text", SEARCHES)
def test_all_pages_have_exactly_the_matches(
    admin: Actor, scope: ScopeAt, short_walk: None, text: str
) -> None:
    everything = list(AuditEntry.select().order_by(AuditEntry.id.desc()))
    for path in PATHS:
        here = scope(path)
        query = parse_search(admin, here, text, UTC)
        assert not query.problems
        logs = {"": True, "acme": "account_id", "globex": "account_id"}.get(path, "scope_id")
        expected = [
            entry.id
            for entry in everything
            if (logs is True or getattr(entry, str(logs)) == here.id) and matches(entry, query)
        ]
        found = list(pages(here, query, size=9))
        assert [entry.id for page in found for entry in page.entries] == expected, path
        assert all(len(page.entries) == 9 or page.searched_until for page in found[:-1])
        if expected:
            back = list(newer_pages(here, query, expected[-1], size=9))
            listed = {entry.id for page in back for entry in page.entries}
            assert listed >= set(expected[:-1]), path


@pytest.mark.parametrize("path", ["", "acme", "acme/production"])
@pytest.mark.parametrize("text", ["by:alice", "did:delete", "by:alice did:delete", "job:3"])
def test_a_person_an_action_and_a_job_are_index_ranges(
    admin: Actor, scope: ScopeAt, path: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, statements = scope(path), []
    query = parse_search(admin, here, text, UTC)
    execute = models.database.obj.execute_sql

    def execute_and_record(sql: str, params: object = None) -> object:
        statements.append((sql, params))
        return execute(sql, params)

    monkeypatch.setattr(models.database.obj, "execute_sql", execute_and_record)
    finder.find_page(here, query, before=100_000)
    monkeypatch.undo()
    for statement in statements:
        if "changes" not in statement[0]:
            plan = plan_of(*statement)
            assert "SCAN audit_entry" not in plan, plan
            assert "Seq Scan on audit_entry" not in plan, plan
            assert "->  Sort" not in plan, plan


def line_of(
    number: int, job_id: int | None = None, action: str = "image.edit"
) -> dict[str, object]:
    return {
        "scope": None, "scope_label": "", "person_name": "P", "action": action,
        "subject": f"s{number}", "job_id": job_id, "changes": {}, "at": now(),
    }  # fmt: skip


def folded(page: Page) -> list[tuple[str, int | None, int]]:
    return [(line.entry.action, line.entry.job_id, line.count) for line in page.lines]


def test_entries_of_a_job_are_one_line(admin: Actor, scope: ScopeAt) -> None:
    """The entries of a job are folded, also if they alternate with those of others."""
    AuditEntry.delete().execute()
    rows = [line_of(1)]
    for number in range(700):
        rows += [line_of(number, 5), line_of(number, 6, "image.check")]
        rows += [line_of(number)] if number % 100 == 0 else []
    rows += [line_of(1, 7), line_of(2, 7), line_of(3, 8, "image.delete")]
    AuditEntry.insert_many(rows).execute()
    here, query = scope(""), parse_search(admin, scope(""), "", UTC)
    page = finder.find_page(here, query)
    assert folded(page) == [
        ("image.delete", 8, 1),
        ("image.edit", 7, 1),
        ("image.edit", 7, 1),
        ("image.check", 6, 700),
        ("image.edit", 5, 700),
        *[("image.edit", None, 1)] * 8,
    ]
    assert page.older is None
    assert [each.subject for each in page.lines[3].others] == ["s698", "s697", "s696"]
    small = list(pages(here, query, size=6, fold=True))
    assert len(small) == 3
    assert sum(line.count for page in small for line in page.lines) == len(rows)
    assert len({line.entry.id for page in small for line in page.lines}) == sum(
        len(page.lines) for page in small
    )
    oldest = AuditEntry.select(fn.MIN(AuditEntry.id)).scalar()
    up = finder.find_page(here, query, after=oldest, size=6)
    assert folded(up)[-2:] == [("image.check", 6, 301), ("image.edit", 5, 301)]
    assert up.newer is not None
    for text, counts in (("did:edit s1", [1, 111]), ("job:5 s69", [1] * 11), ("by:p", [])):
        found = finder.find_page(here, parse_search(admin, here, text, UTC))
        assert [line.count for line in found.lines if line.entry.job_id][: len(counts)] == counts


def test_a_very_large_job_is_counted_up_to_a_limit(
    admin: Actor, scope: ScopeAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finder, "MAX_COUNT", 100)
    monkeypatch.setattr(finder, "SCAN_LIMIT", 300)
    AuditEntry.delete().execute()
    AuditEntry.insert_many([line_of(number, 5) for number in range(700)]).execute()
    here, query = scope(""), parse_search(admin, scope(""), "", UTC)
    page = finder.find_page(here, query)
    (line,) = page.lines
    assert (line.count, line.is_exact) == (100, False)
    # The next page begins where this page stopped to look for entries of others.
    assert page.older
    assert page.searched_until is None
    unfolded = finder.find_page(here, page_query := query.for_job(5, "image.edit"))
    assert str(page_query) == "job:5 did:edit"
    assert [line.count for line in unfolded.lines] == [1] * 50


def test_a_period_is_found_although_a_clock_was_wrong(
    admin: Actor, scope: ScopeAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Entries at both ends of the period are found, although a clock was wrong in between."""
    monkeypatch.setattr(instants, "NARROW", instants.PROBES + 1)
    AuditEntry.delete().execute()
    start = now().replace(year=2026, month=1, day=1, hour=0, minute=0)
    rows = [{**line_of(number), "at": start + timedelta(days=number)} for number in range(300)]
    for number in range(115, 160):
        rows[number]["at"] = start + timedelta(days=3_000)
    for number in range(165, 185):
        rows[number]["at"] = start - timedelta(days=3_000)
    AuditEntry.insert_many(rows).execute()
    query = parse_search(admin, scope(""), "at:>=2026-04-21 at:<2026-07-10", UTC)
    found = [
        int(entry.subject[1:])
        for page in pages(scope(""), query, size=50)
        for entry in page.entries
    ]
    right = [*range(110, 115), *range(160, 165), *range(185, 190)]
    assert found == right[::-1]
