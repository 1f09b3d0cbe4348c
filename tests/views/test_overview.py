"""The Overview page."""

from __future__ import annotations

import re
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.conftest import ClientOf, MakeImage
from tests.views.pages import visible_text
from webapp.search import overview

ACME = "/account/acme"


def test_every_number_is_a_link(client_of: ClientOf, make_image: MakeImage) -> None:
    make_image("acme", 1)
    make_image("acme", 2, agent_installed=False, os_family="Haiku R1")
    make_image("", 3)
    page = client_of("account-viewer").get(f"{ACME}/overview").text
    assert "Overview of Account acme" in page
    assert "3 images in total, including inherited images." in page
    main = page[page.index("<main") : page.index("</main>")]
    links = re.findall(r'<a href="/account/acme/images\?q=([^"]*)">(.*?)</a>', main, re.DOTALL)
    numbers = {parse_qs(f"q={search}")["q"][0]: visible_text(html) for search, html in links}
    assert numbers["agent:no"] == "Without agent 1 image"
    assert numbers["cloud:aws"] == "AWS 3 images"
    assert numbers["os:ubuntu"] == "Ubuntu 2 images"
    assert numbers['os:"Haiku R1"'] == "Haiku R1 1 image"
    assert numbers["owner:here"] == "Account acme 2 images"
    assert numbers["scope:scalr"] == "Scalr 1 image"
    assert numbers["status:active"] == "Active 3 images"
    assert "status:not-checked" not in numbers
    assert "Not checked 0 images" in visible_text(main)


def test_an_inexact_number_is_shown_as_more_than(
    client_of: ClientOf, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "VERY_MANY", 3)
    monkeypatch.setattr(overview, "COUNT_LIMIT", 1)
    for number in range(4):
        image = make_image("acme", number)
        image.registered_at -= timedelta(days=40 * (number // 2))
        image.save()
    page = visible_text(client_of("account-viewer").get(f"{ACME}/overview").text)
    assert "In the last 30 days 1+ image" in page
    assert "30 to 90 days ago 1+ image" in page


def test_a_scope_without_images_offers_the_first_step(client_of: ClientOf) -> None:
    page = client_of("account-editor").get(f"{ACME}/overview").text
    assert "No images at Account acme yet" in page
    assert "Register the first image" in page
    assert (
        "Register the first image" not in client_of("account-viewer").get(f"{ACME}/overview").text
    )


@pytest.mark.parametrize("who", ["account-viewer", "account-editor", "account-admin"])
def test_the_menu_links_to_the_overview(client_of: ClientOf, who: str) -> None:
    page = client_of(who).get(f"{ACME}/bookmarks").text
    (url,) = re.findall(r'<a href="([^"]*)">[^<]*<svg[^>]*><use[^>]*></use></svg>\s*Overview', page)
    assert urlsplit(url).path == f"{ACME}/overview"
