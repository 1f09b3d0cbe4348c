"""The OpenStack adapter against the sandbox's Keystone and Glance, over a socket."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from sandbox import faulty, openstack, openstack_images, tls
from sandbox.openstack_images import CATALOG, REGION_ONE, REGION_TWO, SandboxImage
from tests.clouds.helpers import fact
from tests.clouds.openstack.answers import cloud, endpoint, image, keystone_error
from tests.clouds.openstack.peer import UNKNOWN, application_credentials, openstack_credentials
from webapp.clouds.credentials import CredentialValues, Identity
from webapp.clouds.details import Fact, ImageState
from webapp.clouds.errors import (
    ImageNotFound,
    ImageNotVisible,
    InvalidCredentials,
    PermissionDenied,
    UnknownLocation,
)
from webapp.clouds.locators import Location, Locator
from webapp.clouds.openstack import details as image_details
from webapp.clouds.openstack import sdk
from webapp.clouds.openstack.adapter import OpenStack
from webapp.images import operating_systems

VISIBLE = [each for each in CATALOG if each is not openstack_images.GLOBEX_IMAGE]


def at(known: SandboxImage) -> Locator:
    return Locator(known.region, known.image_id)


@pytest.mark.parametrize("known", VISIBLE, ids=lambda known: known.name)
def test_every_image_of_the_sandbox(
    adapter: OpenStack, good: CredentialValues, known: SandboxImage
) -> None:
    details = adapter.describe(good, at(known))
    properties = dict(known.properties)
    assert details.name == known.name
    assert details.created_at == datetime.fromisoformat(known.created)
    assert fact(details, "owner") == openstack_images.id_for(known.project)
    assert fact(details, "visibility") == known.visibility.capitalize()
    assert fact(details, "disk_format") == known.disk_format
    for key, _ in image_details.PROPERTIES:
        assert fact(details, key) == properties.get(key)
    if "os_distro" in properties:
        suggestion = operating_systems.suggest(details.os_texts)
        assert suggestion is not None
        family = properties["os_distro"].replace("windows", "windows-server")
        assert suggestion.family.replace("windows", "windows-server").startswith(family)
        assert suggestion.version.split(".")[0] == properties["os_version"].split(".")[0]


def test_all_details_of_an_image(adapter: OpenStack, good: CredentialValues) -> None:
    details = adapter.describe(good, at(openstack_images.ACME_IMAGE))
    assert details.description == "Acme's database image: Ubuntu 24.04 with PostgreSQL 17"
    assert details.architecture == "x86_64"
    assert details.size_gb == 20
    assert details.state is ImageState.AVAILABLE
    assert details.state_note == ""
    assert details.warnings == ()
    assert details.os_texts[0] == "ubuntu 24.04"
    assert set(details.facts) >= {
        Fact("protected", "Protected from deletion", "Yes"),
        Fact("file_size", "File size", "2.1 GB"),
        Fact("min_disk", "Minimum disk", "20 GB"),
        Fact("min_ram", "Minimum memory", "2048 MB"),
        Fact("hw_firmware_type", "Firmware", "uefi"),
        Fact("hw_scsi_model", "SCSI controller", "virtio-scsi"),
        Fact("source_image", "Source image", openstack_images.NOBLE.image_id),
        Fact("tags", "Tags", "golden, postgres"),
    }
    assert len(fact(details, "checksum") or "") == 32


def test_the_size_is_the_virtual_size_rounded_up(
    adapter: OpenStack, good: CredentialValues
) -> None:
    assert adapter.describe(good, at(openstack_images.NOBLE)).size_gb == 4
    assert adapter.describe(good, at(openstack_images.CIRROS)).size_gb == 1
    assert adapter.describe(good, at(openstack_images.DEBIAN_13)).size_gb == 4


def test_architectures_are_translated(adapter: OpenStack, good: CredentialValues) -> None:
    assert adapter.describe(good, at(openstack_images.NOBLE_ARM)).architecture == "arm64"
    assert adapter.describe(good, at(openstack_images.CIRROS)).architecture == ""


def test_hidden_deactivated_and_queued_images(adapter: OpenStack, good: CredentialValues) -> None:
    hidden = adapter.describe(good, at(openstack_images.HIDDEN))
    assert hidden.state is ImageState.AVAILABLE
    assert hidden.warnings == (image_details.HIDDEN,)
    assert fact(hidden, "hidden") == "Yes"
    deactivated = adapter.describe(good, at(openstack_images.DEACTIVATED))
    assert deactivated.state is ImageState.DISABLED
    assert "deactivated" in deactivated.state_note
    queued = adapter.describe(good, at(openstack_images.QUEUED))
    assert queued.state is ImageState.PENDING
    assert "hasn’t been uploaded" in queued.state_note
    assert fact(queued, "file_size") is None
    assert fact(queued, "checksum") is None


def test_volumes_of_a_server_snapshot_are_read(adapter: OpenStack, good: CredentialValues) -> None:
    details = adapter.describe(good, at(openstack_images.SERVER_SNAPSHOT))
    assert details.size_gb == 20
    assert [(v.device, v.kind, v.size_gb, v.encrypted, v.root) for v in details.volumes] == [
        ("/dev/vda", "volume", 20, None, True),
        ("/dev/vdb", "volume", 100, None, False),
    ]
    assert all(volume.snapshot.startswith("51a95307") for volume in details.volumes)


@pytest.mark.parametrize("image_id", [openstack_images.GLOBEX_IMAGE.image_id, UNKNOWN])
def test_a_private_image_of_another_project_looks_like_a_deleted_image(
    adapter: OpenStack, good: CredentialValues, image_id: str
) -> None:
    own = adapter.describe(good, at(openstack_images.ACME_IMAGE)).owner
    with pytest.raises(ImageNotVisible, match="or it is private to another project") as caught:
        adapter.describe(good, Locator(REGION_ONE, image_id))
    assert caught.value.account == own


def test_an_image_in_another_region_is_found_there(
    adapter: OpenStack, good: CredentialValues
) -> None:
    wrong = Locator(REGION_ONE, openstack_images.ONLY_IN_REGION_TWO.image_id)
    words = "in RegionOne, but it exists in RegionTwo. Choose that location."
    with pytest.raises(ImageNotFound, match=words) as caught:
        adapter.describe(good, wrong)
    assert caught.value.found_in == (REGION_TWO,)


def test_an_image_in_several_other_regions_is_found_there(adapter: OpenStack) -> None:
    behave, regions = image(), ("north", "south", "east")

    def missing_in_the_north(request: faulty.Request) -> faulty.Answer | None:
        if "/north/" in request.path and "limit" not in request.path:
            return faulty.Answer(404)
        return behave(request)

    endpoints = [endpoint(f"/{region}", region) for region in regions]
    with faulty.serve(cloud(missing_in_the_north, endpoints)) as url:
        words = "in north, but it exists in east and south. Choose one of those locations."
        with pytest.raises(ImageNotFound, match=words) as caught:
            adapter.describe(openstack_credentials(url), Locator("north", UNKNOWN))
    assert caught.value.found_in == ("east", "south")


def test_the_error_for_an_unknown_region_lists_the_regions(
    adapter: OpenStack, good: CredentialValues
) -> None:
    for region in ("Nowhere", "Region One", "", "http://evil.example/"):
        with pytest.raises(
            UnknownLocation, match=r"Available regions: RegionOne and RegionTwo. Enter"
        ):
            adapter.describe(good, Locator(region, UNKNOWN))


def test_a_region_in_another_case_is_found(adapter: OpenStack, good: CredentialValues) -> None:
    known = openstack_images.ACME_IMAGE
    details = adapter.describe(good, at(known))
    assert details.location == ""
    for spelling in (known.region.lower(), known.region.upper(), f"{known.region}\u200b"):
        found = adapter.describe(good, Locator(spelling, known.image_id))
        assert found == replace(details, location=known.region)


def test_the_error_counts_many_regions(adapter: OpenStack) -> None:
    endpoints = [endpoint("http://127.0.0.1:9", f"r{number}") for number in range(100, 140)]
    endpoints.append(endpoint("http://127.0.0.1:9", "http://not-fit-to-be-shown"))
    with faulty.serve(cloud(image(), endpoints)) as url:
        with pytest.raises(
            UnknownLocation, match=r"Available regions: r100, r101.* and 35 more."
        ) as caught:
            adapter.describe(openstack_credentials(url), Locator("r9", UNKNOWN))
        assert "://" not in str(caught.value)
        assert len(adapter.locations(openstack_credentials(url))) == 41


def test_a_cloud_without_an_image_service_is_reported(adapter: OpenStack) -> None:
    with faulty.serve(cloud(image(), catalog=[])) as url:
        assert adapter.locations(openstack_credentials(url)) == ()
        with pytest.raises(UnknownLocation, match="no image service for this project"):
            adapter.describe(openstack_credentials(url), Locator(REGION_ONE, UNKNOWN))


def test_a_user_who_cannot_read_images_is_reported(adapter: OpenStack, cloud_url: str) -> None:
    """Glance answers this user with 404 for every image, but with 403 for the list of images."""
    auditor = openstack_credentials(cloud_url, username=openstack.AUDITOR)
    assert "acme-auditor" in adapter.check(auditor).description
    with pytest.raises(PermissionDenied, match="can’t read images in the project acme"):
        adapter.describe(auditor, at(openstack_images.NOBLE))


def test_check_with_a_password_and_with_an_application_credential(
    adapter: OpenStack, good: CredentialValues, cloud_url: str
) -> None:
    words = "user acme-images (Default) in project acme (Default)"
    assert adapter.check(good) == Identity("acme", words)
    application = application_credentials(cloud_url)
    assert adapter.check(application) == Identity("acme", words)
    assert (
        adapter.describe(application, at(openstack_images.ACME_IMAGE)).name
        == "acme-golden-postgres-17"
    )


def test_locations_are_the_regions_with_an_image_service(
    adapter: OpenStack, good: CredentialValues
) -> None:
    assert adapter.locations(good) == (
        Location(REGION_ONE, REGION_ONE),
        Location(REGION_TWO, REGION_TWO),
    )


@pytest.mark.parametrize("end", ["/v3", "/v3/", "", "/", "/v3/auth/tokens"])
def test_auth_urls_are_accepted_as_people_write_them(
    adapter: OpenStack, cloud_url: str, end: str
) -> None:
    assert (
        adapter.check(openstack_credentials(cloud_url, auth_url=cloud_url + end)).account == "acme"
    )


@pytest.mark.parametrize(
    ("endpoint_url", "list_url"),
    [
        ("http://glance:9292", "http://glance:9292/v2/images"),
        ("http://glance:9292/", "http://glance:9292/v2/images"),
        ("http://glance:9292/v2", "http://glance:9292/v2/images"),
        ("http://glance:9292/v2.15/", "http://glance:9292/v2.15/images"),
        ("http://glance:9292/v1", "http://glance:9292/v2/images"),
        ("https://cloud/image", "https://cloud/image/v2/images"),
        ("https://images.cloud/v2/123456", "https://images.cloud/v2/123456/images"),
    ],
)
def test_endpoint_urls_are_accepted_as_catalogs_write_them(
    endpoint_url: str, list_url: str
) -> None:
    assert sdk.image_list_url(endpoint_url) == list_url


def test_the_public_endpoint_takes_precedence(adapter: OpenStack) -> None:
    """Without a public endpoint, the internal endpoint is used, but never the admin endpoint.

    A region without a name is called RegionOne.
    """
    endpoints = [
        endpoint("/a", "north", "admin"),
        endpoint("/i", "north", "internal"),
        endpoint("/p", "north", "public"),
        endpoint("/s", "south", "internal"),
        endpoint("/e", "east", "admin"),
        endpoint("/n", None),
    ]
    behave = cloud(lambda request: image(name=request.path[:2])(request), endpoints)
    with faulty.serve(behave) as url:
        credentials = openstack_credentials(url)
        found = {
            each.key: adapter.describe(credentials, Locator(each.key, UNKNOWN)).name
            for each in adapter.locations(credentials)
        }
    assert found == {"RegionOne": "/n", "north": "/p", "south": "/s"}


def test_a_private_authority_is_trusted_if_it_is_configured(adapter: OpenStack) -> None:
    behave = cloud(image())

    def with_tls(request: faulty.Request) -> faulty.Answer | None:
        return encrypted(request) if request.path.endswith("/tokens") else behave(request)

    with faulty.serve(with_tls, tls=tls.trusted()) as url:
        encrypted = cloud(image(), [endpoint(f"{url}/image")])
        credentials = openstack_credentials(url, ca=tls.authority().pem)
        assert adapter.check(credentials).account == "acme"
        assert adapter.describe(credentials, Locator(REGION_ONE, UNKNOWN)).name == "n"


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"auth_url": "https://cloud:5000/v2.0"}, "auth_url", "version 2 .* /v3"),
        ({"auth_url": "https://cloud:5000/v2.0/"}, "auth_url", "version 2 .* /v3"),
        ({"auth_url": "https://cloud:5000/v3?x=1"}, "auth_url", "must end with its path"),
        ({"auth_url": "https://cloud:5000/v3#x"}, "auth_url", "must end with its path"),
        ({"ca": "no certificate"}, "ca", "isn’t a certificate"),
        ({"ca": "-----BEGIN PRIVATE KEY-----"}, "ca", "private key"),
    ],
)
def test_invalid_values_are_refused_at_their_field(
    adapter: OpenStack, changes: dict[str, str], field: str, words: str
) -> None:
    with pytest.raises(InvalidCredentials, match=words) as caught:
        adapter.validate(openstack_credentials("https://cloud:5000", **changes))
    assert caught.value.field == field


def test_valid_values_are_accepted(adapter: OpenStack) -> None:
    pem = tls.authority().pem
    adapter.validate(openstack_credentials("https://cloud:5000", ca=pem))
    adapter.validate(application_credentials("https://cloud/identity"))


def test_fields_depend_on_the_authentication_method(adapter: OpenStack) -> None:
    shown_for = {each.name: each.when and each.when[1] for each in adapter.credential_fields}
    assert {name for name, way in shown_for.items() if way == "password"} == {
        "username",
        "password",
        "project_name",
        "user_domain_name",
        "project_domain_name",
    }
    assert {name for name, way in shown_for.items() if way == "application_credential"} == {
        "application_credential_id",
        "application_credential_secret",
    }


def test_locations_come_from_the_answer_to_the_login(adapter: OpenStack) -> None:
    with faulty.serve(cloud(keystone_error(500))) as url:
        credentials = openstack_credentials(url)
        assert adapter.check(credentials).account == "acme"
        assert adapter.locations(credentials) == (Location(REGION_ONE, REGION_ONE),)
