"""Delete the rows that refer to a record, or set their references to NULL, in chunks.

Afterwards, the caller deletes the record itself.

A single statement could delete everything, but other writers would wait until it is finished. The
foreign keys show which rows refer to a record, so a new table needs no change here.
"""

from __future__ import annotations

from typing import Any

from schema.base import EditedTable, Table


def delete_dependents(record: Any, size: int) -> int:
    """Delete at most `size` dependent rows of `record`, or set their references to NULL.

    A row that is going to be deleted may have dependent rows too. These are processed first. Return
    the number of rows that were deleted or changed. It is 0 if no row refers to `record`.
    """
    return _clear_references(type(record), [record.get_id()], size)


def _clear_references(table: type[Table], keys: list[Any], size: int) -> int:
    backrefs = table._meta.backrefs.items()  # noqa: SLF001  Peewee has no other way
    # A table refers only to itself and to tables that are defined before it. The last table is
    # cleared first, so that images are deleted before their credentials.
    for field, referring_table in reversed(list(backrefs)):
        count = _clear(referring_table, field, keys, size)
        if count:
            return count
    return 0


def _clear(table: type[Table], field: Any, keys: list[Any], size: int) -> int:
    """Delete rows of `table` whose `field` is one of `keys`, or set the field to NULL.

    Before rows are deleted, the rows that refer to them are cleared in the same way. Return the
    number of rows that were deleted or changed.
    """
    key: Any = table._meta.primary_key  # noqa: SLF001
    rows: Any = table.select(key).where(field.in_(keys)).limit(size).tuples()
    chunk = [row_key for (row_key,) in rows]
    if not chunk:
        return 0
    if field.on_delete == "SET NULL":
        values = {field.name: None}
        query = (
            table.update_all(**values) if issubclass(table, EditedTable) else table.update(values)
        )
        return int(query.where(key.in_(chunk)).execute())
    return _clear_references(table, chunk, size) or int(
        table.delete().where(key.in_(chunk)).execute()
    )
