"""The pages for the life cycle of an image."""

from __future__ import annotations

import re
from datetime import date, timedelta

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

import models
from models import Image
from tests.conftest import ClientOf, MakeImage, details, reload
from tests.views.pages import revision_in, visible_text
from webapp.access import Actor
from webapp.clouds import CLOUDS
from webapp.clouds.details import ImageState
from webapp.images import editing, image_details, life_cycle

IMAGES = "/account/acme/images"


@pytest.fixture
def client(client_of: ClientOf) -> FlaskClient:
    return client_of("account-editor")


def change(client: FlaskClient, image: Image, **fields: object) -> TestResponse:
    url = f"{IMAGES}/{image.id}/life-cycle"
    data = {**fields, "revision": reload(image).revision}
    return client.post(url, data=data, follow_redirects=True)


def test_changing_the_status_of_an_image(client: FlaskClient, make_image: MakeImage) -> None:
    image, new = make_image("acme", 1, name="old"), make_image("acme", 2, name="new")
    url, day = f"{IMAGES}/{image.id}/life-cycle", models.today()
    assert f'value="{day}"' in client.get(url).text

    def save(**fields: str) -> TestResponse:
        revision = revision_in(client.get(url))
        return client.post(url, data={**fields, "revision": revision}, follow_redirects=True)

    fields = {"status": "deprecated", "on": str(day + timedelta(days=9)), "reason": "It is old."}
    page = save(**fields, successor="new")
    assert (
        f"Will be deprecated on {day + timedelta(days=9)} (UTC). It is old. Use new instead."
        in visible_text(page)
    )
    form = client.get(url).text
    assert f'value="#{new.id} new"' in form
    page = save(**{**fields, "on": str(day), "successor": f"#{new.id} new"})
    assert f"Deprecated since {day}" in visible_text(page)
    fields = {"status": "retired", "on": str(day), "successor": f"#{new.id} new"}
    page = save(**fields)
    assert f"Retired since {day}. Don’t use this image anymore. Use new instead." in visible_text(
        page
    )
    page = save(status="active", on="", successor="?")
    assert "The image is now active." in visible_text(page)
    assert life_cycle.plan_of(reload(image)) == life_cycle.STAYS_ACTIVE
    page = save(status="active")
    assert "No changes to save." in visible_text(page)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "Choose a status."),
        ({"status": "deprecated"}, "Enter a date"),
        ({"status": "deprecated", "on": "2026-02-30"}, "2026-02-30 doesn’t exist"),
        ({"status": "retired", "on": "0027-01-31"}, "Check the year 0027"),
        ({"status": "retired", "on": "soon"}, "YYYY-MM-DD"),
        (
            {"status": "retired", "on": "2026-02-28", "successor": "none such"},
            "There is no image with",
        ),
        ({"status": "retired", "on": "2026-02-28", "successor": "old"}, "its own successor"),
    ],
)
def test_invalid_status_forms_are_refused(
    client: FlaskClient, make_image: MakeImage, fields: dict[str, str], words: str
) -> None:
    image = make_image("acme", name="old")
    response = client.post(
        f"{IMAGES}/{image.id}/life-cycle", data={"reason": "Kept", "revision": "1", **fields}
    )
    assert response.status_code == 422
    assert words in visible_text(response)
    assert 'value="Kept"' in response.text


def test_an_invisible_successor_is_not_revealed(
    client_of: ClientOf, client: FlaskClient, make_image: MakeImage
) -> None:
    old, new = make_image("acme", 1), make_image("acme", 2, name="hidden-from-below", shared=False)
    day = models.today().isoformat()
    change(client, old, status="deprecated", on=day, successor=f"#{new.id}")
    assert "hidden-from-below" in visible_text(client.get(f"{IMAGES}/{old.id}"))
    below = client_of("environment-viewer").get(f"/environment/acme/production/images/{old.id}")
    assert "Deprecated since" in visible_text(below)
    assert "hidden-from-below" not in below.text


def test_a_successor_that_is_not_visible_any_more_stays(
    client_of: ClientOf, make_image: MakeImage
) -> None:
    image = make_image("acme/production", 1)
    successor = make_image("acme", 2, name="internal", shared=True)
    admin = client_of("account-admin")
    url = f"/environment/acme/production/images/{image.id}/life-cycle"
    fields = {"status": "deprecated", "on": str(models.today())}

    def save(reason: str, successor_text: str) -> None:
        data = {**fields, "reason": reason, "successor": successor_text}
        page = admin.post(url, data={**data, "revision": reload(image).revision})
        assert page.status_code == 303

    save("It is old.", "internal")
    Image.update(shared=False).where(Image.id == successor.id).execute()
    save("It is very old.", "")
    assert reload(image).status_reason == "It is very old."
    assert reload(image).successor_id == successor.id


def test_successors_are_suggested_while_typing(client: FlaskClient, make_image: MakeImage) -> None:
    image, retired = (
        make_image("acme", 1, name="noble-new"),
        make_image("acme", 2, name="noble-old"),
    )
    make_image("globex", 3, name="noble-elsewhere")
    change(client, retired, status="retired", on="2026-01-31")

    def offered(text: str) -> list[str]:
        page = client.get(f"{IMAGES}/successors", query_string={"successor": text})
        return re.findall(r'value="([^"]+)"', page.text)

    assert offered("noble") == [f"#{image.id} noble-new"]
    assert offered('no"ble') == offered("no") == offered(f"#{image.id} noble-new") == []


def test_checking_verifies_an_image(
    client: FlaskClient, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = make_image("acme")
    image_details.apply_details(image, details(state=ImageState.UNKNOWN))
    image.save()
    page = client.get(f"{IMAGES}/{image.id}")
    assert "Not checked This image was registered without a look-up" in visible_text(page)
    assert "Not yet read from the cloud" in visible_text(page)
    monkeypatch.setattr(CLOUDS["aws"], "describe", lambda _credentials, _locator: details())
    page = client.post(f"{IMAGES}/{image.id}/check", data={"credentials": image.credentials_id})
    assert "Not checked This image" not in visible_text(page)
    assert "State Not checked → Available" in visible_text(page)
    assert reload(image).verified


def test_a_saved_successor_stays_if_it_was_renamed_and_retired_meanwhile(
    client: FlaskClient, make_image: MakeImage, editor: Actor
) -> None:
    old, new = make_image("acme", 1), make_image("acme", 2, name="new")
    fields = {"status": "deprecated", "on": "2026-02-28", "successor": f"#{new.id} new"}
    change(client, old, **fields)
    editing.edit_fields(editor, reload(new), {"name": "newer"})
    life_cycle.retire(editor, reload(new), date(2026, 2, 1))
    change(client, old, **fields, reason="Old.")
    stored = reload(old)
    assert (stored.status_reason, stored.successor_id) == ("Old.", new.id)
