"""The mails about changes to a person's account and, for admins, about required second factors.

Call these functions in the transaction of the change. Without a mail server, they do nothing.
"""

from __future__ import annotations

import models
from models import Person, Role, Scope
from webapp.access import Actor
from webapp.mail import outbox
from webapp.mail.outbox import Kind


def password_changed(person: Person) -> None:
    outbox.post(Kind.PASSWORD_CHANGED, person.email, time=_current_time())


def new_sign_in(person: Person, browser: str, address: str) -> None:
    """Tell a person that somebody signed in to their account with a new browser."""
    outbox.post(
        Kind.NEW_SIGN_IN,
        person.email,
        time=_current_time(),
        browser=browser,
        address=address or "unknown",
    )


def sessions_ended(actor: Actor, person: Person) -> None:
    """Tell a person that the actor, an admin, has ended their sessions."""
    outbox.post(Kind.SESSIONS_ENDED, person.email, time=_current_time(), admin=actor.person.contact)


def role_changed(actor: Actor, person: Person, before: Role, after: Role | None) -> None:
    """Tell a person that the actor changed their role at the Scalr scope.

    If `after` is None, the actor removed the role.
    """
    outbox.post(
        Kind.ROLE_CHANGED,
        person.email,
        time=_current_time(),
        admin=actor.person.contact,
        before=before,
        after=after or "none",
    )


def factor_added(person: Person, factor: str) -> None:
    """Tell a person that they added a second factor, such as “an authenticator app”."""
    outbox.post(Kind.FACTOR_ADDED, person.email, time=_current_time(), factor=factor)


def factor_removed(person: Person, factor: str, actor: Actor | None = None) -> None:
    """Tell a person that a factor was removed. If `actor` is None, they removed it themselves."""
    outbox.post(
        Kind.FACTOR_REMOVED,
        person.email,
        time=_current_time(),
        factor=factor,
        admin=actor.person.contact if actor else "",
    )


def identity_linked(person: Person, account: str) -> None:
    """Tell a person that they can now sign in with an account, such as “a@example.org at SSO”."""
    outbox.post(Kind.IDENTITY_LINKED, person.email, time=_current_time(), account=account)


def identity_unlinked(person: Person, account: str) -> None:
    """Tell a person that they can no longer sign in with an account."""
    outbox.post(Kind.IDENTITY_UNLINKED, person.email, time=_current_time(), account=account)


def factor_requirement_changed(
    actor: Actor, admin: Person, scope: Scope, *, required: bool
) -> None:
    """Tell an admin that the actor changed whether a scope requires a second factor."""
    outbox.post(
        Kind.FACTOR_REQUIREMENT,
        admin.email,
        time=_current_time(),
        admin=actor.person.contact,
        scope=scope.label,
        required="yes" if required else "",
    )


def _current_time() -> str:
    """Return the current time in UTC, because the reader of a mail may be in any time zone."""
    return f"{models.now():%Y-%m-%d at %H:%M} UTC"
