"""Count the database statements of pages, in a process of its own.

It is a script that `bench.list` runs once for each checkout, with that checkout as the working
directory. It knows nothing of a checkout but `webapp.create_app` and `models.database`. It reads
{"requests": [[e-mail address, URL], …], "password": …} from standard input and prints the counts.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import psycopg
from flask import Flask
from flask.testing import FlaskClient

import models
import webapp


def main() -> None:
    wanted = json.load(sys.stdin)
    app = webapp.create_app()
    app.config.update(TESTING=True, WTF_CSRF_ENABLED=False)
    statements = _record_statements()
    clients: dict[str, FlaskClient] = {}
    counts = []
    for email, url in wanted["requests"]:
        if email not in clients:
            clients[email] = _signed_in(app, email, wanted["password"])
        client = clients[email]
        client.get(url)  # The first request also sets up what later requests reuse.
        statements.clear()
        assert client.get(url).status_code == 200, url
        counts.append(len(statements))
    json.dump(counts, sys.stdout)


def _signed_in(app: Flask, email: str, password: str) -> FlaskClient:
    client = app.test_client()
    answer = client.post("/sign-in", data={"email": email, "password": password})
    assert answer.status_code == 303, answer.status_code
    return client


def _record_statements() -> list[str]:
    """Return a list to which every statement is appended from now on."""
    statements: list[str] = []

    def recorded(execute: Callable[..., Any]) -> Callable[..., Any]:
        def execute_and_record(*arguments: Any, **options: Any) -> Any:
            statements.append(str(arguments))
            return execute(*arguments, **options)

        return execute_and_record

    database = models.database.obj
    if models.database.param == "%s":
        # The driver also sees statements of the connection pool.
        psycopg.Cursor.execute = recorded(psycopg.Cursor.execute)  # type: ignore[method-assign]
    else:
        database.execute_sql = recorded(database.execute_sql)
    return statements


if __name__ == "__main__":
    main()
