"""The error for each failure of AWS or of the connection to it."""

from __future__ import annotations

import logging
import socket
import threading
import time

import pytest
from botocore.retries.standard import ExponentialBackoff

from sandbox import aws, faulty, tls
from sandbox.faulty import Behavior, answering, forwarding, slow
from tests.clouds.aws.answers import aws_error, by_action, by_region, caller, regions
from tests.clouds.aws.peer import aws_credentials
from tests.clouds.helpers import cloud_error
from tests.clouds.peer import SECRET
from webapp.clouds import base, follow_up
from webapp.clouds.aws import errors, sdk
from webapp.clouds.aws.adapter import Aws
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
from webapp.clouds.outgoing.budgets import budgets
from webapp.clouds.outgoing.calls import SMALL_RESPONSE_ELEMENTS, ResponseCounter, call_within

LOCATOR = Locator("eu-west-1", "ami-0123456789abcdef0")


def look_up_error(adapter: Aws, behavior: Behavior, **changes: str) -> CloudError:
    """Return the error of a look-up."""
    with faulty.serve(behavior) as url:
        return cloud_error(lambda: adapter.describe(aws_credentials(url, **changes), LOCATOR))


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        ("InvalidAMIID.Malformed", InvalidImageId, "rejected this AMI ID"),
        ("InvalidAMIID.Unavailable", ImageNotVisible, "no longer available"),
        ("InvalidClientTokenId", CredentialsRejected, "doesn’t recognize this access key ID"),
        ("UnrecognizedClientException", CredentialsRejected, "access key ID or its session token"),
        ("SignatureDoesNotMatch", CredentialsRejected, "secret access key doesn’t match"),
        ("IncompleteSignature", CredentialsRejected, "rejected the signature"),
        ("AuthFailure", CredentialsRejected, "rejected these credentials for EC2"),
        ("RequestExpired", CredentialsRejected, "enter a new one.* set the clock"),
        ("ExpiredToken", CredentialsRejected, "session token has expired"),
        ("Blocked", CredentialsRejected, "blocked this account"),
        ("OptInRequired", UnknownLocation, "isn’t enabled for the account"),
        ("PendingVerification", PermissionDenied, "still verifying this account"),
        ("UnauthorizedOperation", PermissionDenied, "the permission ec2:DescribeImages"),
        ("AccessDenied", PermissionDenied, "the permission ec2:DescribeImages"),
        ("RequestLimitExceeded", CloudThrottled, "throttling requests .* Wait a minute"),
        ("Throttling", CloudThrottled, "throttling requests"),
        ("InternalError", CloudUnreachable, "temporary problem .*500"),
    ],
)
def test_each_code_has_its_own_message(
    adapter: Aws, code: str, kind: type[CloudError], words: str
) -> None:
    status = 500 if code == "InternalError" else 400
    # STS fails, so that only EC2's code counts.
    behavior = by_action(GetCallerIdentity=answering(503), otherwise=aws_error(code, "No", status))
    error = look_up_error(adapter, behavior)
    assert type(error) is kind
    assert pytest.RaisesExc(kind, match=words).matches(error)


def test_codes_with_the_same_message_have_the_same_class() -> None:
    """Codes share a message only if they have the same meaning."""
    classes_by_message = {
        words: {kind for kind, each in errors.BY_CODE.values() if each == words}
        for _, words in errors.BY_CODE.values()
    }
    assert len(classes_by_message) >= 14
    assert all(len(kinds) == 1 for kinds in classes_by_message.values())


def test_an_image_that_no_region_has_may_be_hidden(adapter: Aws) -> None:
    behavior = by_action(
        DescribeRegions=regions(eu_west_1="opt_in_not_required", us_east_1="opt_in_not_required"),
        otherwise=aws_error("InvalidAMIID.NotFound"),
    )
    error = look_up_error(adapter, behavior)
    assert type(error) is ImageNotVisible
    assert "no AMI ami-0123456789abcdef0 in eu-west-1, or it isn’t shared" in str(error)
    assert error.account == ""


def test_an_image_is_found_elsewhere_although_some_regions_fail(
    adapter: Aws, sandbox_aws: str
) -> None:
    called = []
    forward = forwarding(sandbox_aws)

    def record_region(request: faulty.Request) -> faulty.Answer | None:
        called.append(request.headers["Authorization"].split("/")[2])
        return forward(request)

    behavior = by_action(
        DescribeRegions=regions(
            eu_west_1="opt_in_not_required",
            us_east_1="opt_in_not_required",
            us_west_2="opted_in",
            us_west_1="opt_in_not_required",
            ap_south_1="opt_in_not_required",
            ap_east_1="not_opted_in",
        ),
        otherwise=by_region(
            us_west_1=aws_error("UnauthorizedOperation"),
            ap_south_1=answering(500),
            otherwise=record_region,
        ),
    )
    with faulty.serve(behavior) as url:
        locator = Locator("eu-west-1", aws.NOBLE.id_in("us-west-2"))
        error = cloud_error(lambda: adapter.describe(aws_credentials(url), locator))
    assert isinstance(error, ImageNotFound)
    assert error.found_in == ("us-west-2",)
    assert "in eu-west-1, but it exists in us-west-2. Choose that location." in str(error)
    assert sorted(called) == ["eu-west-1", "us-east-1", "us-west-2"]


def test_a_slow_region_does_not_delay_the_answer(
    adapter: Aws, sandbox_aws: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow_up, "FOLLOW_UP_SECONDS", 2.0)
    behavior = by_action(
        DescribeRegions=regions(eu_west_1="opted_in", us_east_1="opted_in", us_west_2="opted_in"),
        otherwise=by_region(us_east_1=slow(30, answering(500)), otherwise=forwarding(sandbox_aws)),
    )
    with faulty.serve(behavior) as url:
        locator = Locator("eu-west-1", aws.NOBLE.id_in("us-west-2"))
        adapter.warm_up()
        began = time.monotonic()
        error = cloud_error(lambda: adapter.describe(aws_credentials(url), locator))
        assert time.monotonic() - began < 6
    assert isinstance(error, ImageNotFound)
    assert error.found_in == ("us-west-2",)


@pytest.mark.parametrize("fault", [answering(503), aws_error("UnauthorizedOperation")])
def test_an_image_may_be_hidden_if_the_regions_cannot_be_listed(
    adapter: Aws, fault: Behavior
) -> None:
    behavior = by_action(DescribeRegions=fault, otherwise=aws_error("InvalidAMIID.NotFound"))
    assert type(look_up_error(adapter, behavior)) is ImageNotVisible


@pytest.mark.parametrize("first", ["AuthFailure", "RequestExpired"])
@pytest.mark.parametrize(
    ("code", "message", "words"),
    [
        ("InvalidClientTokenId", "", "doesn’t recognize this access key ID"),
        ("SignatureDoesNotMatch", "", "secret access key doesn’t match"),
        ("SignatureDoesNotMatch", "Signature expired: 2026 is now earlier", "clock of this server"),
        ("SignatureDoesNotMatch", "Signature not yet current: 2027", "clock of this server"),
        ("ExpiredToken", "", "session token has expired"),
    ],
)
def test_sts_returns_a_more_precise_code_than_ec2(
    adapter: Aws, first: str, code: str, message: str, words: str
) -> None:
    behavior = by_action(
        GetCallerIdentity=aws_error(code, message, 403), otherwise=aws_error(first, "No", 401)
    )
    error = look_up_error(adapter, behavior)
    assert isinstance(error, CredentialsRejected)
    assert words in str(error)


def test_a_region_that_is_not_enabled_is_reported(adapter: Aws) -> None:
    """EC2 returns the same code for this problem as for wrong credentials."""
    behavior = by_action(
        GetCallerIdentity=caller(),
        DescribeRegions=regions(us_east_1="opt_in_not_required", eu_west_1="not_opted_in"),
        otherwise=aws_error("AuthFailure", "No", 401),
    )
    error = look_up_error(adapter, behavior)
    assert isinstance(error, UnknownLocation)
    assert "eu-west-1 isn’t enabled for this account" in str(error)


def test_valid_credentials_that_a_region_rejects_are_reported(adapter: Aws) -> None:
    behavior = by_action(GetCallerIdentity=caller(), otherwise=aws_error("AuthFailure", "No", 401))
    error = look_up_error(adapter, behavior)
    assert isinstance(error, CredentialsRejected)
    assert "accepts these credentials, but not in eu-west-1" in str(error)


def test_an_enabled_region_that_rejects_the_credentials_is_reported(adapter: Aws) -> None:
    behavior = by_action(
        GetCallerIdentity=caller(),
        DescribeRegions=regions(eu_west_1="opted_in"),
        otherwise=aws_error("AuthFailure", "No", 401),
    )
    assert "for EC2" in str(look_up_error(adapter, behavior))


def test_a_role_that_cannot_be_assumed_is_reported(adapter: Aws) -> None:
    message = (
        "User: arn:aws:iam::123456789012:user/x is not authorized to perform: sts:AssumeRole on "
        "resource: arn:aws:iam::123456789012:role/images"
    )
    with faulty.serve(aws_error("AccessDenied", message, 403)) as url:
        role = "arn:aws:iam::123456789012:role/images"
        credentials = aws_credentials(url, role_arn=role)
        for error in (
            cloud_error(lambda: adapter.check(credentials)),
            cloud_error(lambda: adapter.describe(credentials, LOCATOR)),
        ):
            assert isinstance(error, PermissionDenied)
            assert "sts:AssumeRole" in str(error)


def test_the_permission_that_aws_names_is_reported(adapter: Aws) -> None:
    message = "You are not authorized to perform: ec2:SomethingNew because no policy allows it"
    error = look_up_error(adapter, aws_error("UnauthorizedOperation", message, 403))
    assert "ec2:SomethingNew" in str(error)


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (401, CredentialsRejected, "rejected these credentials .*401"),
        (403, CredentialsRejected, "rejected these credentials .*403"),
        (429, CloudThrottled, "throttling requests"),
        (502, CloudUnreachable, "temporary problem .*502"),
        (503, CloudUnreachable, "temporary problem .*503"),
    ],
)
def test_unknown_codes_are_classified_by_status(
    adapter: Aws, status: int, kind: type[CloudError], words: str
) -> None:
    error = look_up_error(adapter, aws_error("Nonsense", "No", status))
    assert pytest.RaisesExc(kind, match=words).matches(error)


def test_a_refused_connection_is_reported(adapter: Aws) -> None:
    with faulty.refusing() as url:
        error = cloud_error(lambda: adapter.describe(aws_credentials(url), LOCATOR))
    assert isinstance(error, CloudUnreachable)
    assert "No connection to" in str(error)


def test_an_unresolvable_host_name_is_reported(
    adapter: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", unresolvable)
    credentials = aws_credentials("http://nowhere.invalid")
    error = cloud_error(lambda: adapter.describe(credentials, LOCATOR))
    assert isinstance(error, CloudUnreachable)
    assert "can’t be resolved" in str(error)


def test_a_region_that_does_not_exist_is_unknown(
    adapter: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name is well-formed. Only the unknown host name shows that there is no such region."""
    monkeypatch.setattr(socket, "getaddrinfo", unresolvable)
    locator = Locator("eu-nowhere-1", LOCATOR.image_id)
    error = cloud_error(lambda: adapter.describe(aws_credentials(""), locator))
    assert isinstance(error, UnknownLocation)
    known = cloud_error(lambda: adapter.describe(aws_credentials(""), LOCATOR))
    assert isinstance(known, CloudUnreachable)


def unresolvable(*_: object, **__: object) -> None:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def test_an_interrupted_connection_is_reported(adapter: Aws) -> None:
    error = look_up_error(adapter, faulty.resetting)
    assert isinstance(error, CloudUnreachable)
    assert "was interrupted" in str(error)


@pytest.mark.parametrize("body", ["<html>Welcome</html>", "<html><p>", "", "{}", "\x00", "<a/>"])
@pytest.mark.parametrize("status", [200, 301, 404])
def test_unexpected_answers_are_reported(adapter: Aws, body: str, status: int) -> None:
    with faulty.serve(answering(status, body, "text/html")) as url:
        credentials = aws_credentials(url)
        for call in (
            lambda: adapter.describe(credentials, LOCATOR),
            lambda: adapter.check(credentials),
            lambda: adapter.locations(credentials),
        ):
            error = cloud_error(call)
            assert isinstance(error, CloudUnreachable)
            assert "didn’t respond like AWS" in str(error)


def test_a_silent_server_is_reported(adapter: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    """The timeout of botocore ends the call before the time limit CALL_SECONDS does."""
    monkeypatch.setattr(sdk, "READ_SECONDS", 0.3)
    error = look_up_error(adapter, slow(30, answering(200)))
    assert isinstance(error, CloudUnreachable)
    assert "took too long to respond" in str(error)


def test_a_trickling_answer_is_reported(adapter: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    """No timeout of botocore ends the call, so the time limit CALL_SECONDS ends it."""
    monkeypatch.setattr(base, "CALL_SECONDS", 1.0)
    error = look_up_error(adapter, faulty.trickling)
    assert isinstance(error, CloudUnreachable)
    assert "didn’t respond within 1 seconds" in str(error)


def test_tls_problems_are_reported(adapter: Aws) -> None:
    with faulty.serve(answering(200), tls=tls.untrusted()) as url:
        error = cloud_error(lambda: adapter.describe(aws_credentials(url), LOCATOR))
    assert isinstance(error, CloudUnreachable)
    assert "certificate of AWS can’t be verified" in str(error)
    with faulty.serve(answering(200)) as url:
        credentials = aws_credentials(url.replace("http:", "https:"))
        error = cloud_error(lambda: adapter.describe(credentials, LOCATOR))
    assert isinstance(error, CloudUnreachable)
    assert "No TLS connection to AWS" in str(error)


def test_a_throttled_or_broken_call_is_retried_once(adapter: Aws, sandbox_aws: str) -> None:
    for fault in (aws_error("RequestLimitExceeded", "No", 503), answering(503), faulty.resetting):
        forward, faults = forwarding(sandbox_aws), [fault]

        def behave(request: faulty.Request) -> faulty.Answer | None:
            return faults.pop()(request) if faults else forward(request)  # noqa: B023

        with faulty.serve(behave) as url:
            locator = Locator("us-east-1", aws.NOBLE.id_in("us-east-1"))
            assert adapter.describe(aws_credentials(url), locator).name == aws.NOBLE.name


def test_nobody_waits_for_a_parser_that_pauses_before_a_retry(
    adapter: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 3)
    elements = "<a/>" * (SMALL_RESPONSE_ELEMENTS + 1)
    body = f"<Response>{elements}</Response>".encode()
    answer = faulty.Answer(503, body, "text/xml")
    is_asked = threading.Event()

    def behave(_: faulty.Request) -> faulty.Answer:
        is_asked.set()
        return answer

    thread = threading.Thread(target=look_up_error, args=(adapter, behave))
    thread.start()
    assert is_asked.wait(60)
    time.sleep(1)  # Meanwhile, botocore reads and parses the response.
    try:
        with budgets.reserve("healthy", "another account"):
            call_within(1, parse, body)
    finally:
        thread.join()


def parse(body: bytes) -> None:
    """Count a response, and wait until it may be parsed."""
    counter = ResponseCounter()
    counter.count(body)
    counter.end()


def test_secrets_that_aws_repeats_are_not_logged(
    adapter: Aws, caplog: pytest.LogCaptureFixture
) -> None:
    """For a wrong signature, AWS repeats the signed text, which includes the session token."""
    token = f"token-{SECRET}"
    message = f"The Canonical String should have been 'POST x-amz-security-token:{token}'"
    behavior = by_action(
        GetCallerIdentity=aws_error("SignatureDoesNotMatch", message, 403),
        otherwise=aws_error("AuthFailure", message, 401),
    )
    with caplog.at_level(logging.DEBUG):
        error = look_up_error(adapter, behavior, session_token=token)
    assert "AuthFailure" in caplog.text
    assert "x-amz-security-token:…" in caplog.text
    assert SECRET not in caplog.text
    assert SECRET not in str(error)
