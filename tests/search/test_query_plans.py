"""No search reads the whole table of images.

The test asks the database for the plan of every statement that a search sends. The database has a
thousand images, and the scope sees some of them.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
from flask import Flask

import models
from models import Scope, transaction
from tests.conftest import ActorOf, ScopeAt
from tests.query_plans import plan_of
from tests.search.random_images import PATHS, TERMS, create_random_image
from webapp.search import catalogue, facets, planner
from webapp.search.catalogue import Listing
from webapp.search.ordering import SORTS
from webapp.search.parser import parse

SEARCHES = (
    "",
    *TERMS,
    "golden cloud:aws -os:ubuntu",
    "cloud:aws os:ubuntu agent:no",
    "gold size:>30",
)


@pytest.fixture(params=["sort all matches", "scan in order"])
def strategy(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make the planner use each strategy, whatever the number of images is."""
    if request.param == "scan in order":
        for name in ("FEW", "SAMPLE"):
            monkeypatch.setattr(planner, name, 20)
    return str(request.param)


@pytest.fixture(params=["analyzed", "not analyzed"])
def thousand_images(request: pytest.FixtureRequest, db: Flask) -> None:
    """Create a thousand images, with and without statistics for the database's planner."""
    chance = random.Random(3)
    scopes = [Scope.get(Scope.path == path) for path in PATHS]
    with transaction():
        for number in range(1000):
            create_random_image(chance, number, chance.choice(scopes), None)
    if request.param == "analyzed":
        models.database.execute_sql("ANALYZE")


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch, db: Flask) -> list[tuple[str, Any]]:
    """Return a list to which every SELECT about images is appended."""
    statements: list[tuple[str, Any]] = []
    database = models.database.obj
    send = database.execute_sql

    def execute_sql(sql: str, params: Any = None) -> Any:
        if sql.startswith("SELECT") and ("image" in sql or "facet_group" in sql):
            statements.append((sql, params))
        return send(sql, params)

    monkeypatch.setattr(database, "execute_sql", execute_sql)
    return statements


@pytest.mark.usefixtures("thousand_images", "strategy")
def test_no_search_reads_the_whole_table(
    statements: list[tuple[str, Any]],
    actor_of: ActorOf,
    scope: ScopeAt,
) -> None:
    actor, production = actor_of("scalr-admin"), scope("acme/production")
    searches = [(text, "created") for text in SEARCHES]
    filters = "cloud:aws cloud:gce os:ubuntu os:debian agent:yes status:active"
    texts = ("", "golden", filters, "tag:team cloud:aws")
    searches += [(text, sort) for text in texts for sort in SORTS]
    for text, sort in searches:
        query = parse(text)
        if sort == "created":
            facets.filter_menus(production, query)
        page = catalogue.find_page(actor, production, Listing(query, sort, size=10))
        catalogue.find_page(actor, production, Listing(query, sort, size=10, after=page.next))
        next(catalogue.iterate_images(actor, production, query), None)
    plans = dict.fromkeys((sql, tuple(params or ())) for sql, params in statements)
    full_scans = {
        sql: plan for sql, params in plans if _reads_a_table(plan := plan_of(sql, params))
    }
    assert not full_scans, "\n\n".join(f"{sql}\n{plan}" for sql, plan in full_scans.items())
    assert len(plans) > 100


def _reads_a_table(plan: str) -> bool:
    """Return whether a plan reads a whole table.

    SQLite writes SCAN for reading a whole table or index. It also writes SCAN for a query of its
    full-text index, for the result of another part of the plan, and for a constant.
    """
    lines = [line.split() for line in plan.splitlines()]
    parts = {words[1] for words in lines if words[0] in {"CO-ROUTINE", "MATERIALIZE"}}
    for table in (words[1] for words in lines if words[0] == "SCAN" and "VIRTUAL" not in words):
        if table not in parts | {"CONSTANT"} and not table.startswith("(subquery"):
            return True
    return "Seq Scan on image" in plan or "Seq Scan on facet_group" in plan
