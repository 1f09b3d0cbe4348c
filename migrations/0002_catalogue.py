"""Make the Images page fast at any size, and add saved views, deleted images, and background jobs.

Add columns and indexes for each sort order, a full-text index of trigrams, and facet groups: the
counts for the filters. Triggers update the facet groups.
"""

from __future__ import annotations

from typing import Any

from peewee import (
    AutoField,
    BooleanField,
    CharField,
    Check,
    Database,
    DateTimeField,
    ForeignKeyField,
    IntegerField,
    JSONField,
    Model,
    SqliteDatabase,
    TextField,
)
from playhouse.sqlite_ext import AutoIncrementField

NEW_TABLES = ("job_row", "job", "saved_view", "deleted_image", "facet_group")
IMAGE_COLUMNS = {
    "verified": "BOOLEAN NOT NULL DEFAULT {true}",
    "status": "VARCHAR(16) NOT NULL DEFAULT 'active'",
    "deprecated_on": "DATE",
    "retired_on": "DATE",
    "status_reason": "VARCHAR(255) NOT NULL DEFAULT ''",
    "successor_id": "INTEGER REFERENCES image (id) ON DELETE SET NULL",
    "name_key": "VARCHAR(255) NOT NULL DEFAULT ''",
    "size_key": "INTEGER NOT NULL DEFAULT 0",
    "search_text": "TEXT NOT NULL DEFAULT ''",
    "group_id": "INTEGER NOT NULL DEFAULT 0",
}
PERSON_COLUMNS = {
    "columns": "VARCHAR(255) NOT NULL DEFAULT ''",
    "page_size": "INTEGER NOT NULL DEFAULT 50 CHECK (page_size IN (25, 50, 100, 250))",
}
INDEXES = {
    "image_by_id": "scope_id, shared, id",
    "image_by_name_key": "scope_id, shared, name_key, id",
    "image_by_cloud_image_id": "scope_id, shared, cloud_image_id, id",
    "image_by_cloud_location": "scope_id, shared, cloud, location, id",
    "image_by_os_family_os_version_key": "scope_id, shared, os_family, os_version_key, id",
    "image_by_size_key": "scope_id, shared, size_key, id",
    "image_by_agent_installed": "scope_id, shared, agent_installed, id",
    "image_by_architecture": "scope_id, shared, architecture, id",
    "image_by_status_state": "scope_id, shared, status, state, id",
    "image_by_registered_at": "scope_id, shared, registered_at, id",
    "image_by_registered_by_name": "scope_id, shared, registered_by_name, id",
    "image_by_checked_at": "scope_id, shared, checked_at, id",
    "image_deprecated_on": "deprecated_on",
    "image_retired_on": "retired_on",
    "image_successor_id": "successor_id",
    "image_group_id": "group_id",
}
DIMENSIONS = (
    "scope_id",
    "shared",
    "cloud",
    "os_family",
    "os_version",
    "location",
    "architecture",
    "agent_installed",
    "status",
    "state",
    "verified",
)
"""The columns of a facet group, in the order of its unique index."""
COUNTED = (
    "scope_id",
    "shared",
    "cloud",
    "os_family",
    "agent_installed",
    "status",
    "state",
    "verified",
    "images",
)
"""The columns of a facet group that most counts need."""
BYTE_ORDER_COLUMNS = {
    "cloud": 32,
    "location": 128,
    "cloud_image_id": 512,
    "compute_resource": 255,
    "os_family": 64,
    "os_version": 64,
    "architecture": 32,
    "state": 16,
    "status": 16,
    "registered_by_name": 254,
    "name_key": 255,
}
"""The columns that PostgreSQL must sort by bytes, with their maximum lengths."""
TRIGGERS = ("image_grouped", "image_regrouped", "image_ungrouped")


def up(_migrator: Any, db: Database) -> None:
    sqlite = isinstance(db, SqliteDatabase)
    for table, columns in (("image", IMAGE_COLUMNS), ("person", PERSON_COLUMNS)):
        for name, kind in columns.items():
            true = "1" if sqlite else "TRUE"
            db.execute_sql(f"ALTER TABLE {table} ADD COLUMN {name} {kind.format(true=true)}")
    if not sqlite:
        # SQLite sorts by bytes. On PostgreSQL, other collations than "C" can ignore punctuation and
        # differ between machines.
        for name, length in BYTE_ORDER_COLUMNS.items():
            kind = f'VARCHAR({length}) COLLATE "C"'
            db.execute_sql(f"ALTER TABLE image ALTER COLUMN {name} TYPE {kind}")
    _fill_derived_columns(db)
    db.execute_sql("DROP INDEX image_scope_id_registered_at")
    for name, columns_ in INDEXES.items():
        db.execute_sql(f"CREATE INDEX {name} ON image ({columns_})")
    _create_tables(db)
    (_create_sqlite_triggers if sqlite else _create_postgresql_triggers)(db)
    same_group = " AND ".join(f"facet_group.{name} = image.{name}" for name in DIMENSIONS)
    names = ", ".join(DIMENSIONS)
    db.execute_sql(
        f"INSERT INTO facet_group ({names}, images) "  # noqa: S608  constants of this file
        f"SELECT {names}, count(*) FROM image GROUP BY {names}"
    )
    db.execute_sql(
        f"UPDATE image SET group_id = (SELECT id FROM facet_group WHERE {same_group})"  # noqa: S608
    )


def down(migrator: Any, db: Database) -> None:
    sqlite = isinstance(db, SqliteDatabase)
    for trigger in TRIGGERS:
        db.execute_sql(f"DROP TRIGGER {trigger}" + ("" if sqlite else " ON image"))
    if sqlite:
        for trigger in ("image_worded", "image_reworded", "image_unworded"):
            db.execute_sql(f"DROP TRIGGER {trigger}")
        db.execute_sql("DROP TABLE image_words")
    else:
        db.execute_sql("DROP INDEX image_search_text")
        for function in TRIGGERS:
            db.execute_sql(f"DROP FUNCTION {function}()")
    for name in INDEXES:
        db.execute_sql(f"DROP INDEX {name}")
    migrator.migrate(*(migrator.drop_table(name) for name in NEW_TABLES))
    for table, columns in (("image", IMAGE_COLUMNS), ("person", PERSON_COLUMNS)):
        migrator.migrate(*(migrator.drop_column(table, name) for name in columns))
    db.execute_sql("CREATE INDEX image_scope_id_registered_at ON image (scope_id, registered_at)")


def _fill_derived_columns(db: Database) -> None:
    """Fill the derived columns. Python converts the texts to lower case, as in the application."""
    placeholder = "?" if isinstance(db, SqliteDatabase) else "%s"
    columns = ", ".join(
        f"{name} = {placeholder}" for name in ("name_key", "size_key", "search_text")
    )
    fill = f"UPDATE image SET {columns} WHERE id = {placeholder}"  # noqa: S608  constants of this file
    rows = db.execute_sql("SELECT id, name, cloud_image_id, description, size_gb FROM image")
    for number, name, image_id, description, size in rows.fetchall():
        text = f"{name}\n{image_id}\n{description}".lower()
        db.execute_sql(fill, (name.lower()[:255], size or 0, text, number))


def _create_tables(db: Database) -> None:
    key = AutoIncrementField if isinstance(db, SqliteDatabase) else AutoField

    class Base(Model):
        class Meta:
            database = db
            legacy_table_names = False

    class Scope(Base):
        id = key()

    class Person(Base):
        id = key()

    def link(to: type[Model], name: str, **options: Any) -> ForeignKeyField:
        return ForeignKeyField(to, column_name=name, **{"on_delete": "CASCADE", **options})

    class FacetGroup(Base):
        id = key()
        scope_ = link(Scope, "scope_id", index=False)
        shared = BooleanField()
        cloud = CharField(max_length=32)
        location = CharField(max_length=128)
        os_family = CharField(max_length=64)
        os_version = CharField(max_length=64)
        architecture = CharField(max_length=32)
        agent_installed = BooleanField()
        status = CharField(max_length=16)
        state = CharField(max_length=16)
        verified = BooleanField()
        images = IntegerField()

        class Meta:
            indexes = ((("scope_", *DIMENSIONS[1:]), True),)

    class DeletedImage(Base):
        id = IntegerField(primary_key=True)
        scope_ = link(Scope, "scope_id")
        batch = CharField(max_length=32, index=True)
        record = JSONField()
        deleted_by = link(Person, "deleted_by_id", null=True, on_delete="SET NULL")
        deleted_at = DateTimeField(index=True)

    class SavedView(Base):
        id = key()
        scope_ = link(Scope, "scope_id")
        person_ = link(Person, "person_id")
        name = CharField(max_length=60)
        path = CharField(max_length=1000)
        shared = BooleanField()
        created_at = DateTimeField()

        class Meta:
            indexes = ((("scope_", "person_", "name"), True),)

    class Job(Base):
        id = key()
        scope_ = link(Scope, "scope_id")
        person_ = link(Person, "person_id")
        action = CharField(max_length=32)
        arguments = JSONField()
        state = CharField(max_length=8)
        total = IntegerField()
        done = IntegerField()
        created_at = DateTimeField()
        seen_at = DateTimeField()
        finished_at = DateTimeField(null=True)

        class Meta:
            constraints = (Check("state IN ('planned', 'running', 'done', 'stopped')"),)

    class JobRow(Base):
        id = key()
        job_ = link(Job, "job_id", index=False)
        position = IntegerField()
        image_id = IntegerField(null=True)
        subject = CharField(max_length=512)
        arguments = JSONField()
        outcome = CharField(max_length=16)
        message = TextField()

        class Meta:
            indexes = ((("job_", "position"), True),)

    db.create_tables([FacetGroup, DeletedImage, SavedView, Job, JobRow])
    db.execute_sql(f"CREATE INDEX facet_group_counted ON facet_group ({', '.join(COUNTED)})")


def _add_to_group(row: str) -> str:
    """Return the SQL that adds the image `row` to its facet group."""
    names, values = ", ".join(DIMENSIONS), ", ".join(f"{row}.{name}" for name in DIMENSIONS)
    return (
        f"INSERT INTO facet_group ({names}, images) VALUES ({values}, 1) "  # noqa: S608
        f"ON CONFLICT ({names}) DO UPDATE SET images = facet_group.images + 1"
    )


def _remove_from_group(row: str) -> str:
    """Return the SQL that removes the image `row` from its facet group."""
    return (
        f"UPDATE facet_group SET images = images - 1 WHERE id = {row}.group_id; "  # noqa: S608
        f"DELETE FROM facet_group WHERE id = {row}.group_id AND images = 0"
    )


def _create_sqlite_triggers(db: Database) -> None:
    """Create the full-text index of trigrams, and the triggers."""
    same_group = " AND ".join(f"{name} = NEW.{name}" for name in DIMENSIONS)
    set_group_id = (
        f"UPDATE image SET group_id = (SELECT id FROM facet_group WHERE {same_group}) "  # noqa: S608
        "WHERE id = NEW.id"
    )
    drop_text = (
        "INSERT INTO image_words (image_words, rowid, search_text) "
        "VALUES ('delete', OLD.id, OLD.search_text)"
    )
    add_text = "INSERT INTO image_words (rowid, search_text) VALUES (NEW.id, NEW.search_text)"
    for statement in (
        (
            "CREATE VIRTUAL TABLE image_words USING fts5 (search_text, content = 'image', "
            "content_rowid = 'id', columnsize = 0, tokenize = 'trigram case_sensitive 1')"
        ),
        "INSERT INTO image_words (image_words) VALUES ('rebuild')",
        f"CREATE TRIGGER image_worded AFTER INSERT ON image BEGIN {add_text}; END",
        f"CREATE TRIGGER image_unworded AFTER DELETE ON image BEGIN {drop_text}; END",
        (
            "CREATE TRIGGER image_reworded AFTER UPDATE OF search_text ON image "
            "WHEN OLD.search_text IS NOT NEW.search_text "
            f"BEGIN {drop_text}; {add_text}; END"
        ),
        (
            "CREATE TRIGGER image_grouped AFTER INSERT ON image "
            f"BEGIN {_add_to_group('NEW')}; {set_group_id}; END"
        ),
        (
            f"CREATE TRIGGER image_regrouped AFTER UPDATE OF {', '.join(DIMENSIONS)} ON image "
            f"BEGIN {_add_to_group('NEW')}; {_remove_from_group('OLD')}; {set_group_id}; END"
        ),
        (
            "CREATE TRIGGER image_ungrouped AFTER DELETE ON image "
            f"BEGIN {_remove_from_group('OLD')}; END"
        ),
    ):
        db.execute_sql(statement)


def _create_postgresql_triggers(db: Database) -> None:
    """Create the index of trigrams, and the triggers."""
    function = "CREATE FUNCTION {}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {}; END $$"
    add = f"{_add_to_group('NEW')} RETURNING id INTO NEW.group_id"
    remove = _remove_from_group("OLD")
    for statement in (
        "CREATE EXTENSION IF NOT EXISTS pg_trgm",
        (
            "CREATE INDEX image_search_text ON image "
            "USING gin (search_text gin_trgm_ops) WITH (fastupdate = off)"
        ),
        function.format("image_grouped", f"{add}; RETURN NEW"),
        function.format("image_regrouped", f"{add}; {remove}; RETURN NEW"),
        function.format("image_ungrouped", f"{remove}; RETURN OLD"),
        (
            "CREATE TRIGGER image_grouped BEFORE INSERT ON image "
            "FOR EACH ROW EXECUTE FUNCTION image_grouped()"
        ),
        (
            f"CREATE TRIGGER image_regrouped BEFORE UPDATE OF {', '.join(DIMENSIONS)} ON image "
            "FOR EACH ROW EXECUTE FUNCTION image_regrouped()"
        ),
        (
            "CREATE TRIGGER image_ungrouped AFTER DELETE ON image "
            "FOR EACH ROW EXECUTE FUNCTION image_ungrouped()"
        ),
    ):
        db.execute_sql(statement)
