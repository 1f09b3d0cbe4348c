"""Register a second image after the first image, and an image that is similar to another."""

from __future__ import annotations

import html
import re

from models import CloudCredentials, Image
from sandbox import aws
from tests.conftest import ClientOf, MakeCredentials, MakeImage
from tests.views.pages import form_action, receipt_in, visible_text

ACME = "/account/acme"
NOBLE = aws.NOBLE.id_in("us-east-1")


def test_another_image_keeps_cloud_credentials_and_location(
    client_of: ClientOf, credentials: CloudCredentials, make_credentials: MakeCredentials
) -> None:
    chosen = make_credentials("acme", "Chosen", credentials.settings["endpoint_url"])
    client = client_of("account-editor")
    query = {"credentials": chosen.id, "location": "us-east-1", "image_id": NOBLE}
    page = client.get(f"{ACME}/images/new/aws/confirm", query_string=query).text
    form = {
        "receipt": receipt_in(page),
        "name": "noble",
        "os_family": "ubuntu",
        "os_version": "ubuntu|24.04",
        "another": "1",
    }
    response = client.post(form_action(page), data=form)
    assert response.status_code == 303
    assert Image.get().name == "noble"
    url = response.headers["Location"]
    assert url == f"{ACME}/images/new/aws?credentials={chosen.id}&location=us-east-1"
    next_page = client.get(url).text
    assert f'href="{ACME}/images/{Image.get().id}">noble</a>” is registered' in next_page
    assert re.search(rf'<option selected value="{chosen.id}">Chosen', next_page)
    assert re.search(r'<option selected value="us-east-1">', next_page)


def test_a_similar_image_has_the_credentials_the_location_and_the_settings_of_the_other(
    client_of: ClientOf,
    credentials: CloudCredentials,
    make_image: MakeImage,
) -> None:
    image = make_image("acme", location="us-east-1")
    changes = {"agent_installed": False, "shared": False, "credentials": credentials}
    Image.update(changes).where(Image.id == image.id).execute()
    client = client_of("account-editor")
    response = client.get(f"{ACME}/images/{image.id}/similar")
    assert response.status_code == 303
    url = response.headers["Location"]
    assert f"credentials={credentials.id}&location=us-east-1&like={image.id}" in url
    first_step = client.get(url).text
    assert f'name="like" value="{image.id}"' in first_step
    assert f'<a href="{ACME}/images/{image.id}">{image.name}</a>' in first_step
    confirm = url.replace("/aws?", "/aws/confirm?") + f"&image_id={NOBLE}"
    page = html.unescape(client.get(confirm).text)
    assert re.search(r'<option selected value="ubuntu\|24.04">', page)  # from the cloud
    assert not re.search(r'<input[^>]*checked[^>]*name="agent_installed"', page)
    assert not re.search(r'<input[^>]*checked[^>]*name="shared"', page)
    assert f"like={image.id}" in form_action(page)


def test_an_image_that_the_scope_cannot_see_is_no_model_for_another(
    client_of: ClientOf, credentials: CloudCredentials, make_image: MakeImage
) -> None:
    foreign = make_image("globex")
    Image.update(agent_installed=False).where(Image.id == foreign.id).execute()
    client = client_of("account-editor")
    assert client.get(f"{ACME}/images/{foreign.id}/similar").status_code == 404
    query = {"credentials": credentials.id, "location": "us-east-1", "image_id": NOBLE}
    for like in (foreign.id, "x", "-1", "9" * 40):
        response = client.get(
            f"{ACME}/images/new/aws/confirm", query_string={**query, "like": like}
        )
        assert response.status_code == 200
        assert re.search(r'<input[^>]*checked[^>]*name="agent_installed"', response.text)


def test_the_details_from_the_cloud_are_beside_the_form(
    client_of: ClientOf, credentials: CloudCredentials
) -> None:
    client = client_of("account-editor")
    query = {"credentials": credentials.id, "location": "us-east-1", "image_id": NOBLE}
    page = client.get(f"{ACME}/images/new/aws/confirm", query_string=query).text
    form, facts = page.index("REGISTER<"), page.index("From the cloud")
    assert form < facts  # A phone shows the form before the details.
    assert aws.NOBLE.description in visible_text(page[facts:])
    assert aws.NOBLE.description not in visible_text(page[page.index("<form method=") : form])
