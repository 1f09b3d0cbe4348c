"""The organisation that the demonstration shows."""

from __future__ import annotations

from flask import Flask

from models import CloudCredentials, Person
from sandbox import demonstration
from webapp.clouds import CLOUDS
from webapp.web.services import services


def test_a_database_with_people_gets_only_missing_credentials(db: Flask) -> None:
    values = {field.name: "x" for field in CLOUDS["aws"].credential_fields}
    sandbox = {"credentials": [{"cloud": "aws", "values": values}]}
    people = Person.select().count()
    with db.app_context():
        vault = services().vault
        assert [demonstration.seed(vault, sandbox) for _ in range(2)] == [False, False]
    assert Person.select().count() == people > 0
    assert [row.name for row in CloudCredentials.select()] == ["Sandbox AWS"]
