"""What measurements share: percentiles, memory, and somebody signed in."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from statistics import quantiles

import requests

_MAPPING = re.compile(r"[0-9a-f]+-[0-9a-f]+ ")
PASSWORD = "demonstration"  # noqa: S105  that of the demonstration


def milliseconds(call: Callable[[], object], rounds: int) -> list[float]:
    """How long each of `rounds` calls took."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        call()
        times.append((time.perf_counter() - began) * 1000)
    return times


def percentiles(times: list[float]) -> tuple[float, float, float]:
    """p50, p95 and p99."""
    cuts = quantiles(times, n=100, method="inclusive")
    return cuts[49], cuts[94], cuts[98]


def resident_mb(pid: int, apart: Path | None = None) -> float:
    """The memory that a process and its descendants hold for themselves, in MB of 2**20 bytes:
    pages that forked workers share are counted once, in parts (proportional set size). What is
    mapped of the file `apart` is left out: a database's pages, which the kernel takes back when
    others need the room."""
    held = 0
    mapped = False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if _MAPPING.match(line):
            mapped = apart is not None and line.endswith(str(apart))
        elif line.startswith("Pss:") and not mapped:
            held += int(line.split()[1])
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return held / 1024 + sum(resident_mb(int(child), apart) for child in children)


def signed_in(url: str, email: str) -> requests.Session:
    """A session of somebody of the demonstration at the app that answers at `url`."""
    session = requests.Session()
    form = session.get(f"{url}/sign-in", timeout=30).text
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', form)
    assert token is not None
    answer = session.post(
        f"{url}/sign-in",
        data={"csrf_token": token[1], "email": email, "password": PASSWORD},
        timeout=30,
    )
    assert answer.ok, answer.status_code
    return session
