"""Sharing the threads: accounts, people and credentials do not delay each other."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import Any

from models import (
    Job,
    JobRow,
    Scope,
)
from tests.conftest import ActorOf, MakeCredentials, ScopeAt
from tests.jobs.conftest import MakeJob, Register, return_done
from tests.jobs.threads import wait_for_job
from tests.waiting import TIMEOUT_SECONDS
from webapp.access import Actor
from webapp.clouds.cache import credentials_digest
from webapp.clouds.outgoing.budgets import CALLS_PER_CREDENTIALS, budgets
from webapp.credentials.vault import Vault
from webapp.jobs import claims, runner, store
from webapp.jobs.runner import ROWS_PER_CREDENTIALS, Runner
from webapp.jobs.store import Outcome
from webapp.people import scopes


def test_only_some_rows_with_the_same_credentials_are_processed_at_the_same_time(
    register: Register, make_job: MakeJob, vault: Vault
) -> None:
    barrier = threading.Barrier(ROWS_PER_CREDENTIALS)
    at_once: list[int] = []
    running: set[int] = set()

    def process_row(*arguments: Any) -> Outcome:
        running.add(arguments[3].id)
        at_once.append(len(running))
        barrier.wait(TIMEOUT_SECONDS)
        running.discard(arguments[3].id)
        return Outcome("done")

    register(process_row, calls_cloud=True)
    job = make_job(2 * ROWS_PER_CREDENTIALS)
    JobRow.update(credentials_id=7).execute()
    runner.start_job(job, vault, process_if_short=True)
    assert store.outcome_counts(wait_for_job(job)) == {"done": 2 * ROWS_PER_CREDENTIALS}
    assert max(at_once) == ROWS_PER_CREDENTIALS


def test_rows_that_hang_do_not_delay_rows_with_other_credentials(
    register: Register, make_job: MakeJob, vault: Vault
) -> None:
    answered = threading.Event()

    def process_row(*arguments: Any) -> Outcome:
        if arguments[3].credentials_id == 1:
            assert answered.wait(TIMEOUT_SECONDS)
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
            assert answered.wait(TIMEOUT_SECONDS)
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
            assert answered.wait(TIMEOUT_SECONDS)
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
    runner.start_job(job, vault, process_if_short=True)
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
