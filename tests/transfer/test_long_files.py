"""Planning a long file delays nobody: few statements, small transactions, and no half plan."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import models
from models import Job, JobRow
from tests.conftest import ActorOf, ClientOf, MakeImage, ScopeAt
from tests.jobs.threads import expire_leases, process_jobs
from tests.transfer.conftest import UNVERIFIED, ApplyPlan, PlanImport, ami_id, line
from webapp.credentials.vault import Vault
from webapp.jobs import backoff, leases, store
from webapp.transfer import import_formats, import_job, import_preparation, imports
from webapp.transfer.import_preparation import APPLY, PLAN
from webapp.transfer.imports import PlannedAgain

CHUNK_SIZE = 20


@pytest.fixture
def changed_rows(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list to which each transaction appends how many rows of jobs it changes."""
    counts: list[int] = []
    execute, transaction = models.database.obj.execute_sql, models.transaction

    def execute_and_count(sql: str, *args: Any, **kwargs: Any) -> Any:
        cursor = execute(sql, *args, **kwargs)
        if '"job_row"' in sql and not sql.startswith("SELECT"):
            counts[-1] += cursor.rowcount
        return cursor

    @contextmanager
    def counted_transaction() -> Iterator[None]:
        counts.append(0)
        with transaction():
            yield

    monkeypatch.setattr(models.database.obj, "execute_sql", execute_and_count)
    for module in (store, import_preparation):
        monkeypatch.setattr(module, "transaction", counted_transaction)
    monkeypatch.setattr(import_preparation, "CHUNK_SIZE", CHUNK_SIZE)
    monkeypatch.setattr(store, "INSERT_SIZE", CHUNK_SIZE)
    return counts


def long_file(count: int) -> list[dict[str, object]]:
    return [
        line(number, status="deprecated", successor=ami_id(number + 1 if number % 10 else number))
        for number in range(1, count + 1)
    ]


def count_statements(monkeypatch: pytest.MonkeyPatch, plan: PlanImport, lines: int) -> int:
    count = 0
    execute = models.database.obj.execute_sql

    def execute_and_count(*args: Any, **kwargs: Any) -> Any:
        nonlocal count
        count += 1
        return execute(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(models.database.obj, "execute_sql", execute_and_count)
        plan(*long_file(lines))
    return count


def test_planning_sends_no_statement_for_each_line(
    plan: PlanImport, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2, 150):
        make_image("acme", number)
    few, many = (count_statements(monkeypatch, plan, lines) for lines in (100, 900))
    assert many - few <= 800 / 30


def test_each_transaction_changes_few_rows(plan: PlanImport, changed_rows: list[int]) -> None:
    job = plan(*long_file(95))
    assert (job.action, job.state) == (APPLY, "planned")
    assert sum(changed_rows) == 95 * 3  # Inserted, deleted, and inserted as lines of the plan.
    assert max(changed_rows) == 2 * CHUNK_SIZE


def test_an_interrupted_plan_is_not_visible_and_is_made_again(
    plan: PlanImport,
    apply_plan: ApplyPlan,
    vault: Vault,
    changed_rows: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = plan(*long_file(95))
    first_plan = imports.plan_id_of(job)
    lines = [import_job.planned_line(row) for row in stored_rows(job)]
    replace = import_preparation._Preparation._replace

    def replace_some(self: Any, lines: Any, first_position: int, start: int) -> None:
        if start >= 3 * CHUNK_SIZE:
            raise KeyboardInterrupt
        replace(self, lines, first_position, start)

    for _ in range(3):
        monkeypatch.setattr(import_preparation._Preparation, "_replace", replace_some)
        with pytest.raises(KeyboardInterrupt):
            imports.answer(job, vault, {}, ("debian", "13"))
        store.reload_job(job)
        assert job.action == PLAN
        with pytest.raises(PlannedAgain):
            imports.apply(job, vault, first_plan)
        assert len(stored_rows(job)) == 95
        monkeypatch.setattr(import_preparation._Preparation, "_replace", replace)
        import_preparation.advance(job, vault)
        assert (job.action, job.state) == (APPLY, "planned")
        assert imports.plan_id_of(job) != first_plan
        assert [import_job.planned_line(row) for row in stored_rows(job)] == lines
    assert changed_rows
    for row, (kind, _) in zip(stored_rows(job), apply_plan(job), strict=True):
        assert kind == ("refused" if import_job.planned_line(row).errors else "created")


def stored_rows(job: Job) -> list[JobRow]:
    return list(JobRow.select().where(JobRow.job == job).order_by(JobRow.position))


def test_a_long_file_is_planned_in_the_background(
    actor_of: ActorOf, scope: ScopeAt, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_preparation, "SHORT_FILE_LINES", 1)
    file = import_formats.parse_file(b"cloud,cloud_image_id\naws,ami-1\naws,ami-2")
    job = imports.start(actor_of("account-editor"), scope("acme"), vault, file, UNVERIFIED)
    assert (job.action, job.state) == (PLAN, "planned")
    with pytest.raises(PlannedAgain):
        imports.apply(job, vault)
    import_preparation.advance(job, vault)
    assert Job.select().count() == 2, "it is planned only once"
    process_jobs()
    store.reload_job(job)
    assert (job.action, job.state, job.arguments["counts"]["error"]) == (APPLY, "planned", 2)


def test_an_import_whose_process_was_killed_is_planned_when_its_lease_has_expired(
    actor_of: ActorOf, scope: ScopeAt, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_preparation, "SHORT_FILE_LINES", 1)
    monkeypatch.setattr(backoff, "BUDGET_PAUSE", 60.0)
    file = import_formats.parse_file(b"cloud,cloud_image_id\naws,ami-1\naws,ami-2")
    job = imports.start(actor_of("account-editor"), scope("acme"), vault, file, UNVERIFIED)
    assert leases.acquire(f"import:{job.id}", 60)
    process_jobs()
    store.reload_job(job)
    assert (job.action, job.state) == (PLAN, "planned")
    expire_leases()
    process_jobs()
    store.reload_job(job)
    assert (job.action, job.state) == (APPLY, "planned")


def test_the_page_of_a_long_import_shows_that_it_is_planned(
    client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_preparation, "SHORT_FILE_LINES", 0)
    client, form = client_of("account-editor"), "/account/acme/images/import"
    text = "cloud,location,cloud_image_id,name\naws,us-east-1,ami-0123456789abcdef0,debian-13\n"
    url = client.post(form, data={"text": text, "how": "unverified"}).location
    page = client.get(url).text
    assert "Planning the import" in page
    assert f"{url}?progress={PLAN}" in page
    assert client.post(url).location == url
    preparation = Job.get(Job.action == import_preparation.PREPARE)
    assert client.get(f"/account/acme/jobs/{preparation.id}").location == url
    polled = f"{url}?progress={PLAN}"
    assert "Planning" in client.get(polled, headers={"HX-Request": "true"}).text
    process_jobs()
    answer = client.get(polled, headers={"HX-Request": "true"})
    assert answer.headers["HX-Redirect"].endswith(url)
    assert "1 image will be registered" in client.get(url).text


def test_a_progress_page_does_not_repeat_a_plan_that_failed(
    client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_preparation, "SHORT_FILE_LINES", 0)

    def fail(*_args: object) -> None:
        raise ValueError

    client, form = client_of("account-editor"), "/account/acme/images/import"
    text = "cloud,location,cloud_image_id,name\naws,us-east-1,ami-0123456789abcdef0,debian-13\n"
    with monkeypatch.context() as patch:
        patch.setattr(import_preparation._Preparation, "run", fail)
        url = client.post(form, data={"text": text, "how": "unverified"}).location
        process_jobs()
    client.get(f"{url}?progress={PLAN}", headers={"HX-Request": "true"})
    process_jobs()
    assert Job.select().where(Job.action == import_preparation.PREPARE).count() == 1
    client.get(url)
    process_jobs()
    assert "1 image will be registered" in client.get(url).text
