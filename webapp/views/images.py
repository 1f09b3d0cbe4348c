"""The Images page and the page of one image, with what can be done to it."""

from __future__ import annotations

from typing import Any

from flask import Response, abort, g, url_for

from models import Image, Level
from webapp import audit
from webapp.access import Right
from webapp.clouds import CLOUDS
from webapp.clouds.base import CloudError, Locator
from webapp.credentials import cloud_credentials
from webapp.credentials.vault import VaultError
from webapp.forms.base import ActionForm, refuse
from webapp.forms.images import CheckForm, ImageForm, SharedForm
from webapp.images import image_details, life_cycle, registration
from webapp.images.identity import AlreadyRegistered
from webapp.refusals import Refusal
from webapp.search import catalogue
from webapp.views.scope_pages import needs, pages
from webapp.web.rendering import redirect, render, scope_url, toast
from webapp.web.services import services


@pages.get("/")
@needs(Right.VIEW_IMAGES)
def home() -> Response:
    return redirect(url_for(".images"))


@pages.get("/images/<int:image_id>")
@needs(Right.VIEW_IMAGES)
def image(image_id: int) -> Response:
    return _show(_visible(image_id), CheckForm())


@pages.route("/images/<int:image_id>/edit", methods=["GET", "POST"])
@needs(Right.EDIT_IMAGES)
def edit_image(image_id: int) -> Response:
    found = _own(image_id)
    form = ImageForm()
    if not form.is_submitted():
        form.show(registration.choices_of(found))
    elif form.validate():
        try:
            changes = registration.edit(g.actor, found, form.choices())
        except Refusal as error:
            refuse(form, error.message, error.field)
        else:
            toast("The image is changed." if changes else "Nothing was changed.")
            return redirect(_address(found))
    return render(
        "images/edit.html",
        image=found,
        form=form,
        loses_sight=registration.loses_sight(found),
        status=422 if form.is_submitted() else 200,
    )


@pages.route("/images/<int:image_id>/share", methods=["GET", "POST"])
@needs(Right.EDIT_IMAGES)
def share_image(image_id: int) -> Response:
    """Turning Shared off asks first, saying who loses sight of the image; turning it on does not
    need to."""
    found = _own(image_id)
    if g.scope.level is Level.ENVIRONMENT:
        abort(404)
    form = SharedForm()
    if not form.validate_on_submit():
        return render(
            "images/share.html",
            image=found,
            form=form,
            loses_sight=registration.loses_sight(found),
            status=422 if form.is_submitted() else 200,
        )
    choices = registration.choices_of(found)
    registration.edit(g.actor, found, registration.shared_as(choices, shared=form.shared.data))
    toast(
        "The image is shared with the scopes below."
        if form.shared.data
        else "The image is shared no longer."
    )
    return redirect(_address(found))


@pages.route("/images/<int:image_id>/promote", methods=["GET", "POST"])
@needs(Right.EDIT_IMAGES)
def promote_image(image_id: int) -> Response:
    found = _own(image_id)
    target = registration.promotion_target(g.actor, found)
    if target is None:
        abort(404)
    form = ActionForm()
    in_the_way = None
    if form.validate_on_submit():
        try:
            registration.promote(g.actor, found)
        except AlreadyRegistered as error:
            in_the_way = error.image
            refuse(form, error.message)
        except Refusal as error:
            refuse(form, error.message)
        else:
            toast(f"The image belongs to {target.label} now, shared with the scopes below.")
            return redirect(scope_url(target, "image", image_id=found.id))
    return render(
        "images/promote.html",
        image=found,
        form=form,
        target=target,
        in_the_way=in_the_way,
        status=422 if form.is_submitted() else 200,
    )


@pages.route("/images/<int:image_id>/delete", methods=["GET", "POST"])
@needs(Right.EDIT_IMAGES)
def delete_image(image_id: int) -> Response:
    found = _own(image_id)
    form = ActionForm()
    if form.validate_on_submit():
        try:
            batch = registration.delete(g.actor, found)
        except Refusal:
            abort(404)
        toast(
            f"“{found.name}” is no longer registered here. The image in the cloud is untouched.",
            action=("Undo", url_for(".undelete"), {"batch": batch}),
        )
        return redirect(url_for(".images"))
    lost = registration.loses_sight(found)
    return render("images/delete.html", image=found, form=form, loses_sight=lost)


@pages.post("/images/<int:image_id>/check")
@needs(Right.EDIT_IMAGES)
def check_image(image_id: int) -> Response:
    found = _own(image_id)
    form = CheckForm()
    changes, first = None, not found.verified
    if form.validate_on_submit():
        vault = services().vault
        try:
            changes = registration.check_again(g.actor, found, vault, form.credentials.data)
        except Refusal as error:
            refuse(form, error.message, error.field)
        except (CloudError, VaultError) as error:
            refuse(form, str(error))
    status = 200 if changes is not None else 422
    return _show(found, form, changes=changes, first_reading=first, status=status)


def _show(found: Image, form: CheckForm, status: int = 200, **context: Any) -> Response:
    own = found.scope_id == g.scope.id
    usable = cloud_credentials.usable_at(found.scope, found.cloud) if own else []
    form.offer(usable, found)
    locator = Locator(found.location, found.cloud_image_id, found.compute_resource)
    settings = found.credentials.settings if found.credentials else {}
    return render(
        "images/image.html",
        fragment="images/_image.html",
        label=found.name,
        status=status,
        image=found,
        own=own,
        form=form,
        details=image_details.from_json(found.details),
        console_url=CLOUDS[found.cloud].console_url(settings, locator),
        target=registration.promotion_target(g.actor, found) if own else None,
        life=life_cycle.of(found),
        successor=life_cycle.successor_of(found, g.scope),
        history=audit.image_entries(found),
        **context,
    )


def _visible(image_id: int) -> Image:
    found = catalogue.get(g.scope, image_id)
    if found is None:
        abort(404)
    return found


def _own(image_id: int) -> Image:
    """Inherited images are changed where they are owned, and nowhere else."""
    found = _visible(image_id)
    if found.scope_id != g.scope.id:
        abort(403)
    return found


def _address(found: Image) -> str:
    return url_for(".image", image_id=found.id)
