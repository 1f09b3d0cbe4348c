"""Large jobs: rows that stand for several rows until it is their turn."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest

import models
from models import Image, Job, JobRow, Scope
from tests.conftest import ActorOf, ClientOf, MakeImage, ScopeAt, reload
from tests.jobs.conftest import Register, return_done
from tests.jobs.threads import expire_leases, wait_for_job
from webapp.access import Actor
from webapp.credentials.vault import Vault
from webapp.images import life_cycle
from webapp.jobs import bulk, claims, runner, store
from webapp.jobs.bulk import Selection
from webapp.jobs.bulk_actions import ACTIONS
from webapp.jobs.store import NewRow, Outcome
from webapp.search.query import OWNED_OR_INHERITED


@pytest.fixture(autouse=True)
def small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "PACK_SIZE", 3)
    monkeypatch.setattr(store, "PACKED_INSERT_SIZE", 2)


@pytest.fixture
def editor(actor_of: ActorOf) -> Actor:
    return actor_of("account-editor")


@pytest.fixture
def large_job(editor: Actor, scope: ScopeAt) -> Job:
    rows = [NewRow(number, f"row {number}", {"number": number}) for number in range(8)]
    return store.create_large_job(editor, scope("acme"), "test", {}, rows)


def positions(job: Job) -> Sequence[int]:
    rows = JobRow.select().where(JobRow.job == job).order_by(JobRow.position)
    return [row.position for row in rows]


def test_a_large_job_is_stored_in_few_rows(
    register: Register, large_job: Job, vault: Vault
) -> None:
    register(return_done)
    assert positions(large_job) == [0, 3, 6]
    assert store.outcome_counts(large_job) == {"": 8}
    assert Job.get().total == 8
    listed = [row.subject for row in store.list_rows(large_job)[0]]
    assert listed == ["Images 1–3", "Images 4–6", "Images 7–8"]


@pytest.mark.parametrize("calls_cloud", [False, True])
def test_the_rows_of_a_large_job_are_processed_once_each(
    register: Register, large_job: Job, vault: Vault, calls_cloud: bool
) -> None:
    processed = []

    def process_row(*arguments: Any) -> Outcome:
        row = arguments[3]
        processed.append((row.position, row.image_id, row.subject, row.arguments["number"]))
        return Outcome("done")

    register(process_row, calls_cloud=calls_cloud)
    runner.start_job(large_job, vault)
    job = wait_for_job(large_job)
    assert (job.state, job.done) == ("done", 8)
    assert sorted(processed) == [(n, n, f"row {n}", n) for n in range(8)]
    assert positions(job) == list(range(8))
    assert store.outcome_counts(job) == {"done": 8}


def test_a_stopped_large_job_counts_all_rows_that_were_not_processed(
    register: Register, large_job: Job, vault: Vault, client_of: ClientOf
) -> None:
    def process_row(actor: Actor, *arguments: Any) -> Outcome:
        if arguments[2].position == 1:
            runner.stop_job(actor, Job.get())
        return Outcome("done")

    register(process_row)
    runner.start_job(large_job, vault)
    job = wait_for_job(large_job)
    assert (job.state, job.done) == ("stopped", 2)
    assert store.outcome_counts(job) == {"done": 2, "": 6}
    page = client_of("account-editor").get(f"/account/acme/jobs/{job.id}").text
    assert "2 of 8 processed." in page
    assert "Images 4–6" in page


def test_a_row_is_unpacked_only_once(register: Register, large_job: Job) -> None:
    register(return_done)
    (row, *_) = claims.unprocessed_rows(large_job.id, 3)
    for expected in (True, False):
        with models.transaction():
            assert store.unpack(row) is expected
    assert positions(large_job) == [0, 1, 2, 3, 6]
    assert [row.subject for row in claims.unprocessed_rows(large_job.id, 3)] == [
        "row 0",
        "row 1",
        "row 2",
    ]


def test_a_packed_row_of_a_killed_process_is_unpacked_by_another(
    register: Register, large_job: Job, vault: Vault
) -> None:
    register(return_done, calls_cloud=True)
    runner.start_job(large_job, vault)
    lost = claims.claim_row(large_job.id, [])
    assert lost is not None
    assert store.is_packed(lost)
    expire_leases()
    job = wait_for_job(large_job)
    assert store.outcome_counts(job) == {"done": 8}
    with models.transaction():
        assert not store.unpack(lost)
    assert positions(job) == list(range(8))


def test_deleting_and_restoring_many_images_keeps_their_successors(
    make_image: MakeImage, editor: Actor, scope: ScopeAt, vault: Vault
) -> None:
    acme: Scope = scope("acme")
    images = [make_image("acme", number) for number in range(1, 9)]
    for image, successor in pairwise(images):
        life_cycle.deprecate(editor, image, models.today(), "", successor.id)
    before = [reload(image).successor_id for image in images]
    selection = Selection(query=OWNED_OR_INHERITED)
    preview = bulk.preview_action(editor, acme, ACTIONS["delete"], selection)
    assert (preview.changed, len(preview.revisions)) == (8, 8)
    job = bulk.start_action(
        editor,
        acme,
        vault,
        ACTIONS["delete"],
        selection,
        {},
        fingerprint=preview.fingerprint,
        revisions=preview.revisions,
    )
    assert store.outcome_counts(wait_for_job(job)) == {"done": 8}
    assert Image.select().count() == 0
    restoring = bulk.restore_batch(editor, acme, vault, job.arguments["batch"])
    assert restoring is not None
    assert restoring.total == 8
    assert store.outcome_counts(wait_for_job(restoring)) == {"done": 8}
    assert [reload(image).successor_id for image in images] == before
    subjects = [row.subject for row in store.list_rows(restoring)[0]]
    assert subjects == [row.subject for row in reversed(store.list_rows(job)[0])]


def test_others_can_write_while_a_large_job_is_stored(
    editor: Actor, scope: ScopeAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not models.is_sqlite():
        pytest.skip("Only SQLite allows one writer at a time.")
    pauses: list[float] = []
    monkeypatch.setattr("webapp.jobs.pauses.time.sleep", pauses.append)
    monkeypatch.setattr(store, "PACKED_INSERT_SIZE", 1)
    rows = [NewRow(number, f"row {number}") for number in range(8)]
    store.create_large_job(editor, scope("acme"), "test", {}, rows)
    assert len(pauses) == 2
    with models.transaction():  # A pause would keep others waiting.
        store.create_large_job(editor, scope("acme"), "test", {}, rows)
    assert len(pauses) == 2
