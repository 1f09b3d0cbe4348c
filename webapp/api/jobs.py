"""Jobs, and the bulk actions that start them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Annotated

import msgspec
from flask import g
from msgspec import UNSET, Meta, Struct, UnsetType

import models
from models import Job as JobRecord
from models import JobRow
from webapp.access import Right
from webapp.api.image_values import Values, parse_values
from webapp.api.job_documents import job_url
from webapp.api.operations import Answer, operation
from webapp.api.paging import LIMIT, Cursor, Limit, foreign_cursor, page_links
from webapp.api.problems import LONGEST_ECHO, ApiProblem, FieldError, invalid_value
from webapp.api.urls import page_url, scope_path
from webapp.clouds.messages import shorten
from webapp.jobs import bulk, bulk_actions, claims, runner, store
from webapp.jobs.actions import JOB_ACTIONS, title_of
from webapp.jobs.bulk import Preview, Selection
from webapp.jobs.bulk_actions import Arguments, BulkAction
from webapp.search import catalogue
from webapp.transfer import imports
from webapp.transfer.import_preparation import APPLY
from webapp.values.tags import parse_tags
from webapp.web.services import services

TAG = "Jobs"
MAX_SELECTED = 1_000


class Job(Struct):
    """Work in the background."""

    id: int
    action: str
    title: str
    state: Annotated[
        str,
        Meta(
            description="`running`, `done` or `stopped`, or `planned` for an import that was only "
            "planned."
        ),
    ]
    total: Annotated[int, Meta(description="The number of rows, which are usually images.")]
    outcomes: Annotated[
        dict[str, int],
        Meta(description="The number of rows by outcome. Rows without an outcome are `pending`."),
    ]
    stop_reason: str
    jobs_before: Annotated[
        int, Meta(description="The number of jobs that must end before this job starts.")
    ]
    created_at: datetime
    finished_at: datetime | None
    url: str
    web_url: str


class Row(Struct):
    """One part of a job, and its outcome."""

    image: Annotated[
        int | None, Meta(description="The ID of the image in the registry, if there is one.")
    ]
    subject: str
    outcome: Annotated[str, Meta(description="'' until the row is processed.")]
    message: str


class RowList(Struct):
    """One page of the rows of a job. Refused rows come first."""

    items: list[Row]
    next: str | None


class RowQuery(Struct, forbid_unknown_fields=True):
    """The parameters of a list of rows."""

    outcome: Annotated[
        str | UnsetType,
        Meta(description="Only rows with this outcome, or `pending` for unprocessed rows."),
    ] = UNSET
    limit: Limit = LIMIT
    cursor: Cursor = ""


@operation("GET /jobs/<int:job_id>", tag=TAG, right=Right.VIEW_IMAGES)
def get_job(job_id: int) -> Answer[Job]:
    """Get a job that was started by the owner of this token (a person or a scope)."""
    return Answer(_document(_require_started(store.find_job(g.actor, g.scope, job_id))))


@operation("GET /jobs/<int:job_id>/rows", tag=TAG, right=Right.VIEW_IMAGES)
def list_rows(job_id: int, query: RowQuery) -> Answer[RowList]:
    """List the parts of a job with their outcomes."""
    job = _require_started(store.find_job(g.actor, g.scope, job_id))
    outcome = None if query.outcome is UNSET else query.outcome
    outcome = "" if outcome == "pending" else outcome
    if query.cursor and not store.is_row_cursor(query.cursor):
        raise foreign_cursor()
    rows, cursor = store.list_rows(job, outcome, after=query.cursor, size=query.limit)
    document = RowList([_row(each) for each in rows], None)
    document.next, headers = page_links(cursor)
    return Answer(document, headers=headers)


@operation("POST /jobs/<int:job_id>/stop", tag=TAG, right=Right.VIEW_IMAGES)
def stop_job(job_id: int) -> Answer[Job]:
    """Stop a job. The images that it has not processed yet stay as they are.

    Admins can also stop the jobs of others.
    """
    job = store.find_job_to_stop(g.actor, g.scope, job_id)
    if job is not None and job.action in imports.ACTION_KEYS:
        imports.stop(g.actor, job)
    else:
        job = _require_started(job)
        runner.stop_job(g.actor, job)
    return Answer(_document(job))


class Bulk(Struct, forbid_unknown_fields=True):
    """An action for many images, and its arguments."""

    action: Annotated[str, Meta(extra_json_schema={"enum": list(bulk_actions.ACTIONS)})]
    images: Annotated[
        list[int],
        Meta(
            max_length=MAX_SELECTED,
            description="The IDs of the images. Send either `images` or `q`.",
        ),
    ] = []
    q: Annotated[
        str | UnsetType,
        Meta(description="A search for the images. An empty text selects all images."),
    ] = UNSET
    dry_run: Annotated[
        bool, Meta(description="Return what the action would change, without starting a job.")
    ] = False
    tags: list[str] = []
    os_family: str | UnsetType = UNSET
    os_version: str | UnsetType = UNSET
    on: date | UnsetType = UNSET
    reason: str = ""
    successor: int | str | None = None


class Effect(Struct):
    """How many of the selected images a bulk action would change."""

    changed: Annotated[
        int, Meta(description="The number of the scope’s own images that would change.")
    ]
    unchanged: Annotated[
        int, Meta(description="The number of the scope’s own images that would stay the same.")
    ]
    inherited: Annotated[
        int,
        Meta(
            description="The number of images of the scopes above. The action never changes them."
        ),
    ]
    below: Annotated[
        int,
        Meta(
            description="The number of images of the scopes below. The action never changes them."
        ),
    ]
    names: Annotated[
        list[str], Meta(description="The names of the first images that would change.")
    ]
    scopes_losing_access: Annotated[
        int,
        Meta(description="The number of scopes below that would no longer see some of the images."),
    ]


class BulkAnswer(Struct):
    """The job, or with `dry_run` the effect of the action."""

    job: Job | None
    effect: Effect | None


def _plan(body: Bulk) -> JobRecord | Preview:
    """Return a planned job, or with `dry_run` the effect of the action."""
    action, selection = _action(body.action), _selection(body)
    arguments = _arguments(action, body)
    if body.dry_run:
        return bulk.preview_action(g.actor, g.scope, action, selection)
    arguments = {**arguments, "q": "" if body.q is UNSET else body.q}
    return bulk.plan_action(g.actor, g.scope, action, selection, arguments)


@operation(
    "POST /images/bulk",
    tag=TAG,
    right=Right.EDIT_IMAGES,
    statuses=(200, 202),
    problems=("search-not-understood",),
    prepare=_plan,
)
def start_bulk_action(
    body: Bulk,  # noqa: ARG001  the type of the body
    prepared: JobRecord | Preview,
) -> Answer[BulkAnswer]:
    """Start an action for many images, as a job.

    The action changes only images that the scope owns.
    """
    if isinstance(prepared, Preview):
        return Answer(BulkAnswer(None, _effect(prepared)))
    job = prepared
    runner.start_job(job, services().vault, process_if_short=True)
    return Answer(BulkAnswer(_document(job), None), 202, {"Location": job_url(job)})


def _action(key: str) -> BulkAction:
    available = {each.key: each for each in bulk_actions.available_actions(g.scope)}
    if key not in available:
        text, names = shorten(key, LONGEST_ECHO), ", ".join(available)
        raise invalid_value("action", f"“{text}” isn’t an action here. Use one of: {names}.")
    return available[key]


def _selection(body: Bulk) -> Selection:
    """Return the selected images. Raises ApiProblem and NotUnderstood."""
    if (body.q is UNSET) == (not body.images):
        raise invalid_value("images", "Send either “images” or “q”.")
    if body.q is UNSET:
        return Selection([each for each in body.images if 0 < each <= models.LARGEST_ID])
    query = catalogue.parse_search(g.scope, body.q)
    query.require_understood()
    return Selection(query=query)


def _arguments(action: BulkAction, body: Bulk) -> Arguments:
    """Return the arguments of the action. Raises ApiProblem and Refusal."""
    _refuse_other_arguments(action, body)
    if action.asks_for == bulk_actions.TAGS:
        if not body.tags:
            raise invalid_value("tags", "Enter at least one tag.")
        return bulk_actions.tag_arguments(parse_tags(body.tags))
    if action.asks_for == bulk_actions.OPERATING_SYSTEM:
        fields = {"os_family": body.os_family, "os_version": body.os_version}
        texts = {name: "" if value is UNSET else value for name, value in fields.items()}
        values = parse_values(msgspec.convert(texts, Values))
        return bulk_actions.operating_system_arguments(values["os_family"], values["os_version"])
    if action.asks_for == bulk_actions.LIFE_CYCLE:
        on = models.today() if body.on is UNSET else body.on
        successor = body.successor
        text = f"#{successor}" if isinstance(successor, int) else successor or ""
        return bulk_actions.life_cycle_arguments(g.scope, on, body.reason, text)
    return {}


ARGUMENTS: Mapping[str, Sequence[str]] = {
    bulk_actions.TAGS: ("tags",),
    bulk_actions.OPERATING_SYSTEM: ("os_family", "os_version"),
    bulk_actions.LIFE_CYCLE: ("on", "reason", "successor"),
}
"""The fields of `Bulk` that are arguments of actions, by the `asks_for` of the actions."""


def _refuse_other_arguments(action: BulkAction, body: Bulk) -> None:
    """Raise ApiProblem if the body has an argument that the action would ignore."""
    own_arguments = ARGUMENTS.get(action.asks_for, ())
    errors = [
        FieldError(name, f"The action “{action.key}” doesn’t have this argument. Leave it out.")
        for names in ARGUMENTS.values()
        for name in names
        if name not in own_arguments and getattr(body, name) not in (UNSET, "", None, [])
    ]
    if errors:
        detail = f"“{errors[0].field}”: {errors[0].detail}"
        raise ApiProblem("invalid-values", detail, errors)


def _effect(preview: Preview) -> Effect:
    return Effect(
        changed=preview.changed,
        unchanged=preview.unchanged,
        inherited=preview.inherited,
        below=preview.below.number,
        names=list(preview.names),
        scopes_losing_access=preview.hidden_from.total,
    )


def _require_started(job: JobRecord | None) -> JobRecord:
    """Return `job` if it is a started job or an import. Otherwise, raise ApiProblem (404).

    So the function refuses None, a bulk action that was not started, and internal work that is not
    shown as a job. If a step of an import, for example the look-ups, has ended, the function also
    begins the next step of this import.
    """
    if job is not None and job.action in imports.ACTION_KEYS:
        imports.proceed(job, services().vault)
    elif job is None or job.state == "planned" or job.action not in JOB_ACTIONS:
        raise ApiProblem("not-found")
    return job


def _document(job: JobRecord) -> Job:
    counts = {outcome or "pending": n for outcome, n in store.outcome_counts(job).items()}
    path = f"{scope_path(g.scope.level, g.scope.path)}/jobs/{job.id}"
    is_import = job.action in imports.ACTION_KEYS
    state = imports.state_of(job) if is_import else job.state
    return Job(
        id=job.id,
        action=APPLY if is_import else job.action,
        title=title_of(job) if job.action in JOB_ACTIONS else JOB_ACTIONS[APPLY].title,
        state="running" if state == imports.PLANNING else state,
        total=job.total,
        outcomes=counts,
        stop_reason=job.stop_reason,
        jobs_before=claims.jobs_before(job),
        created_at=job.created_at,
        finished_at=job.finished_at,
        url=job_url(job),
        web_url=page_url(path),
    )


def _row(row: JobRow) -> Row:
    return Row(row.image_id, row.subject, row.outcome, row.message)
