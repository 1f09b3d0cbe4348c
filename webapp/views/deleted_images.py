"""Restore deleted images: undo a deletion, or choose images that were deleted recently."""

from __future__ import annotations

from flask import Response, g, url_for

from webapp.access import Right
from webapp.forms.bulk import RestoreForm, RestoreImagesForm
from webapp.images import deletion, recently_deleted
from webapp.jobs import bulk
from webapp.values.lists import LIST_SIZE
from webapp.views.arguments import search_text
from webapp.views.scope_pages import needs, pages
from webapp.web.rendering import redirect, render, toast
from webapp.web.services import services


@pages.get("/images/deleted")
@needs(Right.VIEW_IMAGES)
def deleted_images() -> Response:
    """Render the restorable images of this scope."""
    return _deleted_images_page(RestoreImagesForm())


def _deleted_images_page(form: RestoreImagesForm, status: int = 200) -> Response:
    text = search_text()
    return render(
        "images/recently_deleted.html",
        label="Recently deleted",
        form=form,
        status=status,
        found=recently_deleted.at_scope(g.scope, text),
        text=text,
        may_edit=g.actor.may(Right.EDIT_IMAGES, g.scope),
    )


@pages.post("/images/deleted")
@needs(Right.EDIT_IMAGES)
def restore_images() -> Response:
    """Restore the selected images."""
    form = RestoreImagesForm()
    if not form.validate_on_submit():
        return _deleted_images_page(form, 422)
    selected = form.image.data[:LIST_SIZE]
    images = recently_deleted.at_scope_by_ids(g.scope, selected)
    if not images:
        reason = (
            "These images can no longer be restored." if selected else "Select at least one image."
        )
        toast(reason, "warning")
        return redirect(url_for(".deleted_images"))
    batch = images[0].batch
    if len(images) == 1 and not deletion.can_restore(g.scope, batch, at_least=2):
        return _restore_batch(batch)
    job = bulk.restore_images(g.actor, g.scope, services().vault, images)
    return redirect(url_for(".job", job_id=job.id))


@pages.post("/images/undelete")
@needs(Right.EDIT_IMAGES)
def undelete() -> Response:
    """Undo a deletion: restore all images that were deleted together."""
    form = RestoreForm()
    if not (form.validate_on_submit() and deletion.can_restore(g.scope, form.batch.data)):
        toast("This deletion can no longer be undone.", "warning")
        return redirect(url_for(".images"))
    return _restore_batch(form.batch.data)


def _restore_batch(batch: str) -> Response:
    """Restore the images of a batch: the images that were deleted together.

    At least one image of the batch must be restorable. If only one image can be restored, this
    request restores it, unless it was the successor of many images. In all other cases, a job
    restores the images.
    """
    has_several = deletion.can_restore(g.scope, batch, at_least=2)
    if has_several or deletion.has_image_with_many_predecessors(g.scope, batch):
        job = bulk.restore_batch(g.actor, g.scope, services().vault, batch)
        return redirect(url_for(".job", job_id=job.id) if job else url_for(".images"))
    restored, refused = deletion.restore_batch(g.actor, g.scope, batch)
    for name, reason in refused:
        toast(f"“{name}” wasn’t restored. {reason}", "warning")
    if not restored:
        return redirect(url_for(".images"))
    toast(f"“{restored[0].name}” restored.")
    return redirect(url_for(".image", image_id=restored[0].id))
