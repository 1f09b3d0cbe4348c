"""A hook around each wait for a cloud, for example to release a database connection."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

while_waiting: Callable[[], AbstractContextManager[None]] = nullcontext
"""Return the context manager in which a thread waits for a cloud. The default does nothing.

Adapters know neither the database nor requests. So `create_app` replaces the default with a context
manager that returns the thread's database connection to the pool, and that lets another request of
the same person run.
"""
