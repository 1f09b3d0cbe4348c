"""All SQL text is in `webapp.search.sql`, and the examples in its docstrings are true."""

from __future__ import annotations

import ast
import doctest
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from webapp.search import sql

WEBAPP = Path(sql.__file__).parent.parent
STATEMENT = re.compile(
    r"\b(SELECT|WHERE|ORDER BY|GROUP BY|UNION ALL|LIMIT|CASE WHEN|COALESCE|COUNT\(|SUM\()"
)
OTHER_MODULES_WITH_SQL = {
    "audit/log.py": "the fields of an entry, shortened by the database",
    "audit/seals.py": "the fingerprints of very many entries, and PostgreSQL's catalog",
    "backup/checks.py": "tables of any version of the application",
    "backup/postgresql.py": "PostgreSQL's catalog",
    "backup/sqlite.py": "SQLite's catalog",
    "database/migrating.py": "PostgreSQL's advisory lock at start-up",
    "database/indexes.py": "the catalogs, and tables of any version of the application",
    "database/online.py": "tables of any version of the application",
    "jobs/activity.py": "a limited count for each of several jobs, in one statement",
}
"""Other modules that may contain SQL, with the reason."""


def test_the_examples_in_docstrings_are_true(monkeypatch: pytest.MonkeyPatch) -> None:
    """The examples show the text for SQLite."""
    monkeypatch.setattr(sql, "is_sqlite", lambda: True)
    results = doctest.testmod(sql, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert results.attempted > 30
    assert not results.failed


def test_sql_is_written_in_one_module() -> None:
    found = {
        str(path.relative_to(WEBAPP)): text
        for path in WEBAPP.rglob("*.py")
        if path != Path(sql.__file__)
        for text in strings(path)
        if STATEMENT.search(text)
    }
    assert found.keys() == OTHER_MODULES_WITH_SQL.keys(), found


def strings(path: Path) -> Iterator[str]:
    """Yield the string constants of a module, except docstrings."""
    tree = ast.parse(path.read_text())
    docstrings = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    constants = (node for node in ast.walk(tree) if isinstance(node, ast.Constant))
    yield from (
        node.value
        for node in constants
        if isinstance(node.value, str) and id(node) not in docstrings
    )
