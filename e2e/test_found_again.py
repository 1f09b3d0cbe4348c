"""Images are found again: scopes below, tags and notes, recently deleted images, comparisons.

Each journey uses only the keyboard, or works without JavaScript, and its pages are accessible.
"""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from e2e.conftest import PHONE, SignIn, register, toasts
from e2e.sandbox_amis import DEBIAN, NOBLE
from e2e.test_accessibility import violations

ACME = "/account/acme"
IMAGES = f"{ACME}/images"


@pytest.fixture
def page(sign_in: SignIn) -> Page:
    """Return the Images page of an account with the images a-noble and b-debian."""
    page = sign_in("account", color_scheme="light")
    page.goto(IMAGES)
    if not page.locator("#results tbody tr").count():
        register(page, ACME, NOBLE.id, NOBLE.location, name="a-noble")
        register(page, ACME, DEBIAN.id, DEBIAN.location, name="b-debian")
        page.goto(IMAGES)
    expect(page.locator("#results tbody tr")).to_have_count(2)
    return page


@pytest.mark.usefixtures("page")
def test_images_of_the_scopes_below_are_included_and_left_out_again(sign_in: SignIn) -> None:
    for scripts in (True, False):
        scalr = sign_in("scalr", java_script_enabled=scripts, color_scheme="light")
        scalr.goto("/scalr/images")
        expect(scalr.get_by_role("heading", name="No images at Scalr yet")).to_be_visible()
        expect(scalr.get_by_text("The scopes below Scalr have 2 images.")).to_be_visible()
        scalr.get_by_role("link", name="Include scopes below").press("Enter")
        expect(scalr).to_have_url("/scalr/images?q=in:below")
        rows = scalr.locator("#results tbody tr")
        expect(rows).to_have_count(2)
        expect(rows.first).to_contain_text("acme")
        if scripts:
            assert not violations(scalr)
        rows.filter(has_text="a-noble").get_by_role("link", name="a-noble").press("Enter")
        expect(scalr.get_by_role("heading", name="a-noble")).to_be_visible()
        assert IMAGES in scalr.url
        scalr.goto("/scalr/images?q=in:below")
        scalr.get_by_role("link", name="Scopes below (included)").press("Enter")
        expect(scalr).to_have_url("/scalr/images")
        scalr.goto("/scalr/overview")
        scalr.get_by_role("link", name="List these images").click()
        expect(scalr.locator("#results tbody tr")).to_have_count(2)


def test_tags_and_notes_are_entered_found_and_read_by_keyboard(page: Page) -> None:
    page.get_by_role("link", name="a-noble").press("Enter")
    page.get_by_role("link", name="Edit").press("Enter")
    page.get_by_label("Tags").fill("cis, team=web")
    page.get_by_label("Notes").fill("Ask **Alex** first.\n\n- one\n\n<b>no HTML</b>")
    page.keyboard.press("Tab")
    page.get_by_role("button", name="Save").press("Enter")
    notes = page.locator(".notes")
    expect(notes.locator("strong")).to_have_text("Alex")
    expect(notes).to_contain_text("<b>no HTML</b>")
    assert not violations(page)
    page.get_by_role("link", name="team=web").press("Enter")
    expect(page).to_have_url(f"{IMAGES}?q=tag:team%3Dweb")
    expect(page.locator("#results tbody tr")).to_have_count(1)
    box = page.get_by_label("Search images")
    box.fill("")
    box.press_sequentially("tag:te")
    expect(page.locator("#suggestions")).to_contain_text("team=web")
    box.press("Escape")
    page.goto(IMAGES)
    page.locator("#filters summary").press("Enter")
    page.locator("#filters").get_by_role("link", name="cis").press("Enter")
    expect(page.locator("#results tbody tr")).to_have_count(1)


def test_tags_and_notes_without_javascript(sign_in: SignIn, page: Page) -> None:
    expect(page.locator("#results tbody tr")).to_have_count(2)
    plain = sign_in("account", java_script_enabled=False, viewport=PHONE)
    plain.goto(IMAGES)
    plain.get_by_role("link", name="b-debian").click()
    plain.get_by_role("link", name="Edit").click()
    plain.get_by_label("Tags").fill("db")
    plain.get_by_label("Notes").fill("*Do not* change.")
    plain.get_by_role("button", name="Save").click()
    expect(plain.locator(".notes em")).to_have_text("Do not")
    plain.get_by_role("link", name="db", exact=True).click()
    expect(plain.locator("#results tbody tr")).to_have_count(1)


@pytest.mark.parametrize("scripts", [True, False])
def test_deleted_images_are_listed_and_restored(
    page: Page, sign_in: SignIn, *, scripts: bool
) -> None:
    """One image is restored at its own URL, and two from the list."""
    page = sign_in("account", java_script_enabled=scripts, color_scheme="light")
    page.goto(IMAGES)
    urls = {}
    for name in ("a-noble", "b-debian"):
        page.goto(IMAGES)
        page.get_by_role("link", name=name).press("Enter")
        expect(page.get_by_role("heading", name=name)).to_be_visible()
        urls[name] = page.url
        page.get_by_role("link", name="Delete").press("Enter")
        page.get_by_role("button", name="Delete").press("Enter")
        expect(toasts(page)).to_contain_text("deleted")
    answer = page.goto(urls["a-noble"])
    assert answer is not None
    assert answer.status == 410
    expect(page.get_by_role("heading", name="“a-noble” was deleted")).to_be_visible()
    if scripts:
        assert not violations(page)
    page.get_by_role("button", name="Restore").press("Enter")
    expect(toasts(page)).to_contain_text("“a-noble” restored.")
    page.goto(IMAGES)
    page.locator("summary", has_text="More").press("Enter")
    page.get_by_role("link", name="Recently deleted").press("Enter")
    expect(page.get_by_role("row", name="b-debian")).to_contain_text("Alex Account")
    if scripts:
        assert not violations(page)
    page.get_by_label("Select b-debian").press("Space")
    page.get_by_role("button", name="Restore selected").press("Enter")
    expect(toasts(page)).to_contain_text("restored")
    page.goto(IMAGES)
    expect(page.locator("#results tbody tr")).to_have_count(2)


def test_two_selected_images_are_compared_by_keyboard(page: Page) -> None:
    for name in ("a-noble", "b-debian"):
        page.get_by_label(f"Select {name}").press("Space")
    page.get_by_role("button", name="Compare").press("Enter")
    expect(page.get_by_role("row", name="OS family")).to_contain_text("debian")
    assert not violations(page)
    page.get_by_label("With another image").fill("no such image")
    page.keyboard.press("Enter")
    expect(page.get_by_label("With another image")).to_be_focused()
    assert not violations(page)
