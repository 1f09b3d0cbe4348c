"""A person of another account, whose lists, look-ups and sign-ins are timed during an attack."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

import requests

from bench.demonstration import VICTIM, VICTIM_PATH, look_up_path
from bench.measure import forget_peaks, peaks_mb, percentiles, sign_in, wait_until_idle
from tests.served import Server

SECONDS = 10
"""The maximum time for which each kind of request is measured."""
PAUSE_SECONDS = 0.02
"""How long the person waits between two requests, so that the processor is not always busy."""


class SecondTenant:
    """Times the requests of a person to an application that runs under gunicorn.

    `credentials` is the ID of credentials for a healthy AWS. If it is None, no look-ups are
    measured.
    """

    def __init__(
        self,
        server: Server,
        credentials: int | None = None,
        email: str = VICTIM,
        path: str = VICTIM_PATH,
    ) -> None:
        self._url, self._pid, self._credentials = server.url, server.pid, credentials
        self._email, self._list_url = email, f"{server.url}{path}/images"

    def warm_up(self) -> None:
        """Let all workers load what they need for the first requests."""
        for _ in range(6):
            session = sign_in(self._url, self._email)  # The connection leads to one of the workers.
            session.get(self._list_url, timeout=60)
            if self._credentials:
                session.get(self._url + look_up_path("globex", self._credentials), timeout=60)
        wait_until_idle(self._pid)

    def measure(self, title: str) -> None:
        """Print the times of lists, look-ups and sign-ins, and the highest memory."""
        forget_peaks(self._pid)
        print(f"  {title}", flush=True)
        try:
            session = sign_in(self._url, self._email)
        except (requests.RequestException, AssertionError) as error:
            print(f"    sign-in fails: {type(error).__name__} {error}"[:100], flush=True)
            return
        print_times("list", lambda: session.get(self._list_url, timeout=60), 120)
        if self._credentials:
            url = self._url + look_up_path("globex", self._credentials)
            print_times("look-up", lambda: _require_details(session.get(url, timeout=60)), 15)
        print_times("sign-in", lambda: sign_in(self._url, self._email), 10)
        sizes = ", ".join(f"{size:.0f} MB" for size in peaks_mb(self._pid))
        print(f"    highest memory of each worker: {sizes}", flush=True)


def _require_details(response: requests.Response) -> requests.Response:
    """Raise AssertionError if a page does not show the details of an image."""
    is_found = "wizard confirming" in response.text
    assert is_found, f"refused ({response.status_code})"
    return response


def print_times(name: str, call: Callable[[], object], rounds: int) -> None:
    """Repeat `call` up to `rounds` times, for at most SECONDS.

    Print p50, p95, the longest time, and each status.
    """
    times: list[float] = []
    statuses: Counter[str] = Counter()
    end = time.monotonic() + SECONDS
    while len(times) < rounds and time.monotonic() < end:
        began = time.perf_counter()
        try:
            statuses[str(getattr(call(), "status_code", "signed in"))] += 1
        except requests.RequestException as error:
            statuses[type(error).__name__] += 1
        except AssertionError as error:
            statuses[str(error)] += 1
        times.append((time.perf_counter() - began) * 1000)
        time.sleep(PAUSE_SECONDS)
    p50, p95, _ = percentiles(times)
    print(
        f"    {name:8} p50 {p50:7.0f}   p95 {p95:7.0f}   longest {max(times):7.0f} ms   "
        f"{dict(statuses)}",
        flush=True,
    )
