"""Fields for passwords hide the text, and let password managers fill them."""

from __future__ import annotations

import re

import pytest

from tests.conftest import ClientOf


@pytest.mark.parametrize(
    ("who", "url", "fields"),
    [
        ("nobody", "/sign-in", {"password": "current-password"}),
        (
            "account-viewer",
            "/password",
            {"current_password": "current-password", "password": "new-password"},
        ),
        ("account-viewer", "/confirm", {"current_password": "current-password"}),
    ],
)
def test_passwords_are_hidden_and_can_be_pasted(
    client_of: ClientOf, who: str, url: str, fields: dict[str, str]
) -> None:
    page = client_of(who).get(url).text
    inputs = [
        dict(re.findall(r'([\w-]+)="([^"]*)"', each))
        for each in re.findall(r"<input\b[^>]*>", page)
        if re.search(r'name="\w*password"', each)
    ]
    assert {each["name"]: each["autocomplete"] for each in inputs} == fields
    assert {each["type"] for each in inputs} == {"password"}
    assert "onpaste" not in page
