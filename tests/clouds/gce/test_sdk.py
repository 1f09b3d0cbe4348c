"""How the Compute Engine adapter uses its SDK: what it calls and caches, and how long it takes."""

from __future__ import annotations

import base64
import json
import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sandbox import faulty, gce_images, gce_keys
from tests.clouds.gce import answers
from tests.clouds.gce.peer import gce_credentials
from tests.clouds.helpers import assert_cached_call_is_fast, run_python
from webapp.clouds.credentials import CredentialValues
from webapp.clouds.errors import InvalidCredentials
from webapp.clouds.gce import sdk
from webapp.clouds.gce.adapter import Gce
from webapp.clouds.locators import Locator

ROOT = Path(__file__).parents[3]
KNOWN = gce_images.NOBLE
LOCATOR = Locator("", KNOWN.image_id)


def claims(authorization: str) -> dict[str, Any]:
    """Return the claims of the token in a header Authorization."""
    part = authorization.split(".")[1]
    decoded: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return decoded


def key(**changes: str) -> str:
    """Return the text of a key file in which `changes` replace some fields."""
    return json.dumps({**json.loads(gce_keys.key_file()), **changes})


def test_only_the_endpoint_is_called(
    adapter: Gce, cloud_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a URL in the key nor Google's IAM service is called.

    google-auth's own class for such keys would call the IAM service in a separate thread.
    """
    requested_hosts: set[tuple[str, int]] = set()
    real = socket.getaddrinfo

    def record_host(host: str, port: int, *args: Any, **kwargs: Any) -> Any:
        requested_hosts.add((host, port))
        return real(host, port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", record_host)
    started_threads: list[threading.Thread] = []
    start = threading.Thread.start

    def record_thread(thread: threading.Thread) -> None:
        started_threads.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", record_thread)
    trapped_paths: list[str] = []

    def trap(request: faulty.Request) -> faulty.Answer:
        trapped_paths.append(request.path)
        return faulty.Answer(200, b'{"access_token": "stolen", "expires_in": 3600}', "text/plain")

    with faulty.serve(trap) as url:
        hostile = key(token_uri=f"{url}/token", auth_uri=url, client_x509_cert_url=url)
        credentials = gce_credentials(cloud_url, service_account_key=hostile)
        started_threads.clear()
        adapter.check(credentials)
        assert adapter.describe(credentials, LOCATOR).name == KNOWN.name
        # The other threads belong to the sandbox.
        ours = [each for each in started_threads if "process_request" not in each.name]
    assert trapped_paths == []
    assert {host for host, _ in requested_hosts} == {"127.0.0.1"}
    assert {port for _, port in requested_hosts} == {int(cloud_url.rpartition(":")[2])}
    assert ours == []


def test_google_is_called_without_an_endpoint_url(
    adapter: Gce, monkeypatch: pytest.MonkeyPatch
) -> None:
    requested_hosts: list[tuple[str, int]] = []

    def record_host(host: str, port: int, *_: object, **__: object) -> None:
        requested_hosts.append((host, port))
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", record_host)
    with pytest.raises(Exception, match="can’t be resolved"):
        adapter.describe(gce_credentials(""), LOCATOR)
    assert requested_hosts == [("compute.googleapis.com", 443)]


def test_the_environment_of_the_server_is_ignored(cloud_url: str, tmp_path: Path) -> None:
    """Default credentials, proxy, certificates and `.netrc` of the server have no effect."""
    (tmp_path / "adc.json").write_text(key(client_email="server@example.com"))
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login server password server\n")
    names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy")
    proxy = dict.fromkeys(names, "http://server:secret@127.0.0.1:1")
    environ = {
        **os.environ,
        **proxy,
        "HOME": str(tmp_path),
        "NETRC": str(tmp_path / ".netrc"),
        "GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "adc.json"),
        "GOOGLE_CLOUD_PROJECT": "server-project",
        "GOOGLE_CLOUD_QUOTA_PROJECT": "server-project",
        "GOOGLE_CLOUD_UNIVERSE_DOMAIN": "example.com",
        "GOOGLE_API_USE_MTLS_ENDPOINT": "always",
        "GOOGLE_API_USE_CLIENT_CERTIFICATE": "true",
        "REQUESTS_CA_BUNDLE": str(tmp_path / "missing.pem"),
        "CLOUDSDK_CONFIG": str(tmp_path),
    }
    code = (
        "import json, sys\n"
        "from webapp.clouds import CLOUDS\n"
        "from webapp.clouds.credentials import CredentialValues\n"
        "from webapp.clouds.locators import Locator\n"
        "from webapp.clouds.outgoing import endpoints\n"
        "endpoints.configure(['127.0.0.0/8'])\n"
        "values, image_id = json.loads(sys.argv[1])\n"
        "values = CredentialValues(values)\n"
        "print(CLOUDS['gce'].check(values).account)\n"
        "print(CLOUDS['gce'].describe(values, Locator('', image_id)).name)\n"
    )
    seen: list[faulty.Request] = []
    forward = faulty.forwarding(cloud_url)

    def behave(request: faulty.Request) -> faulty.Answer | None:
        seen.append(request)
        return forward(request)

    with faulty.serve(behave) as url:
        argument = json.dumps([dict(gce_credentials(url)), KNOWN.image_id])
        output = run_python(code, argument, environ=environ)
    assert output.split() == ["acme-images", KNOWN.name]
    assert len(seen) == 2
    for request in seen:
        assert claims(answers.authorization(request))["iss"] == gce_keys.EMAIL
        assert "server" not in json.dumps(request.headers).lower()


def test_a_key_of_another_cloud_signs_for_that_cloud(adapter: Gce) -> None:
    seen: list[str] = []

    def behave(request: faulty.Request) -> faulty.Answer:
        seen.append(answers.authorization(request))
        return faulty.Answer(200, b'{"kind": "compute#imageList"}', answers.JSON)

    foreign = key(universe_domain="example-cloud.fr")
    with faulty.serve(behave) as url:
        adapter.check(gce_credentials(url, service_account_key=foreign))
        adapter.check(gce_credentials(url))
    audiences = [claims(each)["aud"] for each in seen]
    assert audiences == ["https://compute.example-cloud.fr/", "https://compute.googleapis.com/"]


def test_a_key_alone_does_not_decide_where_its_tokens_are_sent(adapter: Gce) -> None:
    """The credentials were stored by a version that knew their cloud."""
    foreign = key(universe_domain="example-cloud.fr")
    with pytest.raises(InvalidCredentials, match="unknown cloud") as caught:
        adapter.check(gce_credentials("", service_account_key=foreign))
    assert caught.value.field == "endpoint_url"


def test_endpoints_as_people_copy_them() -> None:
    for entered in ("https://10.0.0.1", "https://10.0.0.1/", "https://10.0.0.1/compute/v1/"):
        assert sdk.normalize_endpoint(entered) == "https://10.0.0.1"
    assert sdk.normalize_endpoint("") == "https://compute.googleapis.com"
    assert sdk.normalize_endpoint("", "s3nsapis.fr") == "https://compute.s3nsapis.fr"


def test_a_token_is_reused_until_it_expires(
    adapter: Gce, cloud_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens: list[str] = []
    forward = faulty.forwarding(cloud_url)

    def behave(request: faulty.Request) -> faulty.Answer | None:
        tokens.append(answers.authorization(request))
        return forward(request)

    with faulty.serve(behave) as url:
        credentials = gce_credentials(url)
        signed: list[object] = []
        refresh = sdk._SelfSignedCredentials.refresh

        def record_refresh(credentials: Any, request: object) -> None:
            signed.append(credentials)
            refresh(credentials, request)

        monkeypatch.setattr(sdk._SelfSignedCredentials, "refresh", record_refresh)
        adapter.describe(credentials, LOCATOR)
        adapter.describe(credentials, LOCATOR)
        assert len(signed) == 1
        adapter.check(credentials)
        assert len(signed) == 2
        # google-auth replaces a token that expires within its safety margin.
        monkeypatch.setattr(sdk, "TOKEN_SECONDS", 60)
        adapter.check(credentials)
        adapter.describe(credentials, LOCATOR)
        assert len(signed) == 4
    assert len(tokens) == 5


def test_claims_of_a_token(adapter: Gce) -> None:
    seen: list[str] = []

    def behave(request: faulty.Request) -> faulty.Answer:
        seen.append(answers.authorization(request))
        return faulty.Answer(200, b'{"kind": "compute#imageList"}', answers.JSON)

    with faulty.serve(behave) as url:
        adapter.check(gce_credentials(url))
    token = claims(seen[0])
    assert token["iss"] == token["sub"] == gce_keys.EMAIL
    assert token["exp"] - token["iat"] == 3600
    assert abs(token["iat"] - time.time()) < 10
    assert set(token) == {"iss", "sub", "aud", "iat", "exp"}


def test_importing_the_adapter_loads_no_sdk() -> None:
    code = (
        "import sys; from webapp.clouds import CLOUDS; "
        "CLOUDS['gce'].parse_image_id('acme-images/global/images/web'); "
        "CLOUDS['gce'].validate({'service_account_key': sys.stdin.read()}); "
        "print([each for each in ('google', 'google.auth', 'requests') if each in sys.modules])"
    )
    output = run_python(code, stdin=gce_keys.key_file())
    assert output == "[]"


def test_only_the_modules_for_images_are_loaded() -> None:
    """The package itself is not replaced, so other code can still import it."""
    code = (
        "import sys; from webapp.clouds import CLOUDS; CLOUDS['gce'].warm_up(); "
        "loaded = [each.split('.') for each in sys.modules if '.compute_v1.services.' in each]; "
        "print(sorted({each[4] for each in loaded}), 'google.cloud.compute_v1' in sys.modules)"
    )
    assert run_python(code) == "['global_operations', 'images'] False"


def test_concurrent_calls_from_a_cold_start(adapter: Gce, cloud_url: str) -> None:
    """Threads share clients, and each call gets the answer to its own request."""
    barrier = threading.Barrier(16)

    def look_up(number: int) -> str:
        barrier.wait()
        known = KNOWN if number % 2 else gce_images.DEBIAN_13
        return adapter.describe(gce_credentials(cloud_url), Locator("", known.image_id)).name

    with ThreadPoolExecutor(16) as pool:
        names = list(pool.map(look_up, range(16)))
    assert names == [gce_images.DEBIAN_13.name, KNOWN.name] * 8


def test_a_warm_look_up_adds_little_time_to_the_answer(adapter: Gce) -> None:
    with faulty.serve(answers.image(**KNOWN.answer())) as url:
        credentials: CredentialValues = gce_credentials(url)
        assert_cached_call_is_fast(lambda: adapter.describe(credentials, LOCATOR))
