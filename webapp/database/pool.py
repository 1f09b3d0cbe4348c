"""The pool of connections that both kinds of databases use."""

from __future__ import annotations

import heapq
import time
from contextlib import nullcontext
from typing import Any

from playhouse.pool import MaxConnectionsExceeded, PoolConnection, PooledDatabase

from webapp.database import outages
from webapp.monitoring.metrics import pool_use, statement_times


class Pool(PooledDatabase):
    """A pool that opens connections outside its lock.

    Peewee's own pool opens a connection while it holds the locks of the database and of the pool.
    So while one thread waits for a server that hangs, no other thread can return its connection.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # Peewee stores the state of each connection per thread, so this lock is not needed.
        self._lock = nullcontext()

    def execute_sql(self, sql: str, params: Any = None) -> Any:
        began = time.perf_counter()
        try:
            return super().execute_sql(sql, params)
        finally:
            statement_times.add(time.perf_counter() - began)

    def _close(self, conn: Any, close_conn: bool = False) -> None:
        super()._close(conn, close_conn)
        pool_use.record(len(self._in_use))
        statement_times.flush()

    def _open(self) -> Any:
        """Open a connection."""
        raise NotImplementedError

    def _connect(self) -> Any:
        """Return an idle connection, or open one. Raises MaxConnectionsExceeded."""
        with self._pool_lock:
            while self._connections:
                since, _, connection = heapq.heappop(self._connections)
                if self._is_closed(connection):
                    continue
                self._in_use[id(connection)] = PoolConnection(since, connection, time.time())
                pool_use.record(len(self._in_use))
                return connection
            if len(self._in_use) >= self._max_connections:
                raise MaxConnectionsExceeded("All connections of the pool are in use.")
            reservation = object()
            self._in_use[id(reservation)] = PoolConnection(time.time(), reservation, time.time())
            pool_use.record(len(self._in_use))
        connection = None
        try:
            connection = self._open()
        finally:
            with self._pool_lock:
                self._in_use.pop(id(reservation), None)
                if connection is not None:
                    now = time.time()
                    self._in_use[id(connection)] = PoolConnection(now, connection, now)
                else:
                    pool_use.record(len(self._in_use))
                    self._pool_available.notify()
        return connection

    def commit(self) -> None:
        super().commit()
        outages.transaction_committed()
