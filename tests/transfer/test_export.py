"""Images as a file: every column, what a spreadsheet must not run, and what is not to be seen."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from datetime import date

from models import Image, LifeCycle, Scope, today
from tests.conftest import MakeImage
from webapp.access import Actor
from webapp.search import catalogue
from webapp.search.language import EVERYTHING
from webapp.transfer import export as exchange

Actors = Callable[[str], Actor]
Scopes = Callable[[str], Scope]


def csv_of(actor: Actor, at: Scope) -> list[dict[str, str]]:
    text = "".join(exchange.as_csv(catalogue.each(actor, at, EVERYTHING), at))
    return list(csv.DictReader(io.StringIO(text, newline="")))


def json_of(actor: Actor, at: Scope) -> list[dict[str, object]]:
    text = "".join(exchange.as_json(catalogue.each(actor, at, EVERYTHING), at))
    found: list[dict[str, object]] = json.loads(text)
    return found


def test_every_column(make_image: MakeImage, actor_of: Actors, scope: Scopes) -> None:
    successor = make_image("acme", 2, name="plucky")
    image = make_image("acme", 1)
    image.status, image.deprecated_on = LifeCycle.DEPRECATED, date(2026, 1, 31)
    image.status_reason, image.successor = "Too old.", successor
    image.save()
    actor = actor_of("account-editor")
    there = json_of(actor, scope("acme"))[1]
    assert there == {
        "id": image.id,
        "scope": "account/acme",
        "cloud": "aws",
        "location": "us-east-1",
        "cloud_image_id": "ami-00000000000000001",
        "compute_resource": "",
        "name": "noble",
        "os_family": "ubuntu",
        "os_version": "24.04",
        "size_gb": 8,
        "agent_installed": True,
        "shared": True,
        "description": "Ubuntu 24.04",
        "architecture": "x86_64",
        "state": "available",
        "status": "deprecated",
        "deprecated_on": "2026-01-31",
        "retired_on": None,
        "status_reason": "Too old.",
        "successor": "ami-00000000000000002",
        "verified": True,
        "credentials": "AWS",
        "registered_by": image.registered_by_name,
        "registered_at": image.registered_at.isoformat(),
        "checked_at": image.checked_at.isoformat(),
    }
    assert tuple(there) == exchange.COLUMNS
    assert csv_of(actor, scope("acme"))[1] == {
        **{name: str(value) for name, value in there.items()},
        "agent_installed": "yes",
        "shared": "yes",
        "retired_on": "",
        "verified": "yes",
    }


def test_what_is_inherited_is_among_them_with_its_owner(
    make_image: MakeImage, actor_of: Actors, scope: Scopes
) -> None:
    make_image("", 1)
    make_image("", 2, shared=False)
    make_image("acme/production", 3)
    make_image("acme/staging", 4)
    rows = csv_of(actor_of("scalr-viewer"), scope("acme/production"))
    assert {row["scope"] for row in rows} == {"environment/acme/production", "scalr"}
    assert len(rows) == 2


def test_a_successor_that_is_not_seen_is_not_told(
    make_image: MakeImage, actor_of: Actors, scope: Scopes
) -> None:
    image, hidden = make_image("", 1), make_image("", 2, shared=False)
    image.successor = hidden
    image.save()
    assert csv_of(actor_of("scalr-viewer"), scope("acme"))[0]["successor"] == ""
    told = {row["successor"] for row in csv_of(actor_of("scalr-viewer"), scope(""))}
    assert told == {"", hidden.cloud_image_id}


def test_a_spreadsheet_runs_nothing_of_it(
    make_image: MakeImage, actor_of: Actors, scope: Scopes
) -> None:
    for number, name in enumerate(("=1+1", "+1", "-1", "@SUM(A1)", "'=1", "'tis"), start=1):
        make_image("acme", number, name=name)
    names = [row["name"] for row in csv_of(actor_of("account-viewer"), scope("acme"))]
    assert names == ["'=1+1", "'+1", "'-1", "'@SUM(A1)", "''=1", "'tis"]
    plain = [row["name"] for row in json_of(actor_of("account-viewer"), scope("acme"))]
    assert plain == ["=1+1", "+1", "-1", "@SUM(A1)", "'=1", "'tis"]


def test_texts_that_files_trip_over(make_image: MakeImage, actor_of: Actors, scope: Scopes) -> None:
    image = make_image("acme", name='“a”, "b"; c')
    image.description = "one\r\ntwo\n\t“three”"
    image.save()
    for row in (
        csv_of(actor_of("account-viewer"), scope("acme"))[0],
        json_of(actor_of("account-viewer"), scope("acme"))[0],
    ):
        assert (row["name"], row["description"]) == (image.name, image.description)


def test_nothing_is_a_whole_file_too(actor_of: Actors, scope: Scopes) -> None:
    actor, here = actor_of("scalr-viewer"), scope("globex")
    assert json_of(actor, here) == []
    assert "".join(exchange.as_csv([], here)) == ",".join(exchange.COLUMNS) + "\r\n"


def test_it_is_written_while_it_is_read(make_image: MakeImage, scope: Scopes) -> None:
    """However many there are, no more than a chunk is in memory."""
    image, read = make_image("acme"), 0

    def images() -> Iterator[Image]:
        nonlocal read
        for _ in range(10 * exchange.CHUNK):
            read += 1
            yield image

    for write in (exchange.as_csv, exchange.as_json):
        read = 0
        pieces = write(images(), scope("acme"))
        for number in range(3):
            assert next(pieces)
            assert read <= (number + 1) * exchange.CHUNK
        assert sum(piece.count("noble") for piece in pieces) >= 7 * exchange.CHUNK


def test_a_file_is_called_after_its_scope_and_day(scope: Scopes) -> None:
    day = today().isoformat()
    assert exchange.file_name(scope(""), "csv") == f"images-scalr-{day}.csv"
    assert exchange.file_name(scope("acme/production"), "json") == (
        f"images-acme-production-{day}.json"
    )
