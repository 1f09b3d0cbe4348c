"""The same action on many images: what it would do, doing it, and taking a deletion back."""

from __future__ import annotations

from typing import Any

from flask import Response, g, url_for

from webapp.access import Right
from webapp.forms.base import refuse
from webapp.forms.bulk import BulkForm, LifeForm, SystemForm, UndeleteForm
from webapp.images import deleted_images
from webapp.images.life_cycle import LifeCycleError
from webapp.jobs import bulk
from webapp.jobs.bulk import Action, Arguments, TooMany
from webapp.views.scope_pages import needs, pages
from webapp.web.rendering import redirect, render, toast
from webapp.web.services import services

NeededForm = LifeForm | SystemForm
NEEDED: dict[str, type[NeededForm]] = {bulk.OS: SystemForm, bulk.LIFE: LifeForm}


@pages.context_processor
def _for_the_list() -> dict[str, Any]:
    return {"bulk_actions": lambda: bulk.offered(g.scope)}


@pages.post("/images/bulk", endpoint="bulk")
@needs(Right.EDIT_IMAGES)
def preview_bulk() -> Response:
    """Nothing is done yet."""
    form = _form()
    if not _says_what(form):
        return _back(form)
    needed = NEEDED.get(form.chosen.needs)
    return _preview(form, needed(formdata=None) if needed else None)


@pages.post("/images/bulk/confirm")
@needs(Right.EDIT_IMAGES)
def confirm_bulk() -> Response:
    form = _form()
    if not _says_what(form):
        return _back(form)
    action = form.chosen
    needed = NEEDED[action.needs]() if action.needs else None
    arguments = _arguments(needed)
    if arguments is None:
        return _preview(form, needed, status=422)
    selection = form.selection
    if form.all.data and str(bulk.count(g.actor, g.scope, selection)) != form.expected.data:
        refuse(form, "Meanwhile the search finds other images than before. Look again.")
        return _preview(form, needed, status=409)
    given = {**arguments, "q": form.q.data}
    try:
        job = bulk.start(g.actor, g.scope, services().vault, action, selection, given)
    except TooMany as error:
        toast(str(error), "warning")
        return _back(form)
    return redirect(url_for(".job", job_id=job.id))


@pages.post("/images/undelete")
@needs(Right.EDIT_IMAGES)
def undelete() -> Response:
    """One image at once, several as a job."""
    form = UndeleteForm()
    kept = []
    if form.validate_on_submit():
        kept = deleted_images.of_batch(g.scope, form.batch.data)
    if not kept:
        toast("There is nothing to undo any more.", "warning")
        return redirect(url_for(".images"))
    if len(kept) > 1:
        job = bulk.undelete(g.actor, g.scope, services().vault, form.batch.data)
        return redirect(url_for(".job", job_id=job.id) if job else url_for(".images"))
    restored, refused = deleted_images.undo(g.actor, g.scope, form.batch.data)
    for name, why in refused:
        toast(f"“{name}” is not registered again. {why}", "warning")
    for image in restored:
        toast(f"“{image.name}” is registered here again.")
        return redirect(url_for(".image", image_id=image.id))
    return redirect(url_for(".images"))


def _form() -> BulkForm:
    form = BulkForm()
    form.offer(bulk.offered(g.scope))
    return form


def _says_what(form: BulkForm) -> bool:
    """Else a toast says what is missing."""
    if not form.validate():
        toast("Choose what to do with the images.", "warning")
        return False
    if not form.all.data and not form.image.data:
        toast("Select images first, or all that match the search.", "warning")
        return False
    return True


def _back(form: BulkForm) -> Response:
    return redirect(url_for(".images", q=form.q.data or None))


def _preview(form: BulkForm, needed: NeededForm | None, status: int = 200) -> Response:
    action: Action = form.chosen
    try:
        preview = bulk.preview(g.actor, g.scope, action, form.selection)
    except TooMany as error:
        toast(str(error), "warning")
        return _back(form)
    return render(
        "bulk/preview.html",
        form=form,
        needed=needed,
        action=action,
        preview=preview,
        status=status,
    )


def _arguments(needed: NeededForm | None) -> Arguments | None:
    """What the person says besides; None where that is not right, as the form then says."""
    if needed is None:
        return {}
    if not needed.validate():
        return None
    if isinstance(needed, SystemForm):
        return needed.arguments()
    try:
        return bulk.life_arguments(
            g.scope, needed.on.data, needed.reason.data, needed.successor.data
        )
    except LifeCycleError as error:
        refuse(needed, str(error), error.field)
        return None
