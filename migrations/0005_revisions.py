"""Add a version number to the records that people edit, and to the audit entries about them.

Before, an audit entry could refer only to an image. Now, it can refer to a record of any edited
table.
"""

from __future__ import annotations

from typing import Any

from peewee import Database

EDITED_TABLES = ("scope", "membership", "cloud_credentials", "image", "saved_view")


def up(_migrator: Any, db: Database) -> None:
    for table in EDITED_TABLES:
        db.execute_sql(f"ALTER TABLE {table} ADD COLUMN revision INTEGER NOT NULL DEFAULT 1")
    db.execute_sql("ALTER TABLE audit_entry ADD COLUMN revision INTEGER")
    db.execute_sql("ALTER TABLE audit_entry ADD COLUMN record VARCHAR(48) NOT NULL DEFAULT ''")
    db.execute_sql(
        "UPDATE audit_entry SET record = 'image:' || image_id WHERE image_id IS NOT NULL"
    )
    db.execute_sql("DROP INDEX audit_entry_image_id_at")
    db.execute_sql("ALTER TABLE audit_entry DROP COLUMN image_id")
    db.execute_sql("CREATE INDEX audit_entry_record_at ON audit_entry (record, at)")


def down(_migrator: Any, db: Database) -> None:
    db.execute_sql("ALTER TABLE audit_entry ADD COLUMN image_id INTEGER")
    db.execute_sql(
        "UPDATE audit_entry SET image_id = CAST(substr(record, 7) AS INTEGER) "
        "WHERE substr(record, 1, 6) = 'image:'"
    )
    db.execute_sql("DROP INDEX audit_entry_record_at")
    db.execute_sql("ALTER TABLE audit_entry DROP COLUMN record")
    db.execute_sql("ALTER TABLE audit_entry DROP COLUMN revision")
    db.execute_sql("CREATE INDEX audit_entry_image_id_at ON audit_entry (image_id, at)")
    for table in EDITED_TABLES:
        db.execute_sql(f"ALTER TABLE {table} DROP COLUMN revision")
