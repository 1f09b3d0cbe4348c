"""The steps of migrations let others work, and may run twice."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import Any

import pytest
from flask import Flask
from playhouse.migrations import Runner

import models
from models import Image, Scope, transaction
from tests.conftest import MakeImage
from webapp import database
from webapp.database import online

STEPS = ("add_columns", "in_batches", "create_index", "drop_index")


def test_batches_cover_every_row_once(db: Flask, make_image: MakeImage) -> None:
    ids = [make_image("acme", number).id for number in range(1, 12)]
    Image.delete().where(Image.id == ids[4]).execute()
    seen: list[int] = []

    def change(first: int, last: int) -> None:
        assert models.database.in_transaction()
        seen.extend(image.id for image in Image.select().where(Image.id.between(first, last)))

    online.in_batches(models.database.obj, "image", change)
    assert seen == [number for number in ids if number != ids[4]]


def test_others_write_between_two_batches(
    db: Flask, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 4):
        make_image("acme", number)
    monkeypatch.setattr(online, "FIRST_BATCH", 2)
    renamed: list[str] = []

    def write_instead_of_sleeping(_seconds: float) -> None:
        def rename() -> None:
            with models.database.connection_context(), transaction():
                Scope.update(name=f"name {len(renamed)}").where(Scope.path == "acme").execute()
            renamed.append("")

        thread = threading.Thread(target=rename)
        thread.start()
        thread.join(10)

    monkeypatch.setattr(time, "sleep", write_instead_of_sleeping)
    online.in_batches(models.database.obj, "image", lambda _first, _last: None)
    assert len(renamed) == 2


@pytest.mark.parametrize("migration", ["0016_due_at", "0017_place_keys", "0018_short_word_index"])
def test_a_migration_that_ends_early_can_be_run_again(
    db: Flask, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch, migration: str
) -> None:
    make_image("acme", 1)
    make_image("acme", 2, location="US-East-1")
    rows = list(Image.select().order_by(Image.id).dicts())
    indexes = {index.name: index.sql for index in models.database.get_indexes("image")}
    runner = Runner(models.database.obj, str(database.MIGRATIONS))
    runner.down(migration)
    for step in STEPS:
        original = getattr(online, step)

        def then_end(*arguments: Any, original: Any = original, **options: Any) -> None:
            original(*arguments, **options)
            raise SystemExit

        with monkeypatch.context() as context, suppress(SystemExit):
            context.setattr(online, step, then_end)
            runner.up(migration)
        if migration not in database.pending_migrations(models.database.obj):
            runner.down(migration)  # The migration does not have this step.
    runner.up()
    assert list(Image.select().order_by(Image.id).dicts()) == rows
    assert {index.name: index.sql for index in models.database.get_indexes("image")} == indexes
