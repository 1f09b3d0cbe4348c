"""Exports: the columns, escaped formulas, and images that an export must leave out."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import date

import pytest

from models import Image, LifeCycle, Scope, today
from tests.conftest import ActorOf, ClientOf, MakeImage, ScopeAt
from webapp.access import Actor
from webapp.search import catalogue
from webapp.search.query import OWNED_OR_INHERITED
from webapp.transfer import export

HOSTILE_NAME = 'Acme"; filename="../../x.html\r\nX-Forged: 1'


def read_csv(actor: Actor, scope: Scope) -> list[dict[str, str]]:
    text = "".join(
        export.csv_chunks(catalogue.iterate_images(actor, scope, OWNED_OR_INHERITED), scope)
    )
    assert text.startswith(export.BYTE_ORDER_MARK)
    return list(csv.DictReader(io.StringIO(text[1:], newline="")))


def read_json(actor: Actor, scope: Scope) -> list[dict[str, object]]:
    text = "".join(
        export.json_chunks(catalogue.iterate_images(actor, scope, OWNED_OR_INHERITED), scope)
    )
    records: list[dict[str, object]] = json.loads(text)
    return records


def test_an_export_has_every_column(
    make_image: MakeImage, actor_of: ActorOf, scope: ScopeAt
) -> None:
    successor = make_image("acme", 2, name="plucky")
    image = make_image("acme", 1, tags=["cis", "team=web"])
    image.status, image.deprecated_on = LifeCycle.DEPRECATED, date(2026, 1, 31)
    image.status_reason, image.successor = "Too old.", successor
    image.save()
    actor = actor_of("account-editor")
    record = read_json(actor, scope("acme"))[1]
    assert record == {
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
        "tags": ["cis", "team=web"],
        "notes": "",
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
    assert tuple(record) == export.COLUMNS
    assert read_csv(actor, scope("acme"))[1] == {
        **{name: str(value) for name, value in record.items()},
        "agent_installed": "yes",
        "shared": "yes",
        "tags": "cis, team=web",
        "retired_on": "",
        "verified": "yes",
    }


def test_inherited_images_are_exported_with_their_owner(
    make_image: MakeImage, actor_of: ActorOf, scope: ScopeAt
) -> None:
    make_image("", 1)
    make_image("", 2, shared=False)
    make_image("acme/production", 3)
    make_image("acme/staging", 4)
    rows = read_csv(actor_of("scalr-viewer"), scope("acme/production"))
    assert {row["scope"] for row in rows} == {"environment/acme/production", "scalr"}
    assert len(rows) == 2


def test_a_successor_that_is_not_visible_is_not_exported(
    make_image: MakeImage, actor_of: ActorOf, scope: ScopeAt
) -> None:
    image, hidden = make_image("", 1), make_image("", 2, shared=False)
    image.successor = hidden
    image.save()
    assert read_csv(actor_of("scalr-viewer"), scope("acme"))[0]["successor"] == ""
    successors = {row["successor"] for row in read_csv(actor_of("scalr-viewer"), scope(""))}
    assert successors == {"", hidden.cloud_image_id}


def test_formulas_are_escaped_in_csv(
    make_image: MakeImage, actor_of: ActorOf, scope: ScopeAt
) -> None:
    names = ["=1+1", "+1", "-1", "@SUM(A1)", "'=1", "'tis", "x;=1+1;y", ';"-1']
    for number, name in enumerate(names, start=1):
        make_image("acme", number, name=name)
    cells = [row["name"] for row in read_csv(actor_of("account-viewer"), scope("acme"))]
    escaped = ["'=1+1", "'+1", "'-1", "'@SUM(A1)", "''=1", "'tis", "x;'=1+1;y", ";'\"-1"]
    assert cells == escaped
    json_names = [row["name"] for row in read_json(actor_of("account-viewer"), scope("acme"))]
    assert json_names == names


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_file_has_no_formula_however_a_spreadsheet_splits_it(
    make_image: MakeImage, scope: ScopeAt, delimiter: str
) -> None:
    """In many countries, spreadsheets split a CSV file at semicolons."""
    image = make_image("acme", name="x;=1+1;y")
    image.description = 'one;-2;"=3"\n@four\t+5;  =6;\r\n＝7'
    text = "".join(export.csv_chunks([image], scope("acme")))
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    if delimiter != ",":  # A spreadsheet might also ignore the quotes.
        rows += [line.split(delimiter) for line in text.splitlines()]
    cells = [cell.lstrip(' "') for row in rows for cell in row]
    assert [cell for cell in cells if cell[:1] in set("=+-@＝＋－＠")] == []


def test_special_characters_are_preserved(
    make_image: MakeImage, actor_of: ActorOf, scope: ScopeAt
) -> None:
    image = make_image("acme", name='“a”, "b"; c')
    image.description = "one\r\ntwo\n\t“three”"
    image.save()
    for row in (
        read_csv(actor_of("account-viewer"), scope("acme"))[0],
        read_json(actor_of("account-viewer"), scope("acme"))[0],
    ):
        assert (row["name"], row["description"]) == (image.name, image.description)


def test_an_export_without_images_is_valid(actor_of: ActorOf, scope: ScopeAt) -> None:
    actor, here = actor_of("scalr-viewer"), scope("globex")
    assert read_json(actor, here) == []
    assert "".join(export.csv_chunks([], here)) == "\ufeff" + ",".join(export.COLUMNS) + "\r\n"


def test_images_are_read_while_the_export_is_written(make_image: MakeImage, scope: ScopeAt) -> None:
    """At most one chunk of images is in memory, for any number of images."""
    image, images_read = make_image("acme"), 0

    def images() -> Iterator[Image]:
        nonlocal images_read
        for _ in range(10 * export.CHUNK_SIZE):
            images_read += 1
            yield image

    for export_chunks in (export.csv_chunks, export.json_chunks):
        images_read = 0
        chunks = export_chunks(images(), scope("acme"))
        for number in range(3):
            assert next(chunks)
            assert images_read <= (number + 1) * export.CHUNK_SIZE
        assert sum(chunk.count("noble") for chunk in chunks) >= 7 * export.CHUNK_SIZE


def test_a_request_does_not_choose_the_file_name(client_of: ClientOf, acme: Scope) -> None:
    acme.name = HOSTILE_NAME
    acme.save()
    client = client_of("account-admin")
    for end in ("", "?filename=../../x.html", "?name=x%0d%0aX-Forged:1&download=x.html"):
        answer = client.get(f"/account/acme/images/export.csv{end}")
        assert answer.status_code == 200
        disposition = f'attachment; filename="images-acme-{today().isoformat()}.csv"'
        assert answer.headers.getlist("Content-Disposition") == [disposition]
        assert "X-Forged" not in answer.headers
    for end in ("/../../x.html", "%0d%0aX-Forged:1"):
        answer = client.get(f"/account/acme/images/export.csv{end}")
        assert answer.status_code == 404
        assert "X-Forged" not in answer.headers


def test_a_file_name_has_the_scope_and_the_date(scope: ScopeAt) -> None:
    day = today().isoformat()
    assert export.file_name(scope(""), "csv") == f"images-scalr-{day}.csv"
    assert export.file_name(scope("acme/production"), "json") == (
        f"images-acme-production-{day}.json"
    )
