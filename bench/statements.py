"""Count the database statements that each page sends.

`bench.list` runs this script once for each checkout, in a separate process whose working directory
is the checkout. The script uses only `webapp.create_app` and `models.database`, so it also works
with other versions of the application. It reads {"requests": [[e-mail address, URL], …],
"password": …} from standard input, and prints the list of counts as JSON.
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
    task = json.load(sys.stdin)
    app = webapp.create_app()
    app.config.update(TESTING=True, WTF_CSRF_ENABLED=False)
    statements = _record_statements()
    clients: dict[str, FlaskClient] = {}
    counts = []
    for email, url in task["requests"]:
        if email not in clients:
            clients[email] = _sign_in(app, email, task["password"])
        client = clients[email]
        client.get(url)  # The first request fills caches that later requests use.
        statements.clear()
        assert client.get(url).status_code == 200, url
        counts.append(len(statements))
    json.dump(counts, sys.stdout)


def _sign_in(app: Flask, email: str, password: str) -> FlaskClient:
    client = app.test_client()
    response = client.post("/sign-in", data={"email": email, "password": password})
    assert response.status_code == 303, response.status_code
    return client


def _record_statements() -> list[str]:
    """Return a list to which every statement is appended when it is executed."""
    statements: list[str] = []

    def recorded(execute: Callable[..., Any]) -> Callable[..., Any]:
        def execute_and_record(*arguments: Any, **options: Any) -> Any:
            statements.append(str(arguments))
            return execute(*arguments, **options)

        return execute_and_record

    database = models.database.obj
    if models.database.param == "%s":
        # A connection pool may send statements through the driver, without `execute_sql`.
        psycopg.Cursor.execute = recorded(psycopg.Cursor.execute)  # type: ignore[method-assign]
    else:
        database.execute_sql = recorded(database.execute_sql)
    return statements


if __name__ == "__main__":
    main()
