"""Several images at once in the browser: pasted IDs, a selection in Browse, and other regions."""

from __future__ import annotations

from dataclasses import replace

import pytest
from playwright.sync_api import Page, expect

from e2e.conftest import SignIn, register, tab_to
from e2e.sandbox_amis import AMAZON_LINUX, DEBIAN, NOBLE, OWN, WINDOWS
from e2e.test_accessibility import violations
from sandbox import aws

SECONDS = 30_000


def expect_registered(page: Page, count: int) -> None:
    expect(page.get_by_role("heading", name=f"Register {count} image")).to_be_visible(
        timeout=SECONDS
    )
    expect(page.get_by_text(f"{count} of {count} processed")).to_be_visible(timeout=SECONDS)


def test_pasted_ids_are_reviewed_and_registered(sign_in: SignIn) -> None:
    page = sign_in("scalr", color_scheme="light")
    register(page, "/scalr", OWN.id, OWN.location)
    page.goto("/environment/globex/lab/images/new/aws?location=us-east-1")
    page.get_by_role("link", name="Paste several IDs").click()
    page.get_by_label("Image IDs").fill(f"{AMAZON_LINUX.id}\n{NOBLE.id}\n{OWN.id}\nnonsense")
    page.get_by_role("button", name="Look up images").click()
    expect(page.get_by_role("heading", name="Review images")).to_be_visible(timeout=SECONDS)
    expect(page.get_by_text("2 lines have errors")).to_be_visible()
    expect(page.get_by_role("link", name="Open the image")).to_be_visible()
    assert not violations(page)
    page.get_by_role("button", name="Register 2 images").click()
    expect(page.get_by_text("4 of 4 processed")).to_be_visible(timeout=SECONDS)


def test_images_are_browsed_and_selected_with_the_keyboard(sign_in: SignIn) -> None:
    page = sign_in("scalr")
    page.goto("/environment/acme/staging/images/new/aws")
    page.get_by_label("Location").select_option("us-east-1")
    link = page.get_by_role("link", name="Browse your clouds")
    link.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Location")).to_have_value("us-east-1")
    page.get_by_label("Search", exact=True).fill("globex")
    page.keyboard.press("Enter")
    count = page.locator("#browse-count")
    expect(count).to_be_focused(timeout=SECONDS)
    expect(count).to_contain_text("1 image match")
    expect(page.get_by_text(f"Shared by {aws.PARTNER}")).to_be_visible()
    tab_to(page, "input[name=image_id]")
    page.keyboard.press("Space")
    page.get_by_role("button", name="Review selected images").press("Enter")
    expect(page.get_by_role("heading", name="Review images")).to_be_visible(timeout=SECONDS)
    page.get_by_label("Operating system").fill("Debian 13")
    page.get_by_role("button", name="Update review").click()
    page.get_by_role("button", name="Register 1 image").click(timeout=SECONDS)
    expect_registered(page, 1)


def test_show_more_adds_images_and_keeps_the_selection(
    sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = [
        replace(aws.ACME_IMAGE, number=number, name=f"build-{number}")
        for number in range(0x10000, 0x10000 + 700)
    ]
    monkeypatch.setattr(aws, "CATALOG", many)
    page = sign_in("scalr")
    with aws.start() as url:
        page.goto("/scalr/credentials/new/aws")
        page.get_by_label("Name", exact=True).fill("Many images")
        for label, name in (
            ("Access key ID", "access_key_id"),
            ("Secret access key", "secret_access_key"),
            ("Endpoint URL", "endpoint_url"),
        ):
            page.get_by_label(label).fill(aws.credentials(url)[name])
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("heading", name="Cloud credentials")).to_be_visible()
        page.goto("/scalr/images/new/aws/browse")
        page.get_by_label("Cloud Credentials").select_option(label="Many images")
        page.get_by_label("Location").select_option("us-east-1")
        page.get_by_role("button", name="List images").click()
        count, boxes = page.locator("#browse-count"), page.locator("input[name=image_id]")
        expect(count).to_contain_text(
            "images are listed. The cloud has more images.", timeout=SECONDS
        )
        boxes.first.check()
        more = page.get_by_role("link", name="Show more images")
        while more.count():
            # On a slow machine, a page of the list can end before it is full.
            listed = boxes.count()
            more.press("Enter")
            expect(boxes).not_to_have_count(listed, timeout=SECONDS)
            expect(boxes.nth(listed)).to_be_focused()
    expect(count).to_contain_text("700 images.")
    expect(boxes).to_have_count(700)
    expect(boxes.first).to_be_checked()


def test_the_same_image_in_other_regions_is_registered_too(sign_in: SignIn) -> None:
    page = sign_in("scalr")
    page.goto(
        "/environment/globex/lab/images/new/aws/confirm"
        f"?credentials=1&location={WINDOWS.location}&image_id={WINDOWS.id}"
    )
    others = page.get_by_role("group", name="Also found in")
    expect(others).to_be_visible(timeout=SECONDS)
    others.get_by_label("eu-west-1").check()
    page.get_by_label("Name", exact=True).fill("windows everywhere")
    page.get_by_role("button", name="REGISTER").click()
    expect_registered(page, 2)
    expect(page.get_by_role("link", name="windows everywhere")).to_have_count(2)


def test_another_image_keeps_what_was_chosen(sign_in: SignIn) -> None:
    page = sign_in("scalr")
    page.goto(
        "/environment/globex/lab/images/new/aws/confirm"
        f"?credentials=1&location={DEBIAN.location}&image_id={DEBIAN.id}"
    )
    page.get_by_role("button", name="ADD ANOTHER").click()
    expect(page.get_by_label("Location")).to_have_value(DEBIAN.location)
    expect(page.get_by_label("Cloud Image ID")).to_have_value("")
