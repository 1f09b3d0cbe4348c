"""Compute when failed work is tried again. Most pauses grow with each attempt.

Most pauses are also multiplied by a random factor (jitter). If all rows of a job waited for the
same time, they would all call the cloud again at the same moment.
"""

from __future__ import annotations

import random

from webapp.clouds.errors import CloudError, CloudUnreachable

FIRST_CLOUD_PAUSE = 5.0
"""The first pause before a row calls its cloud again, in seconds, without the random factor."""
LONGEST_CLOUD_PAUSE = 300.0
"""The maximum pause before a row calls its cloud again, in seconds, without the random factor."""
UNREACHABLE_ATTEMPTS = 5
"""The maximum number of attempts for a row whose cloud does not respond. Together, the pauses
between the attempts take about three minutes."""
THROTTLED_ATTEMPTS = 12
"""The maximum number of attempts for a row whose cloud refuses calls. Together, the pauses between
the attempts take about forty minutes."""
BUDGET_PAUSE = 4.0
"""The average pause, in seconds, of a row whose call this server refused or ended, because too many
other calls were in progress. Such a call does not count as an attempt."""
BUDGET_WAITS = 300
"""The maximum number of times that a row waits for other calls. Together, these pauses take about
twenty minutes."""
LONGEST_RETRY_AFTER = 3600.0
"""The maximum pause, in seconds, before a row calls its cloud again if the cloud asks for a
pause."""
FIRST_DATABASE_PAUSE = 0.5
"""The first pause while the database is locked or cannot be reached, in seconds, without the random
factor."""
LONGEST_DATABASE_PAUSE = 30.0
"""The maximum pause while the database is locked or cannot be reached, in seconds, without the
random factor."""
DATABASE_ATTEMPTS = 120
"""The maximum number of attempts for a row while the database fails. Together, the pauses between
the attempts take about an hour."""
FIRST_UNEXPECTED_PAUSE = 0.5
"""The minimum pause after an unexpected error that does not belong to a row, in seconds, without
the random factor.

A pause is as long as the time since the first of several such errors, but at least
FIRST_UNEXPECTED_PAUSE and at most LONGEST_UNEXPECTED_PAUSE.
"""
LONGEST_UNEXPECTED_PAUSE = 300.0
"""The maximum pause after an unexpected error that does not belong to a row, in seconds, without
the random factor."""
UNEXPECTED_SECONDS = 1800.0
"""If a job has had only unexpected errors for this many seconds, it is stopped."""
LONGEST_SERIES_SECONDS = UNEXPECTED_SECONDS + 2 * LONGEST_UNEXPECTED_PAUSE
"""The maximum duration of a series of unexpected errors, in seconds.

If more time has passed since the first error, no process has tried the job for a while, for example
because all servers were stopped. Then the next error is the first of a new series.
"""


def budget_pause() -> float:
    """Return the pause in seconds of a row whose call this server refused or ended."""
    return _with_jitter(BUDGET_PAUSE)


def cloud_pause(attempts: int, error: CloudError) -> float | None:
    """Return the pause in seconds after this many attempts, or None after the last attempt."""
    is_unreachable = isinstance(error, CloudUnreachable)
    if attempts >= (UNREACHABLE_ATTEMPTS if is_unreachable else THROTTLED_ATTEMPTS):
        return None
    pause = _with_jitter(min(FIRST_CLOUD_PAUSE * 3.0 ** (attempts - 1), LONGEST_CLOUD_PAUSE))
    return max(pause, min(error.retry_after, LONGEST_RETRY_AFTER))


def database_pause(attempts: int) -> float | None:
    """Return the pause in seconds after this many attempts, or None after the last attempt.

    After 0 attempts, the pause is as long as after the first attempt.
    """
    if attempts >= DATABASE_ATTEMPTS:
        return None
    return _with_jitter(
        min(FIRST_DATABASE_PAUSE * 2.0 ** min(max(attempts - 1, 0), 10), LONGEST_DATABASE_PAUSE)
    )


def unexpected_pause(seconds: float) -> float | None:
    """Return the pause in seconds, or None if there will be no other attempt.

    `seconds` is the time since the first error of the series.
    """
    if seconds >= UNEXPECTED_SECONDS:
        return None
    return _with_jitter(min(max(seconds, FIRST_UNEXPECTED_PAUSE), LONGEST_UNEXPECTED_PAUSE))


def _with_jitter(pause: float) -> float:
    return pause * random.uniform(0.5, 1.5)  # noqa: S311  not a secret
