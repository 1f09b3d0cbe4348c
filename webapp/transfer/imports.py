"""The steps of an import: look up new images, plan, answer questions, and apply the plan.

One job represents the whole import: it begins with the parsed file and ends with the result. First,
the rows of the job are the lines of the file, and the job looks up new images. Then the rows are
the lines of the plan. When the person applies the plan, the job carries out the plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta

from peewee import Case

from models import Job, JobRow, Scope, now
from webapp.access import Actor, Right
from webapp.credentials.vault import Vault
from webapp.images.receipts import VALID_SECONDS, Receipt
from webapp.jobs import runner, store
from webapp.jobs.store import NewRow
from webapp.refusals import Refusal
from webapp.transfer import import_job, import_look_ups, import_preparation
from webapp.transfer.import_file import IDS, SELECTION, ParsedFile
from webapp.transfer.import_look_ups import LOOK_UP
from webapp.transfer.import_plan import Effect, ImportOptions, PlannedLine
from webapp.transfer.import_preparation import APPLY, PLAN

ACTION_KEYS = frozenset({LOOK_UP, PLAN, APPLY})


def start(
    actor: Actor,
    scope: Scope,
    vault: Vault,
    file: ParsedFile,
    options: ImportOptions,
    *,
    answers: Mapping[str, Mapping[str, str]] | None = None,
    look_ups: Mapping[int, Receipt] | None = None,
    start_page: Mapping[str, str] | None = None,
) -> Job:
    """Store the lines of a file as a job, and look up new images or plan the import.

    `answers` has values for the lines that lack them, by cloud and name. `look_ups` has a receipt
    for each line whose image has been looked up already, by the index of the line. `start_page`
    describes the page where the person started, so that a link can lead back to it.
    Raises Forbidden.
    """
    actor.require(Right.EDIT_IMAGES, scope)
    look_ups = look_ups or {}
    arguments = {
        **asdict(options),
        "answers": answers or {},
        "operating_system": None,
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
    job = store.create_job(actor, scope, PLAN, {**arguments, "counts": {}}, rows)
    import_preparation.advance(job, vault)
    return job


def answer(
    job: Job,
    vault: Vault,
    answers: Mapping[str, Mapping[str, str]],
    operating_system: tuple[str, str] | None,
) -> None:
    """Complete the lines of a planned import with `answers`, and plan the import again.

    `answers` has values for the lines that lack them, by cloud and name. Do nothing if the import
    has no plan to review, for example because the plan has been applied.
    """
    arguments = {**job.arguments, "answers": answers, "operating_system": operating_system}
    if _is_planned(job):
        import_preparation.begin(job, look_up=True, arguments=arguments)
        store.reload_job(job)
        import_preparation.advance(job, vault)


class PlannedAgain(Refusal):
    """The person confirmed a plan, but a newer plan has replaced it, for example in another tab."""

    def __init__(self) -> None:
        super().__init__(
            "The review has changed since you opened the page. Check it, and then import the file."
        )


def apply(job: Job, vault: Vault, plan_id: str | None = None) -> bool:
    """Carry out the plan. If its look-ups are too old, repeat the look-ups instead.

    `plan_id` is the ID of the plan that the person reviewed, or None for the current plan. Return
    False if the look-ups are repeated, so the person must review the new plan. Return True if this
    or an earlier call has started to carry out the plan. Raises PlannedAgain.
    """
    if job.action in {LOOK_UP, PLAN}:
        raise PlannedAgain
    if not _is_planned(job):
        return True
    if plan_id is not None and plan_id != plan_id_of(job):
        raise PlannedAgain
    reviewed_condition = import_preparation.is_unchanged(job)
    if plan_id_of(job):
        reviewed_condition &= Job.arguments["plan_id"].as_text() == plan_id_of(job)
    looked_up_at = job.arguments.get("looked_up_at")
    oldest = now() - timedelta(seconds=VALID_SECONDS)
    if looked_up_at and datetime.fromisoformat(looked_up_at) < oldest:
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
    if job.action in {LOOK_UP, PLAN} or _is_planned(job):
        raise PlannedAgain
    return True


def apply_if_all_new(job: Job, vault: Vault) -> bool:
    """Carry out the plan if each line registers an image. Return whether the plan is carried out.

    Otherwise, for example if a line has an error, the person must review the plan.
    """
    counts = job.arguments["counts"]
    if not _is_planned(job) or counts.get(Effect.CREATE) != job.total:
        return False
    return apply(job, vault)


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

    The lines are sorted by effect, and then in the order in which they are applied. If `effect` is
    not None, only lines with this effect are returned.
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
