"""Prepare the plan of an import: look up new images, and replace the job's rows with the plan.

While an import has the action PLAN, it is being prepared, and no page shows its rows. The
preparation writes the rows in chunks, so that other transactions can write in between. The rows
always contain all lines of the file, so an interrupted preparation can begin again. Pages show the
plan when all of its lines are stored. A lease makes sure that only one process prepares an import.
A long file is prepared in the background.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from models import Job, JobRow, Lease, Scope, transaction
from webapp.access import Actor
from webapp.clouds import CLOUDS
from webapp.clouds.errors import CallsInProgress, CloudError
from webapp.credentials import cloud_credentials
from webapp.credentials.vault import Vault
from webapp.jobs import leases, pauses, runner, store
from webapp.jobs.actions import JobAction
from webapp.jobs.leases import LeaseLost
from webapp.jobs.store import NewRow, Outcome
from webapp.refusals import Refusal
from webapp.tokens.verifier import actor_of_job
from webapp.transfer import import_look_ups, import_plan, import_planner
from webapp.transfer.import_lines import ParsedLine
from webapp.transfer.import_look_ups import LOOK_UP
from webapp.transfer.import_plan import OPERATING_SYSTEM, Effect, PlannedLine

APPLY = "import"
"""The key of the job action that carries out a plan."""
PLAN = "import-plan"
"""The action of an import that is being prepared."""
PREPARE = "import-prepare"
"""The key of the job action that prepares an import in the background.

The preparation has its own job. This action belongs to the job of the preparation, and not to the
job of the import.
"""
REVIEW = "review"
"""The name of the import's argument that says whether a person reviews the plan."""
SKIPPED = "skipped"
"""The value of the argument REVIEW if nobody reviews the plan."""
SHORT_FILE_LINES = 1_000
"""The maximum number of lines of a file that is prepared within the request."""
CHUNK_SIZE = 200
"""The number of rows in each transaction."""
ATTEMPTS = "attempts"
"""The name of the argument that counts the attempts to prepare an import with a long file."""
MAX_ATTEMPTS = 5
"""After this many attempts, a person must start the next attempt to prepare an import."""
LEASE_SECONDS = 120.0
"""The duration of the lease. Each transaction of the preparation extends the lease."""

log = logging.getLogger(__name__)


def begin(job: Job, *, look_up: bool, arguments: Mapping[str, Any], only_if: Any = None) -> bool:
    """Change the job so that `advance` prepares the import again. Return whether this succeeded.

    If `look_up` is true, the import may look up new images first. If another request has moved the
    job to another step, or if the job does not meet the query condition `only_if`, the job is not
    changed.
    """
    step = {
        "action": PLAN,
        "state": "planned",
        "done": 0,
        "finished_at": None,
        "stop_reason": "",
        "arguments": {**arguments, "may_look_up": look_up, ATTEMPTS: 0},
    }
    condition = is_unchanged(job) if only_if is None else is_unchanged(job) & only_if
    return bool(Job.update(step).where(condition).execute())


def advance(job: Job, vault: Vault, *, retry: bool = True) -> None:
    """Take the next step of the preparation, and reload `job`.

    If the look-ups have ended, or if somebody stopped the import before its plan was complete, the
    next step is to make the plan. A person must review the plan of a stopped import.

    A background job prepares a long file. If no such job is running, for example because the last
    one failed, start a new job only if `retry` is true, or if this call begins the preparation. If
    the import is looking up images, or has a plan, do nothing.
    """
    is_looked_up = job.action == LOOK_UP and job.state == "done"
    if is_looked_up or (job.action in {LOOK_UP, PLAN} and job.state == "stopped"):
        arguments = dict(job.arguments)
        if job.action == LOOK_UP:
            # The age of the look-ups counts from their end, because they may take longer than the
            # time that a person has to review the plan.
            arguments["looked_up_at"] = job.finished_at.isoformat()
        if job.state == "stopped":
            arguments[REVIEW] = ""  # A person must review the plan.
        retry = begin(job, look_up=False, arguments=arguments) or retry
        store.reload_job(job)
    if job.action != PLAN:
        return
    if job.total <= SHORT_FILE_LINES:
        _prepare(job, vault)
    elif retry and running_preparation(job) is None:
        rows = [JobRow(subject=f"Import of {job.total:,} lines")]
        arguments = {"import": job.id}
        actor = replace(actor_of_job(job), job_id=None)
        runner.start_job(store.create_job(actor, job.scope, PREPARE, arguments, rows), vault)
    store.reload_job(job)


def running_preparation(job: Job) -> Job | None:
    """Return the running job that prepares an import in the background, or None."""
    is_running = (Job.person == job.person_id) & (Job.state == "running") & (Job.action == PREPARE)
    jobs = Job.select().where(is_running)
    return next((each for each in jobs if each.arguments["import"] == job.id), None)


def imports_in_background() -> set[int]:
    """Return the IDs of the imports that running jobs are preparing."""
    jobs = Job.select().where((Job.state == "running") & (Job.action == PREPARE))
    return {each.arguments["import"] for each in jobs}


def has_failed_too_often(job: Job) -> bool:
    """Return whether a person must start the next attempt to prepare an import."""
    return job.action == PLAN and job.arguments.get(ATTEMPTS, 0) >= MAX_ATTEMPTS


def _prepare_in_background(
    _actor: Actor, _scope: Scope, arguments: Mapping[str, Any], _row: JobRow, vault: Vault
) -> Outcome:
    job = Job.get_or_none(Job.id == arguments["import"])
    if job is not None and not _prepare(job, vault):
        # The runner tries the row again. If the other process was killed, its lease expires.
        raise CallsInProgress("Another process is planning this import.")
    return Outcome("done")


# `calls_cloud` is true, so that no transaction is open while the action runs. The action may call a
# cloud, and it begins several transactions itself.
JOB_ACTIONS = (
    JobAction(
        PREPARE,
        "Plan an import",
        _prepare_in_background,
        calls_cloud=True,
        can_be_stopped=False,
        is_listed=False,
    ),
)


def _prepare(job: Job, vault: Vault) -> bool:
    """Prepare an import. Return False if another thread or process is already preparing it."""
    lease = leases.acquire(f"import:{job.id}", LEASE_SECONDS)
    if lease is None:
        return False
    try:
        store.reload_job(job)
        if job.action == PLAN and job.state == "planned":
            if job.total > SHORT_FILE_LINES:
                _count_attempt(job)
            _Preparation(job, lease, vault).run()
    except LeaseLost:
        log.info("another process is preparing the import %d", job.id)
    finally:
        leases.release(lease)
    return True


def _count_attempt(job: Job) -> None:
    """Count an attempt before it begins, because the attempt may crash the process."""
    job.arguments = {**job.arguments, ATTEMPTS: job.arguments.get(ATTEMPTS, 0) + 1}
    Job.update(arguments=job.arguments).where(is_unchanged(job)).execute()


class _Preparation:
    def __init__(self, job: Job, lease: Lease, vault: Vault) -> None:
        self._job, self._lease, self._vault = job, lease, vault
        self._rows = _rows(job)
        for row in self._rows:
            import_look_ups.update_stored_result(job, row)
        self._lines = [import_look_ups.line_from(row.arguments) for row in self._rows]

    def run(self) -> None:
        job = self._job
        self._parsed = self._parse()
        if "locations" not in job.arguments:
            missing_values = {
                (parsed.values.cloud.key, parsed.missing)
                for parsed in self._parsed
                if parsed.values and parsed.missing
            }
            suggestions = _suggested_answers(job, missing_values, self._vault)
            suggestions["answers"] |= job.arguments["answers"]
            job.arguments = {**job.arguments, **suggestions}
            if job.arguments["answers"]:
                self._parsed = self._parse()
        self._write()  # This only extends the lease.
        if job.arguments["look_up"] and job.arguments.get("may_look_up"):
            credentials = import_look_ups.credentials_to_look_up(job, self._rows, self._parsed)
            if credentials:
                self._start_look_ups(credentials)
                return
        self._store_plan()

    def _parse(self) -> list[ParsedLine]:
        answers = import_look_ups.answers_from(self._job.arguments)
        return [import_plan.parse_at(self._job.scope, line, answers) for line in self._lines]

    def _start_look_ups(self, credentials: Mapping[int, int]) -> None:
        """Start the look-ups of the rows in `credentials`, and mark the other rows as finished.

        `credentials` maps the indexes of the rows to the IDs of the credentials to use.
        """
        for start in range(0, len(self._rows), CHUNK_SIZE):
            ids: dict[int | None, list[int]] = {}
            for number, row in enumerate(self._rows[start : start + CHUNK_SIZE], start):
                ids.setdefault(credentials.get(number), []).append(row.id)
            updates = []
            for credentials_id, row_ids in ids.items():
                outcome = "unchanged" if credentials_id is None else ""
                values = {"outcome": outcome, "message": "", "credentials_id": credentials_id}
                updates.append(JobRow.update(values).where(JobRow.id.in_(row_ids)).execute)
            self._write(*updates)
        if self._finish({"action": LOOK_UP}):
            self._job.action = LOOK_UP
            runner.start_job(self._job, self._vault)

    def _store_plan(self) -> None:
        job, results = self._job, {}
        for number, row in enumerate(self._rows):
            if result := import_look_ups.result_from(row):
                results[number] = result
        planned = import_planner.make_plan(
            job.scope,
            import_look_ups.options_from(job.arguments),
            import_look_ups.answers_from(job.arguments),
            self._lines,
            self._parsed,
            results,
        )
        self._write()  # This only extends the lease.
        # The new rows get positions that no existing row has. After an interruption, the existing
        # rows are partly rows of the file, and partly rows of the interrupted preparation.
        positions = [row.position for row in self._rows]
        first = 0 if min(positions, default=0) >= len(planned) else max(positions, default=0) + 1
        for start in range(0, len(planned), CHUNK_SIZE):
            self._replace(planned[start : start + CHUNK_SIZE], first, start)
        effects = Counter(line.effect for line in planned)
        arguments = {
            **job.arguments,
            "plan_id": secrets.token_hex(8),
            "counts": {effect: effects[effect] for effect in Effect},
            "questions": _questions(planned, job.arguments),
            "incomplete": sum(line.only_lacks_answers for line in planned),
        }
        self._finish({"action": APPLY, "arguments": arguments})

    def _replace(self, lines: Sequence[PlannedLine], first_position: int, start: int) -> None:
        """Replace the rows of `lines`. The first of these lines has the index `start`."""
        old_rows = [self._rows[line.number] for line in lines]
        new_rows = [
            NewRow(
                image_id=line.image_id,
                subject=f"{line.subject} ({line.position})",
                arguments={**row.arguments, "plan": _as_json(line), "index": index},
            )
            for index, (line, row) in enumerate(zip(lines, old_rows, strict=True), start)
        ]
        delete = JobRow.delete().where(JobRow.id.in_([row.id for row in old_rows]))
        inserts = store.inserts(self._job.id, new_rows, first_position + start)
        self._write(delete.execute, *inserts)

    def _write(self, *statements: Callable[[], object]) -> None:
        """Execute statements in a transaction, and extend the lease. Raises LeaseLost."""
        started = time.monotonic()
        with transaction():
            if not leases.extend(self._lease, LEASE_SECONDS):
                raise LeaseLost(self._lease.name)
            for execute in statements:
                execute()
        pauses.let_others_write(started, pauses.SHORT_RATIO)

    def _finish(self, step: Mapping[str, Any]) -> bool:
        """Move the job to the step after the preparation. Return whether this succeeded.

        If another request has moved the job to another step, the job is not changed. Raises
        LeaseLost.
        """
        with transaction():
            leases.require(self._lease)
            return bool(Job.update(step).where(is_unchanged(self._job)).execute())


def _rows(job: Job) -> list[JobRow]:
    """Return the rows in the order of the file."""
    columns = (JobRow.id, JobRow.position, JobRow.arguments, JobRow.outcome, JobRow.message)
    rows = list(JobRow.select(*columns).where(JobRow.job == job).order_by(JobRow.position))
    return sorted(rows, key=lambda row: row.arguments.get("plan", {}).get("number", row.position))


def is_unchanged(job: Job) -> Any:
    """Return a query condition that is false if another request has changed the step of the job."""
    return (Job.id == job.id) & (Job.action == job.action) & (Job.state == job.state)


def _suggested_answers(
    job: Job, missing_values: Iterable[tuple[str, str]], vault: Vault
) -> dict[str, dict[str, Any]]:
    """Return the answers that follow from the chosen credentials, and the locations to choose from.

    `missing_values` are the values that lines lack, each with the key of its cloud. A missing
    project is filled in with the project of the credentials. If the credentials can use only one
    location, a missing location is filled in too. Failures are ignored, because the person can
    enter the values.
    """
    answers: dict[str, dict[str, str]] = {}
    locations: dict[str, list[str]] = {}
    for cloud_key, name in sorted(missing_values):
        cloud = CLOUDS[cloud_key]
        row = next(
            (
                row
                for row in cloud_credentials.usable_at(job.scope, cloud_key)
                if row.id == job.arguments["credentials"].get(cloud_key)
            ),
            None,
        )
        if row is None:
            continue
        try:
            credentials = vault.reveal(row)
            if name == "project":
                answers[cloud_key] = {name: cloud.default_project(credentials)}
                continue
            keys = [location.key for location in cloud.locations(credentials)]
        except (CloudError, Refusal):
            continue
        locations[cloud_key] = keys
        if len(keys) == 1:
            answers[cloud_key] = {name: keys[0]}
    return {"answers": answers, "locations": locations}


def _as_json(line: PlannedLine) -> dict[str, Any]:
    """Return a line as plain JSON values. `dataclasses.asdict` would copy every value."""
    values = dict(vars(line))
    for name in ("identity", "successor"):
        if values[name] is not None:
            values[name] = vars(values[name])
    return values


def _questions(
    planned: Sequence[PlannedLine], arguments: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return the questions to show above the plan.

    Each question contains the number of lines that lack its answer. Answered questions are
    included, so that the person can correct their answers.
    """
    lines_without_answer = Counter(
        ("" if line.question == OPERATING_SYSTEM else line.cloud, line.question)
        for line in planned
        if line.question
    )
    answered_questions = [
        (cloud, name) for cloud, values in arguments["answers"].items() for name in values
    ]
    if arguments["operating_system"]:
        answered_questions.append(("", OPERATING_SYSTEM))
    return [
        {"cloud": cloud, "name": name, "lines": lines_without_answer[cloud, name]}
        for cloud, name in sorted({*lines_without_answer, *answered_questions}, reverse=True)
    ]
