"""The table of the states that are stored after each error of each cloud, for each kind of request.

`pytest tests/test_answers_of_clouds.py -v` prints the table: one test for each line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from models import AuditEntry, CloudCredentials, Image, JobRow, Scope
from tests.clouds.peer import Peer
from tests.clouds.peers import PEERS
from tests.conftest import NOWHERE, choices, details, reload
from tests.jobs.threads import wait_for_job
from tests.transfer.conftest import make_plan
from webapp.access import Actor
from webapp.clouds import base
from webapp.clouds.details import OWNER, Fact, ImageState
from webapp.clouds.errors import (
    CallsInProgress,
    CloudError,
    CloudThrottled,
    CloudUnreachable,
    ImageNotFound,
    ImageNotVisible,
    InvalidCredentials,
)
from webapp.credentials.vault import Vault
from webapp.images import checking, image_details, registration
from webapp.jobs import backoff, runner, store
from webapp.jobs.actions import RETRIED_CLOUD_ERRORS
from webapp.jobs.bulk_actions import ACTIONS
from webapp.transfer import import_formats, import_job
from webapp.transfer.import_plan import ImportOptions

ERRORS = CloudError.__subclasses__()
MESSAGE = "The cloud’s own words."
NEXT, IMPORT, CHECK, BULK_CHECK = "NEXT", "import look-up", "Check now", "bulk check"
CHECK_JOB = ACTIONS["check"].job_action.key
READ, NEVER_READ = ImageState.AVAILABLE, ImageState.UNKNOWN


def stored_state(error: type[CloudError], before: ImageState) -> ImageState:
    """Return the state of a registered image after a check that raised `error`."""
    return ImageState.GONE if error is ImageNotFound else before


def _lines() -> Iterator[Any]:
    for peer in PEERS:
        for error in ERRORS:
            for way in (NEXT, IMPORT):
                name = f"{peer.cloud.key}: {error.__name__}: {way}: nothing is stored"
                yield pytest.param(peer, error, way, None, id=name)
            for way in (CHECK, BULK_CHECK):
                for before in (READ, NEVER_READ):
                    after = stored_state(error, before)
                    change = f"{before.token} → {after.token}"
                    name = f"{peer.cloud.key}: {error.__name__}: {way}: {change}"
                    yield pytest.param(peer, error, way, before, id=name)


class Registry:
    """The scope acme with an editor, and credentials of one cloud."""

    def __init__(self, actor: Actor, scope: Scope, vault: Vault) -> None:
        self.actor, self.scope, self.vault = actor, scope, vault

    def use(self, peer: Peer) -> None:
        self.peer, self.cloud_key = peer, peer.cloud.key
        self.row = CloudCredentials(scope=self.scope, cloud=self.cloud_key, name="Ours")
        self.vault.store(self.row, peer.cloud.credential_fields, peer.credentials(NOWHERE))
        self.row.save(force_insert=True)

    def register(self, state: ImageState) -> Image:
        image = registration.register_unverified(
            self.actor,
            self.scope,
            self.cloud_key,
            self.peer.known,
            choices(),
            details=details(),
            credentials_id=self.row.id,
        )
        image_details.apply_details(image, details(state=state))
        image.save()
        return image

    def look_up(self) -> str:
        """Return the message of NEXT."""
        with pytest.raises(CloudError) as caught:
            registration.look_up(
                self.actor,
                self.scope,
                self.vault,
                self.cloud_key,
                credentials_id=self.row.id,
                location=self.peer.known.location,
                image_id=self.peer.known.image_id,
            )
        return str(caught.value)

    def check(self, image: Image) -> str:
        """Return the message of Check now."""
        try:
            checking.check_again(self.actor, image, self.vault)
        except CloudError as error:
            return str(error)
        return str(reload(image).details["state_note"])

    def check_in_bulk(self, image: Image) -> str:
        """Return the message in the row of the job."""
        rows = [JobRow(image_id=image.id, subject=image.name)]
        job = store.create_job(self.actor, self.scope, CHECK_JOB, {}, rows)
        runner.start_job(job, self.vault)
        assert wait_for_job(job).state == "done"
        return str(JobRow.get(JobRow.job == job).message)

    def import_with_look_up(self) -> str:
        """Return the message in the row of the job."""
        line = {
            "cloud": self.cloud_key,
            "location": self.peer.known.location,
            "cloud_image_id": self.peer.known.image_id,
            "name": "imported",
            "os_family": "ubuntu",
            "os_version": "24.04",
        }
        file = import_formats.parse_file(json.dumps([line]).encode())
        options = ImportOptions(look_up=True, credentials={self.cloud_key: self.row.id})
        job = make_plan(self.actor, self.scope, self.vault, file, options)
        row = JobRow.get(JobRow.job == job)
        outcome = import_job.import_line(self.actor, job.scope, job.arguments, row, self.vault)
        assert outcome.kind == "refused"
        return outcome.message


@pytest.fixture
def registry(editor: Actor, acme: Scope, vault: Vault) -> Registry:
    return Registry(editor, acme, vault)


@pytest.mark.parametrize(("peer", "error", "way", "before"), list(_lines()))
def test_only_a_definite_answer_changes_a_state(
    registry: Registry,
    monkeypatch: pytest.MonkeyPatch,
    peer: Peer,
    error: type[CloudError],
    way: str,
    before: ImageState | None,
) -> None:
    registry.use(peer)
    image = None if before is None else registry.register(before)
    calls = answer_with(monkeypatch, peer, error)
    entries = AuditEntry.select().count()
    if image is None or before is None:
        message = registry.look_up() if way == NEXT else registry.import_with_look_up()
        assert MESSAGE in message
        assert Image.select().count() == 0
        return
    check = registry.check if way == CHECK else registry.check_in_bulk
    assert check(image).startswith(MESSAGE)
    attempts = {
        CallsInProgress: backoff.BUDGET_WAITS + 1,
        CloudThrottled: backoff.THROTTLED_ATTEMPTS,
        CloudUnreachable: backoff.UNREACHABLE_ATTEMPTS,
    }
    is_retried = way == BULK_CHECK and error in RETRIED_CLOUD_ERRORS
    assert len(calls) == (attempts[error] if is_retried else 1)
    after, found = reload(image), stored_state(error, before)
    assert (after.state, after.details["state"]) == (found, found)
    assert after.verified == (found is not NEVER_READ)
    is_definite = error is ImageNotFound
    has_failed = not is_definite and error is not CallsInProgress  # Nothing was sent.
    assert after.check_error == (MESSAGE if has_failed else "")
    assert (after.check_failed_at is not None) == has_failed
    assert AuditEntry.select().count() - entries == is_definite


def answer_with(
    monkeypatch: pytest.MonkeyPatch, peer: Peer, error: type[CloudError]
) -> list[object]:
    """Make every call of the cloud raise `error`. Return a list that collects the calls.

    The public methods of the adapter run as they are, since some of them make other calls than
    their names say.
    """
    calls: list[object] = []

    def call_within(_seconds: float, call: object, *_: object) -> None:
        calls.append(call)
        raise error(MESSAGE, "field") if error is InvalidCredentials else error(MESSAGE)

    monkeypatch.setattr(base, "call_within", call_within)
    monkeypatch.setattr(peer.cloud, "warm_up", lambda: None)
    return calls


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.cloud.key)
@pytest.mark.parametrize(
    ("owner", "account", "is_gone"),
    [
        ("123456789012", "123456789012", True),
        ("123456789012 (alias)", "123456789012", True),
        ("123456789012", "210987654321", False),
        ("123456789012", "", False),
        ("", "123456789012", False),
        ("", "", False),
    ],
)
def test_a_hidden_image_is_gone_only_if_it_belongs_to_the_account_of_the_credentials(
    registry: Registry,
    monkeypatch: pytest.MonkeyPatch,
    peer: Peer,
    owner: str,
    account: str,
    is_gone: bool,
) -> None:
    registry.use(peer)
    image = registry.register(READ)
    facts = (Fact(OWNER, "Owner", owner),) if owner else ()
    image_details.apply_details(image, details(state=READ, facts=facts))
    image.save()

    def describe(*_: object) -> None:
        raise ImageNotVisible(MESSAGE, account)

    monkeypatch.setattr(peer.cloud, "_describe", describe)
    monkeypatch.setattr(peer.cloud, "warm_up", lambda: None)
    for check in (registry.check, registry.check_in_bulk):
        message = check(image)
        after = reload(image)
        assert after.state == (ImageState.GONE if is_gone else READ)
        assert after.check_error == ("" if is_gone else MESSAGE)
        assert ("no longer has this image" in message) == is_gone
