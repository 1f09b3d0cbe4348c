"""Write files that only their owner can read, and that appear only when they are complete."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from webapp.refusals import Refusal


class BackupError(Refusal):
    """A backup could not be made or restored.

    Unless the message says otherwise, the database is unchanged.
    """


SQLITE_MAGIC = b"SQLite format 3\0"
POSTGRESQL_MAGIC = b"PGDMP"


def kind_of(path: Path) -> str:
    """Return 'sqlite', 'postgresql', or '' for a file that is not a backup. Raises BackupError."""
    try:
        with path.open("rb") as file:
            beginning = file.read(16)
    except OSError as error:
        raise BackupError(f"The file {path} cannot be read: {error.strerror}.") from error
    if beginning.startswith(SQLITE_MAGIC):
        return "sqlite"
    return "postgresql" if beginning.startswith(POSTGRESQL_MAGIC) else ""


def require_kind(path: Path, expected: str) -> None:
    """Raise BackupError if the file is not a backup of this kind of database."""
    names = {"sqlite": "an SQLite database", "postgresql": "a PostgreSQL database"}
    kind = kind_of(path)
    if not kind:
        raise BackupError(f"{path} is not a backup of this application.")
    if kind != expected:
        raise BackupError(
            f"{path} is a backup of {names[kind]}, but DATABASE_URL names {names[expected]}. A "
            "backup can only be restored to the same kind of database."
        )


def refuse_existing(path: Path, *, force: bool) -> None:
    """Raise BackupError if a backup must not be written to `path`.

    `path` must not be a folder, and its folder must exist. If a file exists at `path`, `force` must
    be true.
    """
    if path.is_dir() or not path.name:
        raise BackupError(f"{path} is a folder. Enter the name of a file.")
    if not path.parent.is_dir():
        raise BackupError(f"The folder {path.parent} does not exist.")
    if not os.path.lexists(path):
        return
    if not force:
        raise BackupError(f"{path} exists. Choose another name, or replace it with --force.")
    if not path.is_file():
        raise BackupError(f"{path} is not a backup, so it is not replaced. Choose another name.")


@contextmanager
def partial_file(path: Path) -> Iterator[Path]:
    """Yield the path of a file to write. After the `with` body, it replaces the file at `path`.

    If the body raises an exception, the file at `path` stays as it was. Only the owner can read the
    new file. A partial file that a killed process left behind is overwritten. Raises BackupError.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise BackupError(f"{path} cannot be created: {error.strerror}.") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise BackupError(f"Another command is writing {path}.") from error
        os.fchmod(descriptor, 0o600)
        os.ftruncate(descriptor, 0)
        try:
            yield partial
            sync(partial)
            partial.replace(path)
        finally:
            _remove(partial)
        _sync_folder(path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        os.close(descriptor)


def _sync_folder(path: Path) -> None:
    """Wait until the disk contains the entry for a new file in its folder. Raises BackupError."""
    try:
        sync(path.parent)
    except OSError as error:
        message = f"{path} was written, but a power failure could undo this: {error.strerror}."
        raise BackupError(message) from error


def _remove(path: Path) -> None:
    """Remove a partial file, and the files that SQLite and a migration create beside it."""
    for ending in ("", "-journal", "-wal", "-shm", ".migrating"):
        with suppress(OSError):
            path.with_name(f"{path.name}{ending}").unlink(missing_ok=True)


def cannot_write(path: Path, error: OSError) -> BackupError:
    """Return the error for a file that cannot be written."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return BackupError(f"The disk of {path.parent} is full. Nothing was changed.")
    return BackupError(f"{path} cannot be written: {error.strerror}. Nothing was changed.")


def sync(path: Path) -> None:
    """Wait until the file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def size_of(path: Path) -> str:
    """Return the size of a file as a text, such as '13.5 MB'."""
    size = path.stat().st_size
    if size < 1_000_000:
        return f"{size / 1_000:,.0f} kB"
    return f"{size / 1_000_000:,.1f} MB"
