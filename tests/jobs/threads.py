"""Processing the jobs of a test."""

from __future__ import annotations

import threading

from models import Job, JobRow, Lease, open_connection
from tests.environ import ENVIRON
from tests.waiting import TIMEOUT_SECONDS
from webapp.credentials.vault import Vault
from webapp.jobs.runner import Runner


def process_jobs() -> None:
    """Process all jobs with the threads of one process, until no row can be processed now."""
    with open_connection():
        Runner(Vault([ENVIRON["CREDENTIALS_KEYS"]])).run_until_idle()
    for thread in threading.enumerate():
        if thread.name.startswith("job-"):
            thread.join(TIMEOUT_SECONDS)
            assert not thread.is_alive()


def wait_for_job(job: Job) -> Job:
    """Process all jobs, and return the job as it is stored now."""
    process_jobs()
    fresh: Job = Job.get_by_id(job.id)
    return fresh


def expire_leases() -> None:
    """Let the database's clock pass the end of all leases and all pauses."""
    Lease.update(expires_at=0).execute()
    JobRow.update(not_before=0).execute()
