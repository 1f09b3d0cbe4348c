"""Processing jobs: each row is processed once despite errors; jobs are stopped and taken over."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

import models
from models import (
    NO_HEARTBEAT,
    AuditEntry,
    Image,
    Job,
    JobRow,
    Membership,
    Person,
    Role,
    Scope,
    now,
    open_connection,
    transaction,
)
from tests.conftest import ActorOf, MakeCredentials, MakeImage, ScopeAt, choices
from tests.jobs.conftest import MakeJob, Register, return_done
from tests.jobs.threads import THREAD_TIMEOUT_SECONDS, expire_leases, wait_for_job
from webapp.access import Actor, Right
from webapp.clouds import base
from webapp.clouds.cache import credentials_digest
from webapp.clouds.errors import CloudUnreachable
from webapp.clouds.outgoing.budgets import CALLS_PER_CREDENTIALS, budgets
from webapp.credentials.vault import Vault
from webapp.images import editing
from webapp.jobs import bulk_actions, claims, leases, runner, store, turns
from webapp.jobs.claims import ABANDONED_AFTER, QueuedJob
from webapp.jobs.runner import ROWS_PER_CREDENTIALS, SHORT_JOB_ROWS, Runner
from webapp.jobs.store import Outcome
from webapp.people import scopes


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
    runner.start_job(job, vault, wait=True)
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
    runner.start_job(job, vault, wait=True)
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
    runner.start_job(job, vault, wait=True)
    runner.start_job(stale, vault, wait=True)
    assert processed == ["row 0", "row 1"]
    assert stale.state == "done"


def test_a_job_continues_in_the_background(
    register: Register, make_job: MakeJob, vault: Vault
) -> None:
    """The job's thread opens the database connection; `process_row` doesn't need to."""
    may_continue = threading.Event()

    def process_row(*_arguments: object) -> Outcome:
        assert may_continue.wait(THREAD_TIMEOUT_SECONDS)
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
        runner.start_job(job, vault, wait=True)
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
    runner.start_job(job, vault, wait=True)
    assert store.outcome_counts(job) == {"refused": 1}
    assert Image.get_by_id(image.id).name == "noble"


def test_rights_can_be_lost_while_a_job_is_running(
    register: Register,
    make_job: MakeJob,
    vault: Vault,
    make_image: MakeImage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runner, "REQUEST_SECONDS", 0.0)
    monkeypatch.setattr(turns, "TURN_SECONDS", 0.0)
    make_image("acme")

    def process_row(actor: Actor, *arguments: Any) -> Outcome:
        name = arguments[2].subject
        editing.edit(actor, Image.get(), choices(name=name))
        if name == "row 1":
            Membership.update(role=Role.VIEWER).where(Membership.person == actor.person).execute()
        return Outcome("done")

    register(process_row)
    job = make_job()
    runner.start_job(job, vault, wait=True)
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
    runner.start_job(job, vault, wait=True)
    assert (job.state, job.done) == ("stopped", 2)
    assert outcomes(job) == ["done", "done", "", "", ""]
    assert claims.queue_of(actor_of("account-editor"), job.scope) == []
    entry = AuditEntry.get()
    assert (entry.action, entry.subject) == ("job.stop", "Test 5 images")
    assert entry.scope == job.scope
    runner.start_job(job, vault, wait=True)
    assert store.outcome_counts(wait_for_job(job)) == {"done": 2, "": 3}


def test_only_its_creator_sees_and_stops_a_job(
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
        runner.stop_job(actor_of(who), job)
        assert Job.get().state == "running"
    assert AuditEntry.select().count() == 0
    for _ in range(2):
        runner.stop_job(editor, job)
        assert (job.state, Job.get().state) == ("stopped", "stopped")
    assert AuditEntry.select().count() == 1


def test_a_job_of_a_killed_process_is_continued_when_its_lease_expires(
    register: Register, make_job: MakeJob, vault: Vault
) -> None:
    processed: list[int] = []

    def process_row(*arguments: Any) -> Outcome:
        processed.append(arguments[3].position)
        return Outcome("done")

    register(process_row)
    job = make_job(4)
    JobRow.update(outcome="unchanged").where(JobRow.position == 0).execute()
    Job.update(state="running", seen_at=NO_HEARTBEAT).execute()
    assert leases.acquire(f"job:{job.id}", 60)
    assert store.outcome_counts(wait_for_job(job)) == {"unchanged": 1, "": 3}
    expire_leases()
    job = wait_for_job(job)
    assert processed == [1, 2, 3]
    assert (job.state, store.outcome_counts(job)) == ("done", {"done": 3, "unchanged": 1})


def test_rows_of_a_killed_process_are_called_again_when_their_leases_expire(
    register: Register, make_job: MakeJob, vault: Vault
) -> None:
    register(return_done, calls_cloud=True)
    job = make_job(3)
    runner.start_job(job, vault)
    assert claims.claim_row(job.id, [])
    assert store.outcome_counts(wait_for_job(job)) == {"done": 2, "": 1}
    assert Job.get().state == "running"
    expire_leases()
    job = wait_for_job(job)
    assert (job.state, store.outcome_counts(job)) == ("done", {"done": 3})


def test_a_job_whose_process_ended_after_the_last_row_is_done(
    register: Register, make_job: MakeJob
) -> None:
    register(return_done)
    job = make_job(2)
    Job.update(state="running", seen_at=NO_HEARTBEAT).execute()
    JobRow.update(outcome="done").execute()
    job = wait_for_job(job)
    assert (job.state, job.done) == ("done", 2)


def test_a_job_of_the_old_version_is_taken_over_when_its_heartbeat_is_old(
    register: Register, make_job: MakeJob
) -> None:
    register(return_done)
    job = make_job()
    Job.update(state="running", seen_at=now()).execute()
    assert store.outcome_counts(wait_for_job(job)) == {"": 3}
    Job.update(seen_at=now() - ABANDONED_AFTER - timedelta(seconds=1)).execute()
    assert wait_for_job(job).state == "done"


@pytest.mark.parametrize("calls_cloud", [False, True])
def test_a_process_that_lost_its_lease_cannot_save_an_outcome(
    register: Register, make_job: MakeJob, vault: Vault, calls_cloud: bool
) -> None:
    """A process hangs, another process takes its work over, and then the first one continues."""

    def process_row(*_arguments: Any) -> Outcome:
        if not calls_cloud:
            return Outcome("done", "stale")
        JobRow.update(not_before=0).execute()
        assert claims.claim_row(job.id, [])
        return Outcome("done", "stale")

    register(process_row, calls_cloud=calls_cloud)
    job = make_job(1)
    runner.start_job(job, vault)
    if calls_cloud:
        wait_for_job(job)
    else:
        lease = leases.acquire(f"job:{job.id}", 0)
        assert lease
        assert leases.acquire(f"job:{job.id}", 60)
        turns.process_turn(Job.get(), lease, vault, 1.0)
    row = JobRow.get()
    assert (row.outcome, row.message) == ("", "")


def test_the_lease_of_a_job_is_locked_until_its_row_is_saved(db: Flask) -> None:
    """No other process can take a job over between the check of the lease and the commit."""
    lease = leases.acquire("job:1", 0)
    assert lease
    taken: list[object] = []

    def take_over() -> None:
        with open_connection():
            taken.append(leases.acquire("job:1", 60))

    with transaction():
        leases.require(lease)
        thread = threading.Thread(target=take_over)
        thread.start()
        thread.join(0.3)
        assert taken == []
    thread.join(THREAD_TIMEOUT_SECONDS)
    assert taken[0]


@pytest.mark.parametrize("minutes", [-5, 5])
def test_the_clock_of_a_server_does_not_decide_who_works(
    register: Register,
    make_job: MakeJob,
    vault: Vault,
    monkeypatch: pytest.MonkeyPatch,
    minutes: int,
) -> None:
    """Another server, whose clock is wrong, sees that the rows are being processed."""
    calls: list[int] = []
    other = Runner(vault)
    wrong_now = now() + timedelta(minutes=minutes)

    def process_row(*arguments: Any) -> Outcome:
        calls.append(arguments[3].position)
        for module in (claims, runner, store):
            monkeypatch.setattr(module, "now", lambda: wrong_now)
        other.dispatch()
        return Outcome("done")

    register(process_row, calls_cloud=True)
    job = make_job(6)
    runner.start_job(job, vault)
    wait_for_job(job)
    other.run_until_idle()
    assert sorted(calls) == list(range(6))


def test_only_some_rows_with_the_same_credentials_are_processed_at_the_same_time(
    register: Register, make_job: MakeJob, vault: Vault
) -> None:
    barrier = threading.Barrier(ROWS_PER_CREDENTIALS)
    at_once: list[int] = []
    running: set[int] = set()

    def process_row(*arguments: Any) -> Outcome:
        running.add(arguments[3].id)
        at_once.append(len(running))
        barrier.wait(THREAD_TIMEOUT_SECONDS)
        running.discard(arguments[3].id)
        return Outcome("done")

    register(process_row, calls_cloud=True)
    job = make_job(2 * ROWS_PER_CREDENTIALS)
    JobRow.update(credentials_id=7).execute()
    runner.start_job(job, vault, wait=True)
    assert store.outcome_counts(wait_for_job(job)) == {"done": 2 * ROWS_PER_CREDENTIALS}
    assert max(at_once) == ROWS_PER_CREDENTIALS


def test_rows_that_hang_do_not_delay_rows_with_other_credentials(
    register: Register, make_job: MakeJob, vault: Vault
) -> None:
    answered = threading.Event()

    def process_row(*arguments: Any) -> Outcome:
        if arguments[3].credentials_id == 1:
            assert answered.wait(THREAD_TIMEOUT_SECONDS)
        elif arguments[3].position == 11:
            answered.set()
        return Outcome("done")

    register(process_row, calls_cloud=True)
    job = make_job(12)
    JobRow.update(credentials_id=1).where(JobRow.position < 10).execute()
    JobRow.update(credentials_id=2).where(JobRow.position >= 10).execute()
    runner.start_job(job, vault)
    assert store.outcome_counts(wait_for_job(job)) == {"done": 12}


def test_a_second_account_is_served_although_one_person_has_sixty_jobs_that_hang(
    register: Register, make_job: MakeJob, vault: Vault, actor_of: ActorOf, scope: ScopeAt
) -> None:
    answered = threading.Event()

    def process_row(actor: Actor, *_arguments: Any) -> Outcome:
        if actor.person.name == "account-editor":
            assert answered.wait(THREAD_TIMEOUT_SECONDS)
        else:
            answered.set()
        return Outcome("done")

    register(process_row, calls_cloud=True)
    jobs = [make_job(10) for _ in range(60)]
    for number, job in enumerate(jobs):
        JobRow.update(credentials_id=number + 1).where(JobRow.job == job).execute()
        runner.start_job(job, vault)
    rows = [JobRow(subject="row", credentials_id=99)]
    other = store.create_job(actor_of("scalr-admin"), scope("globex"), "test", {}, rows)
    runner.start_job(other, vault)
    assert wait_for_job(other).state == "done"
    assert Job.select().where(Job.state == "done").count() == 61


def test_a_third_account_is_served_although_two_accounts_have_rows_that_hang(
    register: Register, make_job: MakeJob, vault: Vault, actor_of: ActorOf, scope: ScopeAt
) -> None:
    answered = threading.Event()

    def process_row(_actor: Actor, job_scope: Scope, *_arguments: Any) -> Outcome:
        if job_scope.path in {"acme", "globex"}:
            assert answered.wait(THREAD_TIMEOUT_SECONDS)
        else:
            answered.set()
        return Outcome("done")

    register(process_row, calls_cloud=True)
    admin = actor_of("scalr-admin")
    initech = scopes.create(admin, scope(""), "initech")
    for who, place in (("account-editor", scope("acme")), ("scalr-admin", scope("globex"))):
        for _ in range(3):
            rows = [JobRow(subject="row", credentials_id=number + 1) for number in range(20)]
            hanging = store.create_job(actor_of(who), place, "test", {}, rows)
            runner.start_job(hanging, vault)
    rows = [JobRow(subject="row", credentials_id=99)]
    other = store.create_job(actor_of("account-admin"), initech, "test", {}, rows)
    runner.start_job(other, vault)
    assert wait_for_job(other).state == "done"


def test_a_row_waits_in_the_database_while_other_calls_use_its_budget(
    register: Register, make_job: MakeJob, make_credentials: MakeCredentials, vault: Vault
) -> None:
    """The calls of people count too. Rows with other credentials do not wait."""
    busy, free = make_credentials("acme", "busy"), make_credentials("acme", "free", "https://free")
    digest = credentials_digest(vault.reveal(busy))
    called: list[int | None] = []

    def process_row(*arguments: Any) -> Outcome:
        called.append(arguments[3].credentials_id)
        return Outcome("done")

    register(process_row, calls_cloud=True)
    job = make_job(4)
    JobRow.update(credentials_id=busy.id).where(JobRow.position < 2).execute()
    JobRow.update(credentials_id=free.id).where(JobRow.position >= 2).execute()
    runner.start_job(job, vault)
    process = Runner(vault)
    with ExitStack() as calls:
        for _ in range(CALLS_PER_CREDENTIALS - 1):
            calls.enter_context(budgets.reserve(digest, "acme"))
        process.run_until_idle()
        process.run_until_idle()
        assert called == [free.id, free.id]
        waiting = JobRow.select().where(JobRow.outcome == "")
        assert [(row.attempts, row.waits, row.lease_token) for row in waiting] == [(0, 0, "")] * 2
    process.run_until_idle()
    assert store.outcome_counts(wait_for_job(job)) == {"done": 4}


def test_three_jobs_of_a_person_run_and_the_others_wait_in_a_queue(
    register: Register, make_job: MakeJob, vault: Vault, actor_of: ActorOf
) -> None:
    register(return_done, calls_cloud=True)
    jobs = [make_job(1) for _ in range(5)]
    for job in jobs:
        runner.start_job(job, vault)
    assert [claims.jobs_before(job) for job in jobs] == [0, 0, 0, 1, 2]
    assert {job.id for job in claims.running_jobs()} == {job.id for job in jobs[:3]}
    runner.stop_job(actor_of("account-editor"), jobs[3])
    runner.stop_job(actor_of("account-editor"), jobs[0])
    assert claims.jobs_before(jobs[4]) == 0
    wait_for_job(jobs[4])
    states = [Job.get_by_id(job.id).state for job in jobs]
    assert states == ["stopped", "done", "done", "stopped", "done"]


def test_a_fourth_short_job_is_not_processed_in_its_request(
    register: Register, make_job: MakeJob, vault: Vault
) -> None:
    register(return_done, calls_cloud=True)
    for _ in range(3):
        runner.start_job(make_job(1), vault)
    register(return_done)
    job = make_job(1)
    runner.start_job(job, vault, wait=True)
    assert job.state == "running"
    assert wait_for_job(job).state == "done"


def test_accounts_take_turns_then_people(
    register: Register, vault: Vault, actor_of: ActorOf, scope: ScopeAt
) -> None:
    order: list[tuple[str, str]] = []

    def process_row(actor: Actor, job_scope: Scope, *_arguments: Any) -> Outcome:
        order.append((job_scope.path.partition("/")[0], actor.person.name))
        return Outcome("done")

    register(process_row, calls_cloud=True)
    starters = [
        ("account-editor", "acme"),
        ("account-editor", "acme"),
        ("account-admin", "acme/production"),
        ("scalr-admin", "globex"),
    ]
    for who, path in starters:
        rows = [JobRow(subject="row") for _ in range(2)]
        runner.start_job(store.create_job(actor_of(who), scope(path), "test", {}, rows), vault)
    Runner(vault, threads=1).run_until_idle()
    assert order[:4] == [
        ("acme", "account-editor"),
        ("globex", "scalr-admin"),
        ("acme", "account-admin"),
        ("globex", "scalr-admin"),
    ]


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


def test_a_runner_that_stops_gives_its_unfinished_rows_back(
    register: Register, make_job: MakeJob, vault: Vault
) -> None:
    may_end, entered = threading.Event(), threading.Event()

    def process_row(*_arguments: object) -> Outcome:
        entered.set()
        assert may_end.wait(THREAD_TIMEOUT_SECONDS)
        return Outcome("done")

    register(process_row, calls_cloud=True)
    job = make_job(1)
    runner.start_job(job, vault)
    running = Runner(vault)
    running.start()
    assert entered.wait(THREAD_TIMEOUT_SECONDS)
    running.stop(0)
    row = JobRow.get()
    assert (row.lease_token, row.not_before, row.attempts) == ("", 0.0, 0)
    may_end.set()
    assert wait_for_job(job).state == "done"


def test_a_job_without_rows_is_done(register: Register, make_job: MakeJob, vault: Vault) -> None:
    register(return_done)
    job = make_job(0)
    runner.start_job(job, vault, wait=True)
    assert (job.state, store.outcome_counts(job), store.list_rows(job)) == ("done", {}, ([], ""))


def test_an_open_connection_stays_open(register: Register, make_job: MakeJob, vault: Vault) -> None:
    register(return_done)
    runner.start_job(make_job(), vault, wait=True)
    assert not models.database.is_closed()
