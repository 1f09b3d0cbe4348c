"""Seals of the audit log: each later change of entries and seals is found."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.fernet import Fernet
from flask import Flask

from models import (
    AuditEntry,
    AuditSeal,
    Scope,
    database,
    fetch_tuples,
    is_sqlite,
    open_connection,
    transaction,
)
from tests.environ import ENVIRON
from tests.test_cli import run_command
from webapp import audit
from webapp.audit import seals
from webapp.audit.seals import Fault
from webapp.credentials.vault import Vault

SEALED = 9
"""The number of entries of the fixture `sealed`, in three seals."""


def keys(*vault_keys: str) -> list[bytes]:
    return Vault(vault_keys or [ENVIRON["CREDENTIALS_KEYS"]]).derive_keys(seals.PURPOSE)


def record(count: int = 1, changes: audit.Changes | None = None) -> None:
    with transaction():
        for number in range(count):
            audit.record(None, Scope.at(""), "image.edit", f"image {number}", changes=changes or {})


@pytest.fixture
def sealed(db: Flask, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Seal nine entries, three in each seal, and return the IDs of the entries."""
    monkeypatch.setattr(seals, "SEAL_SIZE", 3)
    monkeypatch.setattr(seals, "PAGE_SIZE", 2)
    monkeypatch.setattr(seals, "SEALS_PAGE_SIZE", 2)
    AuditEntry.delete().execute()
    record(SEALED, {"size": (1.5, 8), "tags": (["ä"], None)})
    for _ in range(4):
        assert seals.seal_chunk(keys()) is False
    assert AuditSeal.select().count() == 3
    return [
        row[0] for row in fetch_tuples(AuditEntry.select(AuditEntry.id).order_by(AuditEntry.id))
    ]


def fault() -> Fault | None:
    return seals.verify(keys()).fault


def test_an_unchanged_log_has_no_faults(sealed: list[int]) -> None:
    record(2)
    report = seals.verify(keys())
    assert (report.entries, report.seals, report.unsealed, report.fault) == (SEALED, 3, 2, None)
    assert seals.verify(keys(), report.last_digest).has_known_digest
    assert not seals.verify(keys(), "0" * 64).has_known_digest


COLUMNS: dict[str, Any] = {
    "at": "2020-01-01 00:00:00",
    "account_id": 77,
    "scope_label": "x",
    "person_name": "x",
    "person_email": "x",
    "token_name": "x",
    "action": "image.delete",
    "subject": "x",
    "record": "image:1",
    "revision": 5,
    "job_id": 5,
}


@pytest.mark.parametrize("column", [*COLUMNS, "changes"])
def test_a_change_of_each_column_is_found(sealed: list[int], column: str) -> None:
    value = json.dumps({"size": [1.25, 8]}) if column == "changes" else COLUMNS[column]
    param = database.param
    sql = f"UPDATE audit_entry SET {column} = {param} WHERE id = {param}"
    database.execute_sql(sql, (value, sealed[4]))
    assert fault() == Fault("entry", sealed[4], "changed")


def test_an_entry_without_a_token_has_the_fingerprint_of_older_versions() -> None:
    values = ("2026-01-01 00:00:00", 2, "Scalr", "Ann", "", "image.edit", "x", "image:1", 2, None)
    content: list[Any] = [7, "2026-01-01T00:00:00+00:00", *values[1:], {}]
    expected = json.dumps(content, separators=(",", ":")).encode()
    assert seals._canonical((7, *values, "", "{}")) == expected
    assert seals._canonical((7, *values, "ci", "{}")) != expected


def test_the_deletion_of_a_scope_or_person_changes_no_seal(sealed: list[int]) -> None:
    AuditEntry.update(scope=None, person=None).execute()
    assert fault() is None


def swap_entries(ids: list[int]) -> None:
    one, other = (AuditEntry.get_by_id(ids[index]) for index in (1, 6))
    for source, target in ((one, other.id), (other, one.id)):
        values = {"subject": source.subject, "at": source.at}
        AuditEntry.update(values).where(AuditEntry.id == target).execute()


def add_entry(ids: list[int]) -> None:
    AuditEntry.delete().where(AuditEntry.id == ids[3]).execute()
    AuditSeal.delete().execute()
    for _ in range(3):
        seals.seal_chunk(keys())
    names = dict.fromkeys(("scope_label", "person_name", "action", "subject"), "x")
    AuditEntry.insert(id=ids[3], changes={}, **names).execute()


@pytest.mark.parametrize(
    ("tamper", "index", "kind"),
    [
        (lambda ids: AuditEntry.delete().where(AuditEntry.id == ids[0]).execute(), 0, "removed"),
        (lambda ids: AuditEntry.delete().where(AuditEntry.id == ids[5]).execute(), 5, "removed"),
        (lambda ids: AuditEntry.delete().where(AuditEntry.id >= ids[8]).execute(), 8, "removed"),
        (lambda _ids: AuditEntry.delete().execute(), 0, "removed"),
        (add_entry, 3, "added"),
        (swap_entries, 1, "changed"),
    ],
)
def test_removed_added_and_swapped_entries_are_found(
    sealed: list[int], tamper: Callable[[list[int]], object], index: int, kind: str
) -> None:
    tamper(sealed)
    assert fault() == Fault("entry", sealed[index], kind)


def test_a_removed_end_is_noticed_by_a_digest_that_was_noted(sealed: list[int]) -> None:
    digest = seals.verify(keys()).last_digest
    AuditSeal.delete().where(AuditSeal.number == 3).execute()
    AuditEntry.delete().where(AuditEntry.id >= sealed[6]).execute()
    report = seals.verify(keys(), digest)
    assert (report.entries, report.fault, report.has_known_digest) == (6, None, False)


def update_seal(seal: int, /, **values: object) -> None:
    AuditSeal.update(values).where(AuditSeal.number == seal).execute()


def swap_seals() -> None:
    for source, target in ((1, -1), (2, 1), (-1, 2)):
        update_seal(source, number=target)


def forge_seal() -> None:
    """Change the entries and seal them again, as somebody would who does not know the key."""
    AuditEntry.update(subject="forged").where(AuditEntry.id > 0).execute()
    AuditSeal.delete().execute()
    seals.seal_chunk(keys(Fernet.generate_key().decode()))
    update_seal(1, key_id=seals._key_id(keys()[0]))


@pytest.mark.parametrize(
    ("tamper", "number", "kind"),
    [
        (lambda: update_seal(2, fingerprints="AAAA"), 2, "changed"),
        (lambda: update_seal(2, digest="0" * 64), 2, "changed"),
        (lambda: update_seal(3, mac="ü" * 64), 3, "changed"),
        (lambda: update_seal(3, entry_count=4), 3, "changed"),
        (lambda: update_seal(2, key_id="0" * 16), 2, "no key"),
        (lambda: AuditSeal.delete().where(AuditSeal.number == 1).execute(), 1, "removed"),
        (lambda: AuditSeal.delete().where(AuditSeal.number == 2).execute(), 2, "removed"),
        (lambda: update_seal(3, number=0), 0, "added"),
        (swap_seals, 1, "changed"),
        (forge_seal, 1, "changed"),
    ],
)
def test_changed_removed_and_swapped_seals_are_found(
    sealed: list[int], tamper: Callable[[], object], number: int, kind: str
) -> None:
    tamper()
    assert fault() == Fault("seal", number, kind)


def test_values_have_the_same_fingerprint_in_each_spelling(db: Flask) -> None:
    row: tuple[Any, ...] = (1, "2026-01-01 00:00:00", *[None] * 9)
    spellings = (
        '{"b": [1e16, 1.0, -0.0, 0.1], "a": "\\u00e4"}',
        '{"a": "ä", "b": [10000000000000000, 1, 0, 0.10]}',
    )
    one, other = (seals._canonical((*row, text)) for text in spellings)
    assert one == other
    hostile = ("[1e999999999]", "[", "[" + "9" * 5000 + "]")
    assert len({seals._canonical((*row, text)) for text in (*hostile, *spellings)}) == 4


def test_the_fingerprint_of_an_entry_is_the_same_on_both_databases(db: Flask) -> None:
    """The expected digest is a constant, so the test compares SQLite with PostgreSQL."""
    changes = {"z": (1e16, 1.5), "a": ({"k": [True, None, "ü\u2028\\"], "b": 2.0}, -0.0)}
    record(changes=changes)
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    AuditEntry.update(id=1_000_000, at=at).where(AuditEntry.subject == "image 0").execute()
    ((_, digest),) = seals._fingerprints(999_999)
    assert digest.hex() == "fd5c9053cd32903cd9bf1115ae4646f9"


def test_an_entry_that_commits_late_is_sealed_with_its_successors(
    db: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_sqlite():
        pytest.skip("SQLite has one writer at a time.")
    monkeypatch.setattr(seals, "WRITER_PAUSES", (0.0,))
    AuditEntry.delete().execute()
    has_written, may_commit = threading.Event(), threading.Event()

    def write_slowly() -> None:
        with open_connection(), transaction():
            audit.record(None, None, "image.edit", "late")
            has_written.set()
            may_commit.wait(30)

    writer = threading.Thread(target=write_slowly)
    writer.start()
    has_written.wait(30)
    record()
    seals.seal_chunk(keys())
    assert AuditSeal.select().count() == 0
    may_commit.set()
    writer.join()
    seals.seal_chunk(keys())
    report = seals.verify(keys())
    assert (report.entries, report.fault) == (2, None)


def test_a_new_key_signs_the_seals_again_with_the_same_digests(sealed: list[int]) -> None:
    old, new = ENVIRON["CREDENTIALS_KEYS"], Fernet.generate_key().decode()
    before = seals.verify(keys()).last_digest
    assert seals.verify(keys(new)).fault == Fault("seal", 1, "no key")
    update_seal(2, mac="0" * 64)
    assert seals.sign_again(keys(new, old)) == (2, 1)
    assert seals.verify(keys(new, old)).fault == Fault("seal", 2, "changed")
    update_seal(2, mac=seals._mac(keys()[0], AuditSeal.get_by_id(2).digest))
    assert seals.sign_again(keys(new, old)) == (3, 0)
    report = seals.verify(keys(new))
    assert (report.fault, report.last_digest) == (None, before)


def test_the_digest_of_each_seal_is_logged(db: Flask, caplog: pytest.LogCaptureFixture) -> None:
    record()
    with caplog.at_level(logging.INFO, "webapp.audit.seals"):
        seals.seal_chunk(keys())
    assert AuditSeal.get().digest in caplog.text


def test_the_command_names_the_first_fault(sealed: list[int], db: Flask) -> None:
    digest = seals.verify(keys()).last_digest
    code, output = run_command(db, "verify-audit", "--digest", digest.upper())
    assert code == 0
    assert "Checked 9 sealed entries and 3 seals." in output
    assert f"Last checked seal: 3, digest {digest}" in output
    code, output = run_command(db, "verify-audit", "--digest", "0" * 64)
    assert (code, "No seal has the digest" in output) == (1, True)
    AuditEntry.delete().where(AuditEntry.id == sealed[4]).execute()
    code, output = run_command(db, "verify-audit")
    assert (code, f"The entry {sealed[4]} was removed." in output) == (1, True)
