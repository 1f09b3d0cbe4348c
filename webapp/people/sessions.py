"""Sign people in and out, and load the session of a request."""

from __future__ import annotations

import hashlib
import re
import secrets
from contextlib import suppress
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
from webapp import audit
from webapp.access import Actor
from webapp.monitoring import metrics
from webapp.people import accounts, effective_roles, security_mails
from webapp.people.accounts import HashingBusy, PasswordRefused
from webapp.people.attempts import Attempts, TooManyAttempts
from webapp.people.browsers import describe_browser, plain_address
from webapp.refusals import Refusal

TOKEN_BYTES = 32
TOKEN = re.compile(r"[\w-]{43}", re.ASCII)
"""Matches a token: TOKEN_BYTES random bytes in URL-safe base64."""
PREVIOUS_LIFETIME = timedelta(seconds=30)
"""How long the previous token of a session is valid after the session has received a new one.

Other tabs may have sent requests before the browser received the new token.
"""
MAX_SESSIONS = 100
"""The maximum number of sessions of a person."""
OLDER_VERSION_RETENTION = timedelta(days=32)
"""How long a row of the table `ended_session` is stored.

Older versions of the application use this table. Their cookies are valid for 31 days.
"""


UNKNOWN_PERSON = "an unknown e-mail address"
"""The text that the audit log shows instead of an e-mail address that no person has.

The address is not stored, because somebody may have typed a password into its field.
"""


class SignInRefused(Refusal):
    """The e-mail address or the password is wrong. The message does not say which of the two."""


class SessionEnded(Refusal):
    """The session has ended, or belongs to another person. Both cases have the same message."""


def sign_in(
    email: str,
    password: str,
    address: str,
    attempts: Attempts,
    device_id: str = "",
    *,
    is_allowed: bool = True,
) -> Person:
    """Return the person with this e-mail address and password.

    `address` is the IP address of the browser. `device_id` is the ID of a browser in which this
    person has signed in before, or ''. If `is_allowed` is false, the person may not use a password,
    and every password counts as wrong. Raises SignInRefused, TooManyAttempts and HashingBusy.
    """
    email = accounts.normalized_email(email)
    method = SessionKind.PASSWORD
    arguments = (email, password, address, attempts, device_id, method)
    person = _check_password(*arguments, is_allowed=is_allowed)
    if person is None:
        raise SignInRefused("Incorrect e-mail address or password.")
    metrics.SIGN_IN_SUCCEEDED.inc()
    return person


def require_current_password(
    actor: Actor, password: str, address: str, attempts: Attempts, device_id: str = ""
) -> None:
    """Raise PasswordRefused unless `password` is the password of the actor.

    A wrong password counts as a failed sign-in, because somebody else may be using the session. See
    `sign_in` for `address` and `device_id`. Raises TooManyAttempts and HashingBusy too.
    """
    email, method = actor.person.email, "password confirmation"
    if _check_password(email, password, address, attempts, device_id, method) is None:
        raise PasswordRefused("Your current password is incorrect.", "current_password")


def _check_password(
    email: str,
    password: str,
    address: str,
    attempts: Attempts,
    device_id: str,
    method: str,
    *,
    is_allowed: bool = True,
) -> Person | None:
    """Return the person with this normalized e-mail address, or None if the password is wrong.

    If `is_allowed` is false, every password counts as wrong. Count and record an attempt that
    fails. `method` is the method of sign-in that the audit log shows for the attempt. Raises
    TooManyAttempts and HashingBusy.
    """
    try:
        attempt = attempts.begin(email, address, device_id)
    except TooManyAttempts:
        metrics.SIGN_IN_THROTTLED.inc()
        record_failure("person.throttled", email, address, attempts, method)
        raise
    try:
        can_sign_in = (Person.email == email) & Person.disabled_at.is_null()
        person: Person | None = Person.get_or_none(can_sign_in) if is_allowed else None
        is_right = accounts.verify_password(person, password)
    except (HashingBusy, *DATABASE_FAILURES):
        attempts.cancel(attempt)
        raise
    if not is_right or person is None:
        metrics.SIGN_IN_REFUSED.inc()
        record_failure("person.refused", email, address, attempts, method)
        return None
    attempts.succeeded(attempt)
    return person


def record_failure(
    action: str,
    email: str,
    address: str,
    attempts: Attempts,
    method: str,
    unknown: str = UNKNOWN_PERSON,
) -> None:
    """Write a failed sign-in to the audit log and to the security log.

    If too many failures were recorded recently, or if the database fails, write the failed sign-in
    only to the security log.

    The function takes the same time for unknown and known e-mail addresses, so the time does not
    reveal which accounts exist. If no person has the e-mail address, the entry contains `unknown`
    instead of the label of a person.
    """
    client = plain_address(address)
    if attempts.may_record(action, email):
        with suppress(*DATABASE_FAILURES), transaction():
            person: Person | None = Person.get_or_none(Person.email == email)
            audit.record(
                None,
                None,
                action,
                person.label if person else unknown,
                changes={"address": (None, client), "method": (None, method)},
                by=audit.STRANGER,
                about=person,
            )
            return
    audit.log_event(action, {"address": client, "method": method})


@dataclass(frozen=True)
class Lifetimes:
    """How long sessions last."""

    idle: timedelta
    """A session ends if it is not used for this time."""
    absolute: timedelta
    """A session ends after this time, even if it is used."""

    def earliest(self) -> tuple[datetime, datetime]:
        """Return the earliest `created_at` and `seen_at` of a session that has not expired.

        The times are by the clock of this server, because each server writes these columns by its
        own clock. docs/operate.md says how far the clocks of the servers may differ.
        """
        moment = models.now()
        return moment - self.absolute, moment - self.idle


def start(
    person: Person,
    kind: SessionKind,
    address: str,
    user_agent: str,
    *,
    provider: str = "",
    used_factor: bool = False,
    is_new_browser: bool = False,
) -> str:
    """Start a session and return its token, for the cookie. Raises RecordGone.

    `person` must have the session key that they had when their password, or another proof, was
    checked. If the password has changed since then, the new session is not valid. `address` is the
    IP address of the browser. If the person already has MAX_SESSIONS sessions, the least recently
    used session ends. `provider` is the key of the identity provider at which the person signed in,
    or ''. `used_factor` says whether they used a second factor there. If the new session replaces
    an earlier session, `provider` and `used_factor` can be those of the earlier session. If
    `is_new_browser` is true, a mail tells the person about the session.
    """
    token, moment = secrets.token_urlsafe(TOKEN_BYTES), models.now()
    browser = describe_browser(user_agent)
    with transaction():
        SignInSession.create(
            digest=_digest(token),
            person=person,
            session_key=person.session_key,
            kind=kind,
            address=plain_address(address),
            browser=browser,
            created_at=moment,
            seen_at=moment,
            provider=provider,
            used_factor=used_factor,
        )
        Person.update(signed_in_at=moment).where(Person.id == person.id).execute()
        newest_first = (SignInSession.seen_at.desc(), SignInSession.id.desc())
        of_person = SignInSession.person == person
        session_ids = (
            SignInSession.select(SignInSession.id).where(of_person).order_by(*newest_first)
        )
        is_surplus = SignInSession.id.in_(session_ids.offset(MAX_SESSIONS))
        SignInSession.delete().where(is_surplus).execute()
        if is_new_browser:
            security_mails.new_sign_in(person, browser, plain_address(address))
        is_of_provider = kind is SessionKind.PROVIDER
        method = provider_method(provider) if is_of_provider else kind.value
        changes = {"address": (None, plain_address(address)), "method": (None, method)}
        audit.record(Actor(person), None, "person.sign_in", browser, changes=changes)
    return token


def provider_method(provider: str) -> str:
    """Return the method that the audit log shows for a sign-in at the provider with this key."""
    return f"{SessionKind.PROVIDER}: {provider}"


def is_confirmed(session: Session, lifetime: timedelta) -> bool:
    """Return whether the person of a session proved who they are at most `lifetime` ago.

    A request with the previous token of the session never counts as confirmed.
    """
    record = session.record
    is_recent = models.now() - (record.confirmed_at or record.created_at) <= lifetime
    return is_recent and not session.has_previous_token


def confirm(session: Session) -> str:
    """Store that the person of a session has just proved who they are. Replace the session's token.

    Return the new token for the cookie. If another request has just replaced the token, return '':
    the browser receives the token of that request. The previous token stays valid for
    PREVIOUS_LIFETIME.
    """
    token, moment, record = secrets.token_urlsafe(TOKEN_BYTES), models.now(), session.record
    is_session = SignInSession.id == record.id
    with transaction():
        SignInSession.update(confirmed_at=moment).where(is_session).execute()
        if session.has_previous_token:
            return ""
        rotation = SignInSession.update(
            digest=_digest(token), previous_digest=record.digest, rotated_at=moment
        ).where(is_session & (SignInSession.digest == record.digest))
        return token if rotation.execute() else ""


def end(actor: Actor, session: SignInSession) -> None:
    """End a session of the actor. The session stays ended even if its cookie is sent again."""
    with transaction():
        if SignInSession.delete().where(SignInSession.id == session.id).execute():
            audit.record(actor, None, "person.sign_out", session.browser)


def sessions_of(person: Person, lifetimes: Lifetimes) -> list[SignInSession]:
    """Return the valid sessions of a person. The most recently used session is first."""
    created, seen = lifetimes.earliest()
    valid = (
        (SignInSession.person == person)
        & (SignInSession.session_key == person.session_key)
        & (SignInSession.created_at >= created)
        & (SignInSession.seen_at >= seen)
    )
    order = (SignInSession.seen_at.desc(), SignInSession.id.desc())
    return list(SignInSession.select().where(valid).order_by(*order))


def find_own(actor: Actor, session_id: int) -> SignInSession:
    """Return a session of the actor. Raises SessionEnded."""
    session: SignInSession | None = SignInSession.get_or_none(id=session_id, person=actor.person)
    if session is None:
        raise SessionEnded("This session has already ended.")
    return session


def end_others(actor: Actor, current: SignInSession) -> None:
    """End all sessions of the actor except the current one."""
    with transaction():
        accounts.end_sessions(actor.person, keep=current)
        audit.record(actor, None, "person.sign_out_others", current.browser)


def purge_chunk(lifetimes: Lifetimes) -> bool:
    """Delete some expired sessions, and some old rows of the table `ended_session`.

    Return whether more may remain.
    """
    created, seen = lifetimes.earliest()
    is_expired = (SignInSession.created_at < created) | (SignInSession.seen_at < seen)
    is_forgotten = EndedSession.ended_at < models.now() - OLDER_VERSION_RETENTION
    may_remain = [delete_chunk(SignInSession, is_expired), delete_chunk(EndedSession, is_forgotten)]
    return any(may_remain)


@dataclass(frozen=True)
class Session:
    """The signed-in person with their roles, and the requested scope if it exists.

    `has_previous_token` is true if the request contains the previous token of the session.
    """

    record: SignInSession
    actor: Actor
    scope: Scope | None
    has_previous_token: bool = False


def load_session(token: str, lifetimes: Lifetimes, scope_path: str = "") -> Session | None:
    """Return the session with this token, or None if there is no such session or it has expired.

    The session contains the scope at `scope_path`, if this scope exists.

    Every page needs the session, the person, the roles of the person, and the scope with the scopes
    above it. So one query reads all of them. It returns one row for each combination of a role and
    one of these scopes.
    """
    if not TOKEN.fullmatch(token):
        return None
    earliest = [_instant_parameter(moment) for moment in lifetimes.earliest()]
    digest, paths = _digest(token), lineage_paths(scope_path)
    rows = _session_rows(*paths, digest, *earliest)
    has_previous_token = False
    if not rows:
        previous = _rows_with_previous(digest, _instant_parameter(models.now() - PREVIOUS_LIFETIME))
        rows = _session_rows(*paths, previous[0].digest, *earliest) if previous else []
        has_previous_token = True
    if not rows:
        return None
    rows_by_scope = {row.membership.scope_id: row for row in rows if row.membership}
    for row in rows_by_scope.values():
        row.membership.lacks_factor = row.lacks_factor
    memberships = [row.membership for row in rows_by_scope.values()]
    actor = effective_roles.actor_with(rows[0], memberships, has_factor=rows[0].has_factor)
    scopes = {row.requested.id: row.requested for row in rows if row.requested}
    scope = Scope.from_lineage(scope_path, scopes.values())
    return Session(rows[0].session, actor, scope, has_previous_token)


def _instant_parameter(moment: datetime) -> str:
    """Return an instant as a parameter of a prepared query."""
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def _digest(token: str) -> str:
    """Return the digest of a token. The token is random, so the digest needs no salt."""
    return hashlib.sha256(token.encode()).hexdigest()


_rows_with_previous = Prepared(
    lambda placeholder: SignInSession.select(SignInSession.digest).where(
        SignInSession.previous_digest == placeholder, SignInSession.rotated_at >= placeholder
    )
)
_HAS_FACTOR = SignInSession.used_factor | effective_roles.has_own_factor(Person.id)
_session_rows = Prepared(
    lambda placeholder: (
        Person.select(
            Person,
            SignInSession.id,
            SignInSession.digest,
            SignInSession.person,
            SignInSession.browser,
            SignInSession.created_at,
            SignInSession.seen_at,
            SignInSession.confirmed_at,
            SignInSession.provider,
            SignInSession.used_factor,
            Membership.id,
            Membership.scope,
            Membership.role,
            Scope,
            _HAS_FACTOR.alias("has_factor"),
            (~_HAS_FACTOR & effective_roles.needs_factor(Membership.scope)).alias("lacks_factor"),
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
            Person.disabled_at.is_null(),
            SignInSession.created_at >= placeholder,
            SignInSession.seen_at >= placeholder,
        )
    )
)
