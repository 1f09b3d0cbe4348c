"""The demonstration organisation that `./run` shows: its scopes, people and credentials.

`python -m sandbox.demonstration SANDBOX_JSON` fills the database that the settings name.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import models
import webapp
from models import CloudCredentials, Level, Membership, Person, Role, Scope, transaction
from webapp import database
from webapp.clouds import CLOUDS
from webapp.clouds.base import Cloud
from webapp.credentials.vault import Vault
from webapp.people import accounts
from webapp.web.services import services

PASSWORD = "demonstration"  # noqa: S105  public on purpose, and on loopback only
SCOPES = ("acme", "acme/production", "acme/staging", "globex", "globex/lab")
PEOPLE = (
    ("scalr@example.com", "Sasha Scalr", "", Role.ADMIN),
    ("account@example.com", "Alex Account", "acme", Role.ADMIN),
    ("environment@example.com", "Eden Environment", "acme/production", Role.ADMIN),
    ("viewer@example.com", "Vic Viewer", "acme", Role.VIEWER),
    ("globex@example.com", "Glen Globex", "globex", Role.ADMIN),
)


def seed(vault: Vault, sandbox: Mapping[str, Any]) -> bool:
    """Fill a migrated database that holds no person yet; returns whether it did. `sandbox` is what
    its sandbox.json holds: for each of its clouds without credentials at Scalr, those go there."""
    with transaction():
        fresh = not Person.select().exists()
        if fresh:
            scopes = _scopes()
            for email, name, path, role in PEOPLE:
                person = accounts.create(email, name, PASSWORD)
                Membership.create(person=person, scope=scopes[path], role=role)
        for each in sandbox["credentials"]:
            _credentials(vault, CLOUDS[each["cloud"]], each["values"])
    return fresh


def _scopes() -> dict[str, Scope]:
    scopes = {"": Scope.get(Scope.path == "")}
    for path in SCOPES:
        parent, _, name = path.rpartition("/")
        level = Level.ENVIRONMENT if parent else Level.ACCOUNT
        scopes[path] = Scope.create(level=level, parent=scopes[parent], path=path, name=name)
    return scopes


def _credentials(vault: Vault, cloud: Cloud, values: Mapping[str, str]) -> None:
    """Nothing is asked of the sandbox here, so that start-up need not wait."""
    scalr = Scope.get(Scope.path == "")
    there = (CloudCredentials.scope == scalr) & (CloudCredentials.cloud == cloud.key)
    if CloudCredentials.select().where(there).exists():
        return
    row = CloudCredentials(scope=scalr, cloud=cloud.key, name=f"Sandbox {cloud.label}")
    vault.store(row, cloud.credential_fields, values)
    row.save(force_insert=True)


def main() -> None:
    """Migrate the database and seed it. Does nothing to data that is there already."""
    sandbox = json.loads(Path(sys.argv[1]).read_text())
    app = webapp.create_app()
    with app.app_context(), models.database.connection_context():
        database.migrate(models.database.obj)
        seed(services().vault, sandbox)


if __name__ == "__main__":
    main()
