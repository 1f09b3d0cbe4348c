"""Deleting an account or environment: it is invisible at once, and deleted in chunks."""

from __future__ import annotations

import re
from typing import Any

import pytest

import models
from models import (
    AuditEntry,
    CloudCredentials,
    Image,
    Job,
    JobRow,
    Level,
    Membership,
    Scope,
    database,
)
from tests.conftest import (
    ActorOf,
    ClientOf,
    MakeCredentials,
    MakeImage,
    ScopeAt,
    entries_of,
    reload,
)
from tests.jobs.threads import expire_leases, process_jobs
from webapp.credentials.vault import Vault
from webapp.images import life_cycle, sharing
from webapp.jobs import claims, runner, scope_deletion, store
from webapp.people import scopes


@pytest.fixture
def begun_deletion(
    actor_of: ActorOf,
    scope: ScopeAt,
    vault: Vault,
    make_image: MakeImage,
    make_credentials: MakeCredentials,
    monkeypatch: pytest.MonkeyPatch,
) -> Job:
    """Begin to delete acme, and end the process after the first chunk."""
    for number in range(1, 8):
        make_image("acme" if number < 5 else "acme/production", number)
    make_credentials("acme", "ours")
    rows = [JobRow(subject="row")]
    store.create_job(actor_of("account-editor"), scope("acme"), "import", {}, rows)
    monkeypatch.setattr(scope_deletion, "CHUNK_SIZE", 2)
    monkeypatch.setattr(runner, "REQUEST_SECONDS", 0.0)
    acme = scope("acme")
    job = scope_deletion.delete_scope(actor_of("scalr-admin"), acme, vault, acme.name)
    assert job.state == "running"
    assert Image.select().count() > 4
    return job


def test_a_scope_that_is_being_deleted_is_invisible(
    begun_deletion: Job, client_of: ClientOf, actor_of: ActorOf
) -> None:
    for who in ("scalr-admin", "account-admin", "account-editor"):
        client = client_of(who)
        for url in ("/account/acme/images", "/environment/acme/production/images"):
            assert client.get(url).status_code == 404
        assert "acme" not in client.get("/scopes").text.replace("acme-", "")
    for hidden in Scope.select().where(Scope.deleted_at.is_null(False)):
        client = client_of("scalr-admin")
        assert client.get(f"/account/{hidden.path}/images").status_code == 404
        assert hidden.path not in client.get("/scalr/accounts").text
        assert hidden.path not in client.get("/scopes").text
    assert scopes.home_scope(actor_of("account-editor")) is None


def test_the_name_of_a_scope_that_is_being_deleted_is_free(
    begun_deletion: Job, actor_of: ActorOf, scope: ScopeAt
) -> None:
    new = scopes.create(actor_of("scalr-admin"), scope(""), "acme")
    process_jobs()
    expire_leases()
    process_jobs()
    assert Scope.at("acme") == new


def test_another_process_completes_the_deletion(begun_deletion: Job) -> None:
    expire_leases()
    process_jobs()
    job = Job.get_by_id(begun_deletion.id)
    assert (job.state, job.done) == ("done", job.total)
    assert Image.select().count() == 0
    assert CloudCredentials.select().join(Scope).where(Scope.path != "").count() == 0
    assert not Scope.select().where(Scope.deleted_at.is_null(False)).exists()
    assert Job.select().count() == 1
    deletions = AuditEntry.select().where(AuditEntry.action == "account.delete")
    assert deletions.count() == 1


def test_the_page_shows_the_progress_and_offers_no_stop(
    begun_deletion: Job, client_of: ClientOf
) -> None:
    page = client_of("scalr-admin").get(f"/scalr/jobs/{begun_deletion.id}").text
    assert "Delete Account acme" in page
    row = JobRow.select().where(JobRow.job == begun_deletion).order_by(JobRow.position).get()
    assert re.fullmatch(r"[1-9]\d* records? deleted or changed\.", row.message)
    assert row.message in page
    assert "stop-job" not in page
    client_of("scalr-admin").post(f"/scalr/jobs/{begun_deletion.id}/stop")
    assert Job.get_by_id(begun_deletion.id).state == "running"


def test_nobody_keeps_a_role_at_a_scope_that_is_being_deleted(begun_deletion: Job) -> None:
    hidden = Scope.select(Scope.id).where(Scope.deleted_at.is_null(False))
    assert not Membership.select().where(Membership.scope.in_(hidden)).exists()


def test_an_image_that_was_promoted_records_that_its_successor_was_deleted(
    actor_of: ActorOf, scope: ScopeAt, vault: Vault, make_image: MakeImage
) -> None:
    admin, production = actor_of("scalr-admin"), scope("acme/production")
    old, new = (make_image("acme/production", number, shared=False) for number in (1, 2))
    life_cycle.deprecate(admin, old, models.today(), "Old.", new.id)
    sharing.promote(admin, old)
    scope_deletion.delete_scope(admin, production, vault, production.name)
    process_jobs()
    assert Image.get_or_none(id=new.id) is None
    stored, entry = reload(old), entries_of(old)[0]
    assert stored.successor_id is None
    assert (entry.action, entry.changes) == ("image.successor", {"successor": [f"#{new.id}", None]})
    assert (entry.scope, entry.revision) == (scope("acme"), stored.revision)


def complete_deletions() -> None:
    while scope_deletion.complete_chunk():
        pass


def hidden_scopes() -> int:
    return Scope.select().where(Scope.deleted_at.is_null(False)).count()


def fail(*_arguments: object) -> int:
    raise RuntimeError("a fault of the program")


@pytest.mark.parametrize("cause", ["an error", "killed processes"])
def test_a_deletion_that_fails_is_reported_and_completed_later(
    begun_deletion: Job, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch, cause: str
) -> None:
    """Otherwise, records that nobody can see would stay for ever."""
    with monkeypatch.context() as failing:
        if cause == "an error":
            failing.setattr(scopes, "delete_chunk", fail)
        else:
            JobRow.update(lost_leases=claims.MAX_LOST_LEASES).where(JobRow.outcome == "").execute()
        expire_leases()
        process_jobs()
    assert store.outcome_counts(Job.get_by_id(begun_deletion.id))["refused"] > 0
    page = client_of("scalr-admin").get(f"/scalr/jobs/{begun_deletion.id}").text
    assert "The deletion didn’t finish." in page
    assert "Try again." not in page
    models.database.connect(reuse_if_open=True)
    assert hidden_scopes() > 0
    complete_deletions()
    assert hidden_scopes() == Image.select().count() == 0


def test_a_deletion_that_a_job_still_does_is_left_to_the_job(begun_deletion: Job) -> None:
    before = Image.select().count()
    complete_deletions()
    assert Image.select().count() == before


def test_a_scope_that_cannot_be_deleted_does_not_keep_others_hidden(
    begun_deletion: Job, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    Job.update(state="stopped").where(Job.id == begun_deletion.id).execute()
    bad, *_ = (row.id for row in Scope.select().where(Scope.deleted_at.is_null(False)))
    delete_chunk = scopes.delete_chunk

    def delete_others(scope_id: int, size: int) -> int:
        return fail() if scope_id == bad else delete_chunk(scope_id, size)

    other = scopes.create_hidden(Scope.get(path=""), "other")
    with monkeypatch.context() as failing:
        failing.setattr(scopes, "delete_chunk", delete_others)
        complete_deletions()
        assert Scope.get_or_none(Scope.id == other.id) is None
        assert Scope.get_or_none(Scope.id == bad) is not None
        assert [record.levelname for record in caplog.records].count("ERROR") == 1
    complete_deletions()
    assert hidden_scopes() == 0


def test_an_account_is_hidden_with_few_statements_however_many_environments_it_has(
    actor_of: ActorOf, scope: ScopeAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute, counts = type(database.obj).execute_sql, []
    for environments in (3, 30):
        account = Scope.create(
            level=Level.ACCOUNT, parent=scope(""), path=f"many-{environments}", name="Many"
        )
        for number in range(environments):
            values = {"path": f"{account.path}/e{number}", "name": f"e{number}"}
            Scope.create(level=Level.ENVIRONMENT, parent=account, **values)
        statements: list[str] = []

        def counting(self: Any, sql: str, *rest: Any, statements: Any = statements) -> Any:
            statements.append(sql)
            return execute(self, sql, *rest)

        with monkeypatch.context() as patched:
            patched.setattr(type(database.obj), "execute_sql", counting)
            scopes.start_deletion(actor_of("scalr-admin"), Scope.get_by_id(account.id), "Many")
        counts.append(len(statements))
        hidden = Scope.select().where(Scope.deleted_at.is_null(False), Scope.path != "")
        assert hidden.where(Scope.path.startswith("~")).count() == hidden.count()
        assert hidden.where(Scope.parent == account).count() == environments
    assert counts[0] == counts[1]
