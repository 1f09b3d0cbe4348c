"""The columns and the page size that a person chose."""

from __future__ import annotations

import pytest

from models import DATABASE_REFUSALS, Person
from tests.conftest import ActorOf
from webapp.people import preferences
from webapp.people.preferences import COLUMNS, DEFAULT_COLUMNS, PAGE_SIZES, Preferences


def reload(person: Person) -> Preferences:
    """Return the preferences as the next request reads them."""
    return preferences.load_preferences(Person.get_by_id(person.id))


def test_a_new_person_has_the_defaults(actor_of: ActorOf) -> None:
    assert reload(actor_of("account-viewer").person) == Preferences(DEFAULT_COLUMNS, 50)
    assert tuple(key for key in COLUMNS if key in DEFAULT_COLUMNS) == DEFAULT_COLUMNS


def test_chosen_columns_are_stored_in_the_order_of_the_page(actor_of: ActorOf) -> None:
    person = actor_of("account-viewer").person
    preferences.save_preferences(person, ["description", "os", "id"], 100)
    assert reload(person) == Preferences(("id", "os", "description"), 100)
    assert reload(actor_of("account-editor").person) == Preferences(DEFAULT_COLUMNS, 50)


def test_all_optional_columns_can_be_hidden(actor_of: ActorOf) -> None:
    person = actor_of("account-viewer").person
    preferences.save_preferences(person, [], 25)
    assert reload(person) == Preferences((), 25)


def test_all_columns_can_be_shown(actor_of: ActorOf) -> None:
    person = actor_of("account-viewer").person
    preferences.save_preferences(person, COLUMNS, 250)
    assert ["name", *reload(person).columns] == list(COLUMNS)


def test_unknown_columns_are_ignored(actor_of: ActorOf) -> None:
    person = actor_of("account-viewer").person
    preferences.save_preferences(person, ["os", "os", "nothing", "", "x" * 300], 50)
    assert reload(person).columns == ("os",)
    person.columns = "name os gone"
    person.save()
    assert reload(person).columns == ("os",)


def test_the_choices_include_whether_a_column_is_shown() -> None:
    choices = Preferences(("os",)).choices
    assert [label for _, label, shown in choices if shown] == ["OS"]
    assert "name" not in {key for key, _, _ in choices}
    assert len(choices) == len(COLUMNS) - 1


@pytest.mark.parametrize("size", PAGE_SIZES)
def test_the_database_accepts_every_offered_page_size(actor_of: ActorOf, size: int) -> None:
    person = actor_of("account-viewer").person
    preferences.save_preferences(person, DEFAULT_COLUMNS, size)
    assert reload(person).page_size == size


@pytest.mark.parametrize("density", preferences.DENSITIES)
def test_the_height_of_rows_is_stored(actor_of: ActorOf, density: str) -> None:
    person = actor_of("account-viewer").person
    assert reload(person).density == "comfortable"
    preferences.save_preferences(person, [], 50, density)
    assert reload(person).density == density


def test_the_database_refuses_other_page_sizes(actor_of: ActorOf) -> None:
    with pytest.raises(DATABASE_REFUSALS):
        preferences.save_preferences(actor_of("account-viewer").person, DEFAULT_COLUMNS, 33)
