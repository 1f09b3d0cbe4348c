"""Bulk actions: preview an action, and start it."""

from __future__ import annotations

from typing import Any

from flask import Response, g, request, url_for

from webapp.access import Right
from webapp.forms.base import refuse
from webapp.forms.bulk import BulkForm, OperatingSystemForm, TagsForm
from webapp.forms.life_cycle import LifeCycleForm
from webapp.jobs import bulk, bulk_actions
from webapp.jobs.bulk import Selection, SelectionChanged, TooManyImages
from webapp.jobs.bulk_actions import Arguments
from webapp.refusals import Refusal
from webapp.search import catalogue
from webapp.views.scope_pages import needs, pages
from webapp.web.rendering import redirect, render, toast
from webapp.web.resumed_forms import is_resumed, resumed_message
from webapp.web.services import services

ArgumentsForm = LifeCycleForm | OperatingSystemForm | TagsForm
ARGUMENTS_FORMS: dict[str, type[ArgumentsForm]] = {
    bulk_actions.OPERATING_SYSTEM: OperatingSystemForm,
    bulk_actions.LIFE_CYCLE: LifeCycleForm,
    bulk_actions.TAGS: TagsForm,
}
"""The form for the arguments of a bulk action, by the `asks_for` of the action."""


@pages.context_processor
def _add_bulk_actions() -> dict[str, Any]:
    """Give templates a function that returns the available actions."""
    return {"bulk_actions": lambda: bulk_actions.available_actions(g.scope)}


@pages.post("/images/bulk", endpoint="bulk")
@needs(Right.EDIT_IMAGES)
def preview_bulk() -> Response:
    """Show what the action would do, without changing anything."""
    form = _bulk_form()
    if "compare" in request.form:
        return _compare(form)
    if not _is_complete(form):
        return _redirect_to_images(form)
    arguments_form = ARGUMENTS_FORMS.get(form.chosen_action.asks_for)
    return _render_preview(form, arguments_form(formdata=None) if arguments_form else None)


def _compare(form: BulkForm) -> Response:
    """Open the page that compares the two selected images."""
    if form.all.data or len(form.image.data) != 2:
        toast("Select exactly two images to compare.", "warning")
        return _redirect_to_images(form)
    left, right = form.image.data
    return redirect(url_for(".compare_image", image_id=left, q=right))


@pages.post("/images/bulk/start")
@needs(Right.EDIT_IMAGES)
def start_bulk() -> Response:
    """Start the action.

    If the search now finds other images than the preview showed, or if a selected image was deleted
    or promoted, show the preview again.
    """
    form = _bulk_form()
    if not _is_complete(form):
        return _redirect_to_images(form)
    action, selection = form.chosen_action, _selection(form)
    arguments_form = ARGUMENTS_FORMS[action.asks_for]() if action.asks_for else None
    if is_resumed():
        refuse(form, resumed_message())
        return _render_preview(form, arguments_form, status=422)
    arguments = _read_arguments(arguments_form)
    if arguments is None:
        return _render_preview(form, arguments_form, status=422)
    arguments = {**arguments, "q": form.q.data}
    try:
        job = bulk.start_action(
            g.actor,
            g.scope,
            services().vault,
            action,
            selection,
            arguments,
            fingerprint=form.expected.data if form.all.data else None,
            revisions=form.revisions.data,
        )
    except SelectionChanged as error:
        refuse(form, error.message)
        return _render_preview(form, arguments_form, status=409)
    except TooManyImages as error:
        toast(error.message, "warning")
        return _redirect_to_images(form)
    return redirect(url_for(".job", job_id=job.id))


def _bulk_form() -> BulkForm:
    form = BulkForm()
    form.offer_actions(bulk_actions.available_actions(g.scope))
    return form


def _is_complete(form: BulkForm) -> bool:
    """Return whether an action and images are chosen. If not, show a toast that asks for them."""
    if not form.validate():
        toast("Choose an action for the selected images.", "warning")
        return False
    selected = form.q.raw_data if form.all.data else form.image.data
    if not selected:
        toast("Select at least one image, or select all images that match your search.", "warning")
        return False
    return True


def _selection(form: BulkForm) -> Selection:
    if form.all.data:
        return Selection(query=catalogue.parse_search(g.scope, form.q.data))
    return Selection(form.image.data)


def _redirect_to_images(form: BulkForm) -> Response:
    return redirect(_images_url(form))


def _images_url(form: BulkForm) -> str:
    """Return the URL of the page on which the images were selected, with the selection."""
    return url_for(".images", **form.page_parameters())


def _render_preview(
    form: BulkForm, arguments_form: ArgumentsForm | None, status: int = 200
) -> Response:
    action, selection = form.chosen_action, _selection(form)
    try:
        preview = bulk.preview_action(g.actor, g.scope, action, selection)
    except TooManyImages as error:
        toast(error.message, "warning")
        return _redirect_to_images(form)
    form.revisions.data = dict(preview.revisions)
    return render(
        "bulk/preview.html",
        form=form,
        arguments_form=arguments_form,
        action=action,
        preview=preview,
        query=selection.query,
        images_url=_images_url(form),
        status=status,
    )


def _read_arguments(form: ArgumentsForm | None) -> Arguments | None:
    """Return the arguments of the action. If they are invalid, show errors and return None."""
    if form is None:
        return {}
    if not form.validate():
        return None
    if isinstance(form, OperatingSystemForm | TagsForm):
        return form.arguments()
    try:
        return bulk_actions.life_cycle_arguments(
            g.scope, form.on.data, form.reason.data, form.successor.data
        )
    except Refusal as error:
        refuse(form, error.message, error.field)
        return None
