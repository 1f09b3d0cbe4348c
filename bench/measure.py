"""Functions that several benchmarks use: they measure times and memory, and sign in."""

from __future__ import annotations

import argparse
import html
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from statistics import quantiles

import requests

_MAPPING = re.compile(r"[0-9a-f]+-[0-9a-f]+ ")
_NEXT = re.compile(r'<a\b[^>]*\brel="next"[^>]*>')
_HREF = re.compile(r'\bhref="([^"]+)"')
PASSWORD = "demonstration"  # noqa: S105  the password of the demonstration


def milliseconds(call: Callable[[], object], rounds: int) -> list[float]:
    """Return how long each of `rounds` calls took, in milliseconds."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        call()
        times.append((time.perf_counter() - began) * 1000)
    return times


def percentiles(times: list[float]) -> tuple[float, float, float]:
    """Return p50, p95 and p99 of a list that contains at least one time."""
    # `quantiles` needs two values. Using a single value twice does not change the percentiles.
    cuts = quantiles(times if len(times) > 1 else times * 2, n=100, method="inclusive")
    return cuts[49], cuts[94], cuts[98]


def resident_mb(pid: int, excluded_file: Path | None = None) -> float:
    """Return the memory of a process and its descendants, in MB (2**20 bytes).

    The result is the proportional set size: a page that forked workers share counts once. Mapped
    pages of `excluded_file` do not count. The kernel can reclaim such pages, for example the pages
    of a database file.
    """
    kilobytes = 0
    mapped = False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if _MAPPING.match(line):
            mapped = excluded_file is not None and line.endswith(str(excluded_file))
        elif line.startswith("Pss:") and not mapped:
            kilobytes += int(line.split()[1])
    children = children_of(pid)
    return kilobytes / 1024 + sum(resident_mb(child, excluded_file) for child in children)


def children_of(pid: int) -> list[int]:
    """Return the IDs of the child processes, for example of the workers of gunicorn."""
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def forget_peaks(pid: int) -> None:
    """Let the kernel measure the highest memory of each child of a process from now on."""
    for child in children_of(pid):
        Path(f"/proc/{child}/clear_refs").write_text("5")


def peaks_mb(pid: int) -> list[float]:
    """Return the highest resident memory that each child of a process has had, in MB (2**20).

    With SQLite, each connection maps the database file, and every mapping counts. The operating
    system can reclaim the memory of these mappings at any time.
    """
    statuses = [Path(f"/proc/{child}/status").read_text() for child in children_of(pid)]
    return [int(re.findall(r"VmHWM:\s+(\d+)", each)[0]) / 1024 for each in statuses]


def wait_until_idle(pid: int, seconds: float = 25) -> None:
    """Wait until the children of a process use less than a tenth of a processor.

    After `seconds`, stop waiting.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        before = processor_seconds(pid)
        time.sleep(1)
        if processor_seconds(pid) - before < 0.1:
            return


def processor_seconds(pid: int) -> float:
    """Return how long the children of a process have used processors."""
    fields = [Path(f"/proc/{child}/stat").read_text().split() for child in children_of(pid)]
    return sum(int(each[13]) + int(each[14]) for each in fields) / os.sysconf("SC_CLK_TCK")


def parse_setting(text: str) -> tuple[str, str]:
    """Return the name and the value in the text NAME=VALUE of a command-line option."""
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError("Use the format NAME=VALUE.")
    return name, value


def sign_in(url: str, email: str) -> requests.Session:
    """Sign in to the application at `url` as a person whose password is PASSWORD.

    Return the session.
    """
    session = requests.Session()
    form = session.get(f"{url}/sign-in", timeout=30).text
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', form)
    assert token is not None
    response = session.post(
        f"{url}/sign-in",
        data={"csrf_token": token[1], "email": email, "password": PASSWORD},
        timeout=30,
    )
    assert response.ok, response.status_code
    return session


def next_url(page: str) -> str:
    """Return the URL of the link to the next page, or '' on the last page."""
    link = _NEXT.search(page)
    href = _HREF.search(link[0]) if link else None
    return html.unescape(href[1]) if href else ""
