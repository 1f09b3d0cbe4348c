"""Sign people in and out, and load the session of a request."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from peewee import JOIN

import models
from models import (
    DATABASE_FAILURES,
    EndedSession,
    Membership,
    Person,
    Prepared,
    Scope,
    SessionKind,
    SignInSession,
    delete_chunk,
    lineage_paths,
    transaction,
)
from webapp.access import Actor
from webapp.monitoring import metrics
from webapp.people import accounts
from webapp.people.accounts import HashingBusy
from webapp.people.attempts import Attempts, TooManyAttempts
from webapp.people.browsers import describe_browser, plain_address
from webapp.refusals import Refusal

TOKEN_BYTES = 32
TOKEN = re.compile(r"[\w-]{43}", re.ASCII)
"""A token of TOKEN_BYTES random bytes, in base64."""
MAX_SESSIONS = 100
"""The maximum number of sessions of a person."""
OLDER_VERSION_RETENTION = timedelta(days=32)
"""How long the table `ended_session` keeps a row.

The cookies of the older versions that use the table are valid for 31 days.
"""


class SignInRefused(Refusal):
    """The e-mail address or the password is wrong. The message does not say which of the two."""


class SessionEnded(Refusal):
    """The session has ended, or belongs to another person. The message does not say which."""


def sign_in(
    email: str, password: str, address: str, attempts: Attempts, device_id: str = ""
) -> Person:
    """Return the person with this e-mail address and password.

    `address` is the IP address of the browser. `device_id` is the ID of a browser in which this
    person has signed in before, or ''. Raises SignInRefused, TooManyAttempts and HashingBusy.
    """
    email = accounts.normalized_email(email)
    try:
        attempt = attempts.begin(email, address, device_id)
    except TooManyAttempts:
        metrics.SIGN_IN_THROTTLED.inc()
        raise
    try:
        person: Person | None = Person.get_or_none(Person.email == email)
        is_right = accounts.verify_password(person, password)
    except (HashingBusy, *DATABASE_FAILURES):
        attempts.was_not_made(attempt)
        raise
    if not is_right or person is None:
        metrics.SIGN_IN_REFUSED.inc()
        raise SignInRefused("Incorrect e-mail address or password.")
    attempts.succeeded(attempt)
    metrics.SIGN_IN_SUCCEEDED.inc()
    return person


@dataclass(frozen=True)
class Lifetimes:
    """How long sessions last."""

    idle: timedelta
    """A session ends if it is not used for this time."""
    absolute: timedelta
    """A session ends after this time, even if it is used."""

    def earliest(self) -> tuple[datetime, datetime]:
        """Return the earliest `created_at` and `seen_at` of a session that has not expired."""
        moment = models.now()
        return moment - self.absolute, moment - self.idle


def start(person: Person, kind: SessionKind, address: str, user_agent: str) -> str:
    """Start a session and return its token, for the cookie. Raises RecordGone.

    `person` must be as it was when the password was checked: if the password has changed since
    then, the session is not valid. `address` is the address of the browser. If the person has
    MAX_SESSIONS sessions, the one that was not used for the longest time ends.
    """
    token, moment = secrets.token_urlsafe(TOKEN_BYTES), models.now()
    with transaction():
        SignInSession.create(
            digest=_digest(token),
            person=person,
            session_key=person.session_key,
            kind=kind,
            address=plain_address(address),
            browser=describe_browser(user_agent),
            created_at=moment,
            seen_at=moment,
        )
        newest_first = (SignInSession.seen_at.desc(), SignInSession.id.desc())
        of_person = SignInSession.person == person
        kept = SignInSession.select(SignInSession.id).where(of_person).order_by(*newest_first)
        surplus = SignInSession.id.in_(kept.offset(MAX_SESSIONS))
        SignInSession.delete().where(surplus).execute()
    return token


def end(session: SignInSession) -> None:
    """End a session. Its token stays invalid, even if a browser sends the cookie again."""
    SignInSession.delete().where(SignInSession.id == session.id).execute()


def sessions_of(person: Person, lifetimes: Lifetimes) -> list[SignInSession]:
    """Return the valid sessions of a person, the last used first."""
    created, seen = lifetimes.earliest()
    valid = (
        (SignInSession.person == person)
        & (SignInSession.session_key == person.session_key)
        & (SignInSession.created_at >= created)
        & (SignInSession.seen_at >= seen)
    )
    order = (SignInSession.seen_at.desc(), SignInSession.id.desc())
    return list(SignInSession.select().where(valid).order_by(*order))


def end_own(actor: Actor, session_id: int) -> SignInSession:
    """End a session of the actor and return it. Raises SessionEnded."""
    session: SignInSession | None = SignInSession.get_or_none(id=session_id, person=actor.person)
    if session is None:
        raise SessionEnded("This session has already ended.")
    end(session)
    return session


def end_others(actor: Actor, current: SignInSession) -> None:
    """End all sessions of the actor except the current one."""
    with transaction():
        accounts.end_sessions(actor.person, keep=current)


def purge_chunk(lifetimes: Lifetimes) -> bool:
    """Delete some expired sessions. Return whether more may remain."""
    created, seen = lifetimes.earliest()
    is_expired = (SignInSession.created_at < created) | (SignInSession.seen_at < seen)
    is_forgotten = EndedSession.ended_at < models.now() - OLDER_VERSION_RETENTION
    remains = [delete_chunk(SignInSession, is_expired), delete_chunk(EndedSession, is_forgotten)]
    return any(remains)


@dataclass(frozen=True)
class Session:
    """The signed-in person with their roles, and the requested scope if it exists."""

    record: SignInSession
    actor: Actor
    scope: Scope | None


def load_session(token: str, lifetimes: Lifetimes, scope_path: str = "") -> Session | None:
    """Return the session with this token, or None if there is no such session or it has expired.

    The session contains the scope at `scope_path`, if this scope exists.

    Every page needs the session, the person, the roles of the person, and the scope with the scopes
    above it. So one query reads all of them. It returns one row for each combination of a role and
    a scope.
    """
    if not TOKEN.fullmatch(token):
        return None
    earliest = (f"{moment:%Y-%m-%d %H:%M:%S}" for moment in lifetimes.earliest())
    rows = _session_rows(*lineage_paths(scope_path), _digest(token), *earliest)
    if not rows:
        return None
    memberships = (row.membership for row in rows if row.membership)
    roles = {membership.scope_id: membership.role for membership in memberships}
    scopes = {row.requested.id: row.requested for row in rows if row.requested}
    scope = Scope.from_lineage(scope_path, scopes.values())
    return Session(rows[0].session, Actor(rows[0], roles), scope)


def _digest(token: str) -> str:
    """Return the digest of a token. The token is random, so the digest needs no salt."""
    return hashlib.sha256(token.encode()).hexdigest()


_session_rows = Prepared(
    lambda placeholder: (
        Person.select(
            Person,
            SignInSession.id,
            SignInSession.person,
            SignInSession.created_at,
            SignInSession.seen_at,
            Membership.id,
            Membership.scope,
            Membership.role,
            Scope,
        )
        .join(SignInSession, on=SignInSession.person == Person.id, attr="session")
        .join_from(
            Person,
            Membership,
            JOIN.LEFT_OUTER,
            on=Membership.person == Person.id,
            attr="membership",
        )
        .join_from(
            Person,
            Scope,
            JOIN.LEFT_OUTER,
            on=Scope.path.in_([placeholder] * 3),
            attr="requested",
        )
        .where(
            SignInSession.digest == placeholder,
            SignInSession.session_key == Person.session_key,
            SignInSession.created_at >= placeholder,
            SignInSession.seen_at >= placeholder,
        )
    )
)
