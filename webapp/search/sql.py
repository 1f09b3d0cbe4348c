"""Build the SQL of the search: conditions, expressions, sources and statements.

A source is the text that follows FROM, including WHERE. This module also hides the differences
between the databases. The other modules of `webapp.search` write only names and short expressions,
such as `MAX(id)`. Peewee takes longer to build a short statement than the database takes to execute
it, so Peewee does not build the statements of this module. `as_peewee` converts a condition for the
few statements that Peewee builds.

The examples in the docstrings are tested. They show the text for SQLite.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import peewee

from models import database, is_sqlite
from schema.search_text import short_words


@dataclass(frozen=True, slots=True)
class Sql:
    """A piece of SQL and its parameters. The placeholder is `?` for every database.

    An empty text is the condition that always holds (`ALWAYS`).
    """

    text: str = ""
    params: tuple[Any, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.text)

    def __repr__(self) -> str:
        return f"Sql({self.text!r}, {self.params!r})" if self.params else f"Sql({self.text!r})"


HAS_SHORT_WORDS = "STRPOS(search_text, CHR(31)) > 0"
SHORT_WORDS = "(STRING_TO_ARRAY(search_text, CHR(31)))[2:]"
"""PostgreSQL has an index of this expression for the images that meet `HAS_SHORT_WORDS`.

See `schema.search_text`.
"""
ALWAYS = Sql()
NEVER = Sql("FALSE")
NULL = Sql("NULL")
TOTAL_COLUMN = Sql("COUNT(*) OVER () AS total")
"""A column with the number of rows that the statement would return without its LIMIT."""
TOTAL = Sql("total")
"""The value of `TOTAL_COLUMN`, for a statement that selects from a subquery with this column."""


# Conditions


def equals(column: str, value: Any) -> Sql:
    """Return the condition that a column has a value.

    >>> equals("cloud", "aws")
    Sql('cloud = ?', ('aws',))
    """
    return Sql(f"{column} = ?", (value,))


def compare(column: str, operator: str, value: Any) -> Sql:
    """Return the condition that compares a column with a value.

    >>> compare("size_key", ">=", 30)
    Sql('size_key >= ?', (30,))
    """
    return Sql(f"{column} {operator} ?", (value,))


def one_of(column: str, values: Sequence[Any]) -> Sql:
    """Return the condition that a column has one of the values.

    >>> one_of("location", ["eu", "us"])
    Sql('location IN (?, ?)', ('eu', 'us'))
    """
    return Sql(f"{column} IN ({', '.join('?' * len(values))})", tuple(values))


def columns_equal(one: str, other: str) -> Sql:
    """Return the condition that two columns have the same value.

    >>> columns_equal("account_id", "scope_id")
    Sql('account_id = scope_id')
    """
    return Sql(f"{one} = {other}")


def begins(column: str, text: str) -> Sql:
    """Return the condition that a column begins with a text.

    >>> begins("subject", "web")
    Sql('SUBSTR(subject, 1, 3) = ?', ('web',))
    """
    return equals(f"SUBSTR({column}, 1, {len(text):d})", text)


def in_range_of(column: str, text: str) -> Sql:
    """Return the condition that a column begins with a text. An index of the column can be used.

    >>> in_range_of("LOWER(subject)", "web")
    Sql('LOWER(subject) >= ? AND LOWER(subject) < ?', ('web', 'web\U0010ffff'))
    """
    return all_of([compare(column, ">=", text), compare(column, "<", f"{text}\U0010ffff")])


def contains(column: str, text: str) -> Sql:
    """Return the condition that a column contains a text. No index can be used for this condition.

    >>> contains("search_text", "web")
    Sql('INSTR(search_text, ?) > 0', ('web',))
    """
    return Sql(f"{'INSTR' if is_sqlite() else 'STRPOS'}({column}, ?) > 0", (text,))


def comes_after(
    columns: Sequence[str], values: Sequence[Any], *, descending: bool, inclusive: bool = False
) -> Sql:
    """Return the condition that a row comes after `values` in the order of `columns`.

    >>> comes_after(["name_key", "id"], ["web", 7], descending=True)
    Sql('(name_key, id) < (?, ?)', ('web', 7))
    """
    operator = ("<" if descending else ">") + ("=" if inclusive else "")
    placeholders = ", ".join("?" * len(values))
    return Sql(f"({', '.join(columns)}) {operator} ({placeholders})", tuple(values))


def in_slice(scope_id: int, *, shared: bool, indexed: bool = True) -> Sql:
    """Return the condition that an image or a facet group belongs to a scope slice.

    A scope slice is the shared or the unshared images of one scope. A facet group (`FacetGroup`)
    counts the images that belong to one scope and have the same values in some columns.

    If `indexed` is False, the database cannot use an index for this condition, so it finds the rows
    by another condition.

    >>> in_slice(3, shared=True)
    Sql('scope_id = 3 AND shared = TRUE')
    >>> in_slice(3, shared=False, indexed=False)
    Sql('scope_id + 0 = 3 AND shared = FALSE')
    """
    column = "scope_id" if indexed else "scope_id + 0"
    return Sql(f"{column} = {scope_id:d} AND shared = {'TRUE' if shared else 'FALSE'}")


def in_subtree(account_id: int | None, *, shared: bool, indexed: bool = True) -> Sql:
    """Return the condition that an image or a facet group belongs to an account.

    The images of an account include the images of its environments. Without an account, return the
    condition for the images of all scopes. `shared` says whether the shared or the unshared images
    meet the condition. See `in_slice` for `indexed`.

    >>> in_subtree(3, shared=True)
    Sql('account_id = 3 AND shared = TRUE')
    >>> in_subtree(3, shared=False, indexed=False)
    Sql('account_id + 0 = 3 AND shared = FALSE')
    >>> in_subtree(None, shared=True)
    Sql('shared = TRUE AND account_id IS NOT NULL')
    """
    is_shared = Sql(f"shared = {'TRUE' if shared else 'FALSE'}")
    if account_id is None:
        # Every row has an `account_id`, so the second condition always holds. But some indexes for
        # all scopes are declared only for rows with an `account_id`, and the database uses such an
        # index only if the statement has this condition.
        return all_of([is_shared, Sql("account_id IS NOT NULL")])
    column = "account_id" if indexed else "account_id + 0"
    return all_of([Sql(f"{column} = {account_id:d}"), is_shared])


def all_of(conditions: Iterable[Sql]) -> Sql:
    """Return the condition that all conditions hold.

    >>> all_of([equals("cloud", "aws"), ALWAYS, equals("shared", True)])
    Sql('cloud = ? AND shared = ?', ('aws', True))
    """
    return _join(" AND ", [each for each in conditions if each])


def any_of(conditions: Iterable[Sql]) -> Sql:
    """Return the condition that at least one condition holds, or `ALWAYS` without conditions.

    >>> any_of([equals("cloud", "aws"), equals("cloud", "gce")])
    Sql('(cloud = ? OR cloud = ?)', ('aws', 'gce'))
    """
    joined = _join(" OR ", list(conditions))
    return Sql(f"({joined.text})", joined.params) if joined else joined


def not_(condition: Sql) -> Sql:
    """Return the condition that `condition` does not hold.

    >>> not_(equals("cloud", "aws"))
    Sql('NOT (cloud = ?)', ('aws',))
    """
    return Sql(f"NOT ({condition.text})", condition.params)


def not_selected(column: str, statement: Sql) -> Sql:
    """Return the condition that a statement does not select the value of a column.

    >>> not_selected("scope_id", Sql("SELECT 1"))
    Sql('scope_id NOT IN (SELECT 1)')
    """
    return Sql(f"{column} NOT IN ({statement.text})", statement.params)


def images_of_groups(groups: Sql) -> Sql:
    """Return the condition that an image belongs to one of the selected facet groups.

    >>> images_of_groups(select(["id"], rows_of("facet_group", equals("cloud", "aws"))))
    Sql('group_id IN (SELECT id FROM facet_group WHERE cloud = ?)', ('aws',))
    """
    return Sql(f"group_id IN ({groups.text})", groups.params)


def id_in(statement: Sql) -> Sql:
    """Return the condition that the ID of an image is one of the values of a statement.

    >>> id_in(select(["id"], rows_of("image_tag", equals("token", "cis"))))
    Sql('id IN (SELECT id FROM image_tag WHERE token = ?)', ('cis',))
    """
    return Sql(f"id IN ({statement.text})", statement.params)


def has_match(source: Sql, order_by: str) -> Sql:
    """Return the condition that a source has a row. The source refers to a row of the outer query.

    The subquery has a LIMIT, so that PostgreSQL uses an index to look for one row, once for each
    row of the outer query, instead of reading the whole source. `order_by` is the column that
    follows the compared columns in this index. Without this column, PostgreSQL might not use the
    index if it expects to find a row soon.

    >>> has_match(Sql("image WHERE image.name = given.name"), "id")
    Sql('(SELECT 1 FROM image WHERE image.name = given.name ORDER BY id LIMIT 1) IS NOT NULL')
    """
    found = scalar(select(["1"], source, order_by=order_by, limit=1))
    return Sql(f"{found.text} IS NOT NULL", found.params)


def image_exists(id_column: str, where: Sql) -> Sql:
    """Return the condition that an image meets `where`.

    The ID of the image is in the column `id_column` of another table. The names of columns in
    `where` mean the columns of the image.

    >>> image_exists("image_tag.id", equals("cloud", "aws"))
    Sql('EXISTS (SELECT 1 FROM image WHERE image.id = image_tag.id AND cloud = ?)', ('aws',))
    """
    found = select(["1"], rows_of("image", all_of([columns_equal("image.id", id_column), where])))
    return Sql(f"EXISTS ({found.text})", found.params)


# Expressions


def without_index(column: str) -> str:
    """Return an expression for a column. SQLite does not use an index of the column for it.

    Use this expression in a statement that reads rows in the order of another index. Otherwise,
    SQLite would find rows by the index of this column, and then sort all these rows. PostgreSQL
    chooses an index by its statistics, so it needs no such expression.

    >>> without_index("cloud")
    'LIKELY(cloud)'
    """
    return f"LIKELY({column})" if is_sqlite() else column


def lower_case_column(column: str) -> str:
    """Return the expression for a column in lower case. Its values are compared byte by byte.

    >>> lower_case_column("subject")
    'LOWER(subject)'
    """
    return f"LOWER({column})" if is_sqlite() else f'LOWER({column}) COLLATE "C"'


def zero_if_null(column: str) -> str:
    """Return the expression for the value of a column, or 0 for NULL.

    >>> zero_if_null("registered_by_id")
    'COALESCE(registered_by_id, 0)'
    """
    return f"COALESCE({column}, 0)"


def first_match(results: Iterable[tuple[Sql, int]]) -> str:
    """Return the expression for the number of the first condition that holds.

    `results` has a (condition, number) pair for each condition. The conditions have no parameters.

    >>> first_match([(in_slice(3, shared=True), 0), (in_slice(1, shared=True), 1)])
    'CASE WHEN scope_id = 3 AND shared = TRUE THEN 0 WHEN scope_id = 1 AND shared = TRUE THEN 1 END'
    """
    cases = " ".join(f"WHEN {condition.text} THEN {number:d}" for condition, number in results)
    return f"CASE {cases} END"


def named(expression: str | Sql, name: str) -> Sql:
    """Return an expression as a column with a name.

    >>> named("name_key", "k0")
    Sql('name_key AS k0')
    """
    expression = expression if isinstance(expression, Sql) else Sql(expression)
    return Sql(f"{expression.text} AS {name}", expression.params)


def sum_of(column: str, where: Sql = ALWAYS) -> Sql:
    """Return the expression for the sum of a column over the rows for which `where` holds.

    >>> sum_of("images", equals("cloud", "aws"))
    Sql('SUM(images) FILTER (WHERE cloud = ?)', ('aws',))
    """
    filter_clause = f" FILTER (WHERE {where.text})" if where else ""
    return Sql(f"SUM({column}){filter_clause}", where.params)


def order_by_text(columns: Iterable[str], *, descending: bool) -> str:
    """Return the ORDER BY text for columns that all sort in the same direction.

    >>> order_by_text(["k0", "k1"], descending=True)
    'k0 DESC, k1 DESC'
    """
    return ", ".join(f"{column} {'DESC' if descending else 'ASC'}" for column in columns)


def scalar(statement: Sql) -> Sql:
    """Return the only value of a statement as an expression.

    >>> scalar(Sql("SELECT 1"))
    Sql('(SELECT 1)')
    """
    return Sql(f"({statement.text})", statement.params)


# Sources


def rows_of(table: str | Sql, where: Sql) -> Sql:
    """Return the source for the rows of a table, or of a source, for which a condition holds.

    >>> rows_of("image", equals("cloud", "aws"))
    Sql('image WHERE cloud = ?', ('aws',))
    """
    source = table if isinstance(table, Sql) else Sql(table)
    return _join(" WHERE ", [source, where] if where else [source])


def narrow(source: Sql, condition: Sql) -> Sql:
    """Add a condition to a source that already has a condition. Both must hold.

    >>> narrow(rows_of("image", equals("cloud", "aws")), equals("shared", True))
    Sql('image WHERE cloud = ? AND shared = ?', ('aws', True))
    """
    return all_of([source, condition])


def images_with_texts(texts: Sequence[Sequence[str]], where: Sql) -> Sql:
    """Return the source for images that match `texts`.

    The `search_text` of an image must contain at least one text of each group in `texts`. An index
    finds the images.

    >>> images_with_texts([["web"]], equals("cloud", "aws"))
    Sql('(SELECT rowid AS word_id FROM image_words WHERE image_words MATCH ?) AS words
         CROSS JOIN image WHERE id = word_id AND cloud = ?', ('"web"', 'aws'))
    """
    if not is_sqlite():
        matches = [any_of(_indexed_match(text) for text in group) for group in texts]
        return rows_of("image", all_of([*matches, where]))
    found = select(["rowid AS word_id"], indexed_texts(texts))
    source = rows_of("CROSS JOIN image", all_of([Sql("id = word_id"), where]))
    return _join(" ", [subquery(found, "words"), source])


def _indexed_match(text: str) -> Sql:
    """Return the condition by which an index of PostgreSQL finds the images that contain a text.

    A trigram has three characters, but many Chinese, Japanese and Korean words have only one or
    two. If the locale of the database is C, PostgreSQL's trigrams contain no characters of these
    languages at all. So a text with such characters is found by its short words (`short_words`).
    """
    if words := short_words(text):
        array = f"ARRAY[{', '.join('?' * len(words))}]::TEXT[]"
        return Sql(f"{SHORT_WORDS} @> {array} AND {HAS_SHORT_WORDS}", tuple(words))
    return Sql("search_text LIKE ?", (_like_pattern(text),))


def indexed_texts(texts: Iterable[Sequence[str]]) -> Sql:
    """Return the source for the entries of SQLite's index of trigrams that match `texts`.

    An entry matches if it contains at least one text of each group in `texts`.

    >>> indexed_texts([["web"]])
    Sql('image_words WHERE image_words MATCH ?', ('"web"',))
    """
    return rows_of("image_words", Sql("image_words MATCH ?", (_fts_phrase(texts),)))


def subquery(statement: Sql, name: str) -> Sql:
    """Return the source for the rows of a statement.

    >>> subquery(Sql("SELECT 1"), "found")
    Sql('(SELECT 1) AS found')
    """
    return Sql(f"({statement.text}) AS {name}", statement.params)


def joined_images(statement: Sql, name: str, id_column: str) -> Sql:
    """Return the source for the rows of a statement, each joined with its image.

    The statement returns the ID of the image in the column `id_column`.

    >>> joined_images(Sql("SELECT 7 AS k0"), "page", "k0")
    Sql('(SELECT 7 AS k0) AS page JOIN image ON image.id = page.k0')
    """
    page = subquery(statement, name)
    return Sql(f"{page.text} JOIN image ON image.id = {name}.{id_column}", page.params)


# Statements


def select(
    columns: Sequence[str | Sql],
    source: Sql,
    *,
    distinct: bool = False,
    group_by: Sequence[str] = (),
    order_by: str = "",
    limit: int | None = None,
) -> Sql:
    """Return a SELECT statement.

    With `distinct`, equal rows are returned once. In SQLite, this is faster than grouping the rows.

    >>> images = rows_of("image", equals("cloud", "aws"))
    >>> select(["id", "name"], images, order_by="id ASC", limit=50)
    Sql('SELECT id, name FROM image WHERE cloud = ? ORDER BY id ASC LIMIT 50', ('aws',))
    """
    column_list = _join(", ", [each if isinstance(each, Sql) else Sql(each) for each in columns])
    keyword = "SELECT DISTINCT" if distinct else "SELECT"
    text = f"{keyword} {column_list.text} FROM {source.text}"
    if group_by:
        text += f" GROUP BY {', '.join(group_by)}"
    return Sql(text + _order_and_limit(order_by, limit), column_list.params + source.params)


def distinct_values(column: str, source: Sql) -> Sql:
    """Return the statement for the distinct values of a column that has no NULL.

    An index must contain the rows of the source, sorted by the column. The statement reads only one
    entry of this index for each value, so it is fast if there are many rows but few values.

    >>> distinct_values("cloud", rows_of("image", equals("shared", True)))
    Sql('WITH RECURSIVE found (value) AS (SELECT
         (SELECT cloud FROM image WHERE shared = ? ORDER BY cloud LIMIT 1) UNION ALL SELECT
         (SELECT cloud FROM image WHERE shared = ? AND cloud > found.value ORDER BY cloud LIMIT 1)
         FROM found WHERE value IS NOT NULL) SELECT value FROM found WHERE value IS NOT NULL',
        (True, True))
    """
    later_rows = narrow(source, Sql(f"{column} > found.value"))
    first, next_ = (
        scalar(select([column], each, order_by=column, limit=1)) for each in (source, later_rows)
    )
    return Sql(
        f"WITH RECURSIVE found (value) AS (SELECT {first.text} UNION ALL SELECT {next_.text} "  # noqa: S608  names
        "FROM found WHERE value IS NOT NULL) SELECT value FROM found WHERE value IS NOT NULL",
        first.params + next_.params,
    )


def value(text: str, name: str) -> Sql:
    """Return the statement for one row with one column. `text` is its value, and `name` its name.

    >>> value("web", "name")
    Sql('SELECT CAST(? AS TEXT) AS name', ('web',))
    """
    return Sql(f"SELECT CAST(? AS TEXT) AS {name}", (text,))


def union(statements: Iterable[Sql]) -> Sql:
    """Return the statement for the rows of all statements.

    >>> union([Sql("SELECT 1"), Sql("SELECT ?", (2,))])
    Sql('SELECT 1 UNION ALL SELECT ?', (2,))
    """
    return _join(" UNION ALL ", list(statements))


def first_rows(statement: Sql, *, order_by: str, limit: int, offset: int = 0) -> Sql:
    """Return the statement for the first rows of a statement, in order.

    >>> first_rows(Sql("SELECT id FROM a UNION ALL SELECT id FROM b"), order_by="id ASC", limit=9)
    Sql('SELECT id FROM a UNION ALL SELECT id FROM b ORDER BY id ASC LIMIT 9')
    """
    return Sql(statement.text + _order_and_limit(order_by, limit, offset), statement.params)


def merge(ranges: Sequence[Sql], *, order_by: str, limit: int, offset: int = 0, plain: bool) -> Sql:
    """Return the statement for the first rows of several index ranges, in order.

    The rows of each range must already be in this order in the index. `plain` means that the ranges
    have no condition except their scope slice. SQLite then reads only the necessary rows of each
    range. In all other cases, the database might sort all rows of the ranges, so each range gets
    the limit too.

    >>> ranges = [Sql("SELECT id FROM a"), Sql("SELECT id FROM b")]
    >>> merge(ranges, order_by="id ASC", limit=9, plain=True)
    Sql('SELECT id FROM a UNION ALL SELECT id FROM b ORDER BY id ASC LIMIT 9')
    >>> merge(ranges[:1], order_by="id ASC", limit=9, plain=False)
    Sql('SELECT * FROM (SELECT id FROM a ORDER BY id ASC LIMIT 9) AS part
         ORDER BY id ASC LIMIT 9')
    """
    if not (plain and is_sqlite()):
        heads = [first_rows(each, order_by=order_by, limit=limit + offset) for each in ranges]
        ranges = [select(["*"], subquery(head, "part")) for head in heads]
    return first_rows(union(ranges), order_by=order_by, limit=limit, offset=offset)


def count(source: Sql, limit: int | None = None) -> Sql:
    """Return the statement that counts rows, up to a limit.

    >>> count(Sql("image"))
    Sql('SELECT COUNT(*) FROM image')
    >>> count(Sql("image"), limit=9)
    Sql('SELECT COUNT(*) FROM (SELECT 1 FROM image LIMIT 9) AS found')
    """
    if limit is not None:
        source = subquery(select(["1"], source, limit=limit), "found")
    return select(["COUNT(*)"], source)


def sum_of_results(statements: Iterable[Sql]) -> Sql:
    """Return the statement that adds the numbers that the statements return. NULL counts as 0.

    >>> sum_of_results([Sql("SELECT SUM(x) FROM a"), Sql("SELECT SUM(x) FROM b")])
    Sql('SELECT COALESCE((SELECT SUM(x) FROM a), 0) + COALESCE((SELECT SUM(x) FROM b), 0)')
    """
    numbers = [Sql(f"COALESCE(({each.text}), 0)", each.params) for each in statements]
    joined = _join(" + ", numbers)
    return Sql(f"SELECT {joined.text}", joined.params)


def results_of(statements: Iterable[Sql]) -> Sql:
    """Return the statement for one row, with a column for the value of each statement.

    >>> results_of([Sql("SELECT 1"), Sql("SELECT ?", (2,))])
    Sql('SELECT (SELECT 1), (SELECT ?)', (2,))
    """
    columns = _join(", ", [scalar(each) for each in statements])
    return Sql(f"SELECT {columns.text}", columns.params)


def rows_with_match(columns: Sequence[str], rows: Sequence[tuple[Any, ...]], match: Sql) -> Sql:
    """Return the statement for those of the given rows that meet a condition.

    The condition refers to the rows as the table `given`.

    >>> rows_with_match(["name"], [("web",), ("db",)], Sql("given.name <> ?", ("x",)))
    Sql('WITH given (name) AS (VALUES (?), (?)) SELECT name FROM given WHERE given.name <> ?',
        ('web', 'db', 'x'))
    """
    names, placeholders = ", ".join(columns), ", ".join("?" * len(columns))
    values = ", ".join([f"({placeholders})"] * len(rows))
    text = f"WITH given ({names}) AS (VALUES {values}) SELECT {names} FROM given"  # noqa: S608  names
    params = tuple(value for row in rows for value in row)
    return Sql(f"{text} WHERE {match.text}", params + match.params)


def fetch(statement: Sql) -> list[tuple[Any, ...]]:
    """Return the rows of a statement."""
    text = statement.text if is_sqlite() else statement.text.replace("?", "%s")
    rows: list[tuple[Any, ...]] = database.execute_sql(text, statement.params).fetchall()
    return rows


def fetch_number(statement: Sql) -> int:
    """Return the only value of a statement, as an integer. NULL becomes 0."""
    ((number,),) = fetch(statement)
    return int(number or 0)


def as_peewee(condition: Sql) -> Any:
    """Return a condition for a Peewee query on one table. Use it to read models."""
    return peewee.SQL(condition.text.replace("?", database.param), condition.params)


def _join(separator: str, parts: Sequence[Sql]) -> Sql:
    return Sql(
        separator.join([each.text for each in parts]),
        tuple([value for each in parts for value in each.params]),
    )


def _order_and_limit(order_by: str, limit: int | None, offset: int = 0) -> str:
    text = f" ORDER BY {order_by}" if order_by else ""
    if limit is not None:
        text += f" LIMIT {limit:d}"
    if offset:
        text += f" OFFSET {offset:d}"
    return text


def _like_pattern(text: str) -> str:
    """Return the pattern for texts that contain `text`.

    >>> print(_like_pattern("100%"))
    %100\\%%
    """
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


def _fts_phrase(texts: Iterable[Sequence[str]]) -> str:
    """Return SQLite's full-text query for rows that contain at least one text of each group.

    >>> print(_fts_phrase([["web"], ['a "b" c']]))
    "web" AND "a ""b"" c"
    >>> print(_fts_phrase([["web", "db"], ["1.0"]]))
    ("web" OR "db") AND "1.0"
    """
    groups = [['"' + text.replace('"', '""') + '"' for text in group] for group in texts]
    return " AND ".join(
        f"({' OR '.join(group)})" if len(group) > 1 else group[0] for group in groups
    )
