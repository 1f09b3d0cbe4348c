"""Render the notes of an image, which people write in Markdown, as HTML.

People may paste anything into notes, and others read them. So raw HTML is shown as text, images are
never loaded, and links lead only to the web and to e-mail addresses.
"""

from __future__ import annotations

from functools import cache, lru_cache
from urllib.parse import urlsplit

from flask import Flask
from markdown_it import MarkdownIt
from markupsafe import Markup

LINK_REL = "noopener nofollow"
FIRST_HEADING = 3
"""The level of the highest heading in notes. The page has headings of the levels 1 and 2."""


def init_app(app: Flask) -> None:
    """Make `notes_html` available in all templates."""
    app.jinja_env.globals["notes_html"] = notes_html


@lru_cache(maxsize=256)
def notes_html(text: str) -> Markup:
    """Return notes as HTML."""
    markdown = _markdown()
    tokens = markdown.parse(text)
    level = FIRST_HEADING - 1
    for token in tokens:
        if token.type == "heading_open":
            # Screen readers need every level, so no level is left out between two headings.
            level = min(int(token.tag[1:]) + FIRST_HEADING - 1, level + 1, 6)
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{level}"
        for child in token.children or ():
            if child.type == "link_open":
                child.attrSet("rel", LINK_REL)
    html = markdown.renderer.render(tokens, markdown.options, {})
    return Markup(html)  # noqa: S704  raw HTML is off, so markdown-it escapes all text


class _NotesMarkdown(MarkdownIt):
    """A renderer that shows a link as text unless `is_safe_link` allows it."""

    def validateLink(self, url: str) -> bool:  # noqa: N802  the name of markdown-it
        return is_safe_link(url)


@cache
def _markdown() -> MarkdownIt:
    markdown = _NotesMarkdown("commonmark", {"html": False, "breaks": True})
    return markdown.enable(["table", "strikethrough"]).disable("image")


def is_safe_link(url: str) -> bool:
    """Return whether a link may be shown: an absolute URL of the web, or an e-mail address."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    if parts.scheme in {"http", "https"}:
        return bool(parts.netloc)
    return parts.scheme == "mailto" and bool(parts.path)
