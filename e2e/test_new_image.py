"""New Image at each scope: the scopes that see the image, error messages, and input that stays."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Route, expect

from e2e.conftest import SignIn, register, toasts
from e2e.sandbox_amis import AMAZON_LINUX, DEBIAN, NOBLE, OWN, WINDOWS

ENVIRONMENTS = ("acme/production", "acme/staging", "globex/lab")


@pytest.mark.parametrize(
    ("who", "scope", "ami", "sees"),
    [
        ("scalr", "/scalr", NOBLE, ENVIRONMENTS),
        ("account", "/account/acme", DEBIAN, ENVIRONMENTS[:2]),
        ("environment", "/environment/acme/production", WINDOWS, ENVIRONMENTS[:1]),
    ],
)
def test_a_registered_image_is_visible_below_but_not_at_siblings(
    sign_in: SignIn, who: str, scope: str, ami: tuple[str, str], sees: tuple[str, ...]
) -> None:
    page = sign_in(who)
    page.locator("summary[aria-label='Main menu']").click()
    page.get_by_role("link", name="Add new image").click()
    expect(page).to_have_url(f"{scope}/images/new")
    page.get_by_label("Location").select_option(ami[1])
    page.get_by_label("Cloud Image ID").fill(f"  {ami[0]} ")
    page.get_by_role("button", name="NEXT").click()
    details = page.get_by_role("region", name="Image details")
    expect(details.get_by_role("heading", name="Image details")).to_be_focused()
    expect(details).to_contain_text("Suggested from")
    expect(details).to_contain_text("can’t be verified")
    expect(details.get_by_label("Scalr Agent Installed")).to_be_checked()
    warning = details.get_by_text("The Scalr agent isn’t installed on this image.")
    expect(warning).to_be_hidden()
    details.get_by_label("Scalr Agent Installed").uncheck()
    expect(warning).to_be_visible()
    details.get_by_label("Scalr Agent Installed").check()
    expect(warning).to_be_hidden()
    expect(details.get_by_label("Shared")).to_have_count(0 if who == "environment" else 1)
    expect(page.get_by_role("region", name="Select image")).to_contain_text(ami[0])
    details.get_by_label("Name", exact=True).fill(f"approved at {who}")
    details.get_by_role("button", name="REGISTER").click()
    expect(toasts(page)).to_contain_text("is registered at")
    expect(page.get_by_role("heading", name=f"approved at {who}")).to_be_visible()
    scalr_page = sign_in("scalr")
    for path in ENVIRONMENTS:
        scalr_page.goto(f"/environment/{path}/images?q={ami[0]}")
        shown = scalr_page.get_by_role("link", name=f"approved at {who}")
        expect(shown).to_have_count(1 if path in sees else 0)


def test_an_error_keeps_the_input_and_says_what_to_do(sign_in: SignIn) -> None:
    page = sign_in("account")
    page.goto("/account/acme/images/new/aws")
    page.get_by_label("Location").select_option("eu-west-1")
    image_id = page.get_by_label("Cloud Image ID")
    image_id.fill("ami-123")
    page.get_by_role("button", name="NEXT").click()
    expect(image_id).to_be_focused()
    expect(image_id).to_have_attribute("aria-invalid", "true")
    # A response that arrives later must not remove the error.
    page.wait_for_load_state("networkidle")
    expect(image_id).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_role("main")).to_contain_text("too short")
    expect(image_id).to_have_value("ami-123")
    image_id.fill("ami-0000000000000dead")
    page.get_by_role("button", name="NEXT").click()
    expect(page.get_by_role("alert")).to_contain_text("ami-0000000000000dead")
    expect(page.get_by_label("Location")).to_have_value("eu-west-1")
    expect(image_id).to_have_value("ami-0000000000000dead")
    # The URL contains the input, so reloading repeats the look-up.
    page.reload()
    expect(page.get_by_role("alert")).to_contain_text("ami-0000000000000dead")


def test_back_keeps_the_chosen_values_and_the_url_can_be_shared(sign_in: SignIn) -> None:
    page = sign_in("account")
    page.goto("/account/acme/images/new")
    page.get_by_label("Location").select_option(OWN.location)
    page.get_by_label("Cloud Image ID").fill(OWN.id)
    page.get_by_role("button", name="NEXT").click()
    volumes = page.get_by_role("table")
    expect(volumes).to_contain_text("(root)")
    expect(volumes.get_by_role("row")).to_have_count(4)
    confirm_url = page.url
    page.get_by_role("button", name="BACK").click()
    expect(page.get_by_label("Cloud Image ID")).to_have_value(OWN.id)
    expect(page.get_by_label("Location")).to_have_value(OWN.location)
    page.goto(confirm_url)
    expect(page.get_by_role("heading", name="Image details")).to_be_visible()


def test_a_registered_image_is_linked_and_not_registered_again(sign_in: SignIn) -> None:
    page = sign_in("account")
    register(page, "/account/acme", OWN.id, OWN.location, name="once")
    below = sign_in("environment")
    below.goto("/environment/acme/production/images/new/aws")
    below.get_by_label("Location").select_option(OWN.location)
    below.get_by_label("Cloud Image ID").fill(OWN.id)
    below.get_by_role("button", name="NEXT").click()
    expect(below.get_by_role("alert")).to_contain_text("already registered")
    below.get_by_role("alert").get_by_role("link", name="once").click()
    expect(below.get_by_role("note").filter(has_text="inherited")).to_be_visible()


def test_the_versions_depend_on_the_family(sign_in: SignIn) -> None:
    page = sign_in("globex")
    page.goto(
        "/account/globex/images/new/aws/confirm?credentials=1"
        f"&location={DEBIAN.location}&image_id={DEBIAN.id}"
    )
    version = page.get_by_label("Version", exact=True)
    expect(page.get_by_label("Family", exact=True)).to_have_value("debian")
    page.get_by_label("Family", exact=True).select_option("Ubuntu")
    expect(version.locator("option", has_text="Noble")).to_have_count(1)
    expect(version.locator("option", has_text="Bookworm")).to_have_count(0)
    version.select_option("other")
    page.get_by_label("Other version").fill("27.04")
    page.get_by_role("button", name="REGISTER").click()
    expect(page.get_by_text("Ubuntu 27.04")).to_be_visible()


def test_the_chosen_location_stays_when_live_locations_arrive(sign_in: SignIn) -> None:
    """The page first shows default locations, and the cloud's own locations arrive later."""
    page = sign_in("account")
    delayed: list[Route] = []
    page.route("**/new/aws?live=1*", lambda route: delayed.append(route))  # noqa: PLW0108  Playwright inspects the handler's signature
    with page.expect_request("**/new/aws?live=1*"):
        page.goto("/account/acme/images/new/aws")
    location = page.get_by_label("Location")
    expect(location.locator("option", has_text="not enabled")).to_have_count(0)
    location.select_option("us-west-2")
    page.get_by_label("Cloud Image ID").focus()
    delayed[0].continue_()
    expect(location.locator("option", has_text="not enabled").first).to_be_attached()
    expect(location).to_have_value("us-west-2")


@pytest.mark.parametrize("size", [(1440, 900), (1024, 700), (390, 844)])
def test_register_is_always_in_view(sign_in: SignIn, size: tuple[int, int]) -> None:
    page = sign_in("account")
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.goto(
        f"/account/acme/images/new/aws/confirm?location={AMAZON_LINUX.location}&image_id={AMAZON_LINUX.id}"
    )
    # When the search in other locations ends, the form becomes longer.
    expect(page.get_by_text("Searching other locations")).to_be_hidden()
    register_button = page.get_by_role("button", name="REGISTER")
    expect(register_button).to_be_in_viewport(ratio=1)
    page.get_by_label("Size").scroll_into_view_if_needed()
    expect(register_button).to_be_in_viewport(ratio=1)
    page.get_by_label("Shared").focus()
    bar = page.locator(".action-bar").bounding_box()
    field = page.get_by_label("Shared").bounding_box()
    assert bar is not None
    assert field is not None
    assert field["y"] + field["height"] <= bar["y"]
    facts = page.locator(".cloud-facts").bounding_box()
    selected = page.get_by_role("region", name="Select image").bounding_box()
    assert facts is not None
    assert selected is not None
    assert facts["x"] == selected["x"]
    assert facts["y"] >= selected["y"] + selected["height"] - 1
    form = page.locator(".confirmation").bounding_box()
    assert form is not None
    if size[0] < 1024:
        assert facts["y"] >= form["y"] + form["height"] - 1
    else:
        assert form["x"] > facts["x"]


def test_without_credentials_a_link_adds_them(sign_in: SignIn) -> None:
    """This test is the last one, because it deletes the credentials."""
    page = sign_in("scalr")
    page.goto("/scalr/credentials")
    page.get_by_role("link", name="Delete Sandbox AWS").click()
    expect(page.locator("main")).to_contain_text(re.compile("uses? these credentials"))
    page.get_by_role("button", name="Delete").click()
    page.goto("/scalr/images/new/aws")
    expect(page.get_by_role("link", name="Add AWS credentials")).to_be_visible()
