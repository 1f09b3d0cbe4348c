"""Registering versions of Azure community galleries and directly shared galleries."""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from models import CloudCredentials, Image
from sandbox import azure
from sandbox.azure_shared_galleries import CONTOSO_GOLDEN, CONTOSO_LINUX, SharedDefinition
from tests.conftest import ClientOf
from tests.views.pages import form_action, receipt_in, visible_text

ACME = "/account/acme"


@pytest.fixture
def credentials(client_of: ClientOf) -> Iterator[CloudCredentials]:
    with azure.start() as url:
        fields = {"name": "Sandbox", **azure.credentials(url)}
        answer = client_of("account-admin").post(f"{ACME}/credentials/new/azure", data=fields)
        assert answer.status_code == 303, answer.text
        yield CloudCredentials.get(CloudCredentials.name == "Sandbox")


@pytest.fixture
def editor(client_of: ClientOf) -> FlaskClient:
    return client_of("account-editor")


def press_next(
    editor: FlaskClient, credentials: CloudCredentials, image_id: str, location: str = ""
) -> Any:
    query = {"credentials": credentials.id, "location": location, "image_id": image_id}
    return editor.get(f"{ACME}/images/new/azure/confirm", query_string=query)


@pytest.mark.parametrize("known", [CONTOSO_LINUX, CONTOSO_GOLDEN], ids=lambda known: known.name)
def test_a_shared_version_is_one_image_for_all_regions(
    editor: FlaskClient, credentials: CloudCredentials, known: SharedDefinition
) -> None:
    version = known.versions[-1 if known is CONTOSO_GOLDEN else -2]
    image_id = known.version_id(version.number)
    page = press_next(editor, credentials, known.version_id("latest").lower(), version.regions[0])
    assert page.status_code == 200
    assert f'value="{known.name}-{version.number}"' in page.text
    assert "Name in the cloud" not in page.text
    fields = {
        "receipt": receipt_in(page.text),
        "name": "shared",
        "os_family": "ubuntu",
        "os_version": "ubuntu|24.04",
        "agent_installed": "y",
    }
    answer = editor.post(form_action(page.text), data=fields)
    assert answer.status_code == 303, answer.text
    image = Image.get()
    assert (image.cloud_image_id, image.location) == (image_id, "")
    shown = visible_text(html.unescape(editor.get(answer.location).text))
    assert "Location All regions" in shown
    assert f"{known.sharing.removesuffix('Galleries').lower()}" in shown.lower()
    checked = editor.post(f"{answer.location}/check", data={"credentials": credentials.id})
    assert checked.status_code == 200
    assert "Nothing has changed in the cloud" in checked.text
    again = press_next(editor, credentials, image_id, version.regions[0])
    assert again.status_code == 409
    assert Image.select().count() == 1


def test_the_pasted_id_leads_to_the_form_of_azure(
    editor: FlaskClient, credentials: CloudCredentials
) -> None:
    image_id = CONTOSO_LINUX.version_id("1.0.9")
    answer = editor.get(f"{ACME}/images/new", query_string={"paste": image_id.upper()})
    assert answer.status_code == 303
    form = editor.get(answer.location)
    assert form.status_code == 200
    assert "CONTOSO-DEBIAN-13/Versions/1.0.9" in form.text
    assert 'name="location"' in form.text


def test_a_version_in_another_location_names_that_location(
    editor: FlaskClient, credentials: CloudCredentials
) -> None:
    page = press_next(editor, credentials, CONTOSO_LINUX.version_id("1.0.10"), "eastus")
    assert page.status_code == 422
    assert "exists in westeurope" in page.text
