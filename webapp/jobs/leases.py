"""Acquire and release leases. Only the process that holds the lease on some work does the work.

The clock of the database decides when a lease expires. A process that is killed never releases its
lease. When the lease expires, another process can acquire it with a new token. If the first process
was only hanging, it can no longer save anything, because its old token is not valid anymore.
"""

from __future__ import annotations

import secrets
from typing import Any

from models import Lease, database_clock, is_sqlite
from webapp.monitoring.metrics import LEASES_LOST, LEASES_TAKEN_OVER, kind_of_lease


def acquire(name: str, seconds: float) -> Lease | None:
    """Return a lease on the work `name` for this many seconds.

    Return None if a process holds a lease on this work, or if the pause after `end_with_pause` is
    not over.
    """
    lease = Lease(name=name, token=secrets.token_hex(16))
    values = {"token": lease.token, "expires_at": database_clock() + seconds}
    is_expired = (Lease.name == name) & (Lease.expires_at <= database_clock())
    if Lease.update(values).where(is_expired).execute():
        LEASES_TAKEN_OVER.labels(kind_of_lease(name)).inc()
        return lease
    query = Lease.insert(name=name, **values).on_conflict_ignore()
    return lease if list(query.returning(Lease.name).execute()) else None


def is_lost(name: str) -> bool:
    """Return whether the lease has expired because its process ended or hung."""
    is_expired = (Lease.expires_at <= database_clock()) & (Lease.token != "")
    return bool(Lease.select(Lease.name).where((Lease.name == name) & is_expired).exists())


def end_with_pause(lease: Lease, pause: float) -> None:
    """End a lease whose work is not complete. It can be acquired again after `pause` seconds.

    Do nothing if another process holds the lease now. A lease that expires counts as lost, but a
    lease that ends here does not.
    """
    query = Lease.update(token="", expires_at=database_clock() + pause).where(_is_held(lease))
    query.execute()


def extend(lease: Lease, seconds: float) -> bool:
    """Let a lease expire in `seconds` from now. Return False if another process holds it now."""
    query = Lease.update(expires_at=database_clock() + seconds).where(_is_held(lease))
    is_held = bool(query.execute())
    if not is_held:
        LEASES_LOST.labels(kind_of_lease(lease.name)).inc()
    return is_held


def release(lease: Lease) -> None:
    """End a lease whose work is complete. Do nothing if another process holds the lease now."""
    Lease.delete().where(_is_held(lease)).execute()


def require(lease: Lease) -> None:
    """Raise LeaseLost if another process holds the lease now.

    The row of the lease stays locked until the current transaction ends, so no other process can
    acquire the lease before then. On SQLite, every `transaction` already locks the whole database.
    """
    query = Lease.select(Lease.name).where(_is_held(lease))
    if not list(query if is_sqlite() else query.for_update()):
        LEASES_LOST.labels(kind_of_lease(lease.name)).inc()
        raise LeaseLost(lease.name)


class LeaseLost(Exception):
    """Another process has acquired the lease, because the lease had expired."""


def blocked_names(prefix: str) -> set[str]:
    """Return the names of the leases that begin with `prefix` and have not expired.

    The work of these leases cannot begin now: either a process is doing the work, or the work
    pauses.
    """
    is_held = Lease.name.startswith(prefix) & (Lease.expires_at > database_clock())
    return {lease.name for lease in Lease.select(Lease.name).where(is_held)}


def _is_held(lease: Lease) -> Any:
    return (Lease.name == lease.name) & (Lease.token == lease.token)
