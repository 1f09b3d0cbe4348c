"""The columns and the page size that somebody chose."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from models import DATABASE_REFUSALS, Person
from webapp.access import Actor
from webapp.people import preferences
from webapp.people.preferences import COLUMNS, DEFAULT_COLUMNS, PAGE_SIZES, Preferences

Actors = Callable[[str], Actor]


def kept(person: Person) -> Preferences:
    """As a later request reads them."""
    return preferences.load_preferences(Person.get_by_id(person.id))


def test_the_usual_ones_are_there_from_the_start(actor_of: Actors) -> None:
    assert kept(actor_of("account-viewer").person) == Preferences(DEFAULT_COLUMNS, 50)
    assert tuple(key for key in COLUMNS if key in DEFAULT_COLUMNS) == DEFAULT_COLUMNS


def test_what_is_chosen_is_kept_in_the_order_of_the_page(actor_of: Actors) -> None:
    person = actor_of("account-viewer").person
    preferences.save_preferences(person, ["description", "os", "id"], 100)
    assert kept(person) == Preferences(("id", "os", "description"), 100)
    assert kept(actor_of("account-editor").person) == Preferences(DEFAULT_COLUMNS, 50)


def test_nothing_but_the_name_is_a_choice_too(actor_of: Actors) -> None:
    person = actor_of("account-viewer").person
    preferences.save_preferences(person, [], 25)
    assert kept(person) == Preferences((), 25)


def test_all_columns_fit(actor_of: Actors) -> None:
    person = actor_of("account-viewer").person
    preferences.save_preferences(person, COLUMNS, 250)
    assert ["name", *kept(person).columns] == list(COLUMNS)


def test_unknown_columns_are_left_out(actor_of: Actors) -> None:
    person = actor_of("account-viewer").person
    preferences.save_preferences(person, ["os", "os", "nothing", "", "x" * 300], 50)
    assert kept(person).columns == ("os",)
    person.columns = "name os gone"
    person.save()
    assert kept(person).columns == ("os",)


def test_the_choices_say_what_is_shown() -> None:
    choices = Preferences(("os",)).choices
    assert [label for _, label, shown in choices if shown] == ["OS"]
    assert "name" not in {key for key, _, _ in choices}
    assert len(choices) == len(COLUMNS) - 1


@pytest.mark.parametrize("size", PAGE_SIZES)
def test_the_database_takes_every_page_size_on_offer(actor_of: Actors, size: int) -> None:
    person = actor_of("account-viewer").person
    preferences.save_preferences(person, DEFAULT_COLUMNS, size)
    assert kept(person).page_size == size


def test_the_database_takes_no_other(actor_of: Actors) -> None:
    with pytest.raises(DATABASE_REFUSALS):
        preferences.save_preferences(actor_of("account-viewer").person, DEFAULT_COLUMNS, 33)
