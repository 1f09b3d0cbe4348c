"""The error for each failure of OpenStack or of the connection to it.

Keystone and Glance fail independently, so each has its own tests.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Mapping
from typing import Any

import pytest

from sandbox import faulty, openstack
from sandbox.faulty import Answer, Behavior, answering, slow
from sandbox.openstack_images import ONLY_IN_REGION_TWO, REGION_ONE, REGION_TWO
from tests.clouds.helpers import cloud_error
from tests.clouds.openstack.answers import (
    JSON,
    cloud,
    endpoint,
    glance_error,
    image,
    keystone_error,
)
from tests.clouds.openstack.peer import (
    LOCATOR,
    UNKNOWN,
    application_credentials,
    look_up_error,
    openstack_credentials,
)
from webapp.clouds import follow_up
from webapp.clouds.credentials import CredentialValues
from webapp.clouds.errors import (
    CloudError,
    CloudThrottled,
    CloudUnreachable,
    CredentialsRejected,
    ImageNotFound,
    ImageNotVisible,
    InvalidImageId,
    PermissionDenied,
    UnknownLocation,
)
from webapp.clouds.locators import Locator
from webapp.clouds.openstack import errors
from webapp.clouds.openstack.adapter import OpenStack

RETRY_AFTER = {"Retry-After": "20"}
NO_APPLICATION = "Could not find Application Credential: 0123."


def errors_of_all_calls(adapter: OpenStack, credentials: CredentialValues) -> list[CloudError]:
    """Return the errors that `check`, `locations` and `describe` raise."""
    return [
        cloud_error(lambda: adapter.check(credentials)),
        cloud_error(lambda: adapter.locations(credentials)),
        cloud_error(lambda: adapter.describe(credentials, LOCATOR)),
    ]


def keystone(status: int, message: str = "No.", **headers: str) -> Behavior:
    return keystone_error(status, message, headers)


KEYSTONE_ERRORS: Mapping[str, tuple[Behavior, type[CloudError], str]] = {
    "rejected": (keystone(401), CredentialsRejected, "rejected this user for this project"),
    "password expired": (
        keystone(401, "The password is expired and needs to be changed for user: 0."),
        CredentialsRejected,
        "password of this user has expired",
    ),
    "locked": (
        keystone(401, "The account is locked for user: 0."),
        CredentialsRejected,
        "has locked this user",
    ),
    "disabled": (
        keystone(401, "The account is disabled for user: 0."),
        CredentialsRejected,
        "user is disabled",
    ),
    "second factor": (
        lambda _: Answer(
            401,
            b'{"receipt": {"methods": ["password"], "expires_at": "2100-01-01T00:00:00Z"},'
            b' "required_auth_methods": [["password", "totp"]]}',
            JSON,
            {"Openstack-Auth-Receipt": "a-receipt"},
        ),
        CredentialsRejected,
        "second factor",
    ),
    "malformed": (keystone(400), CredentialsRejected, "couldn’t process these credentials"),
    "400 of another server": (
        answering(400, "<p>", "text/html"),
        CloudUnreachable,
        "like Keystone",
    ),
    "refused": (keystone(403), PermissionDenied, "doesn’t allow these credentials to log in"),
    "wrong path": (
        answering(404, "<p>", "text/html"),
        CloudUnreachable,
        "no Keystone at that path",
    ),
    "wrong method": (answering(405), CloudUnreachable, "no Keystone at that path"),
    "throttled": (keystone(429, **RETRY_AFTER), CloudThrottled, "Wait 20 seconds"),
    "throttled with 413": (keystone(413), CloudThrottled, "Wait a minute"),
    "500": (keystone(500), CloudUnreachable, r"identity service .* \(HTTP 500\)"),
    "502": (answering(502), CloudUnreachable, r"identity service .* \(HTTP 502\)"),
    "503": (answering(503), CloudUnreachable, r"identity service .* \(HTTP 503\)"),
    "moved": (
        lambda _: Answer(302, headers={"Location": "http://127.0.0.1:9/"}),
        CloudUnreachable,
        r"auth URL redirects to another URL \(HTTP 302\)",
    ),
    "versions": (answering(300, "{}", JSON), CloudUnreachable, "didn’t respond like Keystone"),
    "teapot": (answering(418), CloudUnreachable, "didn’t respond like Keystone"),
}


def image_list_only(request: faulty.Request) -> Answer | None:
    """Answer like a Glance that has no images."""
    behavior = answering(200, '{"images": []}', JSON)
    return (behavior if "limit" in request.path else glance_error(404))(request)


GLANCE_ERRORS: Mapping[str, tuple[Behavior, type[CloudError], str]] = {
    "token": (glance_error(401), CredentialsRejected, "in RegionOne rejected the token"),
    "denied": (glance_error(403), PermissionDenied, "can’t read images in the project acme"),
    "not found": (
        image_list_only,
        ImageNotVisible,
        f"There is no image {UNKNOWN} in RegionOne, or it is private to another project",
    ),
    "no list": (glance_error(404), CloudUnreachable, "lists as the image service in RegionOne"),
    "throttled": (glance_error(429, RETRY_AFTER), CloudThrottled, "Wait 20 seconds"),
    "throttled with 413": (glance_error(413), CloudThrottled, "Wait a minute"),
    "500": (glance_error(500), CloudUnreachable, r"image service .* \(HTTP 500\)"),
    "503": (glance_error(503), CloudUnreachable, r"image service .* \(HTTP 503\)"),
    "moved": (
        lambda _: Answer(301, headers={"Location": "http://127.0.0.1:9/"}),
        CloudUnreachable,
        r"service catalog redirects to another URL \(HTTP 301\)",
    ),
    "teapot": (glance_error(418), CloudUnreachable, "didn’t respond like Glance"),
}


@pytest.mark.parametrize("fault", KEYSTONE_ERRORS)
def test_each_answer_of_keystone_is_translated(adapter: OpenStack, fault: str) -> None:
    behavior, kind, words = KEYSTONE_ERRORS[fault]
    with faulty.serve(behavior) as url:
        found = errors_of_all_calls(adapter, openstack_credentials(url))
    assert {type(each) for each in found} == {kind}
    assert len(set(map(str, found))) == 1
    assert re.search(words, str(found[0]))


@pytest.mark.parametrize("fault", GLANCE_ERRORS)
def test_each_answer_of_glance_is_translated(adapter: OpenStack, fault: str) -> None:
    behavior, kind, words = GLANCE_ERRORS[fault]
    error = look_up_error(adapter, cloud(behavior))
    assert type(error) is kind
    assert re.search(words, str(error))


def test_every_message_is_different() -> None:
    words = [
        errors.NOT_KEYSTONE,
        errors._NO_KEYSTONE_AT_PATH,
        errors._USER_REJECTED,
        errors._APPLICATION_CREDENTIAL_REJECTED,
        errors._APPLICATION_CREDENTIAL_UNKNOWN,
        errors._SECOND_FACTOR_REQUIRED,
        *errors._USER_STATES.values(),
        str(errors.not_glance_error(REGION_ONE)),
    ]
    assert len(set(words)) == len(words)
    assert all(len(each) < 300 and each.endswith(".") for each in words)


@pytest.mark.parametrize(
    ("status", "message", "kind", "words"),
    [
        (401, "No.", CredentialsRejected, "this application credential: its secret is wrong"),
        (404, NO_APPLICATION, CredentialsRejected, "no application credential with this ID"),
        (404, "The resource could not be found.", CloudUnreachable, "no Keystone at that path"),
    ],
)
def test_wrong_application_credentials_are_reported(
    adapter: OpenStack, status: int, message: str, kind: type[CloudError], words: str
) -> None:
    with faulty.serve(keystone_error(status, message)) as url:
        error = cloud_error(lambda: adapter.check(application_credentials(url)))
    assert type(error) is kind
    assert words in str(error)


def test_a_404_without_an_application_credential_means_a_wrong_path(adapter: OpenStack) -> None:
    with faulty.serve(keystone_error(404, NO_APPLICATION)) as url:
        error = cloud_error(lambda: adapter.check(openstack_credentials(url)))
    assert "no Keystone at that path" in str(error)


def test_a_revoked_token_is_replaced_once(adapter: OpenStack) -> None:
    requests: list[str] = []
    good = cloud(image())

    def refuse_the_first(request: faulty.Request) -> Answer | None:
        requests.append("login" if request.path.endswith("/tokens") else "image")
        return (glance_error(401) if requests == ["login", "image"] else good)(request)

    with faulty.serve(refuse_the_first) as url:
        assert adapter.describe(openstack_credentials(url), LOCATOR).name == "n"
    assert requests == ["login", "image", "login", "image"]


def test_a_password_change_is_reported_when_the_token_is_rejected(adapter: OpenStack) -> None:
    logins = 0

    def behave(request: faulty.Request) -> Answer | None:
        nonlocal logins
        if not request.path.endswith("/tokens"):
            return glance_error(401)(request)
        logins += 1
        return cloud(image())(request) if logins == 1 else keystone_error(401)(request)

    error = look_up_error(adapter, behave)
    assert isinstance(error, CredentialsRejected)
    assert "rejected this user" in str(error)


def test_an_image_is_found_elsewhere_although_some_regions_fail(adapter: OpenStack) -> None:
    behaviors: dict[str, Behavior] = {
        REGION_ONE: glance_error(404),
        REGION_TWO: image(),
        "three": glance_error(503),
        "four": answering(200, "<html>", "text/html"),
        "five": image(id="another"),
    }

    def glance(request: faulty.Request) -> Answer | None:
        if "limit" in request.path:
            return answering(200, "{}", JSON)(request)
        return behaviors[request.path.split("/")[1]](request)

    endpoints = [endpoint(f"/{region}", region) for region in behaviors]
    error = look_up_error(adapter, cloud(glance, endpoints))
    assert isinstance(error, ImageNotFound)
    assert error.found_in == (REGION_TWO,)
    assert "in RegionOne, but it exists in RegionTwo. Choose that location." in str(error)


def test_a_slow_region_does_not_delay_the_answer(
    adapter: OpenStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow_up, "FOLLOW_UP_SECONDS", 0.5)

    def glance(request: faulty.Request) -> Answer | None:
        if request.path.startswith("/slow"):
            return slow(30, image())(request)
        if request.path.startswith("/two"):
            return image()(request)
        return image_list_only(request)

    endpoints = [
        endpoint("/one", REGION_ONE),
        endpoint("/slow", "slow"),
        endpoint("/two", REGION_TWO),
    ]
    with faulty.serve(cloud(glance, endpoints)) as url:
        adapter.warm_up()
        began = time.monotonic()
        error = cloud_error(lambda: adapter.describe(openstack_credentials(url), LOCATOR))
        assert time.monotonic() - began < 3
    assert isinstance(error, ImageNotFound)
    assert error.found_in == (REGION_TWO,)


@pytest.mark.parametrize(
    "fault",
    [
        glance_error(503),
        glance_error(429),
        faulty.resetting,
        slow(30, glance_error(200)),
        answering(200, "<html>Welcome</html>", "text/html"),
    ],
)
def test_an_image_may_exist_if_the_list_cannot_be_read(
    adapter: OpenStack, fault: Behavior, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow_up, "FOLLOW_UP_SECONDS", 0.5)
    error = look_up_error(
        adapter,
        cloud(lambda request: (fault if "limit" in request.path else glance_error(404))(request)),
    )
    assert type(error) is ImageNotVisible
    assert "so the image may exist" in str(error)


GARBAGE = ["<html>Welcome</html>", "", "{}", "[]", "7", "null", "\x00", '{"token": 1}', "[" * 9999]


@pytest.mark.parametrize("body", GARBAGE)
@pytest.mark.parametrize("status", [200, 201])
def test_unexpected_answers_of_keystone_are_reported(
    adapter: OpenStack, body: str, status: int
) -> None:
    for headers in ({}, {"X-Subject-Token": "t"}):
        answer = Answer(status, body.encode(), JSON, headers)
        with faulty.serve(lambda _, answer=answer: answer) as url:  # type: ignore[misc]
            for error in errors_of_all_calls(adapter, openstack_credentials(url)):
                assert isinstance(error, CloudUnreachable)
                assert "didn’t respond like Keystone" in str(error)


@pytest.mark.parametrize(
    "changes",
    [
        {"catalog": 7},
        {"catalog": [7]},
        {"catalog": [{"type": "image", "endpoints": 7}]},
        {"catalog": [{"type": "image", "endpoints": [7]}]},
        {"catalog": [{}]},
        {"user": 7},
        {"user": {}},
        {"expires_at": "never"},
    ],
)
def test_malformed_tokens_are_reported(adapter: OpenStack, changes: dict[str, Any]) -> None:
    error = look_up_error(adapter, cloud(image(), **changes))
    assert isinstance(error, CloudUnreachable)
    assert "didn’t respond like Keystone" in str(error)


@pytest.mark.parametrize(
    "body", [*GARBAGE, json.dumps({"id": UNKNOWN}), '{"id": "x", "status": "a"}']
)
def test_unexpected_answers_of_glance_are_reported(adapter: OpenStack, body: str) -> None:
    error = look_up_error(adapter, cloud(answering(200, body, JSON)))
    assert isinstance(error, CloudUnreachable)
    assert "as the image service in RegionOne didn’t respond like Glance" in str(error)


def test_a_malformed_id_is_refused(adapter: OpenStack) -> None:
    for text in ("../secrets", "a/../b", f"{ONLY_IN_REGION_TWO.image_id}/file"):
        with pytest.raises(InvalidImageId):
            adapter.parse_image_id(text)


def test_the_region_of_another_cloud_is_unknown(adapter: OpenStack) -> None:
    error = look_up_error(adapter, cloud(image()), Locator("eu-west-1", UNKNOWN))
    assert isinstance(error, UnknownLocation)
    assert "Available regions: RegionOne. Enter" in str(error)


def test_secrets_that_keystone_repeats_are_not_logged(
    adapter: OpenStack, caplog: pytest.LogCaptureFixture
) -> None:
    message = f"Wrong: {openstack.PASSWORD} and {openstack.APPLICATION_SECRET}"
    with caplog.at_level(logging.DEBUG), faulty.serve(keystone_error(401, message)) as url:
        for credentials in (openstack_credentials(url), application_credentials(url)):
            error = cloud_error(lambda: adapter.check(credentials))  # noqa: B023
            assert openstack.PASSWORD not in str(error)
    assert "Unauthorized: Wrong: …" in caplog.text
    assert openstack.APPLICATION_SECRET not in caplog.text


def test_tokens_are_not_logged(adapter: OpenStack, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), faulty.serve(cloud(image())) as url:
        adapter.describe(openstack_credentials(url), LOCATOR)
    assert "a-token" not in caplog.text
    assert openstack.PASSWORD not in caplog.text
