"""The Images page: search while typing, tokens, filters, sorting, shortcuts, and URLs of states."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import FloatRect, Locator, Page, Route, expect

from e2e.conftest import PHONE, SignIn, register
from e2e.sandbox_amis import DEBIAN, NOBLE, OWN

IMAGES = "/account/acme/images"


@pytest.fixture
def page(sign_in: SignIn) -> Page:
    """Return the Images page of an account with two images."""
    page = sign_in("account")
    page.goto(IMAGES)
    if not page.locator("#results tbody tr").count():
        register(page, "/account/acme", NOBLE.id, NOBLE.location, name="a-noble")
        register(page, "/account/acme", DEBIAN.id, DEBIAN.location, name="b-debian")
        page.goto(IMAGES)
    expect(page.locator("#results tbody tr")).to_have_count(2)
    return page


@pytest.mark.firefox
def test_the_list_is_searched_and_sorted(page: Page) -> None:
    rows, box = page.locator("#results tbody tr"), page.get_by_label("Search images")
    expect(rows.first).to_contain_text("b-debian")
    page.get_by_role("link", name="Image", exact=True).click()
    expect(rows.first).to_contain_text("a-noble")
    expect(page).to_have_url(f"{IMAGES}?sort=name")
    box.press_sequentially("noble")
    expect(rows).to_have_count(1)
    expect(page).to_have_url(f"{IMAGES}?q=noble&sort=name")
    expect(box).to_be_focused()
    expect(page.locator("#count")).to_have_text("1 image found")
    page.reload()
    expect(rows).to_have_count(1)
    page.go_back()
    expect(rows).to_have_count(2)
    box.fill("nothing at all")
    expect(page.get_by_role("heading", name="No images match your search")).to_be_visible()
    expect(page.get_by_label("Select all images on this page")).to_have_count(0)
    page.get_by_role("link", name="Clear search").click()
    expect(rows).to_have_count(2)
    expect(page.get_by_label("Select all images on this page")).to_be_visible()


def test_tokens_become_chips_that_can_be_removed(page: Page) -> None:
    rows, box = page.locator("#results tbody tr"), page.get_by_label("Search images")
    box.fill("-os:debian agent:yes clod:aws")
    chips = page.get_by_role("list", name="Search terms")
    expect(chips).to_contain_text("Not OS: Debian")
    expect(rows).to_have_count(1)
    expect(page.locator("#results")).to_contain_text("Did you mean “cloud:”?")
    page.get_by_role("link", name="Remove Not OS: Debian").click()
    expect(rows).to_have_count(2)
    expect(page.get_by_label("Search images")).to_have_value("agent:yes clod:aws")


def test_suggestions_are_chosen_by_keyboard(page: Page) -> None:
    rows, box = page.locator("#results tbody tr"), page.get_by_label("Search images")
    box.press_sequentially("deb")
    listbox = page.get_by_role("listbox", name="Suggestions")
    expect(listbox.get_by_role("option", name=re.compile("os:debian"))).to_be_visible()
    expect(box).to_have_attribute("aria-expanded", "true")
    expect(box).to_have_attribute("aria-controls", "suggested")
    box.press("ArrowDown")
    expect(listbox.get_by_role("option").first).to_have_attribute("aria-selected", "true")
    box.press("Enter")
    expect(box).to_have_value("os:debian ")
    expect(box).to_be_focused()
    expect(rows).to_have_count(1)
    expect(rows.first).to_contain_text("b-debian")
    box.fill("")
    box.press_sequentially("age")
    expect(listbox.get_by_role("option").first).to_contain_text("agent:")
    box.fill("")
    box.press_sequentially("s")
    options = listbox.get_by_role("option")
    expect(options.first).to_contain_text("scope:")
    box.press("ArrowUp")
    expect(options.last).to_have_attribute("aria-selected", "true")
    box.press("ArrowUp")
    expect(options.nth(-2)).to_have_attribute("aria-selected", "true")
    box.press("ArrowDown")
    expect(options.last).to_have_attribute("aria-selected", "true")
    box.press("Escape")
    expect(listbox).to_be_hidden()
    expect(box).not_to_have_attribute("aria-controls", "suggested")


def test_filter_menus_count_and_write_tokens(page: Page) -> None:
    page.locator("#filters > summary").click()
    menu = page.get_by_role("region", name="OS")
    expect(menu.get_by_role("link", name=re.compile(r"Debian\s+1"))).to_be_visible()
    menu.get_by_role("link", name=re.compile("Debian")).click()
    expect(page).to_have_url(f"{IMAGES}?q=os:debian")
    expect(page.locator("#results tbody tr")).to_have_count(1)
    chosen = page.get_by_role("region", name="OS").get_by_role("link", name=re.compile("selected"))
    expect(chosen).to_contain_text("Debian")
    chosen.click()
    expect(page.locator("#results tbody tr")).to_have_count(2)


def test_several_filters_are_chosen_before_the_panel_closes(page: Page) -> None:
    page.locator("#filters > summary").click()
    systems, clouds = (
        page.get_by_role("region", name="OS"),
        page.get_by_role("region", name="Cloud"),
    )
    debian = systems.get_by_role("link", name=re.compile("Debian"))
    # The second choice is made before the response to the first choice arrives.
    debian.evaluate(
        """(debian) => {
            debian.focus();
            debian.click();
            document.querySelector("#filter-panel section:first-child a").click();
        }"""
    )
    expect(page).to_have_url(f"{IMAGES}?q=os:debian+cloud:aws")
    expect(systems.get_by_role("link", name=re.compile("selected"))).to_contain_text("Debian")
    expect(clouds.get_by_role("link", name=re.compile("selected"))).to_contain_text("AWS")
    expect(page.locator("#filters")).to_have_attribute("open", "")
    expect(page.locator("[data-filter-count]")).to_have_text("2")
    expect(debian).to_be_focused()
    debian.press("Enter")
    expect(page).to_have_url(f"{IMAGES}?q=cloud:aws")
    expect(debian).to_be_focused()
    page.get_by_role("heading", name="Images").click()
    expect(page.locator("#filters")).not_to_have_attribute("open", "")


def test_panels_close_when_the_focus_leaves_them(page: Page) -> None:
    for name in ("Filters", "Views", "Columns", "More"):
        panel = page.locator("details[data-panel]").filter(
            has=page.locator("summary", has_text=name)
        )
        panel.locator("summary").press("Enter")
        expect(panel).to_have_attribute("open", "")
        for _ in range(60):
            if panel.evaluate("panel => !panel.contains(document.activeElement)"):
                break
            page.keyboard.press("Tab")
        expect(panel).not_to_have_attribute("open", "")


def test_the_focus_stays_in_the_filters_while_they_are_loaded(page: Page) -> None:
    waiting: list[Route] = []

    def hold(route: Route) -> None:
        waiting.append(route)

    page.route("**/images/filters?**", hold)
    panel = page.locator("#filters")
    with page.expect_request("**/images/filters?**"):
        panel.locator("summary").press("Enter")
    page.keyboard.press("Tab")
    expect(panel.locator("#filter-panel a")).to_be_focused()
    waiting[0].continue_()
    expect(panel.locator("[data-choice]").first).to_be_visible()
    assert panel.evaluate("panel => panel.contains(document.activeElement)")


def test_filters_opened_before_the_script_has_run_are_loaded(page: Page) -> None:
    waiting: list[Route] = []

    def hold(route: Route) -> None:
        waiting.append(route)

    page.route("**/images.js?**", hold)
    page.reload(wait_until="commit")
    panel = page.locator("#filters")
    panel.locator("summary").click()
    expect(panel).to_have_attribute("open", "")
    expect(panel.locator("[data-choice]")).to_have_count(0)
    waiting[0].continue_()
    expect(panel.locator("[data-choice]").first).to_be_visible()


def test_enter_opens_the_only_match_of_the_menu_filter(page: Page) -> None:
    page.locator("summary[aria-label='Main menu']").click()
    box = page.get_by_placeholder("Filter menu")
    expect(box).to_be_focused()
    box.fill("e")
    box.press("Enter")
    expect(box).to_be_focused()
    box.fill("audit")
    box.press("Enter")
    expect(page.get_by_role("heading", name="Audit log")).to_be_visible()
    page.locator("summary[aria-label='Main menu']").click()
    box.fill("new cloud cred")
    box.press("Enter")
    expect(page).to_have_url("/account/acme/credentials/new")


def test_keyboard_shortcuts(page: Page) -> None:
    page.keyboard.press("j")
    expect(page.get_by_role("link", name="b-debian")).to_be_focused()
    page.keyboard.press("j")
    expect(page.get_by_role("link", name="a-noble")).to_be_focused()
    page.keyboard.press("x")
    expect(page.get_by_label("Select a-noble")).to_be_checked()
    page.keyboard.press("k")
    expect(page.get_by_role("link", name="b-debian")).to_be_focused()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    expect(page.get_by_label("Search images")).to_be_focused()
    page.keyboard.type("njkx?/")
    expect(page.get_by_label("Search images")).to_have_value("njkx?/")
    expect(page).to_have_url(re.compile(re.escape(IMAGES)))
    page.goto(IMAGES)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Registration")).to_be_visible()
    page.go_back()
    page.keyboard.press("n")
    expect(page).to_have_url("/account/acme/images/new")


def test_times_are_relative_and_ids_can_be_copied(page: Page) -> None:
    time = page.locator("#results time").first
    expect(time).to_have_text(re.compile("ago|now|second|minute"))
    expect(time).to_have_attribute("data-absolute", re.compile(r"20\d\d"))
    expect(page.get_by_role("button", name=f"Copy {DEBIAN.id}")).to_be_visible()


@pytest.mark.usefixtures("page")
def test_searching_without_javascript_and_on_a_phone(sign_in: SignIn) -> None:
    plain = sign_in("account", java_script_enabled=False, viewport=PHONE)
    plain.goto(IMAGES)
    plain.get_by_label("Search images").fill("os:debian")
    plain.get_by_role("button", name="Search").click()
    expect(plain.locator("#results tbody tr")).to_have_count(1)
    plain.locator("#filters > summary").click()
    plain.get_by_role("link", name="All filters").click()
    plain.get_by_role("link", name=re.compile("Ubuntu")).click()
    expect(plain).to_have_url(re.compile("os:ubuntu|os%3Aubuntu"))
    plain.wait_for_load_state()
    overflow = plain.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert overflow <= 0


def test_an_unknown_id_can_be_registered_from_the_search(sign_in: SignIn) -> None:
    page = sign_in("account")
    page.get_by_label("Search images").fill(OWN.id)
    page.get_by_role("link", name="Register this image").click()
    expect(page.get_by_label("Cloud Image ID")).to_have_value(OWN.id)


def test_panels_and_searches_keep_the_bookmarks_bar_and_the_url(page: Page) -> None:
    bar = page.get_by_role("navigation", name="Bookmarks")
    box = page.get_by_label("Search images")
    box.press_sequentially("cloud:aws noble")
    tab = bar.get_by_role("link", name="Images, AWS, “noble”")
    expect(tab).to_have_attribute("aria-current", "page")
    title = page.title()
    page.locator("#filters summary").click()
    expect(page.locator("#filter-menus")).to_be_visible()
    expect(tab).to_be_visible()
    expect(bar.get_by_role("button", name="Pin Images")).to_be_visible()
    assert page.title() == title
    page.keyboard.press("Escape")
    box.fill("")
    expect(page).to_have_url(IMAGES)
    expect(bar.get_by_role("link")).to_have_count(1)
    expect(bar.get_by_role("link")).to_have_attribute("aria-current", "page")
    box.press_sequentially("noble ")
    expect(page).to_have_url(f"{IMAGES}?q=noble")
    page.keyboard.press("Escape")
    page.locator("#more").locator("xpath=..").locator("summary").click()
    expect(page.locator("#exports")).to_contain_text("Export 1 image: “noble”")


def rectangle(locator: Locator) -> FloatRect:
    found = locator.bounding_box()
    assert found is not None
    return found


@pytest.mark.parametrize(("density", "height"), [("Comfortable", 44), ("Compact", 34)])
def test_rows_are_low_and_long_texts_are_cut(page: Page, density: str, height: int) -> None:
    """At these heights, 14 or 20 rows fit into a window of 1440 × 900 pixels."""
    page.set_viewport_size({"width": 1440, "height": 900})
    page.locator("summary", has_text="Columns").click()
    page.get_by_label(density).check()
    page.get_by_role("button", name="Save").click()
    row = page.locator("#results tbody tr").first
    name, image_id = row.locator("a.fw-bold"), row.locator(".image-id span")
    assert rectangle(row)["height"] <= height
    assert rectangle(row)["y"] < 240
    row_width = rectangle(row)["width"]
    name.evaluate("element => { element.textContent = 'golden-image-'.repeat(20) }")
    image_id.evaluate("element => { element.textContent = 'x'.repeat(300) }")
    assert rectangle(row)["width"] == row_width
    assert rectangle(row)["height"] <= height + 20
    page.locator("h1").hover()
    name.hover()
    assert name.get_attribute("title") == "golden-image-" * 20
    page.keyboard.press("j")
    name.press("Shift+Tab")
    page.keyboard.press("Tab")
    expect(name).to_be_focused()
    assert rectangle(name)["height"] > 40
    assert name.evaluate("element => element.scrollHeight <= element.clientHeight + 1")


def test_a_row_has_two_tab_stops(page: Page) -> None:
    rows = page.locator("#results tbody tr")
    rows.first.get_by_role("checkbox").focus()
    page.keyboard.press("Tab")
    expect(rows.first.locator("a.fw-bold")).to_be_focused()
    page.keyboard.press("Tab")
    expect(rows.nth(1).get_by_role("checkbox")).to_be_focused()


def test_a_phone_shows_three_images(page: Page) -> None:
    page.set_viewport_size({"width": PHONE["width"], "height": PHONE["height"]})
    row = page.locator("#results tbody tr").first
    assert rectangle(row)["y"] + 3 * rectangle(row)["height"] <= PHONE["height"]
    page.get_by_label("Select all on this page").check()
    expect(page.locator("#bulk")).to_contain_text("2 selected")
    page.get_by_role("button", name="Clear selection").click()
    page.locator(".row-tools summary").click()
    page.locator(".row-tools").get_by_role("link", name="Image").click()
    expect(page).to_have_url(f"{IMAGES}?sort=name")


def test_the_filters_button_counts_the_filters(page: Page) -> None:
    badge = page.locator("[data-filter-count]")
    expect(badge).to_be_hidden()
    page.locator("#q").fill("cloud:aws os:debian web")
    expect(badge).to_have_text("2")
    page.locator("#q").fill("")
    expect(badge).to_be_hidden()


def test_the_list_is_refreshed_and_keeps_the_selection_and_the_focus(
    page: Page, sign_in: SignIn
) -> None:
    page.goto(f"{IMAGES}?q=noble&sort=name")
    page.get_by_label("Select a-noble").check()
    length = page.evaluate("history.length")
    register(sign_in("scalr"), "/scalr", OWN.id, OWN.location, name="shared-noble")
    refresh = page.get_by_role("link", name="Refresh the list")
    refresh.press("Enter")
    expect(page.locator("#results tbody tr")).to_have_count(2)
    expect(page.get_by_label("Select a-noble")).to_be_checked()
    expect(refresh).to_be_focused()
    expect(page.locator("[data-list-status]")).to_contain_text("List refreshed at")
    expect(page.locator("[data-list-status]")).to_contain_text("Sorted by Image, ascending.")
    expect(page).to_have_url(f"{IMAGES}?q=noble&sort=name")
    assert page.evaluate("history.length") == length
    plain = sign_in("account", java_script_enabled=False)
    plain.goto(f"{IMAGES}?q=noble&sort=name")
    plain.get_by_role("link", name="Refresh the list").click()
    expect(plain).to_have_url(f"{IMAGES}?q=noble&sort=name")
    expect(plain.locator("#results tbody tr")).to_have_count(2)
