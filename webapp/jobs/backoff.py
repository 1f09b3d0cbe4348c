"""Compute the pauses before a job tries again after a temporary failure. The pauses are random."""

from __future__ import annotations

import random
from collections.abc import Iterator

CLOUD_PAUSES = (1.0, 4.0)
"""Seconds before the second and the third call of a cloud that was busy or did not answer."""
FIRST_DATABASE_PAUSE, LONGEST_DATABASE_PAUSE = 0.05, 5.0
"""Seconds between attempts while the database is locked or cannot be reached."""
DATABASE_SECONDS = 600.0
"""How long a process tries again. After that, another process can take over the job."""


def cloud_pauses() -> Iterator[float]:
    """Yield the pauses before each further call of a cloud."""
    for pause in CLOUD_PAUSES:
        yield _with_jitter(pause)


def database_pauses() -> Iterator[float]:
    """Yield pauses that grow up to LONGEST_DATABASE_PAUSE, until their sum is DATABASE_SECONDS."""
    pause, total = FIRST_DATABASE_PAUSE, 0.0
    while total < DATABASE_SECONDS:
        yield _with_jitter(pause)
        total += pause
        pause = min(2 * pause, LONGEST_DATABASE_PAUSE)


def _with_jitter(pause: float) -> float:
    """Return a random pause of similar length, so that jobs do not all try again together."""
    return pause * random.uniform(0.5, 1.5)  # noqa: S311  not a secret
