"""The pages of cloud credentials: list, add, edit, check, delete."""

from __future__ import annotations

from typing import Any

from flask import Response, abort, g, url_for

from models import CloudCredentials
from webapp.access import Right
from webapp.clouds import CLOUDS
from webapp.clouds.base import Cloud, CloudError
from webapp.credentials import cloud_credentials
from webapp.credentials.cloud_credentials import CredentialsError
from webapp.credentials.vault import VaultError
from webapp.forms.base import ActionForm, refuse
from webapp.forms.credentials import cleared_secrets, credential_values, credentials_form
from webapp.views.scope_pages import needs, pages
from webapp.web.rendering import redirect, render, toast
from webapp.web.services import services


@pages.get("/credentials")
@needs(Right.LIST_CREDENTIALS)
def credentials() -> Response:
    rows = cloud_credentials.usable_at(g.scope)
    form = ActionForm()
    return render("credentials/credentials.html", label="Cloud Credentials", rows=rows, form=form)


@pages.get("/credentials/new")
@needs(Right.MANAGE_CREDENTIALS)
def new_credentials() -> Response:
    """Choose the cloud."""
    return render("credentials/new.html", label="New Cloud Credentials")


@pages.route("/credentials/new/<cloud_key>", methods=["GET", "POST"])
@needs(Right.MANAGE_CREDENTIALS)
def add_credentials(cloud_key: str) -> Response:
    if cloud_key not in CLOUDS:
        abort(404)
    cloud = CLOUDS[cloud_key]
    services().warm_up.want(cloud.key)
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
                checked=not form.unchecked.data,
            )
        except (CredentialsError, CloudError) as error:
            context = _refused(form, error)
        else:
            toast(_saved(row))
            return redirect(url_for(".credentials"))
    return _form_page(cloud, form, **context)


@pages.route("/credentials/<int:credentials_id>/edit", methods=["GET", "POST"])
@needs(Right.MANAGE_CREDENTIALS)
def edit_credentials(credentials_id: int) -> Response:
    row = _own(credentials_id)
    cloud = CLOUDS[row.cloud]
    form = credentials_form(cloud, stored=row)
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
                checked=not form.unchecked.data,
            )
        except (CredentialsError, CloudError, VaultError) as error:
            context = _refused(form, error)
        else:
            toast(_saved(row))
            return redirect(url_for(".credentials"))
    return _form_page(cloud, form, row=row, **context)


@pages.post("/credentials/<int:credentials_id>/check")
@needs(Right.MANAGE_CREDENTIALS)
def check_credentials(credentials_id: int) -> Response:
    row = _own(credentials_id)
    if ActionForm().validate_on_submit():
        try:
            identity = cloud_credentials.check(g.actor, row, services().vault)
        except (CloudError, VaultError) as error:
            toast(f"“{row.name}”: {error}", "danger")
        else:
            toast(f"“{row.name}” work: {identity.description}.")
    return redirect(url_for(".credentials"))


@pages.route("/credentials/<int:credentials_id>/delete", methods=["GET", "POST"])
@needs(Right.MANAGE_CREDENTIALS)
def delete_credentials(credentials_id: int) -> Response:
    row = _own(credentials_id)
    form = ActionForm()
    if form.validate_on_submit():
        cloud_credentials.delete(g.actor, row)
        toast(f"The credentials “{row.name}” are deleted.")
        return redirect(url_for(".credentials"))
    used = cloud_credentials.images_of(row)
    return render("credentials/delete.html", row=row, form=form, images=used)


def _own(credentials_id: int) -> CloudCredentials:
    row = cloud_credentials.owned(g.actor, g.scope, credentials_id)
    if row is None:
        abort(404)
    return row


def _form_page(cloud: Cloud, form: Any, **context: Any) -> Response:
    status = 422 if form.is_submitted() else 200
    label = "" if form.is_submitted() else f"{cloud.label} Credentials"
    return render(
        "credentials/edit.html", label=label, cloud=cloud, form=form, status=status, **context
    )


def _refused(form: Any, error: CredentialsError | CloudError | VaultError) -> dict[str, Any]:
    """After a refusal by the cloud, saving without checking is offered."""
    refuse(form, str(error), getattr(error, "field", ""))
    return {"offer_unchecked": isinstance(error, CloudError)}


def _saved(row: CloudCredentials) -> str:
    if row.checked_at is None:
        return f"“{row.name}” are saved, not checked."
    return f"“{row.name}” are saved. They belong to account {row.account}."
