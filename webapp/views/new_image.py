"""New Image: choose a cloud and an image, then confirm the details of the image.

NEXT and REGISTER are the buttons of the two steps. NEXT looks up the chosen image in its cloud.
REGISTER saves the image. The confirmation page contains the receipt, which is the signed record of
the look-up. REGISTER takes the details of the image from the receipt.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Any

from flask import Response, abort, g, request, url_for
from werkzeug.datastructures import MultiDict

from models import Image, Level
from webapp.access import Right
from webapp.clouds import CLOUDS, recognize_image_id
from webapp.clouds.base import Cloud
from webapp.clouds.errors import CloudError, InvalidImageId
from webapp.clouds.locators import ImageId
from webapp.credentials import cloud_credentials
from webapp.credentials.vault import VaultError
from webapp.forms.base import refuse
from webapp.forms.fields import record_id
from webapp.forms.images import ImageForm
from webapp.forms.new_image import PasteForm, SelectImageForm
from webapp.images import operating_systems, registration
from webapp.images.identity import AlreadyRegistered
from webapp.images.receipts import Receipt, ReceiptExpired, ReceiptInvalid
from webapp.images.registration import (
    CredentialsChanged,
    CredentialsDeleted,
    CredentialsNotUsable,
)
from webapp.images.replacements import find_replacement
from webapp.people import members
from webapp.refusals import Refusal
from webapp.search import catalogue
from webapp.views import more_images
from webapp.views.image_access import image_url, visible_image_or_404
from webapp.views.scope_pages import needs, pages
from webapp.web.rendering import redirect, render, toast
from webapp.web.resumed_forms import RESUMED, is_resumed, resumed_message
from webapp.web.services import services

LABEL = "New Image"
LONGEST_URL = 3500
"""The maximum length of a URL that contains what a person entered, in characters.

Servers refuse very long URLs. `static/app.js` has the same limit.
"""


@pages.get("/images/new")
@needs(Right.EDIT_IMAGES)
def new_image() -> Response:
    """Show the form of the first cloud for which this scope can use credentials.

    If the URL has a pasted image ID (`paste`), redirect to the form of the cloud that the ID
    belongs to.
    """
    usable_clouds = {row.cloud for row in cloud_credentials.usable_at(g.scope)}
    if "paste" in request.args:
        return _detect_cloud(usable_clouds)
    first = next((key for key in CLOUDS if key in usable_clouds), next(iter(CLOUDS)))
    return _select_page(CLOUDS[first])


@pages.get("/images/new/<cloud_key>")
@needs(Right.EDIT_IMAGES)
def select_image(cloud_key: str) -> Response:
    """Show the form of one cloud.

    The first request does not contact the cloud, so the form appears quickly. If the form has a
    field for the location, the page then sends a second request, with the parameter `live`. The
    second request reads the locations that the credentials can use. If people choose images of this
    cloud from a list, the second request also reads the images.
    """
    return _select_page(_cloud_or_404(cloud_key))


@pages.get("/images/new/<cloud_key>/confirm")
@needs(Right.EDIT_IMAGES)
def confirm_image(cloud_key: str) -> Response:
    """NEXT: look up the image and show its details. Nothing is saved, so reloading is safe."""
    cloud = _cloud_or_404(cloud_key)
    form = _select_form(cloud)
    if not form.validate():
        _offer_choices(cloud, form, live=cloud.lists_images)
        return _select_page(cloud, form, status=422)
    try:
        receipt = _look_up(cloud, form)
    except AlreadyRegistered as error:
        return _select_page(cloud, form, registered=error)
    except Refusal as error:
        refuse(form, error.message, error.field)
        _offer_choices(cloud, form, live=cloud.lists_images)
    except (CloudError, VaultError) as error:
        refuse(form, str(error))
    else:
        entered_form = _entered_form(form)
        if entered_form and RESUMED in request.args:
            refuse(entered_form, resumed_message())
        context = more_images.copies_of(receipt) if "copies" in request.args else {}
        return _confirm_page(receipt, entered_form or _suggested_form(receipt), **context)
    return _select_page(cloud, form, status=422)


@pages.get("/images/<int:image_id>/similar")
@needs(Right.EDIT_IMAGES)
def new_similar_image(image_id: int) -> Response:
    """Redirect to the form of the cloud, with the credentials and the location of this image.

    The parameter `like` of the form's URL is the ID of this image, so that the confirmation page
    suggests the settings of this image. Credentials that the scope can't use are left out.
    """
    image = visible_image_or_404(image_id)
    usable = {row.id for row in cloud_credentials.usable_at(g.scope, image.cloud)}
    url = url_for(
        ".select_image",
        cloud_key=image.cloud,
        credentials=image.credentials_id if image.credentials_id in usable else None,
        location=image.location or None,
        like=image.id,
    )
    return redirect(url)


@pages.post("/images")
@needs(Right.EDIT_IMAGES)
def register_image() -> Response:
    """REGISTER: save the image. BACK: return to the first step with everything that was entered.

    If the form contains `another`, save the image, and then open the first step again with the same
    cloud, credentials and location.

    If the session had ended and the person has signed in again, save nothing and redirect to the
    confirmation page. A person can reload that page, but not the response to a POST.
    """
    form = ImageForm()
    if "back" in request.form and (url := _url_with_entries(form, ".select_image")):
        return redirect(url)
    if (
        is_resumed()
        and request.args.get("cloud") in CLOUDS
        and request.args.get("image_id")
        and (url := _url_with_entries(form, ".confirm_image", **{RESUMED: request.form[RESUMED]}))
    ):
        return redirect(url)
    return _register(form)


def _register(form: ImageForm) -> Response:
    """Save the image, with the details from the receipt."""
    is_valid = form.validate()
    reason = "You chose other credentials." if form.credentials.data else ""
    try:
        receipt = services().receipts.open(g.actor, g.scope, form.receipt.data or "")
    except ReceiptInvalid as error:
        return _replace_receipt(form, error)
    except ReceiptExpired as error:
        receipt, reason = error.receipt, error.message
    if reason:
        return _look_up_again(receipt, form, reason)
    if is_valid and (response := _save(receipt, form)):
        return response
    return _confirm_page(receipt, form, status=422)


def _save(receipt: Receipt, form: ImageForm) -> Response | None:
    """Save the image and the other images that are ticked.

    If the confirmation page must show an error, return None. If the error is that the scope can't
    use the credentials, `_confirm_page` adds the error to the form. This function adds any other
    error.
    """
    try:
        choices, resource = form.choices(), form.compute_resource.data or ""
        if response := more_images.register_together(receipt, choices, resource):
            return response
        image = registration.register(g.actor, g.scope, receipt, choices, resource)
    except AlreadyRegistered as error:
        return _open_registered(error)
    except CredentialsChanged as error:
        return _look_up_again(receipt, form, error.message)
    except CredentialsNotUsable:
        return None  # `_confirm_page` adds an error to the field for the credentials.
    except Refusal as error:
        refuse(form, error.message, error.field)
        return None
    return _registered(image)


def _registered(image: Image) -> Response:
    """Redirect to the page of the new image or, with `another`, to the form for the next image."""
    if "another" not in request.form:
        toast(f"“{image.name}” is registered at {g.scope.label}.")
        return redirect(image_url(image))
    toast("“{image}” is registered.", image=(image.name, image_url(image)))
    location = request.args.get("location") or image.location
    values: dict[str, Any] = {"credentials": image.credentials_id, "location": location or None}
    return redirect(url_for(".select_image", cloud_key=image.cloud, **values))


def _look_up_again(old_receipt: Receipt, form: ImageForm, reason: str) -> Response:
    """Look up the image of a receipt again, and ask the person to confirm the changes.

    `reason` says why the receipt can't be used anymore. If the credentials of the receipt were
    deleted and the person chose others, the look-up uses the chosen credentials. If the look-up
    fails, the next REGISTER repeats the look-up.
    """
    updated_receipt = replace(
        old_receipt, credentials_id=form.credentials.data or old_receipt.credentials_id
    )
    try:
        receipt = registration.look_up_again(g.actor, g.scope, services().vault, updated_receipt)
    except AlreadyRegistered as error:
        return _open_registered(error)
    except (Refusal, CloudError, VaultError) as error:
        # For credentials that can't be used, the page shows an error at the field for credentials.
        if not isinstance(error, CredentialsNotUsable):
            refuse(form, f"{reason} The image couldn’t be looked up again. {error}")
        return _confirm_page(old_receipt, form, status=422)
    form.receipt.data = None  # The page issues a new receipt.
    changes = registration.changes_between(old_receipt, receipt)
    return _confirm_page(receipt, form, status=422, reason=reason, changes=changes)


def _replace_receipt(form: ImageForm, error: ReceiptInvalid) -> Response:
    """Replace an invalid receipt: look up the image that is named in the URL of the form."""
    cloud = CLOUDS.get(request.args.get("cloud", ""))
    if cloud is None:
        paste = PasteForm()
        refuse(paste, f"{error.message} Look up the image again.", "paste")
        return _paste_page(paste, (), status=400)
    select_form = _select_form(cloud)
    try:
        receipt = _look_up(cloud, select_form)
    except AlreadyRegistered as registered:
        return _open_registered(registered)
    except (Refusal, CloudError) as failure:
        refuse(select_form, f"{error.message} {failure}")
        return _select_page(cloud, select_form, status=400)
    form.receipt.data = None
    return _confirm_page(receipt, form, status=400, reason=error.message)


def _open_registered(error: AlreadyRegistered) -> Response:
    toast("This image is already registered.", "warning")
    return redirect(image_url(error.image))


def _look_up(cloud: Cloud, form: SelectImageForm) -> Receipt:
    return registration.look_up(
        g.actor,
        g.scope,
        services().vault,
        cloud.key,
        credentials_id=form.credentials_id,
        location=form.value_of("location"),
        image_id=form.value_of("image_id"),
    )


def _cloud_or_404(key: str) -> Cloud:
    if key not in CLOUDS:
        abort(404)
    return CLOUDS[key]


def _detect_cloud(usable_clouds: AbstractSet[str]) -> Response:
    """Redirect to the form of the cloud that the pasted image ID belongs to.

    If the ID may belong to several clouds, prefer the clouds for which this scope can use
    credentials (`usable_clouds`). If several clouds remain, show them, so that the person can
    choose.
    """
    form = PasteForm(request.args)
    if not form.validate():
        return _paste_page(form, (), status=422)
    found, problems = recognize_image_id(form.paste.data)
    candidates = [
        (cloud, image_id) for cloud, image_id in found if cloud.key in usable_clouds
    ] or found
    if len(candidates) == 1:
        ((cloud, image_id),) = candidates
        return redirect(_select_url(cloud, image_id))
    if not candidates:
        problems = [each for each in problems if each[0].key in usable_clouds] or problems
        refuse(form, _unrecognized_message(form.paste.data, problems), "paste")
    return _paste_page(form, candidates, status=200 if candidates else 422)


def _paste_page(
    form: PasteForm, candidates: Iterable[tuple[Cloud, ImageId]], status: int
) -> Response:
    """Show the page without a chosen cloud. `candidates` are the clouds to choose from."""
    return render(
        "new_image/new_image.html",
        fragment="new_image/_new_image.html",
        label=LABEL if request.method == "GET" else "",
        paste=form,
        candidates=[(cloud, _select_url(cloud, image_id)) for cloud, image_id in candidates],
        status=status,
    )


def _select_url(cloud: Cloud, image_id: ImageId) -> str:
    """Return the URL of the cloud's form with the image ID filled in.

    The credentials stay chosen if they are for this cloud.
    """
    chosen = request.args.get("credentials")
    usable = {str(row.id) for row in cloud_credentials.usable_at(g.scope, cloud.key)}
    return url_for(
        ".select_image",
        cloud_key=cloud.key,
        credentials=chosen if chosen in usable else None,
        image_id=image_id.value,
        location=image_id.location or None,
    )


def _unrecognized_message(text: str, problems: Sequence[tuple[Cloud, InvalidImageId]]) -> str:
    """Return the reason why no cloud accepts the text.

    `problems` are the clouds to which the text clearly belongs, each with the reason why the text
    is not a valid image ID.
    """
    if not text:
        return "Paste an image ID, or choose a cloud below."
    if len(problems) == 1:
        return str(problems[0][1])
    if problems:
        return " ".join(f"{cloud.label}: {error}" for cloud, error in problems)
    return (
        "This doesn’t look like an image ID from any supported cloud. Check that you copied all of "
        "it, or choose a cloud below."
    )


def _select_form(cloud: Cloud) -> SelectImageForm:
    usable = cloud_credentials.usable_at(g.scope, cloud.key)
    form = SelectImageForm.for_cloud(cloud, usable, request.args)
    _offer_choices(cloud, form, live="live" in request.args)
    return form


def _offer_choices(cloud: Cloud, form: SelectImageForm, *, live: bool) -> None:
    """Offer the locations that are known without a call to the cloud.

    With `live`, also read the locations from the cloud and, if people choose images of this cloud
    from a list, the images at the chosen location. If the cloud cannot be read, show an error only
    for a cloud with such a list. If people can type the image ID instead, NEXT shows the error.
    """
    usable = cloud_credentials.usable_at(g.scope, cloud.key)
    chosen = next((row for row in usable if row.id == form.credentials_id), None)
    if chosen is None or not cloud.location_field:
        return
    form.offer_locations(cloud.default_locations(chosen.settings))
    if not live:
        return
    form.is_live = True
    try:
        credentials = services().vault.reveal(chosen)
        locations = cloud.locations(credentials)
        form.offer_locations(locations)
        if not cloud.lists_images:
            return
        if len(locations) == 1:
            form["location"].data = locations[0].key
        if location := form.value_of("location"):
            form.offer_images(cloud.images(credentials, location))
    except (CloudError, VaultError) as error:
        if cloud.lists_images:
            refuse(form, str(error), "location")


def _select_page(
    cloud: Cloud,
    form: SelectImageForm | None = None,
    registered: AlreadyRegistered | None = None,
    status: int = 200,
) -> Response:
    form = form or _select_form(cloud)
    manages_credentials = g.actor.may(Right.MANAGE_CREDENTIALS, g.scope)
    only_options = "live" in request.args and cloud.location_field is not None
    return render(
        "new_image/new_image.html",
        fragment=f"new_image/{'_options' if only_options else '_new_image'}.html",
        background=only_options,
        restorable=True,
        label=LABEL,
        paste=PasteForm(),
        cloud=cloud,
        form=form,
        registered=registered.image if registered else None,
        similar=_similar_image(),
        manages_credentials=manages_credentials,
        admins=[] if manages_credentials else members.admins_known_to(g.actor, g.scope),
        status=409 if registered else status,
    )


def _confirm_page(receipt: Receipt, form: ImageForm, status: int = 200, **context: Any) -> Response:
    """Show the confirmation page.

    If the form contained a receipt, the page contains the same receipt with the same expiry time.
    """
    form.receipt.data = form.receipt.data or services().receipts.issue(g.actor, g.scope, receipt)
    if g.scope.level is Level.ENVIRONMENT:
        del form.shared
    registered = registration.registered_images_per_compute_resource(g.scope, receipt)
    form.offer_compute_resources(receipt.details.compute_resources, registered)
    usable = cloud_credentials.usable_at(g.scope, receipt.cloud)
    credentials = next((row for row in usable if row.id == receipt.credentials_id), None)
    form.credentials.data = 0
    if "copies" not in context:
        ticked_copies = more_images.ticked_copies() if request.method == "POST" else []
        context |= {"copies": ticked_copies or None, "problem": ""}
    if credentials is None:
        form.offer_credentials(usable)
        refuse(form, str(CredentialsDeleted()), "credentials")
    return render(
        "new_image/new_image.html",
        fragment="new_image/_new_image.html",
        restorable=request.method == "GET",
        label=LABEL if request.method == "GET" else "",
        paste=PasteForm(),
        cloud=CLOUDS[receipt.cloud],
        receipt=receipt,
        selected=_selected_values(receipt),
        same_images=registered.values(),
        details=receipt.details,
        replacement=find_replacement(g.scope, receipt.cloud, receipt.locator, receipt.details),
        credentials=credentials,
        manages_credentials=g.actor.may(Right.MANAGE_CREDENTIALS, g.scope),
        suggestion=operating_systems.suggest(receipt.details.os_texts),
        form=form,
        ticked_resources=more_images.ticked_resources(),
        max_resources=more_images.MAX_RESOURCES,
        status=status,
        **context,
    )


def _selected_values(receipt: Receipt) -> dict[str, Any]:
    """Return the parameters of the URL of the first step.

    These are the values that the person entered, because the cloud may have returned another image
    ID or location. If the person registers a similar image, `like` is the ID of the registered
    image whose settings are suggested.
    """
    locator = receipt.locator
    values = {"location": locator.location or None, "image_id": receipt.alias or locator.image_id}
    if request.args.get("image_id"):
        values = {name: request.args.get(name) or None for name in values}
    return {"credentials": receipt.credentials_id, **values, "like": request.args.get("like")}


def _url_with_entries(form: ImageForm, endpoint: str, **parameters: Any) -> str:
    """Return the URL of one of the two steps, with everything that was entered in both steps.

    Return '' if the URL would be too long. Only invalid entries can make the URL too long. If the
    current URL names no cloud, return the URL of the first step without the entries.
    """
    cloud = CLOUDS.get(request.args.get("cloud", ""))
    if cloud is None:
        return url_for(".new_image")
    names = ("credentials", "location", "image_id", "like")
    values: dict[str, Any] = {name: request.args.get(name) for name in names}
    values["entered"] = form.pack_entries(values["image_id"] or "")
    url = url_for(endpoint, cloud_key=cloud.key, **values, **parameters)
    return url if len(url) <= LONGEST_URL else ""


def _entered_form(select: SelectImageForm) -> ImageForm | None:
    """Return the confirmation form with the values that the person entered in it earlier.

    The parameter `entered` contains these values. Return None if nothing was entered, or if the
    person has since chosen another image.
    """
    entries = ImageForm.unpack_entries(request.args.get("entered", ""), select.value_of("image_id"))
    return ImageForm(formdata=MultiDict(entries)) if entries else None


def _suggested_form(receipt: Receipt) -> ImageForm:
    """Return the confirmation form, filled in with values that the details of the image suggest.

    If the person registers a similar image, also fill in the settings of the registered image that
    `like` names. If the details suggest an operating system, use it instead of the operating system
    of the registered image.
    """
    form = ImageForm(formdata=None)
    suggestion = operating_systems.suggest(receipt.details.os_texts)
    form.name.data = registration.suggested_name(receipt)
    form.size_gb.data = receipt.details.size_gb
    form.agent_installed.data = form.shared.data = True
    if similar := _similar_image():
        form.agent_installed.data = similar.agent_installed
        form.shared.data = similar.shared
        form.tags.data = similar.tags
        form.fill_os(similar.os_family, similar.os_version)
    if suggestion:
        form.fill_os(suggestion.family, suggestion.version)
    return form


def _similar_image() -> Image | None:
    """Return the visible image that the parameter `like` names, or None."""
    image_id = record_id(request.args.get("like"))
    return catalogue.find_visible_image(g.scope, image_id) if image_id else None
