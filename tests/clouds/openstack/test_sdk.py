"""How the OpenStack adapter uses its SDK: what it sends and caches, and how long it takes."""

from __future__ import annotations

import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sandbox import faulty, openstack
from sandbox.openstack_images import DEBIAN_13, NOBLE, ONLY_IN_REGION_TWO, REGION_ONE, REGION_TWO
from tests.clouds.helpers import assert_cached_call_is_fast, run_python
from tests.clouds.openstack.answers import cloud, image
from tests.clouds.openstack.peer import LOCATOR, application_credentials, openstack_credentials
from webapp.clouds.locators import Locator
from webapp.clouds.openstack.adapter import OpenStack

ROOT = Path(__file__).parents[3]
SOON = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(time.time() + 20))


def recording(seen: list[faulty.Request], behavior: faulty.Behavior) -> faulty.Behavior:
    """Return a behavior like `behavior` that also appends each request to `seen`."""

    def behave(request: faulty.Request) -> faulty.Answer | None:
        seen.append(request)
        return behavior(request)

    return behave


def requests_by_kind(seen: list[faulty.Request]) -> list[str]:
    return ["login" if each.path.endswith("/v3/auth/tokens") else each.method for each in seen]


def test_a_login_is_reused_until_the_credentials_are_checked(adapter: OpenStack) -> None:
    seen: list[faulty.Request] = []
    with faulty.serve(recording(seen, cloud(image()))) as url:
        credentials = openstack_credentials(url)
        adapter.describe(credentials, LOCATOR)
        adapter.locations(credentials)
        adapter.describe(credentials, LOCATOR)
        assert requests_by_kind(seen) == ["login", "GET", "GET"]
        adapter.check(credentials)
        assert requests_by_kind(seen)[3:] == ["login"]


def test_each_set_of_credentials_logs_in(adapter: OpenStack) -> None:
    seen: list[faulty.Request] = []
    with faulty.serve(recording(seen, cloud(image()))) as url:
        adapter.describe(openstack_credentials(url), LOCATOR)
        adapter.describe(openstack_credentials(url, username="somebody"), LOCATOR)
        adapter.describe(application_credentials(url), LOCATOR)
    assert requests_by_kind(seen) == ["login", "GET"] * 3


def test_a_token_about_to_expire_is_replaced(adapter: OpenStack) -> None:
    seen: list[faulty.Request] = []
    with faulty.serve(recording(seen, cloud(image(), expires_at=SOON))) as url:
        for _ in range(2):
            adapter.describe(openstack_credentials(url), LOCATOR)
    assert requests_by_kind(seen).count("login") >= 2


def test_the_content_of_requests(adapter: OpenStack) -> None:
    seen: list[faulty.Request] = []
    with faulty.serve(recording(seen, cloud(image()))) as url:
        adapter.describe(openstack_credentials(url, user_domain_name="People"), LOCATOR)
        adapter.check(application_credentials(url))
    login, read, application = seen
    assert json.loads(login.body)["auth"] == {
        "identity": {
            "methods": ["password"],
            "password": {
                "user": {
                    "domain": {"name": "People"},
                    "name": openstack.USER,
                    "password": openstack.PASSWORD,
                }
            },
        },
        "scope": {"project": {"domain": {"name": "Default"}, "name": "acme"}},
    }
    assert read.path == f"/image/v2/images/{LOCATOR.image_id}"
    assert read.headers["X-Auth-Token"] == "a-token"
    assert read.headers["User-Agent"].startswith("image-registry ")
    assert json.loads(application.body)["auth"] == {
        "identity": {
            "methods": ["application_credential"],
            "application_credential": {
                "id": openstack.APPLICATION_ID,
                "secret": openstack.APPLICATION_SECRET,
            },
        }
    }


def test_the_environment_of_the_server_is_ignored(cloud_url: str, tmp_path: Path) -> None:
    """Clouds, proxies and passwords that are configured on this server have no effect."""
    (tmp_path / "clouds.yaml").write_text(
        "clouds:\n  envvars:\n    auth: {auth_url: 'http://127.0.0.1:1', username: server}\n"
    )
    (tmp_path / ".netrc").write_text("default login server password server\n")
    (tmp_path / ".netrc").chmod(0o600)
    environ = {
        **os.environ,
        "HOME": str(tmp_path),
        "OS_CLIENT_CONFIG_FILE": str(tmp_path / "clouds.yaml"),
        "OS_AUTH_URL": "http://127.0.0.1:1/v3",
        "OS_USERNAME": "server",
        "OS_PASSWORD": "server",
        "OS_REGION_NAME": REGION_TWO,
        "HTTP_PROXY": "http://127.0.0.1:1",
        "http_proxy": "http://127.0.0.1:1",
        "REQUESTS_CA_BUNDLE": str(tmp_path / "nowhere.pem"),
    }
    code = (
        "import json, sys\n"
        "from webapp.clouds import CLOUDS\n"
        "from webapp.clouds.credentials import CredentialValues\n"
        "from webapp.clouds.locators import Locator\n"
        "from webapp.clouds.outgoing import endpoints\n"
        "endpoints.configure(['127.0.0.0/8'])\n"
        "values, locator = json.loads(sys.argv[1])\n"
        "print(CLOUDS['openstack'].describe(CredentialValues(values), Locator(*locator)).name)\n"
    )
    arguments = json.dumps([dict(openstack_credentials(cloud_url)), [REGION_ONE, NOBLE.image_id]])
    output = run_python(code, arguments, environ=environ)
    assert output == NOBLE.name
    seen: list[faulty.Request] = []
    with faulty.serve(recording(seen, cloud(image()))) as url:
        OpenStack().describe(openstack_credentials(url), LOCATOR)
    assert all("Authorization" not in each.headers for each in seen)


def test_importing_the_adapter_loads_no_sdk() -> None:
    code = (
        "import sys; from webapp.clouds import CLOUDS; "
        "CLOUDS['openstack'].parse_image_id('00002404-5a4d-4b0c-8000-000000002404'); "
        "sdk = ('keystoneauth1', 'openstack', 'requests'); "
        "print([each for each in sdk if each in sys.modules])"
    )
    assert run_python(code) == "[]"


def test_concurrent_calls_from_a_cold_start(cloud_url: str) -> None:
    """Calls may log in separately or share a login. Each gets the answer to its own request."""
    fresh = OpenStack()
    barrier = threading.Barrier(12)
    images_to_read = (NOBLE, DEBIAN_13, ONLY_IN_REGION_TWO)

    def look_up(number: int) -> str:
        barrier.wait()
        known = images_to_read[number % 3]
        credentials = openstack_credentials(cloud_url)
        return fresh.describe(credentials, Locator(known.region, known.image_id)).name

    with ThreadPoolExecutor(12) as pool:
        names = list(pool.map(look_up, range(12)))
    assert names == [each.name for each in images_to_read] * 4


def test_a_warm_look_up_adds_little_time_to_the_answer(adapter: OpenStack) -> None:
    with faulty.serve(cloud(image())) as url:
        credentials = openstack_credentials(url)
        assert_cached_call_is_fast(lambda: adapter.describe(credentials, LOCATOR))
