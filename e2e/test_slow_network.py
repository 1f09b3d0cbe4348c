"""New Image and searches on a slow network: nothing that a person enters is lost.

In most tests, every answer of the server is delayed by 600 ms, and the person types meanwhile.
"""

from __future__ import annotations

import contextlib
import re

import pytest
from playwright.sync_api import Error, Page, Route, expect

from e2e.conftest import SignIn, tab_to, toasts
from e2e.sandbox_amis import DEBIAN
from e2e.test_every_cloud import ENTRIES, Entry
from webapp.clouds import CLOUDS

ACME = "/account/acme"
DELAY_MS = 600
KEYS = {cloud.label: key for key, cloud in CLOUDS.items()}


def slow_down(page: Page) -> None:
    """Delay every answer of the server."""
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": DELAY_MS, "downloadThroughput": -1, "uploadThroughput": -1},
    )


@pytest.fixture
def page(sign_in: SignIn) -> Page:
    page = sign_in("account")
    slow_down(page)
    return page


def enter_by_keyboard(page: Page, entry: Entry) -> None:
    """Choose and type everything immediately. Wait only for the lists of VMware vSphere."""
    if entry.cloud == "VMware vSphere":
        tab_to(page, "#location")
        expect(page.locator("#location option", has_text="Copenhagen")).to_be_attached()
        page.keyboard.type(entry.location)
        tab_to(page, "input[aria-controls=image_id]")
        page.keyboard.type(entry.image_id[:9], delay=20)
        expect(page.locator("#image_id option", has_text=entry.image_id)).to_be_attached()
        page.keyboard.press("Enter")
        expect(page.locator("#image_id")).to_be_focused()
        return
    if entry.location and entry.cloud == "AWS":
        tab_to(page, "#location")
        page.keyboard.type(entry.location)
    elif entry.location:
        tab_to(page, "#location")
        page.keyboard.press("Control+A")
        page.keyboard.type(entry.location, delay=20)
    tab_to(page, "#image_id")
    page.keyboard.type(entry.image_id, delay=20)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.cloud)
def test_the_whole_wizard_by_keyboard(page: Page, entry: Entry) -> None:
    page.goto(f"{ACME}/images/new/{KEYS[entry.cloud]}")
    enter_by_keyboard(page, entry)
    image_id = page.locator("#image_id").input_value()
    page.keyboard.press("Enter")
    details = page.get_by_role("region", name="Image details")
    expect(details.get_by_role("heading", name="Image details")).to_be_focused()
    for words in entry.shows:
        expect(details).to_contain_text(words)
    # Back shows the first step as it was.
    page.go_back()
    expect(page.locator("#image_id")).to_have_value(image_id)
    if entry.location:
        expect(page.locator("#location")).to_have_value(entry.location)
    page.go_forward()
    expect(details.get_by_role("heading", name="Image details")).to_be_visible()
    tab_to(page, ".image-details #name")
    page.keyboard.press("Control+A")
    page.keyboard.type("by keyboard")
    page.keyboard.press("Enter")
    expect(toasts(page)).to_contain_text("“by keyboard” is registered at")


def add_unreachable_aws_credentials(page: Page) -> None:
    page.goto("/account/globex/credentials/new/aws")
    for label, value in {
        "Name": "Unreachable",
        "Access key ID": "AKIAEXAMPLE12345",
        "Secret access key": "not a real secret",
        "Endpoint URL": "http://127.0.0.1:9",
    }.items():
        page.get_by_label(label, exact=True).fill(value)
    page.get_by_role("button", name="Save").click()
    page.get_by_label("Save without checking").check()
    page.get_by_label("Secret access key", exact=True).fill("not a real secret")
    page.get_by_role("button", name="Save").click()
    expect(toasts(page)).to_contain_text("saved")


def test_what_is_entered_right_after_choosing_credentials_stays(sign_in: SignIn) -> None:
    page = sign_in("globex")
    add_unreachable_aws_credentials(page)
    page.goto("/account/globex/images/new/aws")
    expect(page.locator("#credentials option:checked")).to_have_text("Unreachable")
    page.wait_for_load_state("networkidle")
    slow_down(page)
    tab_to(page, "#credentials")
    page.keyboard.type("Sandbox")
    tab_to(page, "#location")
    page.keyboard.type("eu-west-1")
    tab_to(page, "#image_id")
    with page.expect_response(lambda answer: "live=1" in answer.url):
        page.keyboard.type("ami-0123", delay=20)
    page.keyboard.type("4567", delay=200)
    expect(page.locator("#credentials option:checked")).to_have_text("Sandbox AWS")
    expect(page.locator("#location")).to_have_value("eu-west-1")
    expect(page.locator("#image_id")).to_have_value("ami-01234567")
    expect(page.locator("#image_id")).to_be_focused()


def test_a_correction_during_the_look_up_stays(page: Page) -> None:
    page.goto(f"{ACME}/images/new/aws")
    page.get_by_label("Paste any image ID").fill("typed before")
    page.get_by_label("Location").select_option("eu-west-1")
    image_id = page.locator("#image_id")
    image_id.fill("ami-0000000000000dead")
    image_id.press("Enter")
    image_id.press("End")
    page.keyboard.type("beef")
    for _ in range(4):
        page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("alert")).to_contain_text("ami-0000000000000dead")
    page.keyboard.type("-")
    expect(image_id).to_have_value("ami-0000000000000dead-beef")
    expect(page.get_by_label("Paste any image ID")).to_have_value("typed before")


def test_the_current_cloud_keeps_its_form_and_back_returns_to_it(page: Page) -> None:
    page.goto(f"{ACME}/images/new/aws")
    page.get_by_label("Location").select_option("eu-west-1")
    page.locator("#image_id").fill("ami-0123")
    clouds = page.get_by_role("navigation", name="Cloud")
    with page.expect_response("**/new/aws"):
        clouds.get_by_role("link", name="AWS").click()
    expect(page.locator("#image_id")).to_have_value("ami-0123")
    expect(page.get_by_label("Location")).to_have_value("eu-west-1")
    clouds.get_by_role("link", name="Azure").click()
    expect(page.get_by_label("Cloud Location")).to_be_visible()
    page.go_back()
    expect(page.locator("#image_id")).to_have_value("ami-0123")
    expect(page.get_by_label("Location")).to_have_value("eu-west-1")


def test_a_late_answer_for_a_form_that_was_replaced_changes_nothing(sign_in: SignIn) -> None:
    page = sign_in("account")
    held: list[Route] = []
    page.route("**/new/*live=1*", lambda route: held.append(route))  # noqa: PLW0108  Playwright inspects the handler's signature
    page.goto(f"{ACME}/images/new/aws")
    page.get_by_label("Location").select_option("eu-west-1")
    clouds = page.get_by_role("navigation", name="Cloud")
    for cloud, label in (("AWS", "Location"), ("OpenStack", "Cloud Location")):
        before = len(held)
        with page.expect_request("**/new/*live=1*"):
            clouds.get_by_role("link", name=cloud).click()
        expect(page.get_by_label(label, exact=True)).to_be_visible()
        late = held[before - 1]
        with contextlib.suppress(Error):  # The browser may have canceled the request.
            late.fulfill(response=late.fetch())
        page.wait_for_timeout(300)
        if cloud == "AWS":
            expect(page.get_by_label("Location")).to_have_value("eu-west-1")
    expect(page.locator("#locations option")).to_have_count(0)


def test_typing_continues_while_results_arrive(page: Page) -> None:
    page.goto(f"{ACME}/images")
    box = page.get_by_label("Search images")
    with page.expect_response("**/images?q=*"):
        box.press_sequentially("nob", delay=20)
    page.wait_for_timeout(DELAY_MS)
    with page.expect_response(re.compile("q=noble")):
        box.press_sequentially("le", delay=20)
        page.keyboard.press("Tab")
    expect(box).to_have_value("noble")
    expect(page).to_have_url(re.compile("q=noble"))
    page.locator("summary", has_text="Account acme").click()
    scopes = page.get_by_label("Filter scopes")
    scopes.press_sequentially("stag", delay=150)
    with page.expect_response(re.compile("q=staging")):
        scopes.press_sequentially("ing", delay=150)
    expect(scopes).to_have_value("staging")
    expect(scopes).to_be_focused()


def test_a_search_is_one_entry_of_the_history(sign_in: SignIn) -> None:
    page = sign_in("account")
    page.goto(f"{ACME}/overview")
    page.goto(f"{ACME}/images")
    box = page.get_by_label("Search images")
    for typed, searched in (("no", "no"), ("bl", "nobl"), ("e", "noble")):
        box.press_sequentially(typed)
        expect(page).to_have_url(re.compile(f"q={searched}(&|$)"))
    box.press("Enter")
    page.wait_for_load_state("networkidle")
    box.fill("debian")
    expect(page).to_have_url(re.compile("q=debian"))
    page.go_back()
    expect(page).to_have_url(re.compile("q=noble"))
    expect(box).to_have_value("noble")
    page.go_back()
    expect(page).to_have_url(f"{ACME}/images")
    expect(box).to_have_value("")
    page.go_back()
    expect(page).to_have_url(f"{ACME}/overview")


def test_a_search_typed_before_the_scripts_have_loaded(page: Page) -> None:
    held: list[Route] = []
    page.route("**/search.js*", lambda route: held.append(route))  # noqa: PLW0108  Playwright inspects the handler's signature
    page.goto(f"{ACME}/images", wait_until="commit")
    page.get_by_label("Search images").press_sequentially("os:debian")
    held[0].continue_()
    expect(page.get_by_role("list", name="Search terms")).to_contain_text("OS: Debian")


def test_a_button_that_moves_while_it_is_pressed_is_clicked(sign_in: SignIn) -> None:
    page = sign_in("account", viewport={"width": 1440, "height": 1200})
    held: list[Route] = []
    page.route("**/images/copies", lambda route: held.append(route))  # noqa: PLW0108  Playwright inspects the handler's signature
    page.goto(f"{ACME}/images/new/aws")
    page.get_by_label("Location").select_option(DEBIAN.location)
    page.get_by_label("Cloud Image ID").fill(DEBIAN.id)
    with page.expect_request("**/images/copies"):
        page.get_by_role("button", name="NEXT").click()
    button = page.get_by_role("button", name="REGISTER")
    button.hover()
    before = button.bounding_box()
    page.mouse.down()
    held.pop().continue_()
    expect(page.get_by_text("Also found in")).to_be_visible()
    assert button.bounding_box() != before
    page.mouse.up()
    expect(page.get_by_role("heading", name="Registration")).to_be_visible()
