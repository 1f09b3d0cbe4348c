"""New Image: choose a cloud, give what finds the image, NEXT reads it, confirm, REGISTER."""

from __future__ import annotations

from flask import Response, abort, g, request, url_for

from models import CloudCredentials, Level
from webapp import cloud_credentials, members, operating_systems, registration
from webapp.access import Right
from webapp.clouds import CLOUDS
from webapp.clouds.base import Cloud, CloudError, InvalidImageId, Location
from webapp.forms import ImageForm, SelectImageForm, refuse
from webapp.receipts import Receipt, ReceiptExpired, ReceiptInvalid
from webapp.registration import AlreadyRegistered, RegistrationError
from webapp.rendering import redirect, render, toast
from webapp.services import services
from webapp.vault import VaultError
from webapp.views.scope_pages import needs, pages

LABEL = "New Image"


@pages.get("/images/new")
@needs(Right.EDIT_IMAGES)
def new_image() -> Response:
    """The cloud selector, opened at the first cloud that this scope has credentials for."""
    usable = {row.cloud for row in cloud_credentials.usable_at(g.scope)}
    first = next((key for key in CLOUDS if key in usable), next(iter(CLOUDS)))
    return _select(CLOUDS[first])


@pages.get("/images/new/<cloud_key>")
@needs(Right.EDIT_IMAGES)
def select_image(cloud_key: str) -> Response:
    """One cloud's form. The page asks for it once more with `live`, to offer the locations that
    the credentials really may use without making anybody wait for the form."""
    return _select(_cloud(cloud_key))


@pages.get("/images/new/<cloud_key>/confirm")
@needs(Right.EDIT_IMAGES)
def confirm_image(cloud_key: str) -> Response:
    """NEXT: read the image and show the confirmation. Changes nothing: reload, share, go back."""
    cloud = _cloud(cloud_key)
    form = _select_form(cloud)
    try:
        receipt = registration.look_up(
            g.actor,
            g.scope,
            services().vault,
            cloud.key,
            credentials_id=form.credentials.data,
            location=form.location.data if form.location else "",
            image_id=form.image_id.data,
        )
    except AlreadyRegistered as error:
        return _select(cloud, form, error)
    except RegistrationError as error:
        refuse(form, str(error), error.field)
    except InvalidImageId as error:
        refuse(form, str(error), "image_id")
    except (CloudError, VaultError) as error:
        refuse(form, str(error))
    else:
        return _confirm(receipt, _prefilled(receipt))
    return _select(cloud, form, status=422)


@pages.post("/images")
@needs(Right.EDIT_IMAGES)
def register_image() -> Response:
    form = ImageForm()
    try:
        receipt = services().receipts.open(g.actor, g.scope, form.receipt.data or "")
    except ReceiptInvalid:
        abort(400)
    except ReceiptExpired:
        toast("The look-up is more than half an hour old. Press NEXT once more.", "warning")
        return redirect(url_for(".new_image"))
    if form.validate():
        try:
            image = registration.register(g.actor, g.scope, receipt, form.choices())
        except AlreadyRegistered as error:
            toast("This image is registered already. Here it is.", "warning")
            return redirect(url_for(".image", image_id=error.image.id))
        except RegistrationError as error:
            refuse(form, str(error), error.field)
        else:
            toast(f"“{image.name}” is registered at {g.scope.label}.")
            return redirect(url_for(".image", image_id=image.id))
    return _confirm(receipt, form, status=422)


def _cloud(key: str) -> Cloud:
    if key not in CLOUDS:
        abort(404)
    return CLOUDS[key]


def _select(
    cloud: Cloud,
    form: SelectImageForm | None = None,
    taken: AlreadyRegistered | None = None,
    status: int = 200,
) -> Response:
    form = form or _select_form(cloud)
    manages = g.actor.may(Right.MANAGE_CREDENTIALS, g.scope)
    return render(
        "new_image.html",
        fragment="_new_image.html",
        label=LABEL,
        cloud=cloud,
        form=form,
        taken=taken.image if taken else None,
        live="live" in request.args,
        manages_credentials=manages,
        admins=[] if manages else members.admins_of(g.scope),
        status=409 if taken else status,
    )


def _confirm(receipt: Receipt, form: ImageForm, status: int = 200) -> Response:
    form.receipt.data = services().receipts.issue(g.actor, g.scope, receipt)
    if g.scope.level is Level.ENVIRONMENT:
        del form.shared
    credentials = cloud_credentials.usable_at(g.scope, receipt.cloud)
    return render(
        "new_image.html",
        fragment="_new_image.html",
        label=LABEL if request.method == "GET" else "",
        cloud=CLOUDS[receipt.cloud],
        receipt=receipt,
        details=receipt.details,
        credentials=next((row for row in credentials if row.id == receipt.credentials_id), None),
        suggestion=operating_systems.guess(receipt.details.os_texts),
        form=form,
        status=status,
    )


def _prefilled(receipt: Receipt) -> ImageForm:
    form = ImageForm(formdata=None)
    suggestion = operating_systems.guess(receipt.details.os_texts)
    form.name.data = registration.suggested_name(receipt)
    form.size_gb.data = receipt.details.size_gb
    form.agent_installed.data = form.shared.data = True
    if suggestion:
        form.show_os(suggestion.family, suggestion.version)
    return form


def _select_form(cloud: Cloud) -> SelectImageForm:
    usable = cloud_credentials.usable_at(g.scope, cloud.key)
    form = SelectImageForm.of(cloud, usable, request.args)
    if form.location and usable:
        chosen = next(row for row in usable if row.id == form.credentials.data)
        form.offer_locations(_locations(cloud, chosen))
    return form


def _locations(cloud: Cloud, chosen: CloudCredentials) -> tuple[Location, ...]:
    if "live" in request.args:
        try:
            return cloud.locations(services().vault.reveal(chosen))
        except (CloudError, VaultError):
            pass  # The list known without asking serves as well; NEXT says what is wrong.
    return cloud.default_locations(chosen.settings)
