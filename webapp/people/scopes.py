"""The scope tree: which scopes a person sees, and creating, renaming and deleting them."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from peewee import IntegrityError

from models import CloudCredentials, Image, Membership, Scope, transaction
from webapp import audit
from webapp.access import Actor, Right

NAME_LENGTH = 64


class ScopeError(Exception):
    """A refusal, worded for the person."""


def visible_to(actor: Actor, text: str = "", limit: int = 200) -> list[Scope]:
    """The scopes at which the person holds a role, of their own or from above, in tree order;
    those whose name or path holds `text`."""
    held = Scope.select().where(Scope.id.in_(list(actor.roles)))
    condition = Scope.id.in_([])
    for scope in held:
        if scope.path == "":
            condition = Scope.id.is_null(False)
            break
        condition |= (Scope.path == scope.path) | Scope.path.startswith(f"{scope.path}/")
    query = Scope.select().where(condition)
    if text:
        query = query.where(Scope.name.contains(text) | Scope.path.contains(text))
    return list(query.order_by(Scope.path).limit(limit))


def home_of(actor: Actor) -> Scope | None:
    """Where a person arrives: the highest scope at which they hold a role."""
    held = Scope.select().where(Scope.id.in_(list(actor.roles)))
    return min(held, key=lambda scope: (len(scope.lineage), scope.path), default=None)


def children_of(scope: Scope) -> list[Scope]:
    return list(Scope.select().where(Scope.parent == scope).order_by(Scope.name))


def create(actor: Actor, parent: Scope, name: str) -> Scope:
    """Raises Forbidden and ScopeError."""
    actor.require(Right.MANAGE_SCOPES, parent)
    level = parent.level.below
    if level is None:
        raise ScopeError("An environment has no scopes below it.")
    name = _valid_name(name)
    slug = _slug(name)
    path = f"{parent.path}/{slug}".lstrip("/")
    try:
        with transaction():
            scope: Scope = Scope.create(level=level, parent=parent, name=name, path=path)
            audit.record(actor, scope, f"{level}.create", name)
    except IntegrityError as error:
        raise ScopeError(
            f"{parent.label} already has an {level} with that name or address ({slug}). "
            "Choose another name."
        ) from error
    return scope


def rename(actor: Actor, scope: Scope, name: str) -> None:
    """Its address stays, so that bookmarks go on working. Raises Forbidden and ScopeError."""
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
            f"{scope.parent.label} already has an {scope.level} of that name. Choose another."
        ) from error


@dataclass(frozen=True)
class Contents:
    """What goes when a scope is deleted."""

    environments: int
    images: int
    credentials: int
    members: int


def contents_of(scope: Scope) -> Contents:
    ids = [each.id for each in scope.subtree()]
    return Contents(
        environments=len(ids) - 1,
        images=Image.select().where(Image.scope.in_(ids)).count(),
        credentials=CloudCredentials.select().where(CloudCredentials.scope.in_(ids)).count(),
        members=Membership.select().where(Membership.scope.in_(ids)).count(),
    )


def delete(actor: Actor, scope: Scope, typed_name: str) -> None:
    """Delete a scope and all that it holds. The cloud's images are untouched. Raises Forbidden,
    and ScopeError unless its name was typed."""
    if scope.parent is None:
        raise ScopeError("The Scalr scope cannot be deleted.")
    actor.require(Right.MANAGE_SCOPES, scope.parent)
    if typed_name.strip() != scope.name:
        raise ScopeError(f"Type the name “{scope.name}” to confirm.")
    with transaction():
        contents = contents_of(scope)
        lost = {noun: (count, 0) for noun, count in vars(contents).items() if count}
        audit.record(actor, scope.parent, f"{scope.level}.delete", scope.name, changes=lost)
        scope.delete_instance()


def _valid_name(name: str) -> str:
    name = " ".join(name.split())
    if not 1 <= len(name) <= NAME_LENGTH:
        raise ScopeError(f"Give it a name of 1 to {NAME_LENGTH} characters.")
    return name


def _slug(name: str) -> str:
    """The name as part of an address: letters, digits and hyphens."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    if not slug:
        raise ScopeError("The name needs at least one letter from a to z or a digit.")
    return slug
