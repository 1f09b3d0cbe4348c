"""The Overview page: from the menu to the numbers, and from a number to its images."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from e2e.conftest import PHONE, SignIn, register
from e2e.sandbox_amis import DEBIAN, NOBLE

ACME = "/account/acme"


def test_a_number_opens_its_images(sign_in: SignIn) -> None:
    page = sign_in("account")
    page.goto(f"{ACME}/overview")
    expect(page.get_by_role("heading", name="No images at Account acme yet")).to_be_visible()
    register(page, ACME, NOBLE.id, NOBLE.location, name="a-noble")
    register(page, ACME, DEBIAN.id, DEBIAN.location, name="b-debian")
    page.locator("summary[aria-label='Main menu']").click()
    page.get_by_role("navigation", name="Main menu").get_by_role("link", name="Overview").click()
    expect(page.get_by_role("heading", name="Overview of Account acme")).to_be_visible()
    main = page.locator("main")
    expect(main).to_contain_text("2 images in total")
    for link, found in [
        (re.compile(r"^AWS"), 2),
        (re.compile(r"^Ubuntu"), 1),
        (re.compile(r"^In the last 30 days"), 2),
        (re.compile(r"^Account acme"), 2),
    ]:
        number = main.get_by_role("link", name=link)
        expect(number).to_have_accessible_name(re.compile(rf"\b{found} images?$"))
        number.focus()
        page.keyboard.press("Enter")
        expect(page.locator("#results tbody tr")).to_have_count(found)
        page.go_back()
        expect(number).to_be_visible()


def test_the_overview_fits_a_phone(sign_in: SignIn) -> None:
    page = sign_in("account", viewport=PHONE)
    page.goto(f"{ACME}/overview")
    expect(page.get_by_role("heading", name="By cloud")).to_be_visible()
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= PHONE["width"]
