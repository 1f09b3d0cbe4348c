"""Workers are processes of their own: killed in the middle of each kind of job, or told to end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest

import models
from models import AuditEntry, Image, Job, JobRow, Scope, is_sqlite
from tests.conftest import ActorOf, MakeCredentials, MakeImage, ScopeAt
from tests.environ import ENVIRON
from tests.jobs.threads import expire_leases
from tests.served import ROOT
from tests.transfer.conftest import UNVERIFIED, line, make_plan
from tests.waiting import wait_until
from webapp.credentials.vault import Vault
from webapp.jobs import runner, scope_deletion, store
from webapp.jobs.bulk_actions import ACTIONS
from webapp.transfer import import_formats, imports
from webapp.transfer.import_plan import ImportOptions

IMAGES = 60
StartWorker = Callable[[], "subprocess.Popen[bytes]"]


@pytest.fixture
def start_worker(make_image: MakeImage) -> Iterator[StartWorker]:
    """Return a function that starts `flask work` on the database of the test."""
    if is_sqlite():
        url = f"sqlite:///{models.database.obj.database}"
    else:
        given = models.database.obj.connect_params
        account = f"{quote(given['user'])}:{quote(given.get('password') or '')}"
        name = models.database.obj.database
        url = f"postgresql://{account}@{given['host']}:{given['port']}/{name}"
    workers: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "flask", "--app", "webapp", "work"]
        environ = {**os.environ, **ENVIRON, "DATABASE_URL": url}
        workers.append(subprocess.Popen(command, env=environ, cwd=ROOT, start_new_session=True))
        return workers[-1]

    yield start
    for worker in workers:
        if worker.poll() is None:
            worker.kill()
        worker.wait()


@pytest.fixture
def make_images(make_image: MakeImage) -> Callable[[], list[Image]]:
    return lambda: [make_image("acme", number, agent_installed=False) for number in range(IMAGES)]


def start_bulk(
    key: str, images: list[Image], actor_of: ActorOf, scope: ScopeAt, vault: Vault
) -> Job:
    action = ACTIONS[key]
    rows = [
        JobRow(
            image_id=image.id,
            subject=image.name,
            arguments={"revision": image.revision},
            credentials_id=image.credentials_id,
        )
        for image in images
    ]
    arguments = {"batch": "b" * 32}
    actor = actor_of("account-editor")
    job = store.create_job(actor, scope("acme"), action.job_action.key, arguments, rows)
    runner.start_job(job, vault)
    return job


def kill_in_the_middle(job: Job, start_worker: StartWorker) -> None:
    """Kill workers while they work on a job, until the job is done."""
    for killed_after in (1, job.total // 3):
        worker = start_worker()
        wait_until(lambda: outcomes(job).total() > killed_after)  # noqa: B023
        worker.kill()
        worker.wait()
        expire_leases()
    start_worker()
    wait_until(lambda: Job.get_by_id(job.id).state == "done")


def outcomes(job: Job) -> Counter[str]:
    rows = JobRow.select(JobRow.outcome).where((JobRow.job == job) & (JobRow.outcome != ""))
    return Counter(row.outcome for row in rows)


@pytest.mark.parametrize(("key", "entry"), [("agent", "image.edit"), ("delete", "image.delete")])
def test_each_image_of_a_killed_bulk_action_is_changed_once(  # noqa: PLR0917
    key: str,
    entry: str,
    make_images: Callable[[], list[Image]],
    start_worker: StartWorker,
    actor_of: ActorOf,
    scope: ScopeAt,
    vault: Vault,
) -> None:
    job = start_bulk(key, make_images(), actor_of, scope, vault)
    kill_in_the_middle(job, start_worker)
    assert outcomes(job) == {"done": IMAGES}
    assert AuditEntry.select().where(AuditEntry.action == entry).count() == IMAGES


def test_each_line_of_a_killed_import_is_imported_once(
    start_worker: StartWorker, actor_of: ActorOf, scope: ScopeAt, vault: Vault
) -> None:
    content = json.dumps([line(number) for number in range(IMAGES)]).encode()
    file = import_formats.parse_file(content)
    job = make_plan(actor_of("account-editor"), scope("acme"), vault, file, UNVERIFIED)
    runner.start_job(job, vault)
    kill_in_the_middle(job, start_worker)
    assert outcomes(job) == {"created": IMAGES}
    assert Image.select().count() == IMAGES


def test_the_deletion_of_an_account_survives_killed_workers(
    make_images: Callable[[], list[Image]],
    start_worker: StartWorker,
    actor_of: ActorOf,
    scope: ScopeAt,
    vault: Vault,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_images()
    monkeypatch.setattr(runner, "REQUEST_SECONDS", 0.0)
    acme = scope("acme")
    job = scope_deletion.delete_scope(actor_of("scalr-admin"), acme, vault, acme.name)
    while Job.get_by_id(job.id).state != "done":
        before = Image.select().count()
        worker = start_worker()
        wait_until(
            lambda: (
                Image.select().count() < before  # noqa: B023
                or Job.get_by_id(job.id).state == "done"
            )
        )
        worker.kill()
        worker.wait()
        expire_leases()
    assert Image.select().count() == 0
    assert not Scope.select().where(Scope.deleted_at.is_null(False)).exists()


@pytest.mark.parametrize("is_import", [False, True])
def test_rows_at_a_cloud_are_called_once_more_after_a_kill_and_given_back_on_sigterm(  # noqa: PLR0917
    is_import: bool,
    make_image: MakeImage,
    make_credentials: MakeCredentials,
    start_worker: StartWorker,
    actor_of: ActorOf,
    scope: ScopeAt,
    vault: Vault,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as never_answers:
        endpoint = f"http://127.0.0.1:{never_answers.getsockname()[1]}"
        credentials = make_credentials("acme", "hangs", endpoint)
        if is_import:
            file = import_formats.parse_file(json.dumps([line(n) for n in range(8)]).encode())
            options = ImportOptions(look_up=True, credentials={"aws": credentials.id})
            job = imports.start(actor_of("account-editor"), scope("acme"), vault, file, options)
        else:
            images = [make_image("acme", number) for number in range(8)]
            for image in images:
                image.credentials = credentials
                image.save()
            job = start_bulk("check", images, actor_of, scope, vault)
        worker = start_worker()
        wait_until(lambda: JobRow.select().where(JobRow.attempts == 1).count() == 3)
        worker.kill()
        worker.wait()
        expire_leases()
        worker = start_worker()
        # One row that may have ended the worker is processed beside rows that were not tried yet.
        wait_until(lambda: JobRow.select().where(JobRow.attempts == 2).count() == 1)
        wait_until(lambda: JobRow.select().where(JobRow.attempts == 1).count() == 4)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(timeout=60) == 0
    # The leases of the killed worker have expired. The other worker holds none.
    assert JobRow.select().where(JobRow.lease_token != "", JobRow.not_before > 0).count() == 0
    assert max(row.attempts for row in JobRow.select()) <= 2
    assert sorted(row.lost_leases for row in JobRow.select()) == [0] * 7 + [1]
    assert Job.get_by_id(job.id).state == "running"


def test_two_workers_process_each_row_once(
    make_images: Callable[[], list[Image]],
    start_worker: StartWorker,
    actor_of: ActorOf,
    scope: ScopeAt,
    vault: Vault,
) -> None:
    job = start_bulk("agent", make_images(), actor_of, scope, vault)
    start_worker()
    start_worker()
    wait_until(lambda: Job.get_by_id(job.id).state == "done")
    assert outcomes(job) == {"done": IMAGES}
    assert AuditEntry.select().where(AuditEntry.action == "image.edit").count() == IMAGES
