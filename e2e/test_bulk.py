"""Many images at once, the life of one, and taking a deletion back."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from e2e.conftest import PHONE, SignIn, register, toasts
from e2e.known import DEBIAN, NOBLE, OWN
from e2e.test_accessibility import complaints

ACME = "/account/acme"
IMAGES = f"{ACME}/images"


@pytest.fixture
def page(sign_in: SignIn) -> Page:
    """The Images page with two images of the account, and one that it inherits."""
    page = sign_in("account")
    page.goto(IMAGES)
    if not page.locator("#results tbody tr").count():
        above = sign_in("scalr")
        register(above, "/scalr", OWN.id, OWN.location, name="golden")
        register(page, ACME, NOBLE.id, NOBLE.location, name="a-noble")
        register(page, ACME, DEBIAN.id, DEBIAN.location, name="b-debian")
        page.goto(IMAGES)
    expect(rows_of(page)).to_have_count(3)
    return page


def rows_of(page: Page) -> Locator:
    return page.locator("#results tbody tr")


def preview(page: Page, action: str) -> None:
    """Of what is ticked."""
    page.get_by_label("What to do with the selected images").select_option(label=action)
    page.get_by_role("button", name="Continue").click()


def done(page: Page, text: str = "Done.") -> Locator:
    """The outcomes of a job, once it is over; the page tells by itself."""
    expect(page.locator("#job")).to_contain_text(text)
    return page.locator("#job tbody tr")


def test_the_ticked_ones(page: Page) -> None:
    expect(page.locator("#bulk")).to_contain_text("None selected")
    expect(rows_of(page).filter(has_text="golden").get_by_role("checkbox")).to_have_count(0)
    page.get_by_label("Select all of this page").check()
    expect(page.locator("#bulk")).to_contain_text("2 selected")
    page.get_by_label("Select b-debian").uncheck()
    expect(page.locator("#bulk")).to_contain_text("1 selected")
    page.get_by_label("Select b-debian").check()
    preview(page, "Set: agent not installed")
    expect(page.get_by_role("heading", level=1)).to_have_text("Set: agent not installed: 2 images")
    assert not complaints(page)
    page.get_by_role("button", name="Set: agent not installed: 2 images").click()
    expect(done(page)).to_have_count(2)
    assert not complaints(page)
    page.get_by_role("link", name="Back to the images").click()
    expect(rows_of(page).filter(has_text="Not installed")).to_have_count(2)
    page.get_by_label("Select a-noble").check()
    preview(page, "Set: agent not installed")
    expect(page.locator("#main")).to_contain_text("Nothing would change.")


def test_all_that_match_are_deleted_and_brought_back(page: Page) -> None:
    # The search that HTMX brought in counts, not the one that the page began with.
    page.locator("#q").fill("-os:debian")
    expect(rows_of(page)).to_have_count(2)
    page.get_by_label("All that match, on every page").check()
    preview(page, "Delete")
    expect(page.get_by_role("heading", level=1)).to_have_text("Delete: 1 image")
    main = page.locator("#main")
    expect(main).to_contain_text("1 image of the selected is inherited from above")
    expect(main).to_contain_text("Environment acme / production")
    expect(main).to_contain_text("for 24 hours the deletion can be undone")
    assert not complaints(page)
    page.get_by_role("button", name="Delete: 1 image").click()
    expect(done(page)).to_contain_text("a-noble")
    page.get_by_role("link", name="Back to the images").click()
    expect(page).to_have_url(re.compile("q=-os"))
    expect(rows_of(page)).to_have_count(1)
    page.go_back()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("heading", name="Registered here")).to_be_visible()
    expect(toasts(page)).to_contain_text("“a-noble” is registered here again.")
    expect(page.locator(".entries")).to_contain_text("restored the deleted image")


def test_a_job_tells_by_itself_how_far_it_is(page: Page) -> None:
    """Checking asks the clouds, so the page does not wait for it."""
    page.get_by_label("Select all of this page").check()
    preview(page, "Check now")
    page.get_by_role("button", name="Check now: 2 images").click()
    rows = done(page, "2 of 2")
    expect(rows.filter(has_text="Unchanged")).to_have_count(2)
    expect(page.get_by_role("button", name="Stop")).to_have_count(0)
    rows.first.get_by_role("link").click()
    expect(page.get_by_role("heading", name="Registered here")).to_be_visible()


def test_the_life_of_an_image(page: Page, sign_in: SignIn) -> None:
    page.get_by_role("link", name="b-debian").click()
    page.get_by_role("link", name="Deprecate or retire").click()
    page.get_by_label("Deprecated").check()
    page.get_by_label("From").fill("2020-01-31")
    page.get_by_label("Reason").fill("Debian 12 is old.")
    successor = page.get_by_label("Successor")
    successor.press_sequentially("a-nob")
    offered = page.locator("#successors option")
    expect(offered).to_have_count(1)
    successor.fill("b-debian")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("An image cannot be its own successor.")).to_be_visible()
    expect(successor).to_be_focused()
    expect(page.get_by_label("Reason")).to_have_value("Debian 12 is old.")
    assert not complaints(page)
    successor.fill("a-noble")
    page.get_by_role("button", name="Save").click()
    expect(toasts(page)).to_contain_text("The image is deprecated.")
    assert not complaints(page)
    below = sign_in("viewer", viewport=PHONE)
    below.goto("/environment/acme/production/images?q=status:deprecated")
    below.get_by_role("link", name="b-debian").click()
    expect(below.locator("#image")).to_contain_text("Deprecated since 2020-01-31")
    expect(below.locator("#image")).to_contain_text("Debian 12 is old.")
    below.locator(".alert").get_by_role("link", name="a-noble").click()
    expect(below.get_by_role("heading", level=1)).to_contain_text("a-noble")
    page.goto(f"{IMAGES}?q=status:deprecated")
    expect(rows_of(page)).to_contain_text("Deprecated")
    page.get_by_label("Select b-debian").check()
    preview(page, "Make active again")
    page.get_by_role("button", name="Make active again: 1 image").click()
    done(page)
    page.goto(f"{IMAGES}?q=status:deprecated")
    expect(page.get_by_role("heading", name="No image matches")).to_be_visible()


def test_what_is_refused_is_told(page: Page) -> None:
    page.get_by_label("Select all of this page").check()
    preview(page, "Deprecate")
    page.get_by_label("Successor").fill("a-noble")
    page.get_by_role("button", name="Deprecate: 2 images").click()
    rows = done(page)
    expect(rows.first).to_contain_text("An image cannot be its own successor.")
    assert not complaints(page)
    page.get_by_role("link", name=re.compile(r"Done\s*1")).click()
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("b-debian")
    page.get_by_role("link", name="Back to the images").click()
    page.get_by_label("Select all of this page").check()
    preview(page, "Make active again")
    expect(page.locator("#main")).to_contain_text("1 image is so already and stays as it is.")
    page.get_by_role("button", name="Make active again: 1 image").click()
    done(page)


def test_one_deletion_is_undone_from_its_toast(page: Page) -> None:
    page.get_by_role("link", name="a-noble").click()
    page.get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Delete").click()
    expect(rows_of(page)).to_have_count(2)
    assert not complaints(page)
    toasts(page).get_by_role("button", name="Undo").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("a-noble")
    page.goto(IMAGES)
    expect(rows_of(page)).to_have_count(3)


@pytest.mark.usefixtures("page")
def test_without_javascript_and_on_a_phone(sign_in: SignIn) -> None:
    plain = sign_in("account", java_script_enabled=False, viewport=PHONE)
    plain.goto(IMAGES)
    plain.get_by_role("button", name="Continue").scroll_into_view_if_needed()
    plain.get_by_label("What to do with the selected images").select_option(label="Delete")
    plain.get_by_role("button", name="Continue").click()
    expect(toasts(plain)).to_contain_text("Select images first")
    for box in ("Select a-noble", "Select b-debian"):
        plain.get_by_label(box).check()
    preview(plain, "Retire")
    fits(plain)
    plain.get_by_label("From").fill("2999-12-31")
    plain.get_by_role("button", name="Retire: 2 images").click()
    expect(done(plain)).to_have_count(2)
    fits(plain)
    plain.locator("#job").get_by_role("link", name="a-noble").click()
    expect(plain.locator("#image")).to_contain_text("Will be retired on 2999-12-31.")
    fits(plain)
    plain.get_by_role("link", name="Change status").click()
    expect(plain.get_by_label("Retired")).to_be_checked()
    expect(plain.get_by_label("From")).to_have_value("2999-12-31")
    fits(plain)
    plain.get_by_label("Active").check()
    plain.get_by_role("button", name="Save").click()
    expect(toasts(plain)).to_contain_text("The image is active.")
    plain.get_by_role("link", name="Delete").click()
    plain.get_by_role("button", name="Delete").click()
    toasts(plain).get_by_role("button", name="Undo").click()
    expect(toasts(plain)).to_contain_text("“a-noble” is registered here again.")


def fits(page: Page) -> None:
    """Nothing has to be scrolled to the side."""
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
