"""Import manifests of Packer, mostly with look-ups at the peer of each cloud.

A peer is a server that an adapter is tested against. The manifests contain only the values that the
builders write. The import asks for all other values.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from models import CloudCredentials, Image
from sandbox.azure_images import GROUP, SPECIALIZED, in_group
from tests.clouds.peers import PEERS
from tests.conftest import ClientOf
from tests.jobs.threads import process_jobs

ACME = "/account/acme"
PEER_OF = {peer.cloud.key: peer for peer in PEERS}


@pytest.fixture(scope="module")
def cloud_urls() -> Iterator[dict[str, str]]:
    with ExitStack() as stack:
        yield {key: stack.enter_context(peer.start()) for key, peer in PEER_OF.items()}


@pytest.fixture
def client(client_of: ClientOf) -> FlaskClient:
    return client_of("account-admin")


@pytest.fixture
def save_credentials(db: object, client: FlaskClient, cloud_urls: dict[str, str]) -> None:
    """Save credentials for each cloud at acme."""
    for key, peer in PEER_OF.items():
        values = peer.credentials(cloud_urls[key])
        fields = {"name": f"{key} credentials", **values}
        answer = client.post(f"{ACME}/credentials/new/{key}", data=fields)
        assert answer.status_code == 303, answer.text


def build(builder: str, artifact: str, name: str = "", **custom: str) -> dict[str, object]:
    return {
        "name": name or builder,
        "builder_type": builder,
        "build_time": 1796000000,
        "files": None,
        "artifact_id": artifact,
        "packer_run_uuid": "6f0b8b5a-0d5c-4a62-9f0e-3a8f1c2d4e5f",
        "custom_data": custom or None,
    }


def upload(client: FlaskClient, *builds: object, how: str = "look-up") -> str:
    """Upload a manifest with all credentials chosen, and return the URL of its plan."""
    text = json.dumps({"builds": builds, "last_run_uuid": "r"})
    chosen = {f"credentials_{row.cloud}": row.id for row in CloudCredentials.select()}
    answer = client.post(f"{ACME}/images/import", data={"text": text, "how": how, **chosen})
    assert answer.status_code == 303, answer.text
    return answer.location


def page_of(client: FlaskClient, url: str) -> str:
    """Return the plan, after its look-ups."""
    process_jobs()
    return html.unescape(client.get(url).text)


def answer(client: FlaskClient, url: str, **values: str) -> TestResponse:
    """Send values, which are named like `gce_project`."""
    fields = {name.replace("_", "-", 1): value for name, value in values.items()}
    fields["operating_system"] = values.get("operating_system", "")
    return client.post(f"{url}/answers", data=fields)


def value_of(page: str, name: str) -> str | None:
    """Return the value of a field, or None if the page does not have it."""
    tag = re.search(rf'<input[^>]* name="{name}"[^>]*>', page)
    return None if tag is None else re.search(r'value="([^"]*)"', tag[0])[1]  # type: ignore[index]


@pytest.mark.usefixtures("save_credentials")
def test_a_build_with_only_a_name_is_found_in_the_project_of_the_credentials(
    client: FlaskClient,
) -> None:
    url = upload(client, build("googlecompute", "acme-app-20261101"))
    page = page_of(client, url)
    assert value_of(page, "gce-project") == "acme-images"
    assert "acme-images/global/images/acme-app-20261101" in page
    # The project of the credentials is only a suggestion.
    project, _, name = PEER_OF["gce"].known.image_id.partition("/global/images/")
    url = upload(client, build("googlecompute", name))
    assert "Import 1 image" not in page_of(client, url)
    assert answer(client, url, gce_project=project).status_code == 303
    page = page_of(client, url)
    assert value_of(page, "gce-project") == project
    assert "Import 1 image" in page
    client.post(url)
    image = Image.get()
    assert (image.cloud_image_id, image.name, image.verified) == (
        PEER_OF["gce"].known.image_id,
        PEER_OF["gce"].known_name,
        True,
    )


@pytest.mark.usefixtures("save_credentials")
def test_a_missing_region_is_asked_once_for_all_builds(client: FlaskClient) -> None:
    known = PEER_OF["openstack"].known
    missing = "6f2b8c1e-1a3d-4e5f-8a9b-0c1d2e3f4a5b"
    builds = [build("openstack", known.image_id), build("openstack", missing, "other")]
    url = upload(client, *builds)
    page = page_of(client, url)
    assert "2 builds lack values. Enter the values below." in page
    assert "The manifest doesn’t contain the location of this image. Enter it above" in page
    assert value_of(page, "openstack-location") == ""
    assert f'<option value="{known.location}">' in page
    assert answer(client, url, openstack_location=known.location).status_code == 303
    page = page_of(client, url)
    assert value_of(page, "openstack-location") == known.location
    assert "Import 1 image" in page
    assert f"There is no image {missing} in {known.location}" in page
    client.post(url)
    assert Image.get().location == known.location
    assert Image.get().name == PEER_OF["openstack"].known_name


@pytest.mark.usefixtures("save_credentials")
def test_a_template_is_found_by_its_name(client: FlaskClient) -> None:
    peer = PEER_OF["vmware"]
    builds = [build("vsphere-iso", peer.known_name), build("vsphere-clone", "no-such-template")]
    url = upload(client, *builds)
    page = page_of(client, url)
    assert value_of(page, "vmware-location") == ""
    answer(client, url, vmware_location=peer.known.location)
    page = page_of(client, url)
    assert "Import 1 image" in page
    assert "There is no template named “no-such-template” in Copenhagen" in page
    client.post(url)
    image = Image.get()
    assert (image.cloud_image_id, image.location) == (peer.known.image_id, peer.known.location)
    # The same manifest again finds the registered image.
    url = upload(client, builds[0])
    answer(client, url, vmware_location=peer.known.location)
    assert "1 image won’t change" in page_of(client, url)


@pytest.mark.parametrize("name", ["amazon-ebs", "x"])
@pytest.mark.usefixtures("save_credentials")
def test_a_build_without_a_usable_name_gets_the_name_in_the_cloud(
    client: FlaskClient, name: str
) -> None:
    known = PEER_OF["aws"].known
    url = upload(client, build("amazon-ebs", f"{known.location}:{known.image_id}", name))
    # The Images page links to the running job.
    assert client.get(url.replace("images/import", "jobs")).location == url
    page = page_of(client, url)
    assert PEER_OF["aws"].known_name in page
    assert "Complete the file" not in page
    client.post(url)
    assert Image.get().name == PEER_OF["aws"].known_name


@pytest.mark.usefixtures("save_credentials")
def test_an_operating_system_that_nobody_knows_is_asked_before_the_import(
    client: FlaskClient,
) -> None:
    image_id = f"{in_group(GROUP)}/images/{SPECIALIZED.name}"
    url = upload(client, build("azure-arm", image_id))
    page = page_of(client, url)
    assert "1 build lacks a value. Enter the value below." in page
    assert "The os_family is missing, and it can’t be detected" in page
    assert value_of(page, "operating_system") == ""
    refused = answer(client, url, operating_system="Ubuntu")
    assert refused.status_code == 422
    assert "Enter a family and a version, for example Ubuntu 24.04." in refused.text
    assert value_of(refused.text, "operating_system") == "Ubuntu"
    answer(client, url, operating_system="ubuntu 24.04")
    page = page_of(client, url)
    assert value_of(page, "operating_system") == "Ubuntu 24.04 LTS Noble Numbat"
    assert "Import 1 image" in page
    client.post(url)
    image = Image.get()
    assert (image.name, image.os_family, image.os_version) == (SPECIALIZED.name, "ubuntu", "24.04")


@pytest.mark.usefixtures("db")
def test_questions_without_a_look_up(client: FlaskClient) -> None:
    """A project or region can be entered, but only a look-up finds a template by its name."""
    builds = [
        build("googlecompute", "debian-13-web"),
        build("openstack", PEER_OF["openstack"].known.image_id, "ubuntu-24.04"),
        build("vsphere-iso", "ubuntu-24.04"),
    ]
    url = upload(client, *builds, how="unverified")
    assert "3 builds lack values. Enter the values below." in page_of(client, url)
    answer(
        client,
        url,
        gce_project="acme-images",
        openstack_location="RegionOne",
        vmware_location="DC0",
    )
    page = page_of(client, url)
    assert "Import 2 images" in page
    assert (
        "The file contains only the name of this image, “ubuntu-24.04”. Look up new images" in page
    )
    client.post(url)
    assert {(each.cloud, each.location, each.name) for each in Image.select()} == {
        ("gce", "", "debian-13-web"),
        ("openstack", "RegionOne", "ubuntu-24.04"),
    }


@pytest.mark.usefixtures("db")
def test_an_image_whose_name_is_too_short_gets_its_id_as_name(client: FlaskClient) -> None:
    """Google Compute Engine allows names of one character."""
    custom = {"project": "acme-images", "os_family": "debian", "os_version": "13"}
    url = upload(client, build("googlecompute", "x", **custom), how="unverified")
    assert "Import 1 image" in page_of(client, url)
    client.post(url)
    assert Image.get().name == "acme-images/global/images/x"


@pytest.mark.usefixtures("db")
def test_a_region_that_a_csv_file_leaves_out_is_asked_too(client: FlaskClient) -> None:
    text = "cloud,cloud_image_id,name\naws,ami-0123456789abcdef0,ubuntu-noble-24.04\n"
    sent = client.post(f"{ACME}/images/import", data={"text": text, "how": "unverified"})
    assert "The location is missing" in page_of(client, sent.location)
    assert answer(client, sent.location, aws_location="x" * 200).status_code == 422
    answer(client, sent.location, aws_location="eu-west-1")
    client.post(sent.location)
    assert Image.get().location == "eu-west-1"


@pytest.mark.usefixtures("save_credentials")
def test_old_look_ups_are_repeated_before_the_import(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = PEER_OF["aws"].known
    url = upload(client, build("amazon-ebs", f"{known.location}:{known.image_id}"))
    page_of(client, url)
    monkeypatch.setattr("webapp.transfer.imports.VALID_SECONDS", -1)
    assert client.post(url).location == url
    page = page_of(client, url)
    assert "so the images are being looked up again" in page
    assert not Image.select().exists()
    monkeypatch.undo()
    client.post(url)
    assert Image.select().count() == 1


@pytest.mark.usefixtures("db")
def test_answers_after_the_import_change_nothing(client: FlaskClient) -> None:
    text = "cloud,location,cloud_image_id,name\naws,us-east-1,ami-0123456789abcdef0,debian-13\n"
    url = client.post(f"{ACME}/images/import", data={"text": text, "how": "unverified"}).location
    job = client.post(url).location
    assert client.get(answer(client, url, aws_location="eu-west-1").location).location == job
    assert Image.get().location == "us-east-1"
