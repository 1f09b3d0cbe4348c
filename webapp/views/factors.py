"""The Sign-in and security page, and the pages of authenticator apps and recovery codes."""

from __future__ import annotations

import segno
from flask import Response, g, request, url_for
from flask_login import current_user, login_required
from markupsafe import Markup

from models import Authenticator, Identity, Passkey, Scope, SignInSession
from webapp.factors import authenticator, passkeys, proofs, recovery
from webapp.factors.authenticator import AuthenticatorRefused, SetUp
from webapp.forms.base import ActionForm, refuse
from webapp.forms.people import SetUpForm
from webapp.people import required_factors
from webapp.single_sign_on import identities
from webapp.views.person_pages import local_url, pages, uses_password
from webapp.views.step_up import needs_proof
from webapp.web.rendering import redirect, render, toast
from webapp.web.services import services


@pages.get("/security")
@login_required
def security() -> Response:
    person = g.actor.person
    return render(
        "people/security.html",
        app=authenticator.find(person),
        passkeys=passkeys.passkeys_of(person),
        code_count=recovery.count(person),
        few_codes=recovery.FEW_CODES,
        has_password=uses_password(person),
        identities=identities.identities_of(person),
        single_sign_on=services().single_sign_on,
        return_to=return_to(),
    )


@pages.route("/security/authenticator", methods=["GET", "POST"])
@login_required
@needs_proof
def set_up_authenticator() -> Response:
    """Show a new secret, and add the app when the person enters a valid code from the app.

    The code proves that the app has the secret.
    """
    if authenticator.find(g.actor.person):
        toast("You already have an authenticator app.", "warning")
        return to_security_page()
    form = SetUpForm()
    set_up = None
    try:
        if form.is_submitted() and form.set_up.data:
            set_up = authenticator.read_set_up(g.actor, services().vault, form.set_up.data)
        if form.validate_on_submit() and set_up:
            code = form.code.data.replace(" ", "")
            codes = authenticator.add(g.actor, services().vault, set_up, code)
            toast("Authenticator app added. From now on, you need a second factor to sign in.")
            return finish_set_up(codes)
    except AuthenticatorRefused as error:
        refuse(form, error.message, error.field)
    if set_up is None:
        set_up, form.set_up.data = authenticator.begin_set_up(g.actor, services().vault)
    form.code.data = ""
    return render(
        "people/set_up_authenticator.html",
        form=form,
        set_up=set_up,
        qr_code=_qr_code(set_up),
        return_to=return_to(),
        status=422 if form.is_submitted() else 200,
    )


@pages.route("/security/authenticator/remove", methods=["GET", "POST"])
@login_required
@needs_proof
def remove_authenticator() -> Response:
    form = ActionForm()
    if form.validate_on_submit():
        try:
            authenticator.remove(g.actor)
        except AuthenticatorRefused as error:
            toast(error.message, "danger")
        else:
            toast("Authenticator app removed.")
        return to_security_page()
    return render(
        "people/remove_authenticator.html",
        form=form,
        lost_scopes=scopes_lost_with(authenticator.find(g.actor.person)),
    )


@pages.route("/security/recovery-codes", methods=["GET", "POST"])
@login_required
@needs_proof
def recovery_codes() -> Response:
    """Create new recovery codes. Only the response to this request shows them."""
    if not proofs.has_factor(g.actor.person):
        return to_security_page()
    form = ActionForm()
    if form.validate_on_submit():
        return show_codes(recovery.create_new(g.actor))
    return render("people/new_recovery_codes.html", form=form)


def return_to() -> str:
    """Return the URL to open after a factor is set up, or ''."""
    target = request.args.get("next", "")
    return local_url(target) if target else ""


def finish_set_up(codes: list[str]) -> Response:
    """Show the new recovery codes, if any.

    If there are none, return to the page that required a factor, or open Sign-in and security.
    """
    if codes:
        return show_codes(codes)
    return redirect(return_to()) if return_to() else to_security_page()


def scopes_lost_with(factor: Authenticator | Passkey | Identity | None) -> list[Scope]:
    """Return the scopes where the person loses rights in this session if the factor is removed."""
    person, record = g.actor.person, current_user.session.record
    own_factors = [authenticator.find(person), *passkeys.passkeys_of(person)]
    keeps_own_factor = any(each not in {None, factor} for each in own_factors)
    if not isinstance(factor, Identity):
        keeps_factor = keeps_own_factor or record.used_factor
    else:
        loses_session_factor = record.used_factor and _provided_session_factor(record, factor)
        keeps_factor = keeps_own_factor or not loses_session_factor
    return [] if keeps_factor else required_factors.scopes_with_required_factor(person)


def _provided_session_factor(record: SignInSession, identity: Identity) -> bool:
    """Return whether only this linked account can have provided the session's second factor."""
    provider = services().single_sign_on.provider_of(identity.issuer)
    if provider is None or provider.key != record.provider:
        return False
    with_factor = identities.identities_with_factor(identity.person)
    return all(each == identity or each.issuer != identity.issuer for each in with_factor)


def show_codes(codes: list[str]) -> Response:
    return render("people/recovery_codes.html", codes=codes, return_to=return_to())


def to_security_page() -> Response:
    return redirect(url_for("people.security"))


def _qr_code(set_up: SetUp) -> Markup:
    """Return the QR code as an SVG element, which has a light background in both themes."""
    code = segno.make(set_up.uri, error="m", micro=False)
    return Markup(code.svg_inline(light="#fff", omitsize=True, svgclass="qr-code"))  # noqa: S704
