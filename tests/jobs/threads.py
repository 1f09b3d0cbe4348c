"""Waiting for the threads that process jobs."""

from __future__ import annotations

import threading

from models import Job

THREAD_TIMEOUT_SECONDS = 30.0
"""A thread that runs longer than this is considered hung."""


def job_threads() -> list[threading.Thread]:
    """Return the threads that process a job, without the pool's threads that process a row."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("job-")]


def join_job_threads() -> None:
    """Wait for all jobs. Fails if a thread hangs."""
    for thread in job_threads():
        thread.join(THREAD_TIMEOUT_SECONDS)
    assert not job_threads()


def wait_for_job(job: Job) -> Job:
    """Return the job as it is stored after its thread has ended."""
    join_job_threads()
    fresh: Job = Job.get_by_id(job.id)
    return fresh
