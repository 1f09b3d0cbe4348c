"""Limit how many calls to clouds are in progress at the same time.

There are budgets for the credentials, for the account that owns them, for a person, for the threads
that serve requests, for large responses, and for the parsing of responses. If an endpoint never
responds, the calls to it cannot use up the budgets of other accounts and people. So the calls of
these accounts and people can continue. Each process has its own budgets.

The owner of a call is the account that owns the credentials, or '' for the credentials of the Scalr
scope.
"""

from __future__ import annotations

import enum
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar

from webapp.clouds.outgoing import memory
from webapp.clouds.outgoing.calls import Call, LimitExceeded, current_call, owned_by

CALLS_PER_CREDENTIALS = 4
"""The maximum number of calls in progress with the same credentials."""
CALLS_PER_ACCOUNT = 8
"""The maximum number of calls in progress with the credentials of one account."""
CALLS_PER_PERSON = 3
"""The maximum number of calls that the requests of one person may have in progress."""
RESERVED = 1
"""How many calls are reserved for requests of people. For background jobs, the limits
CALLS_PER_CREDENTIALS and CALLS_PER_ACCOUNT are smaller by this number."""
LARGE_PER_ACCOUNT = 1
"""The maximum number of calls that read a large response at the same time with the credentials of
one account."""
LARGE_PER_PROCESS = 2
"""The maximum number of calls that read a large response at the same time in one process. Each of
these calls may need about 40 MB of memory."""
PARSERS_PER_PROCESS = 1
"""The maximum number of calls that parse a response at the same time. Small responses do not count.
A parser holds Python's interpreter lock most of the time, so several parsers would delay all other
threads too much."""
PARSERS_PER_ACCOUNT = 1
"""The maximum number of calls of one account that parse a response or wait for the budget PARSER.

Other calls of the same account wait for the budget ACCOUNT_PARSER before they wait for PARSER. So
even if an account has many calls, the calls of other accounts wait while at most one response of
this account is parsed.
"""
LARGE_SHARE_OF_ACCOUNT = 0.04
"""The share of one processor's time that the large responses of one account may use.

A parser delays all other threads of the process. So after a call with a large response, there is a
pause in which no other call of the same account may read a large response. The length of the pause
follows from this share, but is at most twice MAX_PAUSE_SECONDS.
"""
LARGE_SHARE_OF_PROCESS = 0.07
"""The share of one processor's time that the large responses of all accounts together may use.

After a call with a large response, there is also a pause in which no call of any account may read a
large response. This pause is shorter than the pause of one account, because this share is larger.
"""
MAX_PAUSE_SECONDS = 30.0
"""The maximum length of the pause for the large responses of all accounts."""
PERSON_SECONDS = 1.0
"""The maximum time that a request of a person waits until another call of the same owner ends."""
BACKGROUND_SECONDS = 10.0
"""The maximum time that a background job's call waits until another call of the same owner ends.

To avoid this wait, the job runner calls `Budgets.has_room` before it starts work that calls a
cloud.
"""

SLOW_SECONDS = 7.5
"""If a request waits longer than this for one call, the account that owns the credentials counts as
slow.

A healthy cloud can need up to 7 seconds for one page of a long list in `Cloud.browse`, so the limit
is higher.
"""
SLOW_PERIOD_SECONDS = 60.0
"""How long an account counts as slow after a request has waited longer than SLOW_SECONDS."""
PROVEN_PERIOD_SECONDS = 3600.0
"""How long an account counts as proven after its last quick call in a request.

A call is quick if the request does not wait longer than SLOW_SECONDS for it.
"""
SLOW_THREADS = 2
"""The maximum number of threads in which requests wait for the clouds of one slow account.

One person can use all of these threads except one.
"""


class Budget(enum.Enum):
    """A kind of limit on the calls in progress.

    The value says which calls or which requests the limit counts. The message of a BudgetUsedUp
    contains the value. Some limits count requests, because each request that waits for a cloud
    occupies one of the threads that serve requests.
    """

    CREDENTIALS = "calls with the same credentials"
    ACCOUNT = "calls with credentials of one account"
    SHARE = "requests that wait for the clouds of one account"
    PERSON = "calls in requests of one person"
    PROCESS = "requests that wait for clouds"
    SLOW = "requests that wait for the clouds of slow accounts"
    UNPROVEN = "requests that wait for the clouds of unproven accounts"
    """An account is unproven if it is neither slow nor proven. If the clouds of many new accounts
    never respond, this budget leaves threads to the proven accounts, even before the new accounts
    count as slow."""
    LARGE = "calls of one account that read a large response"
    MEMORY = "calls that read a large response"
    ACCOUNT_PARSER = "calls of one account that parse a response"
    """The budget also counts calls that wait for PARSER."""
    PARSER = "calls that parse a response"
    """PARSER and ACCOUNT_PARSER do not count the parsing of a small response."""


class BudgetUsedUp(LimitExceeded):
    """A budget allows no new call now.

    There are already as many calls in progress as `limit` allows, or other calls wait for the
    budget, or the budget is paused.
    """

    def __init__(self, budget: Budget, limit: int) -> None:
        super().__init__(f"too many {budget.value}: the limit is {limit}")
        self.budget = budget
        self.limit = limit


person_of_request: ContextVar[Hashable | None] = ContextVar("person_of_request", default=None)
"""The person whose request waits for the call, or None for work in the background."""

Key = tuple[Budget, Hashable]


class Budgets:
    """A counter of the calls in progress for each budget. Threads can share this object."""

    def __init__(self) -> None:
        self._calls: Counter[Key] = Counter()
        self._pauses: dict[Key, float] = {}
        """When the pause of each paused budget ends, as a time of `time.monotonic()`.

        Only the budgets for large responses, LARGE and MEMORY, are ever paused.
        """
        self._queues: dict[tuple[Key, ...], deque[object]] = {}
        """The calls that wait for the same budgets, in the order in which they began to wait."""
        self._slow_until: dict[str, float] = {}
        """When each slow account stops counting as slow, as a time of `time.monotonic()`."""
        self._proven_until: dict[str, float] = {}
        """When each proven account stops counting as proven, as a time of `time.monotonic()`."""
        self._changed = threading.Condition()
        self.max_waiting_threads = 12
        """The maximum number of request threads that may wait for clouds at the same time."""

    def configure(self, threads: int) -> None:
        """Set how many threads serve requests.

        About three quarters of these threads, but at least one, may wait for clouds at any time.
        """
        self.max_waiting_threads = max(1, threads - max(1, threads // 4))

    def count_waiting_threads(self) -> int:
        """Return how many request threads are waiting for clouds now."""
        return self._calls[Budget.PROCESS, ""]

    def has_room(self, credentials_digest: str, owner: str) -> bool:
        """Return whether a background job could begin a call now, without waiting."""
        with self._changed:
            return self._used_up_error(self._owner_limits(credentials_digest, owner)) is None

    @contextmanager
    def reserve(self, credentials_digest: str, owner: str) -> Iterator[Call]:
        """Count a new call in all of its budgets while the context is active, and yield the call.

        If the budget CREDENTIALS or ACCOUNT is used up, wait until another call ends, then count
        the call. A request of a person waits for up to PERSON_SECONDS, and work in the background
        for up to BACKGROUND_SECONDS. Raises BudgetUsedUp if no call ends in this time. If PERSON,
        SHARE, PROCESS, SLOW or UNPROVEN is used up, raises BudgetUsedUp without waiting.
        """
        person = person_of_request.get()
        limits = self._owner_limits(credentials_digest, owner)
        if person is None:
            with self._counted(limits, BACKGROUND_SECONDS), self._counted_responses(owner) as call:
                yield call
            return
        is_slow = self._is_slow(owner)
        per_person = SLOW_THREADS - 1 if is_slow else CALLS_PER_PERSON
        thread_limits: dict[Key, int] = {
            (Budget.PERSON, person): min(per_person, self.max_waiting_threads),
            (Budget.SHARE, owner): self._share_of_threads(owner),
            (Budget.PROCESS, ""): self.max_waiting_threads,
        }
        if is_slow:
            thread_limits[Budget.SLOW, ""] = max(1, self.max_waiting_threads // 2)
        elif not self._is_proven(owner):
            thread_limits[Budget.UNPROVEN, ""] = max(1, self.max_waiting_threads * 3 // 4)
        with (
            self._counted(thread_limits, 0),
            self._counted(limits, PERSON_SECONDS),
            self._counted_responses(owner) as call,
        ):
            began = time.monotonic()
            try:
                yield call
            finally:
                self._note_duration(owner, call, began)

    def _is_slow(self, owner: str) -> bool:
        return self._slow_until.get(owner, 0.0) > time.monotonic()

    def _is_proven(self, owner: str) -> bool:
        """Return whether an owner is proven.

        The Scalr scope is always proven, because all accounts may use its credentials.
        """
        return not owner or self._proven_until.get(owner, 0.0) > time.monotonic()

    def _note_duration(self, owner: str, call: Call, began: float) -> None:
        """Mark the owner as slow or proven, by the duration of `call`, which has just ended.

        `began` is the time at which the call began. The time for which the call has waited for
        other parsers does not count. If `call` has read a large response, do nothing: such a call
        may have waited for other calls, and separate budgets limit it. The Scalr scope is never
        slow, because all accounts may use its credentials.
        """
        now = time.monotonic()
        if call.has_large_response:
            return
        if now - began - call.seconds_waited <= SLOW_SECONDS:
            self._proven_until[owner] = now + PROVEN_PERIOD_SECONDS
        elif owner:
            self._slow_until[owner] = now + SLOW_PERIOD_SECONDS
            self._proven_until.pop(owner, None)

    @contextmanager
    def _counted_responses(self, owner: str) -> Iterator[Call]:
        """Yield a new call. As soon as it reads a large response, count it in LARGE and MEMORY.

        While it parses a response that is not small, count it in ACCOUNT_PARSER and PARSER.
        """
        account_key: Key = (Budget.LARGE, owner)
        process_key: Key = (Budget.MEMORY, "")
        large_limits = {account_key: LARGE_PER_ACCOUNT, process_key: LARGE_PER_PROCESS}
        account_parser_limits: dict[Key, int] = {
            (Budget.ACCOUNT_PARSER, owner): PARSERS_PER_ACCOUNT
        }
        process_parser_limits: dict[Key, int] = {(Budget.PARSER, ""): PARSERS_PER_PROCESS}
        first_thread = threading.get_ident()
        began = time.thread_time()
        lock = threading.Lock()
        large_stack = ExitStack()
        parsers: dict[int, ExitStack] = {}
        is_large = has_ended = False

        def on_large_response() -> None:
            nonlocal is_large
            with lock:  # Several threads of a call may read responses at the same time.
                if not is_large and not has_ended:
                    large_stack.enter_context(self._counted_in_call(large_limits))
                    is_large = True

        def on_parse(begins: bool) -> None:
            thread = threading.get_ident()
            if parser := parsers.pop(thread, None):
                parser.close()
            if not begins:
                return
            wait_began = time.monotonic()
            with ExitStack() as parser:
                try:
                    parser.enter_context(self._counted_in_call(account_parser_limits))
                    parser.enter_context(self._counted_in_call(process_parser_limits))
                finally:
                    if thread == first_thread:
                        outermost.seconds_waited += time.monotonic() - wait_began
                parsers[thread] = parser.pop_all()

        with owned_by(owner, on_large_response, on_parse) as outermost:
            try:
                yield outermost
            finally:
                on_parse(begins=False)
                with lock:
                    has_ended = True
                    if is_large:
                        memory.release()
                        seconds = time.thread_time() - began + outermost.seconds_of_threads
                        self._pause(
                            account_key, seconds / LARGE_SHARE_OF_ACCOUNT, 2 * MAX_PAUSE_SECONDS
                        )
                        self._pause(
                            process_key, seconds / LARGE_SHARE_OF_PROCESS, MAX_PAUSE_SECONDS
                        )
                    large_stack.close()

    @contextmanager
    def _counted_in_call(self, limits: Mapping[Key, int]) -> Iterator[None]:
        """Count the current call in each budget of `limits` while the context is active.

        If a budget is used up, wait until shortly before the deadline of the call, and then raise
        BudgetUsedUp. If the wait lasted until the deadline itself, the call would fail with
        DeadlineExceeded, and the error message would blame the cloud.
        """
        call = current_call()
        with ExitStack() as stack:
            try:
                stack.enter_context(self._counted(limits, call.seconds_left() - 0.2))
            except BudgetUsedUp as error:
                raise call.fail(error) from None
            yield

    def _pause(self, key: Key, seconds: float, max_seconds: float) -> None:
        """Add `seconds` to the pause in which the budget allows no new call.

        The pause never ends later than `max_seconds` from now.
        """
        with self._changed:
            now = time.monotonic()
            end = max(now, self._pauses.get(key, now)) + seconds
            self._pauses = {other: at for other, at in self._pauses.items() if at > now}
            self._pauses[key] = min(end, now + max_seconds)

    def _share_of_threads(self, owner: str) -> int:
        """Return the maximum number of threads in which requests may wait for the owner's clouds.

        If N threads wait for the clouds of other owners, the number is half of
        `max_waiting_threads` - N, rounded up, but at least 1. A slow account may use at most
        SLOW_THREADS. In addition, `reserve` lets all slow accounts together use at most half of the
        threads. So if the clouds of many accounts never respond, threads remain for other accounts.
        """
        used_by_others = self._calls[Budget.PROCESS, ""] - self._calls[Budget.SHARE, owner]
        share = max(1, (self.max_waiting_threads - used_by_others + 1) // 2)
        return min(share, SLOW_THREADS) if self._is_slow(owner) else share

    def _owner_limits(self, credentials_digest: str, owner: str) -> dict[Key, int]:
        reserved = RESERVED if person_of_request.get() is None else 0
        # One account must not use all the threads that may wait for clouds.
        account_limit = min(CALLS_PER_ACCOUNT, max(2, self.max_waiting_threads * 2 // 3))
        return {
            (Budget.CREDENTIALS, (owner, credentials_digest)): CALLS_PER_CREDENTIALS - reserved,
            (Budget.ACCOUNT, owner): account_limit - reserved,
        }

    @contextmanager
    def _counted(self, limits: Mapping[Key, int], wait_seconds: float) -> Iterator[None]:
        """Count one more call in each budget of `limits` while the context is active.

        If a budget is used up, wait up to `wait_seconds`. Calls that wait for the same budgets are
        counted in the order in which they began to wait. Raises BudgetUsedUp.
        """
        end = time.monotonic() + wait_seconds
        with self._changed, self._in_queue(tuple(limits)) as is_first:
            while (used_up := self._used_up_error(limits)) or not is_first():
                now = time.monotonic()
                if now >= end:
                    key, limit = next(iter(limits.items()))
                    raise used_up or BudgetUsedUp(key[0], limit)
                pauses = [at for key in limits if (at := self._pauses.get(key, now)) > now]
                self._changed.wait(min([end, *pauses]) - now)
            self._calls.update(limits.keys())
        try:
            yield
        finally:
            with self._changed:
                self._calls.subtract(limits.keys())
                self._calls += Counter()  # This removes the keys whose count is 0.
                self._changed.notify_all()

    @contextmanager
    def _in_queue(self, keys: tuple[Key, ...]) -> Iterator[Callable[[], bool]]:
        """Add an entry to the queue for `keys`, and remove the entry when the context ends.

        Yield a function that returns whether this entry is the first. The caller holds `_changed`.
        """
        queue, entry = self._queues.setdefault(keys, deque()), object()
        queue.append(entry)
        try:
            yield lambda: queue[0] is entry
        finally:
            queue.remove(entry)
            if not queue:
                del self._queues[keys]
            self._changed.notify_all()

    def _used_up_error(self, limits: Mapping[Key, int]) -> BudgetUsedUp | None:
        """Return the error for the first budget that is used up or paused, or else None."""
        now = time.monotonic()
        for key, limit in limits.items():
            if self._calls[key] >= limit or self._pauses.get(key, now) > now:
                return BudgetUsedUp(key[0], limit)
        return None


budgets = Budgets()
