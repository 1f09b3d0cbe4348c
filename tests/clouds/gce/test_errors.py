"""The error for each failure of Compute Engine or of the connection to it."""

from __future__ import annotations

import json
import logging
import re
import socket

import pytest

from sandbox import faulty, gce, gce_images, tls
from sandbox.faulty import Behavior, answering, forwarding, slow
from sandbox.gce_answers import (
    Answer,
    error,
    forbidden,
    not_enabled,
    not_found,
    throttled,
    unauthenticated,
    unavailable,
)
from tests.clouds.gce.answers import JSON, answering_with, authorization
from tests.clouds.gce.peer import gce_credentials
from tests.clouds.helpers import cloud_error
from webapp.clouds import base
from webapp.clouds.errors import (
    CloudError,
    CloudThrottled,
    CloudUnreachable,
    CredentialsRejected,
    ImageNotFound,
    InvalidImageId,
    PermissionDenied,
)
from webapp.clouds.gce import sdk
from webapp.clouds.gce.adapter import Gce
from webapp.clouds.locators import Locator

IMAGE = "globex-images/global/images/web"
FAMILY = "globex-images/global/images/family/web"
PERIMETER = "Request is prohibited by organization's policy. vpcServiceControlsUniqueIdentifier: x"
SUSPENDED = "Consumer 'projects/acme-images' has been suspended."
PROJECT_NOT_FOUND = "Project 112233445566 is not found and cannot be used for API calls."


def look_up_error(adapter: Gce, behavior: Behavior, image_id: str = IMAGE) -> CloudError:
    """Return the error that looking up an image raises."""
    with faulty.serve(behavior) as url:
        return cloud_error(lambda: adapter.describe(gce_credentials(url), Locator("", image_id)))


def check_error(adapter: Gce, behavior: Behavior) -> CloudError:
    with faulty.serve(behavior) as url:
        return cloud_error(lambda: adapter.check(gce_credentials(url)))


REFUSALS: list[tuple[Answer, type[CloudError], str]] = [
    (unauthenticated(), CredentialsRejected, "rejected this key. .* Create a new key"),
    (unauthenticated("ACCESS_TOKEN_EXPIRED"), CredentialsRejected, "clock of this server"),
    (unauthenticated("ACCOUNT_STATE_INVALID"), CredentialsRejected, "disabled or deleted"),
    (
        forbidden(IMAGE),
        PermissionDenied,
        "the permission compute.images.get in the project globex-images. .*useReadOnly",
    ),
    (forbidden(IMAGE, "compute.images.new"), PermissionDenied, "the permission compute.images.new"),
    (error(403, "forbidden", "No."), PermissionDenied, "compute.images.get in the project globex"),
    (not_enabled("112233445566"), PermissionDenied, "API isn’t enabled .* wait a few minutes"),
    (
        error(403, "accessNotConfigured", PROJECT_NOT_FOUND),
        PermissionDenied,
        "deleted or suspended",
    ),
    (error(403, "x", SUSPENDED, info="CONSUMER_SUSPENDED"), PermissionDenied, "suspended"),
    (error(403, "accountDisabled", "No."), PermissionDenied, "has disabled the account"),
    (error(403, "x", "No.", info="BILLING_DISABLED"), PermissionDenied, "Billing is disabled"),
    (error(403, "forbidden", PERIMETER), PermissionDenied, "An organization policy"),
    (error(403, "insufficientPermissions", "No."), PermissionDenied, "rejected the tokens"),
    (error(403, "rateLimitExceeded", "No."), CloudThrottled, "throttling requests .* a minute"),
    (error(403, "userRateLimitExceeded", "No."), CloudThrottled, "throttling requests"),
    (error(403, "quotaExceeded", "No."), CloudThrottled, "throttling requests"),
    (throttled(), CloudThrottled, "throttling requests from this project. .* a minute"),
    (not_found(IMAGE), ImageNotFound, f"no image {IMAGE}. .* deleted"),
    (not_found("globex-images"), ImageNotFound, "no project globex-images, so there is no"),
    (error(404, "notFound", "Failed to find project x"), ImageNotFound, "no project globex"),
    (error(400, "invalid", "Invalid value"), InvalidImageId, "rejected this image ID"),
    (
        error(412, "conditionNotMet", "No."),
        CloudUnreachable,
        r"rejected this request \(HTTP 412",
    ),
    (error(500, "backendError", "No."), CloudUnreachable, "temporary problem .*500"),
    (error(502, "badGateway", "No."), CloudUnreachable, "temporary problem .*502"),
    (unavailable(), CloudUnreachable, "temporary problem .*503"),
]


@pytest.mark.parametrize(("answer", "kind", "words"), REFUSALS)
def test_each_answer_has_its_own_message(
    adapter: Gce, answer: Answer, kind: type[CloudError], words: str
) -> None:
    refusal = look_up_error(adapter, answering_with(answer))
    assert type(refusal) is kind
    assert re.search(words, str(refusal)), refusal


def test_a_missing_family_is_not_found(adapter: Gce) -> None:
    refusal = look_up_error(adapter, answering_with(not_found(FAMILY)), FAMILY)
    assert type(refusal) is ImageNotFound
    assert f"no image family {FAMILY}, or all of its images are deprecated" in str(refusal)


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (not_found("acme-images"), CredentialsRejected, "project of this key no longer exists"),
        (not_enabled("acme-images"), PermissionDenied, "API isn’t enabled"),
        (error(403, "forbidden", "No."), PermissionDenied, "compute.images.list in the project of"),
        (error(400, "invalid", "No."), CloudUnreachable, "HTTP 400"),
        (unauthenticated(), CredentialsRejected, "rejected this key"),
        (throttled(), CloudThrottled, "throttling requests"),
    ],
)
def test_check_has_its_own_messages(
    adapter: Gce, answer: Answer, kind: type[CloudError], words: str
) -> None:
    refusal = check_error(adapter, answering_with(answer))
    assert type(refusal) is kind
    assert re.search(words, str(refusal)), refusal


def test_each_failure_of_the_sandbox_is_reported(adapter: Gce, cloud_url: str) -> None:
    """Test each failure that the demonstration can show."""
    known = gce_images.NOBLE
    for image_id, kind, words in (
        (f"{known.project}/global/images/nothing", ImageNotFound, "no image"),
        (f"{known.project}/global/images/family/nothing", ImageNotFound, "no image family"),
        (f"no-such-project/global/images/{known.name}", ImageNotFound, "no project no-such"),
        (gce_images.RETIRED.family_id, ImageNotFound, "all of its images are deprecated"),
        (gce.FORBIDDEN, PermissionDenied, "in the project globex-images"),
        (gce.THROTTLED, CloudThrottled, "Wait 30 seconds"),
        (gce.UNAVAILABLE, CloudUnreachable, "503"),
    ):
        locator = Locator("", image_id)
        refusal = cloud_error(lambda: adapter.describe(gce_credentials(cloud_url), locator))  # noqa: B023
        assert type(refusal) is kind
        assert words in str(refusal)


def test_unknown_keys_are_rejected(adapter: Gce, cloud_url: str) -> None:
    key = json.loads(gce.credentials(cloud_url)["service_account_key"])
    for changes in ({"client_email": "who@example.com"}, {"private_key_id": "0123456789abcdef"}):
        text = json.dumps({**key, **changes})
        credentials = gce_credentials(cloud_url, service_account_key=text)
        assert isinstance(cloud_error(lambda: adapter.check(credentials)), CredentialsRejected)  # noqa: B023


@pytest.mark.parametrize(
    ("after", "words"),
    [
        ("7", "Wait 7 seconds"),
        ("0", "Wait a minute"),
        ("99999", "Wait a minute"),
        ("Tue, 24 Nov 2026 06:00:00 GMT", "Wait a minute"),
    ],
)
def test_the_message_says_how_long_to_wait(adapter: Gce, after: str, words: str) -> None:
    headers = {"Retry-After": after}
    refusal = look_up_error(adapter, answering_with(throttled(), **headers))
    assert isinstance(refusal, CloudThrottled)
    assert words in str(refusal)


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (401, CredentialsRejected, "rejected these credentials .*401"),
        (403, CredentialsRejected, "rejected these credentials .*403"),
        (407, CloudUnreachable, "didn’t respond like Compute Engine"),
        (429, CloudThrottled, "throttling requests"),
        (500, CloudUnreachable, "temporary problem .*500"),
        (503, CloudUnreachable, "temporary problem .*503"),
    ],
)
@pytest.mark.parametrize("body", ["", "<html>No</html>", "{}", '{"message": "No"}', "null"])
def test_errors_of_other_servers_are_classified_by_status(
    adapter: Gce, status: int, kind: type[CloudError], words: str, body: str
) -> None:
    refusal = look_up_error(adapter, answering(status, body, "text/html"))
    assert type(refusal) is kind
    assert re.search(words, str(refusal)), refusal


STRANGE = [
    *("<html>Welcome</html>", "<html><p>", "", "{}", "[]", "null", "5", '"text"', "\x00", "{"),
    *('{"error": "invalid_grant"}', '{"error": []}', '{"error": null}', "[" * 5000),
    *('{"name": 5}', '{"name": {}}', '{"name": null}', '{"id": "x"}', '{"deprecated": []}'),
    *('{"kind": 7}', '{"items": 7}', '{"labels": {"a": []}}', '{"guestOsFeatures": [5]}'),
]


@pytest.mark.parametrize("body", STRANGE, ids=lambda body: body[:20])
@pytest.mark.parametrize("status", [200, 301, 404])
def test_unexpected_answers_are_reported(adapter: Gce, body: str, status: int) -> None:
    with faulty.serve(answering(status, body, JSON)) as url:
        credentials = gce_credentials(url)
        for call in (
            lambda: adapter.describe(credentials, Locator("", IMAGE)),
            lambda: adapter.check(credentials),
        ):
            refusal = cloud_error(call)
            assert type(refusal) is CloudUnreachable or status == 404
            assert isinstance(refusal, CloudUnreachable | ImageNotFound | CredentialsRejected)


def test_binary_answers_are_reported(adapter: Gce) -> None:
    for status in (200, 404):
        answer = faulty.Answer(status, b"\xff\xfe\x00{", JSON)
        assert "didn’t respond like" in str(look_up_error(adapter, lambda _: answer))  # noqa: B023


def test_a_refused_connection_is_reported(adapter: Gce) -> None:
    with faulty.refusing() as url:
        refusal = cloud_error(lambda: adapter.describe(gce_credentials(url), Locator("", IMAGE)))
    assert isinstance(refusal, CloudUnreachable)
    assert "No connection to" in str(refusal)


def test_an_unresolvable_host_name_is_reported(
    adapter: Gce, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unresolvable(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unresolvable)
    for endpoint in ("http://nowhere.invalid", ""):
        credentials = gce_credentials(endpoint)
        refusal = cloud_error(lambda: adapter.describe(credentials, Locator("", IMAGE)))  # noqa: B023
        assert isinstance(refusal, CloudUnreachable)
        assert "can’t be resolved" in str(refusal)


def test_an_interrupted_connection_is_reported(adapter: Gce) -> None:
    refusal = look_up_error(adapter, faulty.resetting)
    assert isinstance(refusal, CloudUnreachable)
    assert "was interrupted" in str(refusal)


def test_a_silent_server_is_reported(adapter: Gce, monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK's own timeout ends the call before the time limit CALL_SECONDS does."""
    monkeypatch.setattr(sdk, "READ_SECONDS", 0.3)
    refusal = look_up_error(adapter, slow(30, answering(200)))
    assert isinstance(refusal, CloudUnreachable)
    assert "took too long to respond" in str(refusal)


def test_a_trickling_answer_is_reported(adapter: Gce, monkeypatch: pytest.MonkeyPatch) -> None:
    """No timeout of the SDK ends the call, so the time limit CALL_SECONDS ends it."""
    monkeypatch.setattr(base, "CALL_SECONDS", 1.0)
    refusal = look_up_error(adapter, faulty.trickling)
    assert isinstance(refusal, CloudUnreachable)
    assert "didn’t respond within 1 seconds" in str(refusal)


def test_tls_problems_are_reported(adapter: Gce) -> None:
    for context, words in (
        (tls.untrusted(), "can’t be verified"),
        (tls.trusted(), "can’t be verified"),  # The credentials do not include the authority.
    ):
        with faulty.serve(answering(200), tls=context) as url:
            credentials = gce_credentials(url)
            refusal = cloud_error(lambda: adapter.describe(credentials, Locator("", IMAGE)))  # noqa: B023
        assert isinstance(refusal, CloudUnreachable)
        assert words in str(refusal)
    with faulty.serve(answering(200)) as url:
        credentials = gce_credentials(url.replace("http:", "https:"))
        refusal = cloud_error(lambda: adapter.describe(credentials, Locator("", IMAGE)))
    assert "No TLS connection" in str(refusal)


def test_a_private_authority_is_trusted_if_it_is_configured(adapter: Gce, cloud_url: str) -> None:
    ca = tls.authority().pem
    locator = Locator("", gce_images.NOBLE.image_id)
    with faulty.serve(forwarding(cloud_url), tls=tls.trusted()) as url:
        assert adapter.describe(gce_credentials(url, ca=ca), locator).name == gce_images.NOBLE.name
    for context, words in (
        (tls.untrusted(), "can’t be verified"),
        (tls.expired(), "has expired"),
        (tls.authority().context(addresses=("127.0.0.3",)), "was issued for a different host name"),
    ):
        with faulty.serve(forwarding(cloud_url), tls=context) as url:
            credentials = gce_credentials(url, ca=ca)
            refusal = cloud_error(lambda: adapter.describe(credentials, locator))  # noqa: B023
        assert isinstance(refusal, CloudUnreachable)
        assert words in str(refusal)


def test_a_brief_failure_is_retried_once(adapter: Gce, cloud_url: str) -> None:
    """The call is also retried after a rejected token, which may have expired on the way."""
    forward = forwarding(cloud_url)
    faults = (answering(503), answering(502), answering_with(unauthenticated()), _hanging_up)
    for fault in faults:
        faults_left = [fault]

        def behave(request: faulty.Request) -> faulty.Answer | None:
            return faults_left.pop()(request) if faults_left else forward(request)  # noqa: B023

        with faulty.serve(behave) as url:
            locator = Locator("", gce_images.NOBLE.image_id)
            found = adapter.describe(gce_credentials(url), locator)
            assert found.name == gce_images.NOBLE.name
        assert not faults_left


def test_nothing_is_retried_more_than_once(adapter: Gce) -> None:
    for fault in (
        answering(503),
        answering_with(unauthenticated()),
        _hanging_up,
        answering_with(throttled()),
    ):
        requests = []

        def behave(request: faulty.Request) -> faulty.Answer | None:
            requests.append(request.path)  # noqa: B023
            return fault(request)  # noqa: B023

        look_up_error(adapter, behave)
        assert 1 <= len(requests) <= 2


def _hanging_up(request: faulty.Request) -> None:
    """Close the connection, as Google does with idle connections."""
    request.connection.shutdown(socket.SHUT_RDWR)


def test_redirects_are_not_followed(adapter: Gce, cloud_url: str) -> None:
    requests: list[str] = []

    def elsewhere(request: faulty.Request) -> faulty.Answer:
        requests.append(authorization(request))
        return faulty.Answer(200, b"{}", JSON)

    with faulty.serve(elsewhere) as target:
        for status in (301, 302, 307, 308):
            answer = faulty.Answer(status, b"", JSON, {"Location": target})
            assert "didn’t respond like" in str(look_up_error(adapter, lambda _: answer))  # noqa: B023
    assert requests == []


def test_an_invalid_id_is_not_sent(adapter: Gce) -> None:
    with pytest.raises(InvalidImageId):
        adapter.describe(gce_credentials(""), Locator("", "../../secrets"))


def test_secrets_that_google_repeats_are_not_logged(
    adapter: Gce, caplog: pytest.LogCaptureFixture
) -> None:
    key = gce.credentials("")["service_account_key"]

    def repeat(request: faulty.Request) -> faulty.Answer | None:
        token = authorization(request)
        assert token.startswith("Bearer eyJ")
        return answering_with(error(403, "forbidden", f"What is this? {key} {token}"))(request)

    with caplog.at_level(logging.DEBUG):
        refusal = look_up_error(adapter, repeat)
    assert "What is this? …" in caplog.text
    assert "eyJ" not in caplog.text
    line = json.loads(key)["private_key"].splitlines()[5]
    assert line not in caplog.text
    assert line not in str(refusal)
