"""Check the code of a second factor, and remove all second factors of a person."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass

from models import (
    DATABASE_FAILURES,
    Authenticator,
    Membership,
    Passkey,
    Person,
    Scope,
    transaction,
)
from webapp import audit
from webapp.access import Actor, Right
from webapp.credentials.vault import Vault, VaultError
from webapp.factors import authenticator, passkeys, recovery
from webapp.monitoring import metrics
from webapp.people import accounts, members, security_mails, sessions
from webapp.people.attempts import Attempts, TooManyAttempts
from webapp.people.members import MemberError
from webapp.refusals import Refusal

METHOD = "second factor"
"""The method that the audit log shows for a failed attempt."""


class CodeRefused(Refusal):
    """The code of the second factor is wrong or has been used."""


def has_factor(person: Person) -> bool:
    """Return whether the person has an authenticator app or a passkey."""
    return bool(people_with_factors([person.id]))


def people_with_factors(ids: Collection[int]) -> set[int]:
    """Return which of the people with these IDs have an authenticator app or a passkey."""
    return {
        row.person_id
        for table in (Authenticator, Passkey)
        for row in table.select(table.person).where(table.person.in_(ids))
    }


@dataclass(frozen=True)
class Kinds:
    """The kinds of second factors that a person has."""

    app: bool
    passkey: bool


def kinds_of(person: Person) -> Kinds:
    """Return which kinds of second factors the person has."""
    return Kinds(
        app=authenticator.find(person) is not None, passkey=bool(passkeys.passkeys_of(person))
    )


def check_code(
    person: Person, vault: Vault, code: str, address: str, attempts: Attempts, device_id: str = ""
) -> None:
    """Check a code of the authenticator app or a recovery code, and use it up.

    After several wrong codes, the person has to wait before the next attempt. `address` is the IP
    address of the browser. `device_id` is the ID of a browser in which the person has signed in
    before, or ''. Raises CodeRefused, VaultError and TooManyAttempts.
    """
    try:
        attempt = attempts.begin_factor(person.email, device_id)
    except TooManyAttempts:
        metrics.SIGN_IN_THROTTLED.inc()
        sessions.record_failure("person.throttled", person.email, address, attempts, METHOD)
        raise
    digits = code.replace(" ", "")
    try:
        if authenticator.CODE.fullmatch(digits):
            is_right = authenticator.use(person, vault, digits)
        else:
            is_right = recovery.use(person, code)
    except (VaultError, *DATABASE_FAILURES):
        with suppress(*DATABASE_FAILURES):
            attempts.cancel(attempt)
        raise
    if not is_right:
        metrics.SIGN_IN_REFUSED.inc()
        sessions.record_failure("person.refused", person.email, address, attempts, METHOD)
        raise CodeRefused(
            "This code is incorrect or has been used. Enter the current code of your app, or an "
            "unused recovery code.",
            "code",
        )
    attempts.succeeded(attempt)


def require_may_remove_factors(actor: Actor, scope: Scope, membership: Membership) -> None:
    """Raise Forbidden or MemberError unless the actor may remove the factors of the member.

    Only admins of the Scalr scope may do this.
    """
    scalr = scope.lineage[-1]
    actor.require(Right.MANAGE_MEMBERS, scalr)
    person = membership.person
    if person == actor.person:
        raise MemberError("To remove your own factors, use the Sign-in and security page.")
    if not has_factor(person):
        raise MemberError(f"{person.name} has no second factor.")


def remove_factors_of_member(actor: Actor, scope: Scope, membership_id: int) -> None:
    """Remove all second factors of a member of `scope`. Raises Forbidden and MemberError."""
    with transaction():
        membership = members.find_membership(scope, membership_id)
        require_may_remove_factors(actor, scope, membership)
        person = membership.person
        remove_factors(person)
        audit.record(actor, scope, "person.factor_remove", person.name, about=person)
        security_mails.factor_removed(person, "all second factors", actor)


def remove_factors(person: Person) -> bool:
    """Remove all second factors and recovery codes of a person. Return whether there was a factor.

    Call this in a transaction.
    """
    accounts.lock(person)
    recovery.delete_all(person)
    tables = (Authenticator, Passkey)
    counts = [table.delete().where(table.person == person).execute() for table in tables]
    return any(counts)
