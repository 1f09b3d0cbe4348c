"""Reading the pages that views return."""

from __future__ import annotations

import re

from werkzeug.test import TestResponse


def visible_text(page: TestResponse | str) -> str:
    """Return the text of a page without its tags, with single spaces."""
    html = page if isinstance(page, str) else page.text
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())
