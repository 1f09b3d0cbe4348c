"""Bookmarks: the default bar, pinning the current page, and reordering and removing bookmarks."""

from __future__ import annotations

import time

from playwright.sync_api import Page, Route, expect

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
    page.set_viewport_size({"width": 320, "height": 800})
    page.goto("/account/acme/audit?q=did:register")
    pin = bar.get_by_role("button", name="Pin Audit log, registered to the bookmarks bar")
    expect(pin).to_be_in_viewport(ratio=1)


def continue_late(route: Route) -> None:
    time.sleep(0.6)
    route.continue_()


def test_pressing_enter_again_moves_a_bookmark_further(sign_in: SignIn) -> None:
    page = sign_in("account")
    for path in ("members", "overview", "images?q=cloud%3Aaws"):
        page.goto(f"/account/acme/{path}")
        pin = page.get_by_role("button", name="to the bookmarks bar")
        if pin.count():  # Another test may have pinned the page.
            pin.click()
            expect(toasts(page)).to_contain_text("added to your bookmarks bar")
    page.goto("/account/acme/bookmarks")
    items = page.locator("#bookmark-settings li a")
    first = items.first.inner_text()
    page.route("**/bookmarks/move", continue_late)
    page.get_by_role("button", name=f"Move down: {first}", exact=True).focus()
    page.keyboard.press("Enter")
    expect(items.nth(1)).to_have_text(first)
    page.keyboard.press("Enter")
    expect(items.nth(2)).to_have_text(first)
    # Press Enter twice more before the responses arrive. The bookmark moves to the end, and the
    # button keeps the focus.
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(items.nth(3)).to_have_text(first)
    page.wait_for_timeout(1500)
    expect(items.nth(3)).to_have_text(first)
    expect(page.get_by_role("button", name=f"Move down: {first}", exact=True)).to_be_focused()
    page.reload()
    expect(items.nth(3)).to_have_text(first)
    ids = page.locator("[id]").evaluate_all("elements => elements.map((e) => e.id)")
    assert len(ids) == len(set(ids))


def test_the_label_of_a_copy_button_returns(sign_in: SignIn) -> None:
    page = sign_in("account")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto("/account/acme/members")
    page.get_by_label("E-mail").fill("copied@example.com")
    page.get_by_role("button", name="Create invitation link").click()
    button = page.locator("[data-copy]").first
    label = button.get_attribute("aria-label")
    assert label
    button.click()
    expect(button).to_have_attribute("aria-label", "Copied")
    button.click()
    expect(button).to_have_attribute("aria-label", label, timeout=5000)


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
