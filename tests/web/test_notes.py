"""Notes in Markdown: what is rendered, and what is shown as text."""

from __future__ import annotations

import re

import pytest
from markdown_it import MarkdownIt

from webapp.images.choices import NOTES_LENGTH
from webapp.web.notes import LONGEST_HTML, MAX_CELLS, is_safe_link, notes_html


def test_markdown_is_rendered() -> None:
    html = notes_html(
        "# Title\n\n**bold** `code`\nnext\n\n- one\n\n| a | b |\n|---|---|\n| 1 | 2 |"
    )
    assert "<h3>Title</h3>" in html
    assert "<strong>bold</strong> <code>code</code><br />" in html
    assert "<li>one</li>" in html
    assert "<td>1</td>" in html


def test_no_level_of_headings_is_left_out() -> None:
    html = notes_html("## First\n\n#### Below\n\n# Second\n\nThird\n---")
    levels = re.findall(r"<h(\d)>(\w+)</h\1>", html)
    assert levels == [("3", "First"), ("4", "Below"), ("3", "Second"), ("4", "Third")]


@pytest.mark.parametrize(
    "url", ["https://example.com/a?b=c", "http://example.com", "mailto:ops@example.com"]
)
def test_links_to_the_web_are_followed_without_credit(url: str) -> None:
    assert (
        notes_html(f"[site]({url})") == f'<p><a href="{url}" rel="noopener nofollow">site</a></p>\n'
    )


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "javascrip&#116;:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "file:///etc/passwd",
        "//example.com",
        "/account/acme",
        "images",
        "#top",
        "http:example.com",
        "https:\\\\example.com",
        "mailto:",
        "tel:1",
    ],
)
def test_other_links_stay_text(url: str) -> None:
    assert not is_safe_link(url.replace("&#116;", "t"))
    for text in (f"[site]({url})", f"<{url}>", f"[site]\n\n[site]: <{url}>"):
        assert "<a" not in notes_html(text)


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "a <b onclick=x>b</b>",
        '[x](https://example.com "\\"><script>")',
        "![x](https://example.com/x.png)",
        "![x][y]\n\n[y]: https://example.com/x.png",
        '```"><script>\nx\n```',
        "`<script>`",
        '<https://example.com/"><script>',
    ],
)
def test_html_and_images_are_never_rendered(text: str) -> None:
    html = notes_html(text)
    tags = set(re.findall(r"<(/?\w+)", html))
    allowed = {"p", "/p", "a", "/a", "pre", "/pre", "code", "/code"}
    assert tags <= allowed
    assert not re.search(r"<[^>]* on\w+=", html)


WIDE_TABLE = "|a" * 200 + "\n" + "|-" * 200 + "\n" + "|\n" * 330


@pytest.mark.parametrize(
    "text",
    [
        WIDE_TABLE,
        "\n".join([WIDE_TABLE] * 6),
        "".join(f"> {line}\n" for line in WIDE_TABLE.splitlines()),
        f"Some text\n{WIDE_TABLE}\nMore text",
        ("|a|b|c|d\n|-|-|-|-\n" + "|\n" * 60 + "\n") * 70,
    ],
)
def test_the_cells_that_markdown_adds_to_short_rows_are_limited(text: str) -> None:
    assert len(text) <= NOTES_LENGTH
    html = notes_html(text)
    cells = len(re.findall("<t[dh]>", html))
    assert MAX_CELLS - 200 <= cells <= MAX_CELLS
    assert html.count("|") > 0, "the other rows are text"


@pytest.mark.parametrize(
    "text",
    [
        "|a\n|-\n" * (NOTES_LENGTH // 6),
        "a|b\n-|-\n" + "a|b\n" * (NOTES_LENGTH // 4 - 2),
        "|a\n|:-:\n" + "|x\n" * 3_000,
        "| a | b |\n|---|:-:|\n| 1 |\n| 1 | 2 | 3 |\n|\n\ntext\n\n> |a|b|\n> |-|-|\n> |1\n",
        "|a|\\||\n|-|-|\n|1|\n",
        "a|b\n-|-",
        "a|b\n-|-|-\n",
        "a|b",
        "text\n|a\n|-\n|b\ntext",
    ],
)
def test_written_cells_are_rendered_as_usual(text: str) -> None:
    assert len(text) <= NOTES_LENGTH
    usual = MarkdownIt("commonmark", {"html": False, "breaks": True})
    assert notes_html(text) == usual.enable("table").render(text)


def test_notes_with_very_long_html_are_text() -> None:
    url = "https://example.com/" + "b" * 4_000
    html = notes_html(f"[a]: {url}\n\n" + "[a] " * 1_400 + "<b>")
    assert html == f"<p>[a]: {url}<br />\n<br />\n" + "[a] " * 1_400 + "&lt;b&gt;</p>\n"
    assert len(html) < LONGEST_HTML


def test_the_cache_of_notes_has_a_limited_size() -> None:
    assert (notes_html.cache_info().maxsize or 0) in range(1, 20_000_000 // LONGEST_HTML)
