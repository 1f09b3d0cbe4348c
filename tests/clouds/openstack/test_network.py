"""The error if Keystone or Glance does not answer, or answers only partly."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from sandbox import faulty, tls
from sandbox.faulty import Answer, Behavior, answering, slow
from tests.clouds.helpers import cloud_error
from tests.clouds.openstack.answers import cloud, endpoint, image
from tests.clouds.openstack.peer import LOCATOR, look_up_error, openstack_credentials
from webapp.clouds import base
from webapp.clouds.errors import CloudUnreachable
from webapp.clouds.locators import Locator
from webapp.clouds.openstack import sdk
from webapp.clouds.openstack.adapter import OpenStack


@pytest.fixture
def no_host_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Resolve no host names, only the IP address of this machine."""
    getaddrinfo = socket.getaddrinfo

    def resolve_only_loopback(host: str, *more: Any, **named: Any) -> Any:
        if host != "127.0.0.1":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return getaddrinfo(host, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", resolve_only_loopback)


def test_a_refused_connection_to_keystone_is_reported(adapter: OpenStack) -> None:
    with faulty.refusing() as url:
        error = cloud_error(lambda: adapter.describe(openstack_credentials(url), LOCATOR))
    assert isinstance(error, CloudUnreachable)
    assert "No connection to OpenStack could be established. Check the auth URL" in str(error)


def test_a_refused_connection_to_glance_is_reported(adapter: OpenStack) -> None:
    """The message says that the URL of the server comes from the catalog, not from the person."""
    with faulty.refusing() as closed:
        error = look_up_error(adapter, cloud(image(), [endpoint(closed)]))
        host_and_port = closed.removeprefix("http://")
    assert isinstance(error, CloudUnreachable)
    assert str(error).startswith("No connection to Glance could be established. The OpenStack")
    assert f"in RegionOne at {host_and_port}: ask your cloud administrator" in str(error)


@pytest.mark.usefixtures("no_host_names")
def test_unresolvable_host_names_are_reported(adapter: OpenStack) -> None:
    credentials = openstack_credentials("http://nowhere.invalid")
    error = cloud_error(lambda: adapter.describe(credentials, LOCATOR))
    assert isinstance(error, CloudUnreachable)
    assert "host name of OpenStack can’t be resolved. Check the auth URL" in str(error)
    error = look_up_error(adapter, cloud(image(), [endpoint("http://glance.invalid:9292")]))
    assert isinstance(error, CloudUnreachable)
    assert "host name of Glance can’t be resolved. The OpenStack service catalog" in str(error)
    assert "glance.invalid:9292" in str(error)


@pytest.mark.parametrize("url", ["nonsense", "http://[", "ftp://x", "http:/x", "http://x:y"])
def test_an_invalid_url_in_the_catalog_is_reported(adapter: OpenStack, url: str) -> None:
    error = look_up_error(adapter, cloud(image(), [endpoint(url)]))
    assert isinstance(error, CloudUnreachable)
    assert "invalid URL for the image service in RegionOne" in str(error)


@pytest.mark.usefixtures("no_host_names")
@pytest.mark.parametrize("url", ["http://user@/", "http://a..b", "http://%41", "http://x y:1"])
def test_an_unreachable_url_in_the_catalog_is_reported(adapter: OpenStack, url: str) -> None:
    assert isinstance(look_up_error(adapter, cloud(image(), [endpoint(url)])), CloudUnreachable)


@pytest.mark.usefixtures("no_host_names")
@pytest.mark.parametrize("host", ["a..b", ".", "x" * 64 + ".example"])
def test_an_auth_url_without_a_valid_host_is_reported(adapter: OpenStack, host: str) -> None:
    error = cloud_error(lambda: adapter.check(openstack_credentials(f"http://{host}")))
    assert isinstance(error, CloudUnreachable)
    assert "auth URL" in str(error)


def test_interrupted_connections_are_reported(adapter: OpenStack) -> None:
    error = look_up_error(adapter, faulty.resetting)
    assert isinstance(error, CloudUnreachable)
    assert "connection to OpenStack was interrupted" in str(error)
    error = look_up_error(adapter, cloud(faulty.resetting))
    assert isinstance(error, CloudUnreachable)
    assert "connection to Glance was interrupted" in str(error)


def test_silent_servers_are_reported(adapter: OpenStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK's own timeout ends the call. It expires twice, because the call is retried once."""
    monkeypatch.setattr(sdk, "READ_SECONDS", 0.2)
    error = look_up_error(adapter, slow(30, image()))
    assert isinstance(error, CloudUnreachable)
    assert str(error).startswith("OpenStack took too long to respond.")
    error = look_up_error(adapter, cloud(slow(30, image())))
    assert isinstance(error, CloudUnreachable)
    assert str(error).startswith("Glance took too long to respond. The OpenStack service catalog")


def test_a_connection_timeout_is_reported(
    adapter: OpenStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server accepts no connections, and its queue of waiting connections is full."""
    monkeypatch.setattr(sdk, "CONNECT_SECONDS", 0.2)
    with socket.socket() as deaf, socket.socket() as first, socket.socket() as second:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for each in (first, second):
            each.setblocking(False)
            each.connect_ex(deaf.getsockname())
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        error = cloud_error(lambda: adapter.check(openstack_credentials(url)))
    assert isinstance(error, CloudUnreachable)
    assert "No connection to OpenStack could be established" in str(error)


def test_a_trickling_answer_is_reported(
    adapter: OpenStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No timeout of the SDK ends the call, so the time limit CALL_SECONDS ends it."""
    monkeypatch.setattr(base, "CALL_SECONDS", 1.0)
    for behavior in (faulty.trickling, cloud(faulty.trickling)):
        error = look_up_error(adapter, behavior)
        assert isinstance(error, CloudUnreachable)
        assert "didn’t respond within 1 seconds" in str(error)


def test_tls_problems_are_reported(adapter: OpenStack) -> None:
    trusting = {"ca": tls.authority().pem}
    with faulty.serve(answering(200), tls=tls.untrusted()) as url:
        for changes in ({}, trusting):
            credentials = openstack_credentials(url, **changes)
            error = cloud_error(lambda: adapter.describe(credentials, LOCATOR))  # noqa: B023
            assert isinstance(error, CloudUnreachable)
            assert "certificate of OpenStack can’t be verified" in str(error)
    with faulty.serve(answering(200), tls=tls.expired()) as url:
        error = cloud_error(
            lambda: adapter.describe(openstack_credentials(url, **trusting), LOCATOR)
        )
        assert "certificate of OpenStack has expired" in str(error)
    other_address = tls.authority().context(addresses=("127.0.0.2",))
    with faulty.serve(answering(200), tls=other_address) as url:
        error = cloud_error(
            lambda: adapter.describe(openstack_credentials(url, **trusting), LOCATOR)
        )
        assert "was issued for a different host name" in str(error)
    with faulty.serve(answering(200)) as url:
        credentials = openstack_credentials(url.replace("http:", "https:"))
        error = cloud_error(lambda: adapter.describe(credentials, LOCATOR))
        assert "No TLS connection" in str(error)


def test_tls_problems_of_glance_are_reported(adapter: OpenStack) -> None:
    with faulty.serve(image(), tls=tls.untrusted()) as glance:
        error = look_up_error(adapter, cloud(image(), [endpoint(glance)]))
    assert isinstance(error, CloudUnreachable)
    assert "certificate of Glance can’t be verified. The OpenStack service catalog" in str(error)
    assert "add its certificate authority" in str(error)


@pytest.mark.usefixtures("no_host_names")
def test_messages_with_long_names_are_short_enough(adapter: OpenStack) -> None:
    region, host = "r" * 50, "h" * 41 + ".invalid"
    for url in (f"http://{host}", f"http://{'h' * 42}.{host}"):
        locator = Locator(region, LOCATOR.image_id)
        error = look_up_error(adapter, cloud(image(), [endpoint(url, region)]), locator)
        assert f"in {region} at {host if url.endswith('//' + host) else 'another server'}" in str(
            error
        )


@pytest.mark.parametrize("fault", [answering(503), answering(502), lambda _: None])
def test_a_broken_call_is_retried_once(adapter: OpenStack, fault: Behavior) -> None:
    for faults in ([fault], [cloud(image()), fault]):
        faults_left = faults[::-1]
        good = cloud(image())

        def behave(request: faulty.Request) -> Answer | None:
            return (faults_left.pop() if faults_left else good)(request)  # noqa: B023

        with faulty.serve(behave) as url:
            assert OpenStack().describe(openstack_credentials(url), LOCATOR).name == "n"
