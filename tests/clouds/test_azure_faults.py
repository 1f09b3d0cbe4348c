"""What a person is told of each way in which Azure, or the way to it, can fail."""

from __future__ import annotations

import json
import logging
import re
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from sandbox import azure, azure_images, faulty, tls
from sandbox.faulty import Answer, Behaviour, Request, answering, slow
from tests.clouds import azure_answers
from tests.clouds.azure_answers import (
    aadsts,
    after_login,
    arm_error,
    by_path,
    denied,
    is_login,
    login_answering,
)
from tests.clouds.azure_peer import AzurePeer
from webapp.clouds import azure_errors, azure_lookup, azure_sdk, base
from webapp.clouds.azure import Azure
from webapp.clouds.base import (
    CloudError,
    CloudThrottled,
    CloudUnreachable,
    CredentialsRejected,
    CredentialValues,
    ImageNotFound,
    ImageNotVisible,
    InvalidCredentials,
    InvalidImageId,
    Locator,
    PermissionDenied,
    UnknownLocation,
)

HOME = "westeurope"
NOBLE = azure_images.NOBLE
LOCATOR = Locator(HOME, NOBLE.urn())
OWN = Locator("", azure_images.OWN.resource_id)


@pytest.fixture
def adapter() -> Azure:
    return Azure()


@pytest.fixture(scope="module")
def sandbox() -> Iterator[CredentialValues]:
    with azure.start() as address:
        yield AzurePeer().credentials(address)


def described(
    adapter: Azure, behaviour: Behaviour, locator: Locator = LOCATOR, **changes: str
) -> CloudError:
    """What looking up an image is refused with."""
    with faulty.serve(behaviour, tls=tls.trusted()) as url:
        credentials = CredentialValues({**AzurePeer().credentials(url), **changes})
        return refused(lambda: adapter.describe(credentials, locator))


def managed(adapter: Azure, behaviour: Behaviour, locator: Locator = LOCATOR) -> CloudError:
    """The same after a login that went well."""
    return described(adapter, after_login(behaviour), locator)


def refused(call: Callable[[], object]) -> CloudError:
    with pytest.raises(CloudError) as caught:
        call()
    words = str(caught.value)
    assert words[0].isupper()
    assert words.endswith(".")
    assert len(words) < 300
    assert "://" not in words
    assert len(re.findall(r"[.?!](?=\s|$)", words)) <= 3
    return caught.value


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        (7000215, CredentialsRejected, "client secret is wrong"),
        (7000222, CredentialsRejected, "client secret has expired"),
        (700016, CredentialsRejected, "no application with this client id"),
        (90002, CredentialsRejected, "no tenant with this id"),
        (900023, CredentialsRejected, "neither an id nor the domain"),
        (7000112, CredentialsRejected, "application is disabled"),
        (7000218, CredentialsRejected, "client secret is missing"),
        (500011, CredentialsRejected, "does not know the management endpoint"),
        (53003, CredentialsRejected, "conditional access policy"),
        (50196, CloudThrottled, "fewer logins"),
        (90033, CloudUnreachable, "Microsoft Entra has trouble of its own"),
        (1234567, CredentialsRejected, "with the code AADSTS1234567"),
    ],
)
def test_each_code_of_the_login_has_its_own_words(
    adapter: Azure, code: int, kind: type[CloudError], words: str
) -> None:
    error = described(adapter, aadsts(code))
    assert type(error) is kind
    assert pytest.RaisesExc(kind, match=words).matches(error)


@pytest.mark.parametrize(
    ("code", "status", "kind", "words"),
    [
        ("SubscriptionNotFound", 404, CredentialsRejected, "subscription does not exist"),
        ("InvalidSubscriptionId", 400, CredentialsRejected, "does not take the subscription id"),
        ("ResourceGroupNotFound", 404, ImageNotFound, "no resource group"),
        ("MissingSubscriptionRegistration", 409, PermissionDenied, "Register this resource"),
        ("RequestDisallowedByPolicy", 403, PermissionDenied, "A policy of the subscription"),
        ("InvalidAuthenticationTokenTenant", 401, CredentialsRejected, "belongs to another tenant"),
        ("InvalidAuthenticationTokenAudience", 401, CredentialsRejected, "for another address"),
        ("ExpiredAuthenticationToken", 401, CredentialsRejected, "clock of this server"),
        ("InvalidAuthenticationToken", 401, CredentialsRejected, "not accept this login .* 401"),
        ("AuthenticationFailed", 401, CredentialsRejected, "not accept this login .* 401"),
        ("LocationNotAvailableForResourceType", 400, UnknownLocation, "no images in this location"),
        ("NoRegisteredProviderFound", 400, UnknownLocation, "no location of this name"),
        ("AuthorizationFailed", 403, PermissionDenied, "lacks a permission"),
        ("LinkedAuthorizationFailed", 403, PermissionDenied, "lacks a permission"),
        ("SubscriptionRequestsThrottled", 429, CloudThrottled, "Wait a minute and try again"),
        ("TooManyRequests", 429, CloudThrottled, "fewer calls"),
        ("InvalidApiVersionParameter", 400, CloudUnreachable, "version of Azure's API"),
        ("InvalidResourceType", 404, CloudUnreachable, "version of Azure's API"),
        ("InvalidParameter", 400, InvalidImageId, "it answers InvalidParameter"),
        ("InternalServerError", 500, CloudUnreachable, "trouble of its own .* 500"),
        ("ServerBusy", 503, CloudUnreachable, "trouble of its own .* 503"),
        ("Nonsense", 401, CredentialsRejected, "answered 401"),
        ("Nonsense", 403, PermissionDenied, "refuses this call .* 403"),
    ],
)
def test_each_code_of_the_resource_manager_has_its_own_words(
    adapter: Azure, code: str, status: int, kind: type[CloudError], words: str
) -> None:
    error = managed(adapter, arm_error(code, status=status))
    assert type(error) is kind
    assert pytest.RaisesExc(kind, match=words).matches(error)


def test_every_sentence_differs() -> None:
    """Where two codes share one, they mean the same."""
    told = [*azure_errors.BY_AADSTS.values(), *azure_errors.BY_CODE.values()]
    kinds = {words: {kind for kind, each in told if each == words} for _, words in told}
    assert len(kinds) >= 18
    assert all(len(each) == 1 for each in kinds.values())
    assert all(len(words) < 300 for words in kinds)


def test_codes_that_are_no_refusal_of_ours_stay_what_they_are(adapter: Azure) -> None:
    """A conflict, say: a bug of ours, as nothing is ever changed."""
    behaviour = after_login(arm_error("Conflict", status=409))
    with faulty.serve(behaviour, tls=tls.trusted()) as url:
        credentials = AzurePeer().credentials(url)
        with pytest.raises(Exception, match="Conflict") as caught:
            adapter.describe(credentials, LOCATOR)
    assert not isinstance(caught.value, CloudError)


def test_credentials_that_the_sandbox_knows_to_be_wrong(
    adapter: Azure, sandbox: CredentialValues
) -> None:
    for name, value, words in (
        ("client_secret", "wrong", "client secret is wrong"),
        ("client_id", azure_images.TENANT, "no application with this client id"),
        ("tenant_id", "elsewhere.example", "no tenant with this id"),
        ("subscription_id", azure_images.TENANT, "subscription does not exist"),
    ):
        error = refused(lambda n=name, v=value: adapter.check(CredentialValues({**sandbox, n: v})))  # type: ignore[misc]
        assert isinstance(error, CredentialsRejected)
        assert words in str(error)


def test_the_domain_of_a_tenant_will_do(adapter: Azure, sandbox: CredentialValues) -> None:
    values = CredentialValues({**sandbox, "tenant_id": azure.TENANT_DOMAIN})
    assert adapter.check(values).account == azure_images.SUBSCRIPTION


def test_permission_is_the_one_that_azure_names(adapter: Azure, sandbox: CredentialValues) -> None:
    locked = OWN.image_id.replace(azure_images.GROUP, azure_images.LOCKED_GROUP)
    error = refused(lambda: adapter.describe(sandbox, Locator("", locked)))
    assert isinstance(error, PermissionDenied)
    assert "lacks the permission Microsoft.Compute/images/read." in str(error)
    assert "Microsoft.Compute/x/y" in str(managed(adapter, denied("Microsoft.Compute/x/y")))


def test_throttled_for_as_long_as_azure_says(adapter: Azure) -> None:
    for said, words in (("17", "Wait 17 seconds"), ("soon", "Wait a minute"), ("0", "a minute")):
        fault = arm_error("SubscriptionRequestsThrottled", "No", 429, {"Retry-After": said})
        began = time.monotonic()
        error = managed(adapter, fault)
        assert time.monotonic() - began < 3
        assert isinstance(error, CloudThrottled)
        assert words in str(error)


def test_api_version_that_an_endpoint_does_not_know(adapter: Azure) -> None:
    message = (
        "No registered resource provider found for location 'westeurope' and API version "
        "'2024-07-01' for type 'locations/publishers'. The supported api-versions are "
        "'2016-03-30, 2020-06-01'. The supported locations are 'local'."
    )
    error = managed(adapter, arm_error("NoRegisteredProviderFound", message))
    assert isinstance(error, CloudUnreachable)
    assert "version of Azure's API" in str(error)


@pytest.mark.parametrize(
    ("urn", "words"),
    [
        (NOBLE.urn("24.04.201901010"), "no such version. The newest is 24.04.202610150."),
        ("Canonical/ubuntu-24_04-lts/servr/latest", "no such SKU, but server and server-arm64."),
        ("Canonical/ubuntu/server/latest", "no such offer, but ubuntu-24_04-lts, ubuntu-26_04"),
        ("Cannonical/ubuntu-24_04-lts/server/latest", "no such publisher"),
    ],
)
@pytest.mark.parametrize("place", ["", HOME])
def test_which_part_of_a_urn_is_wrong(
    adapter: Azure, sandbox: CredentialValues, place: str, urn: str, words: str
) -> None:
    error = refused(lambda: adapter.describe(sandbox, Locator(place, urn)))
    assert type(error) is ImageNotFound
    assert urn in str(error)
    assert words in str(error)
    assert error.seen_at == ()


def test_offer_without_a_sku_and_sku_without_a_version(adapter: Azure) -> None:
    offers = azure_answers.answering([{"name": "offer"}])
    skus, none = azure_answers.answering([{"name": "sku"}]), azure_answers.answering([])
    missing = arm_error("NotFound", status=404)
    for found, words in (
        ({"skus__sku__versions": none, "offer__skus": skus}, "has no version any more"),
        ({"offer__skus": none}, "the offer is empty"),
    ):
        manager = by_path(missing, **found, vmimage__offers=offers)
        error = managed(adapter, manager, Locator(HOME, "pub/offer/sku/latest"))
        assert type(error) is ImageNotFound
        assert words in str(error)


def test_not_found_where_nothing_else_may_be_asked(adapter: Azure) -> None:
    manager = by_path(denied(), versions=arm_error("NotFound", status=404))
    error = managed(adapter, manager)
    assert type(error) is ImageNotFound
    assert "check each part of the URN" in str(error)


def test_a_long_urn_is_shortened(adapter: Azure) -> None:
    urn = "/".join(("p" * 80, "o" * 80, "s" * 80, "1.2.3"))
    assert type(managed(adapter, arm_error("NotFound", status=404), Locator("", urn))) is (
        ImageNotFound
    )


def test_a_slow_second_look_does_not_hold_up_the_answer(
    adapter: Azure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(azure_lookup, "SECOND_LOOK_SECONDS", 0.3)
    missing = arm_error("NotFound", status=404)
    manager = by_path(slow(30, answering(500)), versions=missing)
    began = time.monotonic()
    assert type(managed(adapter, manager)) is ImageNotFound
    assert time.monotonic() - began < 3


def test_own_images_that_are_not_there(adapter: Azure, sandbox: CredentialValues) -> None:
    golden, own = azure_images.GOLDEN, azure_images.OWN
    for image_id, kind, words in (
        (own.resource_id + "x", ImageNotFound, f"no image {own.name}x"),
        (OWN.image_id.replace(azure_images.GROUP, "gone"), ImageNotFound, "no resource group"),
        (OWN.image_id.replace("c0ffee00", "badc0ffe"), ImageNotVisible, "the subscription badc0"),
        (golden.version_id("9.9.9"), ImageNotFound, f"no version 9.9.9 of {golden.name}"),
        (golden.version_id("latest").replace("golden", "x"), ImageNotFound, "no version latest of"),
        (azure_images.ONLY_DRAFTS.version_id("latest"), ImageNotFound, "counts as the latest"),
    ):
        error = refused(lambda i=image_id: adapter.describe(sandbox, Locator("", i)))  # type: ignore[misc]
        assert type(error) is kind
        assert words in str(error)


@pytest.mark.parametrize(
    ("image_id", "place", "there"),
    [
        (OWN.image_id, "eastus", ("westeurope",)),
        (azure_images.GOLDEN.version_id("1.0.9"), "East US", ("westeurope", "northeurope")),
        (azure_images.ROCKY_GOLDEN.version_id("latest"), HOME, ("eastus",)),
        (azure_images.ONLY_EUROPE.urn(), "eastus", ("westeurope",)),
    ],
)
def test_in_another_location(
    adapter: Azure, sandbox: CredentialValues, image_id: str, place: str, there: tuple[str, ...]
) -> None:
    error = refused(lambda: adapter.describe(sandbox, Locator(place, image_id)))
    assert isinstance(error, ImageNotFound)
    assert error.seen_at == there
    assert f"but in {' and '.join(there)}" in str(error)


@pytest.mark.parametrize(
    "image_id", [NOBLE.urn(), OWN.image_id, azure_images.GOLDEN.version_id("latest")]
)
@pytest.mark.parametrize("place", ["atlantis", "../../evil", "europe", "東京"])
def test_location_that_there_is_not(
    adapter: Azure, sandbox: CredentialValues, image_id: str, place: str
) -> None:
    error = refused(lambda: adapter.describe(sandbox, Locator(place, image_id)))
    assert isinstance(error, UnknownLocation)
    assert "no location of this name" in str(error)


def test_another_location_where_locations_may_not_be_asked(
    adapter: Azure, sandbox: CredentialValues
) -> None:
    server = azure.Azure()
    manager = by_path(server, **{"/locations?": denied()})
    error = described(adapter, after_login(manager, server), Locator("eastus", OWN.image_id))
    assert isinstance(error, ImageNotFound)
    assert error.seen_at == (HOME,)


def test_subscription_without_any_location(adapter: Azure) -> None:
    manager = by_path(azure_answers.answering({"value": []}))
    error = managed(adapter, manager, Locator("", NOBLE.urn()))
    assert isinstance(error, PermissionDenied)
    assert "no location of this subscription" in str(error)


NOT_ENTRA = "does not speak like Microsoft Entra"
TROUBLE = "Microsoft Entra has trouble of its own"


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
        (400, '{"error": "invalid_client"}', CredentialsRejected, "login server does not accept"),
        (401, "<html>No</html>", CredentialsRejected, "Microsoft Entra does not accept this login"),
        (403, "<html>No</html>", PermissionDenied, "Microsoft Entra refuses this call"),
        (429, "slowly", CloudThrottled, "Microsoft Entra asks for fewer calls"),
        (500, "oops", CloudUnreachable, TROUBLE),
        (503, "", CloudUnreachable, TROUBLE),
    ],
)
@pytest.mark.parametrize("at", ["token", "discovery"])
def test_login_servers_of_other_kinds(
    adapter: Azure, status: int, body: str, kind: type[CloudError], words: str, at: str
) -> None:
    if at == "token":
        behaviour = login_answering(status, body)
    else:
        behaviour = answering(status, body, "application/json")
    error = described(adapter, behaviour)
    assert pytest.RaisesExc(kind, match=words).matches(error)


GARBAGE = ["<html>Welcome</html>", "", "{}", "[]", "null", "\x00", '"x"', '{"properties": null}']


@pytest.mark.parametrize("kind", ["text/html", "application/json"])
@pytest.mark.parametrize("status", [200, 301, 404])
def test_garbage(adapter: Azure, status: int, kind: str) -> None:
    for body in GARBAGE:
        behaviour = after_login(answering(status, body, kind))
        with faulty.serve(behaviour, tls=tls.trusted()) as url:
            credentials = AzurePeer().credentials(url)
            for call in (
                lambda: adapter.describe(credentials, LOCATOR),  # noqa: B023
                lambda: adapter.describe(credentials, OWN),  # noqa: B023
                lambda: adapter.check(credentials),  # noqa: B023
                lambda: adapter.locations(credentials),  # noqa: B023
            ):
                error = refused(call)
                assert isinstance(error, CloudUnreachable)
                assert "does not speak like Azure Resource Manager" in str(error)


@pytest.mark.parametrize("junk", [5, "x", [], [1], {}, {"a": 1}, None, True])
def test_parts_of_other_kinds_do_no_harm(adapter: Azure, junk: object) -> None:
    """Whatever stands where something else is expected: facts are left out, and nothing breaks."""
    names = (
        "plan osDiskImage dataDiskImages hyperVGeneration architecture imageDeprecationStatus "
        "features storageProfile publishingProfile provisioningState sourceVirtualMachine "
        "identifier purchasePlan endOfLifeDate safetyProfile replicationStatus osType osState"
    )
    said = {"properties": dict.fromkeys(names.split(), junk), "name": junk, "location": junk}
    said["tags"] = junk
    behaviour = after_login(azure_answers.answering(said))
    version = Locator("", azure_images.GOLDEN.version_id("1.0.9"))
    with faulty.serve(behaviour, tls=tls.trusted()) as url:
        credentials = AzurePeer().credentials(url)
        for locator in (LOCATOR, OWN, version):
            assert adapter.describe(credentials, locator).size_gb is None


def test_lists_with_junk_in_them(adapter: Azure) -> None:
    every: list[list[object]] = [[5], [None], ["x"], [[]], [{"name": 5}], [{"properties": "x"}]]
    for junk in every:
        manager = by_path(
            azure_answers.answering({"properties": {}}),
            **{"golden/versions?": azure_answers.answering({"value": junk})},
            skus=azure_answers.answering(junk),
            locations=azure_answers.answering({"value": junk}),
        )
        latest = Locator("", azure_images.GOLDEN.version_id("latest"))
        error = managed(adapter, manager, latest)
        assert isinstance(error, ImageNotFound | CloudUnreachable)
        error = managed(adapter, manager, Locator(HOME, NOBLE.urn("latest")))
        assert isinstance(error, ImageNotFound)
        error = managed(adapter, manager, Locator("", NOBLE.urn()))
        assert isinstance(error, PermissionDenied | CloudUnreachable)


def at(credentials: CredentialValues, **addresses: str) -> CredentialValues:
    return CredentialValues({**credentials, **addresses})


@pytest.mark.parametrize(
    ("field", "whose"), [("authority_url", "Azure's login"), ("endpoint_url", "Azure")]
)
def test_no_connection(
    adapter: Azure,
    sandbox: CredentialValues,
    monkeypatch: pytest.MonkeyPatch,
    field: str,
    whose: str,
) -> None:
    """To the login, and to what comes after it."""
    named = field.replace("_url", " URL")
    with faulty.refusing() as url:
        refusing = at(sandbox, **{field: url.replace("http:", "https:")})
        error = refused(lambda: adapter.describe(refusing, LOCATOR))
    assert isinstance(error, CloudUnreachable)
    assert f"The connection to {whose} was refused. Check the {named}" in str(error)
    for context, words in ((tls.untrusted(), "cannot be verified"), (tls.expired(), "has expired")):
        with faulty.serve(answering(200), tls=context) as url:
            error = refused(lambda u=url: adapter.check(at(sandbox, **{field: u})))  # type: ignore[misc]
        assert isinstance(error, CloudUnreachable)
        assert f"certificate of {whose}'s server {words}" in str(error)
    with faulty.serve(answering(200)) as url:
        plain = at(sandbox, **{field: url.replace("http:", "https:")})
        assert "does not speak TLS" in str(refused(lambda: adapter.check(plain)))
    resolve = socket.getaddrinfo

    def unresolvable(host: str, *args: object, **kwargs: object) -> object:
        if host == "nowhere.invalid":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return resolve(host, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", unresolvable)
    nowhere = at(sandbox, **{field: "https://nowhere.invalid"})
    error = refused(lambda: adapter.check(nowhere))
    assert isinstance(error, CloudUnreachable)
    assert f"The name of {whose}'s server cannot be resolved" in str(error)


@pytest.mark.parametrize("during", ["login", "call"])
def test_slow_broken_off_and_in_drops(
    adapter: Azure, monkeypatch: pytest.MonkeyPatch, during: str
) -> None:
    def failing(fault: Behaviour) -> Behaviour:
        return fault if during == "login" else after_login(fault)

    error = described(adapter, failing(faulty.resetting))
    assert isinstance(error, CloudUnreachable)
    assert "broke off before the answer was complete" in str(error)
    monkeypatch.setattr(azure_sdk, "READ_SECONDS", 0.3)
    error = described(Azure(), failing(slow(30, answering(200))))
    assert isinstance(error, CloudUnreachable)
    assert "takes too long to answer" in str(error)
    monkeypatch.setattr(base, "CALL_SECONDS", 1.0)
    monkeypatch.setattr(azure_sdk, "READ_SECONDS", 4)
    error = described(Azure(), failing(faulty.trickling))
    assert isinstance(error, CloudUnreachable)
    assert "did not answer within 1 seconds" in str(error)


@pytest.mark.parametrize("during", ["login", "call"])
@pytest.mark.parametrize("fault", [answering(503), faulty.resetting, answering(502, "<html>")])
def test_a_broken_call_is_tried_once_more(adapter: Azure, during: str, fault: Behaviour) -> None:
    server = azure.Azure()
    for times, works in ((1, True), (2, False)):
        left = [fault] * times

        def behave(request: Request) -> Answer | None:
            if left and is_login(request) == (during == "login"):  # noqa: B023
                return left.pop()(request)  # noqa: B023
            return server(request)

        with faulty.serve(behave, tls=tls.trusted()) as url:
            credentials = AzurePeer().credentials(url)
            if works:
                assert adapter.describe(credentials, LOCATOR).image_id == ""
            else:
                assert isinstance(
                    refused(lambda: adapter.describe(credentials, LOCATOR)),  # noqa: B023
                    CloudUnreachable,
                )


def test_a_token_that_is_not_accepted_any_more_is_renewed_once(adapter: Azure) -> None:
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


def test_values_that_the_sdk_cannot_use(adapter: Azure, sandbox: CredentialValues) -> None:
    for name, value in (("tenant_id", "a/b"), ("authority_url", "http://127.0.0.1:1")):
        error = refused(lambda n=name, v=value: adapter.check(CredentialValues({**sandbox, n: v})))  # type: ignore[misc]
        assert isinstance(error, InvalidCredentials)


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"authority_url": ""}, "authority_url", "address that logins are sent to"),
        ({"endpoint_url": ""}, "endpoint_url", "address that calls are sent to"),
        ({"endpoint_url": "http://127.0.0.1"}, "endpoint_url", "begins with https"),
        ({"authority_url": "http://127.0.0.1"}, "authority_url", "begins with https"),
        ({"cloud": "public"}, "authority_url", "for another endpoint only"),
        ({"cloud": "china", "authority_url": ""}, "endpoint_url", "for another endpoint only"),
        (
            {"cloud": "usgov", "authority_url": "", "endpoint_url": ""},
            "ca",
            "Certificates can be entered for another endpoint only",
        ),
        ({"ca": "nothing"}, "ca", "not a certificate"),
        ({"ca": "-----BEGIN PRIVATE KEY-----"}, "ca", "private key"),
    ],
)
def test_fields_that_do_not_go_together(
    adapter: Azure, sandbox: CredentialValues, changes: dict[str, str], field: str, words: str
) -> None:
    error = refused(lambda: adapter.validate({**sandbox, **changes}))
    assert isinstance(error, InvalidCredentials)
    assert error.field == field
    assert words in str(error)


def test_fields_that_go_together(adapter: Azure, sandbox: CredentialValues) -> None:
    adapter.validate(sandbox)
    plain = {**sandbox, "authority_url": "", "endpoint_url": "", "ca": ""}
    for cloud in ("public", "usgov", "china"):
        adapter.validate({**plain, "cloud": cloud})


def test_what_azure_repeats_of_our_secrets_is_not_logged(
    adapter: Azure, caplog: pytest.LogCaptureFixture
) -> None:
    def repeat(request: Request) -> Answer:
        if "oauth2" not in request.path:
            return azure.Azure()(request)
        said = {"error": "invalid_client", "error_description": f"AADSTS7000215: {request.form}"}
        return Answer(401, json.dumps(said).encode(), "application/json")

    with caplog.at_level(logging.DEBUG):
        error = described(adapter, repeat)
    assert "AADSTS7000215" in caplog.text
    assert "client_secret" in caplog.text
    assert azure.SECRET not in caplog.text
    assert azure.SECRET not in str(error)
