"""Let people choose a new password with a link from a mail, if they have forgotten theirs.

The response to a request is the same for every e-mail address, and takes the same time, because the
request only puts a mail into the outbox. The thread that sends mails finds out whether the address
has an account. With the link, a person can replace only their password. A person with a second
factor still needs the factor to sign in.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta

import models
from models import OutgoingMail, PasswordReset, Person, delete_chunk, transaction
from webapp import audit
from webapp.access import Actor
from webapp.mail import outbox
from webapp.mail.outbox import Kind
from webapp.people import accounts
from webapp.people.attempts import Attempts
from webapp.refusals import Refusal

LIFETIME = timedelta(minutes=30)
"""How long a link can be used after the request."""
MAX_LINKS = 3
"""The maximum number of usable links that a person can have at the same time.

The limit keeps strangers from filling the mailbox of a person.
"""


class InvalidReset(Refusal):
    """The link was used, has expired, or never existed, or the password was changed meanwhile.

    The message does not say which.
    """

    def __init__(self) -> None:
        super().__init__(
            "This link has been used, has expired, or was requested before your password "
            "was changed. Request a new one."
        )


def request_link(email: str, address: str, attempts: Attempts) -> None:
    """Send a link to an e-mail address, if the person with this address may reset their password.

    `prepare_mail` decides who gets a link. Raises TooManyAttempts.

    `address` is the IP address of the browser. A request counts as an attempt from this IP address,
    but not as an attempt to sign in as the person. So strangers cannot delay the person's sign-in
    by requesting links.
    """
    email = accounts.normalized_email(email)
    attempts.begin(f"password reset {email}", address)
    outbox.post(Kind.PASSWORD_RESET, email, lifetime=LIFETIME)


def prepare_mail(mail: OutgoingMail, token: str) -> bool:
    """Store the digest of the token for a mail. Return whether the mail should be sent.

    Return False if no person has the e-mail address, or if the person has a disabled user account,
    no password, or already MAX_LINKS links that can be used.
    """
    person: Person | None = Person.get_or_none(Person.email == mail.recipient)
    if person is None or person.disabled_at is not None or not person.password_hash:
        return False
    links = PasswordReset.select().where(
        (PasswordReset.person == person) & (PasswordReset.expires_at > models.now())
    )
    digests = {link.token_digest for link in links}
    if _digest(token) in digests:
        return True  # An earlier attempt to send the mail has stored the digest.
    if len(digests) >= MAX_LINKS:
        return False
    PasswordReset.create(person=person, token_digest=_digest(token), expires_at=mail.expires_at)
    return True


def find_person(token: str) -> Person:
    """Return the person for whom the link with this token was created. Raises InvalidReset."""
    usable = (PasswordReset.token_digest == _digest(token)) & (
        PasswordReset.expires_at > models.now()
    )
    found: PasswordReset | None = (
        PasswordReset.select(PasswordReset, Person).join(Person).where(usable).first()
    )
    if found is None:
        raise InvalidReset
    return found.person


def reset_password(token: str, password: str) -> Person:
    """Set a new password, end all sessions and links of the person, and return the person.

    Raises InvalidReset, PasswordRefused and HashingBusy.
    """
    person = find_person(token)
    password_hash = accounts.hash_new_password(person, password)
    with transaction():
        # If two requests use the link at the same moment, only one of them deletes the row.
        link = PasswordReset.delete().where(PasswordReset.token_digest == _digest(token))
        if link.execute() != 1:
            raise InvalidReset
        accounts.store_hash(person, password_hash)
        accounts.verify_email(person)
        audit.record(Actor(person), None, "person.reset", person.label)
    return person


def purge_chunk() -> bool:
    """Delete some links that have expired. Return whether more of them may exist."""
    return delete_chunk(PasswordReset, PasswordReset.expires_at <= models.now())


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
