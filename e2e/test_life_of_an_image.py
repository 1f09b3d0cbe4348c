"""After registering: turn sharing off and on, promote, edit, check again, delete."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from e2e.conftest import SignIn, register, toasts
from e2e.sandbox_amis import DEBIAN, NOBLE, OWN, WINDOWS


def test_sharing_is_stopped_and_started_again(sign_in: SignIn) -> None:
    owner, below = sign_in("account"), sign_in("environment")
    register(owner, "/account/acme", NOBLE.id, NOBLE.location, name="shared one")
    below.reload()
    expect(below.get_by_role("link", name="shared one")).to_be_visible()
    owner.get_by_role("link", name="Stop sharing").click()
    expect(owner.locator("main")).to_contain_text("Environment acme / production")
    owner.get_by_role("button", name="Stop sharing").click()
    expect(toasts(owner)).to_contain_text("no longer")
    below.reload()
    expect(below.get_by_role("link", name="shared one")).to_have_count(0)
    owner.get_by_role("link", name="Share", exact=True).click()
    owner.get_by_role("button", name="Share", exact=True).click()
    below.reload()
    expect(below.get_by_role("link", name="shared one")).to_be_visible()


def test_an_image_is_promoted(sign_in: SignIn) -> None:
    admin = sign_in("account")
    register(admin, "/environment/acme/production", DEBIAN.id, DEBIAN.location, name="promoted one")
    admin.get_by_role("link", name="Promote", exact=True).click()
    admin.get_by_role("button", name="Promote").click()
    expect(admin).to_have_url(re.compile(r"/account/acme/images/\d+$"))
    expect(toasts(admin)).to_contain_text("Image promoted to Account acme")
    admin.goto("/environment/acme/staging/images")
    expect(admin.get_by_role("link", name="promoted one")).to_be_visible()


def test_an_image_is_edited_checked_and_deleted(sign_in: SignIn) -> None:
    page = sign_in("account")
    register(page, "/account/acme", OWN.id, OWN.location, name="edited one")
    page.get_by_role("link", name="Edit", exact=True).click()
    page.get_by_label("Size").fill("40")
    page.get_by_label("Scalr Agent Installed").uncheck()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("40 GB", exact=True)).to_be_visible()
    page.get_by_role("button", name="Check now").click()
    expect(page.get_by_role("status").filter(has_text="Nothing has changed")).to_be_focused()
    expect(page.get_by_role("listitem").filter(has_text="edited the image")).to_be_visible()
    page.get_by_role("link", name="Delete", exact=True).click()
    expect(page.locator("main")).to_contain_text("isn’t affected")
    page.get_by_role("button", name="Delete").click()
    expect(toasts(page)).to_contain_text("isn’t affected")


def test_a_viewer_cannot_change_an_image(sign_in: SignIn) -> None:
    admin, viewer = sign_in("account"), sign_in("viewer")
    register(admin, "/account/acme", WINDOWS.id, WINDOWS.location, name="visible")
    viewer.reload()
    expect(viewer.get_by_role("link", name="New Image")).to_have_count(0)
    viewer.get_by_role("link", name="visible").click()
    expect(viewer.get_by_role("heading", name="History")).to_be_visible()
    for name in ("Edit", "Delete", "Promote"):
        expect(viewer.get_by_role("link", name=name, exact=True)).to_have_count(0)
    expect(viewer.get_by_role("button", name="Check now")).to_have_count(0)
