"""For any file, an import does exactly what its plan says."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from models import AuditEntry, Image, Job, JobRow, Scope, today
from tests.conftest import ActorOf, MakeCredentials, MakeImage, ScopeAt, details
from tests.transfer.conftest import UNVERIFIED, ami_id, make_plan
from webapp.access import Actor
from webapp.clouds import CLOUDS
from webapp.clouds.details import ImageDetails
from webapp.clouds.errors import ImageNotFound
from webapp.clouds.locators import Locator
from webapp.credentials.vault import Vault
from webapp.images import deletion, editing, life_cycle
from webapp.images.choices import choices_of
from webapp.images.life_cycle import LifeCyclePlan
from webapp.jobs import actions
from webapp.search import catalogue
from webapp.search.query import OWNED_OR_INHERITED
from webapp.transfer import export, import_formats, import_job, imports
from webapp.transfer.import_plan import Effect, ImportOptions, PlannedLine

OUTCOMES = {
    Effect.ERROR: "refused",
    Effect.CREATE: "created",
    Effect.UPDATE: "updated",
    Effect.UNCHANGED: "unchanged",
}
COLUMNS = (
    *(
        "name",
        "os_family",
        "os_version",
        "size_gb",
        "agent_installed",
        "shared",
        "tags",
        "notes",
        "description",
    ),
    *("architecture", "status", "deprecated_on", "retired_on", "status_reason", "successor"),
    "credentials",
)
Record = dict[str, Any]
EMPTY: Record = {
    **dict.fromkeys(COLUMNS),
    "agent_installed": False,
    "shared": False,
    "tags": [],
    "status": "active",
}


@dataclass(frozen=True)
class World:
    """The fixtures that the imports of these tests need."""

    make_image: MakeImage
    actor: Actor
    acme: Scope
    vault: Vault


@pytest.fixture
def world(make_image: MakeImage, actor_of: ActorOf, scope: ScopeAt, vault: Vault) -> World:
    return World(make_image, actor_of("scalr-admin"), scope("acme"), vault)


NUMBERS = range(1, 9)
"""Numbers of AMIs. 1 to 4 may be registered at acme, 5 at Scalr (shared) and 6 at globex.

A negative number is the AMI with the same ID in eu-west-1.
"""
DAYS = [today() + timedelta(days=days) for days in (-400, -1, 0, 1, 400)]
any_life_cycle = st.builds(
    lambda days, reason: LifeCyclePlan(days[0], days[1], reason if any(days) else ""),
    st.sampled_from(
        [
            (deprecated, retired)
            for deprecated in (None, *DAYS)
            for retired in (None, *DAYS)
            if deprecated is None or retired is None or deprecated <= retired
        ]
    ),
    st.sampled_from(["", "Old."]),
)
"""The life cycle of a registered image, without a successor."""


def spellings(number: int) -> st.SearchStrategy[str]:
    """Return texts that name AMI `number`."""
    image_id = ami_id(number)
    arn = f"arn:aws:ec2:us-east-1::image/{image_id}"
    return st.sampled_from([image_id, image_id, image_id.upper(), f" {image_id} ", arn])


def spellings_with_location(number: int) -> st.SearchStrategy[str]:
    """Return texts that name AMI `number` in one location, or by its ID in the registry."""
    location = "us-east-1" if number > 0 else "eu-west-1"
    image_id = ami_id(abs(number))
    arn = f"arn:aws:ec2:{location}::image/{image_id}"
    return st.sampled_from([f"{location}:{image_id}", arn, f"ID of {number}"])


any_successor = (
    st.sampled_from([ami_id(number) for number in (1, 2, 3, 4, 7, 8)])
    | st.sampled_from(NUMBERS).flatmap(spellings)
    | st.sampled_from([-2, -1, 1, 2]).flatmap(spellings_with_location)
    | st.sampled_from(
        ["", "", "#1", "1", "#999999999", "nothing", "name 2", "file name 3", "acme/web", "=1"]
    )
)
any_values = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["", "name 2", "file name 3", "ubuntu-noble-24.04", "x", "=1;-2"]),
        "os_family": st.sampled_from(["", "ubuntu", "Ubuntu", "Debian", "Haiku", "x" * 65]),
        "os_version": st.sampled_from(["", "24.04", "22.04 LTS Jammy Jellyfish", "12", "22.10"]),
        "size_gb": st.sampled_from(["", "8", "0", "9 GB", "1e9", "many"]),
        "agent_installed": st.sampled_from(["", "yes", "no", "maybe"]),
        "shared": st.sampled_from(["", "yes", "no"]),
        "tags": st.sampled_from(["", "cis", "CIS, team = web,", "=1", "a\u202e", "x" * 129]),
        "notes": st.sampled_from(["", "# One\r\n\r\n- two", "=1", "a\u202e", "x" * 10_001]),
        "description": st.sampled_from(
            ["", "Debian 12", "x;=1", "two\u3000\nlines", "Debian\u202e 12"]
        ),
        "architecture": st.sampled_from(["", "arm64", "arm\u00a064", "a" * 40]),
        "credentials": st.sampled_from(["", "AWS", "elsewhere"]),
        "status": st.sampled_from(["", "active", "deprecated", "Retired", "new"]),
        "deprecated_on": st.sampled_from(["", "soon", *(day.isoformat() for day in DAYS)]),
        "retired_on": st.sampled_from(["", *(day.isoformat() for day in DAYS)]),
        "status_reason": st.sampled_from(["", "Old.", "Replaced; -1", "Cafe\u0301", "x" * 300]),
        "successor": any_successor,
    },
)
likely_values = st.builds(
    lambda values, status, successor: {
        **values,
        "name": "ubuntu-noble-24.04",
        "status": status,
        "successor": successor,
    },
    st.fixed_dictionaries({}, optional={"size_gb": st.just("8"), "shared": st.just("yes")}),
    st.sampled_from(["active", "deprecated", "retired"]),
    any_successor,
).map(lambda values: {**values, "successor": ""} if values["status"] == "active" else values)
"""Values that are valid, so that successors and their order decide."""
any_line = st.builds(
    lambda image_id, location, values: {
        "cloud": "aws",
        "location": location,
        "cloud_image_id": image_id,
        **values,
    },
    st.sampled_from(NUMBERS).flatmap(spellings),
    st.sampled_from(["us-east-1", "us-east-1", "us-east-1", "eu-west-1", ""]),
    any_values | likely_values,
)
any_life_cycle_line = st.builds(
    lambda values, location: {"cloud": "aws", "location": location, **values},
    likely_values,
    st.just("us-east-1"),
)
any_life_cycle_file = st.lists(
    st.tuples(st.sampled_from([1, 2, 3, 4, 7, 8]), any_life_cycle_line),
    min_size=2,
    max_size=6,
    unique_by=lambda pair: pair[0],
).map(lambda pairs: [{**values, "cloud_image_id": ami_id(number)} for number, values in pairs])
"""Valid lines for different images, which name each other as successors."""
any_file = any_life_cycle_file | st.lists(any_line, min_size=1, max_size=8)
any_registered = st.dictionaries(
    st.sampled_from([-2, -1, *range(1, 7)]),
    st.tuples(any_life_cycle, st.none() | st.sampled_from([-2, -1, *range(1, 6)])),
    max_size=6,
)
OWN_SUCCESSOR = [
    {
        "cloud": "aws",
        "location": "us-east-1",
        "cloud_image_id": ami_id(number),
        "name": "ubuntu-noble-24.04",
        "status": "deprecated",
        "successor": ami_id(1),
    }
    for number in (1, 2)
]
"""Image 1 names itself as its successor, which is an error, and image 2 also names image 1."""
PATHS = {5: "", 6: "globex"}

property_test = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def as_csv(lines: list[dict[str, str]]) -> bytes:
    names = list(dict.fromkeys(name for line in lines for name in line))
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, names, delimiter=";")
    writer.writeheader()
    for line in lines:
        writer.writerow({name: export.escape_formula(text) for name, text in line.items()})
    return buffer.getvalue().encode()


def as_json(lines: list[dict[str, str]]) -> bytes:
    return json.dumps(lines).encode()


def clear() -> None:
    for table in (JobRow, Job, AuditEntry, Image):
        table.delete().execute()


def register(
    world: World,
    registered: Mapping[int, tuple[LifeCyclePlan, int | None]],
    lines: list[dict[str, str]],
) -> list[dict[str, str]]:
    """Register images with their life cycles, and with successors that are valid.

    Return the lines with the numbers of these images.
    """
    images = {
        number: world.make_image(
            PATHS.get(number, "acme"),
            abs(number),
            "us-east-1" if number > 0 else "eu-west-1",
            name=f"name {number}",
        )
        for number in registered
    }
    for number, (dates, successor) in sorted(registered.items()):
        is_valid = dates.has_dates and successor in images and (successor or 0) > number
        successor_id = images[successor].id if successor and is_valid else None
        life_cycle.change(
            world.actor,
            images[number],
            replace(dates, successor=successor_id),
            successor_may_be_retired=True,
        )
    numbers = {f"ID of {number}": f"#{image.id}" for number, image in images.items()}
    return [{name: numbers.get(text, text) for name, text in line.items()} for line in lines]


def records(actor: Actor, scope: Scope) -> dict[tuple[str, str], Record]:
    """Return the images that `scope` owns as they are exported, by location and ID."""
    images = catalogue.iterate_images(actor, scope, OWNED_OR_INHERITED, owned_only=True)
    exported = json.loads("".join(export.json_chunks(images, scope)))
    return {
        (each["location"], each["cloud_image_id"]): {
            name: None if each[name] == "" else each[name] for name in COLUMNS
        }
        for each in exported
    }


def planned_lines(job: Job) -> list[PlannedLine]:
    """Return the lines of a plan in the order in which they are applied."""
    rows = JobRow.select().where(JobRow.job == job).order_by(JobRow.position)
    return [import_job.planned_line(row) for row in rows]


def record_after(before: Record | None, line: PlannedLine) -> Record:
    """Return the record of an image after the changes that the plan shows."""
    words = {"yes": True, "no": False}
    changes = {
        name: words.get(after, after) if name in {"agent_installed", "shared"} else after
        for name, (_, after) in line.changes.items()
    }
    if before is not None:
        assert changes.keys() <= before.keys()
    return {**(before or EMPTY), **changes}


def key_of(line: PlannedLine) -> tuple[str, str]:
    assert line.identity is not None
    return line.identity.location, line.identity.image_key


def require_outcome_as_planned(actor: Actor, scope: Scope, job: Job, vault: Vault) -> None:
    before = records(actor, scope)
    expected = dict(before)
    for line in planned_lines(job):
        assert line.errors if line.effect is Effect.ERROR else not line.errors
        if line.effect in {Effect.CREATE, Effect.UPDATE}:
            expected[key_of(line)] = record_after(before.get(key_of(line)), line)
    lines = planned_lines(job)
    imports.apply(job, vault)
    rows = list(JobRow.select().where(JobRow.job == job).order_by(JobRow.position))
    assert [(row.outcome, row.message) for row in rows] == [
        (OUTCOMES[line.effect], " ".join(line.errors)) for line in lines
    ]
    assert records(actor, scope) == expected


@property_test
@given(any_registered, any_file, st.sampled_from([as_csv, as_json]))
@example({1: (LifeCyclePlan(None, None), None)}, OWN_SUCCESSOR, as_json)
@example({1: (LifeCyclePlan(None, DAYS[0]), None)}, OWN_SUCCESSOR, as_csv)
@example({5: (LifeCyclePlan(None, None), None)}, OWN_SUCCESSOR, as_json)
def test_an_import_does_what_its_plan_says(
    world: World,
    registered: Mapping[int, tuple[LifeCyclePlan, int | None]],
    lines: list[dict[str, str]],
    encode: Callable[[list[dict[str, str]]], bytes],
) -> None:
    clear()
    actor, acme, vault = world.actor, world.acme, world.vault
    lines = register(world, registered, lines)
    file = import_formats.parse_file(encode(lines))
    job = make_plan(actor, acme, vault, file, UNVERIFIED)
    require_outcome_as_planned(actor, acme, job, vault)
    # The status in a line is the status of its image.
    for line in planned_lines(job):
        status = file.lines[line.number].values.get("status", "").lower()
        if line.effect is not Effect.ERROR and status:
            assert records(actor, acme)[key_of(line)]["status"] == status


@property_test
@given(any_registered, any_file)
def test_a_looked_up_import_does_what_its_plan_says(
    world: World,
    make_credentials: MakeCredentials,
    monkeypatch: pytest.MonkeyPatch,
    registered: Mapping[int, tuple[LifeCyclePlan, int | None]],
    lines: list[dict[str, str]],
) -> None:
    """The cloud does not have every image, and knows some of them under another ID."""

    def describe(_credentials: object, locator: Locator) -> ImageDetails:
        match int(locator.image_id[4:], 16):
            case 4:
                raise ImageNotFound("There is no such image.")
            case 7:
                return details(image_id=ami_id(1))
            case 8:
                return details(name="web", description="", os_texts=("web",), size_gb=None)
        return details(name=f"cloud name {locator.image_id}")

    monkeypatch.setattr(CLOUDS["aws"], "describe", describe)
    monkeypatch.setattr(CLOUDS["aws"], "locations", lambda _credentials: ())
    clear()
    actor, acme, vault = world.actor, world.acme, world.vault
    lines = register(world, registered, lines)
    credentials = make_credentials("acme", f"look-up {id(lines)}")
    options = ImportOptions(look_up=True, credentials={"aws": credentials.id})
    try:
        job = make_plan(actor, acme, vault, import_formats.parse_file(as_json(lines)), options)
        before = records(actor, acme)
        lines_planned = planned_lines(job)
        imports.apply(job, vault)
        rows = list(JobRow.select().where(JobRow.job == job).order_by(JobRow.position))
        assert [row.outcome for row in rows] == [OUTCOMES[line.effect] for line in lines_planned]
        after = records(actor, acme)
        for line in lines_planned:
            if line.effect in {Effect.CREATE, Effect.UPDATE}:
                key = key_of(line)
                planned = record_after(before.get(key), line)
                cloud_columns = {"description", "architecture"} if key not in before else set()
                assert {
                    name: value for name, value in after[key].items() if name not in cloud_columns
                } == {name: value for name, value in planned.items() if name not in cloud_columns}
    finally:
        credentials.delete_instance()


@property_test
@given(any_registered, any_file, st.lists(st.sampled_from(range(1, 9)), min_size=1, max_size=4))
def test_an_import_refuses_a_line_whose_image_changed_since_the_plan(
    world: World,
    registered: Mapping[int, tuple[LifeCyclePlan, int | None]],
    lines: list[dict[str, str]],
    changed: list[int],
) -> None:
    """Whatever happens in between, a line has exactly the planned effect or none."""
    clear()
    actor, acme, vault = world.actor, world.acme, world.vault
    lines = register(world, registered, lines)
    job = make_plan(actor, acme, vault, import_formats.parse_file(as_json(lines)), UNVERIFIED)
    for step, number in enumerate(changed):
        change_image(world, number, step)
    for row in JobRow.select().where(JobRow.job == job).order_by(JobRow.position):
        line = import_job.planned_line(row)
        before = records(actor, acme)
        outcome = import_job.import_line(actor, acme, job.arguments, row, vault)
        JobRow.update(outcome=outcome.kind).where(JobRow.id == row.id).execute()
        after = records(actor, acme)
        if outcome.kind in {"refused", "unchanged"}:
            assert after == before
            assert outcome.kind == "unchanged" or outcome.message
        else:
            assert outcome.kind == OUTCOMES[line.effect]
            key = key_of(line)
            others = {each: record for each, record in after.items() if each != key}
            assert others == {each: record for each, record in before.items() if each != key}
            assert after[key] == record_after(before.get(key), line)
        if outcome.kind == "unchanged":
            planned = record_after(after[key_of(line)], line)
            assert after[key_of(line)] == planned
    outcomes = [
        row.outcome for row in JobRow.select().where(JobRow.job == job).order_by(JobRow.position)
    ]
    for line, outcome_of_line in zip(planned_lines(job), outcomes, strict=True):
        if outcome_of_line in {"created", "updated"} and line.successor_position is not None:
            assert outcomes[line.successor_position] != "refused"


def change_image(world: World, number: int, step: int) -> None:
    """Register AMI `number`, or edit, retire or delete its image if it is already registered."""
    image = Image.get_or_none(Image.cloud_image_id == ami_id(number))
    if image is None:
        world.make_image(PATHS.get(number, "acme"), number, name=f"name {number}")
    elif step % 3 == 0:
        editing.edit(world.actor, image, replace(choices_of(image), name="edited", size_gb=77))
    elif step % 3 == 1:
        life_cycle.change(world.actor, image, LifeCyclePlan(None, today(), "Retired meanwhile."))
    else:
        deletion.delete(world.actor, image)


def test_a_plan_can_be_applied_only_once(actor_of: ActorOf, scope: ScopeAt, vault: Vault) -> None:
    line = {"cloud": "aws", "location": "us-east-1", "cloud_image_id": ami_id(1)}
    file = import_formats.parse_file(as_json([{**line, "name": "ubuntu-noble-24.04"}]))
    job = make_plan(actor_of("account-editor"), scope("acme"), vault, file, UNVERIFIED)
    again = Job.get_by_id(job.id)
    assert imports.apply(job, vault)
    assert imports.apply(again, vault)
    assert Image.select().count() == 1
    assert actions.JOB_ACTIONS[job.action].key == "import"
