"""Jobs: each row once, whatever goes wrong; stopped, abandoned, taken over; and what is told."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

import models
from models import Image, Job, JobRow, Membership, Person, Role, Scope, now
from tests.conftest import MakeImage, choices
from webapp.access import Actor, Right
from webapp.credentials.vault import Vault
from webapp.images import registration
from webapp.jobs import runner as jobs
from webapp.jobs.runner import FEW, KEPT, SILENCE, Outcome

Actors = Callable[[str], Actor]
Scopes = Callable[[str], Scope]
Work = Callable[[Actor, Scope, Mapping[str, Any], JobRow, Vault], Outcome]
PATIENCE = 30.0
"""Seconds after which a thread is taken to hang."""


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Workers that are forgotten after the test."""
    for name in ("WORKERS", "LABELS", "_atomic", "_side_by_side"):
        kept = getattr(jobs, name)
        monkeypatch.setattr(jobs, name, kept.copy())

    def register(work: Work, **how: bool) -> None:
        jobs.register("test", work, "Test", **how)

    return register


@pytest.fixture
def plan(actor_of: Actors, scope: Scopes) -> Callable[..., Job]:
    def plan(count: int = 3, who: str = "account-editor", **arguments: object) -> Job:
        rows = [JobRow(subject=f"row {number}") for number in range(count)]
        return jobs.create(actor_of(who), scope("acme"), "test", arguments, rows)

    return plan


@pytest.fixture(autouse=True)
def no_threads_left(db: Flask) -> Iterator[None]:
    """What a test begins is over before its database is gone."""
    yield
    for thread in _threads():
        thread.join(PATIENCE)
    assert not _threads()


def _threads() -> list[threading.Thread]:
    names = "job-"
    own = threading.enumerate()
    return [each for each in own if each.name.startswith(names) and "row" not in each.name]


def finish(job: Job) -> Job:
    """As it is once its thread is over."""
    for thread in _threads():
        thread.join(PATIENCE)
    fresh: Job = Job.get_by_id(job.id)
    return fresh


def outcomes(job: Job) -> list[str]:
    rows = JobRow.select().where(JobRow.job == job).order_by(JobRow.position)
    return [row.outcome for row in rows]


def done(*_given: object) -> Outcome:
    return Outcome("done")


def test_a_plan_is_not_begun(register: Callable[..., None], plan: Callable[..., Job]) -> None:
    register(done)
    job = plan(1200)
    assert (job.state, job.total, job.done) == ("planned", 1200, 0)
    assert jobs.summary(job) == {"": 1200}
    positions = JobRow.select(JobRow.position).where(JobRow.job == job).order_by(JobRow.id)
    assert [row.position for row in positions] == list(range(1200))


def test_each_row_is_given_to_the_worker(
    register: Callable[..., None], plan: Callable[..., Job], vault: Vault, scope: Scopes
) -> None:
    given: list[tuple[str, Scope, object, str, Vault]] = []

    def work(
        actor: Actor, at: Scope, arguments: Mapping[str, Any], row: JobRow, secrets: Vault
    ) -> Outcome:
        given.append((actor.person.name, at, arguments["colour"], row.subject, secrets))
        assert actor.may(Right.EDIT_IMAGES, at)
        return Outcome("done", f"did {row.subject}")

    register(work)
    job = plan(colour="red")
    jobs.start(job, vault, wait=True)
    assert (job.state, job.done, job.finished_at is not None) == ("done", 3, True)
    acme = scope("acme")
    subjects = [f"row {number}" for number in range(3)]
    assert given == [("account-editor", acme, "red", each, vault) for each in subjects]
    assert [row.message for row in jobs.rows(job)[0]] == [f"did {each}" for each in subjects]


@pytest.mark.parametrize("how", [{}, {"atomic": True}, {"side_by_side": True}])
@pytest.mark.parametrize("count", [3, FEW + 1])
def test_every_way_of_working(
    register: Callable[..., None],
    plan: Callable[..., Job],
    vault: Vault,
    how: dict[str, bool],
    count: int,
) -> None:
    register(done, **how)
    job = plan(count)
    jobs.start(job, vault, wait=True)
    job = finish(job)
    assert (job.state, job.done) == ("done", count)
    assert jobs.summary(job) == {"done": count}


def test_it_begins_once(
    register: Callable[..., None], plan: Callable[..., Job], vault: Vault
) -> None:
    begun: list[str] = []

    def work(*given: Any) -> Outcome:
        begun.append(given[3].subject)
        return Outcome("done")

    register(work)
    job = plan(2)
    stale = Job.get_by_id(job.id)
    jobs.start(job, vault, wait=True)
    jobs.start(stale, vault, wait=True)
    assert begun == ["row 0", "row 1"]
    assert stale.state == "done"


def test_it_goes_on_when_nobody_waits(
    register: Callable[..., None], plan: Callable[..., Job], vault: Vault
) -> None:
    """Also of a thread that opens no connection of its own."""
    may_go = threading.Event()

    def work(*_given: object) -> Outcome:
        assert may_go.wait(PATIENCE)
        assert Person.select().exists()
        return Outcome("done")

    register(work)
    job = plan()
    jobs.start(job, vault)
    assert (job.state, jobs.summary(job)) == ("running", {"": 3})
    may_go.set()
    assert finish(job).state == "done"


@pytest.mark.parametrize("how", [{}, {"atomic": True}, {"side_by_side": True}])
def test_a_bug_refuses_its_row_and_is_logged(
    register: Callable[..., None],
    plan: Callable[..., Job],
    vault: Vault,
    caplog: pytest.LogCaptureFixture,
    how: dict[str, bool],
) -> None:
    def work(*given: Any) -> Outcome:
        if given[3].position == 1:
            raise ZeroDivisionError("the password is hunter2")
        return Outcome("done")

    register(work, **how)
    job = plan()
    with caplog.at_level(logging.ERROR):
        jobs.start(job, vault, wait=True)
        job = finish(job)
    assert (job.state, outcomes(job)) == ("done", ["done", "refused", "done"])
    (row,) = jobs.rows(job, "refused")[0]
    assert row.message == "Something went wrong here; the log has more."
    assert "ZeroDivisionError" in caplog.text


def test_an_atomic_row_changes_all_or_nothing(
    register: Callable[..., None],
    plan: Callable[..., Job],
    vault: Vault,
    make_image: MakeImage,
) -> None:
    image = make_image("acme")

    def work(actor: Actor, *_given: object) -> Outcome:
        registration.edit(actor, Image.get(), choices(name="half done"))
        raise ZeroDivisionError

    register(work, atomic=True)
    job = plan(1)
    jobs.start(job, vault, wait=True)
    assert jobs.summary(job) == {"refused": 1}
    assert Image.get_by_id(image.id).name == "noble"


def test_rights_that_are_taken_away_meanwhile(
    register: Callable[..., None],
    plan: Callable[..., Job],
    vault: Vault,
    make_image: MakeImage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jobs, "BEAT", 0.0)
    make_image("acme")

    def work(actor: Actor, *given: Any) -> Outcome:
        name = given[2].subject
        registration.edit(actor, Image.get(), choices(name=name))
        if name == "row 1":
            Membership.update(role=Role.VIEWER).where(Membership.person == actor.person).execute()
        return Outcome("done")

    register(work)
    job = plan()
    jobs.start(job, vault, wait=True)
    assert outcomes(job) == ["done", "done", "refused"]
    (row,) = jobs.rows(job, "refused")[0]
    assert row.message == "You may not do this here any more."
    assert Image.get().name == "row 1"


def test_stop_leaves_alone_what_was_not_reached(
    register: Callable[..., None], plan: Callable[..., Job], vault: Vault, actor_of: Actors
) -> None:
    def work(actor: Actor, *given: Any) -> Outcome:
        if given[2].position == 1:
            jobs.stop(actor, Job.get())
        return Outcome("done")

    register(work)
    job = plan(5)
    jobs.start(job, vault, wait=True)
    assert (job.state, job.done) == ("stopped", 2)
    assert outcomes(job) == ["done", "done", "", "", ""]
    assert jobs.running(actor_of("account-editor"), job.scope) == []
    jobs.start(job, vault, wait=True)
    jobs.resume_if_abandoned(job, vault)
    assert jobs.summary(finish(job)) == {"done": 2, "": 3}


def test_it_is_seen_and_stopped_by_who_made_it_only(
    register: Callable[..., None], plan: Callable[..., Job], actor_of: Actors, scope: Scopes
) -> None:
    register(done)
    job, acme = plan(), scope("acme")
    Job.update(state="running").execute()
    editor = actor_of("account-editor")
    assert jobs.of(editor, acme, job.id) == job
    assert jobs.of(editor, scope("acme/production"), job.id) is None
    assert jobs.running(editor, acme) == [job]
    for who in ("account-admin", "scalr-admin", "stranger"):
        assert jobs.of(actor_of(who), acme, job.id) is None
        assert jobs.running(actor_of(who), acme) == []
        jobs.stop(actor_of(who), job)
        assert Job.get().state == "running"
    jobs.stop(editor, job)
    assert (job.state, Job.get().state) == ("stopped", "stopped")


def test_an_abandoned_job_is_taken_over_once(
    register: Callable[..., None], plan: Callable[..., Job], vault: Vault
) -> None:
    begun: list[int] = []

    def work(*given: Any) -> Outcome:
        begun.append(given[3].position)
        return Outcome("done")

    register(work)
    job = plan(4)
    first = JobRow.update(outcome="unchanged").where(JobRow.position == 0)
    first.execute()
    silent = now() - SILENCE - timedelta(seconds=1)
    Job.update(state="running", seen_at=silent).execute()
    lookers = [Job.get_by_id(job.id) for _ in range(3)]
    for each in lookers:
        jobs.resume_if_abandoned(each, vault)
    job = finish(job)
    assert begun == [1, 2, 3]
    assert (job.state, jobs.summary(job)) == ("done", {"done": 3, "unchanged": 1})


def test_a_job_that_was_heard_of_is_not_taken_over(
    register: Callable[..., None], plan: Callable[..., Job], vault: Vault
) -> None:
    register(done)
    job = plan()
    Job.update(state="running", seen_at=now()).execute()
    jobs.resume_abandoned(vault)
    jobs.resume_if_abandoned(Job.get_by_id(job.id), vault)
    assert jobs.summary(finish(job)) == {"": 3}
    Job.update(seen_at=now() - SILENCE - timedelta(seconds=1)).execute()
    jobs.resume_abandoned(vault)
    assert finish(job).state == "done"


def test_who_lost_a_job_leaves_it_to_who_has_it(
    register: Callable[..., None], plan: Callable[..., Job], vault: Vault
) -> None:
    """A process that hung wakes up after another one took its job."""
    taken = now() + timedelta(seconds=40)

    def work(*given: Any) -> Outcome:
        if given[3].position == 0:
            Job.update(seen_at=taken).execute()
        return Outcome("done")

    register(work)
    job = plan()
    jobs.start(job, vault, wait=True)
    assert outcomes(job) == ["done", "", ""]
    assert (job.state, job.seen_at) == ("running", taken)


def test_rows_that_wait_for_a_cloud_are_done_side_by_side(
    register: Callable[..., None], plan: Callable[..., Job], vault: Vault
) -> None:
    together = threading.Barrier(jobs.AT_ONCE)

    def work(*_given: object) -> Outcome:
        together.wait(PATIENCE)
        return Outcome("done")

    register(work, side_by_side=True)
    job = plan(2 * jobs.AT_ONCE)
    jobs.start(job, vault, wait=True)
    assert jobs.summary(finish(job)) == {"done": 2 * jobs.AT_ONCE}


def test_rows_in_pages_with_the_refused_ones_first(
    register: Callable[..., None], plan: Callable[..., Job]
) -> None:
    register(done)
    job = plan(7)
    for position, outcome in enumerate(["done", "refused", "done", "", "refused", "done", ""]):
        JobRow.update(outcome=outcome).where(JobRow.position == position).execute()
    pages, after = [], ""
    while True:
        rows, after = jobs.rows(job, after=after, size=3)
        pages.append([row.position for row in rows])
        if not after:
            break
    assert pages == [[1, 4, 0], [2, 3, 5], [6]]
    done_ones, following = jobs.rows(job, "done", size=2)
    assert [row.position for row in done_ones] == [0, 2]
    assert [row.position for row in jobs.rows(job, "done", after=following)[0]] == [5]
    assert [row.position for row in jobs.rows(job, "")[0]] == [3, 6]
    for nonsense in ("x", "0", "2-1", "0-x", "1-99999999999999999999", "-"):
        assert len(jobs.rows(job, after=nonsense)[0]) == 7
    assert list(jobs.summary(job).items()) == [("refused", 2), ("done", 3), ("", 2)]


def test_old_jobs_are_forgotten_with_their_rows(
    register: Callable[..., None], plan: Callable[..., Job]
) -> None:
    register(done)
    old, young = plan(), plan()
    for job, age in ((old, KEPT + timedelta(minutes=1)), (young, KEPT - timedelta(minutes=1))):
        Job.update(created_at=now() - age).where(Job.id == job.id).execute()
    newest = plan()
    assert {job.id for job in Job.select()} == {young.id, newest.id}
    assert JobRow.select().count() == 6


def test_a_job_without_rows_is_done(
    register: Callable[..., None], plan: Callable[..., Job], vault: Vault
) -> None:
    register(done)
    job = plan(0)
    jobs.start(job, vault, wait=True)
    assert (job.state, jobs.summary(job), jobs.rows(job)) == ("done", {}, ([], ""))


def test_a_connection_that_is_open_stays_so(
    register: Callable[..., None], plan: Callable[..., Job], vault: Vault
) -> None:
    register(done)
    jobs.start(plan(), vault, wait=True)
    assert not models.database.is_closed()
