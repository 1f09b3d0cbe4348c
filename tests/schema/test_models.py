"""Constraints of the database, and that the migrations create what the models describe."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from flask import Flask
from peewee import IntegrityError
from playhouse.schema_diff import diff_models

import models
from models import Image, Level, Membership, Person, RecordChanged, Scope, transaction
from tests.conftest import MakeImage, ScopeAt
from webapp import database


def test_migrations_and_models_agree(db: Flask) -> None:
    difference = diff_models(models.database.obj, models.TABLES)
    # Peewee's models cannot describe these kinds of PostgreSQL indexes.
    unknown = {each.name for each in difference.drop_indexes} - {
        "image_search_text",
        "image_short_words",
    }
    assert not unknown
    assert not difference._replace(drop_indexes=[])
    assert database.pending_migrations(models.database.obj) == []


def test_migrating_twice_changes_nothing(db: Flask) -> None:
    assert database.migrate(models.database.obj) == []
    assert Scope.select().where(Scope.level == Level.SCALR).count() == 1


@pytest.mark.parametrize(
    ("level", "parent", "path"),
    [
        (Level.SCALR, None, "another"),  # a second Scalr
        (Level.ACCOUNT, None, "orphan"),  # an account without a parent
        (Level.ACCOUNT, "", "acme"),  # a path that is taken
    ],
)
def test_invalid_scopes_are_refused(db: Flask, level: Level, parent: str | None, path: str) -> None:
    parent_scope = None if parent is None else Scope.at(parent)
    with pytest.raises(IntegrityError), transaction():
        Scope.create(level=level, parent=parent_scope, path=path, name="new")


def test_an_image_is_registered_once_per_scope_at_every_level(
    make_image: MakeImage, scope: ScopeAt
) -> None:
    for number, path in enumerate(("", "acme", "acme/production"), start=1):
        image = make_image(path, number)
        image.id = None  # type: ignore[assignment]
        with pytest.raises(IntegrityError), transaction():
            image.save(force_insert=True)


@pytest.mark.parametrize("wrong", [{"size_gb": 0}, {"name": "x"}, {"name": "x" * 256}])
def test_invalid_images_are_refused(make_image: MakeImage, wrong: dict[str, object]) -> None:
    image = make_image()
    for name, value in wrong.items():
        setattr(image, name, value)
    # PostgreSQL reports a text that is too long as a data error, not as an integrity error.
    with pytest.raises(models.DATABASE_REFUSALS), transaction():
        image.save()


def test_deleting_a_scope_deletes_everything_below_it(make_image: MakeImage) -> None:
    remaining = make_image("", 1)
    make_image("acme", 2)
    make_image("acme/production", 3)
    Scope.get(Scope.path == "acme").delete_instance()
    assert [image.id for image in Image.select()] == [remaining.id]
    assert not Scope.select().where(Scope.path.startswith("acme")).exists()
    assert Membership.select().join(Scope).where(Scope.path == "acme").count() == 0


def test_ids_are_never_reused(make_image: MakeImage) -> None:
    first = make_image()
    first.delete_instance()
    assert make_image().id > first.id


def test_instants_are_returned_in_utc(db: Flask) -> None:
    person = Person.get(Person.email == "outsider@example.com")
    in_other_zone = datetime(2026, 7, 1, 14, 30, tzinfo=timezone(timedelta(hours=2)))
    person.created_at = in_other_zone
    person.save()
    stored = Person.get_by_id(person.id).created_at
    assert stored == in_other_zone
    assert stored.tzinfo is UTC


def test_the_lineage_and_the_subtree_of_a_scope(scope: ScopeAt) -> None:
    production = scope("acme/production")
    assert [each.path for each in production.lineage] == ["acme/production", "acme", ""]
    assert {each.path for each in scope("acme").subtree()} == {
        "acme",
        "acme/production",
        "acme/staging",
    }
    assert scope("").subtree().count() == Scope.select().count()
    assert production.label == "Environment acme / production"


def test_every_update_of_a_record_increments_its_revision(make_image: MakeImage) -> None:
    image = make_image()
    assert image.revision == 1
    image.name = "second"
    image.save(only=[Image.name])
    Image.update_all(name="third").execute()
    stored = Image.get_by_id(image.id)
    assert (image.revision, stored.revision, stored.name) == (2, 3, "third")


def test_a_record_that_somebody_else_changed_is_not_overwritten(make_image: MakeImage) -> None:
    first = make_image()
    second = Image.get_by_id(first.id)
    first.name = "of the first"
    first.save()
    second.name = "of the second"
    with pytest.raises(RecordChanged):
        second.save()
    assert Image.get_by_id(first.id).name == "of the first"
    assert second.reload()
    assert (second.name, second.revision) == ("of the first", 2)


def test_a_record_that_somebody_else_deleted_is_not_saved(make_image: MakeImage) -> None:
    image = make_image()
    Image.delete().execute()
    with pytest.raises(RecordChanged):
        image.save()
    assert not image.reload()
