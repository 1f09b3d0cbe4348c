"""Planned and announced dates: the status and the state change exactly when a date is due."""

from __future__ import annotations

import random
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask

import models
from models import FacetGroup, Image, LifeCycle, open_connection, transaction
from tests.conftest import ActorOf, Clock, MakeImage, details, entries_of, reload
from tests.query_plans import plan_of
from webapp import audit
from webapp.access import Actor
from webapp.clouds.details import Fact, ImageDetails, ImageState
from webapp.images import deletion, editing, image_details, life_cycle
from webapp.images.due_dates import apply_due_dates
from webapp.images.life_cycle import LifeCyclePlan

MIDNIGHT = datetime(2025, 3, 10, tzinfo=UTC)
TODAY = MIDNIGHT.date()
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)


@pytest.fixture(autouse=True)
def noon(clock: Clock) -> None:
    clock.go_to(MIDNIGHT + timedelta(hours=12))


def announce(image: Image, instant: datetime | None, **changes: object) -> Image:
    """Store details in which the owner announces the deprecation of an available image."""
    return store(image, details(deprecated_at=instant, **changes))


def store(image: Image, answer: ImageDetails) -> Image:
    """Store the details of an image as a look-up does."""
    image_details.apply_details(image, answer)
    image.save()
    return image


def counts() -> dict[tuple[LifeCycle, str], int]:
    """Return the number of images by status and state, from the facet groups."""
    return {(group.status, group.state): group.images for group in FacetGroup.select()}


def test_the_status_changes_at_midnight_in_utc(
    make_image: MakeImage, editor: Actor, clock: Clock
) -> None:
    both, retiring, never = (make_image("acme", number) for number in (1, 2, 3))
    plan = LifeCyclePlan(TODAY + DAY, TODAY + 40 * DAY, "Planned.")
    life_cycle.change(editor, both, plan)
    life_cycle.retire(editor, retiring, TODAY + DAY)
    active, deprecated, retired = LifeCycle.ACTIVE, LifeCycle.DEPRECATED, LifeCycle.RETIRED
    for instant, changed, expected in (
        (MIDNIGHT + DAY - SECOND, 0, [active, active, active]),
        (MIDNIGHT + DAY, 2, [deprecated, retired, active]),
        (MIDNIGHT + 40 * DAY - SECOND, 0, [deprecated, retired, active]),
        (MIDNIGHT + 40 * DAY, 1, [retired, retired, active]),
        (MIDNIGHT + 400 * DAY, 0, [retired, retired, active]),
    ):
        clock.go_to(instant)
        assert apply_due_dates() == changed
        assert apply_due_dates() == 0
        assert [reload(each).status for each in (both, retiring, never)] == expected
    assert counts() == {(active, "available"): 1, (retired, "available"): 2}
    assert life_cycle.plan_of(reload(both)) == plan


def test_the_state_changes_at_the_announced_instant(make_image: MakeImage, clock: Clock) -> None:
    instant = datetime(2025, 3, 11, 7, 30, 15, tzinfo=UTC)
    image = announce(make_image("acme", 1), instant)
    make_image("acme", 2)
    Image.update_all(checked_at=MIDNIGHT).execute()
    clock.go_to(instant - SECOND)
    assert apply_due_dates() == 0
    clock.go_to(instant)
    assert apply_due_dates() == 1
    assert apply_due_dates() == 0
    stored = reload(image)
    assert stored.state == stored.details["state"] == ImageState.DEPRECATED
    assert stored.details["state_note"] == (
        "Deprecated since 2025-03-11 according to the last check on 2025-03-10. Check the image "
        "again to confirm its state."
    )
    assert (stored.status, stored.due_at) == (LifeCycle.ACTIVE, None)
    assert counts() == {
        (LifeCycle.ACTIVE, "available"): 1,
        (LifeCycle.ACTIVE, "deprecated"): 1,
    }


def test_an_announced_end_deprecates_an_image(make_image: MakeImage, clock: Clock) -> None:
    fact = Fact("replacement", "Replacement", "p/global/images/new")
    image = announce(make_image("acme"), None, ends_at=MIDNIGHT + DAY, facts=(fact,))
    Image.update_all(checked_at=MIDNIGHT).execute()
    clock.go_to(MIDNIGHT + DAY)
    assert apply_due_dates() == 1
    assert reload(image).state == ImageState.DEPRECATED
    assert reload(image).details["state_note"] == (
        "The owner announced the end of this image for 2025-03-11, according to the last check on "
        "2025-03-10. Check the image again to confirm its state. Use p/global/images/new instead."
    )


@pytest.mark.parametrize("state", [each for each in ImageState if each is not ImageState.AVAILABLE])
def test_a_date_of_an_image_that_is_not_available_is_never_due(
    make_image: MakeImage, state: ImageState
) -> None:
    image = announce(make_image(), MIDNIGHT - DAY, ends_at=MIDNIGHT - DAY, state=state)
    assert apply_due_dates() == 0
    assert reload(image).state == state


def test_the_log_says_that_the_registry_changed_the_image(
    make_image: MakeImage, editor: Actor, clock: Clock
) -> None:
    image = make_image("acme")
    life_cycle.deprecate(editor, image, TODAY + DAY)
    announce(image, MIDNIGHT + DAY)
    clock.go_to(MIDNIGHT + 2 * DAY)
    assert apply_due_dates() == 1
    entry, *_ = entries_of(image)
    assert (entry.action, entry.person, entry.person_name) == ("image.due", None, "The registry")
    assert entry.changes == {
        "status": ["active", "deprecated"],
        "State": ["available", "deprecated"],
    }
    assert entry.revision == reload(image).revision == image.revision + 1
    assert entry.scope == image.scope


def test_a_due_date_does_not_disturb_somebody_who_is_editing(
    make_image: MakeImage, editor: Actor, clock: Clock
) -> None:
    image = make_image("acme")
    life_cycle.deprecate(editor, image, TODAY + DAY)
    announce(image, MIDNIGHT + DAY)
    opened = image.revision
    clock.go_to(MIDNIGHT + DAY)
    assert apply_due_dates() == 1
    editing.edit_fields(editor, reload(image), {"name": "renamed"}, opened)
    opened = reload(image).revision - 1
    life_cycle.retire(editor, reload(image), TODAY + 9 * DAY, based_on=opened)
    stored = reload(image)
    assert (stored.name, stored.status) == ("renamed", LifeCycle.DEPRECATED)
    assert stored.due_at == MIDNIGHT + 9 * DAY


def test_a_new_answer_of_the_cloud_replaces_the_announced_date(
    make_image: MakeImage, clock: Clock
) -> None:
    image = announce(make_image("acme"), MIDNIGHT + DAY)
    clock.go_to(MIDNIGHT + DAY)
    apply_due_dates()
    announce(reload(image), MIDNIGHT + 30 * DAY)
    assert apply_due_dates() == 0
    assert reload(image).state == ImageState.AVAILABLE
    assert reload(image).due_at == MIDNIGHT + 30 * DAY
    announce(reload(image), None)
    assert reload(image).due_at is None


def test_dates_that_pass_while_an_image_is_deleted_take_effect_after_it_is_restored(
    make_image: MakeImage, editor: Actor, clock: Clock
) -> None:
    image = announce(make_image("acme"), MIDNIGHT + DAY)
    life_cycle.retire(editor, image, TODAY + DAY)
    batch = deletion.delete(editor, image)
    clock.go_to(MIDNIGHT + DAY)
    assert apply_due_dates() == 0
    deletion.restore_batch(editor, image.scope, batch)
    assert apply_due_dates() == 1
    stored = reload(image)
    assert (stored.status, stored.state) == (LifeCycle.RETIRED, ImageState.DEPRECATED)


def test_many_images_are_changed_in_chunks(make_image: MakeImage, clock: Clock) -> None:
    for number in range(5):
        announce(make_image("acme", number), MIDNIGHT + number * DAY)
    clock.go_to(MIDNIGHT + 9 * DAY)
    assert [apply_due_dates(limit=2) for _ in range(4)] == [2, 2, 1, 0]


def test_two_servers_change_every_image_once(make_image: MakeImage, clock: Clock) -> None:
    images = [announce(make_image("acme", number), MIDNIGHT) for number in range(30)]
    start = threading.Barrier(2)
    changed: list[int] = []

    def serve() -> None:
        with open_connection():
            start.wait()
            changed.extend(apply_due_dates(limit=3) for _ in range(40))

    threads = [threading.Thread(target=serve) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(changed) == len(images)
    for image in images:
        assert reload(image).revision == image.revision + 1
        actions = [entry.action for entry in entries_of(image)]
        assert actions.count("image.due") == 1
    assert counts() == {(LifeCycle.ACTIVE, "deprecated"): 30}


def test_a_failure_changes_nothing(
    make_image: MakeImage, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    images = [announce(make_image("acme", number), MIDNIGHT) for number in range(2)]
    record, calls = audit.record, []

    def fail_later(*arguments: Any, **options: Any) -> None:
        calls.append(arguments)
        if len(calls) == 2:
            raise RuntimeError
        record(*arguments, **options)

    monkeypatch.setattr(audit, "record", fail_later)
    with pytest.raises(RuntimeError):
        apply_due_dates()
    assert {reload(each).state for each in images} == {"available"}
    monkeypatch.undo()


def test_after_due_dates_are_applied_every_image_has_the_values_of_its_dates(
    make_image: MakeImage, actor_of: ActorOf, clock: Clock
) -> None:
    chance, editor = random.Random(7), actor_of("account-editor")
    for number in range(25):
        image = make_image("acme", number)
        days = sorted(chance.sample(range(-10, 60), 2))
        first, last = (TODAY + day * DAY if chance.random() < 0.7 else None for day in days)
        life_cycle.change(editor, image, LifeCyclePlan(first, last))
        state = chance.choice([ImageState.AVAILABLE, ImageState.AVAILABLE, ImageState.PENDING])
        announced, end = (
            MIDNIGHT + chance.randrange(1, 60 * 86_400) * SECOND if chance.random() < 0.6 else None
            for _ in range(2)
        )
        announce(image, announced, ends_at=end, state=state)
    for hours in range(0, 60 * 24, 31):
        clock.go_to(MIDNIGHT + timedelta(hours=hours))
        while apply_due_dates(limit=4):
            pass
        for image in Image.select():
            assert image.status is life_cycle.plan_of(image).status
            answer = image_details.from_json(image.details)
            assert image.state == answer.state
            due = answer.deprecation_announced_for
            assert due is None or due > clock.now
            assert image.due_at is None or image.due_at > clock.now


def test_finding_due_images_reads_only_an_index(
    db: Flask, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    with transaction():
        for number in range(50):
            announce(make_image("acme", number), MIDNIGHT + 400 * DAY if number % 9 == 0 else None)
        announce(make_image("acme", 99), MIDNIGHT)
    models.database.execute_sql("ANALYZE")
    statements: list[tuple[str, Any]] = []
    send = models.database.obj.execute_sql

    def execute_sql(sql: str, params: Any = None) -> Any:
        statements.append((sql, params))
        return send(sql, params)

    monkeypatch.setattr(models.database.obj, "execute_sql", execute_sql)
    assert apply_due_dates() == 1
    monkeypatch.undo()
    searches = [each for each in statements if each[0].startswith("SELECT") and "due_at" in each[0]]
    assert len(searches) == 2
    for sql, params in searches:
        assert "image_due_at" in plan_of(sql, params)
