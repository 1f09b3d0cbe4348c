"""The behavior that all adapters share: each test runs for each peer in `peers.PEERS`."""

from __future__ import annotations

import json
import logging
import os
import re
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import pytest

from sandbox import faulty, tls
from tests.clouds.helpers import cloud_error, run_python
from tests.clouds.peer import Peer
from tests.clouds.peers import PEERS
from webapp.clouds import CLOUDS, base
from webapp.clouds.cache import credentials_digest
from webapp.clouds.credentials import CredentialValues
from webapp.clouds.details import ImageState
from webapp.clouds.errors import (
    CallsInProgress,
    CloudThrottled,
    CloudUnreachable,
    CredentialsRejected,
    ImageNotFound,
    ImageNotVisible,
    InvalidImageId,
    PermissionDenied,
)
from webapp.clouds.locators import LocationRule
from webapp.clouds.outgoing import budgets, endpoints
from webapp.clouds.outgoing.calls import MAX_RESPONSE_BYTES
from webapp.clouds.outgoing.endpoints import EndpointRules

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.cloud.key, scope="module")


@pytest.fixture(scope="module")
def cloud_url(peer: Peer) -> Iterator[str]:
    with peer.start() as url:
        yield url


@pytest.fixture(autouse=True, scope="module")
def _loaded_sdk(peer: Peer) -> None:
    """Load the SDK before the tests, so that no test measures how long the loading takes."""
    peer.cloud.warm_up()


@pytest.fixture
def short_call_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the time limit of a call from nine seconds to one."""
    monkeypatch.setattr(base, "CALL_SECONDS", 1.0)


def test_declared_data_is_complete(peer: Peer) -> None:
    cloud = peer.cloud
    assert CLOUDS[cloud.key] is cloud
    assert cloud.label
    assert cloud.icon
    assert cloud.where_to_find.endswith(".")
    assert (cloud.location_field is None) == (cloud.location_rule is LocationRule.GLOBAL)
    fields = [*cloud.credential_fields, cloud.image_id_field]
    if cloud.location_field:
        fields.append(cloud.location_field)
    names = [field.name for field in fields]
    assert len(set(names)) == len(names)
    for field in fields:
        assert field.label
        re.compile(field.pattern)
        assert len(dict(field.options)) == len(field.options)
    assert any(field.secret for field in cloud.credential_fields)
    assert not any(field.secret and field.options for field in fields)
    assert set(peer.credentials("http://127.0.0.1:1")) == {f.name for f in cloud.credential_fields}


def test_pasted_ids_become_canonical(peer: Peer) -> None:
    for text, canonical in peer.pasted.items():
        first = peer.cloud.parse_image_id(text).value
        assert first == canonical
        assert peer.cloud.parse_image_id(first).value == first
    known = peer.known.image_id
    assert peer.cloud.parse_image_id(known).value == known


def test_invalid_ids_are_rejected_with_the_reason(peer: Peer) -> None:
    reasons = {
        str(cloud_error(lambda text=text: peer.cloud.parse_image_id(text)))  # type: ignore[misc]
        for text in peer.invalid_ids
    }
    assert len(reasons) > 1
    with pytest.raises(InvalidImageId):
        peer.cloud.parse_image_id(peer.invalid_ids[0])


def test_default_locations_include_the_known_image(peer: Peer) -> None:
    settings = dict.fromkeys(
        (field.name for field in peer.cloud.credential_fields if not field.secret), ""
    )
    known = peer.cloud.default_locations(settings)
    if peer.cloud.location_rule is LocationRule.REGIONAL and known:
        assert peer.known.location in {each.key for each in known}
    assert len({each.key for each in known}) == len(known)
    assert all(each.label for each in known)


def test_console_link_names_the_image(peer: Peer) -> None:
    link = peer.cloud.console_url({}, peer.known)
    assert link == "" or (link.startswith("https://") and peer.known.image_id in link)


def test_check_returns_the_identity(peer: Peer, cloud_url: str) -> None:
    identity = peer.cloud.check(peer.credentials(cloud_url))
    assert identity.account
    assert identity.description


def test_enabled_locations_include_the_known_image(peer: Peer, cloud_url: str) -> None:
    found = peer.cloud.locations(peer.credentials(cloud_url))
    if peer.cloud.location_rule is not LocationRule.GLOBAL:
        assert peer.known.location in {each.key for each in found if each.enabled}


def test_a_known_image_is_described(peer: Peer, cloud_url: str) -> None:
    details = peer.cloud.describe(peer.credentials(cloud_url), peer.known)
    assert details.name == peer.known_name
    assert details.state in ImageState
    assert details.os_texts
    assert all(details.os_texts)
    for instant in filter(None, (details.created_at, details.deprecated_at)):
        assert isinstance(instant, datetime)
        assert instant.tzinfo is not None
    keys = [fact.key for fact in details.facts]
    labels = [fact.label for fact in details.facts]
    assert len(set(keys)) == len(keys)
    assert len(set(labels)) == len(labels)
    assert all(re.fullmatch("[a-z][a-z0-9_]*", key) for key in keys)
    assert all(fact.value for fact in details.facts)
    assert sum(volume.root for volume in details.volumes) <= 1
    assert details.size_gb is None or details.size_gb > 0


def test_only_an_alias_is_marked_as_an_alias(peer: Peer) -> None:
    assert not peer.cloud.parse_image_id(peer.known.image_id).is_alias
    assert not peer.cloud.parse_image_id(peer.unknown.image_id).is_alias
    if peer.alias:
        assert peer.cloud.parse_image_id(peer.alias.image_id).is_alias


def test_an_unknown_image_is_definitely_missing_or_only_hidden_from_other_accounts(
    peer: Peer, cloud_url: str
) -> None:
    credentials = peer.credentials(cloud_url)
    error = cloud_error(lambda: peer.cloud.describe(credentials, peer.unknown))
    assert peer.unknown.image_id in str(error)
    if isinstance(error, ImageNotVisible):
        assert error.account
        assert re.search("or it is(n’t)? ", str(error))
    else:
        assert isinstance(error, ImageNotFound)
        assert error.found_in == ()
        assert not re.search("or it is|n’t allowed|shared", str(error))


def test_rejected_credentials_are_reported(peer: Peer) -> None:
    with peer.serve(peer.rejecting()) as url:
        for call in calls(peer, url):
            assert isinstance(cloud_error(call), CredentialsRejected)


def test_a_missing_permission_is_reported(peer: Peer) -> None:
    with peer.serve(peer.denying()) as url:
        error = cloud_error(lambda: peer.cloud.describe(peer.credentials(url), peer.known))
        assert isinstance(error, PermissionDenied)


def test_throttling_is_reported(peer: Peer) -> None:
    with peer.serve(peer.throttling()) as url:
        for call in calls(peer, url):
            assert isinstance(cloud_error(call), CloudThrottled)


def test_a_closed_port_is_reported_as_unreachable(peer: Peer) -> None:
    with faulty.refusing() as url:
        for call in calls(peer, url):
            assert isinstance(cloud_error(call), CloudUnreachable)


def test_invalid_answers_are_reported_as_unreachable(peer: Peer) -> None:
    behaviors: tuple[faulty.Behavior, ...] = (
        faulty.resetting,
        faulty.answering(200, "<html>Welcome</html>", "text/html"),
        faulty.answering(200, "", "text/plain"),
        faulty.answering(200, "\x00\x01 nothing", "text/plain"),
        faulty.answering(500, "oops", "text/plain"),
        faulty.answering(502, "<html>Bad gateway</html>", "text/html"),
        faulty.answering(503),
    )
    for behavior in behaviors:
        with peer.serve(behavior) as url:
            for call in calls(peer, url):
                assert isinstance(cloud_error(call), CloudUnreachable)


def test_an_untrusted_certificate_is_reported(peer: Peer) -> None:
    with faulty.serve(faulty.answering(200), tls=tls.untrusted()) as url:
        for call in calls(peer, url):
            error = cloud_error(call)
            assert isinstance(error, CloudUnreachable)
            assert "certificate" in str(error)


@pytest.mark.usefixtures("short_call_timeout")
@pytest.mark.parametrize(
    "behavior",
    [
        faulty.trickling,
        faulty.trickling_until_closed,
        faulty.trickling_headers,
        faulty.never_beginning,
    ],
)
def test_nothing_is_left_of_a_call_after_its_deadline(
    peer: Peer, behavior: faulty.Behavior
) -> None:
    connections = Connections(behavior)
    with peer.serve(connections) as url:
        for call in calls(peer, url):
            threads = {each.name for each in threading.enumerate()}
            began = time.monotonic()
            assert isinstance(cloud_error(call), CloudUnreachable)
            assert time.monotonic() - began < 5
            assert connections.all_closed()
            assert {"cloud", "resolver"}.isdisjoint(each.name for each in threading.enumerate())
            assert {each.name for each in threading.enumerate()} <= threads | connections.threads


@pytest.mark.parametrize(
    "behavior",
    [
        faulty.endless,
        faulty.endless_chunk_size,
        faulty.gzip_bomb(200),
        faulty.answering(200, f"<a>{'<a/>' * 1_500_000}</a>"),
        faulty.answering(200, f'{{"token": [{"{}," * 2_000_000}0]}}', "application/json"),
        faulty.answering(200, f'{{"token": {{"a": "😀{"x" * 5_000_000}"}}}}', "application/json"),
    ],
    ids=["endless", "endless chunk size", "gzip", "tiny XML", "tiny JSON", "wide text"],
)
def test_an_answer_is_not_read_beyond_its_largest_size(
    peer: Peer, behavior: faulty.Behavior
) -> None:
    connections = Connections(behavior)
    with peer.serve(connections) as url:
        for call in calls(peer, url):
            tracemalloc.start()
            try:
                assert isinstance(cloud_error(call), CloudUnreachable)
                assert tracemalloc.get_traced_memory()[1] < 12 * MAX_RESPONSE_BYTES
            finally:
                tracemalloc.stop()


@pytest.mark.parametrize(
    ("header", "seconds"), [("20", 20.0), ("9999999999", 0.0), ("soon", 0.0), ("-5", 0.0)]
)
def test_an_error_says_how_long_the_cloud_asked_to_wait(
    peer: Peer, header: str, seconds: float
) -> None:
    busy = faulty.Answer(429, headers={"Retry-After": header})
    with peer.serve(lambda _: busy) as url:
        for call in calls(peer, url):
            assert cloud_error(call).retry_after == seconds


def test_a_redirect_is_not_followed(peer: Peer) -> None:
    requests: list[faulty.Request] = []

    def record(request: faulty.Request) -> faulty.Answer:
        requests.append(request)
        return faulty.Answer(200)

    with faulty.serve(record) as elsewhere, peer.serve(faulty.redirecting(elsewhere)) as url:
        for call in calls(peer, url):
            cloud_error(call)
    assert requests == []


def test_nobody_learns_whether_a_port_is_closed_filtered_or_forbidden(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def messages(url: str) -> list[str]:
        return [str(cloud_error(call)) for call in calls(peer, url)]

    with peer.serve(faulty.answering(200)) as url:
        with monkeypatch.context() as patched:
            patched.setattr(endpoints, "rules", EndpointRules())
            forbidden = messages(url)
        with monkeypatch.context() as patched:
            patched.setattr(socket, "socket", FilteredSocket)
            filtered = messages(url)
    with faulty.refusing() as refusing:
        closed = messages(refusing.replace("http:", url.partition("//")[0]))
    assert forbidden == filtered == closed
    assert len(set(closed)) == 1


class FilteredSocket(socket.socket):
    """A socket whose connections a firewall ignores."""

    def connect(self, _: object) -> None:
        raise TimeoutError("timed out")


class Connections:
    """A behavior that acts like another behavior, and remembers the connection of each request."""

    def __init__(self, behavior: faulty.Behavior) -> None:
        self._behavior = behavior
        self._sockets: list[socket.socket] = []
        self.threads: set[str] = set()

    def __call__(self, request: faulty.Request) -> faulty.Answer | None:
        self._sockets.append(request.connection)
        self.threads.add(threading.current_thread().name)
        return self._behavior(request)

    def all_closed(self) -> bool:
        """Return whether the client closes all its connections within ten seconds."""
        end = time.monotonic() + 10
        while time.monotonic() < end:
            if all(map(_is_closed_by_client, self._sockets)):
                return True
            time.sleep(0.01)
        return False


def _is_closed_by_client(connection: socket.socket) -> bool:
    if connection.fileno() == -1:
        return True
    try:
        with socket.socket(fileno=os.dup(connection.fileno())) as plain:
            plain.setblocking(False)
            return plain.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def test_a_call_to_a_silent_cloud_ends_within_ten_seconds(peer: Peer) -> None:
    """Test the real time limits once. Either the SDK's timeout or CALL_SECONDS ends the call."""
    with peer.serve(faulty.slow(30, faulty.answering(200))) as url:
        began = time.monotonic()
        error = cloud_error(lambda: peer.cloud.describe(peer.credentials(url), peer.known))
        assert time.monotonic() - began < 10
        assert isinstance(error, CloudUnreachable)


def test_a_call_that_was_ended_does_not_prevent_the_process_from_ending(peer: Peer) -> None:
    code = (
        "import json, sys\n"
        "from webapp.clouds import CLOUDS, base\n"
        "from webapp.clouds.credentials import CredentialValues\n"
        "from webapp.clouds.errors import CloudUnreachable\n"
        "from webapp.clouds.locators import Locator\n"
        "from webapp.clouds.outgoing import endpoints\n"
        "endpoints.configure(['127.0.0.0/8'])\n"
        "base.CALL_SECONDS = 0.5\n"
        "key, values, locator = json.loads(sys.argv[1])\n"
        "try:\n"
        "    CLOUDS[key].describe(CredentialValues(values), Locator(*locator))\n"
        "except CloudUnreachable:\n"
        "    print('unreachable')\n"
    )
    with peer.serve(faulty.trickling) as url:
        locator = [peer.known.location, peer.known.image_id, peer.known.compute_resource]
        argument = json.dumps([peer.cloud.key, dict(peer.credentials(url)), locator])
        output = run_python(code, argument)
    assert output == "unreachable"


def test_secrets_are_neither_logged_nor_printed(
    peer: Peer, cloud_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The SDK does not log a secret, even at debug level."""
    credentials = peer.credentials(cloud_url)
    assert peer.secret not in repr(credentials)
    with caplog.at_level(logging.DEBUG):
        peer.cloud.check(credentials)
        peer.cloud.describe(credentials, peer.known)
        cloud_error(lambda: peer.cloud.describe(credentials, peer.unknown))
        with peer.serve(peer.denying()) as url:
            cloud_error(lambda: peer.cloud.describe(peer.credentials(url), peer.known))
    assert caplog.records
    assert peer.secret not in caplog.text


def test_our_own_exceptions_are_not_translated(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception that the cloud did not cause is not translated."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(peer.cloud, "_describe", broken)
    with pytest.raises(ZeroDivisionError):
        peer.cloud.describe(peer.credentials("http://127.0.0.1:1"), peer.known)


def test_only_the_owner_of_a_hanging_endpoint_is_told_to_wait(
    peer: Peer, cloud_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many calls hang as their credentials allow. Other credentials are not affected."""
    monkeypatch.setattr(budgets, "BACKGROUND_SECONDS", 0.1)
    healthy = CredentialValues(peer.credentials(cloud_url), "healthy")
    with ExitStack() as calls_in_progress:
        hanging = CredentialValues({"endpoint": "hangs"}, "hostile")
        for _ in range(budgets.CALLS_PER_CREDENTIALS - budgets.RESERVED):
            calls_in_progress.enter_context(
                budgets.budgets.reserve(credentials_digest(hanging), "hostile")
            )
        with pytest.raises(CallsInProgress, match="calls with these credentials are in progress"):
            peer.cloud.describe(hanging, peer.known)
        assert peer.cloud.describe(healthy, peer.known).name == peer.known_name


@pytest.mark.parametrize(("owner", "name"), [("acme", "this account"), ("", "the Scalr scope")])
def test_a_used_up_budget_names_the_owner_of_the_credentials(
    owner: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budgets, "BACKGROUND_SECONDS", 0)
    monkeypatch.setattr(budgets.budgets, "max_waiting_threads", 12)
    with ExitStack() as calls_in_progress:
        for number in range(budgets.CALLS_PER_ACCOUNT - budgets.RESERVED):
            calls_in_progress.enter_context(budgets.budgets.reserve(f"other-{number}", owner))
        with pytest.raises(CallsInProgress, match=f"credentials of {name} are in progress"):
            CLOUDS["gce"].check(CredentialValues({}, owner))


def calls(peer: Peer, url: str) -> list[Callable[[], object]]:
    """Return a call of each method that checks, describes or lists, if the cloud has the method."""
    cloud, credentials = peer.cloud, peer.credentials(url)
    adapter_calls: list[Callable[[], object]] = [
        lambda: cloud.check(credentials),
        lambda: cloud.describe(credentials, peer.known),
        lambda: cloud.browse(credentials, peer.known.location, "web"),
    ]
    if cloud.location_rule is not LocationRule.GLOBAL:
        adapter_calls.append(lambda: cloud.locations(credentials))
    if cloud.lists_images:
        adapter_calls.append(lambda: cloud.images(credentials, peer.known.location))
    return adapter_calls
