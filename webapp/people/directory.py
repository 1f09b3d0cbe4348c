"""The people of the whole installation.

Admins of the Scalr scope can see the list of people, disable and enable their user accounts, and
remove people.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from peewee import fn

from models import (
    BookmarkBar,
    Invitation,
    Membership,
    Notice,
    Person,
    SavedView,
    Scope,
    load_scopes,
    now,
    transaction,
)
from webapp import audit
from webapp.access import Actor, Right
from webapp.people import accounts, members, personal_tokens
from webapp.refusals import Refusal
from webapp.values.lists import FirstRows, find

SHOWN_ROLES = 3
"""The maximum number of roles of each person that the list of people shows."""


class PersonError(Refusal):
    """The actor may not disable, enable or remove this person, or the change was already made."""


@dataclass
class Roles:
    """The first roles of a person, and the number of all their roles."""

    first: list[Membership] = field(default_factory=list)
    total: int = 0


def find_people(text: str = "") -> FirstRows[Person]:
    """Return the first people, sorted by name, without removed people and service persons.

    If `text` is not empty, return only people whose name or e-mail address contains `text`.
    """
    is_listed = Person.removed_at.is_null() & ~Person.is_service
    query = Person.select().where(is_listed).order_by(Person.name, Person.id)
    return find(query, text, Person.name, Person.email)


def roles_of(people: Iterable[Person]) -> dict[int, Roles]:
    """Return the roles of each person, by the ID of the person."""
    of_person = [Membership.person]
    number = fn.ROW_NUMBER().over(partition_by=of_person, order_by=[Membership.scope])
    total = fn.COUNT(Membership.id).over(partition_by=of_person)
    ids = [person.id for person in people]
    numbered = (
        Membership.select(Membership.id, number.alias("number"), total.alias("total"))
        .where(Membership.person.in_(ids))
        .alias("numbered")
    )
    rows = (
        Membership.select(Membership, numbered.c.total)
        .join(numbered, on=numbered.c.id == Membership.id)
        .where(numbered.c.number <= SHOWN_ROLES)
        .order_by(Membership.scope)
        .objects()
    )
    roles = {person_id: Roles() for person_id in ids}
    memberships: list[Any] = list(rows)
    load_scopes(memberships)
    for membership in memberships:
        person_roles = roles[membership.person_id]
        person_roles.first.append(membership)
        person_roles.total = membership.total
    return roles


def find_person(person_id: int) -> Person | None:
    """Return the person with this ID, or None if there is no such person.

    Removed people and service persons are not found.
    """
    is_listed = Person.removed_at.is_null() & ~Person.is_service
    is_wanted = (Person.id == person_id) & is_listed
    person: Person | None = Person.get_or_none(is_wanted)
    return person


def disable(actor: Actor, person_id: int) -> Person:
    """Disable the user account of a person, and return the person.

    This also ends the person's sessions and revokes their personal tokens. The person can no longer
    sign in. The person's running jobs continue without rights: each remaining row that needs a
    right is refused. The deletion of a scope or of credentials needs no right after it has begun,
    so its job completes the deletion. Raises Forbidden, PersonError and MemberError.
    """
    with transaction():
        scalr, person = _lock(actor, person_id)
        if person.disabled_at is not None:
            raise PersonError(f"{person.name} has already been disabled.")
        _require_may_lock_out(actor, person)
        person.disabled_at = now()
        person.save(only=[Person.disabled_at])
        accounts.end_sessions(person)
        personal_tokens.revoke_all(actor, person)
        audit.record(actor, scalr, "person.disable", person.label, about=person)
    return person


def enable(actor: Actor, person_id: int) -> Person:
    """Enable the user account of a person, and return the person.

    They can sign in again with the roles that they had. Raises Forbidden and PersonError.
    """
    with transaction():
        scalr, person = _lock(actor, person_id)
        if person.disabled_at is None:
            raise PersonError(f"{person.name} has already been enabled.")
        _enable(person)
        audit.record(actor, scalr, "person.enable", person.label, about=person)
    return person


def enable_by_command(person_id: int, by: str) -> Person:
    """Enable a person's user account, because the operator ran a command. Return the person.

    `by` is the name of the operator for the audit log. Raises PersonError.
    """
    with transaction():
        scalr = Scope.get(Scope.path == "")
        members.lock_scope(scalr)
        person = find_person(person_id)
        if person is None:
            raise PersonError("This person has already been removed.")
        if person.disabled_at is None:
            raise PersonError(f"{person.email} is not disabled.")
        _enable(person)
        audit.record(None, scalr, "person.enable", person.label, by=by, about=person)
    return person


def _enable(person: Person) -> None:
    person.disabled_at = None
    person.save(only=[Person.disabled_at])


def remove(actor: Actor, person_id: int) -> Person:
    """Remove a person, and return the person.

    Their roles, sessions, personal tokens, private views, bookmarks and messages are deleted. Their
    e-mail address can be invited again, as a new person. The row and the name stay, because images,
    shared views and entries of the audit log refer to them. Raises Forbidden, PersonError and
    MemberError.
    """
    with transaction():
        scalr, person = _lock(actor, person_id)
        _require_may_lock_out(actor, person)
        members.remove_everywhere(actor, person)
        personal_tokens.revoke_all(actor, person)
        for table in (BookmarkBar, Notice):
            table.delete().where(table.person == person).execute()
        is_private = (SavedView.person == person) & ~SavedView.shared
        SavedView.delete().where(is_private).execute()
        Invitation.delete().where(Invitation.email == person.email).execute()
        audit.record(actor, scalr, "person.remove", person.label, about=person)
        accounts.lock_out(person)
    return person


def _lock(actor: Actor, person_id: int) -> tuple[Scope, Person]:
    """Lock the Scalr scope until the current transaction ends. Return this scope and the person.

    If two admins disable each other at the same moment, the second request waits for the first, and
    then finds that only one admin is left. Raises Forbidden and PersonError.
    """
    scalr = Scope.get(Scope.path == "")
    actor.require(Right.MANAGE_MEMBERS, scalr)
    members.lock_scope(scalr)
    person = find_person(person_id)
    if person is None:
        raise PersonError("This person has already been removed.")
    return scalr, person


def _require_may_lock_out(actor: Actor, person: Person) -> None:
    if person == actor.person:
        raise PersonError(
            "You can’t disable or remove yourself. Ask another admin of the Scalr scope to do it."
        )
    members.require_another_admin(person)
