"""The error for each failure of Azure or of the connection to it."""

from __future__ import annotations

import json
import logging
import socket
import time

import pytest

from sandbox import azure, azure_images, faulty, tls
from sandbox.faulty import Answer, Behavior, Request, answering, slow
from tests.clouds.azure.answers import (
    aadsts,
    after_login,
    arm_error,
    denied,
    is_login,
    login_answering,
)
from tests.clouds.azure.peer import AzurePeer
from tests.clouds.azure.refusals import (
    LOCATOR,
    NOBLE,
    OWN,
    look_up_error,
    look_up_error_after_login,
)
from tests.clouds.helpers import cloud_error
from webapp.clouds import base
from webapp.clouds.azure import errors as azure_errors
from webapp.clouds.azure import sdk as azure_sdk
from webapp.clouds.azure.adapter import Azure
from webapp.clouds.credentials import CredentialValues
from webapp.clouds.errors import (
    CloudError,
    CloudThrottled,
    CloudUnreachable,
    CredentialsRejected,
    ImageNotFound,
    InvalidImageId,
    PermissionDenied,
    UnknownLocation,
)
from webapp.clouds.locators import Locator


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        (7000215, CredentialsRejected, "client secret is wrong"),
        (7000222, CredentialsRejected, "client secret has expired"),
        (700016, CredentialsRejected, "no application with this client ID"),
        (90002, CredentialsRejected, "no tenant with this ID"),
        (900023, CredentialsRejected, "neither the ID nor the domain"),
        (7000112, CredentialsRejected, "application is disabled"),
        (7000218, CredentialsRejected, "client secret is missing"),
        (500011, CredentialsRejected, "management endpoint isn’t registered"),
        (53003, CredentialsRejected, "conditional access policy"),
        (50196, CloudThrottled, "throttling logins"),
        (90033, CloudUnreachable, "Microsoft Entra has a temporary problem"),
        (1234567, CredentialsRejected, "with the code AADSTS1234567"),
    ],
)
def test_each_code_of_the_login_has_its_own_message(
    adapter: Azure, code: int, kind: type[CloudError], words: str
) -> None:
    error = look_up_error(adapter, aadsts(code))
    assert type(error) is kind
    assert pytest.RaisesExc(kind, match=words).matches(error)


@pytest.mark.parametrize(
    ("code", "status", "kind", "words"),
    [
        ("SubscriptionNotFound", 404, CredentialsRejected, "subscription doesn’t exist"),
        ("InvalidSubscriptionId", 400, CredentialsRejected, "rejected the subscription ID"),
        ("ResourceGroupNotFound", 404, ImageNotFound, "resource group in this resource ID"),
        ("MissingSubscriptionRegistration", 409, PermissionDenied, "Microsoft.Compute"),
        ("RequestDisallowedByPolicy", 403, PermissionDenied, "An Azure Policy of the subscription"),
        (
            "InvalidAuthenticationTokenTenant",
            401,
            CredentialsRejected,
            "belongs to a different tenant",
        ),
        ("InvalidAuthenticationTokenAudience", 401, CredentialsRejected, "for a different URL"),
        (
            "ExpiredAuthenticationToken",
            401,
            CredentialsRejected,
            "administrator of this server to set its clock",
        ),
        ("InvalidAuthenticationToken", 401, CredentialsRejected, "rejected this login .* 401"),
        ("AuthenticationFailed", 401, CredentialsRejected, "rejected this login .* 401"),
        ("LocationNotAvailableForResourceType", 400, UnknownLocation, "no images in this location"),
        ("NoRegisteredProviderFound", 400, UnknownLocation, "no location with this name"),
        ("AuthorizationFailed", 403, PermissionDenied, "lacks a permission"),
        ("LinkedAuthorizationFailed", 403, PermissionDenied, "lacks a permission"),
        ("SubscriptionRequestsThrottled", 429, CloudThrottled, "Wait a minute and try again"),
        ("TooManyRequests", 429, CloudThrottled, "throttling requests"),
        ("InvalidApiVersionParameter", 400, CloudUnreachable, "version of the Azure API"),
        ("InvalidResourceType", 404, CloudUnreachable, "version of the Azure API"),
        ("InvalidParameter", 400, InvalidImageId, "rejected this image ID .InvalidParameter."),
        ("InternalServerError", 500, CloudUnreachable, "temporary problem .* 500"),
        ("ServerBusy", 503, CloudUnreachable, "temporary problem .* 503"),
        ("Nonsense", 401, CredentialsRejected, "HTTP 401"),
        ("Nonsense", 403, PermissionDenied, "denied this request .* 403"),
    ],
)
def test_each_code_of_the_resource_manager_has_its_own_message(
    adapter: Azure, code: str, status: int, kind: type[CloudError], words: str
) -> None:
    error = look_up_error_after_login(adapter, arm_error(code, status=status))
    assert type(error) is kind
    assert pytest.RaisesExc(kind, match=words).matches(error)


def test_codes_with_the_same_message_have_the_same_class() -> None:
    """Codes share a message only if they have the same meaning."""
    errors = [*azure_errors.BY_AADSTS.values(), *azure_errors.BY_CODE.values()]
    kinds = {words: {kind for kind, each in errors if each == words} for _, words in errors}
    assert len(kinds) >= 18
    assert all(len(each) == 1 for each in kinds.values())
    assert all(len(words) < 300 for words in kinds)


def test_codes_that_indicate_our_own_bugs_are_not_translated(adapter: Azure) -> None:
    """For example, a conflict would be our bug, because the adapter only reads."""
    behavior = after_login(arm_error("Conflict", status=409))
    with faulty.serve(behavior, tls=tls.trusted()) as url:
        credentials = AzurePeer().credentials(url)
        with pytest.raises(Exception, match="Conflict") as caught:
            adapter.describe(credentials, LOCATOR)
    assert not isinstance(caught.value, CloudError)


def test_each_wrong_credential_field_is_named(adapter: Azure, good: CredentialValues) -> None:
    for name, value, words in (
        ("client_secret", "wrong", "client secret is wrong"),
        ("client_id", azure_images.TENANT, "no application with this client ID"),
        ("tenant_id", "elsewhere.example", "no tenant with this ID"),
        ("subscription_id", azure_images.TENANT, "subscription doesn’t exist"),
    ):
        values = CredentialValues({**good, name: value})
        error = cloud_error(lambda: adapter.check(values))  # noqa: B023
        assert isinstance(error, CredentialsRejected)
        assert words in str(error)


def test_a_tenant_can_be_named_by_its_domain(adapter: Azure, good: CredentialValues) -> None:
    values = CredentialValues({**good, "tenant_id": azure.TENANT_DOMAIN})
    assert adapter.check(values).account == azure_images.SUBSCRIPTION


def test_the_permission_that_azure_names_is_reported(
    adapter: Azure, good: CredentialValues
) -> None:
    locked = OWN.image_id.replace(azure_images.GROUP, azure_images.LOCKED_GROUP)
    error = cloud_error(lambda: adapter.describe(good, Locator("", locked)))
    assert isinstance(error, PermissionDenied)
    assert "lacks the permission Microsoft.Compute/images/read." in str(error)
    assert "Microsoft.Compute/x/y" in str(
        look_up_error_after_login(adapter, denied("Microsoft.Compute/x/y"))
    )


def test_the_message_says_how_long_to_wait(adapter: Azure) -> None:
    for waiting_time, words in (
        ("17", "Wait 17 seconds"),
        ("soon", "Wait a minute"),
        ("0", "a minute"),
    ):
        fault = arm_error("SubscriptionRequestsThrottled", "No", 429, {"Retry-After": waiting_time})
        adapter.warm_up()
        began = time.monotonic()
        error = look_up_error_after_login(adapter, fault)
        assert time.monotonic() - began < 3
        assert isinstance(error, CloudThrottled)
        assert words in str(error)


def test_an_unsupported_api_version_is_reported(adapter: Azure) -> None:
    message = (
        "No registered resource provider found for location 'westeurope' and API version "
        "'2024-07-01' for type 'locations/publishers'. The supported api-versions are "
        "'2016-03-30, 2020-06-01'. The supported locations are 'local'."
    )
    error = look_up_error_after_login(adapter, arm_error("NoRegisteredProviderFound", message))
    assert isinstance(error, CloudUnreachable)
    assert "version of the Azure API" in str(error)


NOT_ENTRA = "didn’t respond like Microsoft Entra"
TROUBLE = "Microsoft Entra has a temporary problem"


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (200, "<html>Welcome</html>", CloudUnreachable, NOT_ENTRA),
        (200, "", CloudUnreachable, NOT_ENTRA),
        (200, "{}", CloudUnreachable, NOT_ENTRA),
        (200, "[]", CloudUnreachable, NOT_ENTRA),
        (200, '"token"', CloudUnreachable, NOT_ENTRA),
        (200, '{"access_token": 5}', CloudUnreachable, NOT_ENTRA),
        (404, "nothing", CloudUnreachable, NOT_ENTRA),
        (400, '{"error": "invalid_client"}', CredentialsRejected, "login server rejected"),
        (401, "<html>No</html>", CredentialsRejected, "Microsoft Entra rejected this login"),
        (403, "<html>No</html>", PermissionDenied, "Microsoft Entra denied this request"),
        (429, "slowly", CloudThrottled, "Microsoft Entra is throttling requests"),
        (500, "oops", CloudUnreachable, TROUBLE),
        (503, "", CloudUnreachable, TROUBLE),
    ],
)
@pytest.mark.parametrize("at", ["token", "discovery"])
def test_unexpected_answers_to_a_login_are_reported(
    adapter: Azure, status: int, body: str, kind: type[CloudError], words: str, at: str
) -> None:
    if at == "token":
        behavior = login_answering(status, body)
    else:
        behavior = answering(status, body, "application/json")
    error = look_up_error(adapter, behavior)
    assert pytest.RaisesExc(kind, match=words).matches(error)


def with_urls(credentials: CredentialValues, **urls: str) -> CredentialValues:
    return CredentialValues({**credentials, **urls})


@pytest.mark.parametrize(
    ("field", "server_name"), [("authority_url", "Azure’s login"), ("endpoint_url", "Azure")]
)
def test_each_connection_problem_is_reported(
    adapter: Azure,
    good: CredentialValues,
    monkeypatch: pytest.MonkeyPatch,
    field: str,
    server_name: str,
) -> None:
    """The login and the calls after it both report a broken connection."""
    label = field.replace("_url", " URL")
    with faulty.refusing() as url:
        refusing = with_urls(good, **{field: url.replace("http:", "https:")})
        error = cloud_error(lambda: adapter.describe(refusing, LOCATOR))
    assert isinstance(error, CloudUnreachable)
    assert f"No connection to {server_name} could be established. Check the {label}" in str(error)
    for context, words in ((tls.untrusted(), "can’t be verified"), (tls.expired(), "has expired")):
        with faulty.serve(answering(200), tls=context) as url:
            error = cloud_error(lambda u=url: adapter.check(with_urls(good, **{field: u})))  # type: ignore[misc]
        assert isinstance(error, CloudUnreachable)
        assert f"certificate of {server_name} {words}" in str(error)
    with faulty.serve(answering(200)) as url:
        without_tls = with_urls(good, **{field: url.replace("http:", "https:")})
        assert "No TLS connection" in str(cloud_error(lambda: adapter.check(without_tls)))
    resolve = socket.getaddrinfo

    def unresolvable(host: str, *args: object, **kwargs: object) -> object:
        if host == "nowhere.invalid":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return resolve(host, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", unresolvable)
    nowhere = with_urls(good, **{field: "https://nowhere.invalid"})
    error = cloud_error(lambda: adapter.check(nowhere))
    assert isinstance(error, CloudUnreachable)
    assert f"The host name of {server_name} can’t be resolved" in str(error)


@pytest.mark.parametrize("during", ["login", "call"])
def test_slow_interrupted_and_trickling_answers_are_reported(
    adapter: Azure, monkeypatch: pytest.MonkeyPatch, during: str
) -> None:
    def failing(fault: Behavior) -> Behavior:
        return fault if during == "login" else after_login(fault)

    error = look_up_error(adapter, failing(faulty.resetting))
    assert isinstance(error, CloudUnreachable)
    assert "was interrupted before the response was complete" in str(error)
    monkeypatch.setattr(azure_sdk, "READ_SECONDS", 0.3)
    error = look_up_error(Azure(), failing(slow(30, answering(200))))
    assert isinstance(error, CloudUnreachable)
    assert "took too long to respond" in str(error)
    monkeypatch.setattr(base, "CALL_SECONDS", 1.0)
    monkeypatch.setattr(azure_sdk, "READ_SECONDS", 4)
    error = look_up_error(Azure(), failing(faulty.trickling))
    assert isinstance(error, CloudUnreachable)
    assert "didn’t respond within 1 seconds" in str(error)


@pytest.mark.parametrize("during", ["login", "call"])
@pytest.mark.parametrize("fault", [answering(503), faulty.resetting, answering(502, "<html>")])
def test_a_broken_call_is_retried_once(adapter: Azure, during: str, fault: Behavior) -> None:
    server = azure.Azure()
    for times, works in ((1, True), (2, False)):
        faults = [fault] * times

        def behave(request: Request) -> Answer | None:
            if faults and is_login(request) == (during == "login"):  # noqa: B023
                return faults.pop()(request)  # noqa: B023
            return server(request)

        with faulty.serve(behave, tls=tls.trusted()) as url:
            credentials = AzurePeer().credentials(url)
            if works:
                assert adapter.describe(credentials, LOCATOR).image_id == ""
            else:
                assert isinstance(
                    cloud_error(lambda: adapter.describe(credentials, LOCATOR)),  # noqa: B023
                    CloudUnreachable,
                )


def test_a_rejected_token_is_renewed_once(adapter: Azure) -> None:
    server, paths = azure.Azure(), list[str]()

    def behave(request: Request) -> Answer | None:
        paths.append(request.path.split("?", maxsplit=1)[0].rpartition("/")[2])
        return server(request)

    with faulty.serve(behave, tls=tls.trusted()) as url:
        credentials = AzurePeer().credentials(url)
        adapter.describe(credentials, LOCATOR)
        assert paths == ["openid-configuration", "token", NOBLE.versions[-1]]
        adapter.describe(credentials, LOCATOR)
        assert paths[3:] == [NOBLE.versions[-1]]
        server.expire_tokens()
        adapter.describe(credentials, LOCATOR)
        again = [NOBLE.versions[-1], "openid-configuration", "token", NOBLE.versions[-1]]
        assert paths[4:] == again
        adapter.check(credentials)
        assert paths[8:] == ["openid-configuration", "token", azure_images.SUBSCRIPTION]


def test_secrets_that_azure_repeats_are_not_logged(
    adapter: Azure, caplog: pytest.LogCaptureFixture
) -> None:
    def repeat(request: Request) -> Answer:
        if "oauth2" not in request.path:
            return azure.Azure()(request)
        waiting_time = {
            "error": "invalid_client",
            "error_description": f"AADSTS7000215: {request.form}",
        }
        return Answer(401, json.dumps(waiting_time).encode(), "application/json")

    with caplog.at_level(logging.DEBUG):
        error = look_up_error(adapter, repeat)
    assert "AADSTS7000215" in caplog.text
    assert "client_secret" in caplog.text
    assert azure.SECRET not in caplog.text
    assert azure.SECRET not in str(error)
