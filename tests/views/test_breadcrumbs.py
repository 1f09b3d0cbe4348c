"""The breadcrumb of every page: it leads from the scopes that the person sees to the page."""

from __future__ import annotations

import re

import pytest
from flask.testing import FlaskClient

from tests.conftest import ClientOf, MakeImage
from tests.views.pages import visible_text

Crumbs = list[tuple[str, str]]


def breadcrumb(client: FlaskClient, url: str, status: int = 200) -> Crumbs:
    """Return the name and the URL of each entry of a page's breadcrumb."""
    page = client.get(url)
    assert page.status_code == status
    nav = re.search(r'<nav class="breadcrumbs".*?</nav>', page.text, re.DOTALL)
    assert nav, url
    entries = re.findall(r"<li[^>]*>(.*?)</li>", nav[0], re.DOTALL)
    links = [re.search(r'href="([^"]*)"', entry) for entry in entries]
    return [
        (visible_text(entry), link[1] if link else "")
        for entry, link in zip(entries, links, strict=True)
    ]


def test_the_breadcrumb_leads_from_the_scopes_to_the_page(
    client_of: ClientOf, make_image: MakeImage
) -> None:
    image = make_image("acme/production", name="noble")
    url = f"/environment/acme/production/images/{image.id}"
    assert breadcrumb(client_of("scalr-admin"), f"{url}/edit") == [
        ("Scalr", "/scalr/images"),
        ("acme", "/account/acme/images"),
        ("production", "/environment/acme/production/images"),
        ("Images", "/environment/acme/production/images"),
        ("noble", url),
        ("Edit", ""),
    ]


def test_the_breadcrumb_links_only_scopes_that_the_person_sees(client_of: ClientOf) -> None:
    crumbs = breadcrumb(client_of("environment-viewer"), "/environment/acme/production/overview")
    assert crumbs == [
        ("acme", ""),
        ("production", "/environment/acme/production/images"),
        ("Overview", ""),
    ]


@pytest.mark.parametrize(
    ("url", "status", "names"),
    [
        ("/help", 200, ["Home", "Help"]),
        ("/help/searching", 200, ["Home", "Help", "Searching"]),
        ("/password", 200, ["Home", "Change password"]),
        ("/scopes", 200, ["Home", "Scopes"]),
        ("/account/globex/images", 404, ["Home", "Page not found"]),
        ("/account/acme/images?q=noble", 200, ["acme", "Images"]),
        ("/account/acme/images/99", 404, ["acme", "Page not found"]),
        ("/account/acme/images/import", 200, ["acme", "Images", "Import images"]),
        ("/account/acme/credentials/new/aws", 200, ["acme", "Cloud Credentials", None]),
        ("/account/acme/environments/staging/rename", 200, ["acme", "Environments", None]),
        ("/account/acme/views", 200, ["acme", "Images", "Views"]),
        ("/account/acme/images/deleted", 200, ["acme", "Images", "Recently deleted"]),
    ],
)
def test_every_page_has_a_breadcrumb(
    client_of: ClientOf, url: str, status: int, names: list[str | None]
) -> None:
    found = [name for name, _ in breadcrumb(client_of("account-admin"), url, status)]
    assert len(found) == len(names)
    assert [name for name, expected in zip(found, names, strict=True) if expected] == [
        name for name in names if name
    ]


def test_pages_for_people_who_are_not_signed_in_have_no_breadcrumb(client_of: ClientOf) -> None:
    assert "breadcrumbs" not in client_of("nobody").get("/sign-in").text
