"""Helpers for the tests of all adapters."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from webapp.clouds.details import ImageDetails
from webapp.clouds.errors import CloudError, InvalidImageId

ROOT = Path(__file__).parents[2]


def cloud_error(call: Callable[[], object]) -> CloudError:
    """Return the error that `call` raises, after checking its class and its message.

    The class must be a subclass of CloudError. The message must have one to three sentences and
    fewer than 300 characters, and must not contain a URL.
    """
    with pytest.raises(CloudError) as caught:
        call()
    message = str(caught.value)
    assert type(caught.value) is not CloudError
    assert 1 <= len(re.findall(r"[.?!](?=\s|$)", message)) <= 3, message
    assert message[0].isupper()
    assert message.endswith(".")
    assert len(message) < 300
    assert "://" not in message
    return caught.value


def fact(details: ImageDetails, key: str) -> str | None:
    """Return the value of a fact, or None if the details do not contain it."""
    return next((fact.value for fact in details.facts if fact.key == key), None)


def run_python(
    code: str, argument: str = "", stdin: str = "", environ: Mapping[str, str] | None = None
) -> str:
    """Run `code` in a new process, and return its output. The test fails if the code fails."""
    done = subprocess.run(
        [sys.executable, "-c", code, argument],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
        env=environ,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def assert_cached_call_is_fast(call: Callable[[], object]) -> None:
    """Assert that most of 20 calls take less than 50 ms, after one call that fills the caches."""
    call()
    durations = []
    for _ in range(20):
        began = time.perf_counter()
        call()
        durations.append(time.perf_counter() - began)
    assert sorted(durations)[10] < 0.05


def assert_rejected_quickly(parse: Callable[[str], object], piece: str, max_length: int) -> None:
    """Assert that `parse` needs less than half a second to reject a text that repeats `piece`.

    One text is much longer than `max_length`, and one text is just short enough. A regular
    expression that backtracks would take hours. Only the processor time of this thread counts, so
    that other processes on the machine do not matter.
    """
    for text in (piece * 1_000_000, piece * (max_length // len(piece))):
        began = time.thread_time()
        with pytest.raises(InvalidImageId):
            parse(text)
        assert time.thread_time() - began < 0.5
