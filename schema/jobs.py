"""Tables of background jobs and their rows."""

from __future__ import annotations

from peewee import AutoField, CharField, Check, ForeignKeyField, IntegerField, JSONField, TextField

from schema.base import Table
from schema.columns import InstantField, now
from schema.tenancy import Person, Scope


class Job(Table):
    """Work on many images in the background: a bulk action or an import."""

    id = AutoField()
    scope_id: int
    person_id: int
    scope = ForeignKeyField(Scope, on_delete="CASCADE")
    person = ForeignKeyField(Person, on_delete="CASCADE")
    action = CharField(max_length=32)
    arguments = JSONField()
    state = CharField(max_length=8, default="planned")
    """planned, running, done or stopped."""
    total = IntegerField()
    done = IntegerField(default=0)
    created_at = InstantField(default=now)
    seen_at = InstantField(default=now)
    """The time of the last heartbeat of the process that works on the job.

    If the last heartbeat is too old, another process takes over.
    """
    finished_at = InstantField(null=True)

    class Meta:
        constraints = (Check("state IN ('planned', 'running', 'done', 'stopped')"),)


class JobRow(Table):
    """One image of a bulk action, or one line of an import, and its outcome."""

    id = AutoField()
    job_id: int
    job = ForeignKeyField(Job, index=False, on_delete="CASCADE")
    position = IntegerField()
    image_id = IntegerField(null=True)
    """Not a foreign key, because the row stays after the image is deleted."""
    subject = CharField(max_length=512)
    arguments = JSONField(default=dict)
    outcome = CharField(max_length=16, default="")
    """'' until the row is processed."""
    message = TextField(default="")

    class Meta:
        indexes = ((("job", "position"), True),)
