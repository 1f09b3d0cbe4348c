"""Notes in Markdown: what is rendered, and what is shown as text."""

from __future__ import annotations

import re

import pytest

from webapp.web.notes import is_safe_link, notes_html


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
