"""Render the notes of an image, which people write in Markdown, as HTML.

People may paste anything into notes, and others read them. So raw HTML is shown as text, images are
never loaded, and links lead only to the web and to e-mail addresses.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any
from urllib.parse import urlsplit

from flask import Flask
from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock, table
from markupsafe import Markup, escape

from webapp.images.choices import NOTES_LENGTH

LINK_REL = "noopener nofollow"
FIRST_HEADING = 3
"""The level of the highest heading in notes. The page has headings of the levels 1 and 2."""
MAX_CELLS = NOTES_LENGTH // 2
"""The maximum number of cells in the tables of notes.

A cell that is not empty takes at least two characters of the notes. So notes exceed this limit only
if many cells are empty. Markdown adds empty cells to short rows: without this limit, notes of
2,000 characters could have 65,000 cells.
"""
LONGEST_HTML = 200_000
"""The maximum length of rendered notes, in characters. Longer notes are shown as text.

Some short notes have very long HTML, for example if they use the same long link many times.
"""
_CELLS = "cells"
"""The key of the number of cells in the environment of the Markdown parser."""


def init_app(app: Flask) -> None:
    """Make `notes_html` available in all templates."""
    app.jinja_env.globals["notes_html"] = notes_html


@lru_cache(maxsize=64)  # With LONGEST_HTML, this bounds the memory of the cache.
def notes_html(text: str) -> Markup:
    """Return notes as HTML."""
    html = _rendered(text)
    return html if len(html) <= LONGEST_HTML else _as_text(text)


def _rendered(text: str) -> Markup:
    markdown = _markdown()
    environment: dict[str, Any] = {}
    tokens = markdown.parse(text, environment)
    level = FIRST_HEADING - 1
    for token in tokens:
        if token.type == "heading_open":
            # For screen readers, headings must not skip a level. So a heading is at most one level
            # below the heading before it.
            level = min(int(token.tag[1:]) + FIRST_HEADING - 1, level + 1, 6)
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{level}"
        for child in token.children or ():
            if child.type == "link_open":
                child.attrSet("rel", LINK_REL)
    html = markdown.renderer.render(tokens, markdown.options, environment)
    return Markup(html)  # noqa: S704  raw HTML is off, so markdown-it escapes all text


def _as_text(text: str) -> Markup:
    lines = Markup("<br />\n").join(map(escape, text.splitlines()))
    return Markup("<p>{}</p>\n").format(lines)


class _NotesMarkdown(MarkdownIt):
    """A renderer that shows a link as text unless `is_safe_link` allows it."""

    def validateLink(self, url: str) -> bool:  # noqa: N802  markdown-it calls this method
        return is_safe_link(url)


@cache
def _markdown() -> MarkdownIt:
    markdown = _NotesMarkdown("commonmark", {"html": False, "breaks": True})
    markdown.block.ruler.at("table", _bounded_table, {"alt": ["paragraph", "reference"]})
    return markdown.enable(["table", "strikethrough"]).disable("image")


def _bounded_table(state: StateBlock, first: int, end: int, silent: bool) -> bool:
    """Parse a table as markdown-it does, but leave rows beyond MAX_CELLS cells as text."""
    if first + 2 > end:
        return False
    # In a table, the second line has the dashes below the header, and one part for each column.
    dashes = state.getLines(first + 1, first + 2, 0, False).strip().strip("|")
    columns = dashes.count("|") + 1
    rows = (MAX_CELLS - state.env.get(_CELLS, 0)) // columns
    if not table(state, first, min(end, first + 1 + rows), silent):
        return False
    if not silent:
        rows = state.line - first - 1
        state.env[_CELLS] = state.env.get(_CELLS, 0) + rows * columns
    return True


def is_safe_link(url: str) -> bool:
    """Return whether a link may be shown: an absolute URL of the web, or an e-mail address."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    if parts.scheme in {"http", "https"}:
        return bool(parts.netloc)
    return parts.scheme == "mailto" and bool(parts.path)
