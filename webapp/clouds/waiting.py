"""A hook around each wait for a cloud, for example to release a database connection."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

released_resources: Callable[[], AbstractContextManager[None]] = nullcontext
"""Return a context manager that releases shared resources while a thread waits for a cloud.

The default does nothing.

Adapters know neither the database nor requests. So `create_app` replaces the default with a context
manager that returns the thread's database connection to the pool, and that lets another request of
the same person run.
"""
