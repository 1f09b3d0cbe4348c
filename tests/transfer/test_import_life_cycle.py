"""The life cycle columns of an import."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import pytest

from models import Image, JobRow, LifeCycle, today
from tests.conftest import ActorOf, MakeImage, ScopeAt
from tests.transfer.conftest import UNVERIFIED, ApplyPlan, PlanImport, ami_id, line, make_plan
from webapp.credentials.vault import Vault
from webapp.images import editing, life_cycle
from webapp.images.choices import choices_of
from webapp.images.identity import ImageIdentity
from webapp.images.life_cycle import STAYS_ACTIVE
from webapp.images.life_cycle import LifeCyclePlan as Plan
from webapp.search import catalogue
from webapp.search.query import OWNED_OR_INHERITED
from webapp.transfer import export, import_formats, imports
from webapp.transfer.import_plan import Effect

ImportLines = Callable[..., list[tuple[str, str]]]
LATER = today() + timedelta(days=400)
LONG_AGO = date(2020, 1, 31)


@pytest.fixture
def import_lines(plan: PlanImport, apply_plan: ApplyPlan) -> ImportLines:
    """Return a function that plans and imports lines, and returns the result of `apply_plan`."""
    return lambda *lines: apply_plan(plan(*lines))


def plan_of_image(number: int = 1) -> Plan:
    """Return the life cycle of the image with the ID `ami_id(number)`."""
    return life_cycle.plan_of(Image.get(Image.cloud_image_id == ami_id(number)))


@pytest.mark.parametrize(
    ("before", "columns", "after"),
    [
        (STAYS_ACTIVE, {"status": "deprecated"}, Plan(today())),
        (STAYS_ACTIVE, {"status": "Retired"}, Plan(None, today())),
        (STAYS_ACTIVE, {"deprecated_on": LATER.isoformat()}, Plan(LATER)),
        (
            STAYS_ACTIVE,
            {"status": "active", "retired_on": LATER.isoformat()},
            Plan(None, LATER),
        ),
        (
            STAYS_ACTIVE,
            {"status": "deprecated", "status_reason": "Old."},
            Plan(today(), None, "Old."),
        ),
        (Plan(LONG_AGO, None, "Old."), {"status": "active"}, STAYS_ACTIVE),
        (
            Plan(LONG_AGO, None, "Old."),
            {"status": "deprecated"},
            Plan(LONG_AGO, None, "Old."),
        ),
        (
            Plan(LONG_AGO, None, "Old."),
            {"status": "retired"},
            Plan(LONG_AGO, today(), "Old."),
        ),
        (Plan(LONG_AGO, LATER), {"status": "retired"}, Plan(LONG_AGO, today())),
        (Plan(LONG_AGO, LATER), {"status": "deprecated"}, Plan(LONG_AGO, LATER)),
        (Plan(LONG_AGO, LONG_AGO), {"status": "deprecated"}, Plan(LONG_AGO)),
        (Plan(LONG_AGO), {}, Plan(LONG_AGO)),
    ],
)
def test_the_life_cycle_after_a_line(
    make_image: MakeImage,
    actor_of: ActorOf,
    import_lines: ImportLines,
    before: Plan,
    columns: dict[str, Any],
    after: Plan,
) -> None:
    image = make_image("acme", name="ubuntu-noble-24.04", agent_installed=False, shared=False)
    life_cycle.change(actor_of("account-editor"), image, before)
    outcome = "unchanged" if before == after else "updated"
    assert import_lines(line(size_gb=8, **columns)) == [(outcome, "")]
    assert plan_of_image() == after
    assert Image.get().status is after.status
    assert import_lines(line(size_gb=8, **columns)) == [("unchanged", "")]


def test_a_new_image_can_be_deprecated(import_lines: ImportLines) -> None:
    assert import_lines(line(status="deprecated", deprecated_on=LONG_AGO.isoformat())) == [
        ("created", "")
    ]
    assert Image.get().status is LifeCycle.DEPRECATED


def test_a_successor_can_be_in_the_same_file(plan: PlanImport, import_lines: ImportLines) -> None:
    lines = [line(1, status="deprecated", successor=ami_id(2)), line(2)]
    (_, planned), has_next_page = imports.list_lines(plan(*lines), None, 1, 10)
    assert (planned.changes["successor"], has_next_page) == ([None, ami_id(2)], False)
    assert import_lines(*lines) == [("created", "")] * 2
    assert plan_of_image(1).successor == Image.get(Image.cloud_image_id == ami_id(2)).id
    assert import_lines(*lines) == [("unchanged", "")] * 2


def test_a_successor_in_the_same_location_is_preferred(
    make_image: MakeImage, import_lines: ImportLines
) -> None:
    make_image("acme", 2, location="eu-west-1")
    near = make_image("acme", 2, location="us-east-1")
    assert import_lines(line(status="deprecated", successor=ami_id(2))) == [("created", "")]
    assert plan_of_image().successor == near.id


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"status": "deprecated", "successor": "nothing like it"}, "There is no image with"),
        ({"deprecated_on": LATER.isoformat(), "retired_on": "2026-01-31"}, "can’t be before"),
        ({"status": "deprecated", "status_reason": "x" * 300}, "at most 255 characters"),
    ],
)
def test_an_invalid_life_cycle_is_an_error(
    plan: PlanImport, import_lines: ImportLines, columns: dict[str, Any], words: str
) -> None:
    (planned,), _ = imports.list_lines(plan(line(**columns)), None, 1, 10)
    assert planned.effect is Effect.ERROR
    assert words in planned.errors[0]
    assert import_lines(line(**columns))[0][0] == "refused"
    assert not Image.select().exists()


def test_exported_life_cycles_can_be_imported_unchanged(
    make_image: MakeImage,
    actor_of: ActorOf,
    scope: ScopeAt,
    import_lines: ImportLines,
) -> None:
    actor, here = actor_of("account-editor"), scope("acme")
    new = make_image("", 9)
    make_image("acme", 9, location="eu-west-1")
    plans = (
        Plan(LONG_AGO, None, "=Old", new.id),
        Plan(LONG_AGO, LONG_AGO, "Gone."),
        Plan(None, LATER),
        Plan(LATER, LATER + timedelta(days=1), "", new.id),
    )
    for number, plan in enumerate(plans, start=1):
        life_cycle.change(actor, make_image("acme", number), plan)
    text = "".join(
        export.json_chunks(
            catalogue.iterate_images(actor, here, OWNED_OR_INHERITED, owned_only=True), here
        )
    )
    assert import_lines(*json.loads(text)) == [("unchanged", "")] * 5


def status_of(number: int) -> LifeCycle:
    image: Image = Image.get(Image.cloud_image_id == ami_id(number))
    return image.status


def test_images_are_retired_although_their_successors_come_later_in_the_file(
    import_lines: ImportLines,
) -> None:
    lines = [
        line(1, status="retired", successor=ami_id(2)),
        line(2, status="deprecated", successor=ami_id(3).upper()),
        line(3),
    ]
    assert import_lines(*lines) == [("created", "")] * 3
    statuses = [status_of(number) for number in (1, 2, 3)]
    assert statuses == [LifeCycle.RETIRED, LifeCycle.DEPRECATED, LifeCycle.ACTIVE]
    ids = {image.cloud_image_id: image.id for image in Image.select()}
    assert plan_of_image(1).successor == ids[ami_id(2)]
    assert plan_of_image(2).successor == ids[ami_id(3)]
    assert import_lines(*lines) == [("unchanged", "")] * 3


def test_a_retired_image_and_its_retired_successor_are_imported_together(
    import_lines: ImportLines,
) -> None:
    lines = [line(1, status="retired", successor=ami_id(2)), line(2, status="retired")]
    assert import_lines(*lines) == [("created", "")] * 2
    assert status_of(1) is LifeCycle.RETIRED
    assert plan_of_image(1).successor is not None


@pytest.mark.parametrize(
    ("successor", "words"),
    [
        (ami_id(1), "its own successor"),
        (ami_id(1).upper(), "its own successor"),
        (ami_id(5), "There is no image"),
        (ami_id(6), "There is no image"),
        (ami_id(7), "is retired"),
        (ami_id(2), "can’t be imported"),
        (ami_id(3), "lead back to this image"),
    ],
)
def test_a_line_whose_successor_is_refused_is_refused(
    make_image: MakeImage,
    actor_of: ActorOf,
    plan: PlanImport,
    apply_plan: ApplyPlan,
    successor: str,
    words: str,
) -> None:
    """The AMI 5 is not registered, 6 belongs to another scope, and 7 is retired.

    The line of 2 is invalid. The line of 3 names 1 as its successor.
    """
    make_image("globex", 6)
    life_cycle.retire(actor_of("scalr-admin"), make_image("acme", 7), LONG_AGO)
    lines = [
        line(1, status="retired", successor=successor),
        line(2, size_gb="many"),
        line(3, status="deprecated", successor=ami_id(1)),
    ]
    job = plan(*lines)
    planned, _ = imports.list_lines(job, None, 1, 10)
    (first,) = [each for each in planned if each.position == "item 1"]
    assert words in first.errors[0]
    assert all(kind == "refused" for kind, _ in apply_plan(job))
    assert not Image.select().where(Image.cloud_image_id == ami_id(1)).exists()


def test_a_status_that_contradicts_its_date_is_an_error(plan: PlanImport) -> None:
    for status, column in (("retired", "retired_on"), ("deprecated", "deprecated_on")):
        job = plan({**line(), "status": status, column: LATER.isoformat()})
        (planned,), _ = imports.list_lines(job, None, 1, 10)
        assert planned.errors == [
            f"The status is {status}, but {column} is in the future. Correct one of them."
        ]


@pytest.mark.parametrize(
    ("columns", "column"),
    [
        ({"status": "active", "deprecated_on": "2020-01-01"}, "deprecated_on"),
        ({"status": "active", "retired_on": "2020-01-01"}, "retired_on"),
        ({"status": "active", "deprecated_on": today().isoformat()}, "deprecated_on"),
        (
            {"status": "deprecated", "deprecated_on": "2020-01-01", "retired_on": "2021-01-01"},
            "retired_on",
        ),
    ],
)
def test_a_status_that_a_reached_date_ends_is_an_error(
    make_image: MakeImage, plan: PlanImport, columns: dict[str, str], column: str
) -> None:
    make_image("acme", 1)
    for number in (1, 2):
        (planned,), _ = imports.list_lines(plan(line(number, **columns)), None, 1, 10)
        (message,) = planned.errors
        assert f"The status is {columns['status']}, but {column} isn’t in the future." in message


def test_a_successor_that_is_named_with_its_location_is_exactly_this_image(
    make_image: MakeImage, import_lines: ImportLines
) -> None:
    images = {
        location: make_image("acme", 2, location=location)
        for location in ("eu-west-1", "us-east-1")
    }
    texts = ("{}:" + ami_id(2), "arn:aws:ec2:{}::image/" + ami_id(2), " {}:" + ami_id(2).upper())
    for text in texts:
        for location, image in images.items():
            import_lines(line(1, status="deprecated", successor=text.format(location)))
            assert plan_of_image(1).successor == image.id


def test_a_successor_in_another_location_than_named_is_refused(
    make_image: MakeImage, import_lines: ImportLines
) -> None:
    make_image("acme", 2)
    for text in (f"arn:aws:ec2:eu-west-1::image/{ami_id(2)}", f"eu-west-1:{ami_id(2)}"):
        ((kind, message),) = import_lines(line(1, status="deprecated", successor=text))
        assert (kind, "There is no image with" in message) == ("refused", True)


@pytest.mark.parametrize(
    ("successor_location", "written"),
    [("us-east-1", ami_id(2)), ("eu-west-1", f"eu-west-1:{ami_id(2)}")],
)
def test_an_export_names_the_location_of_a_successor_in_another_one(
    make_image: MakeImage,
    actor_of: ActorOf,
    scope: ScopeAt,
    vault: Vault,
    successor_location: str,
    written: str,
) -> None:
    actor, acme, globex = actor_of("scalr-admin"), scope("acme"), scope("globex")
    for path in ("acme", "globex"):
        for location in ("us-east-1", "eu-west-1"):
            make_image(path, 2, location, shared=False)
    successor = Image.get((Image.scope == acme) & (Image.location == successor_location))
    image = make_image("acme", 1, shared=False)
    life_cycle.change(actor, image, Plan(LONG_AGO, None, "", successor.id))
    exported = "".join(
        export.json_chunks(catalogue.iterate_images(actor, acme, OWNED_OR_INHERITED), acme)
    )
    assert [each["successor"] for each in json.loads(exported) if each["id"] == image.id] == [
        written
    ]
    file = import_formats.parse_file(exported.encode())
    imports.apply(make_plan(actor, globex, vault, file, UNVERIFIED), vault)
    imported = Image.get((Image.scope == globex) & (Image.cloud_image_id == ami_id(1)))
    assert imported.successor.location == successor_location
    assert imported.successor.scope_id == globex.id


@pytest.mark.parametrize("registered", [(1, 2), (2,), (1,), ()])
def test_an_image_is_not_imported_if_its_successor_changed_after_the_plan(
    make_image: MakeImage,
    actor_of: ActorOf,
    plan: PlanImport,
    vault: Vault,
    registered: tuple[int, ...],
) -> None:
    actor = actor_of("scalr-admin")
    for number in registered:
        make_image("acme", number, name="before")
    job = plan(line(1, status="deprecated", successor=ami_id(2)), line(2))
    if 2 not in registered:
        make_image("acme", 2, name="ubuntu-noble-24.04", agent_installed=False, shared=False)
    successor = Image.get(Image.cloud_image_id == ami_id(2))
    life_cycle.retire(actor, successor, today())
    if 2 in registered:
        editing.edit(actor, successor, replace(choices_of(successor), name="edited"))
    imports.apply(job, vault)
    rows = list(JobRow.select().where(JobRow.job == job))
    assert [row.outcome for row in rows] == ["refused"] * 2
    assert any("was not imported. Import it first." in row.message for row in rows)
    image = Image.get_or_none(Image.cloud_image_id == ami_id(1))
    assert image is None or image.successor_id is None


def test_an_image_is_not_imported_if_the_line_of_its_registered_successor_is_refused(
    make_image: MakeImage, import_lines: ImportLines
) -> None:
    make_image("acme", 2)
    lines = [line(1, status="deprecated", successor=ami_id(2)), line(2, size_gb="many")]
    messages = {message for _, message in import_lines(*lines)}
    assert any("can’t be imported" in message for message in messages)
    assert Image.select().count() == 1


def test_an_inherited_image_in_the_file_can_be_a_successor(
    make_image: MakeImage, import_lines: ImportLines
) -> None:
    inherited = make_image("", 2)
    lines = [line(1, status="deprecated", successor=ami_id(2)), line(2)]
    assert sorted(kind for kind, _ in import_lines(*lines)) == ["created", "refused"]
    assert plan_of_image(1).successor == inherited.id


@pytest.mark.parametrize("name", ["name before", "name after"])
def test_a_successor_is_found_by_its_names_before_and_after_the_import(
    make_image: MakeImage, import_lines: ImportLines, name: str
) -> None:
    successor = make_image("acme", 2, name="name before")
    lines = [line(1, status="deprecated", successor=name), line(2, name="name after")]
    # The line of the successor is applied first.
    assert import_lines(*lines) == [("updated", ""), ("created", "")]
    assert plan_of_image(1).successor == successor.id


def test_a_status_takes_effect_today_although_the_stored_date_is_later(
    make_image: MakeImage, actor_of: ActorOf, import_lines: ImportLines
) -> None:
    for number, status in ((1, LifeCycle.DEPRECATED), (2, LifeCycle.RETIRED)):
        image = make_image("acme", number)
        life_cycle.change(actor_of("account-editor"), image, Plan(LATER, LATER))
        assert import_lines({**line(number), "name": "", "status": status}) == [("updated", "")]
        assert status_of(number) is status


def test_a_successor_with_a_common_name_is_refused_without_reading_all_images_with_the_name(
    make_image: MakeImage, plan: PlanImport, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(10, 30):
        make_image("acme", number, name="nightly")
    only = make_image("acme", 31, name="weekly")
    read: list[Image] = []

    def from_image(image: Image) -> ImageIdentity:
        read.append(image)
        return identity_of(image)

    identity_of = ImageIdentity.from_image
    monkeypatch.setattr(ImageIdentity, "from_image", staticmethod(from_image))
    ambiguous = line(1, status="deprecated", successor="nightly")
    job = plan(ambiguous, line(2, status="deprecated", successor="weekly"))
    first, second = imports.list_lines(job, None, 1, 10)[0]
    assert "More than one image matches the successor “nightly”" in first.errors[0]
    assert second.after["life_cycle"]["successor"] == only.id
    assert len({image.id for image in read}) == 3


def test_the_successors_of_a_file_are_read_with_few_queries(
    make_image: MakeImage, plan: PlanImport, caplog: pytest.LogCaptureFixture
) -> None:
    """No query is sent for each stored successor, or for each image of a chain of successors."""
    images = [make_image("acme", number) for number in range(1, 61)]
    for image, following in pairwise(images):
        values = {"successor": following.id, "deprecated_on": LONG_AGO, "status": "deprecated"}
        Image.update_all(**values).where(Image.id == image.id).execute()
    counts = []
    for size in (2, 20):
        caplog.clear()
        with caplog.at_level(logging.DEBUG, "peewee"):
            plan(*(line(n, status="deprecated", successor=f"#{61 - n}") for n in range(1, size)))
        counts.append(len(caplog.records))
    assert counts[0] == counts[1]
