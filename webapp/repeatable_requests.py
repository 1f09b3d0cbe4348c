"""Do the work of a request only once, even if the client repeats the request.

A client that got no response does not know whether its request was processed. If the client repeats
the request with the same Idempotency-Key, the client gets the response to the first attempt.

Before a process does the work, the process claims the key. One transaction should save both the
work and the response. Then the database has saved both or neither, even if the process is killed.
If the database has saved neither, the claim expires, and the next attempt does the work.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import models
from models import RepeatableRequest, database_clock, delete_chunk, transaction
from webapp.credentials.vault import RESPONSE, Vault
from webapp.refusals import Refusal

RETENTION = timedelta(hours=24)
"""How long a response is stored after the first attempt."""
CLAIM_SECONDS = 60.0
"""The lifetime of a claim. Requests normally take less time; see `ClaimLost`."""
PURPOSE = b"repeatable requests"
"""The purpose for which the vault derives the keys of the digests."""


class KeyInUse(Refusal):
    """Another attempt with this key is in progress. The client can repeat the request soon."""

    retry_after = 2

    def __init__(self) -> None:
        super().__init__("A request with this Idempotency-Key is in progress. Try again soon.")


class KeyReused(Refusal):
    """The client used the key for another request, or the stored response can't be decrypted."""

    def __init__(self) -> None:
        super().__init__(
            "Another request was sent with this Idempotency-Key, or the registry can’t read the "
            "stored response. Use a new key for each request."
        )


class ClaimLost(Exception):
    """Another attempt has claimed the key meanwhile.

    The caller must roll back the work if the work is not committed yet.
    """


@dataclass(frozen=True)
class Claim:
    """The right to do the work of a request."""

    row_id: int
    token: str
    """A random text that differs for each claim of the row."""
    vault: Vault

    def store(self, response: Mapping[str, Any]) -> None:
        """Store the response. Call this in the transaction of the work if there is one.

        Raises ClaimLost.
        """
        sealed = self.vault.seal(response, RESPONSE)
        if not RepeatableRequest.update(answer=sealed).where(self._is_held).execute():
            raise ClaimLost

    def release(self) -> None:
        """Forget the request, so that the client can send it again immediately.

        If a response is stored, do nothing. In this case, the database has committed the work, but
        the connection broke before the database could report the commit.
        """
        has_no_response = RepeatableRequest.answer.is_null()
        RepeatableRequest.delete().where(self._is_held & has_no_response).execute()

    @property
    def _is_held(self) -> Any:
        is_row = RepeatableRequest.id == self.row_id
        return is_row & (RepeatableRequest.claim == self.token)


def claim(vault: Vault, owner: str, key: str, request: bytes) -> Claim | dict[str, Any]:
    """Claim the key of a request, or return the stored response to an earlier attempt.

    `owner` identifies the client, and `request` is the whole request. Raises KeyInUse and
    KeyReused.
    """
    row = RepeatableRequest(
        owner=owner,
        key_digest=hashlib.sha256(key.encode()).hexdigest(),
        request_digest=_digests(vault, request)[0],
        claim=secrets.token_hex(16),
    )
    with transaction():
        is_key = (RepeatableRequest.owner == owner) & (
            RepeatableRequest.key_digest == row.key_digest
        )
        is_old = RepeatableRequest.created_at < models.now() - RETENTION
        RepeatableRequest.delete().where(is_key & is_old).execute()
        row_id = _insert(row)
        if row_id is not None:
            return Claim(row_id, row.claim, vault)
        return _claim_again(RepeatableRequest.get(is_key), row.claim, vault, request)


def stored_response(vault: Vault, owner: str, key: str, request: bytes) -> dict[str, Any] | None:
    """Return the stored response to a request, or None. This claims no key. Raises KeyReused."""
    row = RepeatableRequest.get_or_none(
        (RepeatableRequest.owner == owner)
        & (RepeatableRequest.key_digest == hashlib.sha256(key.encode()).hexdigest())
    )
    if row is None or row.answer is None:
        return None
    if not any(hmac.compare_digest(row.request_digest, each) for each in _digests(vault, request)):
        raise KeyReused
    return vault.unseal(row.answer, RESPONSE)


def _insert(row: RepeatableRequest) -> int | None:
    """Insert the row and return its ID. Return None if the owner has already used the key."""
    values = {name: value for name, value in row.__data__.items() if name != "id"}
    values["claimed_until"] = database_clock() + CLAIM_SECONDS
    query = RepeatableRequest.insert(values).on_conflict_ignore()
    inserted = list(query.returning(RepeatableRequest.id).execute())
    return inserted[0].id if inserted else None


def _claim_again(
    row: RepeatableRequest, token: str, vault: Vault, request: bytes
) -> Claim | dict[str, Any]:
    """Return the stored response of a row, or claim the row if its claim has expired.

    Raises KeyInUse and KeyReused.
    """
    if not any(hmac.compare_digest(row.request_digest, each) for each in _digests(vault, request)):
        raise KeyReused
    if row.answer is not None:
        response = vault.unseal(row.answer, RESPONSE)
        if response is None:
            raise KeyReused  # CREDENTIALS_KEYS lacks the key that encrypted the response.
        return response
    is_expired = RepeatableRequest.claimed_until <= database_clock()
    values = {"claim": token, "claimed_until": database_clock() + CLAIM_SECONDS}
    is_same = (RepeatableRequest.id == row.id) & (RepeatableRequest.claim == row.claim)
    if not RepeatableRequest.update(values).where(is_same & is_expired).execute():
        raise KeyInUse
    return Claim(row.id, token, vault)


def _digests(vault: Vault, request: bytes) -> list[str]:
    """Return a digest of the request for each key of the vault. The newest key comes first."""
    keys = vault.derive_keys(PURPOSE)
    return [hmac.new(key, request, hashlib.sha256).hexdigest() for key in keys]


def purge_chunk() -> bool:
    """Delete some requests that are older than RETENTION. Return whether more may remain."""
    is_old = RepeatableRequest.created_at < models.now() - RETENTION
    return delete_chunk(RepeatableRequest, is_old)
