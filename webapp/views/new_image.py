"""New Image: choose a cloud, give what finds the image, NEXT reads it, confirm, REGISTER."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Any

from flask import Response, abort, g, request, url_for

from models import Level
from webapp.access import Right
from webapp.clouds import CLOUDS, clouds_for_image_id
from webapp.clouds.base import Cloud, CloudError, ImageId, InvalidImageId
from webapp.credentials import cloud_credentials
from webapp.credentials.vault import VaultError
from webapp.forms.base import refuse
from webapp.forms.images import ImageForm
from webapp.forms.new_image import PasteForm, SelectImageForm
from webapp.images import operating_systems, registration
from webapp.images.identity import AlreadyRegistered
from webapp.images.receipts import Receipt, ReceiptExpired, ReceiptInvalid
from webapp.people import members
from webapp.refusals import Refusal
from webapp.views.scope_pages import needs, pages
from webapp.web.rendering import redirect, render, toast
from webapp.web.services import services

LABEL = "New Image"


@pages.get("/images/new")
@needs(Right.EDIT_IMAGES)
def new_image() -> Response:
    """The cloud selector, opened at the first cloud that this scope has credentials for; with an
    id that was pasted, at the cloud that has such ids."""
    usable = {row.cloud for row in cloud_credentials.usable_at(g.scope)}
    if "paste" in request.args:
        return _paste(usable)
    first = next((key for key in CLOUDS if key in usable), next(iter(CLOUDS)))
    return _select(CLOUDS[first])


@pages.get("/images/new/<cloud_key>")
@needs(Right.EDIT_IMAGES)
def select_image(cloud_key: str) -> Response:
    """One cloud's form. The page asks for it once more with `live`, to offer the locations that
    the credentials really may use, and images where they are listed, without making anybody wait
    for the form."""
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
            location=form.given("location"),
            image_id=form.given("image_id"),
        )
    except AlreadyRegistered as error:
        return _select(cloud, form, error)
    except Refusal as error:
        refuse(form, error.message, error.field)
        _offer(cloud, form, live=cloud.lists_images)
    except InvalidImageId as error:
        refuse(form, str(error), "image_id")
        _offer(cloud, form, live=cloud.lists_images)
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
            image = registration.register(
                g.actor, g.scope, receipt, form.choices(), form.compute_resource.data or ""
            )
        except AlreadyRegistered as error:
            toast("This image is registered already. Here it is.", "warning")
            return redirect(url_for(".image", image_id=error.image.id))
        except Refusal as error:
            refuse(form, error.message, error.field)
        else:
            toast(f"“{image.name}” is registered at {g.scope.label}.")
            return redirect(url_for(".image", image_id=image.id))
    return _confirm(receipt, form, status=422)


def _cloud(key: str) -> Cloud:
    if key not in CLOUDS:
        abort(404)
    return CLOUDS[key]


def _paste(usable: AbstractSet[str]) -> Response:
    """Go on with the cloud that the pasted text is an id of. Where several write their ids alike,
    one that this scope has credentials for; where that leaves several, the person chooses."""
    form = PasteForm(request.args)
    found = clouds_for_image_id(form.paste.data)
    likely = [each for each in found if each[0].key in usable] or found
    if len(likely) == 1:
        ((cloud, image_id),) = likely
        return redirect(_address(cloud, image_id))
    if not likely:
        refuse(form, _unrecognised(form.paste.data), "paste")
    return render(
        "new_image/new_image.html",
        fragment="new_image/_new_image.html",
        label=LABEL,
        paste=form,
        likely=[(cloud, _address(cloud, image_id)) for cloud, image_id in likely],
        status=200 if likely else 422,
    )


def _address(cloud: Cloud, image_id: ImageId) -> str:
    """Of the cloud's form, filled with what the text said."""
    given: dict[str, Any] = {"image_id": image_id.value, "location": image_id.location or None}
    return url_for(".select_image", cloud_key=cloud.key, **given)


def _unrecognised(text: str) -> str:
    if not text:
        return "Paste an image id, or choose the cloud first."
    return "No cloud writes its image ids like this. Copy it again, or choose the cloud first."


def _select(
    cloud: Cloud,
    form: SelectImageForm | None = None,
    taken: AlreadyRegistered | None = None,
    status: int = 200,
) -> Response:
    form = form or _select_form(cloud)
    manages = g.actor.may(Right.MANAGE_CREDENTIALS, g.scope)
    return render(
        "new_image/new_image.html",
        fragment="new_image/_new_image.html",
        label=LABEL,
        paste=PasteForm(),
        cloud=cloud,
        form=form,
        taken=taken.image if taken else None,
        live="live" in request.args,
        manages_credentials=manages,
        admins=[] if manages else members.admins_at(g.scope),
        status=409 if taken else status,
    )


def _confirm(receipt: Receipt, form: ImageForm, status: int = 200) -> Response:
    form.receipt.data = services().receipts.issue(g.actor, g.scope, receipt)
    if g.scope.level is Level.ENVIRONMENT:
        del form.shared
    taken = registration.compute_resources_taken(g.scope, receipt)
    form.offer_compute_resources(receipt.details.compute_resources, taken)
    credentials = cloud_credentials.usable_at(g.scope, receipt.cloud)
    return render(
        "new_image/new_image.html",
        fragment="new_image/_new_image.html",
        label=LABEL if request.method == "GET" else "",
        paste=PasteForm(),
        cloud=CLOUDS[receipt.cloud],
        receipt=receipt,
        same_image=taken.values(),
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
    _offer(cloud, form, live="live" in request.args)
    return form


def _offer(cloud: Cloud, form: SelectImageForm, *, live: bool) -> None:
    """The locations known without asking; with `live`, those that the cloud says, and the images
    of the chosen one. Where nothing is known without asking, a failure to ask is told; else NEXT
    will say what is wrong."""
    usable = cloud_credentials.usable_at(g.scope, cloud.key)
    chosen = next((row for row in usable if row.id == form.credentials.data), None)
    if chosen is None or not cloud.location_field:
        return
    form.offer_locations(cloud.default_locations(chosen.settings))
    if not live:
        return
    try:
        credentials = services().vault.reveal(chosen)
        locations = cloud.locations(credentials)
        form.offer_locations(locations)
        if not cloud.lists_images:
            return
        if len(locations) == 1:
            form["location"].data = locations[0].key
        if location := form.given("location"):
            form.offer_images(cloud.images(credentials, location))
    except (CloudError, VaultError) as error:
        if cloud.lists_images:
            refuse(form, str(error), "location")
