"""Starting, processing and stopping jobs: each row is processed once, also after errors."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Any

import pytest

import models
from models import (
    AuditEntry,
    Image,
    Job,
    JobRow,
    Membership,
    Notice,
    Person,
    Role,
    Scope,
    now,
)
from tests.conftest import ActorOf, MakeImage, ScopeAt, choices
from tests.jobs.conftest import MakeJob, Register, return_done
from tests.jobs.threads import wait_for_job
from tests.waiting import TIMEOUT_SECONDS
from webapp.access import Actor, Right
from webapp.clouds import base
from webapp.clouds.errors import CloudUnreachable
from webapp.credentials.vault import Vault
from webapp.images import editing
from webapp.jobs import bulk_actions, claims, runner, store, turns
from webapp.jobs.claims import QueuedJob
from webapp.jobs.runner import SHORT_JOB_ROWS
from webapp.jobs.store import Outcome


def outcomes(job: Job) -> list[str]:
    rows = JobRow.select().where(JobRow.job == job).order_by(JobRow.position)
    return [row.outcome for row in rows]


def test_process_row_gets_each_row(
    register: Register, make_job: MakeJob, vault: Vault, scope: ScopeAt
) -> None:
    calls: list[tuple[str, Scope, object, str, Vault]] = []

    def process_row(
        actor: Actor, job_scope: Scope, arguments: Mapping[str, Any], row: JobRow, job_vault: Vault
    ) -> Outcome:
        calls.append((actor.person.name, job_scope, arguments["colour"], row.subject, job_vault))
        assert actor.may(Right.EDIT_IMAGES, job_scope)
        return Outcome("done", f"did {row.subject}")

    register(process_row)
    job = make_job(colour="red")
    runner.start_job(job, vault, process_if_short=True)
    assert (job.state, job.done, job.finished_at is not None) == ("done", 3, True)
    acme = scope("acme")
    subjects = [f"row {number}" for number in range(3)]
    assert calls == [("account-editor", acme, "red", each, vault) for each in subjects]
    assert [row.message for row in store.list_rows(job)[0]] == [f"did {each}" for each in subjects]


@pytest.mark.parametrize("options", [{}, {"calls_cloud": True}])
@pytest.mark.parametrize("count", [3, SHORT_JOB_ROWS + 1])
def test_a_job_is_processed_in_every_mode(
    register: Register,
    make_job: MakeJob,
    vault: Vault,
    options: dict[str, bool],
    count: int,
) -> None:
    register(return_done, **options)
    job = make_job(count)
    runner.start_job(job, vault, process_if_short=True)
    job = wait_for_job(job)
    assert (job.state, job.done) == ("done", count)
    assert store.outcome_counts(job) == {"done": count}


def test_a_job_starts_only_once(register: Register, make_job: MakeJob, vault: Vault) -> None:
    processed: list[str] = []

    def process_row(*arguments: Any) -> Outcome:
        processed.append(arguments[3].subject)
        return Outcome("done")

    register(process_row)
    job = make_job(2)
    stale = Job.get_by_id(job.id)
    runner.start_job(job, vault, process_if_short=True)
    runner.start_job(stale, vault, process_if_short=True)
    assert processed == ["row 0", "row 1"]
    assert stale.state == "done"


def test_a_job_continues_in_the_background(
    register: Register, make_job: MakeJob, vault: Vault
) -> None:
    """The job's thread opens the database connection; `process_row` doesn't need to."""
    may_continue = threading.Event()

    def process_row(*_arguments: object) -> Outcome:
        assert may_continue.wait(TIMEOUT_SECONDS)
        assert Person.select().exists()
        return Outcome("done")

    register(process_row)
    job = make_job()
    runner.start_job(job, vault)
    assert (job.state, store.outcome_counts(job)) == ("running", {"": 3})
    may_continue.set()
    assert wait_for_job(job).state == "done"


@pytest.mark.parametrize("options", [{}, {"calls_cloud": True}])
def test_an_unexpected_error_refuses_its_row_and_is_logged(
    register: Register,
    make_job: MakeJob,
    vault: Vault,
    caplog: pytest.LogCaptureFixture,
    options: dict[str, bool],
) -> None:
    def process_row(*arguments: Any) -> Outcome:
        if arguments[3].position == 1:
            raise ZeroDivisionError("the password is hunter2")
        return Outcome("done")

    register(process_row, **options)
    job = make_job()
    with caplog.at_level(logging.ERROR):
        runner.start_job(job, vault, process_if_short=True)
        job = wait_for_job(job)
    assert (job.state, outcomes(job)) == ("done", ["done", "refused", "done"])
    (row,) = store.list_rows(job, "refused")[0]
    assert row.message == "Something went wrong. The error was logged. Try again."
    assert "ZeroDivisionError" in caplog.text


def test_an_atomic_row_is_rolled_back_on_error(
    register: Register,
    make_job: MakeJob,
    vault: Vault,
    make_image: MakeImage,
) -> None:
    image = make_image("acme")

    def process_row(actor: Actor, *_arguments: object) -> Outcome:
        editing.edit(actor, Image.get(), choices(name="half done"))
        raise ZeroDivisionError

    register(process_row)
    job = make_job(1)
    runner.start_job(job, vault, process_if_short=True)
    assert store.outcome_counts(job) == {"refused": 1}
    assert Image.get_by_id(image.id).name == "noble"


@pytest.mark.parametrize("loss", ["role", "disabled"])
def test_rights_can_be_lost_while_a_job_is_running(
    register: Register,
    make_job: MakeJob,
    vault: Vault,
    make_image: MakeImage,
    monkeypatch: pytest.MonkeyPatch,
    loss: str,
) -> None:
    monkeypatch.setattr(runner, "REQUEST_SECONDS", 0.0)
    monkeypatch.setattr(turns, "TURN_SECONDS", 0.0)
    make_image("acme")

    def process_row(actor: Actor, *arguments: Any) -> Outcome:
        name = arguments[2].subject
        editing.edit(actor, Image.get(), choices(name=name))
        if name == "row 1" and loss == "disabled":
            Person.update(disabled_at=now()).where(Person.id == actor.person.id).execute()
        elif name == "row 1":
            Membership.update(role=Role.VIEWER).where(Membership.person == actor.person).execute()
        return Outcome("done")

    register(process_row)
    job = make_job()
    runner.start_job(job, vault, process_if_short=True)
    wait_for_job(job)
    assert outcomes(job) == ["done", "done", "refused"]
    (row,) = store.list_rows(job, "refused")[0]
    assert row.message == "You no longer have permission to do this."
    assert Image.get().name == "row 1"


def test_stopping_a_job_leaves_the_remaining_rows_unprocessed(
    register: Register, make_job: MakeJob, vault: Vault, actor_of: ActorOf
) -> None:
    def process_row(actor: Actor, *arguments: Any) -> Outcome:
        if arguments[2].position == 1:
            runner.stop_job(actor, Job.get())
        return Outcome("done")

    register(process_row)
    job = make_job(5)
    runner.start_job(job, vault, process_if_short=True)
    assert (job.state, job.done) == ("stopped", 2)
    assert outcomes(job) == ["done", "done", "", "", ""]
    assert claims.queue_of(actor_of("account-editor"), job.scope) == []
    entry = AuditEntry.get()
    assert (entry.action, entry.subject) == ("job.stop", "Test 5 images")
    assert entry.scope == job.scope
    runner.start_job(job, vault, process_if_short=True)
    assert store.outcome_counts(wait_for_job(job)) == {"done": 2, "": 3}


def test_its_creator_and_admins_of_its_scope_stop_a_job(
    register: Register, make_job: MakeJob, actor_of: ActorOf, scope: ScopeAt
) -> None:
    register(return_done)
    job, acme = make_job(), scope("acme")
    Job.update(state="running").execute()
    editor = actor_of("account-editor")
    assert store.find_job(editor, acme, job.id) == job
    assert store.find_job(editor, scope("acme/production"), job.id) is None
    assert claims.queue_of(editor, acme) == [QueuedJob(job, jobs_before=0)]
    for who in ("account-admin", "scalr-admin", "stranger"):
        assert store.find_job(actor_of(who), acme, job.id) is None
        assert claims.queue_of(actor_of(who), acme) == []
    for who in ("account-viewer", "environment-admin", "scalr-editor", "stranger"):
        assert store.find_job_to_stop(actor_of(who), acme, job.id) is None
        assert not runner.stop_job(actor_of(who), job)
        assert Job.get().state == "running"
    assert AuditEntry.select().count() == 0
    assert [runner.stop_job(editor, job) for _ in range(2)] == [True, False]
    assert (job.state, job.stop_reason) == ("stopped", "")
    assert AuditEntry.select().count() == 1
    assert Notice.select().count() == 0
    for who in ("account-admin", "scalr-admin"):
        Job.update(state="running").execute()
        admin = actor_of(who)
        assert store.find_job_to_stop(admin, scope("acme/production"), job.id) is None
        assert store.find_job_to_stop(admin, acme, job.id) == job
        assert [runner.stop_job(admin, job) for _ in range(2)] == [True, False]
        assert (job.state, job.stop_reason) == ("stopped", f"{who} stopped this job.")
        entry = AuditEntry.select().order_by(AuditEntry.id.desc()).get()
        assert (entry.action, entry.person, entry.scope) == ("job.stop", admin.person, acme)
        assert entry.subject == "Test 3 images, which account-editor started"
        notice = Notice.select().order_by(Notice.id.desc()).get()
        assert (notice.person, notice.scope) == (editor.person, acme)
        assert notice.text == f"{who} stopped your job “Test 3 images”."
    assert (AuditEntry.select().count(), Notice.select().count()) == (3, 2)


def test_admins_cannot_stop_a_job_that_must_end(
    register: Register, make_job: MakeJob, actor_of: ActorOf
) -> None:
    register(return_done, can_be_stopped=False)
    job = make_job()
    Job.update(state="running").execute()
    assert not runner.stop_job(actor_of("account-admin"), job)
    assert Job.get().state == "running"


def test_no_connection_is_open_while_a_row_waits_for_its_cloud(
    make_image: MakeImage, vault: Vault, actor_of: ActorOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = make_image("acme")
    in_use: list[int] = []

    def call_within(*_arguments: object) -> None:
        in_use.append(len(models.database.obj._in_use))
        raise CloudUnreachable("No answer.")

    monkeypatch.setattr(base, "call_within", call_within)
    check = bulk_actions.ACTIONS["check"].job_action
    rows = [JobRow(image_id=image.id, subject="row", credentials_id=image.credentials_id)]
    job = store.create_job(actor_of("account-editor"), image.scope, check.key, {}, rows)
    runner.start_job(job, vault)
    before = len(models.database.obj._in_use)
    wait_for_job(job)
    assert set(in_use) == {before}


def test_a_job_without_rows_is_done(register: Register, make_job: MakeJob, vault: Vault) -> None:
    register(return_done)
    job = make_job(0)
    runner.start_job(job, vault, process_if_short=True)
    assert (job.state, store.outcome_counts(job), store.list_rows(job)) == ("done", {}, ([], ""))


def test_an_open_connection_stays_open(register: Register, make_job: MakeJob, vault: Vault) -> None:
    register(return_done)
    runner.start_job(make_job(), vault, process_if_short=True)
    assert not models.database.is_closed()
