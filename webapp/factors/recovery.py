"""Recovery codes, each of which replaces the second factor once."""

from __future__ import annotations

import hashlib
import re
import secrets

from models import Authenticator, Passkey, Person, RecoveryCode, transaction
from webapp import audit
from webapp.access import Actor
from webapp.people import accounts

CODE_COUNT = 10
FEW_CODES = 3
"""If a person has this number of codes or fewer, a message asks them to create new codes."""
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
"""Lower-case letters and digits, without characters that look alike."""
LENGTH = 28
"""The length of a code without hyphens. A code has 138 random bits, so its digest needs no salt.

Older codes, which have 24 characters (118 bits), are still valid.
"""


def create_new(actor: Actor) -> list[str]:
    """Replace the actor's recovery codes and return the new codes."""
    with transaction():
        accounts.lock(actor.person)
        codes = replace_codes(actor.person)
        audit.record(actor, None, "person.recovery_codes", actor.person.name)
    return codes


def replace_codes(person: Person) -> list[str]:
    """Replace the recovery codes of a person and return the new codes. Call in a transaction."""
    delete_all(person)
    codes = ["".join(secrets.choice(ALPHABET) for _ in range(LENGTH)) for _ in range(CODE_COUNT)]
    for code in codes:
        RecoveryCode.create(person=person, digest=_digest(code))
    return ["-".join(re.findall(".{4}", code)) for code in codes]


def delete_all(person: Person) -> None:
    RecoveryCode.delete().where(RecoveryCode.person == person).execute()


def delete_if_no_factor(person: Person) -> None:
    """Delete the codes of a person, unless the person still has a second factor.

    Call in a transaction that has locked the person, because another request may remove another
    factor at the same moment. If the codes stayed, they would work again as soon as the person adds
    another factor.
    """
    tables = (Authenticator, Passkey)
    if not any(table.select().where(table.person == person).exists() for table in tables):
        delete_all(person)


def count(person: Person) -> int:
    """Return how many codes the person can still use."""
    return int(RecoveryCode.select().where(RecoveryCode.person == person).count())


def use(person: Person, text: str) -> bool:
    """Return whether `text` is a recovery code of the person, and delete the code.

    Case, spaces and hyphens do not matter.
    """
    code = re.sub(r"[\s-]", "", text.lower())
    is_this_code = (RecoveryCode.person == person) & (RecoveryCode.digest == _digest(code))
    with transaction():
        # Two requests may send the same code at the same moment. Only one of them deletes the row.
        if not RecoveryCode.delete().where(is_this_code).execute():
            return False
        audit.record(Actor(person), None, "person.recovery", person.name)
    return True


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode(errors="surrogatepass")).hexdigest()
