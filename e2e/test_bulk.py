"""Bulk actions, the life cycle of one image, and undoing a deletion."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from e2e.conftest import PHONE, SignIn, register, toasts
from e2e.sandbox_amis import DEBIAN, NOBLE, OWN
from e2e.test_accessibility import violations

ACME = "/account/acme"
IMAGES = f"{ACME}/images"


@pytest.fixture
def page(sign_in: SignIn) -> Page:
    """Return the Images page with two images of the account and one inherited image."""
    page = sign_in("account")
    page.goto(IMAGES)
    if not page.locator("#results tbody tr").count():
        scalr_page = sign_in("scalr")
        register(scalr_page, "/scalr", OWN.id, OWN.location, name="golden")
        register(page, ACME, NOBLE.id, NOBLE.location, name="a-noble")
        register(page, ACME, DEBIAN.id, DEBIAN.location, name="b-debian")
        page.goto(IMAGES)
    expect(rows_of(page)).to_have_count(3)
    return page


def rows_of(page: Page) -> Locator:
    return page.locator("#results tbody tr")


def open_preview(page: Page, action: str) -> None:
    """Open the preview of an action for the selected images."""
    page.get_by_label("Action for the selected images").select_option(label=action)
    page.get_by_role("button", name="Continue").click()


def select_all_matching(page: Page) -> None:
    page.locator("summary", has_text="More").click()
    page.get_by_role("button", name="Select all matching images").click()


def wait_until_done(page: Page, text: str = "Done.") -> Locator:
    """Wait until the page shows that the job has ended, and return its rows."""
    expect(page.locator("#job")).to_contain_text(text)
    return page.locator("#job tbody tr")


@pytest.mark.firefox
def test_selected_images_are_changed(page: Page) -> None:
    expect(page.locator("#bulk")).to_be_hidden()
    expect(rows_of(page).filter(has_text="golden").get_by_role("checkbox")).to_have_count(0)
    page.get_by_label("Select all images on this page").check()
    expect(page.locator("#bulk")).to_contain_text("2 selected")
    page.get_by_label("Select b-debian").uncheck()
    expect(page.locator("#bulk")).to_contain_text("1 selected")
    expect(page.get_by_label("Search images")).to_be_hidden()
    page.get_by_label("Select b-debian").check()
    open_preview(page, "Mark agent as not installed")
    expect(page.get_by_role("heading", level=1)).to_have_text(
        "Mark agent as not installed on 2 images"
    )
    assert not violations(page)
    page.get_by_role("button", name="Mark agent as not installed on 2 images").click()
    expect(wait_until_done(page)).to_have_count(2)
    assert not violations(page)
    page.get_by_role("link", name="Back to images").click()
    expect(rows_of(page).filter(has_text="Not installed")).to_have_count(2)
    page.get_by_label("Select a-noble").check()
    open_preview(page, "Mark agent as not installed")
    expect(page.locator("#main")).to_contain_text("There is nothing to change.")


@pytest.mark.firefox
def test_all_matching_images_are_deleted_and_restored(page: Page) -> None:
    # The search that HTMX loaded applies, not the search that the page was opened with.
    page.locator("#q").fill("-os:debian")
    expect(rows_of(page)).to_have_count(2)
    select_all_matching(page)
    open_preview(page, "Delete")
    expect(page.get_by_role("heading", level=1)).to_have_text("Delete 1 image")
    main = page.locator("#main")
    expect(main).to_contain_text("1 image is inherited and will be skipped.")
    expect(main).to_contain_text("Environment acme / production")
    expect(main).to_contain_text("You can undo the deletion for 24 hours.")
    assert not violations(page)
    page.get_by_role("button", name="Delete 1 image").click()
    expect(wait_until_done(page)).to_contain_text("a-noble")
    page.get_by_role("link", name="Back to images").click()
    expect(page).to_have_url(re.compile("q=-os"))
    expect(rows_of(page)).to_have_count(1)
    page.go_back()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("heading", name="Registration")).to_be_visible()
    expect(toasts(page)).to_contain_text("“a-noble” restored.")
    expect(page.locator(".entries")).to_contain_text("restored the deleted image")


def test_the_page_of_a_job_shows_its_progress(page: Page) -> None:
    """A check calls the clouds, so the request that starts it does not wait for the results."""
    page.get_by_label("Select all images on this page").check()
    open_preview(page, "Check now")
    page.get_by_role("button", name="Check 2 images now").click()
    rows = wait_until_done(page, "2 of 2")
    expect(rows.filter(has_text="No change")).to_have_count(2)
    expect(page.get_by_role("link", name="Stop")).to_have_count(0)
    rows.first.get_by_role("link").click()
    expect(page.get_by_role("heading", name="Registration")).to_be_visible()


def test_the_life_cycle_of_an_image(page: Page, sign_in: SignIn) -> None:
    page.get_by_role("link", name="b-debian").click()
    page.get_by_role("link", name="Deprecate or retire").click()
    page.get_by_label("Deprecated").check()
    page.get_by_label("From").fill("2020-01-31")
    page.get_by_label("Reason").fill("Debian 12 is old.")
    successor = page.get_by_label("Successor")
    successor.press_sequentially("a-nob")
    options = page.locator("#successors option")
    expect(options).to_have_count(1)
    successor.fill("b-debian")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("An image can’t be its own successor.")).to_be_visible()
    expect(successor).to_be_focused()
    expect(page.get_by_label("Reason")).to_have_value("Debian 12 is old.")
    assert not violations(page)
    successor.fill("a-noble")
    page.get_by_role("button", name="Save").click()
    expect(toasts(page)).to_contain_text("The image is now deprecated.")
    assert not violations(page)
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
    open_preview(page, "Reactivate")
    page.get_by_role("button", name="Reactivate 1 image").click()
    wait_until_done(page)
    page.goto(f"{IMAGES}?q=status:deprecated")
    expect(page.get_by_role("heading", name="No images match your search")).to_be_visible()


def test_refused_images_are_listed(page: Page) -> None:
    page.get_by_label("Select all images on this page").check()
    open_preview(page, "Deprecate")
    page.get_by_label("Successor").fill("a-noble")
    page.get_by_role("button", name="Deprecate 2 images").click()
    rows = wait_until_done(page)
    expect(rows.first).to_contain_text("An image can’t be its own successor.")
    assert not violations(page)
    page.get_by_role("link", name=re.compile(r"Done\s*1")).click()
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("b-debian")
    page.get_by_role("link", name="Back to images").click()
    page.get_by_label("Select all images on this page").check()
    open_preview(page, "Reactivate")
    expect(page.locator("#main")).to_contain_text("1 image won’t change.")
    page.get_by_role("button", name="Reactivate 1 image").click()
    wait_until_done(page)


def test_a_deletion_is_undone_from_its_toast(page: Page) -> None:
    page.get_by_role("link", name="a-noble").click()
    page.get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Delete").click()
    expect(rows_of(page)).to_have_count(2)
    assert not violations(page)
    toasts(page).get_by_role("button", name="Undo").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("a-noble")
    page.goto(IMAGES)
    expect(rows_of(page)).to_have_count(3)


@pytest.mark.usefixtures("page")
def test_bulk_actions_without_javascript_and_on_a_phone(sign_in: SignIn) -> None:
    plain = sign_in("account", java_script_enabled=False, viewport=PHONE)
    plain.goto(IMAGES)
    plain.get_by_role("button", name="Continue").scroll_into_view_if_needed()
    plain.get_by_label("Action for the selected images").select_option(label="Delete")
    plain.get_by_role("button", name="Continue").click()
    expect(toasts(plain)).to_contain_text("Select at least one image")
    plain.get_by_label("Select a-noble").check()
    plain.get_by_role("button", name="Compare").click()
    expect(toasts(plain)).to_contain_text("Select exactly two images")
    expect(plain.get_by_label("Select a-noble")).to_be_checked()
    plain.get_by_label("Select b-debian").check()
    open_preview(plain, "Retire")
    plain.get_by_role("link", name="Cancel").click()
    for box in ("Select a-noble", "Select b-debian"):
        expect(plain.get_by_label(box)).to_be_checked()
    open_preview(plain, "Retire")
    assert_fits(plain)
    plain.get_by_label("From").fill("2099-12-31")
    plain.get_by_role("button", name="Retire 2 images").click()
    expect(wait_until_done(plain)).to_have_count(2)
    assert_fits(plain)
    plain.locator("#job").get_by_role("link", name="a-noble").click()
    expect(plain.locator("#image")).to_contain_text("Will be retired on 2099-12-31 (UTC).")
    assert_fits(plain)
    plain.get_by_role("link", name="Change status").click()
    expect(plain.get_by_label("Retired")).to_be_checked()
    expect(plain.get_by_label("From")).to_have_value("2099-12-31")
    assert_fits(plain)
    plain.get_by_label("Active").check()
    plain.get_by_role("button", name="Save").click()
    expect(toasts(plain)).to_contain_text("The image is now active.")
    plain.get_by_role("link", name="Delete").click()
    plain.get_by_role("button", name="Delete").click()
    toasts(plain).get_by_role("button", name="Undo").click()
    expect(toasts(plain)).to_contain_text("“a-noble” restored.")


def assert_fits(page: Page) -> None:
    """Assert that the page does not scroll horizontally."""
    page.wait_for_load_state()
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_all_matching_images_are_counted_as_selected(page: Page) -> None:
    everything = page.get_by_label("All matching images on every page")
    selected = page.locator("[data-selected-count]")
    expect(selected).to_be_hidden()
    select_all_matching(page)
    expect(everything).to_be_focused()
    expect(selected).to_have_text("All 3 selected")
    page.get_by_role("link", name="Image", exact=True).click()
    expect(page).to_have_url(f"{IMAGES}?sort=name")
    expect(selected).to_have_text("All 3 selected")
    page.get_by_role("button", name="Clear selection").click()
    page.get_by_label("Search images").press_sequentially("noble")
    expect(rows_of(page)).to_have_count(1)
    expect(selected).to_be_hidden()
    page.get_by_label("Select all images on this page").check()
    expect(selected).to_have_text("1 selected")
    everything.check()
    expect(selected).to_have_text("All 1 selected")


def test_a_mistyped_filter_never_selects_all_images(page: Page) -> None:
    page.get_by_label("Search images").press_sequentially("status:retird")
    expect(page.locator("#results")).to_contain_text("“retird” isn’t a valid value")
    select_all_matching(page)
    open_preview(page, "Delete")
    expect(page.get_by_role("heading", name="Correct your search first")).to_be_visible()
    expect(page.get_by_label("Search images")).to_have_value("status:retird")
    page.get_by_label("Search images").fill("noble")
    page.get_by_role("button", name="Search").click()
    expect(rows_of(page)).to_have_count(1)


def test_the_selection_survives_sorting(page: Page) -> None:
    page.get_by_label("Select a-noble").check()
    sort = page.get_by_role("link", name="Image", exact=True)
    sort.press("Enter")
    expect(page).to_have_url(f"{IMAGES}?sort=name")
    expect(page.get_by_label("Select a-noble")).to_be_checked()
    expect(page.get_by_label("Select b-debian")).not_to_be_checked()
    expect(page.locator("[data-selected-count]")).to_have_text("1 selected")
    expect(sort).to_be_focused()
    expect(page.locator("[data-list-status]")).to_have_text("Sorted by Image, ascending.")
