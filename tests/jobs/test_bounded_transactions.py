"""No transaction changes very many rows, because other writers wait for its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from itertools import pairwise

import pytest

import models
from models import AuditEntry, CloudCredentials, Image, Job, JobRow, Scope, database, is_sqlite
from tests.conftest import ActorOf, ClientOf, MakeCredentials, MakeImage, ScopeAt, reload
from tests.jobs.threads import process_jobs
from webapp.credentials.vault import Vault
from webapp.images import deletion, editing, life_cycle
from webapp.jobs import bulk, bulk_actions, runner, scope_deletion
from webapp.people import scopes

ROWS = 5_000
MAX_CHANGES = 1_500
"""The maximum number of rows that one transaction may change, including rows that triggers change.

A changed image changes several rows: its words, its facets, and the audit log.
"""
CopyImage = Callable[..., None]


@pytest.fixture(autouse=True)
def only_sqlite(db: object) -> None:
    if not is_sqlite():
        pytest.skip("Only SQLite counts the rows that triggers and foreign keys change.")


@pytest.fixture
def copy_image() -> CopyImage:
    """Return a function that registers many copies of an image, with other image IDs."""

    def copy_image(image: Image, **changes: object) -> None:
        values = {**image.__data__, **changes}
        del values["id"]
        rows = [
            {**values, "cloud_image_id": f"ami-{n:017x}", "image_key": f"ami-{n:017x}"}
            for n in range(100, 100 + ROWS)
        ]
        with models.transaction():
            for start in range(0, ROWS, 100):
                Image.insert_many(rows[start : start + 100]).execute()

    return copy_image


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Yield a list of the numbers of rows that the transactions of this thread change."""
    totals: list[int] = []
    commit = type(database.obj).commit

    def counting_commit(self: object) -> object:
        connection = database.connection()
        totals.append(connection.total_changes)
        return commit(self)

    with monkeypatch.context() as patched:
        patched.setattr(type(database.obj), "commit", counting_commit)
        totals.append(database.connection().total_changes)
        changes: list[int] = []
        yield changes
        changes.extend(after - before for before, after in pairwise(totals))


def finish(job: Job, vault: Vault) -> None:
    """Process a job until it is done."""
    for _ in range(1000):
        if Job.get_by_id(job.id).state != "running":
            return
        runner.process_now(job, vault)
    raise AssertionError("The job never ends.")


def test_deleting_credentials_that_many_images_use(
    make_image: MakeImage,
    make_credentials: MakeCredentials,
    copy_image: CopyImage,
    actor_of: ActorOf,
    vault: Vault,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runner, "REQUEST_SECONDS", 0.0)
    row = make_credentials("acme", "ours")
    copy_image(make_image("acme"), credentials=row.id, credentials_name="ours")
    assert Image.select().where(Image.credentials == row).count() == ROWS
    with counted(monkeypatch) as changes:
        job = scope_deletion.delete_credentials(actor_of("account-admin"), row, vault)
        assert CloudCredentials.select().where(CloudCredentials.name == "ours").exists()
        assert not CloudCredentials.select().where(CloudCredentials.scope == job.scope).exists()
        finish(job, vault)
    assert max(changes) < MAX_CHANGES
    assert Image.select().where(Image.credentials.is_null()).count() == ROWS
    assert Image.select().where(Image.revision == 2).count() == ROWS
    assert not CloudCredentials.select().where(CloudCredentials.name == "ours").exists()
    assert not Scope.select().where(Scope.deleted_at.is_null(False)).exists()


def test_deleting_and_restoring_the_successor_of_many_images(
    make_image: MakeImage,
    copy_image: CopyImage,
    client_of: ClientOf,
    actor_of: ActorOf,
    vault: Vault,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    successor, old = make_image("acme", 1), make_image("acme", 2)
    copy_image(old, successor=successor.id, deprecated_on=date(2026, 1, 1), status="deprecated")
    editor = actor_of("account-editor")
    has_successor = Image.select().where(Image.successor == successor.id)
    with counted(monkeypatch) as changes:
        job = bulk.delete_image(editor, successor, vault, successor.revision)
        finish(job, vault)
    assert max(changes) < MAX_CHANGES
    assert has_successor.count() == 0
    assert Image.get_or_none(Image.id == successor.id) is None
    assert AuditEntry.select().where(AuditEntry.action == "image.successor").count() == ROWS
    with counted(monkeypatch) as changes:
        restoring = bulk.restore_batch(editor, job.scope, vault, job.arguments["batch"])
        assert restoring is not None
        finish(restoring, vault)
    assert max(changes) < MAX_CHANGES
    assert has_successor.count() == ROWS


def test_the_page_of_an_image_deletes_the_successor_of_many_images_as_a_job(
    make_image: MakeImage,
    client_of: ClientOf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(deletion, "MAX_PREDECESSORS", 2)
    successor = make_image("acme", 1)
    old = [make_image("acme", number) for number in range(2, 9)]
    values = {"successor": successor.id, "deprecated_on": date(2026, 1, 1)}
    Image.update(values).where(Image.id.in_([each.id for each in old])).execute()
    client = client_of("account-editor")
    url = f"/account/acme/images/{successor.id}/delete"
    answer = client.post(url, data={"revision": successor.revision})
    assert "/jobs/" in answer.location
    models.database.connect(reuse_if_open=True)
    process_jobs()
    assert Image.get_or_none(Image.id == successor.id) is None
    batch = Job.get().arguments["batch"]
    answer = client.post("/account/acme/images/undelete", data={"batch": batch})
    assert "/jobs/" in answer.location
    models.database.connect(reuse_if_open=True)
    process_jobs()
    assert Image.select().where(Image.successor == successor.id).count() == len(old)


def test_encrypting_many_credentials_with_a_new_key(
    make_credentials: MakeCredentials, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = make_credentials().__data__
    rows = [{**values, "id": None, "name": f"credentials {n}"} for n in range(ROWS)]
    for row in rows:
        del row["id"]
    with models.transaction():
        for start in range(0, ROWS, 500):
            CloudCredentials.insert_many(rows[start : start + 500]).execute()
    with counted(monkeypatch) as changes:
        assert vault.rotate() == ROWS + 1
    assert max(changes) < MAX_CHANGES


def test_deleting_an_account_deletes_its_hidden_credentials_too(
    make_image: MakeImage,
    make_credentials: MakeCredentials,
    actor_of: ActorOf,
    scope: ScopeAt,
    vault: Vault,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runner, "process_started", lambda *_arguments: None)
    row, other = make_credentials("acme", "ours"), make_credentials("acme/production", "theirs")
    image = make_image("acme")
    Image.update(credentials=row).where(Image.id == image.id).execute()
    admin = actor_of("scalr-admin")
    for each in (row, other):
        scope_deletion.delete_credentials(admin, each, vault)
    make_credentials("acme", "ours")
    acme = scope("acme")
    assert scopes.count_contents(acme).credentials == 1
    scope_deletion.delete_scope(admin, acme, vault, acme.name)
    process_jobs()
    assert not Scope.select().where(Scope.deleted_at.is_null(False)).exists()
    assert not CloudCredentials.select().where(CloudCredentials.name != "AWS").exists()


def test_a_deletion_that_is_refused_halfway_says_which_links_it_has_removed(
    actor_of: ActorOf,
    scope: ScopeAt,
    make_image: MakeImage,
    vault: Vault,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    editor, acme, image = actor_of("account-editor"), scope("acme"), make_image("acme", 1)
    for number in (2, 3, 4):
        life_cycle.deprecate(editor, make_image("acme", number), models.today(), "", image.id)
    monkeypatch.setattr(deletion, "MAX_PREDECESSORS", 2)
    delete = bulk_actions.ACTIONS["delete"].job_action.process_row
    row = JobRow(image_id=image.id, arguments={"revision": image.revision})
    part = delete(editor, acme, {"batch": "b"}, row, vault)
    assert (part.kind, part.message) == ("", "Removed as successor of 2 images.")
    editing.edit_fields(actor_of("account-admin"), reload(image), {"size_gb": 99})
    row.arguments = part.arguments
    refused = delete(editor, acme, {"batch": "b"}, row, vault)
    assert refused.kind == "refused"
    assert refused.message.endswith("It is no longer the successor of 2 images.")
    assert reload(image)
