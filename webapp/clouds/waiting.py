"""A hook that lets a thread release its database connection while it waits for a cloud."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

while_waiting: Callable[[], AbstractContextManager[None]] = nullcontext
"""Return the context manager in which a thread waits for a cloud. The default does nothing.

Adapters must not know the database. So `create_app` replaces the default with a context manager
that returns the thread's database connection to the pool.
"""
