"""Back up the database to a file, and restore it.

`back_up` and `restore` support SQLite and PostgreSQL. A backup contains no encryption keys.
"""

from __future__ import annotations

from pathlib import Path

from peewee import Database, SqliteDatabase

from webapp.backup import postgresql, sqlite
from webapp.backup.checks import RestoreOutcome, is_registry
from webapp.backup.files import BackupError, kind_of, partial_file, refuse_existing, size_of

__all__ = ["BackupError", "RestoreOutcome", "back_up", "require_database", "restore"]


def require_database(database: Database) -> None:
    """Raise BackupError if the file of the database is missing.

    Call this before you connect, because SQLite creates a missing file.
    """
    if isinstance(database, SqliteDatabase) and not Path(database.database).exists():
        raise BackupError(f"The database {database.database} does not exist. Check DATABASE_URL.")


def back_up(database: Database, url: str, path: Path, *, force: bool = False) -> str:
    """Write a backup of the database to the file at `path`, and return the size of the file.

    `url` is the URL of the database itself, not of PgBouncer. The file appears at `path` only when
    it is complete. Raises BackupError.
    """
    refuse_existing(path, force=force)
    if path.exists() and path.stat().st_size and not _is_backup(path):
        raise BackupError(f"{path} is not a backup, so it is not replaced. Choose another name.")
    with partial_file(path) as partial:
        if isinstance(database, SqliteDatabase):
            sqlite.back_up(database, path, partial)
        else:
            postgresql.back_up(url, partial)
        if not _is_backup(partial):
            raise BackupError(
                "The database is not a database of this application, so it was not backed up. "
                "Check DATABASE_URL and DIRECT_DATABASE_URL."
            )
    return size_of(path)


def _is_backup(path: Path) -> bool:
    """Return whether the file contains a database of this application."""
    readers = {"sqlite": sqlite.applied_migrations, "postgresql": postgresql.applied_migrations}
    try:
        read = readers.get(kind_of(path))
        return read is not None and is_registry(read(path))
    except BackupError:
        return False


def restore(database: Database, url: str, path: Path, *, force: bool = False) -> RestoreOutcome:
    """Replace the contents of the database with the backup at `path`.

    `url` is the URL of the database itself, not of PgBouncer. Until the backup is completely
    restored, the database stays as it was. Raises BackupError.
    """
    if not path.is_file():
        raise BackupError(f"The file {path} does not exist.")
    if isinstance(database, SqliteDatabase):
        return sqlite.restore(database, path, force=force)
    return postgresql.restore(database, url, path, force=force)
