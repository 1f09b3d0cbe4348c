"""Toasts: successes go away by themselves, errors stay, and no toast covers the content."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect

from e2e.conftest import DESKTOP, PHONE, SignIn


def pin_members(page: Page) -> Locator:
    """Pin the Members page to the bookmarks bar, and return the toast that says so."""
    page.goto("/account/acme/bookmarks")
    for button in page.get_by_role("button", name="Remove: Members").all():
        button.click()
        expect(button).to_be_hidden()
    page.goto("/account/acme/members")
    page.get_by_role("button", name="Pin Members to the bookmarks bar").click()
    toast = page.locator(".toast", has_text="added to your bookmarks bar")
    expect(toast).to_be_visible()
    return toast


def test_a_success_goes_away_unless_a_person_points_at_it_or_has_the_focus_in_it(
    sign_in: SignIn,
) -> None:
    page = sign_in("account")
    page.clock.install()
    toast = pin_members(page)
    page.clock.run_for(19_000)
    toast.hover()
    page.clock.run_for(60_000)
    expect(toast).to_be_visible()
    page.mouse.move(0, 800)
    page.clock.run_for(1_000)
    toast.get_by_role("link", name="Manage bookmarks").focus()
    page.clock.run_for(60_000)
    expect(toast).to_be_visible()
    page.get_by_label("E-mail").focus()
    page.clock.run_for(19_000)
    expect(toast).to_be_visible()
    page.clock.run_for(2_000)
    expect(toast).to_have_count(0)


def test_an_error_stays_until_a_person_closes_it(sign_in: SignIn) -> None:
    page = sign_in("account")
    page.clock.install()
    page.route("**/images/filters*", lambda route: route.abort())
    page.locator("#filters > summary").click()
    toast = page.locator(".toast", has_text="Can’t reach the server")
    expect(toast).to_be_visible()
    page.clock.run_for(600_000)
    expect(toast).to_be_visible()
    toast.get_by_role("button", name="Dismiss").click()
    expect(toast).to_have_count(0)
    expect(page.locator("#main")).to_be_focused()


def test_a_toast_covers_neither_the_heading_nor_the_table(sign_in: SignIn) -> None:
    page = sign_in("account")
    for size in (DESKTOP, PHONE):
        page.set_viewport_size(size)  # type: ignore[arg-type]
        toast = pin_members(page).bounding_box()
        assert toast
        for content in ("h1", "table"):
            box = page.locator(content).first.bounding_box()
            assert box
            assert toast["y"] + toast["height"] <= box["y"]
        # If the place of a toast is scrolled out of view, the toast floats, and the content that it
        # would cover moves down.
        page.locator(".toast").get_by_role("button", name="Dismiss").click()
        page.set_viewport_size({"width": size["width"], "height": 300})
        row = page.locator("tbody tr").first
        row.evaluate("row => row.scrollIntoView()")
        expect(page.locator("#toasts.floating")).to_have_count(1)
        page.evaluate("htmx.trigger(document.body, 'htmx:sendError')")
        error = page.locator("#toasts.floating .toast", has_text="Can’t reach the server")
        expect(error).to_be_in_viewport()
        expect(row).to_be_in_viewport()
        covering, covered = error.bounding_box(), row.bounding_box()
        assert covering
        assert covered
        assert covering["y"] + covering["height"] <= covered["y"]
        region = page.locator("#toasts")
        assert region.get_attribute("aria-live") == "polite"
        assert region.get_attribute("aria-atomic") == "false"
