"""A minimal application that returns the same results as the Images page with the least work.

The benchmark compares the Images page with this application, to show how much faster the page could
be. It is a WSGI application that runs under the same gunicorn as the product. It has no session, no
access control and no templates. Each page executes one or two SQL statements, which
`bench.list_cases` composes for this page from functions of this module, such as `rows` and
`groups`. The author of a statement knows whether many or few images match, but a search of the
product has to find that out first. The minimal application uses the database driver directly, on a
connection that stays open, and formats fifty plain rows as strings.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

PAGE = 50
SHOWN_COLUMNS = (
    "image.id, image.name, image.cloud_image_id, image.cloud, image.location, image.os_family, "
    "image.os_version, image.agent_installed, image.state, image.status, image.verified, "
    "image.scope_id, image.registered_at"
)
SQLITE_PRAGMAS = ("cache_size = -16000", "mmap_size = 2147418112", "temp_store = memory")
"""The settings of SQLite that the product uses. So both applications read the database alike."""
FILE = "BENCH_LOWER_BOUND"
"""The environment variable that names the file with the statements."""
ROW_HTML = (
    '<tr><td><a href="/images/{}">{}</a><div>{}</div></td><td>{}<div>{}</div></td><td>{} {}</td>'
    "<td>{}</td><td>{} {} {}</td><td>{}</td><td>{}</td></tr>\n"
)
Slices = Sequence[tuple[str, bool]]
"""The slices of images that a page shows. The slices of the nearest scope come first.

A slice is a pair: a condition for the scopes that own the images, and whether the images are
shared. For example, `("scope_id = 3", True)` are the shared images of one scope.
"""


@dataclass(frozen=True)
class LowerBound:
    """The statements for one page.

    `page` selects the rows. `count` selects the numbers that the page shows above the rows. If
    `count` is '', the page shows the number of rows. If `sums` is true, the last column of the rows
    is a number of images. The page then shows the number of images for each value of the other
    columns, for example for each cloud. Adding the numbers in Python is less work than in SQL.
    """

    page: str
    count: str = ""
    sums: bool = False


def in_slices(slices: Slices) -> str:
    """Return the condition that an image belongs to one of the slices."""
    return "(" + " OR ".join(_in_slice(*each) for each in slices) + ")"


def _in_slice(owners: str, shared: bool) -> str:
    return f"({owners} AND shared = {shared})"


def sorted_by(keys: Sequence[str], direction: str) -> str:
    return ", ".join(f"{key} {direction}" for key in (*keys, "id"))


def sort_keys(
    slices: Slices, keys: Sequence[str], direction: str, where: str = "TRUE", limit: int = PAGE
) -> str:
    """Return the statement that selects the sort keys and IDs of the first `limit` images.

    The statement merges one index range for each slice.
    """
    order = sorted_by(keys, direction)
    ranges = " UNION ALL ".join(
        f"SELECT * FROM (SELECT {', '.join((*keys, 'id'))} FROM image "  # noqa: S608
        f"WHERE {_in_slice(*each)} AND {where} ORDER BY {order} LIMIT {limit}) AS range_{index}"
        for index, each in enumerate(slices)
    )
    return f"{ranges} ORDER BY {order} LIMIT {limit}"


def rows(
    slices: Slices,
    keys: Sequence[str] = ("registered_at",),
    direction: str = "DESC",
    where: str = "TRUE",
) -> str:
    """Return the statement for the first rows, in order, for which `where` holds."""
    order = ", ".join(f"image.{key} {direction}" for key in (*keys, "id"))
    return (
        f"SELECT {SHOWN_COLUMNS} FROM ({sort_keys(slices, keys, direction, where)}) AS page "  # noqa: S608
        f"JOIN image ON image.id = page.id ORDER BY {order}"
    )


def rows_by_rank(ranked: Iterable[tuple[int, Slices]]) -> str:
    """Return the statement for the first rows. Images of slices with a lower rank come first."""
    ranges = " UNION ALL ".join(
        f"SELECT * FROM (SELECT {rank} AS rank, id FROM image WHERE {_in_slice(*each)} "  # noqa: S608
        f"ORDER BY id LIMIT {PAGE}) AS range_{rank}_{index}"
        for rank, slices in ranked
        for index, each in enumerate(slices)
    )
    return (
        f"SELECT {SHOWN_COLUMNS} FROM ({ranges} ORDER BY rank, id LIMIT {PAGE}) AS page "  # noqa: S608
        "JOIN image ON image.id = page.id ORDER BY page.rank, image.id"
    )


def groups(slices: Slices, where: str = "TRUE") -> str:
    """Return the statement that counts images by adding up the counts of facet groups.

    `schema.images.FacetGroup` explains facet groups.
    """
    sums = " UNION ALL ".join(
        f"SELECT sum(images) AS images FROM facet_group WHERE {_in_slice(*each)} AND {where}"  # noqa: S608
        for each in slices
    )
    return f"SELECT sum(images) FROM ({sums}) AS sums"  # noqa: S608


def count_up_to(limit: int, slices: Slices, where: str) -> str:
    """Return the statement that counts images up to `limit`."""
    parts = " UNION ALL ".join(
        f"SELECT * FROM (SELECT 1 FROM image WHERE {_in_slice(*each)} AND {where} "  # noqa: S608
        f"LIMIT {limit}) AS part_{index}"
        for index, each in enumerate(slices)
    )
    return f"SELECT count(*) FROM (SELECT * FROM ({parts}) AS parts LIMIT {limit}) AS found"  # noqa: S608


def write(file: Path, url: str, pages: dict[str, LowerBound]) -> None:
    """Write the file that `app` reads: the URL of the database, and the statements by URL path."""
    statements = {path: asdict(page) for path, page in pages.items()}
    file.write_text(json.dumps({"url": url, "pages": statements}))


def app() -> Callable[..., Iterable[bytes]]:
    """Return the WSGI application."""
    configuration = json.loads(Path(os.environ[FILE]).read_text())
    pages = {path: LowerBound(**page) for path, page in configuration["pages"].items()}
    local = threading.local()

    def handle_request(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        page = pages.get(environ["PATH_INFO"])
        if page is None:
            start_response("404 Not Found", [("Content-Length", "0")])
            return []
        if not hasattr(local, "connection"):
            local.connection = _connect(configuration["url"])
        body = _render(local.connection, page).encode()
        headers = [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(body)))]
        start_response("200 OK", headers)
        return [body]

    return handle_request


def _connect(url: str) -> Any:
    if urlsplit(url).scheme == "sqlite":
        connection = sqlite3.connect(urlsplit(url).path, isolation_level=None)
        for setting in SQLITE_PRAGMAS:
            connection.execute(f"PRAGMA {setting}")
        return connection
    return psycopg.connect(url, autocommit=True)


def _render(connection: Any, page: LowerBound) -> str:
    found = connection.execute(page.page).fetchall()
    counts = [len(found)]
    if page.count:
        counts = [row[0] for row in connection.execute(page.count).fetchall()]
    if page.sums:
        body = "".join(_render_sums(found))
    else:
        texts = ([escape(str(value)) for value in row] for row in found[:PAGE])
        body = "".join(ROW_HTML.format(*row) for row in texts)
    return (
        f"<!doctype html><title>Images</title><p>{', '.join(map(str, counts))} images</p>"
        f"<table>\n{body}</table><a rel=next>Next</a>\n"
    )


def _render_sums(found: Sequence[Sequence[Any]]) -> Iterable[str]:
    *columns, numbers = zip(*found, strict=True)
    for column in columns:
        sums: dict[Any, int] = {}
        for value, number in zip(column, numbers, strict=True):
            sums[value] = sums.get(value, 0) + number
        for value, number in sums.items():
            yield f"<tr><td>{escape(str(value))}</td><td>{number}</td></tr>\n"
