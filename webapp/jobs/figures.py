"""Figures about jobs and leases for the metrics."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from peewee import fn

from models import Job, Lease, database_clock, now
from schema.columns import as_instant
from webapp.monitoring.metrics import kind_of_lease


@dataclass(frozen=True)
class JobFigures:
    """Numbers about running jobs and about leases.

    `oldest_seconds` is the age of the oldest running job, or 0 if there is none.
    """

    running_jobs: int
    queued_rows: int
    oldest_seconds: float
    leases: dict[str, int]
    """The number of leases that have not expired, by kind."""


def read_figures() -> JobFigures:
    """Return the figures. The queries read only running jobs and leases that have not expired."""
    query: Any = Job.select(
        fn.COUNT(Job.id), fn.COALESCE(fn.SUM(Job.total - Job.done), 0), fn.MIN(Job.created_at)
    )
    running, rows, oldest = query.where(Job.state == "running").scalar(as_tuple=True)
    current_leases = Lease.select(Lease.name).where(Lease.expires_at > database_clock())
    leases = Counter(kind_of_lease(lease.name) for lease in current_leases)
    age = (now() - as_instant(oldest)).total_seconds() if oldest else 0.0
    return JobFigures(running, int(rows), max(0.0, age), dict(leases))
