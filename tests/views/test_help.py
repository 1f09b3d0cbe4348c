"""The help pages: every chapter renders, its links lead somewhere, and everybody can read it."""

from __future__ import annotations

import re
from urllib.parse import urldefrag, urljoin

import pytest
from flask.testing import FlaskClient

from tests.conftest import ClientOf
from webapp.web import chapters


def body(client: FlaskClient, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200, url
    return response.text


@pytest.mark.parametrize("name", chapters.NAMES)
def test_a_chapter_has_its_title_and_the_other_chapters(client_of: ClientOf, name: str) -> None:
    html = body(client_of("account-viewer"), f"/help/{name}")
    title = chapters.chapter(name).title
    assert f'<h1 id="{chapters.slug(title)}">{title}</h1>' in html
    assert f'<a href="/help/{name}" aria-current="page">{title}</a>' in html
    for other in chapters.NAMES:
        assert f'href="/help/{other}"' in html


@pytest.mark.parametrize("name", chapters.NAMES)
def test_every_link_of_a_chapter_leads_to_a_heading_of_a_chapter(
    client_of: ClientOf, name: str
) -> None:
    client = client_of("account-viewer")
    url = f"/help/{name}"
    for href in re.findall(r'href="([^"]+)"', chapters.chapter(name).html):
        target, anchor = urldefrag(urljoin(url, href))
        assert not anchor or f'id="{anchor}"' in body(client, target), href


def test_the_index_lists_every_chapter_with_its_summary(client_of: ClientOf) -> None:
    html = body(client_of("account-viewer"), "/help")
    for chapter in chapters.all_chapters():
        assert chapter.title in html
        assert len(chapter.summary) > 40


def test_people_without_a_scope_see_the_help(client_of: ClientOf) -> None:
    assert "Searching" in body(client_of("outsider"), "/help/searching")
    assert 'href="/help"' in body(client_of("outsider"), "/")


@pytest.mark.parametrize("name", ["none", "README", "operate", "..%2FREADME", "searching.md"])
def test_only_user_chapters_are_pages(client_of: ClientOf, name: str) -> None:
    assert client_of("account-viewer").get(f"/help/{name}").status_code == 404


def test_every_page_links_to_the_help_and_shows_the_version(client_of: ClientOf) -> None:
    client = client_of("account-viewer")
    html = body(client, "/account/acme/images")
    assert 'aria-label="Help"' in html
    assert f"Image Registry {client.application.config['VERSION']}" in html


def test_raw_html_is_shown_as_text() -> None:
    chapter = chapters.render("x", "# A\n\nB <b>c</b>\n\n<script>d</script>\n\n[e](javascript:f)\n")
    assert "<b>" not in chapter.html
    assert "<script>" not in chapter.html
    assert "javascript:f" not in re.findall(r'href="([^"]*)"', chapter.html)


def test_headings_get_the_anchors_of_github() -> None:
    chapter = chapters.render("x", "# Title\n\nText.\n\n## What `status:` means, and why\n")
    assert chapter.sections == (
        chapters.Section("what-status-means-and-why", "What status: means, and why"),
    )
    assert 'id="what-status-means-and-why"' in chapter.html


def test_links_to_other_chapters_lose_their_ending() -> None:
    chapter = chapters.render("x", "# A\n\n[b](roles.md) [c](searching.md#tokens) [d](#e)\n")
    assert re.findall(r'href="([^"]*)"', chapter.html) == ["roles", "searching#tokens", "#e"]
