"""The scope tree: find the scopes that a person can see; create, rename and delete scopes."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from peewee import IntegrityError

from models import CloudCredentials, Image, Membership, Scope, transaction
from webapp import audit
from webapp.access import Actor, Right
from webapp.refusals import Refusal

NAME_LENGTH = 64


class ScopeError(Refusal):
    """A scope cannot be created, renamed or deleted like this."""


def visible_to(actor: Actor, text: str = "", limit: int = 200) -> list[Scope]:
    """Return the scopes at which the actor holds a role, directly or inherited, in tree order.

    With `text`, return only scopes whose name or path contains it.
    """
    scopes_with_role = Scope.select().where(Scope.id.in_(list(actor.roles)))
    condition = Scope.id.in_([])  # Matches no scope.
    for scope in scopes_with_role:
        if scope.path == "":
            condition = Scope.id.is_null(False)  # A role at Scalr applies at every scope.
            break
        condition |= (Scope.path == scope.path) | Scope.path.startswith(f"{scope.path}/")
    query = Scope.select().where(condition)
    if text:
        query = query.where(Scope.name.contains(text) | Scope.path.contains(text))
    return list(query.order_by(Scope.path).limit(limit))


def home_scope(actor: Actor) -> Scope | None:
    """Return the scope that opens after sign-in, or None if the actor holds no role.

    This is the highest scope at which the actor holds a role.
    """
    scopes_with_role = Scope.select().where(Scope.id.in_(list(actor.roles)))
    return min(scopes_with_role, key=lambda scope: (len(scope.lineage), scope.path), default=None)


def child_scopes(scope: Scope) -> list[Scope]:
    """Return the scopes directly below `scope`, by name."""
    return list(Scope.select().where(Scope.parent == scope).order_by(Scope.name))


def create(actor: Actor, parent: Scope, name: str) -> Scope:
    """Create a scope directly below `parent`. Raises Forbidden and ScopeError."""
    actor.require(Right.MANAGE_SCOPES, parent)
    level = parent.level.below
    if level is None:
        raise ScopeError("An environment can’t contain other scopes.")
    name = _valid_name(name)
    slug = _slug(name)
    path = f"{parent.path}/{slug}".lstrip("/")
    try:
        with transaction():
            scope: Scope = Scope.create(level=level, parent=parent, name=name, path=path)
            audit.record(actor, scope, f"{level}.create", name)
    except IntegrityError as error:
        raise ScopeError(
            f"{parent.label} already has an {level} with this name or with “{slug}” in its URL. "
            "Choose another name.",
            "name",
        ) from error
    return scope


def rename(actor: Actor, scope: Scope, name: str) -> None:
    """Rename a scope. The path of the scope does not change, so bookmarks still work.

    Raises Forbidden and ScopeError.
    """
    actor.require(Right.MANAGE_SCOPES, scope.parent)
    before, name = scope.name, _valid_name(name)
    if name == before:
        return
    try:
        with transaction():
            scope.name = name
            scope.save(only=[Scope.name])
            audit.record(
                actor, scope, f"{scope.level}.rename", name, changes={"name": (before, name)}
            )
    except IntegrityError as error:
        scope.name = before
        raise ScopeError(
            f"{scope.parent.label} already has an {scope.level} with this name. "
            "Choose another name.",
            "name",
        ) from error


@dataclass(frozen=True)
class Contents:
    """The numbers of records in a scope and the scopes below it."""

    environments: int
    images: int
    credentials: int
    members: int


def count_contents(scope: Scope) -> Contents:
    """Return the numbers of records that are deleted together with `scope`."""
    ids = [each.id for each in scope.subtree()]
    return Contents(
        environments=len(ids) - 1,
        images=Image.select().where(Image.scope.in_(ids)).count(),
        credentials=CloudCredentials.select().where(CloudCredentials.scope.in_(ids)).count(),
        members=Membership.select().where(Membership.scope.in_(ids)).count(),
    )


def delete(actor: Actor, scope: Scope, typed_name: str) -> None:
    """Delete a scope with everything in it. Cloud images are not affected.

    Raises Forbidden, and ScopeError unless `typed_name` is the scope's name.
    """
    if scope.parent is None:
        raise ScopeError("The Scalr scope can’t be deleted.")
    actor.require(Right.MANAGE_SCOPES, scope.parent)
    if typed_name.strip() != scope.name:
        raise ScopeError(f"Enter “{scope.name}” to confirm.", "name")
    with transaction():
        contents = count_contents(scope)
        changes = {noun: (count, 0) for noun, count in vars(contents).items() if count}
        audit.record(actor, scope.parent, f"{scope.level}.delete", scope.name, changes=changes)
        scope.delete_instance()


def _valid_name(name: str) -> str:
    name = " ".join(name.split())
    if not 1 <= len(name) <= NAME_LENGTH:
        raise ScopeError(f"Enter a name with 1 to {NAME_LENGTH} characters.", "name")
    return name


def _slug(name: str) -> str:
    """Return the name in the form for a URL: 'Día de Prüfung' becomes 'dia-de-prufung'.

    Raises ScopeError if no letter or digit remains.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    if not slug:
        raise ScopeError("Use at least one letter from a to z or one digit.", "name")
    return slug
