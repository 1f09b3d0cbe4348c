"""Seal the audit log. Find entries that were changed, removed or inserted in the sealed part.

A seal covers the entries since the previous seal. It contains a fingerprint of each entry. The
digest of a seal is computed from these fingerprints and from the digest of the previous seal, so it
depends on all earlier entries too. `mac` is the signature of the digest, with a key that is not in
the database. So somebody who can change the database, but does not know the key, cannot replace a
seal.

If somebody deletes the newest entries together with their seals, the seals of the remaining entries
are still correct. To make such a deletion visible, the digest of each new seal is also written to
the log of the application. `verify` can check that one of the seals has a digest that was noted
outside the database.

The digest does not depend on the key. After a change of the key, only the signatures are computed
again (`sign_again`).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import struct
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from models import AuditEntry, AuditSeal, database, fetch_tuples, is_sqlite
from schema.columns import as_instant

PURPOSE = b"seals of the audit log"
"""The purpose of the keys of seals, for `Vault.derive_keys`."""
SEAL_SIZE = 5_000
"""The maximum number of entries of a seal."""
PAGE_SIZE = 1_000
"""The maximum number of entries that one statement reads."""
SEALS_PAGE_SIZE = 20
"""The maximum number of seals that one statement reads."""
WRITER_PAUSES = (0.1, 0.2, 0.4, 0.8)
"""The seconds between two checks whether open transactions have ended."""

SMALLEST_ID = -(2**31)
"""No entry and no seal has a smaller ID."""

_FINGERPRINT = struct.Struct(">q16s")
"""The ID of an entry, and the first 16 bytes of the SHA-256 digest of its columns."""
_SEALED_COLUMNS = (
    "id",
    "at",
    "account_id",
    "scope_label",
    "person_name",
    "person_email",
    "action",
    "subject",
    "record",
    "revision",
    "job_id",
    "token_name",
)
"""The columns that a fingerprint covers, in addition to `changes`.

Their values never change after an entry is sealed. `scope_id` and `person_id` are not covered: they
become NULL when the scope or the person is deleted.
"""
_ENTRIES = """
SELECT {columns}, {changes} FROM audit_entry WHERE id > {param} ORDER BY id LIMIT {param}
"""
_WRITERS = """
SELECT 1 FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE relation = 'audit_entry'::regclass AND mode = 'RowExclusiveLock'
  AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (xact_start IS NULL OR xact_start <= %s)
LIMIT 1
"""

log = logging.getLogger(__name__)

Fingerprint = tuple[int, bytes]
"""The ID of an entry, and a digest of its columns."""


class Seal(NamedTuple):
    """The columns of a seal, as the database returns them.

    Somebody who can change the database may have stored any value, even one of another type.
    """

    number: int
    first_id: int
    last_id: int
    entry_count: int
    fingerprints: str
    digest: str
    key_id: str
    mac: str


NO_SEAL = Seal(0, SMALLEST_ID, SMALLEST_ID, 0, "", "", "", "")
"""A placeholder for the seal before the first seal."""


@dataclass(frozen=True)
class Fault:
    """The first difference between the entries and their seals.

    `subject` is 'entry' or 'seal'. `number` is the ID of the entry, or the number of the seal.
    `kind` is 'changed', 'removed' or 'added', or 'no key' if a seal cannot be checked because its
    key is not configured.
    """

    subject: str
    number: int
    kind: str


@dataclass
class Report:
    """The result of a verification.

    `entries` and `seals` are the numbers of sealed entries and of seals that were checked before
    the first fault. `last_number` and `last_digest` belong to the last of these seals.
    `has_known_digest` says whether one of these seals has the digest that was passed to `verify`.
    `unsealed` is the number of entries that are newer than the last seal. If a fault was found, it
    is 0.
    """

    entries: int = 0
    seals: int = 0
    unsealed: int = 0
    last_number: int = 0
    last_digest: str = ""
    has_known_digest: bool = False
    fault: Fault | None = None


def seal_chunk(keys: Sequence[bytes]) -> bool:
    """Seal the oldest SEAL_SIZE entries that have no seal yet, with the first key.

    Always return False, as if no entries remained, so that `webapp.jobs.ticker` makes only one seal
    each time that this work is due. If an open transaction may still add an entry between these
    entries, and does not end soon, seal nothing this time.
    """
    newest = _newest_final_id()
    if newest is None:
        return False
    previous = _last_seal()
    entries = [each for each in _fingerprints(previous.last_id, SEAL_SIZE) if each[0] <= newest]
    if not entries:
        return False
    seal = _seal_of(entries, previous, keys[0])
    # If another process made the same seal meanwhile, its seal stays.
    insert = AuditSeal.insert(**seal._asdict()).on_conflict_ignore()
    if list(insert.returning(AuditSeal.number).execute()):
        log.info(
            "sealed the audit log: seal %s, entries %s to %s, digest %s",
            seal.number,
            seal.first_id,
            seal.last_id,
            seal.digest,
        )
    return False


def verify(keys: Sequence[bytes], known_digest: str = "") -> Report:
    """Compare all sealed entries with their seals, up to the first fault.

    `known_digest` is a digest that was noted outside the database. The report says whether a seal
    has this digest. Memory use does not grow with the log.
    """
    report = Report()
    by_id = {_key_id(key): key for key in keys}
    entries = _fingerprints(SMALLEST_ID)
    previous = NO_SEAL
    for seal in _seals():
        report.fault = _fault_of_seal(seal, previous, by_id) or _fault_of_entries(seal, entries)
        if report.fault:
            return report
        report.entries += seal.entry_count
        report.seals += 1
        report.last_number, report.last_digest = seal.number, seal.digest
        report.has_known_digest |= seal.digest == known_digest
        previous = seal
    report.unsealed = AuditEntry.select().where(AuditEntry.id > previous.last_id).count()
    return report


def sign_again(keys: Sequence[bytes]) -> tuple[int, int]:
    """Replace the signatures of other keys with signatures of the first key.

    Return the number of seals that now have a signature of the first key, and the number of seals
    whose signature is wrong or whose key is unknown. A wrong signature is not replaced, so that
    `verify` finds it.
    """
    by_id = {_key_id(key): key for key in keys}
    signed = failed = 0
    for seal in _seals():
        key = by_id.get(seal.key_id)
        if key is None or not _is_signed(seal, key):
            failed += 1
            continue
        signed += 1
        if key != keys[0]:
            signature = {"key_id": _key_id(keys[0]), "mac": _mac(keys[0], seal.digest)}
            AuditSeal.update(signature).where(AuditSeal.number == seal.number).execute()
    return signed, failed


def _newest_final_id() -> int | None:
    """Return the largest ID in the log, as soon as no entry with a smaller ID can be added.

    On PostgreSQL, a transaction can commit an entry after another transaction has committed an
    entry with a larger ID. A transaction locks the table before its entry gets an ID. So wait until
    each transaction that may add an entry with a smaller ID has released its lock. Return None if
    this takes too long.
    """
    if is_sqlite():
        (newest,) = database.execute_sql("SELECT max(id) FROM audit_entry").fetchone()
        return int(newest or 0)
    sql = "SELECT max(id), clock_timestamp() FROM audit_entry"
    newest, read_at = database.execute_sql(sql).fetchone()
    for pause in (*WRITER_PAUSES, None):
        if database.execute_sql(_WRITERS, (read_at,)).fetchone() is None:
            return int(newest or 0)
        if pause is not None:
            time.sleep(pause)
    return None


def _last_seal() -> Seal:
    """Return the newest seal, or NO_SEAL."""
    query = AuditSeal.select().order_by(AuditSeal.number.desc()).limit(1)
    rows = fetch_tuples(query)
    return Seal(*rows[0]) if rows else NO_SEAL


def _seals() -> Iterator[Seal]:
    """Yield all seals in order. They are read page by page."""
    number = SMALLEST_ID
    while True:
        query = AuditSeal.select().where(AuditSeal.number > number).order_by(AuditSeal.number)
        page = [Seal(*row) for row in fetch_tuples(query.limit(SEALS_PAGE_SIZE))]
        if not page:
            return
        yield from page
        number = page[-1].number


def _seal_of(entries: Sequence[Fingerprint], previous: Seal, key: bytes) -> Seal:
    fingerprints = b"".join(_FINGERPRINT.pack(*entry) for entry in entries)
    seal = Seal(
        number=previous.number + 1,
        first_id=entries[0][0],
        last_id=entries[-1][0],
        entry_count=len(entries),
        fingerprints=b64encode(fingerprints).decode(),
        digest="",
        key_id=_key_id(key),
        mac="",
    )
    digest = _digest_of(seal, previous)
    return seal._replace(digest=digest, mac=_mac(key, digest))


def _digest_of(seal: Seal, previous: Seal) -> str:
    content = [
        previous.digest,
        seal.number,
        seal.first_id,
        seal.last_id,
        seal.entry_count,
        seal.fingerprints,
    ]
    return hashlib.sha256(json.dumps(content, default=str).encode()).hexdigest()


def _mac(key: bytes, digest: str) -> str:
    return hmac.new(key, digest.encode(), hashlib.sha256).hexdigest()


def _is_signed(seal: Seal, key: bytes) -> bool:
    """Return whether this key has signed the seal."""
    expected = _mac(key, str(seal.digest))
    return hmac.compare_digest(str(seal.mac).encode(), expected.encode())


def _key_id(key: bytes) -> str:
    return hashlib.sha256(b"key ID" + key).hexdigest()[:16]


def _fault_of_seal(seal: Seal, previous: Seal, keys: Mapping[str, bytes]) -> Fault | None:
    """Return a fault if the seal is out of order, was changed, or has an unknown key."""
    expected = previous.number + 1
    if seal.number != expected:
        kind = "removed" if seal.number > expected else "added"
        return Fault("seal", min(seal.number, expected), kind)
    if seal.digest != _digest_of(seal, previous):
        return Fault("seal", seal.number, "changed")
    if seal.key_id not in keys:
        return Fault("seal", seal.number, "no key")
    return None if _is_signed(seal, keys[seal.key_id]) else Fault("seal", seal.number, "changed")


def _fault_of_entries(seal: Seal, entries: Iterator[Fingerprint]) -> Fault | None:
    """Return the first difference between the seal and the next entries, or None."""
    for sealed_id, sealed_digest in _FINGERPRINT.iter_unpack(b64decode(seal.fingerprints)):
        entry_id, digest = next(entries, (None, b""))
        if entry_id is None or entry_id > sealed_id:
            return Fault("entry", sealed_id, "removed")
        if entry_id < sealed_id:
            return Fault("entry", entry_id, "added")
        if digest != sealed_digest:
            return Fault("entry", sealed_id, "changed")
    return None


def _fingerprints(after: int, size: int | None = None) -> Iterator[Fingerprint]:
    """Yield the fingerprints of at most `size` entries with larger IDs than `after`, in order.

    The entries are read page by page.
    """
    sql = _ENTRIES.format(
        columns=", ".join(_SEALED_COLUMNS),
        changes="changes" if is_sqlite() else "changes::text",
        param=database.param,
    )
    while size is None or size > 0:
        limit = PAGE_SIZE if size is None else min(PAGE_SIZE, size)
        rows = database.execute_sql(sql, (after, limit)).fetchall()
        for row in rows:
            yield row[0], hashlib.sha256(_canonical(row)).digest()[:16]
        if len(rows) < limit:
            return
        after = rows[-1][0]
        size = None if size is None else size - len(rows)


def _canonical(row: Sequence[Any]) -> bytes:
    """Return the columns of an entry as JSON that is equal on SQLite and PostgreSQL.

    PostgreSQL does not store the order of keys, so the keys are sorted. PostgreSQL writes 1e16 as
    10000000000000000, so a number without a fraction becomes an integer. Values that the
    application never writes stay as the database returns them. An empty `token_name` is left out,
    because older versions computed the fingerprints without this column.
    """
    entry_id, at, *others, token_name, changes = row
    others += [token_name] if token_name else []
    try:
        at = as_instant(at).isoformat()
        changes = json.loads(changes, parse_float=_parse_float)
    except (ValueError, TypeError):
        at = str(at)
    content = [entry_id, at, *others, changes]
    return json.dumps(content, sort_keys=True, separators=(",", ":"), default=str).encode()


def _parse_float(text: str) -> int | float:
    """Parse a number that has a point or an exponent. Return an integer if it has no fraction."""
    number = float(text)
    return int(Decimal(text)) if number.is_integer() else number
