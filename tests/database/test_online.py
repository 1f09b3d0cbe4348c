"""The steps of migrations let others work, and may run twice."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from typing import Any

import pytest
from flask import Flask
from playhouse.migrations import Runner

import models
from models import AuditEntry, Image, Scope, transaction
from schema.images import UNDERIVED
from tests.conftest import MakeImage
from webapp import database
from webapp.database import indexes, online
from webapp.images.catching_up import catch_up_chunk

STEPS = ("add_columns", "in_batches", "create_index", "drop_index")


@pytest.mark.parametrize("searched", [2, 20_000])
def test_batches_cover_every_row_once(
    db: Flask, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch, searched: int
) -> None:
    monkeypatch.setattr(online, "IDS_PER_SEARCH", searched)
    ids = [make_image("acme", number).id for number in range(1, 12)]
    Image.delete().where(Image.id << ids[4:8]).execute()
    seen: list[int] = []

    def change(batch: Sequence[int]) -> None:
        assert models.database.in_transaction()
        seen.extend(batch)

    online.in_batches(models.database.obj, "image", change)
    assert seen == ids[:4] + ids[8:]
    seen.clear()
    db_param = models.database.param
    online.in_batches(
        models.database.obj, "image", change, where=f"name = {db_param}", params=["nobody"]
    )
    assert seen == []


def test_batches_end_while_others_insert_rows_that_need_no_change(
    db: Flask, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, batches = make_image("acme"), list[Sequence[int]]()
    ids = count(image.id + 100)
    monkeypatch.setattr(online, "newest_id", lambda _db, _table: next(ids))
    online.in_batches(models.database.obj, "image", batches.append)
    assert batches == [[image.id]]


def test_others_write_between_two_batches(
    db: Flask, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 4):
        make_image("acme", number)
    monkeypatch.setattr(online, "FIRST_BATCH", 2)
    renamed: list[str] = []
    batches: list[Sequence[int]] = []

    def write_instead_of_sleeping(_seconds: float) -> None:
        def rename() -> None:
            with models.database.connection_context(), transaction():
                Scope.update(name=f"name {len(renamed)}").where(Scope.path == "acme").execute()
                if not renamed:
                    make_image("globex", 9)
            renamed.append("")

        thread = threading.Thread(target=rename)
        thread.start()
        thread.join(10)

    monkeypatch.setattr(time, "sleep", write_instead_of_sleeping)
    online.in_batches(models.database.obj, "image", batches.append)
    assert len(renamed) == len(batches)
    assert sum(map(len, batches)) == 4  # with the image that was registered meanwhile


@pytest.mark.parametrize(
    "migration",
    [
        "0016_due_at",
        "0017_place_keys",
        "0018_short_word_index",
        "0019_normalized_names",
        "0020_job_rows_wait",
        "0021_scopes_being_deleted",
        "0022_audit_ranges",
        "0023_lost_leases",
        "0024_job_row_outcomes",
        "0025_density",
        "0026_deleted_images_by_time",
    ],
)
def test_a_migration_that_ends_early_can_be_run_again(
    db: Flask, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch, migration: str
) -> None:
    make_image("acme", 1)
    make_image("acme", 2, location="US-East-1")
    rows = list(Image.select().order_by(Image.id).dicts())
    before = _indexes()
    runner = Runner(models.database.obj, str(database.MIGRATIONS))
    runner.down(migration)
    for step in STEPS:
        module = indexes if step.endswith("_index") else online
        original = getattr(module, step)

        def then_end(*arguments: Any, original: Any = original, **options: Any) -> None:
            original(*arguments, **options)
            raise SystemExit

        with monkeypatch.context() as context, suppress(SystemExit):
            context.setattr(module, step, then_end)
            runner.up(migration)
        if migration not in database.pending_migrations(models.database.obj):
            runner.down(migration)  # The migration does not have this step.
    runner.up()
    assert list(Image.select().order_by(Image.id).dicts()) == rows
    assert _indexes() == before


def _indexes() -> dict[str, str]:
    tables = ("image", "deleted_image", "job", "job_row", "audit_entry")
    return {
        index.name: index.sql for table in tables for index in models.database.get_indexes(table)
    }


def test_a_killed_migration_does_not_repeat_its_batches(
    db: Flask, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 6):
        make_image("acme", number)
    runner = Runner(models.database.obj, str(database.MIGRATIONS))
    runner.down("0017_place_keys")
    monkeypatch.setattr(online, "FIRST_BATCH", 2)
    with monkeypatch.context() as context, suppress(SystemExit):
        context.setattr(time, "sleep", _be_killed)
        runner.up("0017_place_keys")
    query = "SELECT count(*) FROM image WHERE location_key IS NOT NULL"
    assert models.database.execute_sql(query).fetchone() == (2,)
    filled: list[str] = []
    execute = models.database.obj.execute_sql

    def execute_sql(sql: str, params: Any = None) -> Any:
        if "SET location_key = lower" in sql:
            filled.append(sql)
        return execute(sql, params)

    monkeypatch.setattr(models.database.obj, "execute_sql", execute_sql)
    runner.up("0017_place_keys")
    assert len(filled) == 2
    runner.up()


def _be_killed(_seconds: float) -> None:
    raise SystemExit


def test_people_work_while_several_processes_migrate(db: Flask, make_image: MakeImage) -> None:
    images = [make_image("acme", number).id for number in range(1, 4)]
    runner = Runner(models.database.obj, str(database.MIGRATIONS))
    undone = runner.down("0015_leases")
    ended, changes = threading.Event(), Counter[int]()

    def write(number: int) -> None:
        """Change an image as an older version does."""
        with models.database.connection_context():
            while not ended.wait(0.01):
                with transaction():
                    models.database.execute_sql(
                        f"UPDATE image SET revision = revision + 1 WHERE id = {number}"
                    )
                    models.database.execute_sql(
                        "INSERT INTO audit_entry (at, scope_id, scope_label, person_name, action, "
                        "subject, record, revision, changes) SELECT registered_at, scope_id, '', "
                        f"'Old', 'image.edit', name, 'image:{number}', revision, '{{}}' "
                        f"FROM image WHERE id = {number}"
                    )
                changes[number] += 1

    def migrate(_number: int) -> list[str]:
        with models.database.connection_context():
            return database.migrate(models.database.obj)

    with ThreadPoolExecutor(max_workers=6) as threads:
        writers = [threads.submit(write, number) for number in images]
        try:
            applied = list(threads.map(migrate, range(2), timeout=120))
        finally:
            ended.set()
        for writer in writers:
            writer.result(timeout=60)
    assert sorted(applied) == [[], sorted(undone)]
    assert min(changes[number] for number in images) > 0
    for image in Image.select():
        assert image.revision == 1 + changes[image.id]
    acme = Scope.get(Scope.path == "acme").id
    written = AuditEntry.select().where(AuditEntry.person_name == "Old")
    assert {entry.account_id for entry in written} == {acme}
    assert written.count() == sum(changes.values())
    catch_up_chunk()
    assert not Image.select().where(UNDERIVED).exists()
