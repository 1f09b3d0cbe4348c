"""The page that shows the progress and the rows of a job, and the page that stops the job."""

from __future__ import annotations

from flask import Response, abort, g, request, url_for

from models import Job
from webapp.access import Right
from webapp.forms.base import ActionForm
from webapp.jobs import bulk, claims, runner, store
from webapp.jobs.actions import JOB_ACTIONS, action_of, title_of
from webapp.jobs.store import OUTCOMES
from webapp.transfer.import_look_ups import LOOK_UP
from webapp.transfer.import_preparation import PLAN, PREPARE
from webapp.views.scope_pages import needs, pages
from webapp.views.start_pages import next_images_url
from webapp.web.rendering import redirect, render, toast

PENDING, ALL = "pending", "all"
"""Values of the parameter `show`. PENDING lists the rows without an outcome, ALL lists all rows."""


@pages.get("/jobs/<int:job_id>")
@needs(Right.VIEW_IMAGES)
def job(job_id: int) -> Response:
    """Show a job. For a job that prepares an import, redirect to the page of the import."""
    found = store.find_job(g.actor, g.scope, job_id)
    if found is not None and found.action in {LOOK_UP, PLAN}:
        return redirect(url_for(".review_import", job_id=found.id))
    if found is not None and found.action == PREPARE:
        return redirect(url_for(".review_import", job_id=found.arguments["import"]))
    return _render_job("jobs/job.html", _started_job_or_404(job_id))


@pages.get("/jobs/<int:job_id>/progress")
@needs(Right.VIEW_IMAGES)
def job_progress(job_id: int) -> Response:
    """Render the part of the page that changes while the job is running."""
    return _render_job("jobs/_job.html", _started_job_or_404(job_id), announce=True)


@pages.route("/jobs/<int:job_id>/stop", methods=["GET", "POST"])
@needs(Right.VIEW_IMAGES)
def stop_job(job_id: int) -> Response:
    """Ask for confirmation, and stop the job unless it has finished meanwhile.

    Admins can also stop the jobs of other people, although they can't open the pages of these jobs.
    """
    found = _started_or_404(store.find_job_to_stop(g.actor, g.scope, job_id))
    is_own = found.person_id == g.actor.person.id
    back_url = url_for(".job", job_id=found.id) if is_own else url_for("people.activity")
    title, form = title_of(found), ActionForm()
    if form.validate_on_submit():
        is_stopped = runner.stop_job(g.actor, found)
        if is_stopped and not is_own:
            toast(f"You stopped “{title}”, which {found.person.name} started.")
        elif not is_own:
            toast(f"“{title}” had already ended, so it wasn’t stopped.", "warning")
    elif found.state == "running" and action_of(found).can_be_stopped:
        status = 422 if form.errors else 200
        return render(
            "jobs/stop.html",
            job=found,
            is_own=is_own,
            back_url=back_url,
            form=form,
            title=title,
            action=action_of(found),
            processed=found.total - store.outcome_counts(found).get("", 0),
            status=status,
        )
    return redirect(back_url)


def _render_job(template: str, found: Job, *, announce: bool = False) -> Response:
    """Render the job. With `announce`, screen readers announce the result of a finished job."""
    requested_outcome = request.args.get("show", "")
    if requested_outcome not in {PENDING, ALL, *OUTCOMES}:
        requested_outcome = ""
    counts = store.outcome_counts(found)
    listed_outcome = requested_outcome or ALL
    is_running = found.state == "running"
    if not requested_outcome and is_running and not action_of(found).has_long_rows:
        # By default, the page of a running job lists only the refused rows, because most other rows
        # have no message. If a row can take minutes, the page lists all rows, because their
        # messages show the progress.
        listed_outcome = "refused"
    outcome = {ALL: None, PENDING: ""}.get(listed_outcome, listed_outcome)
    rows, next_cursor = store.list_rows(found, outcome, after=request.args.get("after", ""))
    return render(
        template,
        job=found,
        title=title_of(found),
        action=action_of(found),
        jobs_before=claims.jobs_before(found),
        waiting=claims.count_waiting(found),
        counts=counts,
        rows=rows,
        next_cursor=next_cursor,
        visible_image_ids=store.visible_image_ids(g.scope, rows),
        requested_outcome=requested_outcome,
        listed_outcome=listed_outcome,
        can_be_undone=bulk.can_be_undone(found),
        next_images_url=next_images_url(found),
        announce=announce,
    )


def _started_job_or_404(job_id: int) -> Job:
    """Return a job that the person started."""
    return _started_or_404(store.find_job(g.actor, g.scope, job_id))


def _started_or_404(found: Job | None) -> Job:
    """Return the job, or respond with 404 if the job has no page.

    A job that waits for a confirmation has no page yet. If a newer version of the application
    started the job, this version may not know the job's action.
    """
    if found is None or found.state == "planned" or found.action not in JOB_ACTIONS:
        abort(404)
    return found
