"""The demonstration organisation that `./run` shows. Never used otherwise."""

from __future__ import annotations

from models import CloudCredentials, Level, Membership, Person, Role, Scope, transaction
from webapp import people
from webapp.clouds import CLOUDS
from webapp.vault import Vault

PASSWORD = "demonstration"  # noqa: S105  public on purpose, and on loopback only
SCOPES = ("acme", "acme/production", "acme/staging", "globex", "globex/lab")
PEOPLE = (
    ("scalr@example.com", "Sasha Scalr", "", Role.ADMIN),
    ("account@example.com", "Alex Account", "acme", Role.ADMIN),
    ("environment@example.com", "Eden Environment", "acme/production", Role.ADMIN),
    ("viewer@example.com", "Vic Viewer", "acme", Role.VIEWER),
    ("globex@example.com", "Glen Globex", "globex", Role.ADMIN),
)


def seed(vault: Vault, endpoint: str) -> bool:
    """Fill a migrated database that holds no person yet. Returns whether it did."""
    with transaction():
        if Person.select().exists():
            return False
        scopes = _scopes()
        for email, name, path, role in PEOPLE:
            person = people.create(email, name, PASSWORD)
            Membership.create(person=person, scope=scopes[path], role=role)
        _credentials(vault, scopes[""], endpoint)
    return True


def _scopes() -> dict[str, Scope]:
    scopes = {"": Scope.get(Scope.path == "")}
    for path in SCOPES:
        parent, _, name = path.rpartition("/")
        level = Level.ENVIRONMENT if parent else Level.ACCOUNT
        scopes[path] = Scope.create(level=level, parent=scopes[parent], path=path, name=name)
    return scopes


def _credentials(vault: Vault, scope: Scope, endpoint: str) -> None:
    """The sandbox takes any key; nothing is asked of it here, so that start-up need not wait."""
    cloud = CLOUDS["aws"]
    row = CloudCredentials(scope=scope, cloud=cloud.key, name="Sandbox AWS")
    values = {
        "access_key_id": "AKIASANDBOXSANDBOX00",
        "secret_access_key": "sandbox",
        "session_token": "",
        "role_arn": "",
        "partition": "aws",
        "endpoint_url": endpoint,
    }
    vault.store(row, cloud.credential_fields, values)
    row.save(force_insert=True)
