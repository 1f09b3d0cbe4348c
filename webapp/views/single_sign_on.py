"""Sign in at an identity provider, confirm sensitive changes there, and link and unlink accounts.

The state cookie contains the visits to providers that are in progress in this browser. The OAuth
parameter `state` identifies a visit. The provider sends the person back to `provider_answer`, which
accepts only the `state` of a visit in the cookie.

Only a form with a CSRF token begins a visit, so a link on another site cannot begin one. A GET of
the same URL shows a page with this form.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from flask import Response, abort, g, request, session, url_for
from flask_login import current_user, login_required

import models
from models import SessionKind
from webapp.forms.base import ActionForm, refuse
from webapp.forms.people import LinkForm, SignInForm
from webapp.people import single_use
from webapp.people.single_use import AlreadyUsed
from webapp.single_sign_on import identities
from webapp.single_sign_on.client import Account, Attempt, Client
from webapp.single_sign_on.identities import (
    ATTEMPT_LIFETIME,
    LinkRefused,
    SignInRefused,
)
from webapp.single_sign_on.issuers import ProviderError
from webapp.views.factors import scopes_lost_with
from webapp.views.person_pages import local_url, pages, uses_password
from webapp.views.second_step import finish_first_step
from webapp.views.step_up import finish_provider_proof, needs_proof
from webapp.web.rendering import absolute_url, redirect, render, toast
from webapp.web.security import csrf
from webapp.web.services import services

VISITS = "provider_visits"
"""The key in the state cookie for the unfinished visits to providers."""
MAX_VISITS = 3
"""The maximum number of visits that a browser has in progress, for example in several tabs."""
LONGEST_NEXT = 500
"""The maximum length of the URL to return to, in characters. A cookie must be short."""
SIGN_IN, LINK, PROVE = "sign-in", "link", "prove"
"""The purposes of a visit."""
ERROR_CODE = re.compile("[a-z_]{1,64}")
"""Matches an error code in the response of a provider. Any other text counts as “unknown”."""


@dataclass(frozen=True)
class Visit:
    """A visit to an identity provider that this browser has begun."""

    state: str
    """The OAuth parameter `state`."""
    provider: str
    purpose: str
    began: float
    """When the visit began, in seconds since the epoch."""
    session_id: int
    """The ID of the sign-in session in which the visit began, or 0 if nobody was signed in."""
    return_to: str

    def is_current(self) -> bool:
        """Return whether the visit is recent, and the browser still has the same session."""
        is_recent = single_use.is_current(self.began, ATTEMPT_LIFETIME)
        return is_recent and self.session_id == _session_id()


@pages.route("/sign-in/with/<provider>", methods=["GET", "POST"])
@csrf.exempt
def provider_sign_in(provider: str) -> Response:
    """Send the person to the provider. The form itself checks the CSRF token."""
    client = _client(provider)
    return_to = local_url(request.args.get("next", ""))
    if current_user.is_authenticated:
        return redirect(return_to)
    return _begin(client, SIGN_IN, return_to)


@pages.route("/security/link/<provider>", methods=["GET", "POST"])
@login_required
@needs_proof
def link_identity(provider: str) -> Response:
    """Send the person to the provider, so that they can link the account that they have there."""
    return _begin(_client(provider), LINK, url_for("people.security"))


@pages.route("/confirm/with/<provider>", methods=["GET", "POST"])
@login_required
def provider_proof(provider: str) -> Response:
    """Send the person to the provider where their session began, to prove who they are."""
    client = _client(provider)
    if current_user.session.record.provider != provider:
        abort(404)
    return _begin(client, PROVE, local_url(request.args.get("next", "")))


@pages.get("/sign-in/with/<provider>/answer")
def provider_answer(provider: str) -> Response:
    """Check the authorization response of the provider, and continue with the visit's purpose."""
    client = _client(provider)
    visit = _end_visit(provider, request.args.get("state", ""))
    if visit and visit.purpose == SIGN_IN and current_user.is_authenticated:
        return redirect(local_url(visit.return_to))  # The person has signed in in another tab.
    if visit is None or not visit.is_current():
        return _failure_response(
            visit,
            "This sign-in has expired, or it began in another browser. Sign in again.",
        )
    try:
        account = _account(client, visit)
        return _CONTINUATIONS[visit.purpose](client, visit, account)
    except (ProviderError, AlreadyUsed, SignInRefused) as error:
        return _failure_response(visit, error.message)


@pages.post("/security/link")
@login_required
@needs_proof
def confirm_link() -> Response:
    """Link the account that the person has confirmed."""
    form = LinkForm()
    if form.validate_on_submit():
        try:
            pending = identities.read_link(g.actor, services().vault, form.link.data)
            identities.link(g.actor, pending, _client(pending.provider).provider)
        except LinkRefused as error:
            toast(error.message, "danger")
        else:
            toast("Account linked. You can now sign in with it.")
    return redirect(url_for("people.security"))


@pages.route("/security/identities/<int:identity_id>/unlink", methods=["GET", "POST"])
@login_required
@needs_proof
def unlink_identity(identity_id: int) -> Response:
    form, single_sign_on = ActionForm(), services().single_sign_on
    try:
        identity = identities.find_own(g.actor, identity_id)
        if form.validate_on_submit():
            identities.unlink(
                g.actor,
                identity_id,
                current_user.session.record,
                [client.provider for client in single_sign_on.clients.values()],
                uses_password=uses_password(g.actor.person),
            )
            toast("Account unlinked.")
            return redirect(url_for("people.security"))
    except LinkRefused as error:
        toast(error.message, "danger")
        return redirect(url_for("people.security"))
    label = single_sign_on.label_of(identity.issuer)
    return render(
        "people/unlink_identity.html",
        form=form,
        identity=identity,
        provider=label,
        lost_scopes=scopes_lost_with(identity),
    )


def _client(provider: str) -> Client:
    """Return the client of a provider. Responds with 404 if the provider is not configured."""
    client = services().single_sign_on.clients.get(provider)
    return client or abort(404)


def _begin(client: Client, purpose: str, return_to: str) -> Response:
    """Begin a visit if the person has sent the form. Otherwise, show the form."""
    form = ActionForm()
    if form.validate_on_submit():
        return _open_provider(client, purpose, return_to)
    if "csrf_token" in form.errors:
        refuse(form, "This page expired before you sent it. Select Continue to try again.")
    return render(
        "people/begin_visit.html",
        form=form,
        provider=client.provider.label,
        purpose=purpose,
        return_to=return_to,
        status=422 if form.is_submitted() else 200,
    )


def _open_provider(client: Client, purpose: str, return_to: str) -> Response:
    """Begin a visit, and send the browser to the provider.

    The response is a page that opens the provider. A redirect would not always work. After a form
    was sent, browsers follow redirects only to the sites that `form-action` in the
    Content-Security-Policy allows, and a provider may redirect to any site.
    """
    attempt = Attempt.begin(services().settings.secret_key)
    key, began = client.provider.key, models.now().timestamp()
    return_to = return_to if len(return_to) <= LONGEST_NEXT else url_for("people.home")
    visit = Visit(attempt.state, key, purpose, began, _session_id(), return_to)
    try:
        url = client.authorization_url(attempt, _redirect_uri(key), is_proof=purpose == PROVE)
    except ProviderError as error:
        return _failure_response(visit, error.message)
    fields = [visit.state, key, purpose, began, visit.session_id, return_to]
    session[VISITS] = [*session.get(VISITS, [])[1 - MAX_VISITS :], fields]
    return render("people/open_provider.html", address=url, provider=client.provider.label)


def _end_visit(provider: str, state: str) -> Visit | None:
    """Return the visit with this OAuth `state`, or None. Remove the visit from the state cookie."""
    stored: Sequence[Sequence[object]] = session.get(VISITS, [])
    found = [each for each in stored if each[:2] == [state, provider]]
    if not found:
        return None
    session[VISITS] = [each for each in stored if each not in found]
    return Visit(*found[0])  # type: ignore[arg-type]


def _account(client: Client, visit: Visit) -> Account:
    """Return the account that the provider reports. Raises ProviderError and AlreadyUsed."""
    arguments = request.args
    attempt = Attempt.of_state(services().settings.secret_key, visit.state)
    single_use.spend(visit.state)
    if error := arguments.get("error"):
        raise client.declined(error if ERROR_CODE.fullmatch(error) else "unknown")
    # Only a sign-in applies the role rules, which give people roles by claims of their account. So
    # no other visit needs these claims.
    is_sign_in = visit.purpose == SIGN_IN
    return client.redeem(
        attempt,
        arguments.get("code", ""),
        _redirect_uri(visit.provider),
        arguments.get("iss"),
        partial(identities.needed_claims, client.provider) if is_sign_in else None,
    )


def _finish_sign_in(client: Client, visit: Visit, account: Account) -> Response:
    address, attempts = request.remote_addr or "", services().attempts
    person = identities.sign_in(
        account,
        client.provider,
        services().single_sign_on.contact,
        address,
        attempts,
        local_accounts=services().settings.local_accounts,
    )
    return finish_first_step(
        person,
        SessionKind.PROVIDER,
        local_url(visit.return_to),
        None,
        provider=client.provider.key,
        has_second_factor=account.has_second_factor,
    )


def _finish_link(client: Client, _visit: Visit, account: Account) -> Response:
    """Show the account, so that the person links it only if it is theirs."""
    sealed = identities.seal_link(g.actor, services().vault, client.provider, account)
    form = LinkForm(formdata=None, link=sealed)
    label = client.provider.label
    return render("people/link_identity.html", form=form, account=account, provider=label)


def _finish_proof(client: Client, visit: Visit, account: Account) -> Response:
    identities.require_own(g.actor, account, client.provider)
    client.require_recent(account, visit.began)
    return finish_provider_proof(client, account, local_url(visit.return_to))


_CONTINUATIONS = {SIGN_IN: _finish_sign_in, LINK: _finish_link, PROVE: _finish_proof}


def _failure_response(visit: Visit | None, message: str) -> Response:
    """Show why the visit failed: on the sign-in page or, for a signed-in person, in a toast."""
    if current_user.is_authenticated:
        toast(message, "danger")
        is_proof = visit is not None and visit.purpose == PROVE
        confirm_url = url_for("people.confirm", next=visit.return_to) if visit and is_proof else ""
        return redirect(confirm_url or url_for("people.security"))
    form = SignInForm(formdata=None)
    refuse(form, message)
    return_to = local_url(visit.return_to) if visit else None
    return render("people/sign_in.html", form=form, unsent=None, return_to=return_to, status=403)


def _redirect_uri(provider: str) -> str:
    """Return the URL to which the provider sends the person back."""
    return absolute_url("people.provider_answer", provider=provider)


def _session_id() -> int:
    return int(current_user.session.record.id) if current_user.is_authenticated else 0
