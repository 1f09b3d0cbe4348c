"""Find the scopes that a person can see, and create, rename and delete scopes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any

from peewee import Case, IntegrityError, Value, fn

from models import (
    ApiToken,
    CloudCredentials,
    Image,
    Invitation,
    Job,
    Level,
    Membership,
    Scope,
    delete_dependents,
    now,
    transaction,
)
from webapp import audit
from webapp.access import RIGHTS, Actor, Right
from webapp.refusals import Refusal
from webapp.revisions.conflicts import lock, require_no_conflict, require_unchanged
from webapp.values.lists import FirstRows, find
from webapp.values.text import LineRule, normalized

NAME_LENGTH = 64


class ScopeError(Refusal):
    """A rule forbids creating, renaming or deleting this scope."""


NAME = LineRule("name", NAME_LENGTH, 1, "name", ScopeError)


def visible_to(actor: Actor, text: str = "", limit: int = 200) -> FirstRows[Scope]:
    """Return the first scopes at which the actor holds a direct or inherited role.

    The scopes are ordered by path. If `text` is not empty, return only scopes whose name or path
    contains `text`.
    """
    query = Scope.select_with_parents().where(is_visible_to(actor)).order_by(Scope.path)
    return find(query, text, Scope.name, Scope.path, size=limit)


def is_visible_to(actor: Actor) -> Any:
    """Return the query condition that the actor holds a direct or inherited role at a scope."""
    exists = Scope.deleted_at.is_null()
    if _holds_role_at_scalr(actor):
        return exists
    scope_ids = list(actor.roles)
    return exists & (Scope.id.in_(scope_ids) | Scope.parent.in_(scope_ids))


def grants_right_to(actor: Actor, right: Right) -> Any:
    """Return the query condition that the actor has `right` at a scope."""
    roles = {scope_id: role for scope_id, role in actor.roles.items() if right in RIGHTS[role]}
    return is_visible_to(replace(actor, roles=roles))


def _holds_role_at_scalr(actor: Actor) -> bool:
    scalr = Scope.select().where(Scope.level == Level.SCALR).get()
    return scalr.id in actor.roles


def home_scope(actor: Actor) -> Scope | None:
    """Return the scope that opens after sign-in, or None if the actor holds no role.

    This is the highest scope at which the actor holds a role.
    """
    depth = Case(Scope.level, [(Level.SCALR, 0), (Level.ACCOUNT, 1)], 2)
    scopes_with_role = Scope.select().where(Scope.id.in_(list(actor.roles)))
    highest: Scope | None = scopes_with_role.order_by(depth, Scope.path).first()
    return highest


def child_scopes(scope: Scope, text: str = "") -> FirstRows[Scope]:
    """Return the first scopes directly below `scope`, ordered by name.

    If `text` is not empty, return only scopes whose name or path contains `text`.
    """
    is_child = (Scope.parent == scope) & Scope.deleted_at.is_null()
    query = Scope.select_with_parents().where(is_child).order_by(Scope.name)
    return find(query, text, Scope.name, Scope.path)


def create(actor: Actor, parent: Scope, name: str) -> Scope:
    """Create a scope directly below `parent`, and return it. Raises Forbidden and ScopeError."""
    actor.require(Right.MANAGE_SCOPES, parent)
    level = parent.level.below
    if level is None:
        raise ScopeError("An environment can’t contain other scopes.")
    name = NAME.parse(name)
    slug = _slug(name)
    path = f"{parent.path}/{slug}".lstrip("/")
    try:
        with transaction():
            scope: Scope = Scope.create(level=level, parent=parent, name=name, path=path)
            audit.record(actor, scope, f"{level}.create", name, record=scope)
    except IntegrityError as error:
        raise ScopeError(
            f"{parent.label} already has an {level} with this name or with “{slug}” in its URL. "
            "Choose another name.",
            "name",
        ) from error
    return scope


def rename(actor: Actor, scope: Scope, name: str, based_on: int | None = None) -> None:
    """Rename a scope. The path of the scope does not change, so bookmarks still work.

    `based_on` is the revision that the person saw. If it is None, the revision of `scope` is used.
    Raises Forbidden, ScopeError, RecordDeleted and EditConflict.
    """
    actor.require(Right.MANAGE_SCOPES, scope.parent)
    name = NAME.parse(name)
    based_on = scope.revision if based_on is None else based_on
    try:
        with transaction():
            lock(scope)
            before = scope.name
            require_no_conflict(scope, based_on, {"name": before}, {"name": name})
            if name == before:
                return
            scope.name = name
            scope.save(only=[Scope.name])
            changes = {"name": (before, name)}
            action = f"{scope.level}.rename"
            audit.record(actor, scope, action, name, record=scope, changes=changes)
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
    tokens: int

    def __str__(self) -> str:
        """Return the numbers as text for a hidden form field."""
        return ",".join(str(number) for number in astuple(self))


def count_contents(scope: Scope) -> Contents:
    """Return the numbers of records that are deleted together with `scope`."""
    ids = [each.id for each in scope.subtree()]
    return Contents(
        environments=len(ids) - 1,
        images=Image.select().where(Image.scope.in_(ids)).count(),
        credentials=CloudCredentials.select().where(CloudCredentials.scope.in_(ids)).count(),
        members=Membership.select().where(Membership.scope.in_(ids)).count(),
        tokens=ApiToken.select().where(ApiToken.scope.in_(ids)).count(),
    )


class ContentsChanged(Refusal):
    """Somebody added or removed records of the scope after the person opened the page."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(
            f"The contents of {scope.label} have changed since you opened this page. Check the "
            "numbers, then confirm again."
        )


def start_deletion(
    actor: Actor,
    scope: Scope,
    typed_name: str,
    based_on: int | None = None,
    expected: str | None = None,
) -> list[tuple[str, Scope]]:
    """Hide a scope and the scopes below it from everybody. `delete_chunk` can then delete them.

    Also stop the jobs of these scopes, and delete their memberships, invitations and tokens. Return
    a (label, scope) pair for each scope, in the order of deletion.

    `based_on` is the revision that the person saw. If it is None, the revision of `scope` is used.
    `expected` is the text of the `Contents` that the person saw. Raises Forbidden, RecordDeleted,
    EditConflict and ContentsChanged. Raises ScopeError if `scope` is the Scalr scope, or if
    `typed_name` is not the name of `scope`.
    """
    if scope.parent is None:
        raise ScopeError("The Scalr scope can’t be deleted.")
    actor.require(Right.MANAGE_SCOPES, scope.parent)
    based_on = scope.revision if based_on is None else based_on
    with transaction():
        lock(scope)
        require_unchanged(scope, based_on)
        if normalized(typed_name) != normalized(scope.name):
            raise ScopeError(f"Enter “{scope.name}” to confirm.", "name")
        contents = count_contents(scope)
        if expected is not None and str(contents) != expected:
            raise ContentsChanged(scope)
        changes: dict[str, tuple[object, object]] = {
            noun: (count, 0) for noun, count in vars(contents).items() if count
        }
        changes["path"] = (scope.path, None)
        audit.record(
            actor, scope.parent, f"{scope.level}.delete", scope.name, record=scope, changes=changes
        )
        children = list(Scope.select().where(Scope.parent == scope).order_by(Scope.path))
        for each in children:
            each.parent = scope  # `each.label` contains the label of the parent.
        deleted = [
            ("Records that are already being deleted" if each.deleted_at else each.label, each)
            for each in (*children, scope)
        ]
        ids = [each.id for _, each in deleted]
        running = Job.scope.in_(ids) & (Job.state == "running")
        Job.update(state="stopped", finished_at=now()).where(running).execute()
        Membership.delete().where(Membership.scope.in_(ids)).execute()
        Invitation.delete().where(Invitation.scope.in_(ids)).execute()
        ApiToken.delete().where(ApiToken.scope.in_(ids)).execute()
        _hide(ids)
    return deleted


def _hide(scope_ids: Sequence[int]) -> None:
    """Hide scopes with one statement, because an account can have thousands of environments."""
    hidden_at = fn.COALESCE(Scope.deleted_at, Value(now(), converter=Scope.deleted_at.db_value))
    path, name = (
        Value(prefix).concat(Scope.id.cast("text")) for prefix in _hidden_path_and_name("")
    )
    hide = Scope.update_all(deleted_at=hidden_at, path=path, name=name)
    hide.where(Scope.id.in_(scope_ids)).execute()


def _hidden_path_and_name(text: str) -> tuple[str, str]:
    """Return a path and a name for a hidden scope. No visible scope can have this path or name.

    The path of a visible scope has no tilde, and its name has no control character.
    """
    return f"~{text}", f"\x01{text}"


def create_hidden(parent: Scope, name: str) -> Scope:
    """Create a hidden scope below `parent`, for records that are being deleted.

    If somebody deletes `parent`, the hidden scope is deleted too.
    """
    level = parent.level.below or Level.ENVIRONMENT
    path, name = _hidden_path_and_name(name)
    hidden = {"path": path, "name": name, "deleted_at": now()}
    scope: Scope = Scope.create(level=level, parent=parent, **hidden)
    return scope


def delete_chunk(scope_id: int, size: int) -> int:
    """Delete or change at most `size` rows that refer to a hidden scope. Return their number.

    If no rows are left, delete the scope itself and return 0. `delete_dependents` explains which
    rows are changed.
    """
    scope = Scope.get_or_none((Scope.id == scope_id) & Scope.deleted_at.is_null(False))
    if scope is None:
        return 0
    count = delete_dependents(scope, size)
    if count == 0:
        scope.delete_instance()
    return count


def _slug(name: str) -> str:
    """Return the name as a part of a URL: 'Día de Prüfung' becomes 'dia-de-prufung'.

    Raises ScopeError if no letter or digit remains.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    if not slug:
        raise ScopeError("Use at least one letter from a to z or one digit.", "name")
    return slug
