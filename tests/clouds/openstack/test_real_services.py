"""The OpenStack adapter against the real Keystone and Glance.

The sandbox must give the same answers for the same images and the same mistakes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest
import requests

from sandbox import openstack, openstack_images
from sandbox.openstack_images import (
    ACME_IMAGE,
    CATALOG,
    NOBLE,
    ONLY_IN_REGION_TWO,
    REGION_ONE,
    REGION_TWO,
    SandboxImage,
)
from tests.clouds.openstack import real_services
from tests.clouds.openstack.peer import UNKNOWN, application_credentials, openstack_credentials
from tests.clouds.openstack.seed import ADMIN_PASSWORD, Client
from webapp.clouds.credentials import CredentialValues, Identity
from webapp.clouds.details import ImageDetails
from webapp.clouds.errors import (
    CloudError,
    CloudUnreachable,
    CredentialsRejected,
    ImageNotFound,
    ImageNotVisible,
    PermissionDenied,
    UnknownLocation,
)
from webapp.clouds.locators import Location, Locator
from webapp.clouds.openstack.adapter import OpenStack

DIFFERENT_FACTS = {
    "owner",  # Keystone generates the IDs of projects.
    "file_size",  # Only the header of the disk was uploaded to the real cloud.
    "checksum",
}
"""The facts that differ between the sandbox and the real cloud.

`created_at` also differs, because the images of the real cloud were created just now.
"""
VISIBLE = [each for each in CATALOG if each is not openstack_images.GLOBEX_IMAGE]
HERE = Locator(REGION_ONE, NOBLE.image_id)


@pytest.fixture(scope="session")
def real() -> Iterator[Mapping[str, Any]]:
    """Yield the state of the real cloud. All processes of a test run share it."""
    with ExitStack() as stack:
        try:
            state = stack.enter_context(real_services.shared())
        except real_services.NotInstalled as error:
            if os.environ.get("CI") == "true":
                raise
            pytest.skip(f"*** NOT RUN: {error} ***")
        yield state


def password_credentials(real: Mapping[str, Any], **changes: str) -> CredentialValues:
    return openstack_credentials("", **{"auth_url": real["auth_url"], **changes})


def application_credentials_of(real: Mapping[str, Any], **changes: str) -> CredentialValues:
    known = {
        "auth_url": real["auth_url"],
        "application_credential_id": real["application_credential_id"],
    }
    return application_credentials("", **{**known, **changes})


def comparable(details: ImageDetails) -> ImageDetails:
    """Return the details without DIFFERENT_FACTS and without the creation date."""
    facts = tuple(each for each in details.facts if each.key not in DIFFERENT_FACTS)
    return replace(details, facts=facts, created_at=None)


def at(known: SandboxImage) -> Locator:
    return Locator(known.region, known.image_id)


@pytest.mark.parametrize("known", VISIBLE, ids=lambda known: known.name)
def test_the_sandbox_describes_images_as_the_real_services_do(
    adapter: OpenStack, real: Mapping[str, Any], cloud_url: str, known: SandboxImage
) -> None:
    real_details = adapter.describe(password_credentials(real), at(known))
    sandbox_details = adapter.describe(openstack_credentials(cloud_url), at(known))
    assert comparable(real_details) == comparable(sandbox_details)
    assert [fact.key for fact in real_details.facts] == [fact.key for fact in sandbox_details.facts]
    assert real_details.created_at is not None
    assert sandbox_details.created_at is not None


def test_check_and_locations(adapter: OpenStack, real: Mapping[str, Any], cloud_url: str) -> None:
    who = Identity("acme", "user acme-images (Default) in project acme (Default)")
    for credentials in (
        password_credentials(real),
        application_credentials_of(real),
        openstack_credentials(cloud_url),
    ):
        assert adapter.check(credentials) == who
        assert adapter.locations(credentials) == (
            Location(REGION_ONE, REGION_ONE),
            Location(REGION_TWO, REGION_TWO),
        )


def test_an_application_credential_reads_private_images_of_its_project(
    adapter: OpenStack, real: Mapping[str, Any]
) -> None:
    assert (
        adapter.describe(application_credentials_of(real), at(ACME_IMAGE)).name == ACME_IMAGE.name
    )


@pytest.mark.parametrize("end", ["", "/", "/v3/", "/v3/auth/tokens"])
def test_auth_urls_are_accepted_as_people_write_them(
    adapter: OpenStack, real: Mapping[str, Any], end: str
) -> None:
    root = str(real["auth_url"]).removesuffix("/v3")
    assert adapter.check(password_credentials(real, auth_url=root + end)).account == "acme"


MISTAKES: Mapping[str, tuple[Locator, dict[str, str], type[CloudError]]] = {
    "unknown image": (Locator(REGION_ONE, UNKNOWN), {}, ImageNotVisible),
    "image of another project": (at(openstack_images.GLOBEX_IMAGE), {}, ImageNotVisible),
    "image of another region": (
        Locator(REGION_ONE, ONLY_IN_REGION_TWO.image_id),
        {},
        ImageNotFound,
    ),
    "image of the first region": (Locator(REGION_TWO, NOBLE.image_id), {}, ImageNotFound),
    "unknown region": (Locator("Nowhere", NOBLE.image_id), {}, UnknownLocation),
    "wrong password": (HERE, {"password": "wrong"}, CredentialsRejected),
    "unknown user": (HERE, {"username": "nobody"}, CredentialsRejected),
    "unknown project": (HERE, {"project_name": "nothing"}, CredentialsRejected),
    "project without a role": (HERE, {"project_name": "globex"}, CredentialsRejected),
    "unknown domain": (HERE, {"user_domain_name": "Nowhere"}, CredentialsRejected),
    "unknown domain of the project": (
        HERE,
        {"project_domain_name": "Nowhere"},
        CredentialsRejected,
    ),
    "no right to read": (HERE, {"username": openstack.AUDITOR}, PermissionDenied),
    "no right to read an unknown image": (
        Locator(REGION_ONE, UNKNOWN),
        {"username": openstack.AUDITOR},
        PermissionDenied,
    ),
    "wrong path": (HERE, {"auth_url": "/identity"}, CloudUnreachable),
    "path too long": (HERE, {"auth_url": "/v3/somewhere"}, CloudUnreachable),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_sandbox_reports_mistakes_as_the_real_services_do(
    adapter: OpenStack, real: Mapping[str, Any], cloud_url: str, mistake: str
) -> None:
    locator, changes, kind = MISTAKES[mistake]
    errors = []
    for root in (str(real["auth_url"]).removesuffix("/v3"), cloud_url):
        path = changes.get("auth_url", "/v3")
        credentials = openstack_credentials("", **{**changes, "auth_url": root + path})
        with pytest.raises(kind) as caught:
            adapter.describe(credentials, locator)
        errors.append(
            (type(caught.value), str(caught.value), getattr(caught.value, "found_in", ()))
        )
    assert errors[0] == errors[1]


def test_an_image_in_another_region_is_found_there(
    adapter: OpenStack, real: Mapping[str, Any]
) -> None:
    with pytest.raises(ImageNotFound, match="but it exists in RegionTwo") as caught:
        adapter.describe(
            password_credentials(real), Locator(REGION_ONE, ONLY_IN_REGION_TWO.image_id)
        )
    assert caught.value.found_in == (REGION_TWO,)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"application_credential_secret": "wrong"}, "its secret is wrong"),
        (
            {"application_credential_id": "0123456789abcdef"},
            "no application credential with this ID",
        ),
    ],
)
def test_the_sandbox_rejects_application_credentials_as_keystone_does(
    adapter: OpenStack, real: Mapping[str, Any], cloud_url: str, changes: dict[str, str], words: str
) -> None:
    for credentials in (
        application_credentials_of(real, **changes),
        application_credentials(cloud_url, **changes),
    ):
        with pytest.raises(CredentialsRejected, match=words):
            adapter.check(credentials)


def test_a_revoked_token_is_replaced(adapter: OpenStack, real: Mapping[str, Any]) -> None:
    credentials = password_credentials(real)
    adapter.describe(credentials, HERE)
    token = adapter._clients.get(credentials)._access().auth_token or ""
    admin = Client(str(real["auth_url"]), "admin", ADMIN_PASSWORD, "admin")
    admin.call("DELETE", f"{real['auth_url']}/auth/tokens", headers={"X-Subject-Token": token})
    image = f"{real['glances'][0]}/v2/images/{NOBLE.image_id}"
    refused = requests.get(image, headers={"X-Auth-Token": token}, timeout=60)
    assert refused.status_code == 401
    assert adapter.describe(credentials, HERE).name == NOBLE.name


def test_the_url_of_an_image_service_is_not_an_auth_url(
    adapter: OpenStack, real: Mapping[str, Any]
) -> None:
    with pytest.raises(CloudUnreachable, match="didn’t respond like Keystone"):
        adapter.check(password_credentials(real, auth_url=real["glances"][0]))
