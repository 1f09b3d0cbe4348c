"""Prepare a fleet (see `bench.fleet`) for `bench.load`.

Add people and credentials to the fleet, and choose images for the people.

After the measurement, find the changes that were acknowledged but are not in the database.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import chain, zip_longest
from typing import Any

from peewee import fn

from bench.fleet import SCALR_ADMIN
from bench.load_clients import Assignment, OwnImage, Saved
from models import (
    AuditEntry,
    CloudCredentials,
    Image,
    Level,
    LifeCycle,
    Membership,
    Person,
    Role,
    Scope,
    transaction,
)
from webapp.clouds import CLOUDS
from webapp.credentials.vault import Vault
from webapp.images import operating_systems

MIN_IMAGES = 40
"""The minimum number of images of a scope in which people work."""
VISIBLE_IMAGES = 200
"""The maximum number of images that the clients of a scope open in this scope.

The clients also open at most this many shared images of the Scalr scope."""
OWN_IMAGES = 20
"""The maximum number of images that one client changes."""


def create_assignments(count: int, endpoint: str, key: str) -> list[Assignment]:
    """Add `count` people who edit images, and return their assignments.

    The people are distributed over the accounts, and within an account over its scopes. Each
    account has its own credentials for the cloud at `endpoint`. `key` encrypts them.
    """
    scopes = _scopes()[:count]
    chosen = [scopes[number % len(scopes)] for number in range(count)]
    people_by_scope = Counter(scope.id for scope in chosen)
    images = {scope.id: _choose_images(scope, people_by_scope[scope.id]) for scope in scopes}
    password_hash = Person.get(Person.email == SCALR_ADMIN).password_hash
    assignments = []
    with transaction():
        credentials = _create_credentials(scopes, endpoint, Vault([key]))
        for number, scope in enumerate(chosen):
            person = Person.create(
                email=f"load-{number}@example.com",
                name=f"Load {number}",
                password_hash=password_hash,
                session_key=f"load{number:028x}",
            )
            Membership.create(person=person, scope=scope, role=Role.EDITOR)
            visible, own = images[scope.id]
            assignments.append(
                Assignment(
                    email=person.email,
                    scope=f"/{scope.level}/{scope.path}",
                    credentials=credentials[scope.account_path],
                    visible=visible,
                    own=own.pop(),
                )
            )
    return assignments


def _scopes() -> list[Scope]:
    """Return the scopes with enough images.

    One scope of each account comes first, then a second scope of each account, and so on.
    """
    has_enough = fn.COUNT(Image.id) >= MIN_IMAGES
    ids = Image.select(Image.scope).group_by(Image.scope).having(has_enough)
    by_account: dict[str, list[Scope]] = defaultdict(list)
    rows = Scope.select_with_parents().where(Scope.id.in_(ids), Scope.level != Level.SCALR)
    for scope in rows.order_by(Scope.path):
        by_account[scope.account_path].append(scope)
    return [scope for scope in chain(*zip_longest(*by_account.values())) if scope is not None]


def _create_credentials(scopes: Sequence[Scope], endpoint: str, vault: Vault) -> dict[str, int]:
    """Create credentials for the account of each scope. Return their IDs by the account's path."""
    aws = CLOUDS["aws"]
    ids = {}
    for path in {scope.account_path for scope in scopes}:
        values = {each.name: "" for each in aws.credential_fields}
        values |= {"access_key_id": f"AKIA{path.upper()}", "secret_access_key": "s"}
        values |= {"partition": "aws", "endpoint_url": endpoint}
        row = CloudCredentials(scope=Scope.at(path), cloud=aws.key, name="Load")
        vault.store(row, aws.credential_fields, values)
        row.save(force_insert=True)
        ids[path] = row.id
    return ids


def _choose_images(scope: Scope, people: int) -> tuple[list[int], list[list[OwnImage]]]:
    """Return the IDs of images that everybody opens, and the images that each person changes."""
    newest = Image.select().where(Image.scope == scope).order_by(Image.id.desc())
    images = list(newest.limit(VISIBLE_IMAGES + 4 * OWN_IMAGES * people))
    of_scalr = Image.select(Image.id).where(Image.scope == Scope.get(path=""), Image.shared)
    shared = of_scalr.order_by(Image.id.desc()).limit(VISIBLE_IMAGES)
    visible = [each.id for each in (*images[:VISIBLE_IMAGES], *shared)]
    random.Random(scope.id).shuffle(visible)  # noqa: S311  not a secret
    own = [_own_image(image) for image in images if _is_simple(image)]
    return visible, [own[start::people][:OWN_IMAGES] for start in range(people)]


def _is_simple(image: Image) -> bool:
    """Return whether an image is active, has no planned dates, and has a known operating system."""
    family = operating_systems.FAMILIES.get(image.os_family)
    versions = {version.key for version in family.versions} if family else set()
    has_dates = image.deprecated_on or image.retired_on
    return image.status is LifeCycle.ACTIVE and not has_dates and image.os_version in versions


def _own_image(image: Image) -> OwnImage:
    fields = {
        "os_family": image.os_family,
        "os_version": f"{image.os_family}|{image.os_version}",
        "size_gb": str(image.size_gb or ""),
    }
    fields |= {name: "y" for name in ("agent_installed", "shared") if getattr(image, name)}
    return OwnImage(image.id, image.revision, fields)


def lost_changes(saved: Sequence[Saved]) -> list[Saved]:
    """Return the acknowledged changes that are not in the database.

    Each change must have its entry in the audit log, and the image must have the name and the
    reason that were saved last.
    """
    entries = AuditEntry.select(AuditEntry.subject, AuditEntry.changes).where(
        AuditEntry.person_name.startswith("Load ")
    )
    logged = {entry.subject for entry in entries}
    logged |= {str(new) for entry in entries for _, new in entry.changes.values()}
    names: dict[int, Saved] = {}
    reasons: dict[int, Saved] = {}
    for change in saved:  # in the order in which each client saved them
        (reasons if change.action == "life-cycle" else names)[change.image] = change
    lost = {change for change in saved if change.text not in logged}
    for latest, column in ((names, Image.name), (reasons, Image.status_reason)):
        rows: Any = Image.select(Image.id, column).where(Image.id.in_(list(latest))).tuples()
        stored = dict(rows)
        lost |= {each for each in latest.values() if stored.get(each.image) != each.text}
    return list(lost)
