"""The palette: Ctrl K opens a search over pages, scopes and images."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from e2e.conftest import PHONE, SignIn, register
from e2e.sandbox_amis import NOBLE

IMAGES = "/account/acme/images"


def press_control_k(page: Page) -> None:
    """Press the keys when the page has loaded, because they need its script."""
    page.wait_for_load_state()
    page.keyboard.press("Control+k")


def test_the_palette_opens_pages_scopes_and_images_by_keyboard(sign_in: SignIn) -> None:
    page = sign_in("account")
    register(page, "/account/acme", NOBLE.id, NOBLE.location, name="golden-noble")
    page.goto("/help/searching")
    box = page.get_by_role("combobox", name="Go to a page, scope or image")
    options = page.locator("#palette").get_by_role("option")
    press_control_k(page)
    expect(box).to_be_focused()
    expect(options.first).to_have_attribute("aria-selected", "true")
    box.press("ArrowDown")
    expect(options.nth(1)).to_have_attribute("aria-selected", "true")
    expect(box).to_have_attribute("aria-activedescendant", "palette-2")
    box.press("ArrowUp")
    # Enter waits for the results of what was typed last.
    box.press_sequentially("new ima")
    box.press("Enter")
    expect(page).to_have_url(f"{IMAGES}/new")
    press_control_k(page)
    box.fill("golden-noble")
    expect(options).to_have_count(1)
    box.press("Enter")
    expect(page.get_by_role("heading", name="golden-noble")).to_be_visible()
    press_control_k(page)
    box.fill("staging")
    expect(options).to_have_count(1)
    box.press("Enter")
    expect(page).to_have_url("/environment/acme/staging/images")
    press_control_k(page)
    expect(box).to_be_focused()
    page.keyboard.press("Escape")
    expect(box).to_be_hidden()


def test_the_palette_opens_with_its_button_on_a_phone(sign_in: SignIn) -> None:
    page = sign_in("account", viewport=PHONE)
    page.get_by_role("button", name="Go to a page, scope or image").click()
    page.get_by_role("combobox", name="Go to a page, scope or image").fill("overv")
    page.locator("#palette").get_by_role("option", name="Overview").click()
    expect(page).to_have_url("/account/acme/overview")


def test_the_palette_is_a_page_without_javascript(sign_in: SignIn) -> None:
    page = sign_in("account", java_script_enabled=False)
    page.get_by_role("link", name="Go to a page, scope or image").click()
    page.get_by_label("Page, scope or image", exact=True).fill("audit")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="Audit log").last.click()
    expect(page).to_have_url("/account/acme/audit")
