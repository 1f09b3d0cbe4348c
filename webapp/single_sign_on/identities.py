"""Sign people in with their accounts at identity providers, and link and unlink these accounts.

The issuer and the subject identify an account. The e-mail address does not, because a provider may
let anybody enter any address, and may give an address to another person.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from email_validator import EmailNotValidError, validate_email
from peewee import IntegrityError

import models
from models import Identity, Person, SignInSession, transaction
from webapp import audit
from webapp.access import Actor
from webapp.credentials.vault import Vault
from webapp.monitoring import metrics
from webapp.people import accounts, security_mails, sessions
from webapp.people.attempts import Attempts
from webapp.refusals import Refusal
from webapp.single_sign_on import role_rules, roles
from webapp.single_sign_on.claims import lacks_any
from webapp.single_sign_on.client import Account
from webapp.single_sign_on.configuration import Provider

MAX_IDENTITIES = 10
"""The maximum number of accounts that a person can link."""
ATTEMPT_LIFETIME = timedelta(minutes=10)
"""How long a visit to a provider may take, and how long the person may take to confirm a link."""
PENDING_LINK = "link to an identity provider"
"""The purpose for which `Vault.seal` encrypts a link that is not confirmed yet."""
ADDRESS_CLAIMS = frozenset({"email", "email_verified"})
"""The names of the claims about the e-mail address of a person."""


class SignInRefused(Refusal):
    """The person signed in at the provider, but may not sign in to the registry.

    `email` is the address of the user account, or '' if there is none.
    """

    def __init__(self, message: str, email: str = "") -> None:
        super().__init__(message)
        self.email = email


class LinkRefused(Refusal):
    """The account cannot be linked or unlinked."""


def needed_claims(provider: Provider, account: Account) -> set[str]:
    """Return the names of the claims that a sign-in with the account needs.

    These are the claims that the rules compare. If there are rules, and if nobody has linked the
    account, the claims about the e-mail address are also needed to create a person.
    """
    claims = role_rules.claims_of(provider)
    return claims | ADDRESS_CLAIMS if claims and _find(account) is None else claims


def sign_in(
    account: Account,
    provider: Provider,
    contact: str,
    address: str,
    attempts: Attempts,
    *,
    local_accounts: bool = True,
) -> Person:
    """Return the person who has linked this account, and give them the roles that rules grant.

    If nobody has linked the account, and if the rules grant a role, create a person. `contact`
    says who can help, or is ''. `address` is the IP address of the browser. `local_accounts` says
    whether people may use passwords. Raises SignInRefused.
    """
    contact = contact or "an admin of the registry"
    advice = f"Ask {contact} for access."
    if local_accounts:
        advice = (
            "If you have a user account, sign in with your password and link the account on the "
            f"Sign-in and security page. Otherwise, ask {contact} for access."
        )
    try:
        person = _sign_in(account, provider, contact, advice)
    except SignInRefused as error:
        metrics.SIGN_IN_REFUSED.inc()
        sessions.record_failure(
            "person.refused",
            error.email,
            address,
            attempts,
            sessions.provider_method(provider.key),
            f"an unknown account at {provider.label}",
        )
        raise
    metrics.SIGN_IN_SUCCEEDED.inc()
    return person


def _sign_in(account: Account, provider: Provider, contact: str, advice: str) -> Person:
    not_linked_error = SignInRefused(
        f"Your account at {provider.label} isn’t linked to a user account of the registry. {advice}"
    )
    try:
        with transaction():
            identity = _find(account) or _create_person(account, provider)
            if identity is None:
                raise not_linked_error
            person: Person = identity.person
            if person.disabled_at is not None:
                raise SignInRefused(
                    f"Your user account is disabled. Ask {contact} for help.", person.email
                )
            identity.label, identity.used_at = account.label, models.now()
            identity.used_factor = account.has_second_factor
            identity.save(only=[Identity.label, Identity.used_at, Identity.used_factor])
            roles.apply(person, provider, account)
    except IntegrityError as error:
        # A user account has this e-mail address, or another request has just linked the account.
        raise not_linked_error from error
    return person


def _create_person(account: Account, provider: Provider) -> Identity | None:
    """Create a person, link the account to them, and return the linked account.

    Return None if no rule grants a role. Raises SignInRefused, and IntegrityError if a user account
    already has the e-mail address.
    """
    all_rules = role_rules.rules_of(provider)
    rules = roles.decidable_rules(all_rules, account)
    unavailable_error = SignInRefused(
        f"{provider.label} doesn’t respond as expected. Try again in a few minutes."
    )
    if not roles.granted_roles(rules, account.claim_texts):
        if len(rules) < len(all_rules):
            raise unavailable_error
        return None
    email = account.claims.get("email")
    # The claims that could not be read might say that the address is not verified.
    if not account.has_all_claims and lacks_any(ADDRESS_CLAIMS, account.claims):
        raise unavailable_error
    is_unusable = account.claims.get("email_verified") is False
    try:
        valid_email = validate_email(
            email if isinstance(email, str) else "", check_deliverability=False
        )
    except (EmailNotValidError, UnicodeError):
        is_unusable = True
    if is_unusable:
        raise SignInRefused(
            f"{provider.label} sent no verified e-mail address, so the registry can’t create "
            "a user account for you. Ask the operator of the registry."
        )
    person = accounts.create_without_password(valid_email.original, account.name)
    audit.record(None, None, "person.create", person.label, by=provider.label, about=person)
    identity: Identity = Identity.create(
        person=person, issuer=account.issuer, subject=account.subject, label=account.label
    )
    return identity


def require_own(actor: Actor, account: Account, provider: Provider) -> None:
    """Raise SignInRefused unless the actor has linked this account."""
    identity = _find(account)
    if identity is None or identity.person_id != actor.person.id:
        raise SignInRefused(
            f"You signed in at {provider.label} with an account that isn’t linked to your user "
            "account. Sign in there with the account that you use for the registry."
        )


def identities_of(person: Person) -> list[Identity]:
    """Return the accounts that a person has linked, the oldest first."""
    return list(Identity.select().where(Identity.person == person).order_by(Identity.id))


def identities_with_factor(person: Person) -> list[Identity]:
    """Return the person's linked accounts whose last sign-in used a second factor."""
    return [each for each in identities_of(person) if each.used_factor]


@dataclass(frozen=True)
class PendingLink:
    """An account at a provider. A person has signed in with it, but has not linked it yet."""

    provider: str
    issuer: str
    subject: str
    label: str


def seal_link(actor: Actor, vault: Vault, provider: Provider, account: Account) -> str:
    """Return the encrypted text that the form sends back when the person confirms the link."""
    link = [provider.key, account.issuer, account.subject, account.label]
    at = models.now().timestamp()
    return vault.seal({"person": actor.person.id, "link": link, "at": at}, PENDING_LINK)


def read_link(actor: Actor, vault: Vault, sealed: str) -> PendingLink:
    """Return the account in an encrypted text from `seal_link`. Raises LinkRefused."""
    values = vault.unseal(sealed, PENDING_LINK) or {}
    is_own = values.keys() == {"person", "link", "at"} and values["person"] == actor.person.id
    if not is_own or models.now().timestamp() - values["at"] > ATTEMPT_LIFETIME.total_seconds():
        raise LinkRefused("The confirmation page has expired. Link the account again.")
    return PendingLink(*values["link"])


def link(actor: Actor, pending: PendingLink, provider: Provider) -> Identity:
    """Link an account to the actor and return it. Raises LinkRefused."""
    person = actor.person
    try:
        with transaction():
            if Identity.select().where(Identity.person == person).count() >= MAX_IDENTITIES:
                raise LinkRefused(f"You can link at most {MAX_IDENTITIES} accounts.")
            identity: Identity = Identity.create(
                person=person,
                issuer=pending.issuer,
                subject=pending.subject,
                label=pending.label,
            )
            name = f"{identity.label} at {provider.label}"
            audit.record(actor, None, "person.link", name)
            security_mails.identity_linked(person, name)
    except IntegrityError as error:
        owner = Identity.get_or_none(issuer=pending.issuer, subject=pending.subject)
        possessive = "your" if owner and owner.person_id == person.id else "another"
        raise LinkRefused(
            f"This account at {provider.label} is already linked to {possessive} user account."
        ) from error
    return identity


def find_own(actor: Actor, identity_id: int) -> Identity:
    """Return an account of the actor. Raises LinkRefused."""
    identity: Identity | None = Identity.get_or_none(id=identity_id, person=actor.person)
    if identity is None:
        raise LinkRefused("This account is no longer linked.")
    return identity


def unlink(
    actor: Actor,
    identity_id: int,
    current: SignInSession,
    providers: Iterable[Provider],
    *,
    uses_password: bool,
) -> None:
    """Unlink an account of the actor, and end the actor's sessions that began at its provider.

    The session `current` does not end. But a second factor at the provider no longer counts in this
    session, unless the actor has used a second factor with another account at the provider.
    `providers` are the configured providers. If the provider of the account is not one of them, the
    sessions that began at any other unconfigured provider end too. `uses_password` says whether the
    actor can also sign in with a password. Raises LinkRefused.
    """
    by_issuer = {each.issuer: each for each in providers}
    with transaction():
        identity = find_own(actor, identity_id)
        is_other = (Identity.person == actor.person) & (Identity.id != identity.id)
        if not uses_password and not Identity.select().where(is_other).exists():
            raise LinkRefused(
                "You can’t unlink this account, because it’s your only way to sign in."
            )
        identity.delete_instance()
        provider = by_issuer.get(identity.issuer)
        if provider:
            is_from_provider = SignInSession.provider == provider.key
        else:
            configured_keys = [each.key for each in by_issuer.values()]
            is_from_provider = SignInSession.provider.not_in(["", *configured_keys])
        is_from_provider &= SignInSession.person == actor.person
        SignInSession.delete().where(is_from_provider & (SignInSession.id != current.id)).execute()
        proves_factor = (Identity.issuer == identity.issuer) & Identity.used_factor
        if not Identity.select().where(is_other & proves_factor).exists():
            SignInSession.update(used_factor=False).where(is_from_provider).execute()
        name = f"{identity.label} at {provider.label if provider else identity.issuer}"
        audit.record(actor, None, "person.unlink", name)
        security_mails.identity_unlinked(actor.person, name)


def forget_factors(providers: Iterable[Provider]) -> bool:
    """Forget second factors that people used at providers whose factors no longer count.

    `providers` are the configured providers. The factors of a provider no longer count if the
    operator has removed the provider or its setting `second_factor`. Return False, because no more
    work remains.
    """
    providers_with_factors = [
        each for each in providers if each.second_factor.amr or each.second_factor.acr
    ]
    is_former = Identity.issuer.not_in([each.issuer for each in providers_with_factors])
    is_from_former = SignInSession.provider.not_in([each.key for each in providers_with_factors])
    with transaction():
        Identity.update(used_factor=False).where(Identity.used_factor & is_former).execute()
        update = SignInSession.update(used_factor=False)
        update.where(SignInSession.used_factor & is_from_former).execute()
    return False


def _find(account: Account) -> Identity | None:
    is_account = (Identity.issuer == account.issuer) & (Identity.subject == account.subject)
    found: Identity | None = (
        Identity.select(Identity, Person).join(Person).where(is_account).first()
    )
    return found
