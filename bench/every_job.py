"""Start one job of each kind, and verify the results.

The database contains the people and the scopes of the tests (`tests/cast.py`).

Each image belongs to one job. So if the audit log has two entries of the same kind for one image, a
job has repeated its work.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from peewee import Case, fn

import models
from models import (
    AuditEntry,
    CloudCredentials,
    Image,
    Job,
    JobRow,
    Lease,
    Level,
    Scope,
    today,
    transaction,
)
from tests.conftest import choices, receipt
from webapp.access import Actor
from webapp.clouds import CLOUDS
from webapp.credentials.vault import Vault
from webapp.images import deletion, life_cycle, registration
from webapp.jobs import runner, scope_deletion, store
from webapp.jobs.bulk_actions import ACTIONS, RESTORE_DELETED
from webapp.people import accounts
from webapp.transfer import import_formats, imports
from webapp.transfer.import_plan import ImportOptions

BATCH = "b" * 32
TAG = "measured"
"""The tag that the bulk actions `tag` and `untag` add and remove."""
AUDIT_ACTIONS = dict.fromkeys(
    ["share", "unshare", "agent", "no-agent", "os", "tag", "untag"], "edit"
)
"""The action in the audit log for some bulk actions, without the prefix `image.`.

For example, the audit log records the bulk action `share` as `image.edit`. Bulk actions that are
not in this table are recorded under their own names.
"""
LONG_FILE = 1_500
"""The number of lines of an import that is long enough to be planned in the background."""


@dataclass
class EveryJob:
    """One job of each kind, by the key of the job's action."""

    jobs: dict[str, Job] = field(default_factory=dict)
    images: dict[str, list[int]] = field(default_factory=dict)
    """The IDs of the images of each job, by the key of the job's action."""
    plan: Job | None = None
    """The import that the job `import-prepare` plans."""

    def kinds_in_progress(self) -> set[str]:
        """Return the kinds of the jobs that have done only a part of their work."""
        is_open: Any = fn.SUM(Case(None, [(JobRow.outcome == "", 1)], 0))
        rows: Any = JobRow.select(JobRow.job, is_open, fn.COUNT(JobRow.id), fn.MAX(JobRow.message))
        counts = {job: values for job, *values in rows.group_by(JobRow.job).tuples()}
        return {key for key, job in self.jobs.items() if _is_in_progress(key, *counts[job.id])}

    def unfinished(self) -> list[str]:
        """Return the kinds of the jobs that are not done."""
        done = Job.select(Job.id).where(Job.state == "done")
        finished = {job.id for job in done}
        return [key for key, job in self.jobs.items() if job.id not in finished]

    def problems(self) -> list[str]:
        """Return a text for each result that is repeated, incomplete or missing."""
        return [*_repeated_entries(), *self._job_problems(), *self._data_problems()]

    def _job_problems(self) -> list[str]:
        """Return a text for each job with wrong outcomes or missing audit entries."""
        found = []
        for key, job in self.jobs.items():
            outcomes = store.outcome_counts(job)
            if set(outcomes) - {"done", "created", "unchanged"} or sum(outcomes.values()) == 0:
                found.append(f"{key}: {outcomes}")
        for key, ids in self.images.items():
            name = key.removeprefix("image-")
            if name == "check":
                continue
            action = f"image.{AUDIT_ACTIONS.get(name, name)}"
            records = [f"image:{image_id}" for image_id in ids]
            entries = (AuditEntry.action == action) & AuditEntry.record.in_(records)
            count = AuditEntry.select().where(entries).count()
            if count != len(ids):
                found.append(f"{key}: {count} entries for {len(ids)} images")
        return found

    def _data_problems(self) -> list[str]:
        """Return a text for scopes that were not deleted, and for missing lines and images."""
        hidden = Scope.select().where(Scope.deleted_at.is_null(False)).count()
        found = [f"{hidden} hidden scopes"] if hidden else []
        lines = JobRow.select().where(JobRow.job == self.plan).count()
        if lines != LONG_FILE:
            found.append(f"import-prepare: {lines} lines")
        imported = Image.select().where(Image.name.contains(" imported ")).count()
        if imported != (total := self.jobs["import"].total):
            found.append(f"import: {imported} images for {total} lines")
        return found


def start_every_job(vault: Vault, endpoint: str, size: int, cloud_rows: int) -> EveryJob:
    """Create images and jobs, and start the jobs.

    A job that calls the cloud at `endpoint` has `cloud_rows` rows. Most other jobs have `size`
    rows. The job `scope-delete` has one row and deletes an account with `size * 5` images. The job
    `credentials-delete` has one row and deletes credentials that `size * 5` images use. The import
    that the job `import-prepare` plans has LONG_FILE lines.
    """
    runner.REQUEST_SECONDS = 0.0  # Other processes must do the work of the jobs.
    factory = _Factory(vault, endpoint)
    every = EveryJob()
    for key, action in ACTIONS.items():
        count = cloud_rows if action.calls_cloud else size
        images = factory.make_images(
            count,
            shared=key != "share",
            agent_installed=key not in {"agent", "os"},
            tags=[TAG] if key == "untag" else [],
        )
        if key == "restore":
            with transaction():
                for image in images:
                    life_cycle.retire(factory.actor, image, today(), "Old.", None)
        rows = [_row(image) for image in images]
        every.images[action.job_action.key] = [image.id for image in images]
        every.jobs[action.job_action.key] = factory.create_job(
            action.job_action.key, rows, _arguments(key)
        )
    deleted = factory.make_images(size)
    with transaction():
        for image in deleted:
            deletion.delete(factory.actor, image, "c" * 32)
    rows = [JobRow(image_id=image.id, subject=image.name) for image in reversed(deleted)]
    every.images[RESTORE_DELETED.key] = [image.id for image in deleted]
    every.jobs[RESTORE_DELETED.key] = factory.create_job(
        RESTORE_DELETED.key, rows, {"batch": "c" * 32}
    )
    _start_imports(factory, every, size, cloud_rows)
    _start_deletions(factory, every, size * 5)
    return every


def _start_imports(factory: _Factory, every: EveryJob, size: int, cloud_rows: int) -> None:
    options = ImportOptions(look_up=False)
    every.jobs["import"] = factory.import_lines(size, options, "imported")
    runner.start_job(every.jobs["import"], factory.vault)
    look_up = ImportOptions(look_up=True, credentials={"aws": factory.credentials.id})
    every.jobs["import-read"] = factory.import_lines(cloud_rows, look_up, "looked up")
    every.plan = factory.import_lines(LONG_FILE, options, "planned")
    every.jobs["import-prepare"] = Job.get(Job.action == "import-prepare")


def _start_deletions(factory: _Factory, every: EveryJob, images: int) -> None:
    scalr = Scope.get(path="")
    doomed = Scope.create(level=Level.ACCOUNT, parent=scalr, path="doomed", name="doomed")
    factory.make_images(images, doomed, credentials=factory.make_credentials(doomed, "doomed"))
    every.jobs["scope-delete"] = scope_deletion.delete_scope(
        factory.admin, doomed, factory.vault, "doomed"
    )
    credentials = factory.make_credentials(factory.scope, "old")
    factory.make_images(images, credentials=credentials)
    every.jobs["credentials-delete"] = scope_deletion.delete_credentials(
        factory.admin, credentials, factory.vault
    )


class _Factory:
    """Creates credentials, images and jobs.

    Three people take turns as owners of the jobs that `create_job` creates.
    """

    def __init__(self, vault: Vault, endpoint: str) -> None:
        self.vault, self._endpoint = vault, endpoint
        self.scope = Scope.get(path="acme")
        self.admin, self.actor = _actor("scalr-admin"), _actor("account-editor")
        self._people = [self.actor, _actor("account-admin"), self.admin]
        self.credentials = self.make_credentials(self.scope, "AWS")
        self._numbers = iter(range(1, 1_000_000))

    def make_credentials(self, scope: Scope, name: str) -> CloudCredentials:
        row = CloudCredentials(scope=scope, cloud="aws", name=name)
        fields = CLOUDS["aws"].credential_fields
        values = {each.name: "" for each in fields} | {
            "access_key_id": "AKIAEXAMPLE",
            "secret_access_key": "only for the measurement",
            "partition": "aws",
            "endpoint_url": self._endpoint,
        }
        self.vault.store(row, fields, values)
        row.save(force_insert=True)
        return row

    def make_images(
        self,
        count: int,
        scope: Scope | None = None,
        credentials: CloudCredentials | None = None,
        **values: object,
    ) -> list[Image]:
        with transaction():
            return [
                registration.register(
                    self.admin,
                    scope or self.scope,
                    receipt(credentials or self.credentials, next(self._numbers)),
                    choices(**values),
                )
                for _ in range(count)
            ]

    def create_job(self, key: str, rows: Sequence[JobRow], arguments: Mapping[str, Any]) -> Job:
        self._people.append(self._people.pop(0))
        return store.create_job(self._people[0], self.scope, key, arguments, rows, started=True)

    def import_lines(self, count: int, options: ImportOptions, name: str) -> Job:
        lines = [
            {
                "cloud": "aws",
                "location": "us-east-1",
                "cloud_image_id": f"ami-{next(self._numbers):017x}",
                "name": f"ubuntu-noble-24.04 {name} {number}",
            }
            for number in range(count)
        ]
        file = import_formats.parse_file(json.dumps(lines).encode())
        return imports.start(self.actor, self.scope, self.vault, file, options)


def _actor(name: str) -> Actor:
    return accounts.actor_for(models.Person.get(email=f"{name}@example.com"))


def _row(image: Image) -> JobRow:
    return JobRow(
        image_id=image.id,
        subject=image.name,
        arguments={"revision": image.revision},
        credentials_id=image.credentials_id,
    )


def _arguments(key: str) -> dict[str, Any]:
    arguments: dict[str, Any] = {"batch": BATCH}
    if key == "os":
        arguments |= {"os_family": "debian", "os_version": "12"}
    if key in {"tag", "untag"}:
        arguments["tags"] = [TAG]
    if key in {"deprecate", "retire"}:
        arguments |= {"on": today().isoformat(), "reason": "Old.", "successor": None}
    return arguments


def _is_in_progress(key: str, unfinished: int, total: int, message: str) -> bool:
    if key == "import-prepare":
        return (
            unfinished == total and Lease.select().where(Lease.name.startswith("import:")).exists()
        )
    if key in {"scope-delete", "credentials-delete"}:
        return unfinished > 0 and bool(message)
    return 0 < unfinished < total


def _repeated_entries() -> list[str]:
    count: Any = fn.COUNT(AuditEntry.id)
    query: Any = AuditEntry.select(AuditEntry.record, AuditEntry.action, count)
    query = (
        query.where(AuditEntry.record.startswith("image:"))
        .group_by(AuditEntry.record, AuditEntry.action)
        .having(count > 1)
    )
    return [f"{record}: {number} × {action}" for record, action, number in query.tuples()]
