"""axe-core finds no violation on the pages, in light, dark and forced colors, and on a phone.

No page is wider than a window of 320 pixels.
"""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page, expect

from e2e.conftest import DESKTOP, PHONE, OpenPage, SignIn, register
from e2e.sandbox_amis import NOBLE, OWN
from webapp.clouds import CLOUDS
from webapp.web import chapters

AMBIGUOUS_ID = "01234567-89ab-cdef-0123-456789abcdef"
"""An image ID that is valid for more than one cloud."""
SCOPES = {
    "scalr": ("/scalr", "accounts", "acme"),
    "account": ("/account/acme", "environments", "staging"),
    "environment": ("/environment/acme/production", "", ""),
}


def violations(page: Page) -> set[str]:
    """Return overflows, and the violations that axe reports at the sizes of a desktop and a phone.

    First, the page has the light theme. Then it has forced colors, whose contrast axe can't
    measure. With the dark theme, only the contrast is checked. Without reduced motion, axe would
    measure colors that are still changing.
    """
    page.emulate_media(reduced_motion="reduce")
    page.evaluate(AXE_SCRIPT)
    found = _run_axe(page)
    page.emulate_media(forced_colors="active")
    found |= _run_axe(page, {"rules": {"color-contrast": {"enabled": False}}})
    page.emulate_media(forced_colors="none", color_scheme="dark")
    found |= _run_axe(page, {"runOnly": ["color-contrast"]})
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    found |= _run_axe(page)
    found |= _overflow(page)
    page.set_viewport_size(DESKTOP)  # type: ignore[arg-type]
    return {f"{page.url}: {each}" for each in found}


def _overflow(page: Page) -> set[str]:
    """Return an error that contains wide elements if the page is wider than 320 pixels."""
    page.set_viewport_size({"width": 320, "height": 800})
    wide = page.evaluate(
        """() => {
            const width = document.documentElement.clientWidth;
            if (document.documentElement.scrollWidth <= width) return "";
            const isWide = (element) => element.getBoundingClientRect().right > width + 1;
            const all = [...document.querySelectorAll("body *:not(.bookmarks *)")];
            const wide = all.filter(isWide).slice(-3);
            return wide.map(({ outerHTML }) => outerHTML.slice(0, 100)).join(" ");
        }"""
    )
    return {f"overflow: {wide}"} if wide else set()


def _run_axe(page: Page, options: dict[str, Any] | None = None) -> set[str]:
    """Return the violations that axe reports, each with its first element.

    The page contains the script of axe. Only the violations leave the browser: if axe also
    described every element that passes a rule, it would take three times as long.
    """
    found: list[str] = page.evaluate(
        """async (options) => {
            const { violations } = await axe.run({ resultTypes: ["violations"], ...options });
            return violations.map(({ id, nodes }) => `${id}: ${nodes[0].html.slice(0, 200)}`);
        }""",
        options or {},
    )
    return set(found)


@pytest.mark.parametrize("who", SCOPES)
def test_every_page_is_accessible(sign_in: SignIn, who: str) -> None:
    page = sign_in(who, color_scheme="light")
    scope, kind, child = SCOPES[who]
    results_url = f"{scope}/images?q={OWN.id}"
    page.goto(results_url)
    if not page.locator("#results tbody tr").count():
        register(page, scope, OWN.id, OWN.location, name=f"own image of {who}")
        page.goto(results_url)
    # If the image is inherited here, the test of the scope that owns it covers its page.
    image = page.locator("#results tbody a").first.get_attribute("href") or ""
    confirm = f"{scope}/images/new/aws/confirm?credentials=1&location={NOBLE.location}"
    urls = [
        results_url,
        f"{scope}/images?q=nothing+-cloud:aws+unknown:token",
        f"{scope}/images?q=in:below",
        f"{scope}/images/filters?q=cloud:aws",
        f"{scope}/images/import",
        f"{scope}/images/new",
        f"{scope}/images/new?paste=nonsense",
        f"{scope}/images/new?paste={AMBIGUOUS_ID}",
        *(f"{scope}/images/new/{key}" for key in CLOUDS),
        f"{scope}/images/new/ids",
        f"{scope}/images/new/aws/browse?credentials=1&location={NOBLE.location}",
        f"{scope}/images/new/vmware/browse",
        f"{confirm}&image_id={NOBLE.id}",
        f"{confirm}&image_id=wrong",
        image,
        f"{scope}/credentials",
        f"{scope}/credentials/new",
        *(f"{scope}/credentials/new/{key}" for key in CLOUDS),
        f"{scope}/members",
        f"{scope}/audit?q=-did:check+bye:me",
        f"{scope}/bookmarks",
        f"{scope}/images/deleted",
        f"{image}/history",
        f"{image}/compare?q=nothing",
        "/activity",
        "/palette?q=im",
        f"{scope}/overview",
        f"{scope}/views",
        "/scopes",
        f"{scope}/no-such-page",
    ]
    if who == "account":  # These pages are the same for each person.
        urls += ["/password", "/sessions", "/security", "/security/authenticator", "/confirm"]
        urls += ["/help", "/help/api/reference", *(f"/help/{name}" for name in chapters.NAMES)]
    if scope == "/scalr":
        urls += ["/scalr/people", "/scalr/people/2/disable", "/scalr/people/2/remove"]
    if kind:
        pages = (kind, f"{kind}/{child}/rename", f"{kind}/{child}/delete")
        urls += [f"{scope}/{each}" for each in pages]
    if image.startswith(scope) and who == "scalr":
        urls += [f"{image}/{each}" for each in ("edit", "share", "life-cycle", "delete")]
        urls += [f"{scope}/credentials/1/{each}" for each in ("edit", "delete")]
    wrong = set()
    for url in urls:
        page.goto(url)
        wrong |= violations(page)
    assert not wrong, "\n".join(sorted(wrong))


def test_sign_in_and_open_panels_are_accessible(open_page: OpenPage, sign_in: SignIn) -> None:
    page = open_page(color_scheme="light")
    page.goto("/sign-in")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_label("E-mail")).to_be_focused()
    wrong = violations(page)
    page = sign_in("account", color_scheme="light")
    for panel in page.locator("details[data-panel] > summary").filter(visible=True).all():
        panel.click()
        wrong |= violations(page)
        page.keyboard.press("Escape")
    page.keyboard.press("Control+k")
    expect(page.locator("#palette").get_by_role("option").first).to_be_visible()
    wrong |= violations(page)
    page.keyboard.press("Escape")
    page.goto("/account/acme/members")
    page.get_by_role("button", name="Pin Members to the bookmarks bar").click()
    expect(page.locator("#toasts .toast")).to_be_visible()
    wrong |= violations(page)
    assert not wrong, "\n".join(sorted(wrong))


def test_each_state_of_a_page_is_checked(sign_in: SignIn) -> None:
    page = sign_in("account", color_scheme="light")
    page.goto("/account/acme/images/new/aws/browse")
    assert not violations(page)
    # The Content-Security-Policy allows style sheets that a script creates.
    page.evaluate(
        """() => {
            const sheet = new CSSStyleSheet();
            sheet.replaceSync(`
                @media (prefers-color-scheme: dark) {
                    footer { color: #555 !important; background: #444 !important; }
                }
                @media (forced-colors: active) { h1 { display: none; } }
                @media (width < 500px) { label[for="credentials"] { display: none; } }
                @media (width < 330px) { footer { min-width: 350px; } }
            `);
            document.adoptedStyleSheets = [sheet];
            const search = document.querySelector("main input[type=search]");
            search.removeAttribute("placeholder");
            search.labels[0].remove();
        }"""
    )
    found = {each.removeprefix(f"{page.url}: ").partition(":")[0] for each in violations(page)}
    faults = {"color-contrast", "page-has-heading-one", "select-name", "overflow", "label"}
    assert found == faults
