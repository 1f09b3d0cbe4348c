"""The Activity page: a person's jobs and messages, and other jobs that the person may stop."""

from __future__ import annotations

from flask import Response, g, request
from flask_login import login_required

from webapp.jobs import activity as job_list
from webapp.jobs.actions import title_of
from webapp.jobs.activity import ListedJob
from webapp.people import notices
from webapp.transfer import imports
from webapp.views.arguments import id_argument
from webapp.views.imports import UNPLANNED_ACTIONS
from webapp.views.person_pages import pages
from webapp.web.rendering import render, scope_url

MAX_IDS = 20
"""The maximum number of job IDs that are read from the parameter `running`."""


@pages.get("/activity")
@login_required
def activity() -> Response:
    jobs, older_jobs = job_list.find_jobs(
        g.actor, imports.ACTION_KEYS, before=id_argument("jobs_before")
    )
    jobs_of_others, has_more_of_others = job_list.find_jobs_of_others(g.actor)
    messages, older_messages = notices.find_page(g.actor, before=id_argument("before"))
    running = {str(listed.job.id) for listed in jobs if listed.is_running}
    previously_running = set(request.args.get("running", "").split(".")[:MAX_IDS])
    return render(
        "people/activity.html",
        fragment="people/_jobs.html",
        background=True,
        jobs=jobs,
        older_jobs=older_jobs,
        jobs_of_others=jobs_of_others,
        has_more_of_others=has_more_of_others,
        messages=messages,
        older_messages=older_messages,
        job_title=_job_title,
        job_state=_job_state,
        job_url=_job_url,
        ended=[each for each in jobs if str(each.job.id) in previously_running - running],
        running=".".join(sorted(running)),
    )


def _job_title(listed: ListedJob) -> str:
    return title_of(listed.job) if listed.action else "Import"


def _job_state(listed: ListedJob) -> tuple[str, str, str]:
    """Return the text, the CSS class and the icon of a job's state."""
    job = listed.job
    if job.state == "stopped":
        return "Stopped", "state-yellow", "player-stop"
    if job.action in imports.ACTION_KEYS and not listed.is_running:
        if job.action in UNPLANNED_ACTIONS:
            return "Preparing", "state-azure", "clock"
        if job.state == "planned":
            return "Waiting for your review", "state-yellow", "eye"
    if listed.is_running:
        return ("Queued" if listed.jobs_before else "Running"), "state-azure", "clock"
    return (
        "Done",
        ("state-red" if listed.failed else "state-green"),
        ("alert-triangle" if listed.failed else "check"),
    )


def _job_url(listed: ListedJob) -> str:
    """Return the URL of the page of a job, or of the review of an import."""
    job = listed.job
    is_reviewed = job.action in imports.ACTION_KEYS and (
        job.state == "planned" or job.action in UNPLANNED_ACTIONS
    )
    endpoint = "review_import" if is_reviewed else "job"
    return scope_url(job.scope, endpoint, job_id=job.id)
