"""Import: upload a file, review the plan of what it would do, and apply the plan."""

from __future__ import annotations

from typing import Any

from flask import Response, abort, g, request, session, url_for

from models import Job
from webapp.access import Right
from webapp.credentials import cloud_credentials
from webapp.forms.base import ActionForm, refuse
from webapp.forms.transfer import make_import_form
from webapp.jobs import runner, store
from webapp.transfer import import_formats, import_plan
from webapp.transfer.import_formats import MAX_BYTES, UnreadableFile
from webapp.transfer.import_plan import Effect
from webapp.views.arguments import page_number
from webapp.views.scope_pages import needs, pages
from webapp.web.rendering import redirect, render
from webapp.web.services import services

PAGE_SIZE = 100
FORM_OVERHEAD_BYTES = 64 * 1024
"""Largest size of the rest of the form, without the file."""


@pages.route("/images/import", methods=["GET", "POST"])
@needs(Right.EDIT_IMAGES)
def import_images() -> Response:
    """Show the form. On POST, store a plan of the import and redirect to the plan.

    Nothing is imported before the person applies the plan.
    """
    form = make_import_form(cloud_credentials.usable_at(g.scope))
    if form.validate_on_submit():
        try:
            file = import_formats.parse_file(form.content())
        except UnreadableFile as error:
            refuse(form, error.message, "file" if form.file.data else "text")
        else:
            job = import_plan.create_plan(g.actor, g.scope, file, form.options())
            return redirect(url_for(".review_import", job_id=job.id))
    status = 422 if form.is_submitted() else 200
    return render("transfer/import.html", label="Import", form=form, status=status)


@pages.get("/images/import/<int:job_id>")
@needs(Right.EDIT_IMAGES)
def review_import(job_id: int) -> Response:
    """Show a plan. If the plan was already applied, redirect to the page of its job."""
    job = _import_job_or_404(job_id)
    if job.state != "planned":
        return redirect(url_for(".job", job_id=job.id))
    show, page = request.args.get("show", ""), page_number()
    effect = Effect(show) if show in set(Effect) else None
    lines, has_next_page = import_plan.list_lines(job, effect, page, PAGE_SIZE)
    return render(
        "transfer/import_plan.html",
        fragment="transfer/_import_plan.html",
        job=job,
        form=ActionForm(),
        effects=list(Effect),
        effect=effect,
        lines=lines,
        page=page,
        has_next_page=has_next_page,
    )


@pages.post("/images/import/<int:job_id>")
@needs(Right.EDIT_IMAGES)
def apply_import(job_id: int) -> Response:
    job = _import_job_or_404(job_id)
    if not ActionForm().validate_on_submit():
        abort(400)
    if job.state == "planned":
        runner.start_job(job, services().vault, wait=True)
    return redirect(url_for(".job", job_id=job.id))


@pages.url_value_preprocessor
def _allow_large_upload(endpoint: str | None, _values: dict[str, Any] | None) -> None:
    """Raise the size limit of the import form for people who have signed in.

    The limit must be set before anything reads the form. The person is not loaded at that time, so
    this function only checks that the session has a user ID.
    """
    if endpoint and endpoint.endswith(".import_images") and "_user_id" in session:
        request.max_content_length = MAX_BYTES + FORM_OVERHEAD_BYTES
        request.max_form_memory_size = MAX_BYTES + FORM_OVERHEAD_BYTES


def _import_job_or_404(job_id: int) -> Job:
    """Return an import that the person started at this scope."""
    job = store.find_job(g.actor, g.scope, job_id)
    if job is None or job.action not in import_plan.ACTION_KEYS:
        abort(404)
    return job
