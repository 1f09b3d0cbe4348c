"""The limits of one call to a cloud: its deadline, and the size of its responses.

An SDK's read timeout restarts with every byte, so a response that arrives byte by byte would never
time out. A call therefore has a deadline for everything that it does. Each connection asks the
current call how long it may wait, and reports to the call how much it has read. See `connections`.

A parser needs up to ten times the memory of the text that it parses, and much more if the text has
many tiny elements. So the number of elements is limited too, and only a few calls may read large
responses at the same time (see `budgets`).
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
K = TypeVar("K", bound=Hashable)

MAX_RESPONSE_BYTES = 8 * 1024 * 1024
"""The maximum size of a response in bytes, also after decompression. Clouds split longer lists into
pages."""
MAX_WIDE_RESPONSE_BYTES = 2 * 1024 * 1024
"""The maximum size in bytes of a response that contains an emoji or a similar character. A single
emoji makes Python store the whole text with four bytes per character."""
MAX_RESPONSE_ELEMENTS = 100_000
"""The maximum number of elements in a response: tags and attributes in XML, or values in JSON."""
MAX_CALL_BYTES = 2 * MAX_RESPONSE_BYTES
"""The maximum size in bytes of all responses of one call together. Without this limit, a list could
have any number of pages."""
MAX_CALL_ELEMENTS = 250_000
"""The maximum number of elements in all responses of one call together."""
LARGE_RESPONSE_BYTES = 512 * 1024
"""A response with more bytes than this is large. Most responses are smaller."""
LARGE_RESPONSE_ELEMENTS = 20_000
"""A response with more elements than this is also large."""
SMALL_RESPONSE_ELEMENTS = 1_000
"""A response is small if it has at most this many elements, and at most LARGE_RESPONSE_BYTES.

In each process, only one response that is not small is parsed at a time. botocore and pyVmomi
need up to 20 microseconds for each element.
"""
LARGE_CALL_BYTES = 4 * 1024 * 1024
"""If all responses of a call together have more bytes than this, the budgets for large responses
count the call, even if none of the responses is large."""
LARGE_CALL_ELEMENTS = 60_000
"""The same limit as LARGE_CALL_BYTES, but for the number of elements."""
DEFAULT_SECONDS = 9.0
"""The time limit of a connection outside of `call_within`, for example in a test of an SDK."""


class LimitExceeded(Exception):
    """A call reached one of its limits, and was ended.

    This is not an OSError, because the SDKs would send the request again after an OSError.
    """


class DeadlineExceeded(LimitExceeded):
    """The call did not end in time. Its connection is closed."""


class ResponseTooLarge(LimitExceeded):
    """The cloud sent more than the call may read. The connection is closed."""


class Call:
    """The limits of one call. A call inside another call also has the limits of the outer call."""

    def __init__(
        self,
        seconds: float,
        outer: Call | None = None,
        owner: str = "",
        on_large_response: Callable[[], None] = lambda: None,
        on_parse: Callable[[bool], None] = lambda _begins: None,
    ) -> None:
        """`owner` is the account that owns the credentials of the call, or '' for the Scalr scope.

        If there is an `outer` call, `owner` is ignored, and this call has the owner of the outer
        call. Only a call without an outer call uses `on_large_response` and `on_parse`.

        `on_large_response` is called when a response turns out to be large, or when the call has
        read much data in several responses. After that, `on_large_response` is called again for
        each later part of a response.

        `on_parse` is called in the thread that parses a response. For a response that is not small,
        it is called with True when the response is complete and its parser begins. It is called
        with False when the thread no longer parses: at the end of `call_within`, before a retry,
        and before the thread waits for the network or for other threads.

        Both functions may wait, and may raise an exception to end the call.
        """
        self.ends = time.monotonic() + seconds
        """The deadline. Compare it with `time.monotonic()`."""
        self.owner = owner
        if outer:
            self.ends, self.owner = min(self.ends, outer.ends), outer.owner
        self._outer = outer
        self._on_large_response = on_large_response
        self._on_parse = on_parse
        self._bytes = self._elements = 0
        self.has_large_response = False
        self.seconds_of_threads = 0.0
        """The processor time of the threads of `call_each_within`. 0 in inner calls."""
        self.seconds_waited = 0.0
        """How long the thread that began the call has waited for other calls to parse their
        responses. 0 in inner calls."""
        self.retry_after = 0.0
        """How many seconds to wait before the next call, as the last response asked, or 0."""
        self.failure: LimitExceeded | None = None

    def seconds_left(self) -> float:
        """Return how many seconds the call may still take.

        Raises LimitExceeded if the deadline has passed, or if the call has reached another limit.
        """
        left = self.ends - time.monotonic()
        if left <= 0 and self.failure is None:
            self.failure = DeadlineExceeded()
        if self.failure:
            raise self.failure
        return left

    def count(self, size: int, elements: int = 0, *, is_large_response: bool = False) -> None:
        """Count a part of a response. The part has `size` bytes and `elements` elements.

        Raises ResponseTooLarge if the call has read too much in all its responses together.
        """
        self._bytes += size
        self._elements += elements
        self.has_large_response |= is_large_response
        if self._bytes > MAX_CALL_BYTES or self._elements > MAX_CALL_ELEMENTS:
            raise self.fail(ResponseTooLarge())
        if self._outer:
            self._outer.count(size, elements, is_large_response=is_large_response)
        elif (
            self.has_large_response
            or self._bytes > LARGE_CALL_BYTES
            or self._elements > LARGE_CALL_ELEMENTS
        ):
            self._on_large_response()

    def begin_parsing(self) -> None:
        """Call `on_parse` of the outermost call. This may wait until other calls have parsed."""
        if self._outer:
            self._outer.begin_parsing()
        else:
            self._on_parse(True)

    def end_parsing(self) -> None:
        """Call `on_parse` of the outermost call, so that other calls can parse."""
        if self._outer:
            self._outer.end_parsing()
        else:
            self._on_parse(False)

    def add_processor_time(self, seconds: float) -> None:
        """Add the processor time of a thread of this call to the outermost call."""
        if self._outer:
            self._outer.add_processor_time(seconds)
        else:
            self.seconds_of_threads += seconds

    def set_retry_after(self, seconds: float) -> None:
        """Store how long the cloud asked to wait, also in the outer calls. See `retry_after`."""
        self.retry_after = seconds
        if self._outer:
            self._outer.set_retry_after(seconds)

    def fail(self, failure: LimitExceeded) -> LimitExceeded:
        """Store and return `failure`. After that, `seconds_left` always raises this exception."""
        self.failure = failure
        return failure


class ResponseCounter:
    """A counter of the decompressed content of one response."""

    def __init__(self) -> None:
        self._call = current_call()
        self._bytes = self._elements = 0
        self._is_xml: bool | None = None
        self._max_bytes = MAX_RESPONSE_BYTES
        self._tail = b""
        """The end of the previous piece, which may contain the beginning of _ENTITY."""

    def end(self) -> None:
        """Report that the response is complete and will be parsed.

        If the response is not small, this may wait until another call has parsed its response.
        """
        if self._elements > SMALL_RESPONSE_ELEMENTS or self._bytes > LARGE_RESPONSE_BYTES:
            self._call.begin_parsing()

    def count(self, piece: bytes) -> None:
        """Count the bytes and elements in the next piece of the response.

        Raises ResponseTooLarge if the response is too large to parse. Also raises ResponseTooLarge
        if an XML response defines entities, because one entity can expand to many elements.
        No cloud defines entities.
        """
        text = piece.replace(b"\0", b"")  # Texts in UTF-16 and UTF-32 contain NUL bytes.
        if self._is_xml is None and (start := text.lstrip(b" \t\r\n\xef\xbb\xbf\xff\xfe")):
            self._is_xml = start.startswith(b"<")
        elements = sum(map(text.count, (b"<", b"=") if self._is_xml else (b",", b"[", b"{")))
        self._bytes += len(piece)
        self._elements += elements
        if piece.translate(None, _NARROW):
            self._max_bytes = MAX_WIDE_RESPONSE_BYTES
        defines_entities = bool(self._is_xml) and _ENTITY in self._tail + text
        self._tail = text[1 - len(_ENTITY) :]
        if (
            self._bytes > self._max_bytes
            or self._elements > MAX_RESPONSE_ELEMENTS
            or defines_entities
        ):
            raise self._call.fail(ResponseTooLarge())
        is_large = self._bytes > LARGE_RESPONSE_BYTES or self._elements > LARGE_RESPONSE_ELEMENTS
        self._call.count(len(piece), elements, is_large_response=is_large)


_ENTITY = b"<!ENTITY"
_NARROW = bytes(range(0xF0))
"""All bytes except F0 to FF. In UTF-8, an emoji or a similar character begins with a byte that is
F0 or greater."""

_current: ContextVar[Call | None] = ContextVar("call", default=None)


def current_call() -> Call:
    """Return the call in progress in this thread, or a new call of DEFAULT_SECONDS."""
    return _current.get() or Call(DEFAULT_SECONDS)


def has_reached_limit() -> bool:
    """Return whether the call in progress in this thread has reached one of its limits."""
    call = _current.get()
    return call is not None and call.failure is not None


def call_within(seconds: float, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return the result of `call`. Its connections fail after `seconds`, so that `call` ends.

    Raises LimitExceeded, or the exception of `call`.
    """
    limits = Call(seconds, _current.get())
    limits.seconds_left()
    token = _current.set(limits)
    try:
        return call(*args, **kwargs)
    except Exception as error:
        if limits.failure is None or isinstance(error, LimitExceeded):
            raise
        raise limits.failure from error
    finally:
        limits.end_parsing()
        _current.reset(token)


def call_each_within(
    seconds: float, call: Callable[[K], T], items: Iterable[K], at_once: int
) -> dict[K, T]:
    """Call `call` with each item, in up to `at_once` threads. Return the results by item.

    The result leaves out an item if its call fails or does not end within `seconds` from now. So
    use this function only for optional results.
    """
    current_call().end_parsing()
    end = time.monotonic() + seconds
    waiting = deque(items)
    results: dict[K, T] = {}

    def work() -> None:
        while waiting and time.monotonic() < end:
            try:
                item = waiting.popleft()
            except IndexError:
                break  # Another thread has taken the last item.
            try:
                results[item] = call_within(end - time.monotonic(), call, item)
            except Exception:  # noqa: BLE001, S112  the item is left out
                continue
        current_call().add_processor_time(time.thread_time())

    threads = [
        threading.Thread(target=copy_context().run, args=(work,), name="cloud", daemon=True)
        for _ in range(min(at_once, len(waiting)))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    return results.copy()


@contextmanager
def owned_by(
    owner: str,
    on_large_response: Callable[[], None] = lambda: None,
    on_parse: Callable[[bool], None] = lambda _begins: None,
) -> Iterator[Call]:
    """Yield the outer call of all calls in this context. The outer call has no deadline.

    `owner` owns all these calls. `Call` explains `on_large_response` and `on_parse`.
    """
    outermost = Call(math.inf, None, owner, on_large_response, on_parse)
    token = _current.set(outermost)
    try:
        yield outermost
    finally:
        _current.reset(token)
