"""Successors: which images are allowed, who sees them, and finding an image by typed text."""

from __future__ import annotations

import logging
from datetime import date
from itertools import pairwise

import pytest

import models
from models import Image
from tests.conftest import MakeImage, ScopeAt, entries_of, reload
from webapp.access import Actor
from webapp.images import life_cycle, successors
from webapp.images.life_cycle import STAYS_ACTIVE
from webapp.images.successors import InvalidSuccessor

TODAY = date(2026, 3, 10)


@pytest.fixture(autouse=True)
def today(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "today", lambda: TODAY)


def test_invalid_successors_are_refused(make_image: MakeImage, editor: Actor) -> None:
    image, retired = make_image("acme", 1), make_image("acme", 2)
    life_cycle.retire(editor, retired, TODAY)
    invisible = [make_image("globex", 3), make_image("acme/production", 4)]
    invisible.append(make_image("", 5, shared=False))
    for successor, words in [
        (image.id, "its own successor"),
        (retired.id, "is retired. Choose another image."),
        *((each.id, "There is no image #") for each in invisible),
        (99_999, "There is no image #"),
    ]:
        with pytest.raises(InvalidSuccessor, match=words) as caught:
            life_cycle.deprecate(editor, image, TODAY, "", successor)
        assert caught.value.field == "successor"
    assert life_cycle.plan_of(reload(image)) == STAYS_ACTIVE


def test_an_inherited_image_can_be_the_successor(
    make_image: MakeImage, editor: Actor, scope: ScopeAt
) -> None:
    image, golden = make_image("acme", 1), make_image("", 2, name="golden")
    life_cycle.deprecate(editor, image, TODAY, "", golden.id)
    assert successors.visible_successor(reload(image), scope("acme")) == golden


def test_successors_cannot_form_a_circle(make_image: MakeImage, editor: Actor) -> None:
    images = [make_image("acme", number) for number in range(1, 5)]
    for image, following in pairwise(images):
        life_cycle.deprecate(editor, image, TODAY, "", following.id)
    with pytest.raises(InvalidSuccessor, match="lead back to this image"):
        life_cycle.deprecate(editor, images[-1], TODAY, "", images[0].id)
    # An image outside the chain may point to any image in it.
    life_cycle.deprecate(editor, images[0], TODAY, "", images[3].id)


@pytest.mark.parametrize("ends", ["nowhere", "in a circle"])
def test_a_chain_of_successors_is_read_at_once(
    make_image: MakeImage, caplog: pytest.LogCaptureFixture, ends: str
) -> None:
    images = [make_image("acme", number) for number in range(1, 31)]
    expected: dict[int, int | None] = {
        image.id: following.id for image, following in pairwise(images)
    }
    expected[images[-1].id] = None if ends == "nowhere" else images[10].id
    for image_id, following in expected.items():
        Image.update_all(successor=following).where(Image.id == image_id).execute()
    with caplog.at_level(logging.DEBUG, "peewee"):
        assert successors.successors_from([images[0].id]) == expected
    assert len(caplog.records) == 1
    assert successors.successors_from([images[20].id, images[25].id]).items() <= expected.items()
    assert successors.successors_from([]) == {}


def test_a_long_chain_of_successors_is_followed_up_to_a_limit(
    make_image: MakeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [make_image("acme", number) for number in range(1, 6)]
    for image, following in pairwise(images):
        Image.update_all(successor=following.id).where(Image.id == image.id).execute()
    monkeypatch.setattr(successors, "LONGEST_CHAIN", 3)
    assert set(successors.successors_from([images[0].id])) == {each.id for each in images[:3]}


def test_a_successor_that_was_retired_later_may_stay(make_image: MakeImage, editor: Actor) -> None:
    image, successor = make_image("acme", 1), make_image("acme", 2)
    life_cycle.deprecate(editor, image, TODAY, "", successor.id)
    life_cycle.retire(editor, successor, TODAY)
    life_cycle.deprecate(editor, image, TODAY, "Another reason.", successor.id)
    assert reload(image).status_reason == "Another reason."


def test_an_invisible_successor_is_not_revealed(
    make_image: MakeImage, editor: Actor, scope: ScopeAt
) -> None:
    image, hidden = make_image("acme", 1), make_image("acme", 2, shared=False, name="hidden")
    life_cycle.deprecate(editor, image, TODAY, "", hidden.id)
    image = reload(image)
    assert successors.visible_successor(image, scope("acme")) == hidden
    assert successors.visible_successor(image, scope("acme/production")) is None
    assert successors.visible_successor(hidden, scope("acme")) is None
    assert "hidden" not in str(entries_of(image)[0].changes)


def test_finding_an_image_by_id_cloud_image_id_or_name(
    make_image: MakeImage, scope: ScopeAt
) -> None:
    acme = scope("acme")
    image, other = (
        make_image("acme", 1, name="noble 24.04"),
        make_image("acme", 2, name="000099999"),
    )
    for text in (
        str(image.id),
        f"#{image.id}",
        successors.reference_to(image.id, image.name),
        f" {image.cloud_image_id} ",
        "noble 24.04",
    ):
        assert successors.find_image(acme, text) == image, text
    # Text that looks like an ID is treated as a name if no image has that ID.
    assert successors.find_image(acme, "000099999") == other
    make_image("globex", 3, name="theirs")
    for text in ("theirs", "#99999", "99999", "99999999999999", "noble", "%", ""):
        with pytest.raises(InvalidSuccessor, match="There is no image with"):
            successors.find_image(acme, text)
    make_image("acme", 4, name="noble 24.04")
    with pytest.raises(InvalidSuccessor, match="More than one image matches “noble"):
        successors.find_image(acme, "noble 24.04")
    assert successors.parse_successor(acme, "  ") is None
