"""Import of a file of images in two steps: the plan of what it would do, then doing it."""

from __future__ import annotations

from typing import Any

from flask import Response, abort, g, request, session, url_for

from models import Job
from webapp.access import Right
from webapp.credentials import cloud_credentials
from webapp.forms.base import ActionForm, refuse
from webapp.forms.transfer import ImportForm
from webapp.jobs import runner, store
from webapp.transfer import export as exchange
from webapp.transfer import import_files
from webapp.transfer import import_plans as imports
from webapp.transfer.import_files import MAX_BYTES, UnreadableFile
from webapp.transfer.import_plans import Kind
from webapp.views.scope_pages import needs, pages
from webapp.web.rendering import redirect, render
from webapp.web.services import services

PAGE_SIZE = 100
ENVELOPE = 64 * 1024
"""What a form has around its file, in bytes."""


@pages.route("/images/import", methods=["GET", "POST"])
@needs(Right.EDIT_IMAGES)
def import_images() -> Response:
    """POST reads the file and shows the plan of what it would do; nothing is done yet."""
    form = ImportForm.of(cloud_credentials.usable_at(g.scope))
    if form.validate_on_submit():
        try:
            content = import_files.read(form.data_given())
        except UnreadableFile as error:
            refuse(form, str(error), "file" if form.file.data else "text")
        else:
            job = imports.plan(g.actor, g.scope, content, form.options())
            return redirect(url_for(".import_plan", job_id=job.id))
    status = 422 if form.is_submitted() else 200
    return render(
        "transfer/import.html", label="Import", form=form, columns=exchange.GIVEN, status=status
    )


@pages.get("/images/import/<int:job_id>")
@needs(Right.EDIT_IMAGES)
def import_plan(job_id: int) -> Response:
    job = _planned(job_id)
    if job.state != "planned":
        return redirect(url_for(".job", job_id=job.id))
    show, page = request.args.get("show", ""), request.args.get("page", "")
    kind = Kind(show) if show in set(Kind) else None
    number = max(int(page), 1) if page.isdecimal() and len(page) < 6 else 1
    lines, more = imports.rows_of(job, kind, number, PAGE_SIZE)
    return render(
        "transfer/import_plan.html",
        fragment="transfer/_import_plan.html",
        job=job,
        form=ActionForm(),
        kinds=list(Kind),
        kind=kind,
        lines=lines,
        page=number,
        more=more,
    )


@pages.post("/images/import/<int:job_id>")
@needs(Right.EDIT_IMAGES)
def apply_import(job_id: int) -> Response:
    job = _planned(job_id)
    if not ActionForm().validate_on_submit():
        abort(400)
    if job.state == "planned":
        runner.start_job(job, services().vault, wait=True)
    return redirect(url_for(".job", job_id=job.id))


@pages.url_value_preprocessor
def _let_a_file_in(endpoint: str | None, _values: dict[str, Any] | None) -> None:
    """Before anything reads the form, which is before it is known who asks; so only somebody who
    has signed in may send as much."""
    if endpoint and endpoint.endswith(".import_images") and "_user_id" in session:
        request.max_content_length = MAX_BYTES + ENVELOPE
        request.max_form_memory_size = MAX_BYTES + ENVELOPE


def _planned(job_id: int) -> Job:
    job = store.find_job(g.actor, g.scope, job_id)
    if job is None or job.action not in {imports.ACTION, imports.LOOK_UP}:
        abort(404)
    return job
