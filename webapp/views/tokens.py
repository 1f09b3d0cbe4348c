"""The pages for the API tokens of a person, and for the API tokens of a scope.

The blueprints of `person_pages` and `scope_pages` use the same endpoint names for these pages. So a
template can link to the list of either kind with `url_for(".token_list")`.

In URLs, the ID of a token is the parameter `number`: the log masks the values of parameters whose
names contain "token" (`SECRET_NAME` in `webapp.web.logs`).
"""

from __future__ import annotations

from typing import Any

from flask import Response, g, request, url_for
from flask_login import login_required

import models
from models import ApiToken, Role, Scope
from webapp.access import Right
from webapp.api.urls import ROOT, root_url
from webapp.forms.base import ConfirmForm, refuse
from webapp.forms.tokens import (
    ROLE_HINTS,
    PersonalTokenForm,
    RotateTokenForm,
    TokenForm,
    TokenRuleForm,
    end_of_day,
    expiry_range,
)
from webapp.people import scopes
from webapp.revisions.conflicts import EditConflict
from webapp.single_sign_on import token_rules
from webapp.tokens import tokens
from webapp.tokens.tokens import REVOKED, NewToken, TokenError
from webapp.views import person_pages, scope_pages
from webapp.views.scope_pages import needs
from webapp.views.step_up import needs_proof
from webapp.web.rendering import redirect, render, toast
from webapp.web.services import services


@person_pages.pages.get("/tokens", endpoint="token_list")
@login_required
def own_tokens() -> Response:
    return _list_page(tokens.tokens_of(g.actor))


@scope_pages.pages.get("/tokens", endpoint="token_list")
@needs(Right.MANAGE_TOKENS)
def scope_tokens() -> Response:
    rules = token_rules.rules_at(g.actor, g.scope)
    stopped = {each.id for each in rules if not token_rules.is_in_force(each)}
    return _list_page(tokens.tokens_at(g.actor, g.scope), rules=rules, stopped=stopped)


@person_pages.pages.route("/tokens/new", methods=["GET", "POST"], endpoint="new_token")
@login_required
@needs_proof
def new_own_token() -> Response:
    default_scope, choices = _suggested_scope(), scopes.visible_to(g.actor).rows
    if default_scope is None:
        toast("You need a role at a scope before you can create a token.", "warning")
        return _to_list()
    if default_scope not in choices:
        choices = [default_scope, *choices]
    form = PersonalTokenForm(data={"scope": default_scope.id})
    form.scope.choices = {each.id: each.label for each in choices}
    scope = next((each for each in choices if each.id == form.scope.data), default_scope)
    return _new_page(form, scope, is_personal=True)


@scope_pages.pages.route("/tokens/new", methods=["GET", "POST"], endpoint="new_token")
@needs(Right.MANAGE_TOKENS)
@needs_proof
def new_scope_token() -> Response:
    return _new_page(TokenForm(), g.scope, is_personal=False)


@person_pages.pages.route(
    "/tokens/<int:number>/rotate", methods=["GET", "POST"], endpoint="rotate_token"
)
@login_required
@needs_proof
def rotate_own_token(number: int) -> Response:
    return _rotate_page(tokens.find_own(g.actor, number))


@scope_pages.pages.route(
    "/tokens/<int:number>/rotate", methods=["GET", "POST"], endpoint="rotate_token"
)
@needs(Right.MANAGE_TOKENS)
@needs_proof
def rotate_scope_token(number: int) -> Response:
    return _rotate_page(tokens.find_at(g.actor, g.scope, number))


# Revoking needs no proof: it takes rights away, and may be urgent.
@person_pages.pages.route(
    "/tokens/<int:number>/revoke", methods=["GET", "POST"], endpoint="revoke_token"
)
@login_required
def revoke_own_token(number: int) -> Response:
    return _revoke_page(tokens.find_own(g.actor, number))


@scope_pages.pages.route(
    "/tokens/<int:number>/revoke", methods=["GET", "POST"], endpoint="revoke_token"
)
@needs(Right.MANAGE_TOKENS)
def revoke_scope_token(number: int) -> Response:
    return _revoke_page(tokens.find_at(g.actor, g.scope, number))


@scope_pages.pages.route("/tokens/rules/new", methods=["GET", "POST"])
@needs(Right.MANAGE_TOKENS)
@needs_proof
def new_token_rule() -> Response:
    form = TokenRuleForm(data={"audience": root_url().removesuffix(ROOT)})
    if form.validate_on_submit():
        try:
            rule = token_rules.create(
                g.actor,
                g.scope,
                name=form.name.data,
                issuer=form.issuer.data,
                audience=form.audience.data,
                claims=form.claim_patterns(),
                role=Role(form.role.data),
                networks=form.network_texts(),
            )
        except TokenError as error:
            refuse(form, error.message, error.field)
        else:
            toast(f"Rule “{rule.name}” created.")
            return _to_list()
    status = 422 if form.is_submitted() else 200
    return render("tokens/new_rule.html", form=form, role_hints=ROLE_HINTS, status=status)


# Deleting a rule needs no proof, for the same reasons as revoking a token.
@scope_pages.pages.route("/tokens/rules/<int:rule_id>/delete", methods=["GET", "POST"])
@needs(Right.MANAGE_TOKENS)
def delete_token_rule(rule_id: int) -> Response:
    rule = token_rules.find_at(g.actor, g.scope, rule_id)
    if rule is None:
        return _already_deleted()
    form, conflict = ConfirmForm.for_revision(rule.revision), None
    if form.validate_on_submit():
        try:
            token_rules.delete(g.actor, rule, form.revision.data)
        except EditConflict as error:
            conflict, form.revision.data = error, error.revision
        except TokenError:
            return _already_deleted()
        else:
            toast(f"Rule “{rule.name}” deleted.")
            return _to_list()
    status = 409 if conflict else 200
    return render("tokens/delete_rule.html", rule=rule, form=form, conflict=conflict, status=status)


def _suggested_scope() -> Scope | None:
    """Return the scope in the URL, or else the home scope. Return None for a person without a role.

    A scope at which the person has no role counts as missing.
    """
    scope = Scope.at(request.args.get("scope", "/"))  # No scope has the path "/".
    if scope is None or g.actor.role_at(scope) is None:
        return scopes.home_scope(g.actor)
    return scope


def _list_page(found: list[ApiToken], **rules: Any) -> Response:
    label, now = "API tokens" if "scope" in g else "", models.now()
    new_url = url_for(".new_token", scope=request.args.get("scope"))
    return render(
        "tokens/tokens.html", label=label, tokens=found, new_url=new_url, now=now, **rules
    )


def _new_page(form: Any, scope: Scope, *, is_personal: bool) -> Response:
    """Show the form for a new token or, if a valid form was sent, create the token.

    Only the response to this request shows the text of the token.
    """
    if form.validate_on_submit():
        try:
            new_token = tokens.create(
                g.actor,
                scope,
                services().vault,
                name=form.name.data,
                role=Role(form.role.data),
                expires_at=end_of_day(form.expires_at.data),
                networks=form.network_texts(),
                is_personal=is_personal,
            )
        except TokenError as error:
            refuse(form, error.message, error.field)
        else:
            return _show_text(new_token, "created")
    status = 422 if form.is_submitted() else 200
    return render(
        "tokens/new.html",
        form=form,
        role_hints=ROLE_HINTS,
        expiry_range=expiry_range(),
        status=status,
    )


def _rotate_page(token: ApiToken | None) -> Response:
    if token is None:
        return _already_revoked()
    try:
        tokens.require_may_rotate(g.actor, token)
    except TokenError as error:
        toast(error.message, "danger")
        return _to_list()
    form, conflict = RotateTokenForm.for_revision(token.revision), None
    if form.validate_on_submit():
        try:
            new_token = tokens.rotate(
                g.actor,
                token,
                services().vault,
                expires_at=end_of_day(form.expires_at.data),
                based_on=form.revision.data,
            )
        except EditConflict as error:
            conflict, form.revision.data = error, error.revision
        except TokenError as error:
            refuse(form, error.message, error.field)
        else:
            return _show_text(new_token, "rotated")
    status = 409 if conflict else 422 if form.is_submitted() else 200
    return render(
        "tokens/rotate.html",
        token=token,
        form=form,
        expiry_range=expiry_range(),
        conflict=conflict,
        status=status,
    )


def _revoke_page(token: ApiToken | None) -> Response:
    if token is None:
        return _already_revoked()
    form, conflict = ConfirmForm.for_revision(token.revision), None
    if form.validate_on_submit():
        try:
            tokens.revoke(g.actor, token, form.revision.data)
        except EditConflict as error:
            conflict, form.revision.data = error, error.revision
        except TokenError:
            return _already_revoked()
        else:
            toast(f"Token “{token.name}” revoked.")
            return _to_list()
    status = 409 if conflict else 200
    return render("tokens/revoke.html", token=token, form=form, conflict=conflict, status=status)


def _show_text(new_token: NewToken, verb: str) -> Response:
    """Show the text of a new or rotated token. `verb` is 'created' or 'rotated'."""
    return render("tokens/created.html", token=new_token.token, text=new_token.text, verb=verb)


def _already_revoked() -> Response:
    toast(REVOKED, "warning")
    return _to_list()


def _already_deleted() -> Response:
    toast(token_rules.DELETED, "warning")
    return _to_list()


def _to_list() -> Response:
    return redirect(url_for(".token_list"))
