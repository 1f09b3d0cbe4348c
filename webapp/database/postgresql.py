"""Connections to a PostgreSQL server, also behind PgBouncer.

A request waits at most five seconds for a server that hangs, because `LimitedConnection` limits the
time of each statement. After that, most requests fail immediately until the server accepts a
connection again.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar, cast

import psycopg
from peewee import DatabaseError, OperationalError, ProgrammingError
from playhouse.pool import PooledPostgresqlDatabase
from psycopg.pq import TransactionStatus
from psycopg.waiting import READY_NONE

from models import OutcomeUnknown, failure_of
from webapp.database import outages
from webapp.database.outages import PAUSE_SECONDS, Breaker
from webapp.database.pool import Pool
from webapp.database.waiting import CANCEL_SECONDS, statement_seconds

TRIAL_SECONDS = 10.0
"""The maximum number of seconds for which one thread alone tries to connect to the server.

During an outage, there are pauses without attempts to connect. After a pause, one thread tries to
connect. Until its attempt ends, but at most for this time, no other thread may connect.
"""

LIMITS_OF_THE_SERVER = ("statement_timeout", "idle_in_transaction_session_timeout")

T = TypeVar("T")


class LimitedConnection(psycopg.Connection[Any]):
    """A connection on which no statement takes longer than `statement_seconds`.

    The client enforces the limit, for two reasons: a server that hangs enforces no limits, and
    PgBouncer shares the settings of a session between its clients.

    At the limit, the connection first cancels the statement. If the server is only slow, it stops
    the statement, and does not count as hanging. If the server does not answer the cancellation,
    the server counts as hanging, and the connection is closed.
    """

    on_hang: Callable[[Exception], None] = staticmethod(lambda _error: None)
    """Called if the server did not answer the cancellation."""

    def wait(self, gen: Any, *args: Any, **options: Any) -> Any:
        return super().wait(self._limited(gen), *args, **options)

    def _limited(self, gen: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
        deadline = time.monotonic() + statement_seconds()
        is_cancelled = False
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if ready == READY_NONE and time.monotonic() > deadline:
                    if is_cancelled:
                        raise self._give_up()
                    is_cancelled = True
                    deadline = time.monotonic() + CANCEL_SECONDS
                    with suppress(psycopg.Error):
                        self.cancel_safe(timeout=CANCEL_SECONDS)
                wanted = gen.send(ready)
        except StopIteration as end:
            result: T = end.value
            return result

    def _give_up(self) -> psycopg.OperationalError:
        """Close the connection, and return the error to raise."""
        self.pgconn.finish()
        error = psycopg.OperationalError("the server does not answer")
        self.on_hang(error)
        return error


class PostgresqlPool(Pool, PooledPostgresqlDatabase):
    """Connections to a PostgreSQL server."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._breaker = Breaker(outages.UNREACHABLE, PAUSE_SECONDS, TRIAL_SECONDS)
        self._last_error = ""

    def _open(self) -> Any:
        if not self._breaker.may_call():
            raise psycopg.OperationalError(f"waiting before the next attempt: {self._last_error}")
        try:
            connection = LimitedConnection.connect(
                dbname=self.database, autocommit=True, **self.connect_params
            )
        except psycopg.Error as error:
            if "unsupported startup parameter: options" in str(error):
                error = psycopg.OperationalError("this server is PgBouncer, so set PGBOUNCER=true")
            self._record_failure(error)
            raise error from None
        encoding = connection.info.parameter_status("server_encoding")
        if encoding != "UTF8":
            connection.close()
            raise psycopg.OperationalError(f"the database has the encoding {encoding}, not UTF8")
        connection.on_hang = self._record_hang
        self._breaker.record_success()
        return connection

    @contextmanager
    def open_separate_connection(self) -> Iterator[Any]:
        """Open a connection that belongs to no pool."""
        with self._open() as connection:
            yield connection

    @contextmanager
    def without_server_limits(self) -> Iterator[None]:
        """Let the statements of this thread take any time on the server.

        Behind PgBouncer, this method does nothing: the limits are settings of the database role,
        and a setting of the session would also apply to other clients.
        """
        if "options" not in self.connect_params:
            yield
            return
        for name in LIMITS_OF_THE_SERVER:
            self.execute_sql(f"SET {name} = 0")
        try:
            yield
        finally:
            for name in LIMITS_OF_THE_SERVER:
                self.execute_sql(f"RESET {name}")

    def _record_failure(self, error: Exception) -> None:
        self._last_error = outages.first_line(error)
        self._breaker.record_failure(error)

    def _record_hang(self, error: Exception) -> None:
        """Record that the server hangs. Close the idle connections, which would hang as well."""
        self._record_failure(error)
        self.close_idle()

    def _is_closed(self, connection: Any) -> bool:
        """Return whether the connection is lost, without a query. Close a lost connection.

        Peewee's own pool sends a query before each use of a connection, which adds a round trip to
        every page. This pool only asks the operating system whether the connection has data to
        read. An idle connection has no data to read, unless the server has closed it or is about to
        close it.
        """
        if connection.closed:
            return True
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLIN)
        if not poll.poll(0):
            return False
        self._close_raw(connection)
        return True

    def _can_reuse(self, connection: Any) -> bool:
        return (
            not connection.closed and connection.pgconn.transaction_status == TransactionStatus.IDLE
        )

    def execute_sql(self, sql: str, params: Any = None) -> Any:
        try:
            return super().execute_sql(sql, params)
        except ProgrammingError as error:
            raise _as_failure(error) from error

    def rollback(self) -> None:
        """Roll back. If the connection is lost, do nothing, because the server has rolled back."""
        if not self._state.closed and self._state.conn.closed:
            return
        super().rollback()

    def commit(self) -> None:
        """Commit. Raises OutcomeUnknown if the connection is lost during the commit."""
        try:
            super().commit()
        except OperationalError as error:
            if self._state.closed or self._state.conn.closed:
                raise OutcomeUnknown(error) from error
            raise
        except ProgrammingError as error:
            raise _as_failure(error) from error


def _as_failure(error: ProgrammingError) -> DatabaseError:
    """Return an OperationalError if the database failed, so that the statement may be retried.

    For example, if the file system of PostgreSQL is read-only, PostgreSQL reports a lack of
    privileges, and Peewee raises a ProgrammingError. If the statement itself is wrong, return
    `error`.
    """
    if failure_of(error) is None:
        return error
    failure: Any = OperationalError(*error.args)
    failure.orig = getattr(error, "orig", None)
    return cast(DatabaseError, failure)
