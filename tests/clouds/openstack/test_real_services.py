"""The OpenStack adapter against the real Keystone and the real Glance; and the sandbox, held to
what these say of the same images and of the same mistakes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest
import requests

from sandbox import openstack, openstack_images
from sandbox.openstack_images import CATALOGUE, NOBLE, ONE, ONLY_TWO, OWN, TWO, Known
from tests.clouds.openstack import real_services
from tests.clouds.openstack.peer import UNKNOWN, application_credentials, openstack_credentials
from tests.clouds.openstack.seed import ADMIN_PASSWORD, Client
from webapp.clouds.base import (
    CloudError,
    CloudUnreachable,
    CredentialsRejected,
    CredentialValues,
    Identity,
    ImageDetails,
    ImageNotFound,
    Location,
    Locator,
    PermissionDenied,
    UnknownLocation,
)
from webapp.clouds.openstack.adapter import OpenStack

ONLY_ONE_CAN_KNOW = {
    "owner",  # Keystone makes up the id of a project
    "file_size",  # what was uploaded here is the head of a disk only
    "checksum",
}
"""Facts in which the sandbox and the real cloud differ; and `created`, which is when the image was
made, here just now."""
VISIBLE = [each for each in CATALOGUE if each is not openstack_images.FOREIGN]
HERE = Locator(ONE, NOBLE.image_id)


@pytest.fixture(scope="session")
def real() -> Iterator[Mapping[str, Any]]:
    """Shared by all processes of a test run, and started by the first."""
    with ExitStack() as stack:
        try:
            state = stack.enter_context(real_services.shared())
        except real_services.NotInstalled as error:
            if os.environ.get("CI") == "true":
                raise
            pytest.skip(f"*** NOT RUN: {error} ***")
        yield state


@pytest.fixture(scope="module")
def sandbox() -> Iterator[str]:
    with openstack.start() as address:
        yield address


@pytest.fixture
def adapter() -> OpenStack:
    return OpenStack()


def good(real: Mapping[str, Any], **changes: str) -> CredentialValues:
    return openstack_credentials("", **{"auth_url": real["auth_url"], **changes})


def application(real: Mapping[str, Any], **changes: str) -> CredentialValues:
    known = {
        "auth_url": real["auth_url"],
        "application_credential_id": real["application_credential_id"],
    }
    return application_credentials("", **{**known, **changes})


def comparable(details: ImageDetails) -> ImageDetails:
    facts = tuple(each for each in details.facts if each.key not in ONLY_ONE_CAN_KNOW)
    return replace(details, facts=facts, created=None)


def at(known: Known) -> Locator:
    return Locator(known.region, known.image_id)


@pytest.mark.parametrize("known", VISIBLE, ids=lambda known: known.name)
def test_both_say_the_same_of_an_image(
    adapter: OpenStack, real: Mapping[str, Any], sandbox: str, known: Known
) -> None:
    said = adapter.describe(good(real), at(known))
    ours = adapter.describe(openstack_credentials(sandbox), at(known))
    assert comparable(said) == comparable(ours)
    assert [each.key for each in said.facts] == [each.key for each in ours.facts]
    assert said.created is not None
    assert ours.created is not None


def test_check_and_locations(adapter: OpenStack, real: Mapping[str, Any], sandbox: str) -> None:
    who = Identity("acme", "user acme-images (Default) in project acme (Default)")
    for credentials in (good(real), application(real), openstack_credentials(sandbox)):
        assert adapter.check(credentials) == who
        assert adapter.locations(credentials) == (Location(ONE, ONE), Location(TWO, TWO))


def test_application_credential_reads_what_is_private_to_its_project(
    adapter: OpenStack, real: Mapping[str, Any]
) -> None:
    assert adapter.describe(application(real), at(OWN)).name == OWN.name


@pytest.mark.parametrize("end", ["", "/", "/v3/", "/v3/auth/tokens"])
def test_auth_url_as_people_write_it(adapter: OpenStack, real: Mapping[str, Any], end: str) -> None:
    root = str(real["auth_url"]).removesuffix("/v3")
    assert adapter.check(good(real, auth_url=root + end)).account == "acme"


MISTAKES: Mapping[str, tuple[Locator, dict[str, str], type[CloudError]]] = {
    "unknown image": (Locator(ONE, UNKNOWN), {}, ImageNotFound),
    "image of another project": (at(openstack_images.FOREIGN), {}, ImageNotFound),
    "image of another region": (Locator(ONE, ONLY_TWO.image_id), {}, ImageNotFound),
    "image of the first region": (Locator(TWO, NOBLE.image_id), {}, ImageNotFound),
    "unknown region": (Locator("Nowhere", NOBLE.image_id), {}, UnknownLocation),
    "wrong password": (HERE, {"password": "wrong"}, CredentialsRejected),
    "unknown user": (HERE, {"username": "nobody"}, CredentialsRejected),
    "unknown project": (HERE, {"project_name": "nothing"}, CredentialsRejected),
    "project of others": (HERE, {"project_name": "globex"}, CredentialsRejected),
    "unknown domain": (HERE, {"user_domain_name": "Nowhere"}, CredentialsRejected),
    "unknown domain of the project": (
        HERE,
        {"project_domain_name": "Nowhere"},
        CredentialsRejected,
    ),
    "no right to read": (HERE, {"username": openstack.AUDITOR}, PermissionDenied),
    "nor to know": (
        Locator(ONE, UNKNOWN),
        {"username": openstack.AUDITOR},
        PermissionDenied,
    ),
    "wrong path": (HERE, {"auth_url": "/identity"}, CloudUnreachable),
    "path too long": (HERE, {"auth_url": "/v3/somewhere"}, CloudUnreachable),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_both_say_the_same_of_a_mistake(
    adapter: OpenStack, real: Mapping[str, Any], sandbox: str, mistake: str
) -> None:
    locator, changes, kind = MISTAKES[mistake]
    errors = []
    for root in (str(real["auth_url"]).removesuffix("/v3"), sandbox):
        path = changes.get("auth_url", "/v3")
        credentials = openstack_credentials("", **{**changes, "auth_url": root + path})
        with pytest.raises(kind) as caught:
            adapter.describe(credentials, locator)
        errors.append(
            (type(caught.value), str(caught.value), getattr(caught.value, "found_in", ()))
        )
    assert errors[0] == errors[1]


def test_where_else_an_image_is(adapter: OpenStack, real: Mapping[str, Any]) -> None:
    with pytest.raises(ImageNotFound, match="but in RegionTwo") as caught:
        adapter.describe(good(real), Locator(ONE, ONLY_TWO.image_id))
    assert caught.value.found_in == (TWO,)


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
def test_both_say_the_same_of_a_wrong_application_credential(
    adapter: OpenStack, real: Mapping[str, Any], sandbox: str, changes: dict[str, str], words: str
) -> None:
    for credentials in (
        application(real, **changes),
        application_credentials(sandbox, **changes),
    ):
        with pytest.raises(CredentialsRejected, match=words):
            adapter.check(credentials)


def test_a_token_that_was_revoked_is_replaced(adapter: OpenStack, real: Mapping[str, Any]) -> None:
    credentials = good(real)
    adapter.describe(credentials, HERE)
    token = adapter._clients.get(credentials)._access().auth_token or ""
    admin = Client(str(real["auth_url"]), "admin", ADMIN_PASSWORD, "admin")
    admin.call("DELETE", f"{real['auth_url']}/auth/tokens", headers={"X-Subject-Token": token})
    image = f"{real['glances'][0]}/v2/images/{NOBLE.image_id}"
    refused = requests.get(image, headers={"X-Auth-Token": token}, timeout=60)
    assert refused.status_code == 401
    assert adapter.describe(credentials, HERE).name == NOBLE.name


def test_an_image_service_in_place_of_the_identity_service(
    adapter: OpenStack, real: Mapping[str, Any]
) -> None:
    with pytest.raises(CloudUnreachable, match="did not respond like Keystone"):
        adapter.check(good(real, auth_url=real["glances"][0]))
