"""Back up the database to a file, and restore it.

`back_up` and `restore` handle both kinds of databases. The encryption keys are not in a backup.
"""

from __future__ import annotations

from pathlib import Path

from peewee import Database, SqliteDatabase

from webapp.backup import postgresql, sqlite
from webapp.backup.checks import RestoreOutcome
from webapp.backup.files import BackupError, partial_file, refuse_existing, size_of

__all__ = ["BackupError", "RestoreOutcome", "back_up", "restore"]


def back_up(database: Database, url: str, path: Path, *, force: bool = False) -> str:
    """Write a backup of the database to the file at `path`, and return the size of the file.

    `url` is the URL of the database itself, not of a PgBouncer. The file appears under its name
    only when it is complete. Raises BackupError.
    """
    refuse_existing(path, force=force)
    with partial_file(path) as partial:
        if isinstance(database, SqliteDatabase):
            sqlite.back_up(database, path, partial)
        else:
            postgresql.back_up(url, partial)
    return size_of(path)


def restore(database: Database, url: str, path: Path, *, force: bool = False) -> RestoreOutcome:
    """Replace the contents of the database with the backup at `path`.

    `url` is the URL of the database itself, not of a PgBouncer. Until the backup is completely
    restored, the database stays as it was. Raises BackupError.
    """
    if not path.is_file():
        raise BackupError(f"The file {path} does not exist.")
    if isinstance(database, SqliteDatabase):
        return sqlite.restore(database, path, force=force)
    return postgresql.restore(database, url, path, force=force)
