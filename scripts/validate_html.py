"""Check the HTML of the pages with the Nu Html Checker: `python -m scripts.validate_html`.

Runs the tests of the pages, saves every page and fragment that the application returns, and reports
each error in the HTML once. Without arguments, the script passes TESTS, the paths of the tests of
the pages, to pytest. If you give the script arguments, such as other paths, it passes them to
pytest instead of TESTS. The script needs Java, npm and the network, so `./test` does not run it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import flask
import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "html"
PAGES = FOLDER / "pages"
CHECKER = FOLDER / "node_modules" / "vnu-jar" / "build" / "dist" / "vnu.jar"
CHECKER_PACKAGE = "vnu-jar@26.9.27"
TESTS = (
    *("tests/api/test_reference.py", "tests/database/test_outage_pages.py", "tests/mail"),
    *("tests/views", "tests/web"),
)
BATCH = 500
"""The maximum number of files in one command."""
SHOWN_PAGES = 3
"""The maximum number of pages that are listed for one error."""
_EXPECTED = re.compile(
    r"Attribute “hx-[a-z-]+” not allowed on element .*"
    r"|Forbidden code point U\+[0-9a-f]+\.|Astral non-character\."
    r"|Bad value .* for attribute “value” on element “input”: Line feed not allowed\.",
    re.DOTALL,
)
"""Errors that are not mistakes.

The checker does not know the attributes of HTMX. A form shows an entry again even if the entry
contains control characters or line feeds, and some tests send such entries.
"""
_CHANGING = re.compile(r"[\w.-]{30,}|\d+")
"""Tokens and numbers. Pages that differ only in them count as equal."""


def main() -> None:
    if not shutil.which("java"):
        sys.exit("Java was not found. On Debian and Ubuntu, install default-jre-headless.")
    _install_checker()
    shutil.rmtree(PAGES, ignore_errors=True)
    PAGES.mkdir(parents=True)
    arguments = sys.argv[1:] or TESTS
    code = pytest.main(["-q", "-p", "no:xdist", *arguments], plugins=[PageSaver()])
    sys.exit(_report(_errors(sorted(PAGES.glob("*.html")))) or code)


class PageSaver:
    """A pytest plugin that saves the pages that the application returns to the tests."""

    def pytest_sessionstart(self) -> None:
        flask.request_finished.connect(self.save)

    def save(self, app: flask.Flask, response: flask.Response, **_values: Any) -> None:
        if (
            app.import_name != "webapp"
            or response.mimetype != "text/html"
            or response.content_encoding
        ):
            return
        text = response.get_data(as_text=True)
        if text.strip():
            # `request.url` raises an error if the host is not trusted.
            source = f"{flask.request.method} {flask.request.full_path}"
            save_page(text, f"{source}: {response.status_code}")


def save_page(text: str, source: str) -> None:
    """Save a page or fragment, unless an equal text was saved. Add `source` in a comment."""
    digest = hashlib.sha256(_CHANGING.sub("", text).encode()).hexdigest()
    path = PAGES / f"{digest[:32]}.html"
    if path.exists():
        return
    if not text.lstrip().lower().startswith("<!doctype"):
        text = _whole_page(text)
    path.write_text(f"{text}\n<!-- {source.replace('--', '- -')} -->\n", errors="replace")


def _whole_page(fragment: str) -> str:
    """Return a page that contains the fragment, with the fragment's title in its head.

    In the browser, HTMX removes the title from a fragment in the same way.
    """
    title = re.search(r"<title>.*?</title>\s*", fragment)
    if title:
        fragment = fragment.replace(title[0], "", 1)
    head = title[0].strip() if title else "<title>Fragment</title>"
    return f'<!doctype html><html lang="en"><head>{head}</head><body>\n{fragment}</body></html>'


def _install_checker() -> None:
    if CHECKER.is_file():
        return
    npm = shutil.which("npm")
    if npm is None:
        sys.exit("npm was not found. Install Node.js.")
    print("Installing the Nu Html Checker…", flush=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    command = [npm, "install", "--ignore-scripts", "--no-save", f"--prefix={FOLDER}"]
    subprocess.run([*command, CHECKER_PACKAGE], check=True, stdout=subprocess.DEVNULL)


def _errors(pages: list[Path]) -> dict[str, list[str]]:
    """Return the pages of each error. The text of an error contains the HTML that causes it."""
    found: dict[str, list[str]] = defaultdict(list)
    print(f"Checking {len(pages):,} pages and fragments…", flush=True)
    for start in range(0, len(pages), BATCH):
        for message in _check(pages[start : start + BATCH]):
            if message["type"] == "error" and not _EXPECTED.fullmatch(message["message"]):
                extract = " ".join(message.get("extract", "").split())
                text = f"{message['message']}\n    {_CHANGING.sub('…', extract)}"
                found[text].append(_source(message["url"]))
    return found


def _check(pages: list[Path]) -> list[dict[str, Any]]:
    options = ("--format", "json", "--errors-only", "--exit-zero-always", "--stdout")
    command = ["java", "-Xss4m", "-jar", str(CHECKER), *options, *map(str, pages)]
    report = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    messages: list[dict[str, Any]] = json.loads(report)["messages"]
    return messages


def _source(url: str) -> str:
    path = PAGES / url.rpartition("/")[2]
    return f"{path.read_text().splitlines()[-1]} {os.path.relpath(path, ROOT)}"


def _report(errors: dict[str, list[str]]) -> int:
    """Print each error with a few of its pages. Return the exit code."""
    for text, pages in sorted(errors.items()):
        print(f"\n{text}")
        for page in pages[:SHOWN_PAGES]:
            print(f"    {page}")
        if len(pages) > SHOWN_PAGES:
            print(f"    and {len(pages) - SHOWN_PAGES:,} more")
    print(f"\n{len(errors)} errors")
    return min(len(errors), 1)


if __name__ == "__main__":
    main()
