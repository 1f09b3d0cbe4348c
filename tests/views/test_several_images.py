"""Several images at once: pasted IDs become one review, one job and one list of results."""

from __future__ import annotations

import html
import re

import pytest
from flask.testing import FlaskClient

from models import CloudCredentials, Image, Job
from sandbox import aws
from tests.conftest import ClientOf, MakeCredentials, MakeImage
from tests.jobs.threads import process_jobs
from tests.views.pages import visible_text
from webapp.credentials.vault import Vault

ACME = "/account/acme"
IDS = f"{ACME}/images/new/ids"
NOBLE, DEBIAN = (each.id_in("us-east-1") for each in (aws.NOBLE, aws.DEBIAN_13))
IRELAND = aws.NOBLE.id_in("eu-west-1")


@pytest.fixture
def client(client_of: ClientOf, credentials: CloudCredentials) -> FlaskClient:
    return client_of("account-editor")


def look_up(client: FlaskClient, ids: str, **entered: str) -> str:
    """Paste IDs, wait for the look-ups, and return the URL of the review."""
    form = {"ids": ids, "location_aws": "us-east-1", "agent_installed": "y", **entered}
    response = client.post(IDS, data=form)
    assert response.status_code == 303, visible_text(response)
    process_jobs()
    return response.headers["Location"]


def test_pasted_ids_become_one_review_one_job_and_one_result(client: FlaskClient) -> None:
    ireland = f"arn:aws:ec2:eu-west-1::image/{IRELAND}"
    url = look_up(client, f"{NOBLE}\n\n  {DEBIAN} \r\n{ireland}\n{NOBLE}\n", shared="y")
    page = visible_text(client.get(url))
    assert "Review images Nothing has been registered yet." in page
    assert "3 images will be registered at Account acme with the details from the cloud." in page
    assert "Repeated IDs were skipped: 1." in page
    assert not Image.select().exists()
    response = client.post(url)
    process_jobs()
    job = visible_text(client.get(response.headers["Location"]))
    assert "Register 3 images" in job
    assert "3 of 3 processed" in job
    images = {image.cloud_image_id: image for image in Image.select()}
    assert {key: image.location for key, image in images.items()} == {
        NOBLE: "us-east-1",
        DEBIAN: "us-east-1",
        IRELAND: "eu-west-1",
    }
    assert all(each.verified and each.agent_installed and each.shared for each in images.values())
    assert Job.select().count() == 1


def test_a_line_with_an_error_does_not_stop_the_others(client: FlaskClient) -> None:
    unknown = "ami-0fedcba9876543210"
    long_line = "x" * 3000
    url = look_up(client, f"i-0123456789abcdef0\n{NOBLE}\nubuntu\n{unknown}\n{long_line}\n\u202e")
    page = visible_text(client.get(url))
    assert "5 lines have errors and will be skipped. Correct the IDs" in page
    assert "Line 1 i-0123456789abcdef0" in page
    assert "This doesn’t look like an image ID from any supported cloud" in page
    assert f"There is no AMI {unknown} in us-east-1" in page
    assert "too long for an image ID" in page
    client.post(url)
    process_jobs()
    assert [image.cloud_image_id for image in Image.select()] == [NOBLE]


def test_a_registered_image_is_marked_and_never_changed(
    client: FlaskClient, make_image: MakeImage
) -> None:
    image = make_image("acme", agent_installed=False, name="mine")
    inherited = make_image("", number=2, shared=True)
    url = look_up(client, f"{image.cloud_image_id}\n{inherited.cloud_image_id}", shared="y")
    page = client.get(url).text
    assert "1 image is already registered." in visible_text(page)
    assert f'href="{ACME}/images/{image.id}">Already registered' in page
    assert "already registered at Scalr" in visible_text(page)
    assert f'href="{ACME}/images/{inherited.id}">Open the image' in page
    assert "Register 1 image" not in page
    client.post(url)
    process_jobs()
    assert not Image.get_by_id(image.id).agent_installed


def test_a_missing_location_is_asked_once(client: FlaskClient) -> None:
    url = look_up(client, f"{NOBLE}\n{DEBIAN}", location_aws="")
    page = visible_text(client.get(url))
    assert "Complete the list of IDs" in page
    client.post(f"{url}/answers", data={"aws-location": "us-east-1"})
    process_jobs()
    assert "2 images will be registered" in visible_text(client.get(url))


def test_ids_that_several_clouds_use_need_a_cloud(
    client: FlaskClient, make_credentials: MakeCredentials, vault: Vault
) -> None:
    uuid = "0fedcba9-8765-4321-8fed-cba987654321"
    page = visible_text(client.get(look_up(client, uuid)))
    assert "OpenStack and VMware vSphere use IDs like this one." in page
    page = visible_text(client.get(look_up(client, uuid, cloud="openstack")))
    assert "use IDs like this one" not in page


def test_nothing_and_too_much_are_refused(client: FlaskClient) -> None:
    for text, message in (
        ("", "Paste at least one image ID."),
        (" \n\t\n", "Paste at least one image ID."),
        ("\n".join(f"ami-{number:017x}" for number in range(1001)), "1,001 images are too many."),
        ("x" * 400_001, "400,000"),
    ):
        response = client.post(IDS, data={"ids": text})
        assert response.status_code == 422
        assert message in visible_text(response)
    assert not Job.select().exists()


def test_the_form_begins_with_the_values_of_the_cloud_s_form(
    client: FlaskClient, make_credentials: MakeCredentials, credentials: CloudCredentials
) -> None:
    other = make_credentials("acme", "Other", credentials.settings["endpoint_url"])
    url = f"{ACME}/images/new/aws?credentials={other.id}&location=eu-west-1"
    page = client.get(url).text
    link = re.search(rf'href="({IDS}\?[^"]*)"', page)
    assert link
    form = client.get(html.unescape(link[1])).text
    assert re.search(rf'<option selected value="{other.id}">Other', form)
    assert 'value="eu-west-1"' in form
    assert '<option selected value="aws">' in form
    for query in ("?cloud=x&credentials=y", "?cloud=aws&credentials=99999999999999999999"):
        assert client.get(f"{IDS}{query}").status_code == 200
