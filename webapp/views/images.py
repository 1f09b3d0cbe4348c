"""The page of one image, and its actions: edit, share, promote, delete, check."""

from __future__ import annotations

from typing import Any

from flask import Response, abort, g, url_for

from models import Image, Level
from webapp.access import Right
from webapp.audit.log import image_page
from webapp.clouds import CLOUDS
from webapp.clouds.errors import CloudError
from webapp.clouds.locators import Locator
from webapp.credentials import cloud_credentials
from webapp.credentials.vault import VaultError
from webapp.forms.base import ConfirmForm, refuse
from webapp.forms.images import CheckForm, ImageForm, SharedForm
from webapp.images import (
    checking,
    deletion,
    editing,
    image_details,
    life_cycle,
    operating_systems,
    sharing,
)
from webapp.images.choices import ImageChoices, choices_of
from webapp.images.identity import AlreadyRegistered
from webapp.images.replacements import find_replacement
from webapp.images.successors import visible_successor
from webapp.jobs import bulk
from webapp.refusals import Refusal
from webapp.revisions.conflicts import EditConflict
from webapp.search import catalogue
from webapp.values.tags import join_tags
from webapp.views.conflicts import ConflictPage, Row
from webapp.views.image_access import (
    image_url,
    owned_image_or_403,
    sees_credentials,
    visible_image_or_404,
)
from webapp.views.image_usage import examples_of
from webapp.views.scope_pages import needs, pages
from webapp.web.rendering import redirect, render, scope_url, toast
from webapp.web.services import services

HISTORY_SIZE = 20
"""The maximum number of audit entries on the page of an image. The history page has all entries."""

SUGGESTED_TAGS = 100
"""The maximum number of tags that a form suggests."""


@pages.context_processor
def _add_frequent_tags() -> dict[str, Any]:
    """Give templates a function that returns the tags to suggest in forms."""
    return {"frequent_tags": lambda: catalogue.frequent_tags(g.scope, SUGGESTED_TAGS)}


@pages.get("/")
@needs(Right.VIEW_IMAGES)
def home() -> Response:
    return redirect(url_for(".images"))


@pages.get("/images/<int:image_id>")
@needs(Right.VIEW_IMAGES)
def image(image_id: int) -> Response:
    return _image_page(visible_image_or_404(image_id), CheckForm())


EDIT_ROWS = (
    Row("Name", ["name"]),
    Row(
        "Operating system",
        ["os_family", "os_version"],
        lambda values: operating_systems.label(values["os_family"], values["os_version"]),
    ),
    Row("Size", ["size_gb"], lambda values: values["size_gb"] and f"{values['size_gb']} GB"),
    Row("Scalr Agent Installed", ["agent_installed"]),
    Row("Shared", ["shared"]),
    Row("Tags", ["tags"], lambda values: join_tags(values["tags"])),
    Row("Notes", ["notes"]),
)
"""The rows of the conflict page of an image (`webapp.views.conflicts`)."""


@pages.route("/images/<int:image_id>/edit", methods=["GET", "POST"])
@needs(Right.EDIT_IMAGES)
def edit_image(image_id: int) -> Response:
    image = owned_image_or_403(image_id, ImageForm)
    conflict_page = ConflictPage(image, image.name, EDIT_ROWS, image_url(image))
    if conflict_page.is_answered:
        return conflict_page.save_answer(
            lambda values, revision: editing.edit(g.actor, image, ImageChoices(**values), revision)
        ) or _changes_saved(image)
    form = ImageForm()
    if not form.is_submitted():
        form.fill(choices_of(image))
        form.revision.data = image.revision
    elif form.validate():
        try:
            changes = editing.edit(g.actor, image, form.choices(), form.revision.data)
        except EditConflict as conflict:
            return conflict_page.show(conflict)
        except Refusal as error:
            refuse(form, error.message, error.field)
        else:
            return _changes_saved(image, anything_changed=bool(changes))
    return render(
        "images/edit.html",
        image=image,
        form=form,
        losing_access=sharing.scopes_losing_access(image),
        status=422 if form.is_submitted() else 200,
    )


def _changes_saved(image: Image, *, anything_changed: bool = True) -> Response:
    toast("Changes saved." if anything_changed else "No changes to save.")
    return redirect(image_url(image))


@pages.route("/images/<int:image_id>/share", methods=["GET", "POST"])
@needs(Right.EDIT_IMAGES)
def share_image(image_id: int) -> Response:
    """Turn “Shared” on or off. The page lists the scopes that lose access if it is turned off.

    Environments don't have this page, because they have no scopes below to share with.
    """
    image = owned_image_or_403(image_id)
    if g.scope.level is Level.ENVIRONMENT:
        abort(404)
    form = SharedForm.for_revision(image.revision)
    conflict = None
    if form.validate_on_submit():
        try:
            sharing.set_shared(g.actor, image, shared=form.shared.data, based_on=form.revision.data)
        except EditConflict as error:
            conflict, form.revision.data = error, error.revision
        else:
            toast(
                "The image is now shared with all scopes below."
                if form.shared.data
                else "The image is no longer shared."
            )
            return redirect(image_url(image))
    return render(
        "images/share.html",
        image=image,
        form=form,
        losing_access=sharing.scopes_losing_access(image),
        conflict=conflict,
        status=_status(form, conflict),
    )


@pages.route("/images/<int:image_id>/promote", methods=["GET", "POST"])
@needs(Right.EDIT_IMAGES)
def promote_image(image_id: int) -> Response:
    image = owned_image_or_403(image_id)
    target = sharing.promotion_target(g.actor, image)
    if target is None:
        abort(404)
    form = ConfirmForm.for_revision(image.revision)
    registered = conflict = None
    if form.validate_on_submit():
        try:
            sharing.promote(g.actor, image, form.revision.data)
        except EditConflict as error:
            conflict, form.revision.data = error, error.revision
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
        conflict=conflict,
        status=_status(form, conflict),
    )


@pages.route("/images/<int:image_id>/delete", methods=["GET", "POST"])
@needs(Right.EDIT_IMAGES)
def delete_image(image_id: int) -> Response:
    image = owned_image_or_403(image_id)
    form = ConfirmForm.for_revision(image.revision)
    conflict = None
    if form.validate_on_submit():
        if deletion.has_many_predecessors(image):
            job = bulk.delete_image(g.actor, image, services().vault, form.revision.data)
            return redirect(url_for(".job", job_id=job.id))
        try:
            batch = deletion.delete(g.actor, image, based_on=form.revision.data)
        except EditConflict as error:
            conflict, form.revision.data = error, error.revision
        else:
            toast(
                f"“{image.name}” deleted. The image in the cloud isn’t affected.",
                action=("Undo", url_for(".undelete"), {"batch": batch}),
            )
            return redirect(url_for(".images"))
    return render(
        "images/delete.html",
        image=image,
        form=form,
        losing_access=sharing.scopes_losing_access(image),
        conflict=conflict,
        status=_status(form, conflict),
    )


def _status(form: ConfirmForm, conflict: EditConflict | None) -> int:
    if conflict is not None:
        return 409
    return 422 if form.is_submitted() else 200


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
        other_record=registered,
        status=status,
    )


def _image_page(image: Image, form: CheckForm, status: int = 200, **context: Any) -> Response:
    owned = image.scope_id == g.scope.id
    usable = cloud_credentials.usable_at(image.scope, image.cloud) if owned else []
    form.set_credentials(usable, image)
    locator = Locator(image.location, image.cloud_image_id, image.compute_resource)
    settings = image.credentials.settings if image.credentials else {}
    details = image_details.from_json(image.details)
    return render(
        "images/image.html",
        fragment="images/_image.html",
        label=image.name,
        status=status,
        image=image,
        owned=owned,
        form=form,
        details=details,
        replacement=find_replacement(g.scope, image.cloud, locator, details),
        console_url=CLOUDS[image.cloud].console_url(settings, locator),
        examples=examples_of(image, details),
        target=sharing.promotion_target(g.actor, image) if owned else None,
        plan=life_cycle.plan_of(image),
        successor=visible_successor(image, g.scope),
        history=image_page(image, show_credentials=sees_credentials(), size=HISTORY_SIZE),
        **context,
    )
