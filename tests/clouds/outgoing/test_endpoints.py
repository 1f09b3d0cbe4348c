"""The addresses and host names to which this server may connect."""

from __future__ import annotations

import socket
import threading
import time
from ipaddress import ip_address

import pytest

from webapp.clouds.outgoing import endpoints
from webapp.clouds.outgoing.calls import DeadlineExceeded, call_within, owned_by
from webapp.clouds.outgoing.endpoints import EndpointRules, NotConnected, connect

FORBIDDEN = [
    "127.0.0.1",
    "127.8.8.8",
    "::1",
    "::ffff:127.0.0.1",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::169.254.169.254",
    "2002:7f00:1::",
    "::ffff:0:127.0.0.1",
    "fd00::5efe:7f00:1",
    "2001:db8::200:5efe:127.0.0.1",
    "2001:0:7f00:1::",
    "0.0.0.0",  # noqa: S104
    "0.1.2.3",
    "::",
    "::ffff:0.0.0.0",
    "169.254.169.254",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "::ffff:0:169.254.169.254",
    "2001:db8::5efe:a9fe:a9fe",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fe80::1",
    "fe80::a9fe:a9fe",
    "100.100.100.200",
    "168.63.129.16",
    "224.0.0.1",
    "ff02::1",
    "255.255.255.255",
]


def allows(entries: str, host: str, address: str = "") -> bool:
    rules = EndpointRules.from_entries(filter(None, entries.split(",")))
    return rules.allows(host, ip_address(address or host))


@pytest.fixture
def rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore the rules of the process after the test."""
    monkeypatch.setattr(endpoints, "rules", endpoints.rules)


def own_address() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no network")
        return str(probe.getsockname()[0])


@pytest.mark.parametrize("address", FORBIDDEN)
@pytest.mark.parametrize("entries", ["", "default", "0.0.0.0/0,::/0", "*.example.com"])
def test_addresses_that_only_this_server_can_reach_are_refused(entries: str, address: str) -> None:
    assert not allows(entries, address)
    assert not allows(entries, "name.example.com", address)


@pytest.mark.parametrize(
    "address",
    [
        "10.1.2.3",
        "192.168.1.1",
        "172.16.0.1",
        "8.8.8.8",
        "fd12::1",
        "64:ff9b::808:808",
        "fd00::5efe:808:808",
    ],
)
def test_private_and_public_addresses_are_allowed_by_default(address: str) -> None:
    assert allows("", address)


def test_the_addresses_of_this_server_are_refused_unless_they_are_listed() -> None:
    own = own_address()
    assert not allows("", own)
    assert not allows("", f"::ffff:{own}")
    assert not allows("0.0.0.0/0", own)
    assert allows(f"default,{own}", own)


def test_listed_networks_replace_the_default() -> None:
    assert allows("10.1.0.0/16", "10.1.2.3")
    assert not allows("10.1.0.0/16", "10.2.2.3")
    assert not allows("10.1.0.0/16", "8.8.8.8")
    assert allows("default,10.1.0.0/16", "8.8.8.8")


def test_a_part_of_a_forbidden_network_can_be_allowed() -> None:
    assert allows("default,127.0.0.0/8", "127.0.0.1")
    assert allows("default,127.0.0.0/8", "8.8.8.8")
    assert not allows("default,127.0.0.0/8", "169.254.169.254")
    assert allows("169.254.7.0/24", "169.254.7.1")
    assert not allows("169.254.7.0/24", "169.254.169.254")


def test_host_names_are_allowed_with_or_without_a_wildcard() -> None:
    entries = "*.Example.com,vcenter.corp."
    assert allows(entries, "ec2.EXAMPLE.com", "8.8.8.8")
    assert allows(entries, "ec2.example.com.", "8.8.8.8")
    assert allows(entries, "vcenter.corp", "10.0.0.1")
    assert not allows(entries, "example.com", "8.8.8.8")
    assert not allows(entries, "notexample.com", "8.8.8.8")
    assert not allows(entries, "example.com.evil.test", "8.8.8.8")


def test_only_a_complete_host_name_allows_forbidden_addresses() -> None:
    assert allows("localhost", "localhost", "127.0.0.1")
    assert not allows("*.example.com", "a.example.com", "127.0.0.1")
    assert not allows("*.example.com", "a.example.com", "169.254.169.254")


@pytest.mark.usefixtures("rules")
@pytest.mark.parametrize(
    "spelling", ["127.0.0.1", "127.1", "0x7f000001", "2130706433", "localhost"]
)
def test_every_spelling_of_an_address_is_refused_before_the_connection(spelling: str) -> None:
    endpoints.configure([])
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        with pytest.raises(NotConnected):
            call_within(5, connect, (spelling, server.getsockname()[1]), 2)
        with pytest.raises(TimeoutError):
            server.accept()


@pytest.mark.usefixtures("rules")
def test_the_address_that_is_connected_to_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that resolves to another address for each query cannot circumvent the rules."""
    endpoints.configure([])
    answers = [[("8.8.8.8", 9)], [("127.0.0.1", 9)]]
    connected = []
    monkeypatch.setattr(
        endpoints,
        "resolve",
        lambda *_: [(socket.AF_INET, socket.SOCK_STREAM, 0, "", each) for each in answers.pop(0)],
    )

    class Recorder(socket.socket):
        def connect(self, address: object) -> None:
            connected.append(address)

    monkeypatch.setattr(socket, "socket", Recorder)
    monkeypatch.setattr(endpoints, "_is_own", lambda _: False)
    call_within(5, connect, ("rebinding.test", 9), 2).close()
    assert connected == [("8.8.8.8", 9)]
    with pytest.raises(NotConnected):
        call_within(5, connect, ("rebinding.test", 9), 2)
    assert connected == [("8.8.8.8", 9)]


def test_a_handshake_has_only_the_time_that_the_connection_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Slow(socket.socket):
        def connect(self, _address: object) -> None:
            time.sleep(0.3)

    monkeypatch.setattr(socket, "socket", Slow)
    with call_within(5, connect, ("127.0.0.1", 9)) as connection:
        timeout = connection.gettimeout()
    assert timeout is not None
    assert 0 < timeout < 4.71
    with pytest.raises(DeadlineExceeded):
        call_within(0.2, connect, ("127.0.0.1", 9))


def test_a_name_server_that_never_answers_does_not_outlast_the_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answered = threading.Event()

    def getaddrinfo(*_: object, **__: object) -> list[object]:
        answered.wait(60)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    for number in range(endpoints.RESOLVERS_PER_OWNER):
        with pytest.raises(DeadlineExceeded):
            call_within(0.05, connect, (f"slow-{number}.test", 443), 2)
    with pytest.raises(DeadlineExceeded):  # This call shares the thread of the first call.
        call_within(0.05, connect, ("slow-0.test", 443), 2)
    with pytest.raises(socket.gaierror):
        call_within(5, connect, ("one-more.test", 443), 2)
    with owned_by("another"), pytest.raises(DeadlineExceeded):
        call_within(0.05, connect, ("one-more.test", 443), 2)
    answered.set()
    for thread in threading.enumerate():
        if thread.name == "resolver":
            thread.join(10)
            assert not thread.is_alive()


@pytest.mark.parametrize("host", ["", "a" * 64 + ".test", "..", "exa mple.test", "\0", "nöt\udcff"])
def test_texts_that_are_no_host_names_are_not_resolved(host: str) -> None:
    with pytest.raises((socket.gaierror, NotConnected)):
        call_within(5, connect, (host, 443), 2)
