"""The application without JavaScript, with only a keyboard, and on a phone."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from e2e.conftest import PHONE, SignIn, register, tab_to, toasts
from e2e.sandbox_amis import DEBIAN, NOBLE, OWN, WINDOWS, Ami
from sandbox.vmware_inventory import COPENHAGEN, UBUNTU

PAGES = (
    "images",
    "images/new",
    "credentials",
    "credentials/new/aws",
    "members",
    "environments",
    "audit",
    "bookmarks",
)


def test_an_image_is_registered_and_found_without_javascript(sign_in: SignIn) -> None:
    page = sign_in("account", java_script_enabled=False)
    page.locator("summary[aria-label='Main menu']").click()
    page.get_by_role("link", name="Add new image").click()
    page.get_by_label("Location").select_option(NOBLE.location)
    page.get_by_label("Cloud Image ID").fill("ami-0000000000000dead")
    page.get_by_role("button", name="NEXT").click()
    expect(page.get_by_role("alert")).to_contain_text("ami-0000000000000dead")
    page.get_by_label("Cloud Image ID").fill(NOBLE.id)
    page.get_by_role("button", name="NEXT").click()
    page.get_by_label("Version", exact=True).select_option("debian|12")
    page.get_by_role("button", name="REGISTER").click()
    expect(page.get_by_text("Choose a version of Ubuntu.")).to_be_visible()
    page.get_by_label("Version", exact=True).select_option("ubuntu|24.04")
    page.get_by_role("button", name="REGISTER").click()
    expect(toasts(page)).to_contain_text("is registered at")
    expect(page.locator("time").first).to_contain_text("UTC")
    page.get_by_role("button", name="Check now").click()
    expect(page.get_by_text("Nothing has changed")).to_be_visible()
    page.get_by_role("link", name="Compare").click()
    page.get_by_label("With another image").fill("no such image")
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.get_by_text("There is no image with the ID")).to_be_visible()
    expect(page.get_by_label("With another image")).to_have_value("no such image")
    page.get_by_label("With another image").fill(NOBLE.id)
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.get_by_text("No differences.").first).to_be_visible()
    page.get_by_role("navigation", name="Breadcrumb").get_by_role("link").last.click()
    page.get_by_role("button", name="to the bookmarks bar").click()
    page.get_by_role("link", name="Manage bookmarks").click()
    page.get_by_role("button", name="Move up").last.click()
    page.get_by_role("navigation", name="Bookmarks").get_by_role(
        "link", name="Images", exact=True
    ).click()
    page.get_by_label("Search images").fill("noble")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("#results tbody tr")).to_have_count(1)
    page.locator("summary", has_text="Account acme").click()
    page.get_by_role("link", name="All scopes").click()
    page.get_by_role("link", name="staging").click()
    expect(page).to_have_url("/environment/acme/staging/images")


@pytest.mark.firefox
def test_an_image_is_registered_by_keyboard(sign_in: SignIn) -> None:
    page = sign_in("account")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    tab_to(page, "summary[aria-label='Main menu']")
    page.keyboard.press("Enter")
    page.keyboard.type("images")
    tab_to(page, "a.add")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="New Image")).to_be_visible()
    tab_to(page, "#location")
    page.keyboard.type(DEBIAN.location)
    tab_to(page, "#image_id")
    page.keyboard.type(DEBIAN.id)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Image details")).to_be_focused()
    tab_to(page, "#agent_installed")
    page.keyboard.press("Space")
    tab_to(page, ".image-details button.btn-primary")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Not installed")).to_be_visible()
    tab_to(page, "button.copy")
    tab_to(page, "form[hx-post$='check'] button")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").filter(has_text="Nothing has changed")).to_be_focused()


@pytest.mark.firefox
def test_a_template_is_registered_by_keyboard(sign_in: SignIn) -> None:
    page = sign_in("account")
    page.goto("/account/acme/images")
    page.keyboard.press("n")
    expect(page.get_by_role("heading", name="New Image")).to_be_visible()
    tab_to(page, "#cloud-vmware")
    page.keyboard.press("Enter")
    expect(page.locator("#cloud-vmware[aria-current]")).to_be_focused()
    datacenter = page.get_by_label("Location", exact=True)
    expect(datacenter.locator("option", has_text=COPENHAGEN.path)).to_be_attached()
    tab_to(page, "#location")
    page.keyboard.type(COPENHAGEN.path)
    expect(datacenter).to_have_value(COPENHAGEN.path)
    tab_to(page, "input[aria-controls='image_id']")
    page.keyboard.type("ubuntu 24")
    templates = page.get_by_label("Cloud Image", exact=True)
    expect(templates.locator("option")).to_have_text(UBUNTU.name)
    page.keyboard.press("ArrowDown")
    expect(templates).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Image details")).to_be_focused()
    tab_to(page, "#compute_resource")
    page.keyboard.press("ArrowDown")
    tab_to(page, ".image-details button.btn-primary")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text(UBUNTU.name)


@pytest.mark.parametrize(("scheme", "ami"), [("light", OWN), ("dark", WINDOWS)])
def test_pages_fit_a_phone(sign_in: SignIn, scheme: str, ami: Ami) -> None:
    page = sign_in("account", viewport=PHONE, color_scheme=scheme, has_touch=True)
    register(page, "/account/acme", ami.id, ami.location, name="from-the-phone")
    page.goto(f"/account/acme/images?q={ami.id}")
    page.locator("#results").get_by_role("link", name="from-the-phone").tap()
    expect(page.get_by_role("heading", name="From the cloud")).to_be_visible()
    too_wide = []
    for url in (page.url, *(f"/account/acme/{each}" for each in PAGES)):
        page.goto(url)
        page.wait_for_load_state("networkidle")
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            too_wide.append(url)
    assert not too_wide
