"""Backing up and restoring the database: every row, on both databases, whatever goes wrong."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from flask import Flask
from playhouse.migrations import Runner

import models
from models import TABLES, AuditEntry, CloudCredentials, Image, Scope, is_sqlite, transaction
from tests.conftest import ActorOf, MakeImage, ScopeAt
from tests.database.commands import run_flask
from tests.environ import ENVIRON
from tests.served import ROOT
from webapp import database
from webapp.audit import seals
from webapp.backup import BackupError, back_up, files, restore
from webapp.credentials.vault import Vault
from webapp.images import deletion
from webapp.search import catalogue
from webapp.search.catalogue import Listing
from webapp.search.parser import parse
from webapp.settings import sqlite_url

Rows = dict[str, list[Any]]


@pytest.fixture(autouse=True)
def without_pgbouncer(behind_pgbouncer: bool) -> None:
    if behind_pgbouncer:
        pytest.skip("Backups go past PgBouncer.")


@pytest.fixture
def url(db: Flask) -> str:
    """Return the URL of the test's database."""
    obj = models.database.obj
    if is_sqlite():
        return f"sqlite:///{obj.database}"
    parts = obj.connect_params
    server = f"{parts['user']}:{parts['password']}@{parts['host']}:{parts['port']}"
    return f"postgresql://{server}/{obj.database}"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "registry.backup"


def all_rows() -> Rows:
    """Return every row of every table, the indexes, the triggers, and the columns' definitions."""
    rows: Rows = {}
    with models.database.connection_context() if models.database.is_closed() else transaction():
        for table in (*TABLES, "schema_migration"):
            name = table if isinstance(table, str) else table._meta.table_name
            found = models.database.execute_sql(f"SELECT * FROM {name}").fetchall()
            rows[name] = sorted(map(repr, found))
        objects = (
            "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_stat%'"
            if is_sqlite()
            else "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' UNION "
            "SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal UNION "
            # The definition of a check is the same after a restore, but written in another way.
            "SELECT conname, contype::text FROM pg_constraint "
            "WHERE connamespace = 'public'::regnamespace"
        )
        rows["objects"] = sorted(map(repr, models.database.execute_sql(objects).fetchall()))
    return rows


def close() -> None:
    """Close all connections, as if the application was stopped."""
    database.close_all(models.database.obj)


def backed_up(url: str, file: Path) -> Rows:
    """Make a backup and return the rows that it should contain."""
    rows = all_rows()
    back_up(models.database.obj, url, file)
    return rows


def fill(make_image: MakeImage, actor_of: ActorOf) -> None:
    for number in range(1, 6):
        image = make_image("acme", number, name=f"golden 映像 {number}")
        image.description = "“Quoted”\n\tline \\N"
        image.save()
    deletion.delete(actor_of("scalr-admin"), Image.get(Image.name == "golden 映像 5"))


def test_a_restored_backup_has_every_row(
    url: str, file: Path, make_image: MakeImage, actor_of: ActorOf, scope: ScopeAt
) -> None:
    fill(make_image, actor_of)
    before = backed_up(url, file)
    make_image("acme", 9, name="registered after the backup")
    Scope.update(name="Renamed").where(Scope.path == "acme").execute()
    assert all_rows() != before
    close()
    outcome = restore(models.database.obj, url, file, force=True)
    assert (outcome.images, outcome.credentials, outcome.migrations) == (4, 1, [])
    assert all_rows() == before
    models.database.connect(reuse_if_open=True)
    # The triggers and the full-text index work.
    make_image("acme", 7, name="registered after the restore")
    for text, number in (("映像", 4), ("after the restore", 1), ("after the backup", 0)):
        listing = Listing(parse(text))
        page = catalogue.find_page(actor_of("scalr-admin"), scope("acme"), listing)
        assert (page.count.number, len(page.images)) == (number, number)


def test_a_restored_audit_log_agrees_with_its_seals(
    url: str, file: Path, make_image: MakeImage, actor_of: ActorOf, vault: Vault
) -> None:
    keys = vault.derive_keys(seals.PURPOSE)
    fill(make_image, actor_of)
    seals.seal_chunk(keys)
    before = seals.verify(keys)
    backed_up(url, file)
    make_image("acme", 9, name="registered after the backup")
    seals.seal_chunk(keys)
    close()
    restore(models.database.obj, url, file, force=True)
    models.database.connect(reuse_if_open=True)
    report = seals.verify(keys, before.last_digest)
    assert (report.fault, report.seals, report.entries) == (None, 1, before.entries)
    assert report.has_known_digest
    AuditEntry.update(subject="forged").where(AuditEntry.action == "image.delete").execute()
    fault = seals.verify(keys).fault
    assert fault is not None
    assert fault.kind == "changed"


def test_a_backup_is_private_whatever_the_umask(url: str, file: Path) -> None:
    before = os.umask(0)
    try:
        back_up(models.database.obj, url, file)
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [each.name for each in file.parent.iterdir()] == [file.name]


def test_a_backup_during_writes_is_consistent(
    url: str, file: Path, make_image: MakeImage, actor_of: ActorOf
) -> None:
    """Each transaction of the writer changes two rows, which must be equal in the backup."""
    fill(make_image, actor_of)
    begun, ended = threading.Event(), threading.Event()

    def write() -> None:
        for number in count():
            if ended.is_set():
                return
            with models.database.connection_context(), transaction():
                for path in ("acme", "acme/production"):
                    Scope.update(name=f"name {number}").where(Scope.path == path).execute()
            begun.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert begun.wait(30)
        back_up(models.database.obj, url, file)
    finally:
        ended.set()
        writer.join()
    assert Scope.get(path="acme").name.startswith("name ")
    close()
    restore(models.database.obj, url, file, force=True)
    with models.database.connection_context():
        names = {Scope.get(path=path).name for path in ("acme", "acme/production")}
    assert len(names) == 1
    assert names.pop().startswith("name ")


def test_an_older_backup_is_migrated(url: str, file: Path, make_image: MakeImage) -> None:
    make_image("acme")
    before = all_rows()
    runner = Runner(models.database.obj, str(database.MIGRATIONS))
    runner.down("0016_due_at")
    assert database.pending_migrations(models.database.obj)
    back_up(models.database.obj, url, file)  # A backup needs no current schema.
    runner.up()
    close()
    outcome = restore(models.database.obj, url, file, force=True)
    assert outcome.migrations[0] == "0016_due_at"
    after = all_rows()
    assert after["image"] == before["image"]
    assert {name: len(after[name]) for name in after} == {
        name: len(before[name]) for name in before
    }


def test_a_backup_of_a_newer_version_is_refused(url: str, file: Path) -> None:
    history = "INSERT INTO schema_migration (name, applied) VALUES ('0999_later', '2026-01-01')"
    models.database.execute_sql(history)
    back_up(models.database.obj, url, file)
    models.database.execute_sql("DELETE FROM schema_migration WHERE name = '0999_later'")
    before = all_rows()
    close()
    with pytest.raises(BackupError, match=r"newer version.*0999_later"):
        restore(models.database.obj, url, file, force=True)
    assert all_rows() == before


def test_a_database_with_records_is_not_overwritten(
    url: str, file: Path, make_image: MakeImage
) -> None:
    make_image("acme")
    before = backed_up(url, file)
    close()
    with pytest.raises(BackupError, match=r"not empty.*--force"):
        restore(models.database.obj, url, file)
    assert all_rows() == before


@pytest.mark.parametrize("damage", ["cut", "zeros", "text", "empty"])
def test_a_damaged_backup_is_refused(
    url: str, file: Path, damage: str, make_image: MakeImage
) -> None:
    make_image("acme")
    before = backed_up(url, file)
    content = file.read_bytes()
    middle = len(content) // 2
    file.write_bytes(
        {
            "cut": content[:middle],
            "zeros": content[:middle] + bytes(len(content) - middle),
            "text": b"SELECT 1;",
            "empty": b"",
        }[damage]
    )
    close()
    with pytest.raises(BackupError):
        restore(models.database.obj, url, file, force=True)
    assert all_rows() == before


@pytest.mark.parametrize(
    ("statement", "missing"),
    [
        ("DROP TABLE membership", "the table membership"),
        ("ALTER TABLE person RENAME COLUMN email TO mail", "the column person.email"),
        ("DELETE FROM scope", "the Scalr scope"),
    ],
)
def test_a_backup_with_a_missing_part_is_refused(
    url: str, file: Path, statement: str, missing: str, make_image: MakeImage
) -> None:
    make_image("acme")
    before = backed_up(url, file)
    damage(url, file, statement)
    close()
    with pytest.raises(BackupError, match=f"is not a complete backup: {missing} is missing"):
        restore(models.database.obj, url, file, force=True)
    assert all_rows() == before
    assert {each.name for each in file.parent.iterdir()} == {file.name}


def test_an_older_backup_with_a_missing_part_is_refused(url: str, file: Path) -> None:
    runner = Runner(models.database.obj, str(database.MIGRATIONS))
    runner.down("0030_notes")
    back_up(models.database.obj, url, file)
    damage(url, file, "ALTER TABLE person RENAME COLUMN email TO mail")
    runner.up()
    before = all_rows()
    close()
    with pytest.raises(BackupError, match=r"the column person\.email is missing"):
        restore(models.database.obj, url, file, force=True)
    assert all_rows() == before


def damage(url: str, file: Path, statement: str) -> None:
    """Execute a statement in a backup. A backup of PostgreSQL is made again for this."""
    if is_sqlite():
        with closing(sqlite3.connect(file)) as backup, backup:
            backup.execute(statement)
        return
    complete = file.read_bytes()
    models.database.execute_sql(statement.replace("DELETE FROM scope", "TRUNCATE scope CASCADE"))
    back_up(models.database.obj, url, file, force=True)
    damaged = file.read_bytes()
    file.write_bytes(complete)
    close()
    restore(models.database.obj, url, file, force=True)
    file.write_bytes(damaged)


def test_only_backups_are_replaced(url: str, file: Path) -> None:
    back_up(models.database.obj, url, file)
    with pytest.raises(BackupError, match=r"exists.*--force"):
        back_up(models.database.obj, url, file)
    back_up(models.database.obj, url, file, force=True)
    file.write_text("my thesis")
    with pytest.raises(BackupError, match="not a backup"):
        back_up(models.database.obj, url, file, force=True)
    assert file.read_text() == "my thesis"
    with pytest.raises(BackupError, match="is a folder"):
        back_up(models.database.obj, url, file.parent)
    with pytest.raises(BackupError, match="does not exist"):
        back_up(models.database.obj, url, file.parent / "no" / "folder")


def test_a_foreign_database_is_not_replaced(url: str, file: Path) -> None:
    with closing(sqlite3.connect(file)) as foreign, foreign:
        foreign.execute("CREATE TABLE schema_migration (name TEXT)")
        foreign.execute("INSERT INTO schema_migration VALUES ('0001_of_another_application')")
    content = file.read_bytes()
    with pytest.raises(BackupError, match="not a backup, so it is not replaced"):
        back_up(models.database.obj, url, file, force=True)
    file.write_bytes(b"PGDMP of another application")
    with pytest.raises(BackupError, match="not a backup, so it is not replaced"):
        back_up(models.database.obj, url, file, force=True)
    file.write_bytes(content)
    models.database.execute_sql("UPDATE schema_migration SET name = 'other ' || name")
    try:
        with pytest.raises(BackupError, match="not a database of this application"):
            back_up(models.database.obj, url, file.with_name("other.backup"))
    finally:
        restored = "UPDATE schema_migration SET name = replace(name, 'other ', '')"
        models.database.execute_sql(restored)
    assert [each.name for each in file.parent.iterdir()] == [file.name]
    assert file.read_bytes() == content


def test_the_backup_of_another_database_is_refused(url: str, file: Path) -> None:
    missing = f"sqlite:///{file.with_name('missing.db')}"
    other = missing if is_sqlite() else f"{url.rpartition('/')[0]}/postgres"
    done = run_flask("backup", str(file), DATABASE_URL=other)
    assert done.returncode == 1
    assert ("does not exist" if is_sqlite() else "not a database of this") in done.stderr
    assert "Check DATABASE_URL" in done.stderr
    assert not list(file.parent.iterdir())


def test_a_failed_backup_leaves_the_older_backup(
    url: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(models.database.obj, url, file)
    content = file.read_bytes()

    def fail(_path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("webapp.backup.files.sync", fail)
    with pytest.raises(BackupError, match=r"The disk of .* is full"):
        back_up(models.database.obj, url, file, force=True)
    assert file.read_bytes() == content
    assert [each.name for each in file.parent.iterdir()] == [file.name]


def test_a_backup_whose_folder_cannot_be_synced_is_written(
    url: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = files.sync

    def fail_for_folders(path: Path) -> None:
        if path.is_dir():
            raise OSError(5, "Input/output error")
        sync(path)

    monkeypatch.setattr(files, "sync", fail_for_folders)
    with pytest.raises(BackupError, match="was written, but a power failure could undo this"):
        back_up(models.database.obj, url, file)
    assert [each.name for each in file.parent.iterdir()] == [file.name]


def test_a_full_disk_is_named(url: str, db: Flask, make_image: MakeImage) -> None:
    make_image("acme")
    with pytest.raises(BackupError, match=r"full|cannot be"):
        back_up(models.database.obj, url, Path("/dev/full"))


def test_a_restore_that_is_killed_leaves_the_database_as_it_was(
    url: str, file: Path, make_image: MakeImage
) -> None:
    make_image("acme", 1)
    backup = backed_up(url, file)
    make_image("acme", 2)
    before = all_rows()
    close()
    command = [sys.executable, "-m", "tests.backup.commands_killed", str(file)]
    environ = {**os.environ, **ENVIRON, "DATABASE_URL": url}
    killed = subprocess.run(command, env=environ, cwd=ROOT, check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert all_rows() == before
    close()
    restore(models.database.obj, url, file, force=True)
    assert all_rows() == backup


def test_a_running_application_is_noticed(url: str, file: Path, make_image: MakeImage) -> None:
    make_image("acme", 1)
    before = backed_up(url, file)
    other = database.open_database(url)
    with other.connection_context():
        other.execute_sql("SELECT count(*) FROM scope").fetchone()
        close()
        with pytest.raises(BackupError, match=r"[Ss]top (it|the application) on"):
            restore(models.database.obj, url, file, force=True)
    database.close_all(other)
    assert all_rows() == before


def test_the_commands_say_what_they_did(url: str, file: Path, make_image: MakeImage) -> None:
    make_image("acme")
    close()
    made = run_flask("backup", str(file), DATABASE_URL=url)
    assert made.returncode == 0, made.stderr
    assert f"Wrote a backup of the database to {file}" in made.stdout
    assert "does not contain CREDENTIALS_KEYS" in made.stdout
    refused = run_flask("restore", str(file), DATABASE_URL=url)
    assert (refused.returncode, "--force" in refused.stderr) == (1, True)
    done = run_flask("restore", str(file), "--force", DATABASE_URL=url)
    assert done.returncode == 0, done.stderr
    assert "1 images, 1 cloud credentials" in done.stdout


def test_restore_says_which_credentials_no_key_can_decrypt(
    url: str, file: Path, make_image: MakeImage
) -> None:
    make_image("acme")
    assert CloudCredentials.get().name == "AWS"
    close()
    assert run_flask("backup", str(file), DATABASE_URL=url).returncode == 0
    key = Fernet.generate_key().decode()
    done = run_flask("restore", str(file), "--force", DATABASE_URL=url, CREDENTIALS_KEYS=key)
    assert done.returncode == 0
    assert "No key in CREDENTIALS_KEYS can decrypt the cloud credentials “AWS”." in done.stderr


def test_a_file_of_sqlite_with_special_characters_is_restored(tmp_path: Path) -> None:
    name = "r%41g#h?i.db"
    file, folder = tmp_path / "registry.backup", tmp_path / "data"
    settings = {"DATABASE_URL": sqlite_url(folder / name)}
    for arguments in (("migrate",), ("backup", str(file)), ("restore", str(file), "--force")):
        done = run_flask(*arguments, **settings)
        assert done.returncode == 0, done.stderr
    assert {path.name.removeprefix(name) for path in folder.iterdir()} <= {"", ".migrating"}
