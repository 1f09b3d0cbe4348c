"""Jobs as JSON."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from models import Job as JobRecord
from webapp.api.operations import Answer
from webapp.api.urls import api_url, scope_path


class JobReference(Struct):
    """A job in the background. Request its URL until the state is no longer `running`."""

    id: int
    url: str


def accepted(job: JobRecord) -> Answer[Any]:
    """Return the `Answer` with the status 202 for a job that was started."""
    url = job_url(job)
    return Answer(JobReference(job.id, url), 202, {"Location": url})


def job_url(job: JobRecord) -> str:
    """Return the URL of a job in the API."""
    return api_url(f"{scope_path(job.scope.level, job.scope.path)}/jobs/{job.id}")
