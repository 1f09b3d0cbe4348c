"""The page of one image, and its actions: edit, share, promote, delete, check."""

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
from webapp.images import checking, deletion, editing, image_details, life_cycle, sharing
from webapp.images.choices import choices_of
from webapp.images.deletion import ImageDeleted
from webapp.images.identity import AlreadyRegistered
from webapp.images.successors import visible_successor
from webapp.refusals import Refusal
from webapp.views.image_access import image_url, owned_image_or_403, visible_image_or_404
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
    return _image_page(visible_image_or_404(image_id), CheckForm())


@pages.route("/images/<int:image_id>/edit", methods=["GET", "POST"])
@needs(Right.EDIT_IMAGES)
def edit_image(image_id: int) -> Response:
    image = owned_image_or_403(image_id)
    form = ImageForm()
    if not form.is_submitted():
        form.fill(choices_of(image))
    elif form.validate():
        try:
            changes = editing.edit(g.actor, image, form.choices())
        except Refusal as error:
            refuse(form, error.message, error.field)
        else:
            toast("Changes saved." if changes else "No changes to save.")
            return redirect(image_url(image))
    return render(
        "images/edit.html",
        image=image,
        form=form,
        losing_access=sharing.scopes_losing_access(image),
        status=422 if form.is_submitted() else 200,
    )


@pages.route("/images/<int:image_id>/share", methods=["GET", "POST"])
@needs(Right.EDIT_IMAGES)
def share_image(image_id: int) -> Response:
    """Turn Shared on or off. The page lists the scopes that lose access.

    Answers 404 at an environment, which has no scopes below it to share with.
    """
    image = owned_image_or_403(image_id)
    if g.scope.level is Level.ENVIRONMENT:
        abort(404)
    form = SharedForm()
    if not form.validate_on_submit():
        return render(
            "images/share.html",
            image=image,
            form=form,
            losing_access=sharing.scopes_losing_access(image),
            status=422 if form.is_submitted() else 200,
        )
    sharing.set_shared(g.actor, image, shared=form.shared.data)
    toast(
        "The image is now shared with all scopes below."
        if form.shared.data
        else "The image is no longer shared."
    )
    return redirect(image_url(image))


@pages.route("/images/<int:image_id>/promote", methods=["GET", "POST"])
@needs(Right.EDIT_IMAGES)
def promote_image(image_id: int) -> Response:
    image = owned_image_or_403(image_id)
    target = sharing.promotion_target(g.actor, image)
    if target is None:
        abort(404)
    form = ActionForm()
    registered = None
    if form.validate_on_submit():
        try:
            sharing.promote(g.actor, image)
        except Refusal as error:
            registered = error.image if isinstance(error, AlreadyRegistered) else None
            refuse(form, error.message)
        else:
            toast(f"Image promoted to {target.label} and shared with all scopes below.")
            return redirect(scope_url(target, "image", image_id=image.id))
    return render(
        "images/promote.html",
        image=image,
        form=form,
        target=target,
        registered=registered,
        status=422 if form.is_submitted() else 200,
    )


@pages.route("/images/<int:image_id>/delete", methods=["GET", "POST"])
@needs(Right.EDIT_IMAGES)
def delete_image(image_id: int) -> Response:
    image = owned_image_or_403(image_id)
    form = ActionForm()
    if form.validate_on_submit():
        try:
            batch = deletion.delete(g.actor, image)
        except ImageDeleted:
            abort(404)
        toast(
            f"“{image.name}” deleted. The image in the cloud isn’t affected.",
            action=("Undo", url_for(".undelete"), {"batch": batch}),
        )
        return redirect(url_for(".images"))
    losing_access = sharing.scopes_losing_access(image)
    return render("images/delete.html", image=image, form=form, losing_access=losing_access)


@pages.post("/images/<int:image_id>/check")
@needs(Right.EDIT_IMAGES)
def check_image(image_id: int) -> Response:
    """Read the image from its cloud again, and show what changed."""
    image = owned_image_or_403(image_id)
    form = CheckForm()
    changes, first_check, registered = None, not image.verified, None
    if form.validate_on_submit():
        vault = services().vault
        try:
            changes = checking.check_again(g.actor, image, vault, form.credentials.data)
        except AlreadyRegistered as error:
            registered = error.image
            refuse(form, error.message)
        except Refusal as error:
            refuse(form, error.message, error.field)
        except (CloudError, VaultError) as error:
            refuse(form, str(error))
    status = 200 if changes is not None else 422
    return _image_page(
        image,
        form,
        changes=changes,
        first_check=first_check,
        registered=registered,
        status=status,
    )


def _image_page(image: Image, form: CheckForm, status: int = 200, **context: Any) -> Response:
    owned = image.scope_id == g.scope.id
    usable = cloud_credentials.usable_at(image.scope, image.cloud) if owned else []
    form.set_credentials(usable, image)
    locator = Locator(image.location, image.cloud_image_id, image.compute_resource)
    settings = image.credentials.settings if image.credentials else {}
    return render(
        "images/image.html",
        fragment="images/_image.html",
        label=image.name,
        status=status,
        image=image,
        owned=owned,
        form=form,
        details=image_details.from_json(image.details),
        console_url=CLOUDS[image.cloud].console_url(settings, locator),
        target=sharing.promotion_target(g.actor, image) if owned else None,
        plan=life_cycle.plan_of(image),
        successor=visible_successor(image, g.scope),
        history=audit.image_entries(image),
        **context,
    )
