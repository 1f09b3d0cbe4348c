"""Read values from the pages that views return, and check their HTML."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser

from werkzeug.test import TestResponse


def visible_text(page: TestResponse | str) -> str:
    """Return the text of a page without its tags, with single spaces."""
    source = page if isinstance(page, str) else page.text
    return " ".join(re.sub(r"<[^>]*>", " ", source).split())


def form_action(page: str) -> str:
    """Return the URL that the confirmation of New Image sends REGISTER to."""
    found = re.search(r'<form method="post"\s+action="([^"]*/images\?[^"]*)"', page)
    assert found, f"The page has no confirmation: {visible_text(page)}"
    return html.unescape(found[1])


def receipt_in(page: str) -> str:
    """Return the receipt in the form of New Image."""
    found = re.search(r'name="receipt"[^>]*value="([^"]+)"', page)
    assert found, f"The page has no receipt: {visible_text(page)}"
    return html.unescape(found[1])


def revision_in(page: TestResponse | str) -> str:
    """Return the revision that the form of a page carries."""
    source = page if isinstance(page, str) else page.text
    found = re.search(r'name="revision"[^>]*value="([0-9]+)"', source)
    assert found, "the page carries no revision"
    return found[1]


VOID = frozenset({"br", "hr", "img", "input", "link", "meta"})
"""The elements without an end tag."""
SVG_SHAPES = frozenset({"path", "circle", "rect", "line"})


class _Markup(HTMLParser):
    """Collects the unclosed elements of a page, what it repeats, and wrong attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: set[str | None] = set()
        self.has_autofocus = False
        self.problems: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        self.problems += [f"<{tag}> repeats {each}" for each in set(names) if names.count(each) > 1]
        for name, value in attrs:
            if name == "id":
                if value in self.ids:
                    self.problems.append(f"two elements have the ID {value}")
                self.ids.add(value)
        if re.search(r'="[^"]*"[^\s/>]', self.get_starttag_text() or ""):
            self.problems.append(f"<{tag}> has no space between two attributes")
        if tag == "progress" and dict(attrs).get("max") == "0":
            self.problems.append("the maximum of a <progress> is 0")
        if "autofocus" in names:
            if self.has_autofocus:
                self.problems.append("two elements have autofocus")
            self.has_autofocus = True
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, _attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID | SVG_SHAPES:
            self.problems.append(f"<{tag}/> closes itself")

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.problems.append(f"</{tag}> closes another element")


def markup_problems(page: str) -> list[str]:
    """Return what is wrong with the elements of a page or fragment.

    `scripts/validate_html.py` checks much more, but needs Java.
    """
    parser = _Markup()
    parser.feed(page)
    parser.close()
    return parser.problems + [f"<{tag}> is not closed" for tag in parser.open]
