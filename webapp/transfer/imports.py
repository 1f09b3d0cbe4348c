"""The steps of an import: look up new images, plan, answer questions, and apply the plan.

One job represents the whole import: it begins with the parsed file and ends with the result. First,
the rows of the job are the lines of the file, and the job looks up new images. Then the rows are
the lines of the plan. When the person applies the plan, the job carries out the plan.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import partial

from peewee import Case

from models import DATABASE_FAILURES, Job, JobRow, Scope, now
from webapp.access import Actor, Right
from webapp.credentials.vault import Vault
from webapp.images.receipts import VALID_SECONDS, Receipt
from webapp.jobs import runner, store
from webapp.jobs.actions import JOB_ACTIONS
from webapp.jobs.store import NewRow
from webapp.refusals import Refusal
from webapp.transfer import import_job, import_look_ups, import_preparation
from webapp.transfer.import_file import IDS, SELECTION, ParsedFile
from webapp.transfer.import_lines import Answers
from webapp.transfer.import_look_ups import LOOK_UP
from webapp.transfer.import_plan import Effect, ImportOptions, PlannedLine
from webapp.transfer.import_preparation import APPLY, PLAN, REVIEW, SKIPPED

ACTION_KEYS = frozenset({LOOK_UP, PLAN, APPLY})
"""The actions that the job of an import can have, one after another."""
PLANNING = "planning"
"""The state of an import before a person can review its plan.

Usually, its images are being looked up, or its plan is being made. An import that needs no review
also has this state until the job begins to carry out the plan.
"""
CHUNK_SIZE = 20
"""The maximum number of imports for which `proceed_chunk` takes a step."""
FAILED = "The import failed, and nothing was imported. The error was logged."
FAILED_TOO_OFTEN = (
    f"Planning the import failed {import_preparation.MAX_ATTEMPTS} times, so nothing was imported. "
    "The error was logged. To try again, open the page of the import."
)
STOP_ATTEMPTS = 6
"""The maximum number of attempts of `stop`.

An attempt fails if the import begins its next step at that moment.
"""

log = logging.getLogger(__name__)


def start(
    actor: Actor,
    scope: Scope,
    vault: Vault,
    file: ParsedFile,
    options: ImportOptions,
    *,
    answers: Answers | None = None,
    look_ups: Mapping[int, Receipt] | None = None,
    start_page: Mapping[str, str] | None = None,
) -> Job:
    """Store the lines of a file as a job, and look up new images or plan the import.

    `answers` contains the values that lines lack. `look_ups` contains a receipt for each line whose
    image has been looked up already, by the index of the line. `start_page` describes the page
    where the person started, so that a link can lead back to it. If the import needs no review and
    its plan is complete, carry out the plan. Raises Forbidden.
    """
    actor.require(Right.EDIT_IMAGES, scope)
    answers, look_ups = answers or Answers(), look_ups or {}
    arguments = {
        **asdict(options),
        "answers": answers.by_cloud,
        "operating_system": answers.operating_system,
        "may_look_up": True,
        "noun": file.noun,
        "unknown_columns": list(file.unknown_columns),
        "ignored_columns": list(file.ignored_columns),
        "notes": list(file.notes),
        "format": file.format,
        "start_page": dict(start_page or {}),
    }
    if file.format in {IDS, SELECTION}:
        arguments["title"] = "Register {images}"
    if look_ups:
        looked_up_at = min(receipt.read_at for receipt in look_ups.values())
        arguments["looked_up_at"] = looked_up_at.isoformat()
    rows = []
    for number, line in enumerate(file.lines):
        receipt = look_ups.get(number)
        stored = import_look_ups.stored_receipt(scope, line, receipt) if receipt else {}
        rows.append(NewRow(subject=line.position, arguments={"line": vars(line), **stored}))
    job = store.create_job(actor, scope, PLAN, {**arguments, REVIEW: "", "counts": {}}, rows)
    if options.review != SKIPPED:
        import_preparation.advance(job, vault)
        return job
    # All lines are stored now, so periodic work may continue the import from here on.
    job.arguments = {**job.arguments, REVIEW: SKIPPED}
    job.save(only=[Job.arguments])
    try:
        proceed(job, vault)
    except DATABASE_FAILURES as error:
        # Do not report an error, because the client would then start a second import.
        log.warning("the import %d cannot continue now", job.id, exc_info=error)
    return job


def answer(
    job: Job,
    vault: Vault,
    answers: Mapping[str, Mapping[str, str]],
    operating_system: tuple[str, str] | None,
) -> bool:
    """Complete the lines of a planned import with `answers`, and plan the import again.

    `answers` contains the values that lines lack, by cloud and name. Do nothing and return False if
    the import has no plan to review, for example because the plan has been applied.
    """
    arguments = {**job.arguments, "answers": answers, "operating_system": operating_system}
    if not _is_planned(job):
        return False
    if not import_preparation.begin(job, look_up=True, arguments=arguments):
        store.reload_job(job)
        return False
    store.reload_job(job)
    import_preparation.advance(job, vault)
    return True


class PlannedAgain(Refusal):
    """The person confirmed a plan, but a newer plan has replaced it, for example in another tab."""

    def __init__(self) -> None:
        super().__init__(
            "The review has changed since you opened the page. Check it, and then confirm again."
        )


def apply(job: Job, vault: Vault, plan_id: str | None = None) -> bool:
    """Carry out the plan. If its look-ups are too old, repeat the look-ups instead.

    An import that needs no review is carried out even if its look-ups are too old. `plan_id` is the
    ID of the plan that the person reviewed, or None for the current plan. Return False if the
    look-ups are repeated, so the person must review the new plan. Return True if this or an earlier
    call has started to carry out the plan, or if the import was stopped. Raises PlannedAgain.
    """
    if is_preparing(job):
        raise PlannedAgain
    if not _is_planned(job):
        return True
    if plan_id is not None and plan_id != plan_id_of(job):
        raise PlannedAgain
    reviewed_condition = import_preparation.is_unchanged(job)
    if plan_id_of(job):
        reviewed_condition &= Job.arguments["plan_id"].as_text() == plan_id_of(job)
    # The age limit makes sure that a person confirms what the clouds contain now. Nobody confirms
    # an import that needs no review, so the limit does not apply to it.
    if _are_look_ups_too_old(job) and not needs_no_review(job):
        look_up_round = job.arguments.get("look_up_round", 0) + 1
        arguments = {**job.arguments, "look_up_round": look_up_round}
        if not import_preparation.begin(
            job, look_up=True, arguments=arguments, only_if=reviewed_condition
        ):
            raise PlannedAgain
        store.reload_job(job)
        import_preparation.advance(job, vault)
        return False
    runner.start_job(job, vault, process_if_short=True, only_if=reviewed_condition)
    if is_preparing(job) or _is_planned(job):
        raise PlannedAgain
    return True


def _are_look_ups_too_old(job: Job) -> bool:
    looked_up_at = job.arguments.get("looked_up_at")
    oldest = now() - timedelta(seconds=VALID_SECONDS)
    return bool(looked_up_at) and datetime.fromisoformat(looked_up_at) < oldest


def apply_if_all_new(job: Job, vault: Vault) -> bool:
    """Carry out the plan if each line registers an image. Return whether the plan is carried out.

    If a line does anything else, for example because it has an error, the person must review the
    plan.
    """
    counts = job.arguments["counts"]
    if not _is_planned(job) or counts.get(Effect.CREATE) != job.total:
        return False
    return apply(job, vault)


def proceed(job: Job, vault: Vault) -> None:
    """Take the next step of an import, and reload `job`.

    If the import needs no review and its plan is complete, carry out the plan.
    """
    if needs_no_review(job) and job.state == "stopped":
        return  # Stopping one step stops the whole import.
    if needs_no_review(job) and import_preparation.has_failed_too_often(job):
        return  # `proceed_chunk` stops the import.
    import_preparation.advance(job, vault)
    if needs_no_review(job) and _is_planned(job):
        with suppress(PlannedAgain):  # Another process has just done this.
            apply(job, vault)


def stop(actor: Actor, job: Job) -> bool:
    """Stop the current step of an import, and reload `job`. Return whether this succeeded.

    An import that needs no review can also be stopped between two steps. After that, nothing more
    is imported. Any other import can be stopped only while it looks up images or carries out its
    plan.
    """
    for _ in range(STOP_ATTEMPTS):
        if job.state == "running":
            is_stopped = runner.stop_job(actor, job)
        elif needs_no_review(job) and not _has_ended(job):
            title = JOB_ACTIONS[APPLY].title_for(job.total)
            stop_step = partial(_stop_between_steps, job)
            is_stopped = runner.stop_job_with(stop_step, actor, job, title)
        else:
            return False
        if is_stopped:
            return True
    return False


def _has_ended(job: Job) -> bool:
    return job.state == "stopped" or (job.action == APPLY and job.state == "done")


def _stop_between_steps(job: Job, reason: str) -> bool:
    """Stop an import, unless a step is running. A running step may already have imported rows."""
    values = {"state": "stopped", "finished_at": now(), "stop_reason": reason}
    is_between = import_preparation.is_unchanged(job) & (Job.state != "running")
    return bool(Job.update(values).where(is_between).execute())


def is_preparing(job: Job) -> bool:
    """Return whether an import has no plan yet."""
    return job.action in {LOOK_UP, PLAN}


def state_of(job: Job) -> str:
    """Return PLANNING, or the state 'planned', 'running', 'done' or 'stopped' of an import."""
    if not needs_no_review(job):
        return PLANNING if is_preparing(job) else job.state
    if job.state == "stopped":
        return "stopped"
    return PLANNING if is_preparing(job) or _is_planned(job) else job.state


def needs_no_review(job: Job) -> bool:
    """Return whether the plan of an import is carried out without a review."""
    return bool(job.arguments.get(REVIEW) == SKIPPED)


def proceed_chunk(vault: Vault) -> bool:
    """Take the next step of at most CHUNK_SIZE imports that need no review.

    Always return False, so that `webapp.jobs.ticker` waits before it calls this function again.

    If the preparation of a long file failed, start the preparation again. Stop the import if the
    preparation has failed MAX_ATTEMPTS times, or if the import fails and the database is not the
    reason. Clients that wait for the import then notice that it has ended.
    """
    needs_no_review = Job.arguments[REVIEW].as_text() == SKIPPED
    # A background job plans a long file. Until this job ends, the import has no step to take here.
    is_in_background = Job.id.in_(list(import_preparation.imports_in_background()))
    is_due = ((Job.action == PLAN) & ~is_in_background) | (Job.action == APPLY)
    is_looked_up = (Job.action == LOOK_UP) & (Job.state == "done")
    due = Job.select().where(((is_due & (Job.state == "planned")) | is_looked_up) & needs_no_review)
    for job in list(due.order_by(Job.id).limit(CHUNK_SIZE)):
        if import_preparation.has_failed_too_often(job):
            log.error("the import %d failed too often and is stopped", job.id)
            _stop_between_steps(job, FAILED_TOO_OFTEN)
            continue
        try:
            proceed(job, vault)
        except DATABASE_FAILURES:
            raise
        except Exception:
            log.exception("the import %d failed and is stopped", job.id)
            _stop_between_steps(job, FAILED)
    return False


def plan_id_of(job: Job) -> str:
    """Return the ID of the current plan, or '' if an older version stored the plan without an ID.

    Each plan of a job has a different ID.
    """
    plan_id: str = job.arguments.get("plan_id", "")
    return plan_id


def list_lines(
    job: Job, effect: Effect | None, page: int, size: int
) -> tuple[list[PlannedLine], bool]:
    """Return one page of a plan, and whether more lines follow.

    The lines are sorted by effect, and then in the order in which they are applied. The first page
    is 1. If `effect` is not None, only lines with this effect are returned.
    """
    stored = JobRow.arguments["plan"]["effect"].as_text()
    rank = Case(stored, [(each.value, number) for number, each in enumerate(Effect)])
    query = JobRow.select().where(JobRow.job == job)
    if effect is not None:
        query = query.where(stored == effect.value)
    rows = list(query.order_by(rank, JobRow.position).offset((page - 1) * size).limit(size + 1))
    return [import_job.planned_line(row) for row in rows[:size]], len(rows) > size


def _is_planned(job: Job) -> bool:
    return bool(job.action == APPLY and job.state == "planned")
