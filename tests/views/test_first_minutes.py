"""An empty list of images offers New Image, Browse, Import and a sample file."""

from __future__ import annotations

import html
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from flask.testing import FlaskClient

from models import Image, JobRow
from sandbox import azure_images, demonstration, gce_images, openstack_images
from sandbox.vmware_inventory import COPENHAGEN, UBUNTU
from tests.conftest import ClientOf, MakeCredentials
from tests.jobs.threads import process_jobs
from tests.views.pages import visible_text
from webapp.clouds import CLOUDS

ACME = "/account/acme"
SAMPLES = Path(demonstration.__file__).parent / "sample_images.csv"


def test_an_empty_list_offers_every_way_to_register_images(client_of: ClientOf) -> None:
    page = client_of("account-editor").get(f"{ACME}/images").text
    for path in ("images/new", "images/new/browse", "images/import", "images/import/sample.csv"):
        assert f'href="{ACME}/{path}"' in page
    page = client_of("account-viewer").get(f"{ACME}/images").text
    assert "images/new" not in page
    assert "sample.csv" not in page


def test_browse_opens_at_a_cloud_with_credentials(
    client_of: ClientOf, make_credentials: MakeCredentials
) -> None:
    client = client_of("account-editor")
    assert client.get(f"{ACME}/images/new/browse").headers["Location"] == (
        f"{ACME}/images/new/aws/browse"
    )
    page = visible_text(client.get(f"{ACME}/images/new/aws/browse"))
    assert "To browse images, you need AWS credentials at Account acme or above it." in page


def test_the_sample_file_can_be_imported_as_it_is(client_of: ClientOf) -> None:
    client: FlaskClient = client_of("account-editor")
    sample = client.get(f"{ACME}/images/import/sample.csv")
    assert sample.headers["Content-Disposition"] == 'attachment; filename="sample-images.csv"'
    answer = client.post(f"{ACME}/images/import", data={"text": sample.text, "how": "unverified"})
    review = answer.headers["Location"]
    page = visible_text(client.get(review))
    assert f"{len(CLOUDS)} images will be registered at Account acme" in page
    assert "error" not in page.lower()
    client.post(review)
    process_jobs()
    assert {image.cloud for image in Image.select()} == set(CLOUDS)
    assert not JobRow.select().where(JobRow.outcome == "refused").exists()


def test_the_demonstration_has_a_button_for_an_image_of_each_cloud(
    client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of("account-editor")
    assert "Try a sample image" not in client.get(f"{ACME}/images/new").text
    variables = client.application.jinja_env.globals
    monkeypatch.setitem(variables, "example_images", demonstration.EXAMPLE_IMAGES)
    page = client.get(f"{ACME}/images/new").text
    for example in demonstration.EXAMPLE_IMAGES:
        link = page.partition(f'title="{example.image_id}"')[0].rpartition('href="')[2]
        url = urlsplit(html.unescape(link.partition('"')[0]))
        assert url.path == f"{ACME}/images/new/{example.cloud}/confirm"
        assert parse_qs(url.query)["image_id"] == [example.image_id]
        # The form around the links sends the credentials that are chosen, which may belong to
        # another cloud. The links must not send them.
        attributes = page.partition(f'title="{example.image_id}"')[2].partition(">")[0]
        assert 'hx-include="unset"' in attributes


def test_the_buttons_of_the_demonstration_name_images_that_nobody_has_registered() -> None:
    examples = {each.cloud: each for each in demonstration.EXAMPLE_IMAGES}
    assert examples.keys() == CLOUDS.keys()
    assert examples["gce"].image_id == gce_images.NOBLE.family_id
    assert examples["openstack"].image_id == openstack_images.NOBLE.image_id
    assert examples["azure"].image_id.replace(":", "/") == azure_images.NOBLE.urn("latest")
    assert examples["vmware"].image_id == UBUNTU.uuid
    assert examples["vmware"].location == COPENHAGEN.path
    registered = SAMPLES.read_text()
    for cloud in ("aws", "gce", "openstack", "azure"):
        assert examples[cloud].image_id not in registered
    for example in examples.values():
        assert CLOUDS[example.cloud].parse_image_id(example.image_id)
