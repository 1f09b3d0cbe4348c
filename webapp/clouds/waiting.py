"""Release resources of a thread, such as its database connection, while it waits for a cloud."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

while_waiting: Callable[[], AbstractContextManager[None]] = nullcontext
"""Returns the context in which a thread waits for a cloud.

`create_app` sets this, so that the thread returns its database connection. Adapters must not know
the database.
"""
