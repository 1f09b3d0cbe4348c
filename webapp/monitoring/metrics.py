"""The metrics that this process counts. docs/operate.md describes each of them.

Labels have few values: no label is a URL, or a name or ID that people choose. Under gunicorn,
`prometheus_client` stores the metrics in files, so that each worker can show the metrics of all
workers.
"""

from __future__ import annotations

import os
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import Counter, Gauge, Histogram

PREFIX = "image_registry"
SAMPLE_SECONDS = 5.0
"""The seconds between two updates of the gauges of a process."""
METHODS = frozenset({"GET", "HEAD", "POST", "OPTIONS"})
REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
CLOUD_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 6, 8, 10)

REQUESTS = Counter(
    f"{PREFIX}_http_requests", "Requests that were answered.", ["route", "method", "status"]
)
REQUEST_SECONDS = Histogram(
    f"{PREFIX}_http_request_duration_seconds",
    "Time until the response to a request was ready.",
    ["route"],
    buckets=REQUEST_BUCKETS,
)
REQUESTS_OVER_LIMIT = Counter(
    f"{PREFIX}_requests_over_limit",
    "Requests that were refused because too many requests of the same person were in progress.",
)
CLOUD_CALLS = Counter(
    f"{PREFIX}_cloud_calls", "Completed calls of adapters to clouds.", ["cloud", "call", "outcome"]
)
CLOUD_SECONDS = Histogram(
    f"{PREFIX}_cloud_call_duration_seconds",
    "Time that a call to a cloud took.",
    ["cloud", "call"],
    buckets=CLOUD_BUCKETS,
)
CLOUD_IN_PROGRESS = Gauge(
    f"{PREFIX}_cloud_calls_in_progress",
    "Calls to clouds in progress.",
    ["cloud"],
    multiprocess_mode="livesum",
)
CLOUD_WAITING_THREADS = Gauge(
    f"{PREFIX}_cloud_waiting_threads",
    "Threads that serve requests and wait for a cloud.",
    multiprocess_mode="livesum",
)
BUDGETS_USED_UP = Counter(
    f"{PREFIX}_cloud_budget_used_up",
    "Calls to clouds refused because a budget was used up.",
    ["budget"],
)
STATEMENTS = Counter(f"{PREFIX}_database_statements", "Statements that were sent to the database.")
STATEMENT_SECONDS = Counter(
    f"{PREFIX}_database_statement_seconds", "Time that statements took until their first row."
)
SLOW_STATEMENTS = Counter(
    f"{PREFIX}_database_slow_statements", "Statements that took longer than half a second."
)
DATABASE_ERRORS = Counter(
    f"{PREFIX}_database_errors", "Statements that failed, by reason.", ["reason"]
)
CONNECTIONS = Gauge(
    f"{PREFIX}_database_connections_in_use",
    "The maximum number of database connections in use at once during the last five seconds.",
    multiprocess_mode="livesum",
)
LEASES_TAKEN_OVER = Counter(
    f"{PREFIX}_leases_taken_over",
    "Leases that were acquired after they had expired or were given back.",
    ["kind"],
)
LEASES_LOST = Counter(
    f"{PREFIX}_leases_lost", "Leases that another process acquired during the work.", ["kind"]
)
PERIODIC_RUNS = Counter(
    f"{PREFIX}_periodic_runs", "Completed runs of periodic work.", ["work", "outcome"]
)
PERIODIC_LAST_SUCCESS = Gauge(
    f"{PREFIX}_periodic_last_success_timestamp_seconds",
    "When periodic work last ended without an error.",
    ["work"],
    multiprocess_mode="max",
)
TICKER_LAST_RUN = Gauge(
    f"{PREFIX}_ticker_last_run_timestamp_seconds",
    "When a ticker last looked for periodic work.",
    multiprocess_mode="max",
)
SIGN_INS = Counter(f"{PREFIX}_sign_ins", "Attempts to sign in, by outcome.", ["outcome"])
MAILS = Counter(
    f"{PREFIX}_mails",
    "Attempts to send a mail, and mails that expired before they were sent, by outcome.",
    ["outcome"],
)
MEMORY = Gauge(
    f"{PREFIX}_process_resident_memory_bytes",
    "Resident memory of each process.",
    multiprocess_mode="liveall",
)
THREADS = Gauge(
    f"{PREFIX}_process_threads", "Threads of each process.", multiprocess_mode="liveall"
)
CPU_SECONDS = Gauge(
    f"{PREFIX}_process_cpu_seconds",
    "Processor time that each process has used.",
    multiprocess_mode="liveall",
)

SIGN_IN_SUCCEEDED, SIGN_IN_REFUSED, SIGN_IN_THROTTLED = (
    SIGN_INS.labels(outcome) for outcome in ("succeeded", "refused", "throttled")
)

for _outcome in ("sent", "delayed", "refused", "expired"):
    MAILS.labels(_outcome)  # Until the outcome happens, its count is 0 instead of missing.


def count_request(route: str, method: str, status: int, seconds: float) -> None:
    """Count a request. `route` is the name of a view, or `none` for an unknown URL."""
    method = method if method in METHODS else "other"
    REQUESTS.labels(route, method, f"{status // 100}xx").inc()
    REQUEST_SECONDS.labels(route).observe(seconds)


@contextmanager
def cloud_call(cloud: str, call: str) -> Iterator[None]:
    """Count a call to a cloud.

    The outcome is `ok`, the name of an exception of the application, or `unexpected`.
    """
    began, outcome = time.perf_counter(), "ok"
    in_progress = CLOUD_IN_PROGRESS.labels(cloud)
    in_progress.inc()
    try:
        yield
    except Exception as error:
        outcome = type(error).__name__ if _is_ours(error) else "unexpected"
        raise
    finally:
        in_progress.dec()
        CLOUD_CALLS.labels(cloud, call, outcome).inc()
        CLOUD_SECONDS.labels(cloud, call).observe(time.perf_counter() - began)


def _is_ours(error: Exception) -> bool:
    """Return whether the application defines the exception.

    The names of other exceptions must not become label values, because SDKs define hundreds.
    """
    return type(error).__module__.startswith("webapp.")


def kind_of_lease(name: str) -> str:
    """Return the first part of the name of a lease: `job` for `job:12`."""
    return name.partition(":")[0]


class StatementTimes(threading.local):
    """The statements of this thread since the last `flush`, which adds them to the metrics."""

    SLOW_SECONDS = 0.5

    count = 0
    seconds = 0.0

    def add(self, seconds: float) -> None:
        self.count += 1
        self.seconds += seconds
        if seconds > self.SLOW_SECONDS:
            SLOW_STATEMENTS.inc()

    def flush(self) -> None:
        """Count the statements. Called when a connection returns to the pool."""
        if self.count:
            STATEMENTS.inc(self.count)
            STATEMENT_SECONDS.inc(self.seconds)
            self.count, self.seconds = 0, 0.0


statement_times = StatementTimes()


class PoolUse:
    """The maximum number of connections of this process in use at once since the last sample."""

    def __init__(self) -> None:
        self._in_use = self._maximum = 0

    def record(self, in_use: int) -> None:
        """Record the number of connections in use, after a thread took or returned one."""
        self._in_use = in_use
        self._maximum = max(self._maximum, in_use)

    def sample(self) -> int:
        maximum, self._maximum = self._maximum, self._in_use
        return maximum


pool_use = PoolUse()


def sample_process() -> None:
    """Set the gauges of this process."""
    CONNECTIONS.set(pool_use.sample())
    MEMORY.set(_resident_bytes())
    THREADS.set(threading.active_count())
    CPU_SECONDS.set(time.process_time())


def _resident_bytes() -> int:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):  # Other systems than Linux report only the maximum.
        maximum = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return maximum if sys.platform == "darwin" else maximum * 1024
    return pages * os.sysconf("SC_PAGE_SIZE")


class Sampler:
    """The thread that sets the gauges every SAMPLE_SECONDS.

    `sources` maps gauges to the functions that return their values. The thread also sets the gauges
    of the process itself.
    """

    def __init__(self, sources: Mapping[Gauge, Callable[[], float]]) -> None:
        self._sources = sources
        self._started = threading.Lock()

    def start(self) -> None:
        """Start the thread if it is not running yet."""
        if self._started.acquire(blocking=False):
            threading.Thread(target=self._run, name="sampler", daemon=True).start()

    def _run(self) -> None:
        while True:
            sample_process()
            for gauge, read in self._sources.items():
                gauge.set(read())
            time.sleep(SAMPLE_SECONDS)
