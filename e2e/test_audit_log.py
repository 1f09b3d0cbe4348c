"""The search of the audit log in a browser: suggestions, live results, days in the time zone."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from e2e.conftest import SignIn


def test_the_audit_log_is_searched_while_a_person_types(sign_in: SignIn) -> None:
    page = sign_in("account", timezone_id="Asia/Tokyo")
    page.goto("/account/acme/audit")
    box, terms = page.get_by_label("Search the audit log"), page.get_by_label("Search terms")
    box.press_sequentially("did:reg")
    page.get_by_role("option", name="did:register").click()
    expect(box).to_have_value("did:register ")
    expect(terms).to_contain_text("Registered")
    box.press_sequentially("at:today")
    expect(terms).to_contain_text("Today (Asia/Tokyo)")
    expect(page).to_have_url(re.compile(r"zone=Asia%2FTokyo"))
    page.locator("summary", has_text="Export").click()
    url = page.get_by_role("link", name="Export as CSV").get_attribute("href") or ""
    assert "did%3Aregister+at%3Atoday&zone=Asia%2FTokyo" in url
    box.fill("at:today tomorow:")
    expect(page.get_by_role("note")).to_contain_text("isn’t a search token")
    page.locator("summary", has_text="Export").click()
    expect(page.get_by_text("To export entries, correct your search first.")).to_be_visible()
    page.get_by_role("link", name="Clear all").click()
    expect(page).to_have_url("/account/acme/audit")
