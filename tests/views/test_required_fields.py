"""Every form marks the fields that need a value, at the label and for assistive technology."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

import pytest

from tests.conftest import ClientOf, MakeCredentials, MakeImage
from tests.views.pages import markup_problems
from webapp.clouds import CLOUDS

ACME = "/account/acme"
REQUIRED = {
    "/sign-in": {"email", "password"},
    "/password": {"current_password", "password"},
    f"{ACME}/members": {"email", "role"},
    f"{ACME}/environments": {"name"},
    f"{ACME}/environments/staging/rename": {"name"},
    f"{ACME}/environments/staging/delete": {"name"},
    f"{ACME}/images/import": {"how"},
    f"{ACME}/images/new/aws": {"credentials", "location", "image_id"},
    ACME + "/images/{image}/edit": {
        *("name", "os_family", "os_family_other", "os_version", "os_version_other"),
    },
    ACME + "/images/{image}/life-cycle": {"status", "on"},
    ACME + "/credentials/{credentials}/edit": {"name", "partition", "access_key_id"},
} | {
    f"{ACME}/credentials/new/{cloud.key}": {
        "name",
        *(each.name for each in cloud.credential_fields if each.required),
    }
    for cloud in CLOUDS.values()
}
"""The visible fields that need a value, by the URL of their form."""


@dataclass
class Shown:
    """One field of a page."""

    element_id: str
    is_required: bool = False
    is_invalid: bool = False


@dataclass
class Fields(HTMLParser):
    """Reads the visible fields of the forms in the main part of a page, and the marked labels."""

    found: dict[str, Shown] = field(default_factory=dict)
    marked_ids: set[str] = field(default_factory=set)
    in_main: bool = False
    in_marked_legend: bool = False

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        classes = values.get("class", "").split()
        if tag == "main":
            self.in_main = True
        elif tag == "label" and "required" in classes:
            self.marked_ids.add(values["for"])
        elif tag == "fieldset":
            self.in_marked_legend = False
        elif tag == "legend":
            self.in_marked_legend = "required" in classes
        elif tag in {"input", "select", "textarea"} and self.in_main:
            self._add_field(values, classes)

    def handle_endtag(self, tag: str) -> None:
        if tag == "main":
            self.in_main = False

    def _add_field(self, values: dict[str, str], classes: list[str]) -> None:
        kind, name = values.get("type"), values.get("name")
        if not name or kind in {"hidden", "checkbox", "search"}:
            return
        if kind == "radio" and self.in_marked_legend:
            self.marked_ids.add(values["id"])
        is_required = "required" in values or values.get("aria-required") == "true"
        self.found[name] = Shown(values["id"], is_required, "is-invalid" in classes)

    @property
    def marked(self) -> set[str]:
        return {name for name, each in self.found.items() if each.element_id in self.marked_ids}

    @property
    def required(self) -> set[str]:
        return {name for name, each in self.found.items() if each.is_required}


def fields_of(page: str) -> Fields:
    fields = Fields()
    fields.feed(page)
    return fields


@pytest.mark.parametrize("url", REQUIRED)
def test_every_field_that_needs_a_value_is_marked(
    client_of: ClientOf, make_image: MakeImage, make_credentials: MakeCredentials, url: str
) -> None:
    image, credentials = make_image("acme"), make_credentials("acme", "acme")
    client = client_of("nobody" if url == "/sign-in" else "account-admin")
    url_here = url.format(image=image.id, credentials=credentials.id)
    page = client.get(url_here)
    assert page.status_code == 200
    fields = fields_of(page.text)
    assert fields.marked == fields.required == REQUIRED[url]
    # No other field may be refused because it is empty.
    empty = dict.fromkeys(fields.found, "")
    answer = (
        client.get(f"{url_here}/confirm", query_string=empty)
        if "/images/new/" in url
        else client.post(url_here, data=empty)
    )
    assert not markup_problems(page.text) + markup_problems(answer.text)
    refused = {name for name, each in fields_of(answer.text).found.items() if each.is_invalid}
    assert refused <= REQUIRED[url]


def test_an_error_above_the_form_gets_the_focus(client_of: ClientOf) -> None:
    page = client_of("nobody").post("/sign-in", data={"resumed": "1", "csrf_token": "x"}).text
    assert not markup_problems(page)


def test_a_text_that_is_no_date_is_shown_for_correction(
    client_of: ClientOf, make_image: MakeImage
) -> None:
    url = f"{ACME}/images/{make_image('acme').id}/life-cycle"
    page = client_of("account-admin").post(url, data={"status": "retired", "on": "tomorrow"}).text
    field = re.search(r'<input[^>]* name="on"[^>]*>', page)
    assert field
    assert 'type="text"' in field[0]
    assert 'value="tomorrow"' in field[0]
