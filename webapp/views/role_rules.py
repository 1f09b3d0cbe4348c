"""The pages for the rules that give roles to people who sign in at identity providers.

The pages of a scope show the rules of the scope and of the scopes below it. A new rule belongs to
the scope of the page.
"""

from __future__ import annotations

from typing import Any

from flask import Response, g, request, url_for

from models import ProviderRule, Role
from webapp.access import Right
from webapp.forms.base import ConfirmForm, refuse
from webapp.forms.role_rules import NewRoleRuleForm, RoleRuleForm
from webapp.forms.tokens import ROLE_HINTS
from webapp.revisions.conflicts import EditConflict, RecordDeleted
from webapp.single_sign_on import role_rules
from webapp.single_sign_on.configuration import Provider
from webapp.single_sign_on.role_rules import RoleRuleError, RolesAtRisk
from webapp.views.conflicts import ConflictPage, Row
from webapp.views.members import ROLE_ROWS
from webapp.views.missing import abort_missing
from webapp.views.scope_pages import needs, pages
from webapp.views.step_up import needs_proof
from webapp.web.rendering import redirect, render, toast
from webapp.web.services import services

ROWS = (Row("Claim", ["claim"]), Row("Value", ["value"]), *ROLE_ROWS)
"""The rows of the conflict page of a rule (`webapp.views.conflicts`)."""
OPTION = ("confirmed", "Save even if members lose roles")
"""The name and the label of the checkbox on the conflict page of a rule."""


@pages.get("/role-rules")
@needs(Right.MANAGE_MEMBERS)
def role_rule_list() -> Response:
    found = role_rules.rules_at(g.actor, g.scope)
    in_file = role_rules.rules_in_file(g.actor, g.scope, _providers())
    return render(
        "role_rules/role_rules.html",
        label="Role rules",
        found=found,
        in_file=in_file,
        providers=_providers(),
        label_of=_label,
        is_configured=lambda rule: services().single_sign_on.provider_of(rule.issuer) is not None,
    )


@pages.route("/role-rules/new", methods=["GET", "POST"])
@needs(Right.MANAGE_MEMBERS)
@needs_proof
def new_role_rule() -> Response:
    form = NewRoleRuleForm.for_providers(_providers())
    if form.validate_on_submit():
        client = services().single_sign_on.clients[form.provider.data]
        try:
            rule = role_rules.create(
                g.actor,
                g.scope,
                client.provider,
                **_entered_values(form),
                accepts_losses=form.confirmed.data,
            )
        except RoleRuleError as error:
            return _form_page(form, at_risk=_show_error(form, error))
        toast(f"Rule for “{rule.value}” created.")
        return _to_list()
    return _form_page(form)


@pages.route("/role-rules/<int:role_rule_id>/edit", methods=["GET", "POST"])
@needs(Right.MANAGE_MEMBERS)
@needs_proof
def edit_role_rule(role_rule_id: int) -> Response:
    rule = _rule_or_404(role_rule_id)
    label = _label(rule)
    conflict_page = ConflictPage(rule, rule.value, ROWS, url_for(".role_rule_list"), OPTION)
    if conflict_page.is_answered:
        return conflict_page.save_answer(
            lambda values, revision: role_rules.edit(
                g.actor,
                rule,
                label,
                claim=values["claim"],
                value=values["value"],
                role=Role(values["role"]),
                accepts_losses=OPTION[0] in request.form,
                based_on=revision,
            )
        ) or _saved(rule)
    form = RoleRuleForm.for_rule(rule)
    if form.validate_on_submit():
        try:
            role_rules.edit(
                g.actor,
                rule,
                label,
                **_entered_values(form),
                accepts_losses=form.confirmed.data,
                based_on=form.revision.data,
            )
        except EditConflict as conflict:
            return conflict_page.show(conflict)
        except RoleRuleError as error:
            return _form_page(form, rule=rule, at_risk=_show_error(form, error))
        return _saved(rule)
    return _form_page(form, rule=rule)


@pages.route("/role-rules/<int:role_rule_id>/delete", methods=["GET", "POST"])
@needs(Right.MANAGE_MEMBERS)
@needs_proof
def delete_role_rule(role_rule_id: int) -> Response:
    rule = role_rules.find_at(g.actor, g.scope, role_rule_id)
    if rule is None:
        return _already_deleted()
    form, conflict = ConfirmForm.for_revision(rule.revision), None
    if form.validate_on_submit():
        try:
            role_rules.delete(g.actor, rule, _label(rule), form.revision.data)
        except EditConflict as error:
            conflict, form.revision.data = error, error.revision
        except RecordDeleted:
            return _already_deleted()
        else:
            toast(f"Rule for “{rule.value}” removed.")
            return _to_list()
    provider = services().single_sign_on.provider_of(rule.issuer)
    return render(
        "role_rules/delete.html",
        rule=rule,
        provider=_label(rule),
        is_last_for_scope=role_rules.is_last(rule, provider),
        members=role_rules.members_at_risk(rule.scope, rule.issuer),
        form=form,
        conflict=conflict,
        status=409 if conflict else 200,
    )


def _providers() -> list[Provider]:
    return [client.provider for client in services().single_sign_on.clients.values()]


def _label(rule: ProviderRule) -> str:
    return services().single_sign_on.label_of(rule.issuer)


def _entered_values(form: RoleRuleForm) -> dict[str, Any]:
    return {
        "claim": form.claim.data,
        "value": form.value.data,
        "role": Role(form.role.data),
    }


def _show_error(form: RoleRuleForm, error: RoleRuleError) -> bool:
    """Show the error on the form. Return whether the person can confirm and save nevertheless."""
    refuse(form, error.message, error.field)
    return isinstance(error, RolesAtRisk)


def _form_page(
    form: RoleRuleForm, *, rule: ProviderRule | None = None, at_risk: bool = False
) -> Response:
    return render(
        "role_rules/edit.html",
        form=form,
        rule=rule,
        rule_scope=rule.scope if rule else g.scope,
        provider=_label(rule) if rule else "",
        providers=_providers(),
        at_risk=at_risk,
        role_hints=ROLE_HINTS,
        status=422 if form.is_submitted() else 200,
    )


def _rule_or_404(rule_id: int) -> ProviderRule:
    rule = role_rules.find_at(g.actor, g.scope, rule_id)
    if rule is None:
        abort_missing(ProviderRule(id=rule_id).reference, form=RoleRuleForm)
    return rule


def _saved(rule: ProviderRule) -> Response:
    toast(f"Rule for “{rule.value}” saved.")
    return _to_list()


def _already_deleted() -> Response:
    toast(role_rules.DELETED, "warning")
    return _to_list()


def _to_list() -> Response:
    return redirect(url_for(".role_rule_list"))
