"""The second step of signing in: a person with a second factor enters a code or uses a passkey.

After the first step, the state cookie contains the ID of the person, who then has ten minutes for
the second step. The cookie is signed, so nobody can change it. The cookie alone does not sign
anybody in.
"""

from __future__ import annotations

import hashlib

from flask import Response, abort, request, session, url_for
from flask_login import current_user

import models
from models import Person, SessionKind
from webapp.credentials.vault import VaultError
from webapp.factors import passkeys, proofs, recovery
from webapp.factors.passkeys import PasskeyRefused, PasskeysUnavailable
from webapp.factors.proofs import CodeRefused
from webapp.forms.base import refuse
from webapp.forms.people import SignInCodeForm, SignInForm
from webapp.people.attempts import TooManyAttempts
from webapp.views.person_pages import local_url, pages, resume, retry_later, start_session
from webapp.web.passkeys import SECOND_STEP, read_answer, request_options_response
from webapp.web.rendering import redirect, render, toast
from webapp.web.resumed_forms import UnsentForm, posted_unsent_form
from webapp.web.security import csrf
from webapp.web.services import services
from webapp.web.session_cookies import device_id, is_recent

PENDING = "second_step"
"""The key in the state cookie for the first step: which person took the step, when and how."""
PENDING_SECONDS = 600
"""How many seconds after the first step a person can take the second step."""
EXPIRED = "This sign-in has expired. Sign in again, and finish within ten minutes."


def finish_first_step(
    person: Person,
    kind: SessionKind,
    return_to: str,
    unsent: UnsentForm | None,
    *,
    provider: str = "",
    has_second_factor: bool = False,
) -> Response:
    """Continue after the first step: ask for the second factor, or sign the person in.

    `provider` is the key of the identity provider at which the person took the first step, or ''.
    With `has_second_factor`, the person also used a second factor there.
    """
    if has_second_factor or not proofs.has_factor(person):
        start_session(person, kind, provider, used_factor=has_second_factor)
        return _continue(return_to, unsent)
    began = models.now().timestamp()
    session[PENDING] = [
        person.id,
        _session_key_digest(person),
        began,
        kind.value,
        *filter(None, [provider]),
    ]
    if unsent is None:
        return redirect(url_for("people.second_step", next=return_to))
    return _second_step_page(person, SignInCodeForm(formdata=None), unsent)


@pages.post("/sign-in/code/challenge")
def second_step_challenge() -> Response:
    """Return the options with which the browser uses a passkey of the person."""
    person, _, _ = _pending_sign_in()
    if person is None or current_user.is_authenticated:
        abort(401)
    return request_options_response(SECOND_STEP, _challenge_owner(person), person)


@pages.route("/sign-in/code", methods=["GET", "POST"])
@csrf.exempt
def second_step() -> Response:
    """Show the form for the second factor. On POST, check the factor and sign the person in.

    The form itself checks the CSRF token.
    """
    return_to, unsent = local_url(request.args.get("next", "")), posted_unsent_form()
    if current_user.is_authenticated:
        return _continue(return_to, unsent)
    person, kind, provider = _pending_sign_in()
    if person is None:
        session.pop(PENDING, None)
        form = SignInForm(formdata=None)
        refuse(form, EXPIRED)
        return render("people/sign_in.html", form=form, unsent=unsent, status=401)
    form, status, retry_reason = SignInCodeForm(), 200, None
    if form.validate_on_submit():
        try:
            if form.passkey.data:
                check_passkey(person, form.passkey.data, SECOND_STEP, _challenge_owner(person))
            else:
                check_code(person, form.code.data)
        except (CodeRefused, PasskeyRefused, PasskeysUnavailable, VaultError) as error:
            refuse(form, error.message, error.field)
        except TooManyAttempts as error:
            refuse(form, error.message)
            retry_reason = error
        else:
            start_session(person, kind, provider)
            _warn_if_few_codes(person)
            return _continue(return_to, unsent)
    elif "csrf_token" in form.errors:
        refuse(form, "This page expired before you sent it. Enter a code again.")
    if form.is_submitted():
        status = 422
        form.code.data = form.passkey.data = ""
    response = _second_step_page(person, form, unsent, status)
    return retry_later(response, retry_reason) if retry_reason else response


def check_passkey(person: Person, answer: str, purpose: str, owner: str) -> None:
    """Check the answer of a passkey, and use up its challenge.

    `webapp.web.passkeys` explains `purpose` and `owner`. Raises PasskeyRefused, PasskeysUnavailable
    and TooManyAttempts.
    """
    address, attempts = request.remote_addr or "", services().attempts
    passkeys.check(person, lambda: read_answer(purpose, owner, answer), address, attempts)


def check_code(person: Person, code: str) -> None:
    """Check a code and use it up. Raises CodeRefused, VaultError and TooManyAttempts."""
    address, attempts = request.remote_addr or "", services().attempts
    device, vault = device_id(person.email), services().vault
    proofs.check_code(person, vault, code, address, attempts, device)


def _second_step_page(
    person: Person, form: SignInCodeForm, unsent: UnsentForm | None, status: int = 200
) -> Response:
    kinds = proofs.kinds_of(person)
    return render("people/second_step.html", form=form, kinds=kinds, unsent=unsent, status=status)


def _challenge_owner(person: Person) -> str:
    """Return the owner of the challenges for the second step of this person."""
    return f"second step of {person.id}"


def _continue(return_to: str, unsent: UnsentForm | None) -> Response:
    return resume(unsent) if unsent else redirect(return_to)


def _pending_sign_in() -> tuple[Person | None, SessionKind, str]:
    """Return the person who may take the second step, or None.

    Also return how the person took the first step, and the key of the identity provider that they
    used, or ''.
    """
    pending = session.get(PENDING) or (0, "", 0, SessionKind.PASSWORD)
    person_id, digest, started, kind, *provider = pending
    if not is_recent(started, PENDING_SECONDS):
        return None, SessionKind.PASSWORD, ""
    person: Person | None = Person.get_or_none(id=person_id)
    is_same = person is not None and _session_key_digest(person) == digest
    return person if is_same else None, SessionKind(kind), "".join(provider)


def _session_key_digest(person: Person) -> str:
    """Return a text that changes when the password of the person changes.

    The text also changes when `accounts.end_sessions` ends all sessions of the person, or all
    except one.
    """
    return hashlib.sha256(person.session_key.encode()).hexdigest()


def _warn_if_few_codes(person: Person) -> None:
    count = recovery.count(person)
    if count <= recovery.FEW_CODES:
        codes = "1 recovery code" if count == 1 else f"{count or 'no'} recovery codes"
        toast(
            f"You have {codes} left. Create new codes on the page {{security}}.",
            "warning",
            security=("Sign-in and security", url_for("people.security")),
        )
