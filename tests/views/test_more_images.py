"""Images that are registered together with a confirmed image: copies, and compute resources."""

from __future__ import annotations

import html
import re
from datetime import timedelta

import pytest
from flask.testing import FlaskClient

from models import AuditEntry, CloudCredentials, Image, Job, now
from sandbox import aws
from tests.clouds.vmware.peer import VMwarePeer
from tests.conftest import ClientOf
from tests.jobs.threads import process_jobs
from tests.views.pages import form_action, markup_problems, receipt_in, visible_text
from tests.views.test_every_cloud import save_credentials
from webapp.clouds import CLOUDS
from webapp.clouds.errors import CloudThrottled
from webapp.images import receipts

ACME = "/account/acme"
NOBLE, IRELAND, OREGON = (aws.NOBLE.id_in(region) for region in aws.REGIONS)
COPIES = f"{ACME}/images/copies"


@pytest.fixture
def client(client_of: ClientOf, credentials: CloudCredentials) -> FlaskClient:
    return client_of("account-editor")


def confirm(client: FlaskClient, credentials: CloudCredentials, **more: object) -> str:
    query = {"credentials": credentials.id, "location": "us-east-1", "image_id": NOBLE, **more}
    return client.get(f"{ACME}/images/new/aws/confirm", query_string=query).text


def offered(client: FlaskClient, page: str) -> dict[str, str]:
    """Return the checkboxes that the page loads: the signed receipts by the name of the field."""
    fragment = client.post(COPIES, data={"receipt": receipt_in(page)})
    assert fragment.status_code == 200
    assert not markup_problems(fragment.text)
    return dict(re.findall(r'name="(copy_\d+)" value="([^"]+)"', html.unescape(fragment.text)))


def filled(page: str, **more: str) -> dict[str, str]:
    return {
        "receipt": receipt_in(page),
        "name": "golden",
        "os_family": "ubuntu",
        "os_version": "ubuntu|24.04",
        "size_gb": "9",
        "shared": "y",
        **more,
    }


def test_copies_in_other_regions_are_registered_with_one_job_and_the_same_values(
    client: FlaskClient, credentials: CloudCredentials
) -> None:
    page = confirm(client, credentials)
    copies = offered(client, page)
    assert len(copies) == 2
    response = client.post(f"{ACME}/images", data=filled(page, **copies))
    assert response.status_code == 303
    assert "/jobs/" in response.headers["Location"]
    process_jobs()
    shown = visible_text(client.get(response.headers["Location"]))
    assert "Register 3 images" in shown
    assert "3 of 3 processed" in shown
    images = list(Image.select().order_by(Image.location))
    assert [(each.location, each.cloud_image_id) for each in images] == [
        ("eu-west-1", IRELAND),
        ("us-east-1", NOBLE),
        ("us-west-2", OREGON),
    ]
    for image in images:
        assert (image.name, image.size_gb, image.os_version) == ("golden", 9, "24.04")
        assert image.verified
        assert image.shared
        assert not image.agent_installed
    assert Job.select().count() == 1
    assert AuditEntry.select().where(AuditEntry.action == "image.register").count() == 3


def test_another_image_after_copies_keeps_cloud_credentials_and_location(
    client: FlaskClient, credentials: CloudCredentials
) -> None:
    page = confirm(client, credentials)
    form = filled(page, **offered(client, page), another="1")
    url = client.post(form_action(page), data=form).headers["Location"]
    assert url == f"{ACME}/images/new/aws?credentials={credentials.id}&location=us-east-1"
    job_url = f"{ACME}/jobs/{Job.get().id}"
    next_page = client.get(url).text
    assert "3 images are being registered." in visible_text(next_page)
    assert f'<a href="{job_url}">Show the progress</a>' in next_page
    process_jobs()
    assert Image.select().count() == 3
    assert f'href="{html.escape(url)}"' in client.get(job_url).text


def test_only_ticked_copies_are_registered(
    client: FlaskClient, credentials: CloudCredentials
) -> None:
    page = confirm(client, credentials)
    name, value = next(iter(offered(client, page).items()))
    client.post(f"{ACME}/images", data=filled(page, **{name: value}))
    process_jobs()
    assert Image.select().count() == 2


def test_a_registered_copy_is_linked_and_cannot_be_ticked(
    client: FlaskClient, credentials: CloudCredentials
) -> None:
    page = confirm(client, credentials)
    name, value = next(iter(offered(client, page).items()))
    client.post(f"{ACME}/images", data=filled(page, **{name: value}))
    process_jobs()
    image = Image.get(Image.location == "eu-west-1")
    Image.delete().where(Image.location == "us-east-1").execute()
    page = confirm(client, credentials)
    fragment = client.post(COPIES, data={"receipt": receipt_in(page)}).text
    assert f'href="{ACME}/images/{image.id}">golden</a>' in fragment
    assert len(re.findall('name="copy_', fragment)) == 1


def test_without_javascript_the_copies_are_on_the_page(
    client: FlaskClient, credentials: CloudCredentials
) -> None:
    page = confirm(client, credentials)
    link = re.search(r'<noscript><p><a href="([^"]+)"', page)
    assert link
    page = client.get(html.unescape(link[1])).text
    assert "Also found in eu-west-1, us-west-2" in visible_text(page)
    assert not markup_problems(page)


def test_ticks_stay_when_the_form_has_an_error(
    client: FlaskClient, credentials: CloudCredentials
) -> None:
    page = confirm(client, credentials)
    copies = offered(client, page)
    response = client.post(f"{ACME}/images", data={**filled(page, **copies), "name": ""})
    assert response.status_code == 422
    assert len(re.findall(r'name="copy_\d+" value="[^"]+" checked', response.text)) == 2


def test_a_forged_copy_registers_nothing(
    client: FlaskClient, client_of: ClientOf, credentials: CloudCredentials
) -> None:
    page = confirm(client, credentials)
    copies = offered(client, page)
    other = client_of("account-admin")
    foreign = offered(other, confirm(other, credentials))
    for value in ("x", "", next(iter(copies.values()))[:-3], next(iter(foreign.values()))):
        response = client.post(f"{ACME}/images", data=filled(page, copy_0=value))
        assert response.status_code == 422
    for value in ("", "x", "\u202e" * 500):
        assert client.post(COPIES, data={"receipt": value}).status_code == 400
    assert not Image.select().exists()


def test_a_copy_that_somebody_registers_meanwhile_is_reviewed_and_never_changed(
    client: FlaskClient, credentials: CloudCredentials
) -> None:
    page = confirm(client, credentials)
    copies = offered(client, page)
    first = confirm(client, credentials, location="eu-west-1", image_id=IRELAND)
    client.post(f"{ACME}/images", data=filled(first, name="first"))
    response = client.post(f"{ACME}/images", data=filled(page, **copies))
    assert "/images/import/" in response.headers["Location"]
    review = visible_text(client.get(response.headers["Location"]))
    assert "1 image is already registered." in review
    client.post(response.headers["Location"])
    process_jobs()
    assert Image.get(Image.location == "eu-west-1").name == "first"
    assert Image.select().count() == 3


def test_copies_that_expired_are_looked_up_again_before_the_review(
    client: FlaskClient, credentials: CloudCredentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = confirm(client, credentials)
    copies = offered(client, page)
    later = now() + timedelta(seconds=receipts.VALID_SECONDS + 1)
    with monkeypatch.context() as patched:
        patched.setattr(receipts, "now", lambda: later)
        response = client.post(f"{ACME}/images", data=filled(page, **copies))
    assert response.status_code == 422  # The confirmed image was looked up again.
    assert "Your entries are still in the form" in visible_text(response)
    assert not Image.select().exists()


def test_a_failed_search_of_other_regions_says_why(
    client: FlaskClient, credentials: CloudCredentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    def copies(*_: object) -> None:
        raise CloudThrottled("AWS limits the rate of calls. Wait a minute.")

    page = confirm(client, credentials)
    monkeypatch.setattr(CLOUDS["aws"], "copies", copies)
    fragment = client.post(COPIES, data={"receipt": receipt_in(page)})
    assert "Other locations couldn’t be searched. AWS limits" in visible_text(fragment)


def test_one_template_is_registered_for_several_compute_resources(client_of: ClientOf) -> None:
    client, peer = client_of("account-admin"), VMwarePeer()
    with peer.start() as url:
        row = save_credentials(client, peer, peer.credentials(url))
        query = {
            "credentials": row.id,
            "location": peer.known.location,
            "image_id": peer.known.image_id,
        }
        confirm_url = f"{ACME}/images/new/vmware/confirm"
        page = client.get(confirm_url, query_string=query).text
        resources = dict(re.findall(r'name="(also_resource_\d+)" value="([^"]+)"', page))
        assert len(resources) > 1
        chosen = next(iter(resources.values()))
        form = filled(page, compute_resource=chosen, **resources)
        response = client.post(f"{ACME}/images", data=form)
        assert "/jobs/" in response.headers["Location"]
        process_jobs()
        assert {image.compute_resource for image in Image.select()} == set(resources.values())
        page = client.get(confirm_url, query_string=query).text
        assert "also_resource_" not in page
        form = filled(page, also_resource_0="Nowhere")
        response = client.post(f"{ACME}/images", data=form)
        review = visible_text(client.get(response.headers["Location"]))
        assert "can’t be used on the compute_resource “Nowhere”" in review
