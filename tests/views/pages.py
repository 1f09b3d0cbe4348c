"""Reading the pages that views return."""

from __future__ import annotations

import html
import re

from werkzeug.test import TestResponse


def visible_text(page: TestResponse | str) -> str:
    """Return the text of a page without its tags, with single spaces."""
    source = page if isinstance(page, str) else page.text
    return " ".join(re.sub(r"<[^>]*>", " ", source).split())


def form_action(page: str) -> str:
    """Return the URL that the confirmation of New Image sends REGISTER to."""
    found = re.search(r'<form method="post"\s+action="([^"]*/images\?[^"]*)"', page)
    assert found, "the page has no confirmation"
    return html.unescape(found[1])


def receipt_in(page: str) -> str:
    """Return the receipt in the form of New Image."""
    found = re.search(r'name="receipt"[^>]*value="([^"]+)"', page)
    assert found, "the page has no receipt"
    return html.unescape(found[1])


def revision_in(page: TestResponse | str) -> str:
    """Return the revision that the form of a page carries."""
    source = page if isinstance(page, str) else page.text
    found = re.search(r'name="revision"[^>]*value="([0-9]+)"', source)
    assert found, "the page carries no revision"
    return found[1]
