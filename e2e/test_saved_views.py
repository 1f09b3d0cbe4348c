"""Saved views: save a search, open, share, pin and delete the view."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect

from e2e.conftest import PHONE, OpenPage, SignIn, register, toasts
from e2e.sandbox_amis import DEBIAN, NOBLE, WINDOWS
from e2e.test_accessibility import violations

ACME = "/account/acme"


def open_panel(page: Page, name: str) -> Locator:
    """Open a panel of the Images page."""
    opened = page.locator("main details[data-panel]").filter(
        has=page.locator("summary", has_text=name)
    )
    opened.locator("summary").click()
    return opened


def save_view(page: Page, name: str) -> None:
    views = open_panel(page, "Views")
    views.get_by_label("Save this search").fill(name)
    views.get_by_role("button", name="Save").click()


def test_a_view_is_saved_opened_shared_pinned_and_deleted(sign_in: SignIn) -> None:
    page = sign_in("account")
    register(page, ACME, NOBLE.id, NOBLE.location, name="a-noble")
    register(page, ACME, DEBIAN.id, DEBIAN.location, name="b-debian")
    page.goto(f"{ACME}/images")
    rows = page.locator("#results tbody tr")
    # The view saves the search that HTMX loaded, not the search that the page was opened with.
    page.locator("#q").press_sequentially("os:debian")
    expect(rows).to_have_count(1)
    save_view(page, "All Debian")
    expect(toasts(page)).to_contain_text("View “All Debian” saved.")
    expect(rows).to_have_count(1)
    page.goto(f"{ACME}/images")
    expect(rows).to_have_count(2)
    open_panel(page, "Views").get_by_role("link", name="All Debian").click()
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("b-debian")
    # A second search with the same name needs a confirmation.
    page.goto(f"{ACME}/images?q=os%3Aubuntu")
    save_view(page, "All Debian")
    expect(page.get_by_label("Name")).to_have_value("All Debian")
    expect(page.get_by_label("Name")).to_be_focused()
    expect(page.get_by_text("You already have a view named “All Debian” here.")).to_be_visible()
    assert not violations(page)
    page.get_by_role("button", name="Replace “All Debian”").click()
    expect(rows).to_contain_text("a-noble")
    open_panel(page, "Views").get_by_role("link", name="Manage views").click()
    page.get_by_role("link", name="Rename All Debian").click()
    page.get_by_label("Name").fill("All Ubuntu")
    page.get_by_role("button", name="Rename").click()
    page.get_by_role("button", name="Share All Ubuntu").click()
    expect(page.get_by_role("cell", name="Everyone at Account acme")).to_be_visible()
    page.get_by_role("button", name="Pin All Ubuntu to the bookmarks bar").click()
    bar = page.get_by_role("navigation", name="Bookmarks")
    expect(bar.get_by_role("link", name="All Ubuntu")).to_have_attribute("aria-current", "page")

    other = sign_in("viewer", viewport=PHONE)
    open_panel(other, "Views").get_by_role("link", name="All Ubuntu").click()
    expect(other.locator("#results tbody tr")).to_contain_text("a-noble")

    page.goto(f"{ACME}/views")
    page.get_by_role("link", name="Delete All Ubuntu").click()
    expect(
        page.get_by_text("Everyone at Account acme will lose access to this view.")
    ).to_be_visible()
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("You don’t have any views at Account acme yet.")).to_be_visible()


def test_views_and_columns_are_saved_without_javascript(open_page: OpenPage) -> None:
    page = open_page(java_script_enabled=False)
    page.goto("/sign-in")
    page.get_by_label("E-mail").fill("viewer@example.com")
    page.get_by_label("Password").fill("demonstration")
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.goto(f"{ACME}/images?q=os%3Aubuntu")
    save_view(page, "Ubuntu")
    expect(toasts(page)).to_contain_text("View “Ubuntu” saved.")
    expect(page).to_have_url(f"{ACME}/images?q=os%3Aubuntu")
    settings = open_panel(page, "Columns")
    settings.get_by_label("Architecture").check()
    settings.get_by_label("OS", exact=True).uncheck()
    settings.get_by_label("Images per page").select_option("25")
    settings.get_by_role("button", name="Save").click()
    expect(page).to_have_url(f"{ACME}/images?q=os%3Aubuntu")
    expect(open_panel(page, "Columns").get_by_label("Architecture")).to_be_checked()


def test_columns_belong_to_one_person(sign_in: SignIn) -> None:
    page = sign_in("account")
    register(page, ACME, WINDOWS.id, WINDOWS.location, name="c-windows")
    page.goto(f"{ACME}/images")
    page.locator("#q").press_sequentially("c-windows")
    expect(page).to_have_url(f"{ACME}/images?q=c-windows")
    settings = open_panel(page, "Columns")
    settings.get_by_label("Registered by").check()
    settings.get_by_label("Agent").uncheck()
    settings.get_by_role("button", name="Save").click()
    expect(page).to_have_url(f"{ACME}/images?q=c-windows")
    head = page.locator("#results thead")
    expect(head).to_contain_text("Registered by")
    expect(head).not_to_contain_text("Agent")
    page = sign_in("viewer")
    expect(page.locator("#results thead")).to_contain_text("Created on")
    expect(page.locator("#results thead")).not_to_contain_text("Registered by")
