"""Long work on many rows: it goes on when nobody looks, survives a restart of the process, and
keeps what became of each row. Knows nothing of what is done: the use cases register their workers.

A job is worked on by one thread of one process, which says so about once a second. Whoever finds
one that has been silent for a while may take it over: the moment that it was last heard of is the
token, and only who knows it goes on.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from peewee import Case, fn

import models
from models import Job, JobRow, Prepared, Scope, now, transaction
from webapp.access import Actor, Forbidden
from webapp.credentials.vault import Vault
from webapp.people import accounts as people
from webapp.search.sql import is_sqlite

OUTCOMES = ("refused", "created", "updated", "done", "unchanged")
"""What can become of a row, in the order in which it is shown; '' until its turn comes."""
FEW = 100
"""Rows that may be worked on while somebody waits for the page."""
AT_ONCE = 8
"""Rows of a process that ask a cloud at the same time."""
SILENCE = timedelta(seconds=30)
"""After which a job counts as abandoned."""
KEPT = timedelta(days=7)
BEAT = 1.0
"""Seconds between two signs of life."""
BREATH = 0.002
"""Seconds between two rows, in which others may write to SQLite, which takes one writer at a
time."""
CHUNK = 500

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What became of one row: one of OUTCOMES, what there is to say about it, and the image that
    the row is about, where it was not known before."""

    kind: str
    message: str = ""
    image_id: int | None = None


class ProcessEnds(Exception):
    """It takes no more work; another process will."""


Worker = Callable[[Actor, Scope, Mapping[str, Any], JobRow, Vault], Outcome]
"""Does one row: who does it, where, the arguments of the job, the row, and the credentials."""

WORKERS: dict[str, Worker] = {}
LABELS: dict[str, str] = {}
_atomic: set[str] = set()
_side_by_side: set[str] = set()
_pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="rows-of-jobs")


def register(
    action: str, worker: Worker, label: str, *, atomic: bool = False, side_by_side: bool = False
) -> None:
    """`atomic`: a row and its outcome are one transaction; for what asks no cloud.
    `side_by_side`: several rows at once; for what waits for a cloud, in whatever order."""
    WORKERS[action], LABELS[action] = worker, label
    if atomic:
        _atomic.add(action)
    if side_by_side:
        _side_by_side.add(action)


def create(
    actor: Actor, scope: Scope, action: str, arguments: Mapping[str, Any], rows: Iterable[JobRow]
) -> Job:
    """Keep what is to be done, and do none of it. `rows` are not saved yet; their order counts."""
    purge()
    planned = list(rows)
    job: Job = Job.create(
        scope=scope,
        person=actor.person,
        action=action,
        arguments=dict(arguments),
        total=len(planned),
    )
    for at in range(0, len(planned), CHUNK):
        values = [
            {
                "job": job,
                "position": at + number,
                "image_id": row.image_id,
                "subject": row.subject[:512],
                "arguments": row.arguments,
            }
            for number, row in enumerate(planned[at : at + CHUNK])
        ]
        with transaction():
            JobRow.insert_many(values).execute()
    return job


def start(job: Job, vault: Vault, *, wait: bool = False) -> None:
    """Begin, exactly once, however often this is called. With `wait` a short job is done when
    this returns; `job` says how it is then."""
    seen = now()
    planned = (Job.id == job.id) & (Job.state == "planned")
    if Job.update(state="running", seen_at=seen).where(planned).execute():
        few = job.total <= FEW and job.action not in _side_by_side
        _go_on(job.id, seen, vault, here=wait and few)
    _refresh(job)


def resume_if_abandoned(job: Job, vault: Vault) -> None:
    """Take it over from a process that has ended, or hangs."""
    seen = now()
    if job.state != "running" or job.seen_at > seen - SILENCE:
        return
    same = (Job.id == job.id) & (Job.state == "running") & (Job.seen_at == job.seen_at)
    if Job.update(seen_at=seen).where(same).execute():
        log.info("job %d is taken over", job.id)
        _go_on(job.id, seen, vault, here=False)


def resume_abandoned(vault: Vault) -> None:
    """All that there are."""
    silent = (Job.state == "running") & (Job.seen_at < now() - SILENCE)
    for job in list(Job.select().where(silent)):
        resume_if_abandoned(job, vault)


def stop(actor: Actor, job: Job) -> None:
    """Leave alone what has not been reached; of a job that is the person's own."""
    own = (Job.id == job.id) & (Job.person == actor.person) & (Job.state == "running")
    Job.update(state="stopped", finished_at=now()).where(own).execute()
    _refresh(job)


def of(actor: Actor, scope: Scope, job_id: int) -> Job | None:
    """Nobody sees what somebody else does."""
    own = (Job.id == job_id) & (Job.person == actor.person) & (Job.scope == scope)
    job: Job | None = Job.get_or_none(own)
    return job


def running(actor: Actor, scope: Scope) -> list[Job]:
    """What this person has going on at `scope`, oldest first."""
    return _running(actor.person.id, scope.id, "running")


_running = Prepared(
    lambda mark: (
        Job.select()
        .where(Job.person == mark, Job.scope == mark, Job.state == mark)
        .order_by(Job.id)
    )
)


def summary(job: Job) -> dict[str, int]:
    """How many rows there are of each outcome, in the order of OUTCOMES, then those still to be
    done as ''. What there is none of is left out."""
    counted = fn.COUNT(JobRow.id)
    query = JobRow.select(JobRow.outcome, counted).where(JobRow.job == job)
    found: dict[str, int] = dict(query.group_by(JobRow.outcome).tuples().execute())
    return {each: found[each] for each in (*OUTCOMES, "") if each in found}


def rows(
    job: Job, outcome: str | None = None, *, after: str = "", size: int = 50
) -> tuple[list[JobRow], str]:
    """One page of rows, of one outcome or of all, what was refused first; and the cursor of the
    next page, '' if there is none. A cursor that cannot be read means the first page."""
    rank = Case(None, [(JobRow.outcome == "refused", 0)], 1)
    query = JobRow.select().where(JobRow.job == job)
    if outcome is not None:
        query = query.where(JobRow.outcome == outcome)
    first, _, second = after.partition("-")
    if first in {"0", "1"} and second.isdecimal() and len(second) < 10:
        at = int(second)
        query = query.where((rank > int(first)) | ((rank == int(first)) & (JobRow.position > at)))
    found = list(query.order_by(rank, JobRow.position).limit(size + 1))
    shown = found[:size]
    return shown, _written(shown[-1]) if len(found) > size else ""


def _written(row: JobRow) -> str:
    """The cursor of what follows this row."""
    return f"{int(row.outcome != 'refused')}-{row.position}"


def purge() -> None:
    """Forget what is so old that nobody asks for it."""
    Job.delete().where(Job.created_at < now() - KEPT).execute()


def _refresh(job: Job) -> None:
    fresh = Job.get_or_none(Job.id == job.id)
    if fresh is not None:
        job.__data__.update(fresh.__data__)


def _go_on(job_id: int, seen: datetime, vault: Vault, *, here: bool) -> None:
    if here:
        _work(job_id, seen, vault)
        return
    name, arguments = f"job-{job_id}", (job_id, seen, vault)
    threading.Thread(target=_work, args=arguments, name=name, daemon=True).start()


def _work(job_id: int, seen: datetime, vault: Vault) -> None:
    """What goes wrong with the database leaves the job to whoever takes it over."""
    try:
        with _connected():
            job = Job.get_or_none(Job.id == job_id)
            if job is not None:
                _Work(job, seen, vault).do()
    except ProcessEnds:
        log.info("job %d is left to another process", job_id)
    except Exception:
        log.exception("job %d was given up", job_id)


@contextmanager
def _connected() -> Iterator[None]:
    """A connection of this thread's own, unless it has one: that of a request is left open."""
    opened = models.database.connect(reuse_if_open=True)
    try:
        yield
    finally:
        if opened and not models.database.is_closed():
            models.database.close()


# What `_Work._ours` says, for the look before every row: writing it took longer than answering it.
_held = Prepared(
    lambda mark: Job.select(Job.id).where(Job.id == mark, Job.state == mark, Job.seen_at == mark)
)


class _Work:
    """One job being worked on, as long as nobody stops it or takes it over."""

    def __init__(self, job: Job, seen: datetime, vault: Vault) -> None:
        self._job, self._seen, self._vault = job, seen, vault
        self._worker = WORKERS[job.action]
        self._actor = people.actor_for(job.person)
        self._beaten = time.monotonic()

    def do(self) -> None:
        if self._job.action in _side_by_side:
            self._do_side_by_side()
        else:
            for row in self._rows():
                self._do_row(row)
                if is_sqlite():
                    time.sleep(BREATH)
        done = self._counted()
        finished = {"state": "done", "finished_at": now(), "done": done}
        if not Job.update(finished).where(self._ours).execute():
            Job.update(done=done).where(
                (Job.id == self._job.id) & (Job.state == "stopped")
            ).execute()

    def _do_side_by_side(self) -> None:
        waiting: set[Future[None]] = set()
        for row in self._rows():
            try:
                waiting.add(_pool.submit(self._do_row_connected, row))
            except RuntimeError as error:
                raise ProcessEnds from error
            while len(waiting) >= AT_ONCE:
                waiting = self._still(waiting)
        while waiting:
            waiting = self._still(waiting)

    def _still(self, waiting: set[Future[None]]) -> set[Future[None]]:
        """Those that are not over after a while."""
        over, still = wait(waiting, BEAT, FIRST_COMPLETED)
        for each in over:
            each.result()
        self._beat()
        return still

    def _rows(self) -> Iterator[JobRow]:
        """Those still to be done, as long as this is ours to do."""
        last = -1
        open_ = (JobRow.job == self._job) & (JobRow.outcome == "")
        while True:
            query = JobRow.select().where(open_ & (JobRow.position > last))
            chunk = list(query.order_by(JobRow.position).limit(CHUNK))
            for row in chunk:
                self._beat()
                if not _held(self._job.id, "running", Job.seen_at.db_value(self._seen)):
                    return
                yield row
            if not chunk:
                return
            last = chunk[-1].position

    @property
    def _ours(self) -> Any:
        """The condition under which nobody has stopped it or taken it over."""
        running = (Job.id == self._job.id) & (Job.state == "running")
        return running & (Job.seen_at == self._seen)

    def _beat(self) -> None:
        """A sign of life. What the person may do is read anew, in case it was taken from them."""
        if time.monotonic() - self._beaten < BEAT:
            return
        seen = now()
        if Job.update(seen_at=seen, done=self._counted()).where(self._ours).execute():
            self._seen = seen
        self._actor = people.actor_for(self._job.person)
        self._beaten = time.monotonic()

    def _counted(self) -> int:
        done = (JobRow.job == self._job) & (JobRow.outcome != "")
        return int(JobRow.select().where(done).count())

    def _do_row_connected(self, row: JobRow) -> None:
        with _connected():
            self._do_row(row)

    def _do_row(self, row: JobRow) -> None:
        try:
            if self._job.action in _atomic:
                with transaction():
                    _keep(row, self._outcome(row))
                return
            outcome = self._outcome(row)
        except Forbidden:
            outcome = Outcome("refused", "You may not do this here any more.")
        except Exception:
            log.exception("job %d, row %d: something unexpected", self._job.id, row.position)
            outcome = Outcome("refused", "Something went wrong here; the log has more.")
        _keep(row, outcome)

    def _outcome(self, row: JobRow) -> Outcome:
        arguments = self._job.arguments
        return self._worker(self._actor, self._job.scope, arguments, row, self._vault)


def _keep(row: JobRow, outcome: Outcome) -> None:
    values: dict[str, Any] = {"outcome": outcome.kind, "message": outcome.message}
    if outcome.image_id is not None:
        values["image_id"] = outcome.image_id
    JobRow.update(values).where((JobRow.id == row.id) & (JobRow.outcome == "")).execute()
