"""Tables of background jobs and their rows."""

from __future__ import annotations

from datetime import UTC, datetime

from peewee import (
    SQL,
    AutoField,
    CharField,
    Check,
    DoubleField,
    ForeignKeyField,
    IntegerField,
    JSONField,
    TextField,
)

from schema.base import Table
from schema.columns import InstantField, now
from schema.tenancy import Person, Scope

NO_HEARTBEAT = datetime(2999, 1, 1, tzinfo=UTC)
"""A time in the far future. See `Job.seen_at`."""


class Job(Table):
    """Work on many rows in the background, such as a bulk action or an import.

    Only the first running jobs of a person are processed. The person's later jobs wait, although
    their state is also `running`. See `webapp.jobs.claims`.
    """

    id = AutoField()
    scope_id: int
    person_id: int
    scope = ForeignKeyField(Scope, on_delete="CASCADE")
    person = ForeignKeyField(Person, on_delete="CASCADE")
    token_key = CharField(max_length=12, default="", constraints=[SQL("DEFAULT ''")])
    """The key of the API token with which the person started the job, or ''.

    A job that a token started has only the rights of the token. After the token is revoked, the job
    has no rights. If the key disappeared with the token, the job would get the rights of the person
    instead. So this is not a foreign key.
    """
    action = CharField(max_length=32)
    arguments = JSONField()
    state = CharField(max_length=8, default="planned")
    """planned, running, done or stopped."""
    total = IntegerField()
    """The number of rows."""
    done = IntegerField(default=0)
    """The number of rows that have an outcome."""
    created_at = InstantField(default=now)
    seen_at = InstantField(default=now)
    """NO_HEARTBEAT in a started job.

    The release 0.2.0 stored the time of a heartbeat here instead of using leases. A process of that
    release never takes over a job whose heartbeat is in the future.
    """
    finished_at = InstantField(null=True)
    stop_reason = TextField(default="")
    """Why the job was stopped, as a text for the person who started it.

    '' if this person stopped the job, or if the job was not stopped.
    """
    failing_since = InstantField(null=True)
    """When the current series of unexpected errors began.

    An error that is the outcome of a row does not count.
    """

    class Meta:
        constraints = (Check("state IN ('planned', 'running', 'done', 'stopped')"),)


class JobRow(Table):
    """One part of a job, such as an image of a bulk action or a line of an import, and its outcome.

    An unprocessed row can be packed. A packed row represents several rows until a process unpacks
    it. See `webapp.jobs.store`.
    """

    id = AutoField()
    job_id: int
    job = ForeignKeyField(Job, index=False, on_delete="CASCADE")
    position = IntegerField()
    image_id = IntegerField(null=True)
    """This is not a foreign key, because the row stays after the image is deleted."""
    subject = CharField(max_length=512)
    arguments = JSONField(default=dict)
    outcome = CharField(max_length=16, default="")
    """'' until the row is processed."""
    message = TextField(default="")
    """Text for the person. In an unprocessed row, it says why the row waits or how much is done."""
    attempts = IntegerField(default=0)
    """The number of attempts so far.

    If the row calls a cloud, an attempt is counted as soon as it starts. For any other row, an
    attempt is counted only if it ended with a temporary error, for example because the database was
    busy.
    """
    waits = IntegerField(default=0)
    """How often the row could not call its cloud, because too many other calls were in progress."""
    not_before = DoubleField(default=0)
    """When a process may begin to work on the row, in seconds since 1970 by the database's clock.

    While a process works on the row, this is when another process may take over the row.
    """
    lease_token = CharField(max_length=32, default="")
    """A random text that identifies one attempt of a process, if the row calls a cloud.

    '' before the first attempt and after a process gave the row back. Also '' if the row calls no
    cloud.
    """
    lost_leases = IntegerField(default=0)
    """How often a process lost its lease while it worked on the row, for example in a crash.

    If the process may have worked on several rows in one transaction, this number increases for all
    of them. If a part of the work for a row succeeds, the number of this row becomes 0 again.
    """
    credentials_id = IntegerField(null=True)
    """The credentials with which the row calls its cloud, or None if they are not known."""

    class Meta:
        indexes = ((("job", "position"), True),)

    @property
    def next_attempt_at(self) -> datetime | None:
        """When the row is tried again, or None if it does not wait."""
        if self.outcome or self.lease_token or not self.not_before:
            return None
        return datetime.fromtimestamp(self.not_before, UTC)


JobRow.add_index(
    JobRow.index(
        JobRow.job,
        JobRow.not_before,
        JobRow.position,
        where=SQL("outcome = ''"),
        name="job_row_unprocessed",
    )
)
JobRow.add_index(JobRow.index(JobRow.job, JobRow.outcome, JobRow.position, name="job_row_outcome"))
Job.add_index(Job.index(Job.person, Job.id, where=SQL("state = 'running'"), name="job_running"))
