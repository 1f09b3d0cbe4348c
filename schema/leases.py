"""Table of leases: which process does which work, and until when."""

from __future__ import annotations

from peewee import CharField, DoubleField

from schema.base import Table


class Lease(Table):
    """The exclusive right of a process to do some work.

    If the process is killed, its lease expires at `expires_at`. Only the database's clock decides
    whether a lease has expired, because the clocks of the servers may differ. See
    `webapp.jobs.leases`.
    """

    name = CharField(primary_key=True, max_length=64)
    """The work, for example 'job:12'."""
    token = CharField(max_length=32)
    """A random text that identifies the process that has the lease.

    '' if the process gave the lease back before the work was complete. Then no process has the
    lease, and a process can acquire it from `expires_at` on. If the work pauses after an error,
    `expires_at` is the end of the pause.
    """
    expires_at = DoubleField()
    """In seconds since 1970, by the database's clock."""
