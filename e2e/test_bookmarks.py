"""Bookmarks: the default bar, pinning the current page, and reordering and removing bookmarks."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from e2e.conftest import SignIn, toasts

EXPECTED = ["Images", "Members", "Images, AWS"]


def bookmark_names(page: Page) -> list[str]:
    return page.get_by_role("navigation", name="Bookmarks").get_by_role("link").all_inner_texts()


def test_bookmarks_are_pinned_reordered_and_removed(sign_in: SignIn) -> None:
    page = sign_in("account")
    bar = page.get_by_role("navigation", name="Bookmarks")
    expect(bar.get_by_role("link", name="Images")).to_have_attribute("aria-current", "page")
    page.goto("/account/acme/members")
    bar.get_by_role("button", name="Pin Members to the bookmarks bar").click()
    toast = toasts(page)
    expect(toast).to_contain_text("Members added to your bookmarks bar")
    page.goto("/account/acme/images?q=cloud%3Aaws")
    bar.get_by_role("button", name="Pin Images, AWS to the bookmarks bar").click()
    toast.get_by_role("link", name="Manage bookmarks").click()
    expect(page.get_by_role("heading", name="Bookmarks")).to_be_visible()
    assert [name.upper() for name in bookmark_names(page)] == [name.upper() for name in EXPECTED]
    # Reorder with the keyboard.
    move = page.get_by_role("button", name="Move up: Members")
    move.focus()
    page.keyboard.press("Enter")
    expect(bar.get_by_role("link").first).to_have_text("Members")
    # Reorder with the mouse.
    items = page.locator("#bookmark-settings li")
    items.nth(2).drag_to(items.nth(0), target_position={"x": 10, "y": 2})
    expect(bar.get_by_role("link").first).to_have_text("Images, AWS")
    page.get_by_role("button", name="Remove: Members").click()
    expect(bar.get_by_role("link", name="Members")).to_have_count(0)
    bar.get_by_role("link", name="Images, AWS").click()
    expect(page).to_have_url("/account/acme/images?q=cloud%3Aaws")


def test_each_person_has_their_own_bar(sign_in: SignIn) -> None:
    page = sign_in("viewer")
    assert [name.upper() for name in bookmark_names(page)] == ["IMAGES"]


def test_the_menu_is_filtered(sign_in: SignIn) -> None:
    page = sign_in("account")
    page.locator("summary[aria-label='Main menu']").click()
    search = page.get_by_placeholder("Filter menu")
    expect(search).to_be_focused()
    search.fill("cred")
    menu = page.get_by_role("navigation", name="Main menu")
    expect(menu.get_by_role("link", name="Cloud Credentials", exact=True)).to_be_visible()
    expect(menu.get_by_role("link", name="Members")).to_be_hidden()
    search.fill("zzz")
    expect(page.get_by_text("No menu items match.")).to_be_visible()
    page.keyboard.press("Escape")
    expect(menu).to_be_hidden()
    expect(page.locator("summary[aria-label='Main menu']")).to_be_focused()
