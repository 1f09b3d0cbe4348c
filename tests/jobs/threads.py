"""Waiting for the threads that process jobs."""

from __future__ import annotations

import threading

from models import Job

THREAD_TIMEOUT_SECONDS = 30.0
"""A thread that runs longer than this is considered hung."""


def job_threads() -> list[threading.Thread]:
    """Return the threads that process jobs. The threads that process single rows are left out."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("job-")]


def join_job_threads() -> None:
    """Wait until the threads of all jobs have ended. Fail if a thread hangs."""
    for thread in job_threads():
        thread.join(THREAD_TIMEOUT_SECONDS)
    assert not job_threads()


def wait_for_job(job: Job) -> Job:
    """Wait until the threads of all jobs have ended, and return the job as it is stored now."""
    join_job_threads()
    fresh: Job = Job.get_by_id(job.id)
    return fresh
