"""The page of a job: how far it is, and what became of each row. It can be left and stopped."""

from __future__ import annotations

import time

from flask import Response, abort, g, request, url_for

from models import Job
from webapp.access import Right
from webapp.forms.base import ActionForm
from webapp.jobs import bulk
from webapp.jobs import runner as jobs
from webapp.jobs.runner import OUTCOMES
from webapp.views.scope_pages import needs, pages
from webapp.web.rendering import redirect, render
from webapp.web.services import services

OPEN = "open"
"""How an address calls the rows whose turn has not come."""
LOOK_SECONDS = 30.0


@pages.get("/jobs/<int:job_id>")
@needs(Right.VIEW_IMAGES)
def job(job_id: int) -> Response:
    return _show("jobs/job.html", _own(job_id))


@pages.get("/jobs/<int:job_id>/progress")
@needs(Right.VIEW_IMAGES)
def job_progress(job_id: int) -> Response:
    """What changes while one looks on."""
    return _show("jobs/_job.html", _own(job_id), news=True)


@pages.post("/jobs/<int:job_id>/stop")
@needs(Right.VIEW_IMAGES)
def stop_job(job_id: int) -> Response:
    found = _own(job_id)
    if ActionForm().validate_on_submit():
        jobs.stop(g.actor, found)
    return redirect(url_for(".job", job_id=found.id))


class _Watch:
    """When this process last looked for jobs that were abandoned."""

    looked = 0.0


@pages.before_app_request
def _resume_abandoned() -> None:
    """Whoever comes, and whatever for: what a process that has ended left undone goes on."""
    if request.endpoint == "static" or time.monotonic() - _Watch.looked < LOOK_SECONDS:
        return
    _Watch.looked = time.monotonic()
    jobs.resume_abandoned(services().vault)


def _show(template: str, found: Job, *, news: bool = False) -> Response:
    jobs.resume_if_abandoned(found, services().vault)
    shown = request.args.get("show", "")
    outcome = "" if shown == OPEN else shown if shown in OUTCOMES else None
    if outcome is None:
        # While it runs, what goes wrong is of interest, and not what waits.
        shown, outcome = "", "refused" if found.state == "running" else None
    rows, following = jobs.rows(found, outcome, after=request.args.get("after", ""))
    return render(
        template,
        job=found,
        action=jobs.LABELS[found.action],
        counts=jobs.summary(found),
        rows=rows,
        following=following,
        there=bulk.still_there(g.scope, rows),
        shown=shown,
        undo=bulk.can_be_undone(found),
        news=news,
    )


def _own(job_id: int) -> Job:
    """What has not begun has no page here."""
    found = jobs.of(g.actor, g.scope, job_id)
    if found is None or found.state == "planned":
        abort(404)
    return found
