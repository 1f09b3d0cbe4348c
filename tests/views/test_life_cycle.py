"""The pages for the life cycle of an image."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

import models
from models import Image
from tests.conftest import ClientOf, MakeImage, details
from webapp.clouds import CLOUDS
from webapp.images import life_cycle

IMAGES = "/account/acme/images"


@pytest.fixture
def acme(client_of: ClientOf) -> FlaskClient:
    return client_of("account-editor")


def text_of(response: TestResponse) -> str:
    """Return the visible text of a page, with single spaces."""
    words = re.sub(r"<[^>]+>", " ", response.get_data(as_text=True))
    return " ".join(words.split())


def change(client: FlaskClient, image: Image, **fields: object) -> TestResponse:
    address = f"{IMAGES}/{image.id}/life-cycle"
    return client.post(address, data=fields, follow_redirects=True)


def again(image: Image) -> Image:
    found: Image = Image.get_by_id(image.id)
    return found


def test_changing_the_status_of_an_image(acme: FlaskClient, make_image: MakeImage) -> None:
    image, new = make_image("acme", 1, name="old"), make_image("acme", 2, name="new")
    address, day = f"{IMAGES}/{image.id}/life-cycle", models.today()
    assert f'value="{day}"' in acme.get(address).get_data(as_text=True)
    fields = {"status": "deprecated", "on": str(day + timedelta(days=9)), "reason": "It is old."}
    page = acme.post(address, data={**fields, "successor": "new"}, follow_redirects=True)
    assert (
        f"Will be deprecated on {day + timedelta(days=9)}. It is old. Use new instead."
        in text_of(page)
    )
    form = acme.get(address).get_data(as_text=True)
    assert f'value="#{new.id} new"' in form
    page = acme.post(
        address,
        data={**fields, "on": str(day), "successor": f"#{new.id} new"},
        follow_redirects=True,
    )
    assert f"Deprecated since {day}" in text_of(page)
    fields = {"status": "retired", "on": str(day), "successor": f"#{new.id} new"}
    page = acme.post(address, data=fields, follow_redirects=True)
    assert (
        f"Retired since {day}. This image must not be used any more. Use new instead."
        in text_of(page)
    )
    page = acme.post(
        address, data={"status": "active", "on": "", "successor": "?"}, follow_redirects=True
    )
    assert "The image is now active." in text_of(page)
    assert life_cycle.plan_of(again(image)) == life_cycle.STAYS_ACTIVE
    page = acme.post(address, data={"status": "active"}, follow_redirects=True)
    assert "There were no changes to save." in text_of(page)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "Choose a status."),
        ({"status": "deprecated"}, "Enter a date"),
        ({"status": "deprecated", "on": "2026-02-30"}, "Not a valid date"),
        (
            {"status": "retired", "on": "2026-02-28", "successor": "none such"},
            "There is no image with",
        ),
        ({"status": "retired", "on": "2026-02-28", "successor": "old"}, "its own successor"),
    ],
)
def test_invalid_status_forms(
    acme: FlaskClient, make_image: MakeImage, fields: dict[str, str], words: str
) -> None:
    image = make_image("acme", name="old")
    response = acme.post(f"{IMAGES}/{image.id}/life-cycle", data={"reason": "Kept", **fields})
    assert response.status_code == 422
    assert words in text_of(response)
    assert 'value="Kept"' in response.get_data(as_text=True)


def test_an_invisible_successor_is_not_revealed(
    client_of: ClientOf, acme: FlaskClient, make_image: MakeImage
) -> None:
    old, new = make_image("acme", 1), make_image("acme", 2, name="hidden-from-below", shared=False)
    day = models.today().isoformat()
    change(acme, old, status="deprecated", on=day, successor=f"#{new.id}")
    assert "hidden-from-below" in text_of(acme.get(f"{IMAGES}/{old.id}"))
    below = client_of("environment-viewer").get(f"/environment/acme/production/images/{old.id}")
    assert "Deprecated since" in text_of(below)
    assert "hidden-from-below" not in below.get_data(as_text=True)


def test_successors_are_suggested_while_typing(acme: FlaskClient, make_image: MakeImage) -> None:
    image, retired = (
        make_image("acme", 1, name="noble-new"),
        make_image("acme", 2, name="noble-old"),
    )
    make_image("globex", 3, name="noble-elsewhere")
    change(acme, retired, status="retired", on="2026-01-31")

    def offered(text: str) -> list[str]:
        page = acme.get(f"{IMAGES}/successors", query_string={"successor": text})
        return re.findall(r'value="([^"]+)"', page.get_data(as_text=True))

    assert offered("noble") == [f"#{image.id} noble-new"]
    assert offered('no"ble') == offered("no") == offered(f"#{image.id} noble-new") == []


def test_checking_verifies_an_image(
    acme: FlaskClient, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = make_image("acme")
    Image.update(verified=False).where(Image.id == image.id).execute()
    assert "Not verified:" in text_of(acme.get(f"{IMAGES}/{image.id}"))
    monkeypatch.setattr(CLOUDS["aws"], "describe", lambda _credentials, _locator: details())
    page = acme.post(f"{IMAGES}/{image.id}/check", data={"credentials": image.credentials_id})
    assert "Not verified:" not in text_of(page)
    assert again(image).verified
