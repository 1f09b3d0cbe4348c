"""The life cycle of an image: deprecated, retired, active again, and dates in the future."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

import models
from models import FacetGroup, LifeCycle
from tests.conftest import ActorOf, MakeImage, entries_of, reload
from webapp.access import Actor, Forbidden
from webapp.images import life_cycle
from webapp.images.life_cycle import STAYS_ACTIVE, InvalidLifeCycle, LifeCyclePlan

TODAY = date(2026, 3, 10)
YESTERDAY, TOMORROW, LATER = (TODAY + timedelta(days=days) for days in (-1, 1, 40))


class Calendar:
    """A calendar with an adjustable date."""

    today = TODAY

    def go_to(self, day: date) -> None:
        self.today = day


@pytest.fixture(autouse=True)
def calendar(monkeypatch: pytest.MonkeyPatch) -> Calendar:
    calendar = Calendar()
    monkeypatch.setattr(models, "today", lambda: calendar.today)
    return calendar


def counts_by_status() -> dict[LifeCycle, int]:
    """Return the number of images by status, from the facet groups."""
    return {group.status: group.images for group in FacetGroup.select()}


def test_deprecating_an_image_today(make_image: MakeImage, editor: Actor) -> None:
    image, successor = make_image("acme", 1), make_image("acme", 2, name="newer")
    assert life_cycle.deprecate(editor, image, TODAY, "CVE-2026-1", successor.id)
    image = reload(image)
    assert image.status is LifeCycle.DEPRECATED
    assert life_cycle.plan_of(image) == LifeCyclePlan(TODAY, None, "CVE-2026-1", successor.id)
    entry = entries_of(image)[0]
    assert (entry.action, entry.person) == ("image.deprecate", editor.person)
    assert entry.changes == {
        "deprecated_on": [None, "2026-03-10"],
        "reason": [None, "CVE-2026-1"],
        "successor": [None, f"#{successor.id}"],
    }
    assert counts_by_status() == {LifeCycle.ACTIVE: 1, LifeCycle.DEPRECATED: 1}


def test_repeating_a_change_changes_nothing(make_image: MakeImage, editor: Actor) -> None:
    image = make_image("acme")
    assert life_cycle.retire(editor, image, TODAY)
    assert not life_cycle.retire(editor, image, TODAY)
    assert [entry.action for entry in entries_of(image)] == [
        "image.retire",
        "image.register",
    ]


@pytest.mark.parametrize(
    ("day", "deprecated", "retired"),
    [
        (YESTERDAY, LifeCycle.DEPRECATED, LifeCycle.RETIRED),
        (TODAY, LifeCycle.DEPRECATED, LifeCycle.RETIRED),
        (TOMORROW, LifeCycle.ACTIVE, LifeCycle.ACTIVE),
    ],
)
def test_a_future_date_is_a_plan(
    make_image: MakeImage, editor: Actor, day: date, deprecated: LifeCycle, retired: LifeCycle
) -> None:
    one, other = make_image("acme", 1), make_image("acme", 2)
    life_cycle.deprecate(editor, one, day)
    life_cycle.retire(editor, other, day)
    assert (reload(one).status, reload(other).status) == (deprecated, retired)


def test_an_earlier_deprecation_stays_when_it_is_retired(
    make_image: MakeImage, editor: Actor
) -> None:
    image = make_image("acme")
    life_cycle.deprecate(editor, image, TODAY)
    life_cycle.retire(editor, image, LATER)
    assert life_cycle.plan_of(reload(image)) == LifeCyclePlan(TODAY, LATER)
    assert reload(image).status is LifeCycle.DEPRECATED
    life_cycle.retire(editor, image, YESTERDAY)
    assert life_cycle.plan_of(reload(image)) == LifeCyclePlan(None, YESTERDAY)


def test_the_audit_log_says_whether_a_change_is_planned(
    make_image: MakeImage, editor: Actor
) -> None:
    """“Deprecated the image” means that the image is deprecated now, not on a later date."""
    image, successor = make_image("acme", 1), make_image("acme", 2)
    for plan, action in (
        (LifeCyclePlan(TOMORROW), "plan_deprecation"),
        (LifeCyclePlan(TOMORROW, LATER), "plan_retirement"),
        (LifeCyclePlan(LATER), "plan_deprecation"),
        (STAYS_ACTIVE, "cancel_plan"),
        (LifeCyclePlan(TODAY, LATER), "deprecate"),
        (LifeCyclePlan(TODAY, TOMORROW), "plan_retirement"),
        (LifeCyclePlan(TODAY), "cancel_plan"),
        (LifeCyclePlan(TODAY, None, "", successor.id), "deprecate"),
        (LifeCyclePlan(YESTERDAY, TODAY), "retire"),
        (LifeCyclePlan(None, TODAY, "Old."), "retire"),
        (LifeCyclePlan(LATER), "restore"),
    ):
        assert life_cycle.change(editor, image, plan), plan
        assert entries_of(image)[0].action == f"image.{action}", plan


def test_deprecating_cancels_a_retirement(make_image: MakeImage, editor: Actor) -> None:
    image = make_image("acme")
    life_cycle.retire(editor, image, TODAY)
    life_cycle.deprecate(editor, image, TODAY)
    assert reload(image).status is LifeCycle.DEPRECATED
    assert entries_of(image)[0].changes["retired_on"] == ["2026-03-10", None]


@pytest.mark.parametrize(
    ("day", "action"), [(TODAY, "image.restore"), (LATER, "image.cancel_plan")]
)
def test_an_image_can_be_made_active_again(
    make_image: MakeImage, editor: Actor, day: date, action: str
) -> None:
    image, successor = make_image("acme", 1), make_image("acme", 2)
    life_cycle.deprecate(editor, image, day, "Old.", successor.id)
    assert life_cycle.make_active(editor, image)
    assert life_cycle.plan_of(reload(image)) == STAYS_ACTIVE
    assert reload(image).status is LifeCycle.ACTIVE
    assert entries_of(image)[0].action == action
    assert not life_cycle.make_active(editor, image)


def test_only_editors_of_the_owner_change_the_life_cycle(
    make_image: MakeImage, actor_of: ActorOf
) -> None:
    image = make_image("acme")
    for who in ("account-viewer", "environment-admin", "stranger"):
        actor = actor_of(who)
        with pytest.raises(Forbidden):
            life_cycle.deprecate(actor, image, TODAY)
        with pytest.raises(Forbidden):
            life_cycle.retire(actor, image, TODAY)
        with pytest.raises(Forbidden):
            life_cycle.make_active(actor, image)
    assert reload(image).status is LifeCycle.ACTIVE


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ((TODAY, YESTERDAY), "on", "can’t be before the deprecation date"),
        ((TODAY, None, "x" * 256), "reason", "at most 255 characters"),
        ((TODAY, None, "two\nlines"), "reason", "one line"),
        ((None, None, "why"), "status", "Only an image that is or will be deprecated"),
        ((None, None, "", 1), "status", "Only an image that is or will be deprecated"),
    ],
)
def test_invalid_plans_are_refused(fields: tuple[date | None, ...], field: str, words: str) -> None:
    with pytest.raises(InvalidLifeCycle, match=words) as caught:
        LifeCyclePlan(*fields)  # type: ignore[arg-type]
    assert caught.value.field == field
