"""Requests that once made the server fail get a page that says what is wrong.

Also checks that no page has the same ID twice.
"""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from collections.abc import Callable

import pytest

from tests.access_tables import URLS
from tests.conftest import ClientOf
from tests.views.pages import visible_text
from tests.views.test_access_matrix import ROWS, create_records

__all__ = ["create_records"]
IMAGES = "/account/acme/images"
SURROGATE = base64.urlsafe_b64encode(json.dumps(["\ud800", 1]).encode()).decode()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/images/99999999999999999999999999", 404),
        ("/images/2147483648", 404),
        ("/images/-1", 404),
        (f"/images?sort=name&after={SURROGATE}", 200),
        (f"/images?before={'9' * 5000}", 200),
        (f"/images?q=os:{'+word' * 400}", 200),
        (f"/images/export.csv?q=os:{'+word' * 400}", 422),
        ("/images?q=a%00b", 400),
        ("%00/images", 400),
        (f"/audit?page={'9' * 30}", 200),
        ("/images?" + "&".join(f"p{number}=1" for number in range(10_000)), 200),
    ],
)
def test_unusual_urls_are_answered(client_of: ClientOf, path: str, status: int) -> None:
    response = client_of("account-admin").get(f"/account/acme{path}", follow_redirects=True)
    assert response.status_code == status
    assert "<h1" in response.text


def test_a_form_with_half_a_surrogate_pair_is_not_sent_again(client_of: ClientOf) -> None:
    unsent = '["/scalr", [["name", "\\ud800"]]]'
    response = client_of("nobody").post("/sign-in", data={"unsent": unsent})
    assert response.status_code == 422


def test_a_line_break_in_a_bookmark_adds_no_response_header(client_of: ClientOf) -> None:
    data = {"path": "images\r\nSet-Cookie: a=b", "label": "x"}
    response = client_of("account-viewer").post("/account/acme/bookmarks", data=data)
    assert response.status_code == 303
    assert response.location == IMAGES


def test_a_url_with_an_impossible_port_is_refused_at_its_field(client_of: ClientOf) -> None:
    data = {
        "name": "x",
        "access_key_id": "AKIAEXAMPLE",
        "secret_access_key": "secret",
        "endpoint_url": "https://example.com:99999",
    }
    response = client_of("account-admin").post("/account/acme/credentials/new/aws", data=data)
    assert response.status_code == 422
    assert "a number from 1 to 65535" in visible_text(response)


@pytest.mark.parametrize("level", URLS)
def test_no_page_has_the_same_id_twice(
    client_of: ClientOf, create_records: Callable[[str], dict[str, object]], level: str
) -> None:
    records, client = create_records(level), client_of("scalr-admin")
    for path in ("overview", "members", "images?q=cloud%3Aaws"):
        client.post(f"{URLS[level]}/bookmarks", data={"path": path, "label": path})
    rows = [row for row in ROWS if level[0] in row.levels and "export" not in row.path]
    paths = {row.path.format(**records) for row in rows}
    pages = {URLS[level] + path: client.get(URLS[level] + path) for path in sorted(paths)}
    checked = 0
    for url, page in pages.items():
        if page.mimetype == "text/html":
            ids = Counter(re.findall(r'\sid="([^"]*)"', page.text))
            assert not [name for name, count in ids.items() if count > 1], url
            assert not [name for name in ids if not name or re.search(r"\s", name)], url
            assert not re.findall(r'datetime="[^"]*\.\d{4,}', page.text), url
            checked += 1
    assert checked > 20


def test_a_person_without_a_scope_reads_why_the_list_of_scopes_is_empty(
    client_of: ClientOf,
) -> None:
    client = client_of("outsider")
    assert "You don’t belong to any scope yet." in client.get("/scopes").text
    assert "No scopes match." not in client.get("/scopes").text
    assert "No scopes match." in client.get("/scopes?q=acme").text


def test_no_page_contains_a_control_character_of_a_search(client_of: ClientOf) -> None:
    client = client_of("scalr-admin")
    for url in (
        "/scalr/images",
        "/scalr/images/filters",
        "/scalr/images/suggestions",
        "/scopes",
        "/scalr/members",
    ):
        assert "\x01" not in client.get(f"{url}?q=web%01").text, url
