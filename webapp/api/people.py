"""The people with a user account.

Admins of the Scalr scope disable and enable user accounts, and remove people.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from flask import g
from msgspec import Meta, Struct

from models import Level, Membership
from models import Person as PersonRecord
from webapp.access import Right
from webapp.api.image_documents import ScopeReference
from webapp.api.members import PeopleQuery
from webapp.api.operations import Answer, operation
from webapp.api.problems import ApiProblem
from webapp.people import directory
from webapp.people.directory import Roles

TAG = "People"
SCALR = (Level.SCALR,)


class PersonRole(Struct):
    """A role of a person at a scope."""

    role: str
    scope: ScopeReference


LAST_SIGN_IN = (
    "Null if the person has never signed in, or only with an older version of the registry, which "
    "did not store this time."
)


class Person(Struct):
    """Somebody with a user account."""

    id: int
    name: str
    email: str
    is_disabled: bool
    last_sign_in: Annotated[datetime | None, Meta(description=LAST_SIGN_IN)]
    created_at: datetime
    roles: Annotated[list[PersonRole], Meta(description="The first three roles.")]
    role_count: Annotated[int, Meta(description="The number of all roles.")]


class People(Struct):
    """The first people, sorted by name, and the total number of people."""

    items: list[Person]
    total: int


@operation("GET /people", tag=TAG, right=Right.MANAGE_MEMBERS, levels=SCALR)
def list_people(query: PeopleQuery) -> Answer[People]:
    """List the first 100 people with a user account, sorted by name."""
    found = directory.find_people(query.q)
    roles = directory.roles_of(found.rows)
    items = [_document(each, roles[each.id]) for each in found.rows]
    return Answer(People(items, found.total))


@operation("GET /people/<int:person_id>", tag=TAG, right=Right.MANAGE_MEMBERS, levels=SCALR)
def get_person(person_id: int) -> Answer[Person]:
    """Get a person."""
    return _answer(_find(person_id))


@operation(
    "POST /people/<int:person_id>/disable", tag=TAG, right=Right.MANAGE_MEMBERS, levels=SCALR
)
def disable_person(person_id: int) -> Answer[Person]:
    """Disable the user account of a person.

    This ends the person's sessions and revokes their personal tokens. Their roles stay.

    Within a few seconds, the person's running jobs lose all rights. Images in progress are
    finished, and all other changes fail. If a job has begun to delete an account, an environment or
    credentials, it completes the deletion.
    """
    _find(person_id)
    return _answer(directory.disable(g.actor, person_id))


@operation("POST /people/<int:person_id>/enable", tag=TAG, right=Right.MANAGE_MEMBERS, levels=SCALR)
def enable_person(person_id: int) -> Answer[Person]:
    """Enable the user account of a person, so that the person can sign in again."""
    _find(person_id)
    return _answer(directory.enable(g.actor, person_id))


@operation(
    "DELETE /people/<int:person_id>",
    tag=TAG,
    right=Right.MANAGE_MEMBERS,
    levels=SCALR,
    statuses=(204,),
)
def remove_person(person_id: int) -> Answer[None]:
    """Remove a person for good.

    Images and the audit log still show the name of the person.
    """
    _find(person_id)
    directory.remove(g.actor, person_id)
    return Answer(None, 204)


def _find(person_id: int) -> PersonRecord:
    person = directory.find_person(person_id)
    if person is None:
        raise ApiProblem("not-found")
    return person


def _answer(person: PersonRecord) -> Answer[Person]:
    return Answer(_document(person, directory.roles_of([person])[person.id]))


def _document(person: PersonRecord, roles: Roles) -> Person:
    return Person(
        id=person.id,
        name=person.name,
        email=person.email,
        is_disabled=person.disabled_at is not None,
        last_sign_in=person.signed_in_at,
        created_at=person.created_at,
        roles=[_role(each) for each in roles.first],
        role_count=roles.total,
    )


def _role(membership: Membership) -> PersonRole:
    scope = membership.scope
    return PersonRole(membership.role.value, ScopeReference(scope.level.value, scope.path))
