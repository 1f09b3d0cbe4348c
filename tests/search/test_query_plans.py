"""No search walks through the table of images: what the databases say of every statement that a
search sends, with a thousand images of which a scope sees some."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from peewee import SqliteDatabase

import models
from models import Scope, transaction
from tests.search.test_catalogue_properties import PATHS, TERMS, _image
from webapp.access import Actor
from webapp.search import catalogue, facets, planner
from webapp.search.catalogue import Listing
from webapp.search.language import parse
from webapp.search.ordering import SORTS

SEARCHES = (
    "",
    *TERMS,
    "golden cloud:aws -os:ubuntu",
    "cloud:aws os:ubuntu agent:no",
    "gold size:>30",
)


@pytest.fixture(params=["gather", "walk"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways of finding images are taken whatever the number of images."""
    if request.param == "walk":
        for name in ("FEW", "SAMPLE"):
            monkeypatch.setattr(planner, name, 20)
    return str(request.param)


@pytest.fixture(params=["analysed", "as it is"])
def thousand(request: pytest.FixtureRequest, db: Flask) -> None:
    """With statistics for the planner, and without."""
    chance = random.Random(3)
    scopes = [Scope.get(Scope.path == path) for path in PATHS]
    with transaction():
        for number in range(1000):
            _image(chance, number, chance.choice(scopes), None)
    if request.param == "analysed":
        models.database.execute_sql("ANALYZE")


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch, db: Flask) -> list[tuple[str, Any]]:
    """Every SELECT about images that is sent from now on."""
    sent: list[tuple[str, Any]] = []
    database = models.database.obj
    send = database.execute_sql

    def execute_sql(sql: str, params: Any = None) -> Any:
        if sql.startswith("SELECT") and ("image" in sql or "facet_group" in sql):
            sent.append((sql, params))
        return send(sql, params)

    monkeypatch.setattr(database, "execute_sql", execute_sql)
    return sent


@pytest.mark.usefixtures("thousand", "way")
def test_no_search_walks_through_the_table(
    statements: list[tuple[str, Any]],
    actor_of: Callable[[str], Actor],
    scope: Callable[[str], Scope],
) -> None:
    actor, production = actor_of("scalr-admin"), scope("acme/production")
    searches = [(text, "created") for text in SEARCHES]
    searches += [(text, sort) for text in ("", "golden") for sort in SORTS]
    for text, sort in searches:
        query = parse(text)
        if sort == "created":
            facets.menus(production, query)
        page = catalogue.find(actor, production, Listing(query, sort, size=10))
        catalogue.find(actor, production, Listing(query, sort, size=10, after=page.next))
        next(catalogue.each(actor, production, query), None)
    plans = dict.fromkeys((sql, tuple(params or ())) for sql, params in statements)
    walked = {sql: plan for sql, params in plans if _walks(plan := _plan(sql, params))}
    assert not walked, "\n\n".join(f"{sql}\n{plan}" for sql, plan in walked.items())
    assert len(plans) > 100


def _plan(sql: str, params: Any) -> str:
    database = models.database.obj
    if isinstance(database, SqliteDatabase):
        rows = database.connection().execute(f"EXPLAIN QUERY PLAN {sql}", params or ())
        return "\n".join(row[3] for row in rows)
    with database.connection().cursor() as cursor:
        # So few rows fit into a few pages, which PostgreSQL reads at once where it may.
        cursor.execute("SET enable_seqscan = off")
        cursor.execute(f"EXPLAIN {sql}", params)
        plan = "\n".join(row[0] for row in cursor.fetchall())
        cursor.execute("RESET enable_seqscan")
        return plan


def _walks(plan: str) -> bool:
    """SQLite writes SCAN for reading all of a table or of an index. It says so, too, of its
    full-text index, which then answers a question; of what another part of the plan found; and of
    no table at all."""
    lines = [line.split() for line in plan.splitlines()]
    parts = {words[1] for words in lines if words[0] in {"CO-ROUTINE", "MATERIALIZE"}}
    for what in (words[1] for words in lines if words[0] == "SCAN" and "VIRTUAL" not in words):
        if what not in parts | {"CONSTANT"} and not what.startswith("(subquery"):
            return True
    return "Seq Scan on image" in plan or "Seq Scan on facet_group" in plan
