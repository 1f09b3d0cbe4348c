"""Collect the metrics that `/metrics` shows.

The application counts some metrics while it runs. `DatabaseCollector` reads the other metrics when
somebody requests `/metrics`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector

from webapp.monitoring.metrics import PREFIX
from webapp.web.readiness import Findings, Readiness

METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable with the folder in which the gunicorn workers store their counts.

`gunicorn.conf.py` sets the variable.
"""
READ_METRICS = {
    "build_info": "The version of the application. The value is always 1.",
    "ready": "Whether the process that shows the metrics can serve requests.",
    "database_up": "Whether the database answered in time.",
    "jobs_running": "Jobs that have started and not finished.",
    "job_rows_queued": "Rows without an outcome in running jobs.",
    "job_oldest_age_seconds": "The age of the oldest running job, or 0.",
    "leases_held": "Leases that have not expired.",
}
"""The descriptions of the metrics of DatabaseCollector, by the name without the prefix."""


def open_registry(readiness: Readiness, version: str) -> CollectorRegistry:
    """Return a Prometheus registry with the metrics of all workers and of DatabaseCollector.

    If METRICS_FOLDER is not set, the result has the counts of this process only.
    """
    registry = CollectorRegistry()
    if os.environ.get(METRICS_FOLDER):
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    else:
        registry.register(_ProcessCollector())
    registry.register(DatabaseCollector(readiness, version))
    return registry


class _ProcessCollector:
    """Collects the metrics that the application has counted in this process.

    Metrics that libraries have registered are left out.
    """

    def collect(self) -> Iterator[Metric]:
        return (each for each in REGISTRY.collect() if each.name.startswith(PREFIX))


class DatabaseCollector:
    """Collects the metrics that are read when somebody requests `/metrics`."""

    def __init__(self, readiness: Readiness, version: str) -> None:
        self._readiness, self._version = readiness, version

    def describe(self) -> Iterable[Metric]:
        """Return the metrics without values, so that registering this collector reads nothing."""
        return [_gauge(name, text) for name, text in READ_METRICS.items()]

    def collect(self) -> Iterator[Metric]:
        findings = self._readiness.findings()
        build_metric = _gauge("build_info", READ_METRICS["build_info"], "version")
        build_metric.add_metric([self._version], 1)
        yield build_metric
        for name, value in _values(findings).items():
            metric = _gauge(name, READ_METRICS[name])
            metric.add_metric([], value)
            yield metric
        if findings.figures is not None:
            leases_metric = _gauge("leases_held", READ_METRICS["leases_held"], "kind")
            for kind, count in findings.figures.leases.items():
                leases_metric.add_metric([kind], count)
            yield leases_metric


def _values(findings: Findings) -> dict[str, float]:
    values = {"ready": float(not findings.problems), "database_up": float(findings.is_database_up)}
    if findings.figures is not None:
        values["jobs_running"] = findings.figures.running_jobs
        values["job_rows_queued"] = findings.figures.queued_rows
        values["job_oldest_age_seconds"] = findings.figures.oldest_seconds
    return values


def _gauge(name: str, text: str, label: str = "") -> GaugeMetricFamily:
    return GaugeMetricFamily(f"{PREFIX}_{name}", text, labels=[label] if label else [])
