"""What stands under the Images page: the same answers by the least that can give them.

A bare WSGI app under the same gunicorn. For each case it runs one or two statements, written by
hand for that page and knowing what no search can know beforehand: how many match. It asks through
the driver alone, on a connection that stays open, and writes fifty plain rows by formatting
strings. No session, no rights, no template. `rows` and `groups` are what the statements in
`bench.list_cases` are made of.
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
SHOWN = (
    "image.id, image.name, image.cloud_image_id, image.cloud, image.location, image.os_family, "
    "image.os_version, image.agent_installed, image.state, image.status, image.verified, "
    "image.scope_id, image.registered_at"
)
SQLITE = ("cache_size = -16000", "mmap_size = 2147418112", "temp_store = memory")
"""As the app has it, so that both read the file alike."""
FILE = "BENCH_FLOOR"
"""The setting that names the file of the statements."""
ROW = (
    '<tr><td><a href="/images/{}">{}</a><div>{}</div></td><td>{}<div>{}</div></td><td>{} {}</td>'
    "<td>{}</td><td>{} {} {}</td><td>{}</td><td>{}</td></tr>\n"
)
Shelves = Sequence[tuple[int, bool]]
"""Ids of scopes, and whether it is their shared images, the nearest scope first."""


@dataclass(frozen=True)
class Floor:
    """The statements for one page: `page` for its rows, `count` for the numbers above them, which
    is the number of the rows where it is ''. With `sums` the last column is a number, and the page
    shows its sums by the values of each other column: that is less work here than in SQL."""

    page: str
    count: str = ""
    sums: bool = False


def held(shelves: Shelves) -> str:
    """The condition for what stands on one of the shelves."""
    return "(" + " OR ".join(_on(*shelf) for shelf in shelves) + ")"


def _on(scope: int, shared: bool) -> str:
    return f"(scope_id = {scope} AND shared = {shared})"


def sorted_by(keys: Sequence[str], direction: str) -> str:
    return ", ".join(f"{key} {direction}" for key in (*keys, "id"))


def places(
    shelves: Shelves, keys: Sequence[str], direction: str, where: str = "TRUE", most: int = PAGE
) -> str:
    """The first ids and what they are sorted by: each shelf's are a run of an index in that order,
    and the runs are merged."""
    order = sorted_by(keys, direction)
    runs = " UNION ALL ".join(
        f"SELECT * FROM (SELECT {', '.join((*keys, 'id'))} FROM image "  # noqa: S608
        f"WHERE {_on(*shelf)} AND {where} ORDER BY {order} LIMIT {most}) AS run_{at}"
        for at, shelf in enumerate(shelves)
    )
    return f"{runs} ORDER BY {order} LIMIT {most}"


def rows(
    shelves: Shelves,
    keys: Sequence[str] = ("registered_at",),
    direction: str = "DESC",
    where: str = "TRUE",
) -> str:
    """The rows of the first page in an order, passing over what is not `where`."""
    order = ", ".join(f"image.{key} {direction}" for key in (*keys, "id"))
    return (
        f"SELECT {SHOWN} FROM ({places(shelves, keys, direction, where)}) AS place "  # noqa: S608
        f"JOIN image ON image.id = place.id ORDER BY {order}"
    )


def rows_shelf_by_shelf(order: Iterable[tuple[int, Shelves]]) -> str:
    """The rows of the first page where whole shelves come before others; with ranks."""
    runs = " UNION ALL ".join(
        f"SELECT * FROM (SELECT {rank} AS rank, id FROM image WHERE {_on(*shelf)} "  # noqa: S608
        f"ORDER BY id LIMIT {PAGE}) AS run_{rank}_{at}"
        for rank, shelves in order
        for at, shelf in enumerate(shelves)
    )
    return (
        f"SELECT {SHOWN} FROM ({runs} ORDER BY rank, id LIMIT {PAGE}) AS place "  # noqa: S608
        "JOIN image ON image.id = place.id ORDER BY place.rank, image.id"
    )


def groups(shelves: Shelves, where: str = "TRUE") -> str:
    """How many images, by the groups that count them."""
    runs = " UNION ALL ".join(
        f"SELECT sum(images) AS images FROM facet_group WHERE {_on(*shelf)} AND {where}"  # noqa: S608
        for shelf in shelves
    )
    return f"SELECT sum(images) FROM ({runs}) AS runs"  # noqa: S608


def up_to(most: int, shelves: Shelves, where: str) -> str:
    """How many images, counted up to `most`."""
    runs = " UNION ALL ".join(
        f"SELECT * FROM (SELECT 1 FROM image WHERE {_on(*shelf)} AND {where} LIMIT {most}) AS r{at}"  # noqa: S608
        for at, shelf in enumerate(shelves)
    )
    return f"SELECT count(*) FROM (SELECT * FROM ({runs}) AS runs LIMIT {most}) AS found"  # noqa: S608


def write(file: Path, url: str, floors: dict[str, Floor]) -> None:
    """What `app` reads: the database, and the statements by their path."""
    statements = {path: asdict(floor) for path, floor in floors.items()}
    file.write_text(json.dumps({"url": url, "floors": statements}))


def app() -> Callable[..., Iterable[bytes]]:
    """The WSGI app."""
    said = json.loads(Path(os.environ[FILE]).read_text())
    floors = {path: Floor(**floor) for path, floor in said["floors"].items()}
    kept = threading.local()

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        floor = floors.get(environ["PATH_INFO"])
        if floor is None:
            start_response("404 Not Found", [("Content-Length", "0")])
            return []
        if not hasattr(kept, "connection"):
            kept.connection = _connect(said["url"])
        body = _page(kept.connection, floor).encode()
        headers = [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(body)))]
        start_response("200 OK", headers)
        return [body]

    return answer


def _connect(url: str) -> Any:
    if urlsplit(url).scheme == "sqlite":
        connection = sqlite3.connect(urlsplit(url).path, isolation_level=None)
        for setting in SQLITE:
            connection.execute(f"PRAGMA {setting}")
        return connection
    return psycopg.connect(url, autocommit=True)


def _page(connection: Any, floor: Floor) -> str:
    found = connection.execute(floor.page).fetchall()
    counts = [len(found)]
    if floor.count:
        counts = [row[0] for row in connection.execute(floor.count).fetchall()]
    if floor.sums:
        body = "".join(_summed(found))
    else:
        texts = ([escape(str(value)) for value in row] for row in found[:PAGE])
        body = "".join(ROW.format(*row) for row in texts)
    return (
        f"<!doctype html><title>Images</title><p>{', '.join(map(str, counts))} images</p>"
        f"<table>\n{body}</table><a rel=next>Next</a>\n"
    )


def _summed(found: Sequence[Sequence[Any]]) -> Iterable[str]:
    *columns, numbers = zip(*found, strict=True)
    for column in columns:
        sums: dict[Any, int] = {}
        for value, number in zip(column, numbers, strict=True):
            sums[value] = sums.get(value, 0) + number
        for value, number in sums.items():
            yield f"<tr><td>{escape(str(value))}</td><td>{number}</td></tr>\n"
