"""Render the help chapters: the Markdown files in `docs/` that are written for users.

A chapter does not depend on the request, so each process renders each chapter only once. Raw HTML
in a chapter is shown as text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import OptionsDict
from markupsafe import Markup

DOCS = Path(__file__).parents[2] / "docs"
NAMES = ("new-image", "searching", "life-cycle", "importing", "roles", "clouds", "api", "cli")
"""The user chapters in reading order. `roles`, for example, is the file `docs/roles.md`."""
_CHAPTER_LINK = re.compile(rf"({'|'.join(NAMES)})\.md(#.*)?")
_NOT_IN_SLUG = re.compile(r"[^\w\- ]")


@dataclass(frozen=True)
class Section:
    """A second-level heading: its anchor and its text."""

    slug: str
    title: str


@dataclass(frozen=True)
class Chapter:
    """A rendered chapter. `summary` is the plain text of its first paragraph."""

    name: str
    title: str
    summary: str
    sections: tuple[Section, ...]
    html: Markup


def all_chapters() -> tuple[Chapter, ...]:
    return tuple(chapter(name) for name in NAMES)


@cache
def chapter(name: str) -> Chapter:
    """Return the chapter with this name, which must be in NAMES."""
    return render(name, (DOCS / f"{name}.md").read_text())


def render(name: str, text: str) -> Chapter:
    """Return a chapter, rendered from the Markdown `text`."""
    markdown = MarkdownIt("commonmark", {"html": False, "typographer": True})
    markdown.enable(["table", "smartquotes"])
    markdown.add_render_rule("table_open", _table_open)
    markdown.add_render_rule("table_close", _table_close)
    environment: dict[str, Any] = {}
    tokens = markdown.parse(text, environment)
    sections = _give_ids_to_headings(tokens)
    _link_chapters_to_each_other(tokens)
    html = markdown.renderer.render(tokens, markdown.options, environment)
    return Chapter(
        name,
        title=_first_text(tokens, "heading_open"),
        summary=_first_text(tokens, "paragraph_open"),
        sections=sections,
        html=Markup(html),  # noqa: S704  raw HTML is off, so markdown-it escapes all text
    )


def slug(heading: str) -> str:
    """Return the same anchor for a heading as GitHub, so that links work on GitHub and here."""
    return _NOT_IN_SLUG.sub("", heading.lower()).replace(" ", "-")


def _give_ids_to_headings(tokens: Sequence[Token]) -> tuple[Section, ...]:
    sections = []
    for token, inline in pairwise(tokens):
        if token.type == "heading_open":
            title = _plain_text(inline)
            token.attrSet("id", slug(title))
            if token.tag == "h2":
                sections.append(Section(slug(title), title))
    return tuple(sections)


def _link_chapters_to_each_other(tokens: Sequence[Token]) -> None:
    """Rewrite links between chapters: `roles.md#admin` becomes `roles#admin`.

    The links stay relative, so that the cached HTML works under any URL prefix.
    """
    for inline in tokens:
        for token in inline.children or ():
            if token.type == "link_open":
                match = _CHAPTER_LINK.fullmatch(str(token.attrGet("href")))
                if match:
                    token.attrSet("href", f"{match[1]}{match[2] or ''}")


def _first_text(tokens: Sequence[Token], kind: str) -> str:
    position = next(index for index, token in enumerate(tokens) if token.type == kind)
    return _plain_text(tokens[position + 1])


def _plain_text(inline: Token) -> str:
    """Return the text of a heading or paragraph without its formatting."""
    children = inline.children or ()
    parts = (" " if token.type == "softbreak" else token.content for token in children)
    return "".join(parts)


def _table_open(
    _renderer: RendererHTML,
    _tokens: Sequence[Token],
    _index: int,
    _options: OptionsDict,
    _environment: dict[str, Any],
) -> str:
    """Return the opening tags of a table. On a narrow screen, only the table scrolls sideways."""
    return '<div class="table-responsive" tabindex="0"><table class="table">\n'


def _table_close(
    _renderer: RendererHTML,
    _tokens: Sequence[Token],
    _index: int,
    _options: OptionsDict,
    _environment: dict[str, Any],
) -> str:
    return "</table></div>\n"
