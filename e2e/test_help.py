"""The help: how people reach it, its chapters, and its pages on a phone and without JavaScript."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from e2e.conftest import PHONE, SignIn
from webapp.web import chapters


@pytest.fixture
def page(sign_in: SignIn) -> Page:
    return sign_in("account")


def test_the_bar_links_to_the_help_and_chapters_to_each_other(page: Page) -> None:
    page.get_by_role("banner").get_by_role("link", name="Help").click()
    expect(page.get_by_role("heading", name="Help", exact=True)).to_be_visible()
    page.get_by_role("main").get_by_role("link", name="Export and import").click()
    expect(page).to_have_title("Export and import · Help · Image Registry")
    page.get_by_role("link", name="not checked").click()
    expect(page).to_have_url("/help/life-cycle#not-checked")
    expect(page.get_by_role("heading", name="Not checked")).to_be_in_viewport()
    navigation = page.get_by_role("navigation", name="Help chapters")
    navigation.get_by_role("link", name="Bulk actions").click()
    expect(page.get_by_role("heading", name="Bulk actions")).to_be_in_viewport()


def test_the_keyboard_shortcuts_link_to_the_help(page: Page) -> None:
    page.wait_for_load_state()  # The script that handles the key must be loaded.
    page.keyboard.press("?")
    page.get_by_role("dialog").get_by_role("link", name="How to search").click()
    expect(page.get_by_role("heading", name="Searching", exact=True)).to_be_visible()


def test_no_chapter_is_wider_than_a_phone(sign_in: SignIn) -> None:
    page = sign_in("account", viewport=PHONE)
    for name in chapters.NAMES:
        page.goto(f"/help/{name}")
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], name


def test_the_help_works_without_javascript(sign_in: SignIn) -> None:
    page = sign_in("viewer", java_script_enabled=False)
    page.goto("/account/acme/images")
    page.get_by_role("contentinfo").get_by_role("link", name="Help").click()
    page.get_by_role("link", name="Roles and scopes").click()
    expect(page.get_by_role("row", name="viewer").first).to_be_visible()
