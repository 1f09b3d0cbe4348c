"""The challenges that passkeys sign, and the reason why a page can't use passkeys.

The state cookie contains the unused challenges of this browser. The owner of a challenge is the
session or the sign-in that requested the challenge. Only the owner can use the challenge, and only
for the purpose for which it was requested.
"""

from __future__ import annotations

from dataclasses import astuple
from urllib.parse import urlsplit

from flask import Response, make_response, request, session
from flask_login import current_user

from models import Person
from webapp.factors import passkeys
from webapp.factors.passkeys import Answer, Challenge, ChallengeExpired, PasskeysUnavailable, Site
from webapp.web.services import services

CHALLENGES = "passkey_challenges"
"""The key in the state cookie for the unused challenges."""
MAX_CHALLENGES = 3
"""The maximum number of challenges that a browser has, for example in several tabs."""
SIGN_IN, SECOND_STEP, CONFIRM, ADD = "sign-in", "second step", "confirm", "add"
"""The purposes of a challenge."""


def current_site() -> Site:
    """Return the site to which passkeys belong.

    Raises PasskeysUnavailable if this page cannot use passkeys.
    """
    public_url = services().settings.public_url
    site = passkeys.site_of(public_url)
    if urlsplit(f"//{request.host}").hostname != site.rp_id:
        raise PasskeysUnavailable(f"Passkeys work only at {public_url}. Open the registry there.")
    return site


def obstacle() -> str:
    """Return why this page cannot use passkeys, or ''."""
    try:
        current_site()
    except PasskeysUnavailable as error:
        return error.message
    return ""


def begin_challenge(purpose: str, owner: str) -> Challenge:
    """Return a new challenge, and store it in the state cookie."""
    challenge = Challenge.begin(purpose, owner)
    stored = session.get(CHALLENGES, [])[1 - MAX_CHALLENGES :]
    session[CHALLENGES] = [*stored, astuple(challenge)]
    return challenge


def _spend_challenge(value: str, purpose: str, owner: str) -> Challenge:
    """Use up the challenge with this value, and return it. Raises ChallengeExpired."""
    stored = [Challenge(*each) for each in session.get(CHALLENGES, [])]
    found = next((each for each in stored if each.value == value), None)
    if found is None:
        raise ChallengeExpired
    session[CHALLENGES] = [astuple(each) for each in stored if each != found]
    found.spend(purpose, owner)
    return found


def read_answer(purpose: str, owner: str, text: str) -> Answer:
    """Return the answer to a challenge with this purpose and owner, and use up the challenge.

    Raises PasskeyRefused and PasskeysUnavailable.
    """
    site = current_site()
    return Answer(site, _spend_challenge(passkeys.challenge_in(text), purpose, owner), text)


def request_options_response(purpose: str, owner: str, person: Person | None) -> Response:
    """Return a response with the options that a browser needs to use a passkey.

    If `person` is not None, the passkey must be a passkey of this person.
    """
    site = current_site()
    return json_response(passkeys.request_options(site, begin_challenge(purpose, owner), person))


def json_response(text: str) -> Response:
    """Return a response whose body is `text`, which is JSON."""
    response = make_response(text)
    response.content_type = "application/json"
    return response


def session_owner() -> str:
    """Return the owner of the challenges of the current session."""
    return f"session {current_user.session.record.id}"
