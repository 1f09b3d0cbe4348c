"""Create, find, list, count and delete jobs and their rows in the database.

This module must not know how jobs are processed.

A large job is stored with packed rows, so that the request that creates it is short. A packed row
contains up to PACK_SIZE rows in its arguments. The position of a packed row is the position of the
first of these rows, and the positions of the other rows are unused. Instead of processing a packed
row, a process replaces it by the rows that it contains.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple

from peewee import fn

from models import (
    NO_HEARTBEAT,
    Image,
    Job,
    JobRow,
    Scope,
    database,
    delete_chunk,
    now,
    transaction,
)
from webapp.access import Actor, Right
from webapp.jobs import pauses

OUTCOMES = ("refused", "created", "updated", "done", "unchanged")
"""All outcomes of a processed row, in display order. An unprocessed row has the outcome ''."""
RETENTION = timedelta(days=7)
"""The age at which a job is deleted."""
_POSITION = re.compile("[0-9]{1,9}")
INSERT_SIZE = 500
"""Rows per INSERT statement."""
PACK_SIZE = 500
"""The maximum number of rows that a packed row contains.

Unpacking takes a few hundredths of a second.
"""
PACKED_INSERT_SIZE = 10
"""Packed rows per transaction."""
_PACKED = "packed"
"""The name of the argument that contains the rows of a packed row."""


@dataclass(frozen=True)
class Outcome:
    """The result of processing one row.

    `kind` is one of OUTCOMES, or '' if a part of the work remains. `message` is text for the
    person, or ''. `image_id` is the ID of the image that was created or changed, or None to leave
    the row's image ID unchanged. `arguments` are the new arguments of the row, or None to leave the
    arguments unchanged.
    """

    kind: str
    message: str = ""
    image_id: int | None = None
    arguments: Mapping[str, Any] | None = None


class NewRow(NamedTuple):
    """The values of an unsaved row. A `JobRow` object would take much longer to create.

    `subject` is the text that names the row for people, such as the name of an image.
    """

    image_id: int | None = None
    subject: str = ""
    arguments: Mapping[str, Any] = {}
    credentials_id: int | None = None


def create_job(
    actor: Actor,
    scope: Scope,
    action: str,
    arguments: Mapping[str, Any],
    rows: Iterable[JobRow | NewRow],
    *,
    started: bool = False,
) -> Job:
    """Store a planned job with its rows and return the job.

    `rows` are unsaved, in the order in which they will be processed. If `started` is true, the job
    is not planned but already running, so that any process may begin to process it.
    """
    unsaved_rows = list(rows)
    job: Job = Job.create(
        scope=scope,
        person=actor.person,
        token_key=actor.token.key if actor.token else "",
        action=action,
        arguments=dict(arguments),
        total=len(unsaved_rows),
        **({"state": "running", "seen_at": NO_HEARTBEAT} if started else {}),
    )
    _execute([[insert] for insert in inserts(job.id, unsaved_rows)])
    return job


def create_large_job(
    actor: Actor,
    scope: Scope,
    action: str,
    arguments: Mapping[str, Any],
    rows: Sequence[NewRow],
) -> Job:
    """Store a planned job whose rows are packed if there are many, and return the job."""
    if len(rows) <= PACK_SIZE:
        return create_job(actor, scope, action, arguments, rows)
    job = create_job(actor, scope, action, arguments, ())
    packed = [_pack(rows, start) for start in range(0, len(rows), PACK_SIZE)]
    parts = range(0, len(packed), PACKED_INSERT_SIZE)
    _execute(
        inserts(
            job.id,
            packed[start : start + PACKED_INSERT_SIZE],
            start * PACK_SIZE,
            step=PACK_SIZE,
        )
        for start in parts
    )
    job.total = len(rows)
    job.save(only=[Job.total])
    return job


def _execute(groups: Iterable[Iterable[Callable[[], object]]]) -> None:
    """Execute each group of statements in a transaction. Let others write between transactions."""
    locked_at = None
    for statements in groups:
        if locked_at is not None:
            pauses.let_others_write(locked_at, pauses.SHORT_RATIO)
        locked_at = time.monotonic()
        with transaction():
            for execute in statements:
                execute()


def _pack(rows: Sequence[NewRow], start: int) -> NewRow:
    part = rows[start : start + PACK_SIZE]
    subject = f"Images {start + 1:,}–{start + len(part):,}"
    return NewRow(subject=subject, arguments={_PACKED: part})


def is_packed(row: JobRow) -> bool:
    """Return whether the row contains several rows that are not unpacked yet."""
    return _PACKED in row.arguments


def unpack(row: JobRow) -> bool:
    """Replace a packed row by its rows, in the current transaction, and give its lease back.

    Return False if another process has unpacked the row or has taken over its lease.
    """
    first, *others = (NewRow(*values) for values in row.arguments[_PACKED])
    is_held = (JobRow.id == row.id) & (JobRow.lease_token == row.lease_token)
    values = {**first._asdict(), "lease_token": "", "not_before": 0.0, "attempts": 0}
    is_still_packed = JobRow.arguments[_PACKED].is_null(False)
    if not JobRow.update(values).where(is_held & is_still_packed).execute():
        return False
    for insert in inserts(row.job_id, others, row.position + 1):
        insert()
    return True


def inserts(
    job_id: int, rows: Sequence[JobRow | NewRow], first_position: int = 0, *, step: int = 1
) -> list[Callable[[], object]]:
    """Return functions that store unsaved rows of a job, in the order of processing.

    The positions of two consecutive rows differ by `step`. For many rows, call `inserts` before the
    transaction begins, because it takes time to generate the statements. Call the returned
    functions in the transaction.
    """
    sample: dict[str, Any] = {
        "job": 0,
        "position": 0,
        "image_id": None,
        "subject": "",
        "arguments": {},
    }
    sql, sample_params = JobRow.insert_many([{**sample, "credentials_id": None}]).sql()
    fields = JobRow._meta.sorted_fields[1:]  # noqa: SLF001  all fields except `id`
    defaults = dict(zip((field.name for field in fields), sample_params, strict=True))
    # Let Peewee generate the SQL of one sample row, and repeat its placeholders for the other rows.
    # Peewee would take several times longer to generate the SQL of all rows than the database takes
    # to execute it.
    start_of_sql, _, placeholders = sql.partition(" VALUES ")
    placeholders = placeholders.partition(" RETURNING ")[0]
    statements: list[Callable[[], object]] = []
    for start in range(0, len(rows), INSERT_SIZE):
        params: list[Any] = []
        chunk = rows[start : start + INSERT_SIZE]
        for number, row in enumerate(chunk, start):
            values = {
                **defaults,
                "job": job_id,
                "position": first_position + number * step,
                "image_id": row.image_id,
                "subject": row.subject[:512],
                "arguments": json.dumps(row.arguments),
                "credentials_id": row.credentials_id,
            }
            params.extend(values.values())
        insert = f"{start_of_sql} VALUES {', '.join([placeholders] * len(chunk))}"
        statements.append(partial(database.execute_sql, insert, params))
    return statements


def find_job(actor: Actor, scope: Scope, job_id: int) -> Job | None:
    """Return a job that the actor started at `scope`, or None.

    Nobody can see the rows of another person's job.
    """
    visible = (Job.id == job_id) & (Job.person == actor.person) & (Job.scope == scope)
    job: Job | None = Job.get_or_none(visible)
    return job


def find_job_to_stop(actor: Actor, scope: Scope, job_id: int) -> Job | None:
    """Return a job at `scope` that the actor started or may stop, or None."""
    if not actor.may(Right.STOP_JOBS, scope):
        return find_job(actor, scope, job_id)
    job: Job | None = Job.get_or_none((Job.id == job_id) & (Job.scope == scope))
    return job


def outcome_counts(job: Job) -> dict[str, int]:
    """Return the number of rows by outcome. Outcomes without rows are left out.

    The keys are in the order of OUTCOMES, followed by '' for unprocessed rows. A packed row counts
    as the rows that it contains.
    """
    query = JobRow.select(JobRow.outcome, fn.COUNT(JobRow.position)).where(JobRow.job == job)
    counts: dict[str, int] = dict(query.group_by(JobRow.outcome).tuples().execute())
    if "" in counts:
        counts[""] = job.total - sum(number for outcome, number in counts.items() if outcome)
    return {outcome: counts[outcome] for outcome in (*OUTCOMES, "") if outcome in counts}


def list_rows(
    job: Job, outcome: str | None = None, *, after: str = "", size: int = 50
) -> tuple[list[JobRow], str]:
    """Return one page of rows, and the cursor of the next page or '' if this is the last page.

    Refused rows come first. If `outcome` is not None, only rows with this outcome are returned.
    `after` is a cursor that an earlier call returned, or '' for the first page. An invalid cursor
    also selects the first page.
    """
    last_rank, last_position = _parse_cursor(after)
    rows: list[JobRow] = []
    # The rank of refused rows is 0, and the rank of other rows is 1. Each query reads one range of
    # an index. One query for both ranks would sort all rows.
    for rank, in_rank in enumerate((JobRow.outcome == "refused", JobRow.outcome != "refused")):
        is_possible = outcome is None or rank == int(outcome != "refused")
        if rank < last_rank or not is_possible or len(rows) > size:
            continue
        condition = in_rank if outcome is None else JobRow.outcome == outcome
        if rank == last_rank:
            condition &= JobRow.position > last_position
        query = JobRow.select().where((JobRow.job == job) & condition).order_by(JobRow.position)
        rows.extend(query.limit(size + 1 - len(rows)))
    page = rows[:size]
    return page, _cursor_after(page[-1]) if len(rows) > size else ""


def is_row_cursor(text: str) -> bool:
    """Return whether `list_rows` can have returned this text as a cursor."""
    rank, _, position = text.partition("-")
    return rank in {"0", "1"} and bool(_POSITION.fullmatch(position))


def _parse_cursor(text: str) -> tuple[int, int]:
    """Return the rank (see `list_rows`) and position of the last row on the previous page."""
    if not is_row_cursor(text):
        return 0, -1
    rank, _, position = text.partition("-")
    return int(rank), int(position)


def _cursor_after(row: JobRow) -> str:
    return f"{int(row.outcome != 'refused')}-{row.position}"


def visible_image_ids(scope: Scope, rows: Iterable[JobRow]) -> set[int]:
    """Return the IDs of the images of `rows` that exist and are visible at `scope`."""
    ids = [row.image_id for row in rows if row.image_id is not None]
    visible = Image.id.in_(ids) & Image.visible_from(scope)
    return {image.id for image in Image.select(Image.id).where(visible)}


def reload_job(job: Job) -> None:
    """Update `job` with the values in the database, unless the job was deleted."""
    stored = Job.get_or_none(Job.id == job.id)
    if stored is not None:
        job.__data__.update(stored.__data__)


def purge_chunk() -> bool:
    """Delete some jobs older than RETENTION, or some of their rows.

    Return whether more may remain.
    """
    is_old = Job.created_at < now() - RETENTION
    rows = JobRow.job.in_(Job.select(Job.id).where(is_old))
    return delete_chunk(JobRow, rows) or delete_chunk(Job, is_old, 10)
