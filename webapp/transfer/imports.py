"""The steps of an import: look up new images, plan, answer questions, and apply the plan.

One job represents an import from the parsed file to the result. First, the rows of the job are the
lines of the file, and the job looks up new images. Then the rows are the lines of the plan. When
the person applies the plan, the job carries out the plan.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from peewee import Case

from models import Job, JobRow, Scope, now, transaction
from webapp.access import Actor, Right
from webapp.clouds import CLOUDS
from webapp.clouds.base import CloudError
from webapp.credentials import cloud_credentials
from webapp.credentials.vault import Vault
from webapp.images.receipts import VALID_SECONDS
from webapp.jobs import runner, store
from webapp.refusals import Refusal
from webapp.transfer import import_job, import_look_ups, import_plan, import_planner
from webapp.transfer.import_file import ParsedFile
from webapp.transfer.import_look_ups import LOOK_UP
from webapp.transfer.import_plan import OPERATING_SYSTEM, Effect, ImportOptions, PlannedLine

APPLY = "import"
"""The key of the job action that carries out a plan."""
ACTION_KEYS = frozenset({LOOK_UP, APPLY})
UPDATE_SIZE = 500
"""Rows per UPDATE statement."""


def start(
    actor: Actor, scope: Scope, vault: Vault, file: ParsedFile, options: ImportOptions
) -> Job:
    """Store the lines of a file as a job, and look up new images or plan the import.

    Raises Forbidden.
    """
    actor.require(Right.EDIT_IMAGES, scope)
    arguments = {
        **asdict(options),
        "answers": {},
        "operating_system": None,
        "locations": {},
        "noun": file.noun,
        "unknown_columns": list(file.unknown_columns),
        "ignored_columns": list(file.ignored_columns),
        "notes": list(file.notes),
    }
    rows = [JobRow(subject=line.position, arguments={"line": asdict(line)}) for line in file.lines]
    job = store.create_job(actor, scope, APPLY, {**arguments, "counts": {}}, rows)
    _suggest_answers(job, vault)
    _prepare(job, vault)
    return job


def answer(
    job: Job,
    vault: Vault,
    answers: Mapping[str, Mapping[str, str]],
    operating_system: tuple[str, str] | None,
) -> None:
    """Complete the lines of a planned import with `answers`, and plan the import again.

    Do nothing if the import has been applied.
    """
    job.arguments = {**job.arguments, "answers": answers, "operating_system": operating_system}
    if _is_planned(job) and Job.update(arguments=job.arguments).where(_unchanged(job)).execute():
        _prepare(job, vault)


def finish_look_ups(job: Job) -> None:
    """Plan the import if its look-ups are finished or were stopped. Otherwise, do nothing."""
    if job.action == LOOK_UP and job.state in {"done", "stopped"}:
        _store_plan(job)


class PlannedAgain(Refusal):
    """The person confirmed a plan that a newer plan has replaced, for example in another tab."""

    def __init__(self) -> None:
        super().__init__(
            "The review has changed since you opened the page. Check it, and then import the file."
        )


def apply(job: Job, vault: Vault, plan_id: str | None = None) -> bool:
    """Carry out the plan. If its look-ups are too old, repeat the look-ups instead.

    `plan_id` is the ID of the plan that the person reviewed, or None for the current plan. Return
    whether the plan is carried out. If the look-ups are repeated, the person must review the new
    plan. Raises PlannedAgain.
    """
    if job.action == LOOK_UP:
        raise PlannedAgain
    if not _is_planned(job):
        return True
    if plan_id is not None and plan_id != plan_id_of(job):
        raise PlannedAgain
    is_reviewed = _unchanged(job)
    if plan_id_of(job):
        is_reviewed &= Job.arguments["plan_id"].as_text() == plan_id_of(job)
    looked_up_at = job.arguments.get("looked_up_at")
    oldest = now() - timedelta(seconds=VALID_SECONDS)
    if looked_up_at and datetime.fromisoformat(looked_up_at) < oldest:
        _forget_look_ups(job, is_reviewed)
        _prepare(job, vault)
        return False
    runner.start_job(job, vault, wait=True, only_if=is_reviewed)
    if job.action == LOOK_UP or _is_planned(job):
        raise PlannedAgain
    return True


def _forget_look_ups(job: Job, is_reviewed: Any) -> None:
    """Remove the results of the look-ups. Raises PlannedAgain unless the job meets `is_reviewed`.

    If another request started the import, its rows would otherwise lose the details of the cloud.
    """
    with transaction():
        arguments = {**job.arguments, "plan_id": secrets.token_hex(8)}
        if not Job.update(arguments=arguments).where(is_reviewed).execute():
            raise PlannedAgain
        job.arguments = arguments
        for row in JobRow.select().where(JobRow.job == job):
            row.arguments.pop("look_up_result", None)
            JobRow.update(arguments=row.arguments).where(JobRow.id == row.id).execute()


def plan_id_of(job: Job) -> str:
    """Return the ID of the current plan. Each plan of a job has a different ID."""
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


def _unchanged(job: Job) -> Any:
    """Return the query condition that no other request has moved the job to another step."""
    return (Job.id == job.id) & (Job.action == job.action) & (Job.state == job.state)


def _suggest_answers(job: Job, vault: Vault) -> None:
    """Fill in the answers that follow from the chosen credentials.

    The project is the project of the credentials. If the credentials can use only one location, the
    location is filled in too. Failures are ignored, because the person can enter the values.
    """
    answers: dict[str, dict[str, str]] = {}
    locations: dict[str, list[str]] = {}
    for cloud_key, name in sorted(_missing_values(job)):
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
    job.arguments = {**job.arguments, "answers": answers, "locations": locations}
    job.save()


def _missing_values(job: Job) -> set[tuple[str, str]]:
    """Return the values that lines lack, each with the key of its cloud."""
    answers = import_look_ups.answers_from(job.arguments)
    lines = (import_look_ups.line_from(row.arguments) for row in _rows(job))
    parsed_lines = (import_plan.parse_at(job.scope, line, answers) for line in lines)
    return {
        (parsed.values.cloud.key, parsed.missing)
        for parsed in parsed_lines
        if parsed.values and parsed.missing
    }


def _prepare(job: Job, vault: Vault) -> None:
    """Look up the new images that were not looked up yet. If there are none, plan the import."""
    rows = _rows(job)
    credentials = (
        import_look_ups.credentials_to_look_up(job, rows) if job.arguments["look_up"] else {}
    )
    if not credentials:
        _store_plan(job)
        return
    waiting: dict[int, list[int]] = {}
    for number, credentials_id in credentials.items():
        waiting.setdefault(credentials_id, []).append(rows[number].id)
    arguments = {**job.arguments, "looked_up_at": now().isoformat()}
    with transaction():
        step = {"action": LOOK_UP, "arguments": arguments}
        if not Job.update(step).where(_unchanged(job)).execute():
            return
        JobRow.update(outcome="unchanged").where(JobRow.job == job).execute()
        for credentials_id, row_ids in waiting.items():
            for start_at in range(0, len(row_ids), UPDATE_SIZE):
                ids = row_ids[start_at : start_at + UPDATE_SIZE]
                update = JobRow.update(outcome="", message="", credentials_id=credentials_id)
                update.where(JobRow.id.in_(ids)).execute()
    job.action = LOOK_UP
    runner.start_job(job, vault)


def _store_plan(job: Job) -> None:
    """Replace the rows of the job by the lines of the plan, unless another request has done so."""
    rows = _rows(job)
    arguments = [row.arguments for row in rows]
    results = {
        number: result
        for number, row in enumerate(rows)
        if (result := import_look_ups.result_from(row))
    }
    planned = import_planner.make_plan(
        job.scope,
        import_look_ups.options_from(job.arguments),
        import_look_ups.answers_from(job.arguments),
        [import_look_ups.line_from(each) for each in arguments],
        results,
    )
    plan_rows = [
        JobRow(
            image_id=line.image_id,
            subject=f"{line.subject} ({line.position})",
            arguments={**arguments[line.number], "plan": asdict(line)},
        )
        for line in planned
    ]
    effects = Counter(line.effect for line in planned)
    counts = {effect: effects[effect] for effect in Effect}
    step = {
        "action": APPLY,
        "state": "planned",
        "done": 0,
        "finished_at": None,
        "arguments": {
            **job.arguments,
            "plan_id": secrets.token_hex(8),
            "counts": counts,
            "questions": _questions(planned, job.arguments),
            "incomplete": sum(line.only_lacks_answers for line in planned),
        },
    }
    inserts = store.inserts(job, plan_rows)
    with transaction():
        if Job.update(step).where(_unchanged(job)).execute():
            JobRow.delete().where(JobRow.job == job).execute()
            for insert in inserts:
                insert()
    store.reload_job(job)


def _questions(
    planned: Sequence[PlannedLine], arguments: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return the questions to show above the plan.

    Each question has the number of lines that lack its answer. Answered questions stay, so that the
    person can correct the answer.
    """
    lacking = Counter(
        ("" if line.question == OPERATING_SYSTEM else line.cloud, line.question)
        for line in planned
        if line.question
    )
    answered = [(cloud, name) for cloud, values in arguments["answers"].items() for name in values]
    if arguments["operating_system"]:
        answered.append(("", OPERATING_SYSTEM))
    return [
        {"cloud": cloud, "name": name, "lines": lacking[cloud, name]}
        for cloud, name in sorted({*lacking, *answered}, reverse=True)
    ]


def _rows(job: Job) -> list[JobRow]:
    """Return the rows in the order of the file."""
    rows = list(JobRow.select().where(JobRow.job == job).order_by(JobRow.position))
    return sorted(rows, key=lambda row: row.arguments.get("plan", {}).get("number", row.position))
