"""The people in the tests: one for each role at each level of acme, a stranger, and an outsider.

The stranger is an admin of another account. The outsider has no role.
"""

from __future__ import annotations

from models import Level, Membership, Person, Role, Scope
from webapp.people import accounts

PASSWORD = "correct horse battery"
SCOPES = ("acme", "acme/production", "acme/staging", "globex", "globex/lab")
HOMES = {"scalr": "", "account": "acme", "environment": "acme/production"}
CAST = {f"{level}-{role}": (path, role) for level, path in HOMES.items() for role in Role} | {
    "stranger": ("globex", Role.ADMIN),
    "outsider": (None, None),
}


def fill() -> None:
    """Create the scopes and people in a migrated database."""
    scopes = {"": Scope.get(Scope.path == "")}
    for path in SCOPES:
        parent, _, name = path.rpartition("/")
        level = Level.ENVIRONMENT if parent else Level.ACCOUNT
        scopes[path] = Scope.create(level=level, parent=scopes[parent], path=path, name=name)
    first = accounts.create("seed@example.com", "Seed", PASSWORD)
    for name, (home, role) in CAST.items():
        # All people share one hash, because hashing a password is slow on purpose.
        person = Person.create(
            email=f"{name}@example.com",
            name=name,
            password_hash=first.password_hash,
            session_key=name,
        )
        if home is not None:
            Membership.create(person=person, scope=scopes[home], role=role)
    first.delete_instance()
