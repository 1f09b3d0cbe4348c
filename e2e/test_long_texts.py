"""Texts that are too long for a URL: a sentence says so, with and without JavaScript."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from e2e.conftest import SignIn

ACME = "/account/acme"
FIELDS = [
    (f"{ACME}/images/new/aws", "#paste"),
    (f"{ACME}/images/new/aws", "#image_id"),
    (f"{ACME}/images/new/openstack", "#location"),
    (f"{ACME}/images", "#q"),
    ("/scopes", "main #scope-filter"),
]


SENTENCE = re.compile("too long|Shorten")
SCOPES = "main #scope-filter"
"""The filter of the scopes accepts every text that fits into a URL."""


@pytest.mark.parametrize("character", ["x", "語"])
def test_a_long_text_is_explained_and_stays(sign_in: SignIn, character: str) -> None:
    page = sign_in("account")
    for url, field in FIELDS:
        for length in (2100, 4000, 70_000):
            text = character * length
            page.goto(url)
            page.wait_for_load_state("networkidle")
            page.locator(field).fill(text)
            page.locator(field).press("Enter")
            if field != SCOPES or len(quote(text)) > 3500:
                expect(page.get_by_role("main")).to_contain_text(SENTENCE)
            expect(page.locator(field)).to_have_value(text)


def test_a_long_text_is_explained_without_javascript(sign_in: SignIn) -> None:
    page = sign_in("account", java_script_enabled=False)
    for url, field in FIELDS:
        for length in (2100, 4000, 9000, 100_000):
            page.goto(url)
            page.locator(field).fill("x" * length)
            page.locator(field).press("Enter")
            page.wait_for_load_state()
            is_found = field == SCOPES and length < 8000
            expect(page.locator("body")).to_contain_text(
                "No scopes match" if is_found else re.compile("too long|horten")
            )
