"""How the Azure adapter uses the SDK: which secrets it sends, and what it caches."""

from __future__ import annotations

import json
import logging
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sandbox import azure, azure_images, faulty, tls
from tests.clouds.azure.peer import AzurePeer
from tests.clouds.helpers import assert_cached_call_is_fast, run_python
from webapp.clouds.azure import sdk as azure_sdk
from webapp.clouds.azure.adapter import CLOUDS, Azure
from webapp.clouds.credentials import CredentialValues
from webapp.clouds.errors import CloudUnreachable
from webapp.clouds.locators import Locator

ROOT = Path(__file__).parents[3]
NOBLE = Locator("westeurope", azure_images.NOBLE.urn())
OWN = Locator("", azure_images.ACME_IMAGE.resource_id)


def test_the_environment_of_the_server_is_ignored(tmp_path: Path) -> None:
    """The environment contains another cloud, other credentials, and a proxy with a password.

    It also names a netrc file with a password.
    """
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login server password server\n")
    (tmp_path / ".netrc").chmod(0o600)
    environ = {
        **os.environ,
        "HOME": str(tmp_path),
        "NETRC": str(tmp_path / ".netrc"),
        "AZURE_TENANT_ID": "server",
        "AZURE_CLIENT_ID": "server",
        "AZURE_CLIENT_SECRET": "server",
        "AZURE_AUTHORITY_HOST": "https://127.0.0.1:1",
        "AZURE_REGIONAL_AUTHORITY_NAME": "westus",
        "AZURE_SDK_CLOUD_CONF": "nonsense",
        "AZURE_HTTP_USER_AGENT": "server",
        "REQUESTS_CA_BUNDLE": "/nowhere",
        "HTTPS_PROXY": "http://server:server@127.0.0.1:1",
        "NO_PROXY": "",
        "no_proxy": "",
    }
    code = (
        "import json, sys\n"
        "from webapp.clouds import CLOUDS\n"
        "from webapp.clouds.credentials import CredentialValues\n"
        "from webapp.clouds.locators import Locator\n"
        "from webapp.clouds.outgoing import endpoints\n"
        "endpoints.configure(['127.0.0.0/8'])\n"
        "values, locator = json.loads(sys.argv[1])\n"
        "print(CLOUDS['azure'].describe(CredentialValues(values), Locator(*locator)).name)\n"
    )
    server, seen = azure.Azure(), list[faulty.Request]()

    def behave(request: faulty.Request) -> faulty.Answer | None:
        seen.append(request)
        return server(request)

    with faulty.serve(behave, tls=tls.trusted()) as url:
        arguments = [dict(AzurePeer().credentials(url)), [NOBLE.location, NOBLE.image_id]]
        output = run_python(code, json.dumps(arguments), environ=environ)
    assert output == AzurePeer.known_name
    assert len(seen) == 3
    assert seen[1].form["client_id"] == azure_images.CLIENT
    assert not [each for each in seen if "server" in str(each.headers)]
    assert seen[2].headers["Authorization"].startswith("Bearer ")


def test_importing_the_adapter_loads_no_sdk() -> None:
    code = (
        "import sys; from webapp.clouds import CLOUDS; "
        "CLOUDS['azure'].parse_image_id('a:b:c:latest'); "
        "print([each for each in ('azure', 'msal', 'requests') if each in sys.modules])"
    )
    assert run_python(code) == "[]"


def test_concurrent_calls_from_a_cold_start(good: CredentialValues) -> None:
    """Threads share one login, and each thread gets the answer to its own call."""
    fresh = Azure()
    barrier = threading.Barrier(16)

    def look_up(number: int) -> str:
        barrier.wait()
        return fresh.describe(good, NOBLE if number % 2 else OWN).name

    with ThreadPoolExecutor(16) as pool:
        names = list(pool.map(look_up, range(16)))
    assert names == [azure_images.ACME_IMAGE.name, AzurePeer.known_name] * 8


def test_a_warm_look_up_adds_little_time_to_the_answer(good: CredentialValues) -> None:
    adapter = Azure()
    assert_cached_call_is_fast(lambda: adapter.describe(good, NOBLE))


@pytest.mark.parametrize("cloud", [key for key, _ in CLOUDS if key != "custom"])
def test_endpoints_of_microsofts_own_clouds(cloud: str) -> None:
    found = azure_sdk.endpoints_of({"cloud": cloud})
    for address in (found.authority, found.manager, found.scope):
        assert address.startswith("https://")
    assert found.scope.endswith("/.default")
    assert azure_sdk.endpoints_of({"cloud": ""}) == azure_sdk.ENDPOINTS["public"]


def test_a_custom_endpoint_is_the_audience_of_its_tokens() -> None:
    values = {"cloud": "custom", "endpoint_url": "https://arm/", "authority_url": "https://login/"}
    found = azure_sdk.endpoints_of(values)
    assert found == azure_sdk.Endpoints("https://login", "https://arm", "https://arm/.default")


def test_proxies_with_a_password_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "all_proxy", "ALL_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "arm.internal")
    assert azure_sdk._proxies("https://arm.example")["https"] == "http://proxy.example:3128"
    assert azure_sdk._proxies("https://arm.internal") == {}
    monkeypatch.setenv("HTTPS_PROXY", "http://me:secret@proxy.example:3128")
    assert azure_sdk._proxies("https://arm.example") == {}


def test_connections_are_closed_when_no_session_uses_them(good: CredentialValues) -> None:
    sessions = azure_sdk.Sessions()
    session = sessions.get(good)
    session.subscription()
    transports = session._transports
    assert all(each.session for each in transports)
    sessions.forget(good)
    assert all(each.session for each in transports)
    del session
    assert not any(each.session for each in transports)


def test_the_number_of_pages_of_a_list_is_limited() -> None:
    """The server returns an endless list: each page links to a next page."""
    requested_paths = list[str]()

    def behave(request: faulty.Request) -> faulty.Answer:
        if "/versions" not in request.path.partition("?")[0]:
            return server(request)
        requested_paths.append(request.path)
        here = f"https://{request.headers['Host']}{request.path}"
        body = json.dumps({"value": [], "nextLink": here}).encode()
        return faulty.Answer(200, body, "application/json")

    server = azure.Azure()
    with faulty.serve(behave, tls=tls.trusted()) as url:
        credentials = AzurePeer().credentials(url)
        with pytest.raises(CloudUnreachable, match=r"more than 50 pages.*Enter the exact version"):
            Azure().describe(credentials, Locator("", azure_images.GOLDEN.version_id("latest")))
    assert len(requested_paths) == azure_sdk.MAX_PAGES


def test_the_sdk_logs_nothing(good: CredentialValues, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        Azure().check(good)
    assert not [each for each in caplog.records if each.name.startswith(("azure", "msal"))]
