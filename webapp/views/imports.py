"""Import: upload a file, review the plan of the changes, and apply the plan."""

from __future__ import annotations

from typing import Any

from flask import Response, abort, g, request, session, url_for

from models import Job
from webapp.access import Right
from webapp.credentials import cloud_credentials
from webapp.forms.base import refuse
from webapp.forms.transfer import AnswersForm, ApplyForm, make_answers_form, make_import_form
from webapp.jobs import claims, store
from webapp.transfer import export, import_formats, import_preparation, imports
from webapp.transfer.import_file import UnreadableFile
from webapp.transfer.import_formats import MAX_BYTES
from webapp.transfer.import_look_ups import LOOK_UP
from webapp.transfer.import_plan import Effect
from webapp.transfer.import_preparation import PLAN
from webapp.transfer.import_review import review_of, words_of
from webapp.transfer.imports import PlannedAgain
from webapp.views.arguments import page_number
from webapp.views.person_pages import PERSON_ID
from webapp.views.scope_pages import needs, pages
from webapp.views.start_pages import start_title, start_url
from webapp.web import large_bodies
from webapp.web.rendering import redirect, redirect_whole_page, render, toast
from webapp.web.services import services

PAGE_SIZE = 100
"""The maximum number of lines on a page of a plan."""
UNPLANNED_ACTIONS = frozenset({LOOK_UP, PLAN})
"""The actions of an import job whose plan is not complete yet."""
FORM_OVERHEAD_BYTES = 64 * 1024
"""The maximum size in bytes of the form without its file or pasted text."""


@pages.route("/images/import", methods=["GET", "POST"])
@needs(Right.EDIT_IMAGES)
def import_images() -> Response:
    """Show the form. On POST, start planning the import and redirect to the plan.

    Nothing is imported before the person applies the plan.
    """
    form = make_import_form(cloud_credentials.usable_at(g.scope))
    if form.validate_on_submit():
        try:
            file = import_formats.parse_file(form.content())
        except UnreadableFile as error:
            refuse(form, error.message, "file" if form.file.data else "text")
        else:
            job = imports.start(g.actor, g.scope, services().vault, file, form.options())
            return redirect(url_for(".review_import", job_id=job.id))
    status = 422 if form.is_submitted() else 200
    return render("transfer/import.html", label="Import", form=form, status=status)


@pages.get("/images/import/sample.csv")
@needs(Right.EDIT_IMAGES)
def sample_file() -> Response:
    """Return an example of a file to import, with one image of each cloud."""
    response = Response(export.SAMPLE_FILE, content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = 'attachment; filename="sample-images.csv"'
    return response


@pages.get("/images/import/<int:job_id>")
@needs(Right.EDIT_IMAGES)
def review_import(job_id: int) -> Response:
    """Show a plan. While the plan is made or images are looked up, show the progress instead.

    The progress page sends the name of its step in the parameter `progress`. When another step has
    begun, the response replaces the progress page. If the plan was already applied, redirect to the
    page of its job.
    """
    job = _import_job_or_404(job_id)
    shown_step = request.args.get("progress")
    if shown_step is not None and job.state == "stopped" and imports.needs_no_review(job):
        # A stopped import is planned again only when a person opens its page. This request does not
        # count, because an open progress page sent it.
        return redirect_whole_page(url_for("people.activity"))
    if job.action in UNPLANNED_ACTIONS:
        import_preparation.advance(job, services().vault, retry=shown_step is None)
        if job.action in UNPLANNED_ACTIONS and shown_step in {None, job.action}:
            return _render_progress(job)
    if shown_step is not None:
        return redirect_whole_page(url_for(".review_import", job_id=job.id))
    if job.state != "planned":
        return redirect(url_for(".job", job_id=job.id))
    return _render_plan(job, make_answers_form(job))


@pages.post("/images/import/<int:job_id>")
@needs(Right.EDIT_IMAGES)
def apply_import(job_id: int) -> Response:
    job = _import_job_or_404(job_id)
    form = ApplyForm()
    if not form.validate_on_submit():
        abort(400)
    try:
        is_applied = imports.apply(job, services().vault, form.plan.data or None)
    except PlannedAgain as error:
        toast(error.message, "warning")
        return redirect(url_for(".review_import", job_id=job.id))
    if not is_applied:
        toast(
            "The look-ups were too old, so the images are being looked up again. Review the import "
            "before you confirm it.",
            "warning",
        )
        return redirect(url_for(".review_import", job_id=job.id))
    return redirect(url_for(".job", job_id=job.id))


@pages.post("/images/import/<int:job_id>/answers")
@needs(Right.EDIT_IMAGES)
def answer_import(job_id: int) -> Response:
    """Save the missing values that the person entered, and make a new plan with them."""
    job = _import_job_or_404(job_id)
    if job.action in UNPLANNED_ACTIONS or job.state != "planned":
        return redirect(url_for(".review_import", job_id=job.id))
    form = make_answers_form(job)
    if not form.validate_on_submit():
        return _render_plan(job, form, status=422)
    imports.answer(job, services().vault, form.answers(), form.operating_system_answer)
    return redirect(url_for(".review_import", job_id=job.id))


def _render_plan(job: Job, answers: AnswersForm, status: int = 200) -> Response:
    show, page = request.args.get("show", ""), page_number()
    effect = Effect(show) if show in set(Effect) else None
    lines, has_next_page = imports.list_lines(job, effect, page, PAGE_SIZE)
    return render(
        "transfer/import_plan.html",
        fragment="transfer/_import_plan.html" if status == 200 else "",
        job=job,
        form=ApplyForm(formdata=None, data={"plan": imports.plan_id_of(job)}),
        review=review_of(job),
        start_url=start_url(job),
        start_title=start_title(job, words_of(job).start_page),
        answers=answers,
        effects=list(Effect),
        effect=effect,
        lines=lines,
        page=page,
        has_next_page=has_next_page,
        status=status,
    )


def _render_progress(job: Job) -> Response:
    if job.action == PLAN:
        preparation = import_preparation.running_preparation(job)
        return render(
            "transfer/planning.html",
            fragment="transfer/_planning.html",
            job=job,
            jobs_before=claims.jobs_before(preparation) if preparation else 0,
        )
    counts = store.outcome_counts(job)
    return render(
        "transfer/look_ups.html",
        fragment="transfer/_look_ups.html",
        job=job,
        words=words_of(job),
        start_url=start_url(job),
        start_title=start_title(job, words_of(job).start_page),
        processed=job.total - counts.get("", 0),
        jobs_before=claims.jobs_before(job),
        waiting=claims.count_waiting(job),
    )


@pages.url_value_preprocessor
def _allow_large_upload(endpoint: str | None, _values: dict[str, Any] | None) -> None:
    """Increase the size limit of the import form for people who have signed in.

    The limit must be set before anything reads the form. At that time, the sign-in session has not
    been read from the database yet. So this function only checks whether the state cookie
    (`flask.session`) names a person. Raises TooManyUploads.
    """
    if endpoint and endpoint.endswith(".import_images") and PERSON_ID in session:
        large_bodies.allow(session[PERSON_ID], MAX_BYTES + FORM_OVERHEAD_BYTES)


pages.teardown_request(large_bodies.end)


def _import_job_or_404(job_id: int) -> Job:
    """Return an import that the person started at this scope."""
    job = store.find_job(g.actor, g.scope, job_id)
    if job is None or job.action not in imports.ACTION_KEYS:
        abort(404)
    return job
