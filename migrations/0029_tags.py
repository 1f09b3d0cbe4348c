"""Add tags, and let searches find tagged images by an index.

`tags` has the tags as people wrote them, and `tag_index` the text that `schema.tags` derives from
them. Triggers copy the tokens in this text to `image_tag`, and count the images of each token in
`tag_count`. The primary key of `image_tag` groups the images by scope, `shared` and token. Each
group is in the default order of the Images page. Like `image`, both tables have the column
`account_id`. Older versions do not know the columns for tags, so they never change tags. The
triggers also handle the images that older versions move or delete.
"""

from __future__ import annotations

from typing import Any

from peewee import Database, SqliteDatabase

from webapp.database import load_migration, online

atomic = False
COLUMNS = {"tags": "TEXT NOT NULL DEFAULT ''", "tag_index": "TEXT NOT NULL DEFAULT ''"}
INDEXES = {
    "account_image_tag": "image_tag (account_id, shared, token, registered_at, id, scope_id)",
    "any_image_tag": "image_tag (shared, token, registered_at, id, scope_id, account_id)",
    "tag_count_by_images": "tag_count (scope_id, shared, images)",
    "account_tag_count": "tag_count (account_id, shared, token, scope_id, images)",
    "account_tag_count_by_images": "tag_count (account_id, shared, images)",
    "any_tag_count": "tag_count (shared, token, scope_id, account_id, images)",
    "any_tag_count_by_images": "tag_count (shared, images)",
}
ACCOUNT = load_migration("0028_subtrees").ACCOUNT
TRIGGERS = ("image_tagged", "image_retagged", "image_untagged")
COPIED = ("scope_id", "shared", "registered_at", "tag_index")
"""The columns of `image` that the triggers copy to `image_tag`, directly or as tokens."""


def up(_migrator: Any, db: Database) -> None:
    online.add_columns(db, "image", COLUMNS)
    online.change_table(db, *_tables(db))
    online.change_table(db, *_triggers(db))


def down(_migrator: Any, db: Database) -> None:
    statements = []
    for name in TRIGGERS:
        if isinstance(db, SqliteDatabase):
            statements.append(f"DROP TRIGGER IF EXISTS {name}")
        else:
            statements.append(f"DROP FUNCTION IF EXISTS {name}() CASCADE")
    statements += ["DROP TABLE IF EXISTS image_tag", "DROP TABLE IF EXISTS tag_count"]
    present = {column.name for column in db.get_columns("image")}
    statements += [f"ALTER TABLE image DROP COLUMN {name}" for name in COLUMNS if name in present]
    online.change_table(db, *statements)


def _tables(db: Database) -> tuple[str, ...]:
    is_sqlite = isinstance(db, SqliteDatabase)
    # SQLite compares by bytes. On PostgreSQL, other collations than "C" can ignore punctuation.
    token = "token TEXT NOT NULL" + ("" if is_sqlite else ' COLLATE "C"')
    instant = "DATETIME" if is_sqlite else "TIMESTAMP"
    end = ") WITHOUT ROWID" if is_sqlite else ")"
    slice_ = "scope_id INTEGER NOT NULL, account_id INTEGER, shared BOOLEAN NOT NULL"
    image_tag = (
        f"{slice_}, {token}, registered_at {instant} NOT NULL, id INTEGER NOT NULL, "
        "PRIMARY KEY (scope_id, shared, token, registered_at, id)"
    )
    tag_count = (
        f"{slice_}, {token}, label TEXT NOT NULL, images INTEGER NOT NULL, "
        "PRIMARY KEY (scope_id, shared, token)"
    )
    return (
        f"CREATE TABLE IF NOT EXISTS image_tag ({image_tag}{end}",
        f"CREATE TABLE IF NOT EXISTS tag_count ({tag_count}{end}",
        *(f"CREATE INDEX IF NOT EXISTS {name} ON {table}" for name, table in INDEXES.items()),
    )


def _triggers(db: Database) -> list[str]:
    """Return the statements that create the triggers, which may already exist."""
    add, remove = _add(db, "NEW"), _remove(db, "OLD")
    differs = "IS NOT" if isinstance(db, SqliteDatabase) else "IS DISTINCT FROM"
    any_tags = "(OLD.tag_index <> '' OR NEW.tag_index <> '')"
    # This compares each column separately. PostgreSQL would store a comparison of whole rows in a
    # form that differs after a backup is restored.
    changed = " OR ".join(f"OLD.{name} {differs} NEW.{name}" for name in COPIED)
    changed = f"{any_tags} AND ({changed})"
    events = (
        ("image_tagged", "INSERT", "NEW.tag_index <> ''", add),
        ("image_retagged", f"UPDATE OF {', '.join(COPIED)}", changed, f"{remove}; {add}"),
        ("image_untagged", "DELETE", "OLD.tag_index <> ''", remove),
    )
    statements = []
    for name, event, condition, change in events:
        trigger = f"CREATE TRIGGER {{}} AFTER {event} ON image FOR EACH ROW WHEN {{}} "
        if isinstance(db, SqliteDatabase):
            create = trigger.format(f"IF NOT EXISTS {name}", condition)
            statements.append(f"{create} BEGIN {change}; END")
        else:
            body = f"LANGUAGE plpgsql AS $$ BEGIN {change}; RETURN NULL; END $$"
            statements += [
                f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger {body}",
                f"DROP TRIGGER IF EXISTS {name} ON image",
                f"{trigger.format(name, f'({condition})')} EXECUTE FUNCTION {name}()",
            ]
    return statements


def _add(db: Database, row: str) -> str:
    """Return the SQL that adds the tokens of the image `row`.

    The order of the tokens is the same in all transactions, so that two transactions that add the
    same tokens cannot end in a deadlock.
    """
    tokens = _tokens(db, row)
    slice_ = f"{row}.scope_id, {ACCOUNT.format(f'{row}.scope_id')}, {row}.shared"
    return (
        "INSERT INTO tag_count (scope_id, account_id, shared, token, label, images) "  # noqa: S608  constants
        f"SELECT {slice_}, token, label, 1 FROM {tokens} WHERE token <> '' ORDER BY token "
        "ON CONFLICT (scope_id, shared, token) DO UPDATE SET images = tag_count.images + 1; "
        "INSERT INTO image_tag (scope_id, account_id, shared, token, registered_at, id) "
        f"SELECT {slice_}, token, {row}.registered_at, {row}.id FROM {tokens} "
        "WHERE token <> ''"
    )


def _remove(db: Database, row: str) -> str:
    """Return the SQL that removes the tokens of the image `row`."""
    found = (
        f"scope_id = {row}.scope_id AND shared = {row}.shared "  # noqa: S608  constants
        f"AND token IN (SELECT token FROM {_tokens(db, row)})"
    )
    this_image = f"registered_at = {row}.registered_at AND id = {row}.id"
    return (
        f"UPDATE tag_count SET images = images - 1 WHERE {found}; "  # noqa: S608
        f"DELETE FROM tag_count WHERE {found} AND images = 0; "
        f"DELETE FROM image_tag WHERE {found} AND {this_image}"
    )


def _tokens(db: Database, row: str) -> str:
    """Return an SQL subquery for the tokens and labels in the lines of `tag_index`."""
    if not isinstance(db, SqliteDatabase):
        lines = f"string_to_array(trim(both E'\\n' from {row}.tag_index), E'\\n')"
        return (
            "(SELECT split_part(line, E'\\t', 1) AS token, split_part(line, E'\\t', 2) AS label "  # noqa: S608
            f"FROM unnest({lines}) AS line) AS tokens"
        )
    array = f"trim({row}.tag_index, char(10))"
    for text, escaped in (
        ("'\\'", "'\\\\'"),
        ("'\"'", "'\\\"'"),
        ("char(9)", "'\\t'"),
        ("char(10)", "'\",\"'"),
    ):
        array = f"replace({array}, {text}, {escaped})"
    label = "instr(value, char(9))"
    return (
        f"(SELECT substr(value, 1, {label} - 1) AS token, substr(value, {label} + 1) AS label "  # noqa: S608
        f"FROM json_each('[\"' || {array} || '\"]')) AS tokens"
    )
