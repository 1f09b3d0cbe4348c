"""Check whether a backup is valid and complete, and whether a database is still unused."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from peewee import Database
from playhouse.migrations import Runner

from models import TABLES, CloudCredentials, Image, Person, Scope
from webapp.backup.files import BackupError
from webapp.database import MIGRATIONS, close_all, open_database
from webapp.settings import sqlite_url

HISTORY = "schema_migration"
"""The table with the names of the applied migrations."""
RECORDS = (Image, CloudCredentials, Person)
"""If these tables have no rows, nobody has used the database yet."""


@dataclass(frozen=True)
class RestoreOutcome:
    """The result of a restore."""

    migrations: list[str]
    """The migrations that were applied after the backup was restored."""
    images: int
    people: int
    scopes: int
    credentials: int

    @classmethod
    def of_database(cls, migrations: list[str]) -> RestoreOutcome:
        """Return the outcome with the numbers of records that the database has now."""
        counts = (table.select().count() for table in (Image, Person, Scope, CloudCredentials))
        return cls(migrations, *counts)


def is_registry(migrations: Iterable[str]) -> bool:
    """Return whether a database with these applied migrations belongs to this application."""
    return not _known_migrations().isdisjoint(migrations)


def check_version(path: Path, migrations: Iterable[str]) -> None:
    """Raise BackupError if the backup is of a newer version or of another application."""
    names = set(migrations)
    if not names:
        raise BackupError(f"{path} is not a backup of this application.")
    unknown = sorted(names - _known_migrations())
    if unknown:
        raise BackupError(
            f"{path} was made by a newer version of the application: it contains the migration "
            f"{unknown[-1]}. Install that version, and restore the backup with it."
        )


def check_scalr(path: Path) -> None:
    """Raise BackupError if the backup does not contain the Scalr scope.

    Call this before `migrate`, which would create the scope. The database may still have the schema
    of an older version.
    """
    if not Scope.select(Scope.id).where(Scope.path == "").exists():
        raise incomplete(path, "Scalr scope")


def check_schema(path: Path, database: Database) -> None:
    """Raise BackupError if a table or a column is missing.

    `database` contains the backup, with all migrations applied.
    """
    existing = set(database.get_tables())
    for name, missing in _columns().items():
        columns = database.get_columns(name) if name in existing else []
        missing -= {column.name for column in columns}
        if missing:
            raise incomplete(path, f"column {name}.{min(missing)}" if columns else f"table {name}")


def incomplete(path: Path, part: str) -> BackupError:
    """Return the error for a backup that lacks a part, such as 'table scope'."""
    return BackupError(f"{path} is not a complete backup: the {part} is missing.")


def columns_after(migrations: Iterable[str]) -> dict[str, set[str]]:
    """Return the columns that a database with these applied migrations must have, by table.

    For an older version, these are the columns of the current version that an empty SQLite file
    with the same migrations also has.
    """
    names = set(migrations)
    if _known_migrations() <= names:
        return _columns()
    with TemporaryDirectory() as folder:
        database = open_database(sqlite_url(Path(folder) / "older.db"))
        try:
            with database.connection_context():
                Runner(database, str(MIGRATIONS)).up(max(names))
                older_columns = {
                    name: {column.name for column in database.get_columns(name)}
                    for name in database.get_tables()
                }
        finally:
            close_all(database)
    required = {
        name: columns & older_columns.get(name, set()) for name, columns in _columns().items()
    }
    return {name: columns for name, columns in required.items() if columns}


def _columns() -> dict[str, set[str]]:
    """Return the columns of our tables, by table."""
    tables = (table._meta for table in TABLES)  # noqa: SLF001
    return {each.table_name: {field.column_name for field in each.sorted_fields} for each in tables}


def _known_migrations() -> set[str]:
    return {file.stem for file in MIGRATIONS.glob("[0-9]*.py")}


def require_unused(database: Database, *, force: bool) -> None:
    """Raise BackupError if somebody has used the database, unless `force` is true."""
    if force:
        return
    for table in RECORDS:
        name = table._meta.table_name  # noqa: SLF001
        query = f"SELECT 1 FROM {name} LIMIT 1"  # noqa: S608  the name comes from our tables
        if database.table_exists(name) and database.execute_sql(query).fetchone():
            raise BackupError(
                "The database is not empty. To replace everything in it with the backup, add "
                "--force."
            )
