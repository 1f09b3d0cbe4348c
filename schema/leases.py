"""Table of leases: which process does which work, and until when."""

from __future__ import annotations

from peewee import CharField, DoubleField

from schema.base import Table


class Lease(Table):
    """The exclusive right of a process to do some work. If the process ends, its lease expires.

    Only the database's clock decides whether a lease has expired, because the clocks of the servers
    may differ. See `webapp.jobs.leases`.
    """

    name = CharField(primary_key=True, max_length=64)
    """The work, for example 'job:12'."""
    token = CharField(max_length=32)
    """A random text that identifies the process that has the lease.

    '' if the process gave the lease back. In this case, the work pauses until `expires_at`.
    """
    expires_at = DoubleField()
    """In seconds since 1970, by the database's clock."""
