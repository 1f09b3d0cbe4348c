"""The pages that list, add, edit, check and delete Cloud Credentials."""

from __future__ import annotations

from functools import partial
from typing import Any

from flask import Response, abort, g, request, url_for

from models import CloudCredentials
from webapp.access import Right
from webapp.clouds import CLOUDS
from webapp.clouds.base import Cloud
from webapp.clouds.errors import CloudError
from webapp.credentials import cloud_credentials
from webapp.forms.base import ActionForm, ConfirmForm, refuse
from webapp.forms.credentials import cleared_secrets, credential_values, credentials_form
from webapp.jobs import scope_deletion
from webapp.refusals import Refusal
from webapp.revisions.conflicts import EditConflict
from webapp.views.arguments import search_text
from webapp.views.conflicts import ConflictPage, Row, Values
from webapp.views.missing import abort_missing
from webapp.views.scope_pages import needs, pages
from webapp.views.step_up import needs_proof
from webapp.web.rendering import redirect, render, toast
from webapp.web.services import services


@pages.get("/credentials")
@needs(Right.LIST_CREDENTIALS)
def credentials() -> Response:
    text = search_text()
    found = cloud_credentials.find_usable_at(g.scope, text)
    problems = {row.id: services().vault.problem_of(row) for row in found.rows}
    return render(
        "credentials/credentials.html",
        label="Cloud Credentials",
        found=found,
        problems=problems,
        text=text,
    )


@pages.get("/credentials/new")
@needs(Right.MANAGE_CREDENTIALS)
@needs_proof
def new_credentials() -> Response:
    """Show the list of clouds to choose from."""
    return render("credentials/new.html", label="New Cloud Credentials")


@pages.route("/credentials/new/<cloud_key>", methods=["GET", "POST"])
@needs(Right.MANAGE_CREDENTIALS)
@needs_proof
def add_credentials(cloud_key: str) -> Response:
    if cloud_key not in CLOUDS:
        abort(404)
    cloud = CLOUDS[cloud_key]
    services().warm_up.request(cloud.key)
    form = credentials_form(cloud)
    context: dict[str, Any] = {}
    if form.validate_on_submit():
        try:
            row = cloud_credentials.add(
                g.actor,
                g.scope,
                services().vault,
                cloud.key,
                form.name.data,
                credential_values(cloud, form),
                checked=not form.skip_check.data,
            )
        except (Refusal, CloudError) as error:
            context = _show_error(form, error)
        else:
            return _saved(row)
    return _form_page(cloud, form, credentials=None, **context)


@pages.route("/credentials/<int:credentials_id>/edit", methods=["GET", "POST"])
@needs(Right.MANAGE_CREDENTIALS)
@needs_proof
def edit_credentials(credentials_id: int) -> Response:
    row = _credentials_or_404(credentials_id)
    cloud = CLOUDS[row.cloud]
    conflict_page = _conflict_page(cloud, row)
    if conflict_page.is_answered:
        return conflict_page.save_answer(
            lambda values, revision: _save_values(row, values, revision)
        ) or _saved(row)
    problem = services().vault.problem_of(row)
    form = credentials_form(cloud, credentials=row, has_secrets=problem is None)
    context: dict[str, Any] = {}
    if form.validate_on_submit():
        try:
            cloud_credentials.edit(
                g.actor,
                row,
                services().vault,
                form.name.data,
                credential_values(cloud, form),
                cleared=cleared_secrets(cloud, form),
                checked=not form.skip_check.data,
                based_on=form.revision.data,
            )
        except EditConflict as conflict:
            return conflict_page.show(conflict)
        except (Refusal, CloudError) as error:
            context = _show_error(form, error)
        else:
            return _saved(row)
    return _form_page(cloud, form, credentials=row, problem=problem, **context)


def _conflict_page(cloud: Cloud, row: CloudCredentials) -> ConflictPage:
    rows = [Row("Name", ["name"])]
    for field in cloud.credential_fields:
        show = partial(_secret_text, field.name) if field.secret else None
        rows.append(Row(field.label, [field.name], show))
    option = ("skip_check", "Save without checking")
    return ConflictPage(row, row.name, rows, url_for(".credentials"), option)


def _secret_text(name: str, values: Values) -> str:
    """Return a text that describes the value of a secret field without showing it."""
    value = values[name]
    if value is None:
        return "Remove the stored value"
    return "The value that you entered" if value else "The stored value"


def _save_values(row: CloudCredentials, values: Values, revision: int) -> None:
    """Save the values from the conflict page. The value None removes a stored secret."""
    entered = {name: value or "" for name, value in values.items() if name != "name"}
    cloud_credentials.edit(
        g.actor,
        row,
        services().vault,
        values["name"],
        entered,
        cleared=[name for name, value in values.items() if value is None],
        checked="skip_check" not in request.form,
        based_on=revision,
    )


def _saved(row: CloudCredentials) -> Response:
    toast(_saved_message(row))
    return redirect(url_for(".credentials"))


@pages.post("/credentials/<int:credentials_id>/check")
@needs(Right.MANAGE_CREDENTIALS)
def check_credentials(credentials_id: int) -> Response:
    row = _credentials_or_404(credentials_id)
    if ActionForm().validate_on_submit():
        try:
            identity = cloud_credentials.check(g.actor, row, services().vault)
        except (Refusal, CloudError) as error:
            toast(f"“{row.name}”: {error}", "danger")
        else:
            toast(f"“{row.name}” is valid: {identity.description}.")
    return redirect(url_for(".credentials"))


@pages.route("/credentials/<int:credentials_id>/delete", methods=["GET", "POST"])
@needs(Right.MANAGE_CREDENTIALS)
@needs_proof
def delete_credentials(credentials_id: int) -> Response:
    row = _credentials_or_404(credentials_id)
    form = ConfirmForm.for_revision(row.revision)
    conflict = None
    if form.validate_on_submit():
        try:
            job = scope_deletion.delete_credentials(
                g.actor, row, services().vault, form.revision.data
            )
        except EditConflict as error:
            conflict, form.revision.data = error, error.revision
        else:
            if job.state != "done":
                return redirect(url_for(".job", job_id=job.id))
            toast(f"Credentials “{row.name}” deleted.")
            return redirect(url_for(".credentials"))
    return render(
        "credentials/delete.html",
        credentials=row,
        form=form,
        images=cloud_credentials.images_using(row),
        conflict=conflict,
        status=409 if conflict else 200,
    )


def _credentials_or_404(credentials_id: int) -> CloudCredentials:
    row = cloud_credentials.find_owned(g.actor, g.scope, credentials_id)
    if row is None:
        abort_missing(CloudCredentials(id=credentials_id).reference)
    return row


def _form_page(cloud: Cloud, form: Any, **context: Any) -> Response:
    status = 422 if form.is_submitted() else 200
    # A page without a label can't be added to the bookmarks bar.
    label = "" if form.is_submitted() else f"{cloud.label} Credentials"
    return render(
        "credentials/edit.html", label=label, cloud=cloud, form=form, status=status, **context
    )


def _show_error(form: Any, error: Refusal | CloudError) -> dict[str, Any]:
    """Show the error on the form and return the template's context.

    If the error came from the cloud, the page offers to save without the check.
    """
    if isinstance(error, Refusal):
        refuse(form, error.message, error.field)
        return {}
    refuse(form, str(error), getattr(error, "field", ""))
    return {"offer_skip_check": True}


def _saved_message(row: CloudCredentials) -> str:
    if row.checked_at is None:
        return f"“{row.name}” saved without a check."
    return f"“{row.name}” saved. Cloud account: {row.account}."
