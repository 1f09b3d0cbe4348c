"""Add indexes for lists that include the images of all scopes below an account or the Scalr scope.

`account_id` is the account that owns an image or a facet group, directly or through one of its
environments. For the images of the Scalr scope, it is the ID of this scope. IDs of scopes are never
reused, so the column needs no foreign key. The triggers that maintain facet groups also fill
`account_id`, because an older version of the application may still register, promote and restore
images.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from peewee import Database, SqliteDatabase

from webapp.database import indexes, load_migration, online

atomic = False
TABLES = ("image", "facet_group")
ORDERS = {
    "id": "id",
    "name_key": "name_key, id",
    "cloud_image_id": "cloud_image_id, id",
    "cloud_location": "cloud, location, id",
    "os_family_os_version_key": "os_family, os_version_key, id",
    "size_key": "size_key, id",
    "agent_installed": "agent_installed, id",
    "architecture": "architecture, id",
    "status_state": "status, state, id",
    "registered_at": "registered_at, id",
    "registered_by_name": "registered_by_name, id",
    "checked_at": "checked_at, id",
    "scope": "scope_id, id",
}
FACETS = (
    "cloud, os_family, location, architecture, agent_installed, status, state, verified, "
    "os_version, scope_id"
)
IS_FILLED = "account_id IS NOT NULL"
INDEXES = {
    "account_facets": f"facet_group (account_id, shared, {FACETS}, images)",
    "any_facets": f"facet_group (shared, {FACETS}, account_id, images)",
    **{
        f"account_image_by_{name}": f"image (account_id, shared, {columns}) WHERE {IS_FILLED}"
        for name, columns in ORDERS.items()
    },
    **{
        f"any_image_by_{name}": f"image (shared, {columns}) WHERE {IS_FILLED}"
        for name, columns in ORDERS.items()
    },
    "scope_deleted_at": "scope (deleted_at) WHERE deleted_at IS NOT NULL",
}
ACCOUNT = (
    "(SELECT CASE level WHEN 'environment' THEN parent_id ELSE id END FROM scope WHERE id = {})"
)
"""The account of the scope whose ID replaces `{}`."""
GROUPED, REGROUPED, _ = TRIGGERS = load_migration("0002_catalogue").TRIGGERS
DIMENSIONS = load_migration("0002_catalogue").DIMENSIONS


def up(_migrator: Any, db: Database) -> None:
    for table in TABLES:
        online.add_columns(db, table, {"account_id": "INTEGER"})
    online.change_table(db, *_triggers(db, with_account=True))
    if isinstance(db, SqliteDatabase):
        # The indexes of images are created quickly now, because they do not contain the images
        # whose column is not filled yet.
        _create_indexes(db)
    for table in reversed(TABLES):
        _fill(db, table)
    _create_indexes(db)


def down(_migrator: Any, db: Database) -> None:
    for name in INDEXES:
        indexes.drop_index(db, name)
    online.change_table(db, *_triggers(db, with_account=False))
    for table in TABLES:
        if "account_id" in {column.name for column in db.get_columns(table)}:
            online.change_table(db, f"ALTER TABLE {table} DROP COLUMN account_id")


def _create_indexes(db: Database) -> None:
    for name, definition in INDEXES.items():
        indexes.create_index(db, name, definition)


def _fill(db: Database, table: str) -> None:
    def fill(ids: Sequence[int]) -> None:
        account = ACCOUNT.format(f"{table}.scope_id")
        db.execute_sql(f"UPDATE {table} SET account_id = {account} WHERE {online.among(ids)}")  # noqa: S608

    online.in_batches(db, table, fill, where="account_id IS NULL")


def _triggers(db: Database, *, with_account: bool) -> list[str]:
    """Return the statements that replace the triggers for new and changed images."""
    create = _sqlite_triggers if isinstance(db, SqliteDatabase) else _postgresql_functions
    return create(with_account=with_account)


def _add_to_group(row: str, account: str) -> str:
    """Return the SQL that adds the image `row` to its facet group.

    `account` is the SQL expression for the account of the image, or ''.
    """
    names, values = ", ".join(DIMENSIONS), ", ".join(f"{row}.{name}" for name in DIMENSIONS)
    column, value = (", account_id", f", {account}") if account else ("", "")
    return (
        f"INSERT INTO facet_group ({names}, images{column}) VALUES ({values}, 1{value}) "  # noqa: S608
        f"ON CONFLICT ({names}) DO UPDATE SET images = facet_group.images + 1"
    )


def _remove_from_group(row: str) -> str:
    return (
        f"UPDATE facet_group SET images = images - 1 WHERE id = {row}.group_id; "  # noqa: S608
        f"DELETE FROM facet_group WHERE id = {row}.group_id AND images = 0"
    )


def _sqlite_triggers(*, with_account: bool) -> list[str]:
    account = ACCOUNT.format("NEW.scope_id") if with_account else ""
    add, remove = _add_to_group("NEW", account), _remove_from_group("OLD")
    same_group = " AND ".join(f"{name} = NEW.{name}" for name in DIMENSIONS)
    set_account = f", account_id = {account}" if account else ""
    set_group = (
        f"UPDATE image SET group_id = (SELECT id FROM facet_group WHERE {same_group})"  # noqa: S608
        f"{set_account} WHERE id = NEW.id"
    )
    changes = f"UPDATE OF {', '.join(DIMENSIONS)}"
    return [
        f"DROP TRIGGER IF EXISTS {GROUPED}",
        f"DROP TRIGGER IF EXISTS {REGROUPED}",
        f"CREATE TRIGGER {GROUPED} AFTER INSERT ON image BEGIN {add}; {set_group}; END",
        (
            f"CREATE TRIGGER {REGROUPED} AFTER {changes} ON image "
            f"BEGIN {add}; {remove}; {set_group}; END"
        ),
    ]


def _postgresql_functions(*, with_account: bool) -> list[str]:
    replace = (
        "CREATE OR REPLACE FUNCTION {}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {}; END $$"
    )
    set_account = f"NEW.account_id := {ACCOUNT.format('NEW.scope_id')}; " if with_account else ""
    account = "NEW.account_id" if with_account else ""
    add = f"{set_account}{_add_to_group('NEW', account)} RETURNING id INTO NEW.group_id"
    return [
        replace.format(GROUPED, f"{add}; RETURN NEW"),
        replace.format(REGROUPED, f"{add}; {_remove_from_group('OLD')}; RETURN NEW"),
    ]
