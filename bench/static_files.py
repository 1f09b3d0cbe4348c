"""Measure the size and the response time of the style sheet for several encodings.

Run `python -m bench.static_files --against FOLDER` to compare with another checkout.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from contextlib import ExitStack
from pathlib import Path

import requests

from bench.measure import milliseconds, percentiles
from tests import served

OFFERS = ("br, gzip, zstd", "gzip", "identity")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path, help="another checkout to measure")
    parser.add_argument("--rounds", type=int, default=200)
    options = parser.parse_args()
    checkouts = [served.ROOT, *([options.against.absolute()] if options.against else [])]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        environ = served.app_environ(folder)
        for checkout in checkouts:
            app = stack.enter_context(served.serve_app(environ, folder / "log", checkout=checkout))
            _measure(checkout, app.url, options.rounds)


def _measure(checkout: Path, url: str, rounds: int) -> None:
    # Every page links to the style sheet, even the page for a missing database.
    page = requests.get(f"{url}/sign-in", timeout=30).text
    path = re.search(r'href="([^"]*tabler[^"]*)"', page)
    assert path is not None
    print(checkout)
    with requests.Session() as session:
        for offer in OFFERS:
            session.headers["Accept-Encoding"] = offer
            response, size = _read(session, url + path[1])
            times = milliseconds(lambda: _read(session, url + path[1]), rounds)
            encoding = response.headers.get("Content-Encoding", "identity")
            p50, p95, _ = percentiles(times)
            print(f"  {offer:16}{encoding:10}{size:8} bytes   p50 {p50:6.2f} ms, p95 {p95:6.2f} ms")


def _read(session: requests.Session, url: str) -> tuple[requests.Response, int]:
    """Return the response, and the number of bytes that were transferred."""
    response = session.get(url, timeout=30, stream=True)
    return response, len(response.raw.read(decode_content=False))


if __name__ == "__main__":
    main()
