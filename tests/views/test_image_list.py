"""The Images page: its states, filters and suggestions, and its compression and size."""

from __future__ import annotations

import gzip
import html
import re
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

import psycopg
import pytest

import models
from models import Person, is_sqlite
from tests.conftest import ClientOf, MakeImage
from webapp.people import preferences
from webapp.search import planner
from webapp.views import person_pages

IMAGES = "/account/acme/images"


@pytest.fixture
def three_images(make_image: MakeImage) -> None:
    make_image("acme", 1, name="first", os_family="debian", os_version="12")
    make_image("acme", 2, name="second", agent_installed=False)
    make_image("", 3, name="third from above")


@pytest.mark.usefixtures("three_images")
def test_a_url_contains_the_whole_search(client_of: ClientOf) -> None:
    client = client_of("account-viewer")
    page = client.get(f'{IMAGES}?q=cloud:aws+os:"debian"+scope:account&sort=name').text
    assert "1 image found" in page
    assert 'value="cloud:aws os:&#34;debian&#34; scope:account"' in page
    # Parameters that the page does not know are ignored.
    assert "3 images" in client.get(f"{IMAGES}?cloud=azure&os=debian").text


@pytest.mark.usefixtures("three_images")
def test_a_single_page_has_no_paging_links(client_of: ClientOf) -> None:
    client = client_of("account-viewer")
    Person.update(page_size=25).where(Person.email == "account-viewer@example.com").execute()
    page = client.get(f"{IMAGES}?q=from").text
    assert 'rel="next"' not in page
    assert 'rel="prev"' not in page
    after = client.get(f"{IMAGES}?after=WyIyMDAwLTAxLTAxVDAwOjAwOjAwKzAwOjAwIiwxXQ").text
    assert "No images on this page" in after


@pytest.mark.usefixtures("three_images")
@pytest.mark.parametrize(
    ("path", "most"),
    [
        ("images", 6),
        ("images?sort=name", 6),
        ("images?q=cloud:aws", 6),
        ("images?q=first", 6),
        ("images?q=in:below", 8),
        ("images?q=in:below+os:d", 9),
    ],
)
def test_a_page_sends_few_statements(
    client_of: ClientOf, monkeypatch: pytest.MonkeyPatch, path: str, most: int
) -> None:
    """With SQLite, a word in the search adds one statement, which counts entries of the index."""
    client = client_of("account-editor")
    client.get(f"/account/acme/{path}")
    statements: list[str] = []
    if is_sqlite():
        database = models.database.obj
        record_calls(monkeypatch, database, "execute_sql", statements)
    else:
        # The driver also sees statements that the connection pool sends.
        record_calls(monkeypatch, psycopg.Cursor, "execute", statements)
    assert "first" in client.get(f"/account/acme/{path}").text
    assert len(statements) <= most + ("q=first" in path and is_sqlite()), statements


def record_calls(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, statements: list[str]
) -> None:
    """Append the arguments of each call of a method to `statements`."""
    method = getattr(owner, name)

    def call(*arguments: Any, **options: Any) -> Any:
        statements.append(str(arguments))
        return method(*arguments, **options)

    monkeypatch.setattr(owner, name, call)


@pytest.mark.usefixtures("three_images")
def test_the_state_cookie_is_renewed_once_a_day(
    client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of("account-viewer")
    client.get(IMAGES)
    assert "Set-Cookie" not in client.get(IMAGES).headers
    tomorrow = models.today() + timedelta(days=1)
    monkeypatch.setattr(person_pages, "today", lambda: tomorrow)
    assert "Set-Cookie" in client.get(IMAGES).headers
    assert "Set-Cookie" not in client.get(IMAGES).headers


@pytest.mark.usefixtures("three_images")
def test_only_own_images_can_be_selected(client_of: ClientOf) -> None:
    page = client_of("account-editor").get(IMAGES).text
    assert page.count('name="image"') == 2
    assert "Inherited. This image can be changed only at Scalr." in page
    assert 'name="image"' not in client_of("account-viewer").get(IMAGES).text


@pytest.mark.usefixtures("three_images")
def test_filters_are_a_page_or_a_fragment(client_of: ClientOf) -> None:
    client = client_of("account-viewer")
    page = client.get(f"{IMAGES}/filters?q=agent:no")
    assert "<html" in page.text
    assert f"{IMAGES}?q=agent:no+os:ubuntu" in page.text
    assert "counts ignore words" not in page.text
    part = client.get(f"{IMAGES}/filters?q=first", headers={"HX-Request": "true"}).text
    assert "<html" not in part
    assert "counts ignore words" in part


@pytest.mark.usefixtures("three_images")
@pytest.mark.parametrize(
    ("text", "suggestion"),
    [
        ("cl", "cloud:"),
        ("deb", "os:debian"),
        ("-deb", "-os:debian"),
        ("first location:us", "location:us-east-1"),
        ("status:de", "status:deprecated"),
        ("by:", "by:me"),
    ],
)
def test_search_tokens_are_suggested(client_of: ClientOf, text: str, suggestion: str) -> None:
    client = client_of("account-viewer")
    response = client.get(f"{IMAGES}/suggestions", query_string={"q": text}).text
    assert f'<span class="mono">{suggestion}</span>' in response
    for caret in ("-1", "99999", "x", ""):
        query = {"q": text, "caret": caret}
        assert client.get(f"{IMAGES}/suggestions", query_string=query).status_code == 200


@pytest.mark.usefixtures("three_images")
def test_pages_are_compressed(client_of: ClientOf) -> None:
    client = client_of("account-viewer")
    plain = client.get(IMAGES)
    compressed = client.get(IMAGES, headers={"Accept-Encoding": "gzip"})
    assert compressed.headers["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in compressed.headers["Vary"]
    assert "HX-Request" in compressed.headers["Vary"]
    assert len(compressed.data) < len(plain.data) / 3
    assert b"third from above" in gzip.decompress(compressed.data)


def test_a_page_of_fifty_is_small(client_of: ClientOf, make_image: MakeImage) -> None:
    for number in range(50):
        make_image("acme", number + 1, name=f"ubuntu-24.04-web-server-20260314-{number:08x}")
    assert len(client_of("account-admin").get(IMAGES).data) < 100_000


def bookmark_links(page: str) -> list[tuple[str, bool]]:
    """Return the names in the bookmarks bar, and whether each is the current page."""
    bar = re.search(r'<nav id="bookmarks".*?</nav>', page, re.DOTALL)
    assert bar is not None
    links = re.findall(r'<a href="[^"]*"( aria-current="page")?>([^<]*)</a>', bar[0])
    return [(html.unescape(name), bool(current)) for current, name in links]


@pytest.mark.usefixtures("three_images")
@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}])
@pytest.mark.parametrize(
    ("query_string", "canonical"),
    [
        ("", ""),
        ("q=", ""),
        ("q=&sort=-created", ""),
        ("sort=-created", ""),
        ("sort=", ""),
        ("q=+++&sort=nothing", ""),
        ("q=first++cloud:aws+&sort=name", "?q=first+cloud:aws&sort=name"),
        ("sort=name&q=first", "?q=first&sort=name"),
        ("q=first&after=x&before=", "?q=first"),
        ("q=first&after=&utm=1", "?q=first"),
    ],
)
def test_a_state_of_the_page_has_one_url_and_one_bookmark(
    client_of: ClientOf, headers: dict[str, str], query_string: str, canonical: str
) -> None:
    client = client_of("account-viewer")
    page = client.get(f"{IMAGES}?{query_string}", headers=headers, follow_redirects=True)
    assert page.headers.get("HX-Push-Url") == (f"{IMAGES}{canonical}" if headers else None)
    assert ("Images", not canonical) in bookmark_links(page.text)
    assert len(bookmark_links(page.text)) == 1 + bool(canonical)
    assert 'value="-created"' not in page.text
    for name in ("view-path", "settings-next"):
        saved = re.search(rf'id="{name}" name="\w+" value="([^"]*)"', page.text)
        assert saved is not None
        assert unquote(html.unescape(saved[1])) == f"images{canonical}"


def test_the_pages_of_a_search_have_one_bookmark(
    client_of: ClientOf, make_image: MakeImage
) -> None:
    for number in range(26):
        make_image("acme", number + 1)
    client = client_of("account-viewer")
    Person.update(page_size=25).where(Person.email == "account-viewer@example.com").execute()
    first = client.get(IMAGES).text
    following = re.search(r'href="([^"]+)"\s+rel="next"', first)
    assert following is not None
    for headers in ({}, {"HX-Request": "true"}):
        second = client.get(following[1], headers=headers)
        assert bookmark_links(second.text) == [("Images", True)]
        assert second.headers.get("HX-Push-Url") == (following[1] if headers else None)


@pytest.mark.usefixtures("three_images")
def test_a_part_that_is_not_understood_is_in_the_label_of_the_page(client_of: ClientOf) -> None:
    page = client_of("account-viewer").get(f"{IMAGES}?q=clod:aws+cloud:aws+-shared:yes").text
    assert bookmark_links(page) == [("Images", False), ("Images, AWS, not shared, clod:aws", True)]


@pytest.mark.usefixtures("three_images")
@pytest.mark.parametrize("path", [f"{IMAGES}/filters?q=first", "/scopes", "/scopes?q=acme"])
def test_a_panel_changes_neither_the_title_nor_the_bookmarks_bar(
    client_of: ClientOf, path: str
) -> None:
    part = client_of("account-viewer").get(path, headers={"HX-Request": "true"}).text
    assert "<title>" not in part
    assert 'id="bookmarks"' not in part


@pytest.mark.usefixtures("three_images")
def test_filters_say_that_a_part_of_the_search_is_ignored(client_of: ClientOf) -> None:
    page = client_of("account-viewer").get(f"{IMAGES}/filters?q=status:retird").text
    assert "The counts ignore the part of your search that can’t be used." in page


@pytest.mark.usefixtures("three_images")
def test_the_pages_of_the_audit_log_have_one_bookmark(client_of: ClientOf) -> None:
    client = client_of("account-admin")
    page = client.get("/account/acme/audit?before=3").text
    assert bookmark_links(page)[-1] == ("Audit log", True)
    assert 'name="path" value="audit"' in page
    assert ">Newer<" in page


@pytest.mark.usefixtures("three_images")
def test_the_page_of_a_large_search_loads_the_number_of_results_afterwards(
    client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of("account-viewer")
    monkeypatch.setattr(planner, "FEW", 0)
    monkeypatch.setattr(planner, "SAMPLE", 0)
    one_image_per_page = preferences.Preferences(page_size=1)
    monkeypatch.setattr(preferences, "load_preferences", lambda _person: one_image_per_page)
    page = client.get(f"{IMAGES}?q=-zebra").text
    link = re.search(r'<a href="([^"]*)" data-count="1\+" hx-get="\1" hx-trigger="load"', page)
    assert link is not None
    assert "1+ images found" in page
    assert link[1] == f"{IMAGES}/count?q=-zebra"
    fragment = client.get(link[1], headers={"HX-Request": "true"}).text
    assert '<span data-count="3">3 images found</span>' in fragment
    assert "<title>" not in fragment
    whole_page = client.get(link[1]).text
    assert "3 images found" in whole_page
    assert 'href="/account/acme/images?q=-zebra">Back to images' in whole_page


def test_the_filters_say_why_there_is_nothing_to_choose(
    client_of: ClientOf, make_image: MakeImage
) -> None:
    client = client_of("account-viewer")
    assert "No images are registered here yet." in client.get(f"{IMAGES}/filters").text
    make_image("acme")
    page = client.get(f"{IMAGES}/filters?q=-cloud:aws+-os:ubuntu").text
    assert "No images match this search." in page
