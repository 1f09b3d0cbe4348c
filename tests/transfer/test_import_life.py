"""What an import makes of the columns about an image's life."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest

from models import Image, Job, JobRow, LifeCycle, Scope, today
from tests.conftest import MakeImage
from webapp.access import Actor
from webapp.credentials.vault import Vault
from webapp.images import life_cycle
from webapp.images.life_cycle import ENDLESS, Life
from webapp.people import accounts
from webapp.search import catalogue
from webapp.search.language import EVERYTHING
from webapp.transfer import export as exchange
from webapp.transfer import import_files
from webapp.transfer import import_plans as imports
from webapp.transfer.import_plans import Kind, Options

Do = Callable[..., list[tuple[str, str]]]
LATER = today() + timedelta(days=400)
LONG_AGO = date(2020, 1, 31)


def ami(number: int) -> str:
    return f"ami-{number:017x}"


def line(number: int = 1, **values: object) -> dict[str, object]:
    located = {"cloud": "aws", "location": "us-east-1", "cloud_image_id": ami(number)}
    return {**located, "name": "ubuntu-noble-24.04", **values}


@pytest.fixture
def plan(actor_of: Callable[[str], Actor], scope: Callable[[str], Scope]) -> Callable[..., Job]:
    def plan(*lines: dict[str, object]) -> Job:
        content = import_files.read(json.dumps(lines).encode())
        return imports.plan(actor_of("account-editor"), scope("acme"), content, Options(False))

    return plan


@pytest.fixture
def do(plan: Callable[..., Job], vault: Vault) -> Do:
    """The outcome and message of each line, in the order of the plan."""

    def do(*lines: dict[str, object]) -> list[tuple[str, str]]:
        job = plan(*lines)
        actor = accounts.actor_for(job.person)
        rows = JobRow.select().where(JobRow.job == job).order_by(JobRow.position)
        outcomes = [imports.apply_line(actor, job.scope, job.arguments, row, vault) for row in rows]
        return [(each.kind, each.message) for each in outcomes]

    return do


def life_of(number: int = 1) -> Life:
    return life_cycle.of(Image.get(Image.cloud_image_id == ami(number)))


@pytest.mark.parametrize(
    ("before", "said", "after"),
    [
        (ENDLESS, {"status": "deprecated"}, Life(today())),
        (ENDLESS, {"status": "Retired"}, Life(None, today())),
        (ENDLESS, {"deprecated_on": LATER.isoformat()}, Life(LATER)),
        (ENDLESS, {"status": "active", "retired_on": LATER.isoformat()}, Life(None, LATER)),
        (ENDLESS, {"status": "deprecated", "status_reason": "Old."}, Life(today(), None, "Old.")),
        (Life(LONG_AGO, None, "Old."), {"status": "active"}, ENDLESS),
        (Life(LONG_AGO, None, "Old."), {"status": "deprecated"}, Life(LONG_AGO, None, "Old.")),
        (Life(LONG_AGO, None, "Old."), {"status": "retired"}, Life(LONG_AGO, today(), "Old.")),
        (Life(LONG_AGO, LATER), {"status": "retired"}, Life(LONG_AGO, today())),
        (Life(LONG_AGO, LATER), {"status": "deprecated"}, Life(LONG_AGO, LATER)),
        (Life(LONG_AGO, LONG_AGO), {"status": "deprecated"}, Life(LONG_AGO)),
        (Life(LONG_AGO), {}, Life(LONG_AGO)),
    ],
)
def test_what_a_line_does_to_a_life(
    make_image: MakeImage,
    actor_of: Callable[[str], Actor],
    do: Do,
    before: Life,
    said: dict[str, Any],
    after: Life,
) -> None:
    image = make_image("acme", name="ubuntu-noble-24.04", agent_installed=False, shared=False)
    life_cycle.change(actor_of("account-editor"), image, before)
    same = "unchanged" if before == after else "updated"
    assert do(line(size_gb=8, **said)) == [(same, "")]
    assert life_of() == after
    assert Image.get().status is after.status
    assert do(line(size_gb=8, **said)) == [("unchanged", "")]


def test_a_new_image_may_be_at_its_end(do: Do) -> None:
    assert do(line(status="deprecated", deprecated_on=LONG_AGO.isoformat())) == [("created", "")]
    assert Image.get().status is LifeCycle.DEPRECATED


def test_a_successor_may_come_with_the_same_file(plan: Callable[..., Job], do: Do) -> None:
    lines = [line(1, status="deprecated", successor=ami(2)), line(2)]
    (_, planned), more = imports.rows_of(plan(*lines), None, 1, 10)
    assert (planned.changes["successor"], more) == ([None, ami(2)], False)
    assert do(*lines) == [("created", "")] * 2
    assert life_of(1).successor == Image.get(Image.cloud_image_id == ami(2)).id
    assert do(*lines) == [("unchanged", "")] * 2


def test_a_successor_is_sought_nearby_first(make_image: MakeImage, do: Do) -> None:
    make_image("acme", 2, location="eu-west-1")
    near = make_image("acme", 2, location="us-east-1")
    assert do(line(status="deprecated", successor=ami(2))) == [("created", "")]
    assert life_of().successor == near.id


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"status": "deprecated", "successor": "nothing like it"}, "sees no image"),
        ({"deprecated_on": LATER.isoformat(), "retired_on": "2026-01-31"}, "not retired before"),
        ({"status": "deprecated", "status_reason": "x" * 300}, "at most 255 characters"),
    ],
)
def test_what_cannot_be(plan: Callable[..., Job], do: Do, said: dict[str, Any], words: str) -> None:
    (planned,), _ = imports.rows_of(plan(line(**said)), None, 1, 10)
    assert planned.kind is Kind.ERROR
    assert words in planned.message
    assert do(line(**said))[0][0] == "refused"
    assert not Image.select().exists()


def test_what_turns_out_to_be_impossible_is_told(make_image: MakeImage, do: Do) -> None:
    """The image is kept, since that much of the line could be done."""
    ((kind, message),) = do(line(status="deprecated", successor=ami(1)))
    assert (kind, life_of()) == ("created", ENDLESS)
    assert "cannot be its own successor" in message


def test_lives_come_back_unchanged(
    make_image: MakeImage,
    actor_of: Callable[[str], Actor],
    scope: Callable[[str], Scope],
    do: Do,
) -> None:
    actor, here = actor_of("account-editor"), scope("acme")
    new = make_image("", 9)
    make_image("acme", 9, location="eu-west-1")
    lives = (
        Life(LONG_AGO, None, "=Old", new.id),
        Life(LONG_AGO, LONG_AGO, "Gone."),
        Life(None, LATER),
        Life(LATER, LATER + timedelta(days=1), "", new.id),
    )
    for number, life in enumerate(lives, start=1):
        life_cycle.change(actor, make_image("acme", number), life)
    text = "".join(exchange.as_json(catalogue.each(actor, here, EVERYTHING, own=True), here))
    assert do(*json.loads(text)) == [("unchanged", "")] * 5
