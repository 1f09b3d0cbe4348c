"""Ask a person to prove again who they are before they change something sensitive.

So a stolen session alone is not enough to change credentials, members or second factors. A view
declares with `needs_proof` that it needs a proof.

The proof is the same as for signing in: a passkey, or the first factor and, if the person has a
second factor, a code. The first factor is the password or, in a session that began at an identity
provider, a new sign-in there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any, ParamSpec

from flask import Response, g, request, session, url_for
from flask_login import current_user, login_required

import models
from webapp.credentials.vault import VaultError
from webapp.factors import proofs
from webapp.factors.passkeys import PasskeyRefused, PasskeysUnavailable
from webapp.factors.proofs import CodeRefused
from webapp.forms.base import ActionForm, refuse
from webapp.forms.people import (
    ConfirmCodeForm,
    ConfirmFactorsForm,
    ConfirmPasskeyForm,
    ConfirmPasswordForm,
)
from webapp.people import sessions
from webapp.people.accounts import HashingBusy, PasswordRefused
from webapp.people.attempts import TooManyAttempts
from webapp.people.sessions import Session
from webapp.refusals import Refusal
from webapp.single_sign_on.client import Account, Client
from webapp.single_sign_on.configuration import Provider
from webapp.views.person_pages import local_url, pages, retry_later
from webapp.views.second_step import check_code, check_passkey
from webapp.web.passkeys import CONFIRM, request_options_response, session_owner
from webapp.web.rendering import (
    current_url,
    redirect,
    redirect_whole_page,
    render,
    toast,
    wants_fragment,
)
from webapp.web.resumed_forms import (
    CONFIRMED,
    RESUMED,
    UnsentForm,
    current_unsent_form,
    posted_unsent_form,
)
from webapp.web.services import services
from webapp.web.session_cookies import device_id, is_recent, send_session_token

P = ParamSpec("P")
PROVED_AT_PROVIDER = "proved_at_provider"
"""The key in the state cookie that says that the person has signed in again at the provider.

The person must still enter the code.
"""
CODE_SECONDS = 600
"""How many seconds after the sign-in at the provider a person can enter the code."""


class ProofMissing(Refusal):
    """The person has not signed in again."""

    def __init__(self) -> None:
        super().__init__("You haven’t confirmed that it’s you yet. Sign in again first.")


_REFUSALS = (
    *(CodeRefused, PasskeyRefused, PasskeysUnavailable, PasswordRefused, ProofMissing, VaultError),
)


def needs_proof(view: Callable[P, Response]) -> Callable[P, Response]:
    """Ask for a proof before the view if the last proof of the session is too old."""

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> Response:
        if sessions.is_confirmed(current_user.session, services().proof_lifetime):
            return view(*args, **kwargs)
        return _ask_for_proof()

    return guarded


def needs_proof_if_factor(view: Callable[P, Response]) -> Callable[P, Response]:
    """Ask people with a second factor for a proof, as `needs_proof` does.

    Other people prove who they are with their password, and the form of the view asks for it.
    """
    view_with_proof = needs_proof(view)

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> Response:
        chosen_view = view_with_proof if proofs.has_factor(g.actor.person) else view
        return chosen_view(*args, **kwargs)

    return guarded


def _ask_for_proof() -> Response:
    """Ask for a proof. Afterwards, the person returns to the page or to the form they sent."""
    unsent = None if wants_fragment() else current_unsent_form()
    if unsent is None:
        return redirect_whole_page(url_for("people.confirm", next=current_url() or None))
    if not unsent.is_complete:
        # The view shows the form again, because the person must enter the secrets or choose the
        # files again.
        unsent = replace(unsent, values=[*unsent.values, (RESUMED, CONFIRMED)])
    return _confirm_page(_confirm_form(formdata=None), unsent, 401)


def _confirm_page(form: ActionForm, unsent: UnsentForm | None, status: int) -> Response:
    return render(
        "people/confirm.html",
        form=form,
        kinds=proofs.kinds_of(g.actor.person),
        provider=_provider(),
        must_sign_out=_must_sign_out(),
        unsent=unsent,
        status=status,
    )


@pages.post("/confirm/challenge")
@login_required
def confirm_challenge() -> Response:
    """Return the options with which the browser uses a passkey of the person."""
    return request_options_response(CONFIRM, session_owner(), g.actor.person)


@pages.route("/confirm", methods=["GET", "POST"])
@login_required
def confirm() -> Response:
    """Check a passkey, or the password and, if the person has a second factor, a code.

    If the session began at an identity provider, the person signs in there again instead of
    entering a password. The view `provider_proof` sends them there.
    """
    unsent, form, retry_reason = posted_unsent_form(), _confirm_form(), None
    if form.validate_on_submit():
        try:
            _check(form)
        except _REFUSALS as error:
            refuse(form, error.message, error.field)
        except (TooManyAttempts, HashingBusy) as error:
            refuse(form, error.message)
            retry_reason = error
        else:
            if unsent:
                return render("people/send_form.html", unsent=unsent)
            return redirect(local_url(request.args.get("next", "")))
    if "code" in form:
        form.code.data = ""
    if "passkey" in form:
        form.passkey.data = ""
    status = 422 if form.is_submitted() else 200
    response = _confirm_page(form, unsent, status)
    return retry_later(response, retry_reason) if retry_reason else response


def confirm_session(session: Session) -> None:
    """Record that the person has just proved who they are, and send a new session token."""
    if token := sessions.confirm(session):
        send_session_token(token)


def finish_provider_proof(client: Client, account: Account, return_to: str) -> Response:
    """Continue after the person has signed in again at the provider of their session.

    If the person has a second factor in the registry, redirect to the page that asks for a code.
    Otherwise, confirm the session. If this session began with a second factor of the provider, the
    new sign-in must have used one too. If it did not, raise AnswerRefused.
    """
    if proofs.has_factor(g.actor.person):
        session[PROVED_AT_PROVIDER] = [_session_id(), models.now().timestamp()]
        return redirect(url_for("people.confirm", next=return_to))
    if current_user.session.record.used_factor:
        client.require_second_factor(account)
    confirm_session(current_user.session)
    toast("You’ve confirmed that it’s you.")
    return redirect(return_to)


def _session_id() -> int:
    return int(current_user.session.record.id)


def _has_proved_at_provider() -> bool:
    """Return whether the person has signed in again at the provider and must only enter a code.

    Return False if the person no longer has a second factor. They must then sign in at the provider
    once more.
    """
    session_id, moment = session.get(PROVED_AT_PROVIDER) or (0, 0.0)
    is_current = session_id == _session_id() and is_recent(moment, CODE_SECONDS)
    return is_current and proofs.has_factor(g.actor.person)


def _provider() -> Provider | None:
    """Return the identity provider where the person must sign in again, or None."""
    client = services().single_sign_on.clients.get(current_user.session.record.provider)
    return client.provider if client and not _has_proved_at_provider() else None


def _must_sign_out() -> bool:
    """Return whether the person can only sign out and sign in again, or use a passkey.

    This happens to people without a password if their provider was removed from the configuration.
    """
    has_password = bool(g.actor.person.password_hash)
    return not has_password and not _provider() and not _has_proved_at_provider()


def _confirm_form(**options: Any) -> ActionForm:
    has_factor = proofs.has_factor(g.actor.person)
    if _provider() or _must_sign_out():
        return ConfirmPasskeyForm(**options) if has_factor else ActionForm(**options)
    if not has_factor:
        return ConfirmPasswordForm(**options)
    return (
        ConfirmCodeForm(**options) if _has_proved_at_provider() else ConfirmFactorsForm(**options)
    )


def _check(form: ActionForm) -> None:
    """Check the passkey in the form or, without a passkey, the password and the code.

    Some forms have only a password or only a code. If the form has no passkey, password or code,
    raise ProofMissing unless the person has signed in again. Raises a refusal.
    """
    person, address, attempts = g.actor.person, request.remote_addr or "", services().attempts
    if "passkey" in form and form.passkey.data:
        check_passkey(person, form.passkey.data, CONFIRM, session_owner())
    elif "current_password" in form or "code" in form:
        if "current_password" in form:
            password, device = form.current_password.data, device_id(person.email)
            sessions.require_current_password(g.actor, password, address, attempts, device)
        if "code" in form:
            check_code(person, form.code.data)
    elif sessions.is_confirmed(current_user.session, services().proof_lifetime):
        return
    else:
        raise ProofMissing
    if session.pop(PROVED_AT_PROVIDER, None):
        toast("You’ve confirmed that it’s you.")
    confirm_session(current_user.session)
