"""Each cloud at an account, from the main menu to the registered image.

Some clouds have special cases: a pasted ID, an alias, a searchable list, a compute resource.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest
from playwright.sync_api import Page, expect

from e2e.conftest import PHONE, SignIn, toasts
from sandbox import aws, azure_images, gce_images, openstack_images, vmware_inventory

ACME = "/account/acme"


@dataclass(frozen=True)
class Entry:
    """The values that a person enters, and the texts that the confirmation must show."""

    cloud: str
    location: str
    image_id: str
    shows: tuple[str, ...]

    @property
    def location_label(self) -> str:
        """The label of the location field. By the specification, two clouds have another label."""
        return "Cloud Location" if self.cloud in {"OpenStack", "Azure"} else "Location"


ENTRIES = (
    Entry("AWS", "us-west-2", aws.NOBLE.id_in("us-west-2"), (aws.NOBLE.name, "/dev/sda1 (root)")),
    Entry(
        "Google Compute Engine",
        "",
        gce_images.NOBLE.family_id,
        (gce_images.NOBLE.name, "currently refers to", "Licenses"),
    ),
    Entry(
        "OpenStack",
        "RegionOne",
        openstack_images.NOBLE.image_id,
        (openstack_images.NOBLE.name, "Visibility"),
    ),
    Entry(
        "Azure",
        "",
        azure_images.NOBLE.urn("latest"),
        (azure_images.NOBLE.urn(), "currently refers to", "Hyper-V generation"),
    ),
    Entry(
        "VMware vSphere",
        vmware_inventory.COPENHAGEN.path,
        vmware_inventory.UBUNTU.name,
        (vmware_inventory.UBUNTU.name, "VMware Tools"),
    ),
)

IN_FIREFOX = {"AWS", "VMware vSphere"}
"""The clouds whose images are registered in Firefox too: one with a text field, one with a list."""


def fill_in_select_image(page: Page, entry: Entry) -> None:
    """Fill in SELECT IMAGE on the New Image page."""
    link = page.get_by_role("navigation", name="Cloud").get_by_role("link", name=entry.cloud)
    # A click on the current cloud would load its form again.
    if link.get_attribute("aria-current") is None:
        link.click()
    expect(page.locator(".clouds [aria-current]")).to_have_text(re.compile(entry.cloud))
    location = page.get_by_label(entry.location_label, exact=True)
    if entry.cloud == "VMware vSphere":
        location.select_option(entry.location)
        search = page.get_by_label("Search: Cloud Image")
        search.fill(entry.image_id[:9].upper())
        search.press("ArrowDown")
        page.get_by_label("Cloud Image", exact=True).select_option(label=entry.image_id)
        return
    if entry.cloud == "AWS":
        location.select_option(entry.location)
    elif entry.location:
        expect(location).to_have_value(entry.location)
    page.get_by_label("Cloud Image ID").fill(entry.image_id)


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(
            entry, id=entry.cloud, marks=pytest.mark.firefox if entry.cloud in IN_FIREFOX else ()
        )
        for entry in ENTRIES
    ],
)
def test_registering_an_image_at_an_account(sign_in: SignIn, entry: Entry) -> None:
    page = sign_in("account")
    page.locator("summary[aria-label='Main menu']").click()
    page.get_by_role("link", name="Add new image").click()
    fill_in_select_image(page, entry)
    page.get_by_role("button", name="NEXT").click()
    details = page.get_by_role("region", name="Image details")
    expect(details.get_by_role("heading", name="Image details")).to_be_focused()
    for words in entry.shows:
        expect(details).to_contain_text(words)
    expect(details.get_by_label("Family", exact=True)).to_have_value("ubuntu")
    expect(details.get_by_label("Name", exact=True)).not_to_have_value("")
    details.get_by_role("button", name="REGISTER").click()
    expect(toasts(page)).to_contain_text("is registered at Account acme")
    page.get_by_role("button", name="Check now").click()
    expect(page.get_by_text("Nothing has changed")).to_be_visible()
    below = sign_in("environment")
    below.get_by_label("Search images").fill(f'cloud:"{entry.cloud}"')
    expect(below.locator("#results tbody tr")).to_have_count(1)
    expect(below.locator("#results")).to_contain_text(entry.location or "All regions")


@pytest.mark.parametrize(
    ("text", "cloud", "location"),
    [
        (f"arn:aws:ec2:eu-west-1::image/{aws.DEBIAN_13.id_in('eu-west-1')}", "AWS", "eu-west-1"),
        (f"{gce_images.LINK}{gce_images.NOBLE.image_id}", "Google Compute Engine", None),
        ("Canonical:ubuntu-24_04-lts:server:latest", "Azure", ""),
    ],
)
def test_a_pasted_id_chooses_the_cloud(
    sign_in: SignIn, text: str, cloud: str, location: str | None
) -> None:
    page = sign_in("account")
    page.goto(f"{ACME}/images/new")
    page.get_by_label("Paste any image ID").fill(text)
    page.keyboard.press("Enter")
    expect(page.locator(".clouds [aria-current]")).to_have_text(re.compile(cloud))
    expect(page.get_by_role("button", name="NEXT")).to_be_focused()
    expect(page.get_by_label("Cloud Image ID")).not_to_have_value("")
    if location is not None:
        expect(page.locator("#location")).to_have_value(location)
    page.go_back()
    expect(page.get_by_label("Paste any image ID")).to_be_visible()


def test_pasting_an_ambiguous_and_an_unknown_id(sign_in: SignIn) -> None:
    page = sign_in("account")
    page.goto(f"{ACME}/images/new")
    paste = page.get_by_label("Paste any image ID")
    paste.fill(openstack_images.NOBLE.image_id)
    page.get_by_role("button", name="Go", exact=True).click()
    main = page.get_by_role("main")
    expect(main).to_contain_text("More than one cloud")
    main.get_by_role("region", name="Select image").get_by_role("link", name="OpenStack").click()
    expect(page.get_by_label("Cloud Location", exact=True)).to_have_value("RegionOne")
    expect(page.get_by_label("Cloud Image ID")).to_have_value(openstack_images.NOBLE.image_id)
    paste.fill("nonsense")
    page.get_by_role("button", name="Go", exact=True).click()
    expect(main).to_contain_text("doesn’t look like an image ID")
    expect(paste).to_have_value("nonsense")
    expect(paste).to_be_focused()


def test_a_template_can_be_registered_for_two_compute_resources(sign_in: SignIn) -> None:
    page = sign_in("globex")
    template = vmware_inventory.DEBIAN
    for attempt in range(2):
        page.goto("/account/globex/images/new/vmware")
        fill_in_select_image(
            page, Entry("VMware vSphere", vmware_inventory.COPENHAGEN.path, template.name, ())
        )
        page.get_by_role("button", name="NEXT").click()
        resource = page.get_by_label("Compute Resource")
        if attempt:
            details = page.get_by_role("region", name="Image details")
            expect(details).to_contain_text("already registered")
        first = resource.locator("option").nth(1).text_content()
        resource.select_option(label=first)
        page.get_by_role("button", name="REGISTER").click()
        expect(page.locator("main")).to_contain_text(f"Compute Resource{first}")
    page.goto("/account/globex/images?q=cloud%3Avmware")
    expect(page.locator("#results tbody tr")).to_have_count(2)


def test_an_image_is_listed_without_javascript_and_on_a_phone(sign_in: SignIn) -> None:
    template = vmware_inventory.UBUNTU
    page = sign_in("globex", java_script_enabled=False, viewport=PHONE)
    page.goto("/account/globex/images/new/vmware")
    page.get_by_role("button", name="Load the list").click()
    page.get_by_label("Location", exact=True).select_option(vmware_inventory.COPENHAGEN.path)
    page.get_by_role("button", name="Load the list").click()
    page.get_by_label("Cloud Image", exact=True).select_option(label=template.name)
    page.get_by_role("button", name="NEXT").click()
    expect(page.get_by_role("heading", name="Image details")).to_be_visible()
    page_width = page.evaluate("document.documentElement.scrollWidth")
    assert page_width <= PHONE["width"]


def test_the_credentials_form_depends_on_the_authentication_method(sign_in: SignIn) -> None:
    page = sign_in("account")
    page.goto(f"{ACME}/credentials/new/openstack")
    password = page.get_by_label("Password", exact=True)
    application = page.get_by_label("Application credential secret")
    expect(password).to_be_visible()
    expect(application).to_be_hidden()
    page.get_by_label("Authentication method").select_option("application_credential")
    expect(password).to_be_hidden()
    expect(application).to_be_visible()
    page.goto(f"{ACME}/credentials/new/gce")
    page.get_by_label("Name", exact=True).fill("From a file")
    page.locator("input[type=file]").first.set_input_files(
        {"name": "key.json", "mimeType": "application/json", "buffer": b"no json"}
    )
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("main")).to_contain_text("JSON")
    expect(page.get_by_label("Name", exact=True)).to_have_value("From a file")
