"""Images that a server of an older version stores during an upgrade."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

import models
from models import AuditEntry, DeletedImage, Image, LifeCycle
from schema.images import UNDERIVED
from tests.conftest import ActorOf, MakeImage, ScopeAt, details, entries_of, reload
from tests.query_plans import plan_of
from webapp.access import Actor
from webapp.audit import seals
from webapp.images import catching_up, deletion, image_details, life_cycle
from webapp.images.catching_up import catch_up_chunk
from webapp.images.identity import ImageIdentity, find_by_compute_resource
from webapp.images.life_cycle import LifeCyclePlan

NEW_COLUMNS = {
    "deprecation_announced_for",
    "due_at",
    "location_key",
    "compute_resource_key",
    "derived_revision",
}
"""The columns that older versions do not know."""
KEYS = [b"a key for seals"]
JANUARY, MAY = datetime(2030, 1, 1, tzinfo=UTC), datetime(2030, 5, 31, tzinfo=UTC)


def change_as_older_version(image: Image, **values: Any) -> None:
    """Change columns without the derived columns, and increment only the `revision`."""
    Image.update({**values, Image.revision: Image.revision + 1}).where(
        Image.id == image.id
    ).execute()


def register_as_older_version(like: Image, **values: Any) -> int:
    """Insert a copy of an image with other values, and return its ID."""
    names = [name for name in like.__data__ if name not in {*NEW_COLUMNS, "id"}]
    columns = [Image._meta.fields[name].column_name for name in names]
    copied = [models.database.param if column in values else column for column in columns]
    models.database.execute_sql(
        f"INSERT INTO image ({', '.join(columns)}) SELECT {', '.join(copied)} "
        f"FROM image WHERE id = {like.id}",
        tuple(values[column] for column in columns if column in values),
    )
    newest = Image.select().order_by(Image.id.desc()).get()
    assert newest.location_key is None
    return int(newest.id)


def test_planned_dates_that_an_older_version_stores_get_a_due_date(make_image: MakeImage) -> None:
    added, moved, removed = (make_image("acme", number) for number in (1, 2, 3))
    for image in (moved, removed):
        image.deprecated_on = date(2030, 5, 31)
        image.save()
    change_as_older_version(added, deprecated_on=date(2030, 1, 1))
    change_as_older_version(moved, deprecated_on=date(2030, 1, 1))
    change_as_older_version(removed, deprecated_on=None)
    revisions = [reload(image).revision for image in (added, moved, removed)]
    assert catch_up_chunk()
    assert [reload(image).due_at for image in (added, moved, removed)] == [JANUARY, JANUARY, None]
    assert [reload(image).revision for image in (added, moved, removed)] == revisions


@pytest.mark.parametrize("stores_end", [False, True])
def test_an_announcement_that_an_older_version_reads_gets_a_due_date(
    make_image: MakeImage, stores_end: bool
) -> None:
    image = make_image("acme")
    answer = image_details.to_json(details(deprecated_at=MAY))
    if not stores_end:
        del answer["end"]
    change_as_older_version(image, details=answer)
    catch_up_chunk()
    stored = reload(image)
    assert (stored.deprecation_announced_for, stored.due_at) == (MAY, MAY)


def test_a_restored_image_that_an_older_version_deleted_gets_a_due_date(
    make_image: MakeImage, editor: Actor, scope: ScopeAt
) -> None:
    image = make_image("acme")
    image_details.apply_details(image, details(deprecated_at=MAY))
    image.save()
    batch = deletion.delete(editor, image)
    deleted = DeletedImage.get()
    del deleted.record["columns"]["deprecation_announced_for"]
    deleted.save()
    deletion.restore_batch(editor, scope("acme"), batch)
    assert reload(image).due_at == MAY


def test_an_image_that_an_older_version_registers_is_found_by_its_location(
    make_image: MakeImage, scope: ScopeAt
) -> None:
    first = make_image("acme", 1)
    number = register_as_older_version(first, location="EU-West-1", image_key="ami-9")
    identity = ImageIdentity("aws", "eu-west-1", "ami-9", "")
    assert not find_by_compute_resource(scope("acme"), identity)
    catch_up_chunk()
    found = find_by_compute_resource(scope("acme"), ImageIdentity.from_image(first))
    assert found[""].id == first.id
    assert Image.get_by_id(number).location_key == "eu-west-1"


def test_a_duplicate_that_an_older_version_registers_is_merged(
    make_image: MakeImage,
) -> None:
    first, other = make_image("acme", 1), make_image("globex", 1)
    registered = [
        register_as_older_version(first, location=location, name=location)
        for location in ("US-East-1", "us-EAST-1", "us-east-2")
    ]
    while catch_up_chunk():
        pass
    assert {image.id for image in Image.select()} == {first.id, other.id, registered[2]}
    merged = [entry for entry in entries_of(first) if entry.action == "image.merge"]
    assert [entry.changes["name"][0] for entry in merged] == ["us-EAST-1", "US-East-1"]
    assert not Image.select().where(UNDERIVED).exists()


def test_a_merge_changes_no_log_entry(make_image: MakeImage) -> None:
    first = make_image("acme", 1)
    number = register_as_older_version(first, location="US-East-1")
    values = {"scope_id": first.scope_id, "scope_label": "", "person_name": "Old", "changes": {}}
    record = {"action": "image.register", "subject": "old", "record": f"image:{number}"}
    sealed = AuditEntry.create(**values, **record)
    seals.seal_chunk(KEYS)
    newer = AuditEntry.create(**values, **record)
    while catch_up_chunk():
        pass
    assert [image.id for image in Image.select()] == [first.id]
    records = [AuditEntry.get_by_id(each.id).record for each in (sealed, newer)]
    assert records == [f"image:{number}"] * 2
    assert seals.verify(KEYS).fault is None


def test_later_changes_do_not_hide_what_an_older_version_has_left_out(
    make_image: MakeImage, editor: Actor
) -> None:
    image, successor = make_image("acme", 1), make_image("acme", 2)
    change_as_older_version(image, deprecated_on=date(2030, 1, 1))
    reload(image).save(only=[Image.description])
    Image.update_all(successor=successor.id).where(Image.id == image.id).execute()
    catch_up_chunk()
    assert reload(image).due_at == JANUARY


def test_changes_of_this_version_leave_nothing_to_do(
    make_image: MakeImage, actor_of: ActorOf, scope: ScopeAt
) -> None:
    editor = actor_of("account-editor")
    image, predecessor = make_image("acme", 1), make_image("acme", 2)
    life_cycle.change(editor, predecessor, LifeCyclePlan(models.today(), None, "", image.id))
    life_cycle.change(editor, image, LifeCyclePlan(date(2030, 1, 1)))
    batch = deletion.delete(editor, reload(image))
    deletion.restore_batch(editor, scope("acme"), batch)
    assert not Image.select().where(UNDERIVED).exists()
    before = AuditEntry.select().count()
    assert not catch_up_chunk()
    assert AuditEntry.select().count() == before


def test_chunks_go_on_until_every_image_is_derived(
    make_image: MakeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catching_up, "CHUNK_SIZE", 2)
    for number in range(1, 6):
        change_as_older_version(make_image("acme", number), status=LifeCycle.RETIRED)
    assert [catch_up_chunk() for _ in range(4)] == [True, True, True, False]
    assert not Image.select().where(UNDERIVED).exists()


def test_images_to_derive_are_found_by_an_index(make_image: MakeImage) -> None:
    for number in range(1, 50):
        make_image("acme", number)
    models.database.execute_sql("ANALYZE")
    sql, params = Image.select(Image.id).where(UNDERIVED).limit(25).sql()
    assert "image_underived" in plan_of(sql, params)


def test_images_of_one_cloud_id_are_found_by_an_index(make_image: MakeImage) -> None:
    for number in range(1, 50):
        make_image("acme", number)
    models.database.execute_sql("ANALYZE")
    condition = (Image.cloud == "aws") & (Image.image_key == "ami-1")
    query = Image.select().where(condition & (Image.location_key == "us-east-1"))
    assert "image_cloud_image_key" in plan_of(*query.sql())
