"""Exports with the API: the same files as those of the pages."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from tests.api.client import ClientFor
from tests.conftest import ClientOf, MakeImage
from webapp.transfer.downloads import EXPORTS_PER_PERSON

IMAGES = "/account/acme/images"
AUDIT = "/account/acme/audit"


@pytest.mark.parametrize("name", ["export.csv", "export.json"])
def test_an_export_is_the_file_of_the_page(
    api_of: ClientFor, client_of: ClientOf, make_image: MakeImage, name: str
) -> None:
    for number in (1, 2, 3):
        make_image("acme", number, name=f"image {number}")
    answer = api_of("account-viewer").get(f"{IMAGES}/{name}?q=image")
    page = client_of("account-viewer").get(f"{IMAGES}/{name}?q=image")
    assert answer.status_code == 200
    assert answer.data == page.data
    for header in ("Content-Type", "Content-Disposition"):
        assert answer.headers[header] == page.headers[header]


def test_a_search_selects_the_records(api_of: ClientFor, make_image: MakeImage) -> None:
    for number, name in enumerate(("web", "database"), start=1):
        make_image("acme", number, name=name)
    api = api_of("account-admin")
    rows: Any = api.get(f"{IMAGES}/export.json?q=web").json
    assert [row["name"] for row in rows] == ["web"]
    text = api.get(f"{AUDIT}/export.csv?q=web").text
    entries = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))
    assert [entry["subject"] for entry in entries] == ["web"]
    lines = api.get(f"{AUDIT}/export.jsonl").text.splitlines()
    listed: Any = api.get(f"{AUDIT}/export.json").json
    assert [json.loads(line) for line in lines] == listed


@pytest.mark.parametrize("path", [f"{IMAGES}/export.csv", f"{AUDIT}/export.json"])
def test_a_search_that_is_not_understood_exports_nothing(api_of: ClientFor, path: str) -> None:
    answer = api_of("account-admin").get(f"{path}?q=clod:aws")
    assert answer.status_code == 400
    assert answer.mimetype == "application/problem+json"


def test_the_names_of_credentials_are_for_editors(api_of: ClientFor, make_image: MakeImage) -> None:
    make_image("acme", 1)
    for name, is_named in (("account-viewer", False), ("account-editor", True)):
        rows: Any = api_of(name).get(f"{IMAGES}/export.json").json
        assert bool(rows[0]["credentials"]) is is_named


def test_each_person_gets_two_exports_at_once(api_of: ClientFor, make_image: MakeImage) -> None:
    make_image("acme", 1)
    api = api_of("account-editor")
    path = f"{IMAGES}/export.csv"
    # The test client does not close the answers, so these exports are in progress.
    open_answers = [
        api.client.get(
            f"/api/v1{path}", headers={"Authorization": f"Bearer {api.token}"}, buffered=False
        )
        for _ in range(EXPORTS_PER_PERSON)
    ]
    refused = api.get(path)
    assert refused.status_code == 429
    for each in open_answers:
        each.close()
    assert api.get(path).status_code == 200
