"""The messages for people if Keystone or Glance does not answer, or not completely."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from sandbox import faulty, tls
from sandbox.faulty import Answer, Behaviour, answering, slow
from tests.clouds.openstack.answers import cloud, endpoint, image
from tests.clouds.openstack.peer import LOCATOR, described, openstack_credentials, refused
from webapp.clouds import base
from webapp.clouds.base import CloudUnreachable, Locator
from webapp.clouds.openstack import sdk
from webapp.clouds.openstack.adapter import OpenStack


@pytest.fixture
def adapter() -> OpenStack:
    return OpenStack()


@pytest.fixture
def no_such_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Resolve no host name, only the address of this machine."""
    getaddrinfo = socket.getaddrinfo

    def only_numbers(host: str, *more: Any, **named: Any) -> Any:
        if host != "127.0.0.1":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return getaddrinfo(host, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", only_numbers)


def test_refused_connection_of_keystone(adapter: OpenStack) -> None:
    with faulty.refusing() as url:
        error = refused(lambda: adapter.describe(openstack_credentials(url), LOCATOR))
    assert isinstance(error, CloudUnreachable)
    assert "connection to OpenStack was refused. Check the auth URL" in str(error)


def test_refused_connection_of_glance(adapter: OpenStack) -> None:
    """The message says that the catalog, not the person, names this server."""
    with faulty.refusing() as closed:
        error = described(adapter, cloud(image(), [endpoint(closed)]))
        address = closed.removeprefix("http://")
    assert isinstance(error, CloudUnreachable)
    assert str(error).startswith("The connection to Glance was refused. The OpenStack service")
    assert f"in RegionOne at {address}: ask your cloud administrator" in str(error)


@pytest.mark.usefixtures("no_such_name")
def test_names_that_cannot_be_resolved(adapter: OpenStack) -> None:
    credentials = openstack_credentials("http://nowhere.invalid")
    error = refused(lambda: adapter.describe(credentials, LOCATOR))
    assert isinstance(error, CloudUnreachable)
    assert "host name of OpenStack can’t be resolved. Check the auth URL" in str(error)
    error = described(adapter, cloud(image(), [endpoint("http://glance.invalid:9292")]))
    assert isinstance(error, CloudUnreachable)
    assert "host name of Glance can’t be resolved. The OpenStack service catalog" in str(error)
    assert "glance.invalid:9292" in str(error)


@pytest.mark.parametrize("url", ["nonsense", "http://[", "ftp://x", "http:/x", "http://x:y"])
def test_catalogue_with_an_address_that_is_none(adapter: OpenStack, url: str) -> None:
    error = described(adapter, cloud(image(), [endpoint(url)]))
    assert isinstance(error, CloudUnreachable)
    assert "invalid URL for the image service in RegionOne" in str(error)


@pytest.mark.usefixtures("no_such_name")
@pytest.mark.parametrize("url", ["http://user@/", "http://a..b", "http://%41", "http://x y:1"])
def test_catalogue_with_an_address_of_nobody(adapter: OpenStack, url: str) -> None:
    assert isinstance(described(adapter, cloud(image(), [endpoint(url)])), CloudUnreachable)


@pytest.mark.usefixtures("no_such_name")
@pytest.mark.parametrize("host", ["a..b", ".", "x" * 64 + ".example"])
def test_auth_url_that_names_no_server(adapter: OpenStack, host: str) -> None:
    error = refused(lambda: adapter.check(openstack_credentials(f"http://{host}")))
    assert isinstance(error, CloudUnreachable)
    assert "auth URL" in str(error)


def test_broken_off(adapter: OpenStack) -> None:
    error = described(adapter, faulty.resetting)
    assert isinstance(error, CloudUnreachable)
    assert "connection to OpenStack was interrupted" in str(error)
    error = described(adapter, cloud(faulty.resetting))
    assert isinstance(error, CloudUnreachable)
    assert "connection to Glance was interrupted" in str(error)


def test_silence(adapter: OpenStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK's own timeout ends the call. It expires twice, because each call is tried twice."""
    monkeypatch.setattr(sdk, "READ_SECONDS", 0.2)
    error = described(adapter, slow(30, image()))
    assert isinstance(error, CloudUnreachable)
    assert str(error).startswith("OpenStack took too long to respond.")
    error = described(adapter, cloud(slow(30, image())))
    assert isinstance(error, CloudUnreachable)
    assert str(error).startswith("Glance took too long to respond. The OpenStack service catalog")


def test_no_connection_in_time(adapter: OpenStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue of connections that the server does not accept is full."""
    monkeypatch.setattr(sdk, "CONNECT_SECONDS", 0.2)
    with socket.socket() as deaf, socket.socket() as first, socket.socket() as second:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for each in (first, second):
            each.setblocking(False)
            each.connect_ex(deaf.getsockname())
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        error = refused(lambda: adapter.check(openstack_credentials(url)))
    assert isinstance(error, CloudUnreachable)
    assert "The connection to OpenStack timed out" in str(error)


def test_an_answer_in_drops(adapter: OpenStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our deadline ends the call, because no timeout of the SDK does."""
    monkeypatch.setattr(base, "CALL_SECONDS", 1.0)
    for behaviour in (faulty.trickling, cloud(faulty.trickling)):
        error = described(adapter, behaviour)
        assert isinstance(error, CloudUnreachable)
        assert "didn’t respond within 1 seconds" in str(error)


def test_tls(adapter: OpenStack) -> None:
    trusting = {"ca": tls.authority().pem}
    with faulty.serve(answering(200), tls=tls.untrusted()) as url:
        for changes in ({}, trusting):
            credentials = openstack_credentials(url, **changes)
            error = refused(lambda: adapter.describe(credentials, LOCATOR))  # noqa: B023
            assert isinstance(error, CloudUnreachable)
            assert "certificate of OpenStack can’t be verified" in str(error)
    with faulty.serve(answering(200), tls=tls.expired()) as url:
        error = refused(lambda: adapter.describe(openstack_credentials(url, **trusting), LOCATOR))
        assert "certificate of OpenStack has expired" in str(error)
    elsewhere = tls.authority().context(addresses=("127.0.0.2",))
    with faulty.serve(answering(200), tls=elsewhere) as url:
        error = refused(lambda: adapter.describe(openstack_credentials(url, **trusting), LOCATOR))
        assert "was issued for a different host name" in str(error)
    with faulty.serve(answering(200)) as url:
        credentials = openstack_credentials(url.replace("http:", "https:"))
        error = refused(lambda: adapter.describe(credentials, LOCATOR))
        assert "No TLS connection" in str(error)


def test_tls_of_glance(adapter: OpenStack) -> None:
    with faulty.serve(image(), tls=tls.untrusted()) as glance:
        error = described(adapter, cloud(image(), [endpoint(glance)]))
    assert isinstance(error, CloudUnreachable)
    assert "certificate of Glance can’t be verified. The OpenStack service catalog" in str(error)
    assert "add its certificate authority" in str(error)


@pytest.mark.usefixtures("no_such_name")
def test_long_names_fit(adapter: OpenStack) -> None:
    region, host = "r" * 50, "h" * 41 + ".invalid"
    for url in (f"http://{host}", f"http://{'h' * 42}.{host}"):
        locator = Locator(region, LOCATOR.image_id)
        error = described(adapter, cloud(image(), [endpoint(url, region)]), locator)
        assert f"in {region} at {host if url.endswith('//' + host) else 'another server'}" in str(
            error
        )


@pytest.mark.parametrize("fault", [answering(503), answering(502), lambda _: None])
def test_a_broken_call_is_tried_once_more(adapter: OpenStack, fault: Behaviour) -> None:
    for faults in ([fault], [cloud(image()), fault]):
        left = faults[::-1]
        good = cloud(image())

        def behave(request: faulty.Request) -> Answer | None:
            return (left.pop() if left else good)(request)  # noqa: B023

        with faulty.serve(behave) as url:
            assert OpenStack().describe(openstack_credentials(url), LOCATOR).name == "n"
