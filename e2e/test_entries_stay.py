"""New Image and Edit keep the values that a person enters, or refuse them with a reason."""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest
from playwright.sync_api import Page, expect

from e2e.conftest import SignIn, register, toasts
from e2e.sandbox_amis import AMAZON_LINUX, DEBIAN, NOBLE, OWN, WINDOWS, Ami

ACME = "/account/acme"
WRONG_SIZES = ["1-2", "4e", "٣٣", "2,5", "0x10", "1.5", "1_0"]


def look_up(page: Page, ami: Ami) -> None:
    page.goto(f"{ACME}/images/new/aws")
    page.get_by_label("Location").select_option(ami.location)
    page.get_by_label("Cloud Image ID").fill(ami.id)
    page.get_by_role("button", name="NEXT").click()
    expect(page.get_by_role("heading", name="Image details")).to_be_visible()


def type_over(page: Page, label: str, text: str) -> None:
    """Replace the text of a field by typing. `fill` could enter a text that nobody can type."""
    page.get_by_label(label, exact=True).select_text()
    page.keyboard.type(text)


def test_a_size_that_is_no_number_is_refused_and_stays(sign_in: SignIn) -> None:
    page = sign_in("account")
    look_up(page, WINDOWS)
    for size in WRONG_SIZES:
        type_over(page, "Size", size)
        page.get_by_role("button", name="REGISTER").click()
        expect(page.get_by_role("main")).to_contain_text("whole number of GB")
        expect(page.get_by_label("Size")).to_have_value(size)
    type_over(page, "Size", "40")
    page.get_by_role("button", name="REGISTER").click()
    expect(page.get_by_text("40 GB", exact=True)).to_be_visible()
    page.get_by_role("link", name="Edit").click()
    for size in WRONG_SIZES:
        type_over(page, "Size", size)
        page.get_by_role("button", name="Save changes").click()
        expect(page.get_by_role("main")).to_contain_text("whole number of GB")
        expect(page.get_by_label("Size")).to_have_value(size)


def test_a_date_that_is_incomplete_is_refused(sign_in: SignIn) -> None:
    page = sign_in("account")
    register(page, ACME, NOBLE.id, NOBLE.location, name="incomplete date")
    page.goto(f"{page.url}/life-cycle")
    page.get_by_label("Deprecated").check()
    page.get_by_label("From").press("Delete")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("main")).to_contain_text("Enter a date, such as")


def test_an_id_stays_on_reload_while_its_field_has_the_focus(sign_in: SignIn) -> None:
    page = sign_in("account")
    page.goto(f"{ACME}/images/new/aws")
    page.get_by_label("Cloud Image ID").press_sequentially("ami-0typed")
    expect(page).to_have_url(re.compile("image_id=ami-0typed$"))
    page.reload()
    expect(page.get_by_label("Cloud Image ID")).to_have_value("ami-0typed")


def test_the_confirmation_keeps_entries_on_reload_back_and_forward(sign_in: SignIn) -> None:
    page = sign_in("account")
    look_up(page, DEBIAN)

    def expect_entries() -> None:
        expect(page.get_by_label("Name", exact=True)).to_have_value("typed name")
        expect(page.get_by_label("Size")).to_have_value("x7")
        expect(page.get_by_label("Version", exact=True)).to_have_value("ubuntu|22.04")
        expect(page.get_by_label("Shared")).not_to_be_checked()

    type_over(page, "Name", "typed name")
    type_over(page, "Size", "x7")
    page.get_by_label("Family", exact=True).select_option("Ubuntu")
    page.get_by_label("Version", exact=True).select_option("ubuntu|22.04")
    page.get_by_label("Shared").uncheck()
    page.reload()
    expect_entries()
    page.go_back()
    expect(page.get_by_label("Cloud Image ID")).to_have_value(DEBIAN.id)
    page.go_forward()
    expect_entries()
    # A browser replaces the history entry of a page that is left before it has loaded.
    page.wait_for_load_state()
    page.get_by_role("button", name="REGISTER").click()
    expect(page.get_by_role("main")).to_contain_text("whole number of GB")
    page.go_back()
    expect_entries()
    page.get_by_role("button", name="BACK").click()
    page.get_by_role("button", name="NEXT").click()
    expect_entries()
    # The confirmation of another image has none of these entries.
    page.get_by_role("button", name="BACK").click()
    page.get_by_label("Cloud Image ID").fill(AMAZON_LINUX.id)
    page.get_by_label("Location").select_option(AMAZON_LINUX.location)
    page.get_by_role("button", name="NEXT").click()
    expect(page.get_by_role("heading", name="Image details")).to_be_visible()
    expect(page.get_by_label("Name", exact=True)).not_to_have_value("typed name")
    expect(page.get_by_label("Size")).not_to_have_value("x7")


class Step(NamedTuple):
    cloud: str
    location: str
    image_id: str


STEPS = [
    Step("aws", OWN.location, OWN.id),
    Step("gce", "", "ubuntu-os-cloud/global/images/ubuntu-2404-noble-amd64-v20260601"),
    Step("openstack", "RegionOne", "657fa213-d5bf-48b0-a282-e0dfd03ead13"),
    Step("azure", "", "Canonical:ubuntu-24_04-lts:server:latest"),
]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.cloud)
def test_back_without_javascript_keeps_the_first_step(sign_in: SignIn, step: Step) -> None:
    page = sign_in("account", java_script_enabled=False)
    page.goto(f"{ACME}/images/new/{step.cloud}")
    if step.cloud == "aws":
        page.locator("#location").select_option(step.location)
    page.locator("#image_id").fill(step.image_id)
    page.get_by_role("button", name="NEXT").click()
    page.wait_for_url("**/confirm?*")
    page.go_back()
    expect(page.locator("#image_id")).to_have_value(step.image_id)
    if step.location:
        expect(page.locator("#location")).to_have_value(step.location)


def test_the_confirmation_keeps_entries_without_javascript(sign_in: SignIn) -> None:
    page = sign_in("account", java_script_enabled=False)
    look_up(page, DEBIAN)
    page.get_by_label("Name", exact=True).fill("typed name")
    page.get_by_label("Size").fill("x7")
    page.go_back()
    page.go_forward()
    expect(page.get_by_label("Name", exact=True)).to_have_value("typed name")
    expect(page.get_by_label("Size")).to_have_value("x7")
    page.get_by_role("button", name="REGISTER").click()
    expect(page.get_by_role("main")).to_contain_text("whole number of GB")
    page.go_back()
    expect(page.get_by_label("Name", exact=True)).to_have_value("typed name")
    expect(toasts(page)).to_be_empty()


@pytest.mark.parametrize("java_script_enabled", [True, False])
def test_back_keeps_the_entries_of_both_steps_by_keyboard(
    sign_in: SignIn, java_script_enabled: bool
) -> None:
    page = sign_in("account", java_script_enabled=java_script_enabled)
    look_up(page, DEBIAN)
    page.get_by_label("Name", exact=True).fill("typed name")
    page.get_by_label("Size").fill("x7")
    page.get_by_label("Shared").uncheck()
    page.get_by_role("button", name="BACK").press("Enter")
    expect(page.get_by_label("Cloud Image ID")).to_have_value(DEBIAN.id)
    expect(page.get_by_label("Location")).to_have_value(DEBIAN.location)
    page.get_by_label("Cloud Image ID").press("Enter")
    expect(page.get_by_label("Name", exact=True)).to_have_value("typed name")
    expect(page.get_by_label("Size")).to_have_value("x7")
    expect(page.get_by_label("Shared")).not_to_be_checked()
    # Enter in a field presses REGISTER.
    page.get_by_label("Size").press("Enter")
    expect(page.get_by_role("main")).to_contain_text("whole number of GB")
    expect(page.get_by_label("Name", exact=True)).to_have_value("typed name")


def test_a_long_name_without_spaces_does_not_widen_the_list(sign_in: SignIn) -> None:
    page = sign_in("account")
    register(page, ACME, OWN.id, OWN.location, name="n" * 160)
    page.goto(f"{ACME}/images?q={OWN.id}")
    table = page.locator("#results .table-wide")
    assert table.evaluate("element => element.scrollWidth <= element.clientWidth")
