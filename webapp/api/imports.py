"""Imports: plan what to do with each line of a file, and carry out the plan as a job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from flask import g
from msgspec import Meta, Struct

from models import Job as JobRecord
from webapp.access import Right
from webapp.api.credentials_choice import Credentials, matching_credentials, require_cloud
from webapp.api.job_documents import JobReference, job_url
from webapp.api.operations import Answer, operation
from webapp.api.paging import LIMIT, Limit, page_links
from webapp.api.problems import LONGEST_ECHO, ApiProblem, invalid_value
from webapp.api.urls import api_url, page_url, scope_path
from webapp.clouds import CLOUDS
from webapp.clouds.messages import shorten
from webapp.jobs import store
from webapp.refusals import Refusal
from webapp.transfer import import_formats, imports
from webapp.transfer.import_file import UnreadableFile
from webapp.transfer.import_formats import MAX_BYTES, MAX_LINES
from webapp.transfer.import_lines import Answers, parse_operating_system
from webapp.transfer.import_plan import OPERATING_SYSTEM, Effect, ImportOptions, PlannedLine
from webapp.transfer.import_preparation import SKIPPED
from webapp.transfer.imports import PlannedAgain
from webapp.web.services import services

TAG = "Imports"
MAX_BODY_BYTES = 2 * MAX_BYTES
"""The maximum size of the body.

It is larger than MAX_BYTES, because the content of a file becomes longer in a JSON document.
"""

ValuesByCloud = Annotated[
    dict[str, dict[Literal["location", "project"], Annotated[str, Meta(max_length=255)]]],
    Meta(
        description="For each cloud, the `location` or `project` for lines that lack this value. "
        'For example, `{"openstack": {"location": "RegionOne"}}`.'
    ),
]
OperatingSystem = Annotated[
    str,
    Meta(
        max_length=200,
        description="The operating system for images whose operating system can't be detected. "
        "For example, `Ubuntu 24.04`.",
    ),
]


class ImportFile(Struct, forbid_unknown_fields=True):
    """A file, and how to import its images."""

    content: Annotated[
        str, Meta(description="The content of a CSV or JSON file, or of a Packer manifest.")
    ]
    dry_run: Annotated[
        bool, Meta(description="Only plan the import. The plan can be applied later.")
    ] = False
    look_up: Annotated[
        bool,
        Meta(
            description="Whether to read new images from their clouds. If false, they are "
            "registered as not checked."
        ),
    ] = True
    credentials: Annotated[
        dict[str, Credentials],
        Meta(
            description="The ID or the name of the credentials for the look-ups, by cloud. A cloud "
            "can be left out if the scope can use only one set of credentials for it."
        ),
    ] = {}
    answers: ValuesByCloud = {}
    operating_system: OperatingSystem = ""


class Effects(Struct):
    """The number of lines with each effect."""

    error: int
    create: int
    update: int
    unchanged: int


class Question(Struct):
    """A value that lines lack. `POST …/answers` accepts it."""

    cloud: Annotated[str, Meta(description="The cloud of the lines, or '' for all clouds.")]
    name: Annotated[str, Meta(description="`location`, `project` or `operating_system`.")]
    lines: int


class Import(Struct):
    """An import."""

    id: int
    state: Annotated[
        str,
        Meta(
            description="`planning`, `planned`, `running`, `done` or `stopped`. While the state is "
            "`planning`, the registry looks up new images, unless `look_up` is false, and makes "
            "the plan."
        ),
    ]
    format: Annotated[str, Meta(description="The detected format of the file.")]
    total: Annotated[int, Meta(description="The number of lines.")]
    effects: Annotated[Effects | None, Meta(description="Null until the import is planned.")]
    questions: list[Question]
    unknown_columns: Annotated[list[str], Meta(description="Columns that are ignored.")]
    notes: list[str]
    plan: Annotated[
        str,
        Meta(description="The ID of the current plan. It is '' while the import is being planned."),
    ]
    job: Annotated[JobReference, Meta(description="The job that carries out the import.")]
    url: str
    web_url: str


class PlannedChange(Struct):
    """A value that an import changes, as the web interface shows it."""

    field: str
    before: Any
    after: Any


class ImportLine(Struct):
    """A line of a file, and what the import does with it."""

    line: Annotated[str, Meta(description="The position in the file, for example `line 3`.")]
    subject: Annotated[
        str,
        Meta(
            description="The name of the image. If the name is unknown, the cloud image ID or the "
            "position of the line."
        ),
    ]
    effect: Annotated[str, Meta(extra_json_schema={"enum": [each.value for each in Effect]})]
    errors: list[str]
    changes: list[PlannedChange]
    image: Annotated[
        int | None,
        Meta(description="The ID of the image in the registry, or null if it isn’t registered."),
    ]
    cloud: str
    location: str
    cloud_image_id: str


class ImportLineList(Struct):
    """One page of the lines of a plan. Lines with errors come first."""

    items: list[ImportLine]
    next: str | None


class ImportLineQuery(Struct, forbid_unknown_fields=True):
    """The parameters of a list of lines."""

    effect: Annotated[
        Literal["", "error", "create", "update", "unchanged"],
        Meta(description="Only lines with this effect."),
    ] = ""
    limit: Limit = LIMIT
    cursor: Annotated[
        int, Meta(ge=0, le=MAX_LINES, description="The position in the list. See `next`.")
    ] = 0


class PlanChoice(Struct, forbid_unknown_fields=True):
    """The plan to carry out."""

    plan: Annotated[
        str,
        Meta(
            description="The value of `plan` when you read the import. If the import has another "
            "plan now, the request fails with `conflict`. If this value is omitted, the current "
            "plan is carried out."
        ),
    ] = ""


class MissingValues(Struct, forbid_unknown_fields=True):
    """The values that lines lack. They replace all values that were sent before."""

    answers: ValuesByCloud = {}
    operating_system: OperatingSystem = ""


@operation(
    "POST /images/imports",
    tag=TAG,
    right=Right.EDIT_IMAGES,
    statuses=(202,),
    max_bytes=MAX_BODY_BYTES,
    atomic=False,
)
def start_import(body: ImportFile) -> Answer[Import]:
    """Import a CSV or JSON file of images, or a Packer manifest.

    A job looks up the new images, plans what to do with each line, and then carries out this plan.
    Lines with errors are refused, and don't affect the other lines. With `dry_run`, the import is
    only planned: request its `url` until its state is `planned`, and then list the lines with
    `GET …/lines`.
    """
    try:
        file = import_formats.parse_file(body.content.encode())
    except UnreadableFile as error:
        raise invalid_value("content", error.message) from error
    job = imports.start(
        g.actor,
        g.scope,
        services().vault,
        file,
        ImportOptions(
            body.look_up,
            _chosen_credentials(body.credentials),
            review="" if body.dry_run else SKIPPED,
        ),
        answers=_answers(body),
    )
    return _accepted(job)


@operation("GET /images/imports/<int:import_id>", tag=TAG, right=Right.EDIT_IMAGES)
def get_import(import_id: int) -> Answer[Import]:
    """Get an import that was started by the owner of this token (a person or a scope)."""
    return Answer(_document(_find_and_proceed(import_id)))


@operation("GET /images/imports/<int:import_id>/lines", tag=TAG, right=Right.EDIT_IMAGES)
def list_lines(import_id: int, query: ImportLineQuery) -> Answer[ImportLineList]:
    """List what the import does with each line of the file.

    The list is empty until the import is planned.
    """
    job = _find_and_proceed(import_id)
    if imports.is_preparing(job):
        return Answer(ImportLineList([], None))
    effect = Effect(query.effect) if query.effect else None
    page = max(query.cursor, 1)
    lines, has_next = imports.list_lines(job, effect, page, query.limit)
    document = ImportLineList([_line(each) for each in lines], None)
    document.next, headers = page_links(str(page + 1) if has_next else "")
    return Answer(document, headers=headers)


@operation(
    "POST /images/imports/<int:import_id>/apply",
    tag=TAG,
    right=Right.EDIT_IMAGES,
    statuses=(202,),
    problems=("conflict",),
    atomic=False,
)
def apply_import(import_id: int, body: PlanChoice) -> Answer[Import]:
    """Carry out the plan of an import that was only planned.

    If the look-ups are too old, the registry repeats them and makes a new plan instead. To carry
    out the new plan, wait until the state of the import is `planned`. Then send a new request, in
    which `plan` is the ID of the new plan or is omitted.
    """
    job = _find_and_proceed(import_id)
    try:
        imports.apply(job, services().vault, body.plan or None)
    except PlannedAgain as error:
        detail = "The import has another plan now, or is being planned. Read it again."
        raise ApiProblem("conflict", detail) from error
    return _accepted(job)


@operation(
    "POST /images/imports/<int:import_id>/answers",
    tag=TAG,
    right=Right.EDIT_IMAGES,
    statuses=(202,),
    problems=("conflict",),
    atomic=False,
)
def answer_import(import_id: int, body: MissingValues) -> Answer[Import]:
    """Set the values that the file leaves out, and plan the import again.

    The values replace all values that were sent before.
    """
    job = _find_and_proceed(import_id)
    values = _answers(body)
    if not imports.answer(job, services().vault, values.by_cloud, values.operating_system):
        detail = "The import is being planned, or was carried out. Read it again."
        raise ApiProblem("conflict", detail)
    return _accepted(job)


def _find_and_proceed(import_id: int) -> JobRecord:
    """Return the job of an import. Raises ApiProblem (404).

    If a step of the import, for example the look-ups, has ended, this function also begins the next
    step.
    """
    job = store.find_job(g.actor, g.scope, import_id)
    if job is None or job.action not in imports.ACTION_KEYS:
        raise ApiProblem("not-found")
    imports.proceed(job, services().vault)
    return job


def _chosen_credentials(choices: Mapping[str, int | str | None]) -> dict[str, int]:
    """Return the ID of the credentials for each cloud. Raises ApiProblem.

    If no credentials are chosen for a cloud and the scope can use exactly one set for this cloud,
    that set is used.
    """
    for cloud in choices:
        require_cloud("credentials", cloud)
    ids = {}
    for cloud in CLOUDS:
        choice = choices.get(cloud)
        rows = matching_credentials(cloud, choice)
        if choice is not None and not rows:
            name, label = shorten(str(choice), LONGEST_ECHO), CLOUDS[cloud].label
            message = f"{g.scope.label} can’t use {label} credentials “{name}”."
            raise invalid_value("credentials", message)
        if choice is not None or len(rows) == 1:
            ids[cloud] = rows[0].id
    return ids


def _answers(body: ImportFile | MissingValues) -> Answers:
    """Return the values that are not empty. Raises ApiProblem."""
    for cloud in body.answers:
        require_cloud("answers", cloud)
    by_cloud = {
        cloud: {str(name): text.strip() for name, text in values.items() if text.strip()}
        for cloud, values in body.answers.items()
    }
    return Answers(
        {cloud: values for cloud, values in by_cloud.items() if values},
        _operating_system(body.operating_system),
    )


def _operating_system(text: str) -> tuple[str, str] | None:
    """Return the family and the version, or None for ''. Raises ApiProblem."""
    try:
        return parse_operating_system(text) if text else None
    except Refusal as error:
        raise invalid_value(OPERATING_SYSTEM, error.message) from error


def _accepted(job: JobRecord) -> Answer[Import]:
    return Answer(_document(job), 202, {"Location": job_url(job)})


def _document(job: JobRecord) -> Import:
    arguments, is_preparing = job.arguments, imports.is_preparing(job)
    path = scope_path(g.scope.level, g.scope.path)
    return Import(
        id=job.id,
        state=imports.state_of(job),
        format=arguments["format"],
        total=job.total,
        effects=None if is_preparing else Effects(**arguments["counts"]),
        questions=[] if is_preparing else [Question(**each) for each in arguments["questions"]],
        unknown_columns=arguments["unknown_columns"],
        notes=arguments["notes"],
        plan="" if is_preparing else imports.plan_id_of(job),
        job=JobReference(job.id, job_url(job)),
        url=api_url(f"{path}/images/imports/{job.id}"),
        web_url=page_url(f"{path}/images/import/{job.id}"),
    )


def _line(line: PlannedLine) -> ImportLine:
    return ImportLine(
        line=line.position,
        subject=line.subject,
        effect=line.effect.value,
        errors=list(line.errors),
        changes=[PlannedChange(name, *values) for name, values in line.changes.items()],
        image=line.image_id,
        cloud=line.cloud,
        location=line.location,
        cloud_image_id=line.cloud_image_id,
    )
