"""The behaviour that all adapters share: each test runs for each peer in `peers.PEERS`."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from sandbox import faulty, tls
from tests.clouds.peer import Peer
from tests.clouds.peers import PEERS
from webapp.clouds import CLOUDS, base, deadline
from webapp.clouds.base import (
    CloudError,
    CloudThrottled,
    CloudUnreachable,
    CredentialsRejected,
    ImageNotFound,
    ImageState,
    InvalidImageId,
    LocationRule,
    PermissionDenied,
)

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.cloud.key, scope="module")


@pytest.fixture(scope="module")
def address(peer: Peer) -> Iterator[str]:
    with peer.start() as address:
        yield address


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the time limit of a call from nine seconds to one."""
    monkeypatch.setattr(base, "CALL_SECONDS", 1.0)


def refusal(call: Callable[[], object]) -> CloudError:
    """Return the error that `call` raises, after checking its message.

    The message is one to three sentences, and the error belongs to a subclass of CloudError.
    """
    with pytest.raises(CloudError) as caught:
        call()
    message = str(caught.value)
    assert type(caught.value) is not CloudError
    assert 1 <= len(re.findall(r"[.?!](?=\s|$)", message)) <= 3, message
    assert message[0].isupper()
    assert message.endswith(".")
    assert len(message) < 300
    assert "://" not in message
    return caught.value


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
    for each in fields:
        assert each.label
        re.compile(each.pattern)
        assert len(dict(each.options)) == len(each.options)
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
        str(refusal(lambda text=text: peer.cloud.parse_image_id(text)))  # type: ignore[misc]
        for text in peer.invalid_ids
    }
    assert len(reasons) > 1
    with pytest.raises(InvalidImageId):
        peer.cloud.parse_image_id(peer.invalid_ids[0])


def test_locations_known_without_asking(peer: Peer) -> None:
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


def test_check_returns_the_identity(peer: Peer, address: str) -> None:
    identity = peer.cloud.check(peer.credentials(address))
    assert identity.account
    assert identity.description


def test_locations_that_the_credentials_may_use(peer: Peer, address: str) -> None:
    found = peer.cloud.locations(peer.credentials(address))
    if peer.cloud.location_rule is not LocationRule.GLOBAL:
        assert peer.known.location in {each.key for each in found if each.enabled}


def test_describe_a_known_image(peer: Peer, address: str) -> None:
    details = peer.cloud.describe(peer.credentials(address), peer.known)
    assert details.name == peer.known_name
    assert details.state in ImageState
    assert details.os_texts
    assert all(details.os_texts)
    for instant in filter(None, (details.created, details.deprecated)):
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


def test_unknown_image(peer: Peer, address: str) -> None:
    credentials = peer.credentials(address)
    error = refusal(lambda: peer.cloud.describe(credentials, peer.unknown))
    assert isinstance(error, ImageNotFound)
    assert peer.unknown.image_id in str(error)
    assert error.found_in == ()


def test_rejected_credentials(peer: Peer) -> None:
    with peer.serve(peer.rejecting()) as url:
        for call in calls(peer, url):
            assert isinstance(refusal(call), CredentialsRejected)


def test_missing_permission(peer: Peer) -> None:
    with peer.serve(peer.denying()) as url:
        error = refusal(lambda: peer.cloud.describe(peer.credentials(url), peer.known))
        assert isinstance(error, PermissionDenied)


def test_throttling(peer: Peer) -> None:
    with peer.serve(peer.throttling()) as url:
        for call in calls(peer, url):
            assert isinstance(refusal(call), CloudThrottled)


def test_closed_port(peer: Peer) -> None:
    with faulty.refusing() as url:
        for call in calls(peer, url):
            assert isinstance(refusal(call), CloudUnreachable)


def test_other_failures_of_the_network(peer: Peer) -> None:
    behaviours: tuple[faulty.Behaviour, ...] = (
        faulty.resetting,
        faulty.answering(200, "<html>Welcome</html>", "text/html"),
        faulty.answering(200, "", "text/plain"),
        faulty.answering(200, "\x00\x01 nothing", "text/plain"),
        faulty.answering(500, "oops", "text/plain"),
        faulty.answering(502, "<html>Bad gateway</html>", "text/html"),
        faulty.answering(503),
    )
    for behaviour in behaviours:
        with peer.serve(behaviour) as url:
            for call in calls(peer, url):
                assert isinstance(refusal(call), CloudUnreachable)


def test_certificate_that_nobody_trusts(peer: Peer) -> None:
    with faulty.serve(faulty.answering(200), tls=tls.untrusted()) as url:
        for call in calls(peer, url):
            error = refusal(call)
            assert isinstance(error, CloudUnreachable)
            assert "certificate" in str(error)


@pytest.mark.usefixtures("quick")
def test_answer_that_trickles_in_forever(peer: Peer) -> None:
    with peer.serve(faulty.trickling) as url:
        for call in calls(peer, url):
            began = time.monotonic()
            assert isinstance(refusal(call), CloudUnreachable)
            assert time.monotonic() - began < 5


def test_silent_cloud_ends_within_ten_seconds(peer: Peer) -> None:
    """Test the real time limits once. Either the SDK's timeout or ours ends the call."""
    with peer.serve(faulty.slow(30, faulty.answering(200))) as url:
        began = time.monotonic()
        error = refusal(lambda: peer.cloud.describe(peer.credentials(url), peer.known))
        assert time.monotonic() - began < 10
        assert isinstance(error, CloudUnreachable)


def test_hopeless_calls_do_not_keep_the_process_alive(peer: Peer) -> None:
    """Nor does the thread of an abandoned call."""
    code = (
        "import json, sys\n"
        "from webapp.clouds import CLOUDS, base\n"
        "base.CALL_SECONDS = 0.5\n"
        "key, values, locator = json.loads(sys.argv[1])\n"
        "try:\n"
        "    CLOUDS[key].describe(base.CredentialValues(values), base.Locator(*locator))\n"
        "except base.CloudUnreachable:\n"
        "    print('unreachable')\n"
    )
    with peer.serve(faulty.trickling) as url:
        locator = [peer.known.location, peer.known.image_id, peer.known.compute_resource]
        given = json.dumps([peer.cloud.key, dict(peer.credentials(url)), locator])
        done = subprocess.run(
            [sys.executable, "-c", code, given],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            cwd=ROOT,
        )
    assert done.stdout.strip() == "unreachable"


def test_no_secret_in_log_or_repr(
    peer: Peer, address: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even if the SDK logs at debug level."""
    credentials = peer.credentials(address)
    assert peer.secret not in repr(credentials)
    with caplog.at_level(logging.DEBUG):
        peer.cloud.check(credentials)
        peer.cloud.describe(credentials, peer.known)
        refusal(lambda: peer.cloud.describe(credentials, peer.unknown))
        with peer.serve(peer.denying()) as url:
            refusal(lambda: peer.cloud.describe(peer.credentials(url), peer.known))
    assert caplog.records
    assert peer.secret not in caplog.text


def test_bugs_stay_bugs(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception that the cloud did not cause is not translated."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(peer.cloud, "_describe", broken)
    with pytest.raises(ZeroDivisionError):
        peer.cloud.describe(peer.credentials("http://127.0.0.1:1"), peer.known)


def test_no_free_slot_is_reported_as_unreachable(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "CALL_SECONDS", 0.1)
    monkeypatch.setattr(deadline, "_slots", threading.BoundedSemaphore(1))
    deadline._slots.acquire()
    with faulty.refusing() as url:
        error = refusal(lambda: peer.cloud.describe(peer.credentials(url), peer.known))
    assert isinstance(error, CloudUnreachable)


def calls(peer: Peer, url: str) -> list[Callable[[], object]]:
    """Return every method of the adapter that calls the cloud."""
    cloud, credentials = peer.cloud, peer.credentials(url)
    every: list[Callable[[], object]] = [
        lambda: cloud.check(credentials),
        lambda: cloud.describe(credentials, peer.known),
    ]
    if cloud.location_rule is not LocationRule.GLOBAL:
        every.append(lambda: cloud.locations(credentials))
    if cloud.lists_images:
        every.append(lambda: cloud.images(credentials, peer.known.location))
    return every
