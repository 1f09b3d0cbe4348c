"""Limit how many requests each token may send in a minute.

Each minute has its own count. Servers that share Redis share the counts. Without Redis, and while
Redis does not answer, each process counts separately.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from webapp.database.outages import Breaker, Outage
from webapp.people.attempts import (
    REDIS_FAILURES,
    REDIS_PAUSE_SECONDS,
    REDIS_TRIAL_SECONDS,
    connect_to_redis,
)

WINDOW_SECONDS = 60


@dataclass(frozen=True)
class Usage:
    """How many requests a token may send in a window, and how many are left.

    `seconds` is the time until the window ends. `is_exceeded` is true if the current request is
    over the limit.
    """

    limit: int
    count: int
    seconds: int

    @property
    def remaining(self) -> int:
        return max(0, self.limit - self.count)

    @property
    def is_exceeded(self) -> bool:
        return self.count > self.limit


class RateLimits:
    """Counts the requests of each token. There is one instance per process."""

    def __init__(self, redis_url: str, limit: int) -> None:
        self._redis_url, self._limit = redis_url, limit
        self._lock = threading.Lock()
        self._window, self._counts = 0, Counter[str]()
        outage = Outage(
            "Redis does not answer, so each process counts requests of the API separately",
            "Redis answers again",
            level=logging.WARNING,
        )
        self._breaker = Breaker(outage, REDIS_PAUSE_SECONDS, REDIS_TRIAL_SECONDS)

    def count(self, token_key: str) -> Usage:
        """Count one request of a token, and return the usage of the current window."""
        moment = time.time()
        window = int(moment // WINDOW_SECONDS)
        count = self._count_in_redis(token_key, window) or self._count_here(token_key, window)
        seconds = max(1, math.ceil((window + 1) * WINDOW_SECONDS - moment))
        return Usage(self._limit, count, seconds)

    def _count_here(self, token_key: str, window: int) -> int:
        with self._lock:
            if window != self._window:
                self._window, self._counts = window, Counter()
            self._counts[token_key] += 1
            return self._counts[token_key]

    def _count_in_redis(self, token_key: str, window: int) -> int:
        """Return the count in Redis, or 0 if Redis is not used or does not answer."""
        if not self._redis_url or not self._breaker.may_call():
            return 0
        name = f"{{image-registry:requests}}:{token_key}:{window}"
        try:
            pipeline = self._client.pipeline(transaction=False)
            pipeline.incr(name)
            pipeline.expire(name, 2 * WINDOW_SECONDS)
            count, _ = pipeline.execute()
        except REDIS_FAILURES as error:
            self._breaker.record_failure(error)
            return 0
        self._breaker.record_success()
        return int(count)

    @cached_property
    def _client(self) -> Any:
        return connect_to_redis(self._redis_url)
