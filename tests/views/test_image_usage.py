"""The panel “Use it” on the page of an image."""

from __future__ import annotations

import html

import pytest

from models import Image
from tests.conftest import ClientOf, MakeImage


def test_the_examples_are_filled_in(client_of: ClientOf, make_image: MakeImage) -> None:
    image = make_image("acme", 1, name="web")
    text = html.unescape(client_of("account-viewer").get(f"/account/acme/images/{image.id}").text)
    url = f"http://localhost/api/v1/account/acme/images/{image.id}"
    assert f'curl -H "Authorization: Bearer $TOKEN" {url}' in text
    assert f"images show {image.id} --url http://localhost --scope acme" in text
    assert f'url = "{url}"' in text
    assert f"--image-ids {image.cloud_image_id}" in text


def test_an_inherited_image_has_the_url_of_the_scope(
    client_of: ClientOf, make_image: MakeImage
) -> None:
    image = make_image("", 1)
    path = f"/environment/acme/production/images/{image.id}"
    text = html.unescape(client_of("environment-viewer").get(path).text)
    assert f"http://localhost/api/v1{path}" in text
    assert "--scope acme/production" in text


@pytest.mark.parametrize("text", ["</code><script>alert(1)</script>", 'it\'s "x" ${y} $(z)'])
def test_hostile_values_stay_text(client_of: ClientOf, make_image: MakeImage, text: str) -> None:
    image = make_image("acme", 1)
    changes = {"cloud": "vmware", "location": text, "details": image.details | {"name": text}}
    changes["cloud_image_id"] = "501e5a2b-8c9d-0e1f-2a3b-4c5d6e7f8091"
    Image.update(changes).where(Image.id == image.id).execute()
    answer = client_of("account-viewer").get(f"/account/acme/images/{image.id}")
    assert answer.status_code == 200
    assert "<script>alert" not in answer.text
    assert "vsphere_virtual_machine" in answer.text


@pytest.mark.parametrize("cloud", ["azure", "gce"])
def test_an_id_of_an_older_version_may_be_invalid(
    client_of: ClientOf, make_image: MakeImage, cloud: str
) -> None:
    image = make_image("acme", 1)
    Image.update(cloud=cloud, cloud_image_id="not valid").where(Image.id == image.id).execute()
    answer = client_of("account-viewer").get(f"/account/acme/images/{image.id}")
    assert answer.status_code == 200
    assert "images show" in answer.text
    assert "Ansible" not in answer.text
