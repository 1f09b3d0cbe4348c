"""The sample organization of the demonstration: its scopes, people, credentials and images.

`python -m sandbox.demonstration SANDBOX_JSON` fills the configured database, but does not register
images.
"""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher

import models
import webapp
from models import CloudCredentials, Level, Membership, Person, Role, Scope, transaction
from sandbox import sample_images
from webapp import database
from webapp.clouds import CLOUDS
from webapp.clouds.base import Cloud
from webapp.credentials.vault import Vault
from webapp.web.services import services

PASSWORD = "demonstration"  # noqa: S105  public on purpose, on loopback only
SCOPES = ("acme", "acme/production", "acme/staging", "globex", "globex/lab")
PEOPLE = (
    ("scalr@example.com", "Sasha Scalr", "", Role.ADMIN),
    ("account@example.com", "Alex Account", "acme", Role.ADMIN),
    ("environment@example.com", "Eden Environment", "acme/production", Role.ADMIN),
    ("viewer@example.com", "Vic Viewer", "acme", Role.VIEWER),
    ("globex@example.com", "Glen Globex", "globex", Role.ADMIN),
)
"""The e-mail address, the name, the path of the scope, and the role of each person."""


def seed(vault: Vault, sandbox: Mapping[str, Any], *, with_images: bool = True) -> int:
    """Fill a migrated database, and return the number of sample images that were registered.

    People, scopes and sample images are created only if there is no person yet. `sandbox` is the
    content of sandbox.json. If the Scalr scope has no credentials for a cloud yet, the credentials
    from `sandbox` are stored there. The images are read from the sandbox clouds, which must be
    running. One transaction does everything. So if this function fails, the database does not
    change, and the next start of the demonstration fills it.
    """
    with transaction():
        people = {} if Person.select().exists() else _create_people()
        for row in sandbox["credentials"]:
            _store_credentials(vault, CLOUDS[row["cloud"]], row["values"])
        return sample_images.register_all(vault, people) if people and with_images else 0


def sample_people() -> list[tuple[str, str]]:
    """Return the e-mail address and the role of each person, for the sign-in page."""
    return [(email, f"{role} of {_description(path)}") for email, _, path, role in PEOPLE]


def _description(path: str) -> str:
    """Return words for the scope with this path, such as “the account acme”."""
    if not path:
        return "the Scalr scope"
    level = Level.ENVIRONMENT if "/" in path else Level.ACCOUNT
    return f"the {level} {path.replace('/', ' / ')}"


@dataclass(frozen=True)
class ExampleImage:
    """An image of a sandbox cloud that people can register in the demonstration."""

    cloud: str
    label: str
    image_id: str
    location: str = ""


# The modules of the sandbox clouds have these IDs too. This table repeats them, because importing
# the modules takes seconds.
EXAMPLE_IMAGES = (
    ExampleImage("aws", "Ubuntu 24.04", "ami-00000000000024040", "us-east-1"),
    ExampleImage(
        "gce", "Ubuntu 24.04", "ubuntu-os-cloud/global/images/family/ubuntu-2404-lts-amd64"
    ),
    ExampleImage("openstack", "Ubuntu 24.04", "00002404-5a4d-4b0c-8000-000000002404", "RegionOne"),
    ExampleImage("azure", "Ubuntu 24.04", "Canonical:ubuntu-24_04-lts:server:latest"),
    ExampleImage("vmware", "Ubuntu 24.04", "501e0000-0000-4c5d-8091-000000002404", "Copenhagen"),
)
"""The images that New Image offers as buttons."""


def _create_people() -> dict[str, Person]:
    """Create the scopes, people and roles. Return the first person of each scope, by path."""
    scopes = _create_scopes()
    people: dict[str, Person] = {}
    for email, name, path, role in PEOPLE:
        person = create_person(email, name)
        Membership.create(person=person, scope=scopes[path], role=role)
        people.setdefault(path, person)
    return people


def create_person(email: str, name: str) -> Person:
    """Create a person with PASSWORD, which the application would refuse as too easy to guess."""
    person: Person = Person.create(
        email=email,
        name=name,
        password_hash=PasswordHasher().hash(PASSWORD),
        session_key=secrets.token_hex(16),
    )
    return person


def _create_scopes() -> dict[str, Scope]:
    scopes = {"": Scope.get(Scope.path == "")}
    for path in SCOPES:
        parent, _, name = path.rpartition("/")
        level = Level.ENVIRONMENT if parent else Level.ACCOUNT
        scopes[path] = Scope.create(level=level, parent=scopes[parent], path=path, name=name)
    return scopes


def _store_credentials(vault: Vault, cloud: Cloud, values: Mapping[str, str]) -> None:
    """Store credentials at the Scalr scope, unless it already has credentials for this cloud.

    The credentials are not checked, because they belong to the sandbox.
    """
    scalr = Scope.get(Scope.path == "")
    existing = (CloudCredentials.scope == scalr) & (CloudCredentials.cloud == cloud.key)
    if CloudCredentials.select().where(existing).exists():
        return
    row = CloudCredentials(scope=scalr, cloud=cloud.key, name=f"Sandbox {cloud.label}")
    vault.store(row, cloud.credential_fields, values)
    row.save(force_insert=True)


def main() -> None:
    """Migrate the database and fill it, without images. Existing rows do not change."""
    sandbox = json.loads(Path(sys.argv[1]).read_text())
    app = webapp.create_app()
    with app.app_context(), models.database.connection_context():
        database.migrate(models.database.obj)
        seed(services().vault, sandbox, with_images=False)


if __name__ == "__main__":
    main()
