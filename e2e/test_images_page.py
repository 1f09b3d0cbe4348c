"""The Images page: search as one types, filters, sorting, and every state in the address."""

from __future__ import annotations

from playwright.sync_api import expect

from e2e.conftest import SignIn, register
from e2e.known import DEBIAN, NOBLE, OWN


def test_search_filter_and_sort(sign_in: SignIn) -> None:
    page = sign_in("account")
    register(page, "/account/acme", NOBLE.id, NOBLE.location, name="a-noble")
    register(page, "/account/acme", DEBIAN.id, DEBIAN.location, name="b-debian")
    page.goto("/account/acme/images")
    rows = page.locator("#results tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("b-debian")
    page.get_by_role("link", name="Image", exact=True).click()
    expect(rows.first).to_contain_text("a-noble")
    expect(page).to_have_url("/account/acme/images?sort=name")
    page.get_by_role("searchbox").press_sequentially("noble")
    expect(rows).to_have_count(1)
    expect(page).to_have_url("/account/acme/images?q=noble&cloud=&os=&owner=&sort=name")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.reload()
    expect(rows).to_have_count(1)
    page.go_back()
    expect(rows).to_have_count(2)
    page.get_by_label("OS family").select_option("debian")
    expect(rows).to_have_count(1)
    expect(rows.first).to_contain_text("b-debian")
    page.get_by_role("searchbox").fill("nothing at all")
    expect(page.get_by_role("heading", name="No image matches")).to_be_visible()
    page.get_by_role("link", name="Clear the search").click()
    expect(rows).to_have_count(2)


def test_an_unknown_id_can_be_registered_from_the_search(sign_in: SignIn) -> None:
    page = sign_in("account")
    page.get_by_role("searchbox").fill(OWN.id)
    page.get_by_role("link", name="Register it").click()
    expect(page.get_by_label("Cloud Image ID")).to_have_value(OWN.id)
