"""Downloads, and the two steps of an import, as a browser meets them."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient
from werkzeug.datastructures import FileStorage
from werkzeug.test import TestResponse, encode_multipart

import models
from models import Image, Job
from tests.conftest import MakeCredentials, MakeImage
from webapp.transfer import import_files

ClientOf = Callable[[str], FlaskClient]
ACME = "/account/acme"
AMI = "ami-0123456789abcdef0"
HEADER = "cloud,location,cloud_image_id,name"
ROW = f"aws,us-east-1,{AMI},ubuntu-noble-24.04"
TEXT = f"{HEADER}\n{ROW}\n"


def send(client: FlaskClient, **fields: object) -> TestResponse:
    """The form of an import, as a browser sends it."""
    boundary, body = encode_multipart({"how": "unverified", **fields})
    kind = f"multipart/form-data; boundary={boundary}"
    return client.post(f"{ACME}/images/import", data=body, content_type=kind)


def file_of(content: bytes) -> FileStorage:
    return FileStorage(io.BytesIO(content), "images.csv")


def planned(client: FlaskClient, text: str = TEXT) -> str:
    """The address of the plan of a text."""
    answer = send(client, text=text)
    assert answer.status_code == 303
    return answer.location


def test_a_download_is_what_the_search_finds(client_of: ClientOf, make_image: MakeImage) -> None:
    make_image("acme", 1, name="first of them")
    make_image("acme", 2, name="second of them")
    client = client_of("account-viewer")
    answer = client.get(f"{ACME}/images/export.csv?q=second")
    assert answer.content_type == "text/csv; charset=utf-8"
    assert re.fullmatch(
        r'attachment; filename="images-acme-\d{4}-\d\d-\d\d\.csv"',
        answer.headers["Content-Disposition"],
    )
    (row,) = csv.DictReader(io.StringIO(answer.text, newline=""))
    assert row["name"] == "second of them"
    answer = client.get(f"{ACME}/images/export.json")
    assert answer.content_type == "application/json; charset=utf-8"
    assert {each["name"] for each in json.loads(answer.text)} == {"first of them", "second of them"}


@pytest.mark.parametrize("ending", ["csv", "json"])
def test_a_download_gives_its_connection_back(
    client_of: ClientOf, make_image: MakeImage, ending: str
) -> None:
    """Read to its end, given up in the middle, and never begun."""
    make_image("acme")
    client = client_of("account-viewer")
    models.database.close()
    address = f"{ACME}/images/export.{ending}"
    assert client.get(address).data
    assert models.database.is_closed()
    answer = client.get(address)
    pieces = answer.iter_encoded()
    assert next(iter(pieces))
    answer.close()
    assert models.database.is_closed()
    client.get(address).close()
    assert models.database.is_closed()


def test_from_a_text_to_images(client_of: ClientOf) -> None:
    client = client_of("account-editor")
    page = client.get(f"{ACME}/images/import").text
    assert "Nothing is changed before you confirm it" in page
    address = planned(client)
    plan = client.get(address).text
    assert "1 image would be registered as not verified." in plan
    assert "Import 1 image" in plan
    assert not Image.select().exists()
    answer = client.post(address)
    assert (answer.status_code, Image.get().name) == (303, "ubuntu-noble-24.04")
    assert not Image.get().verified
    assert client.get(address).location == answer.location
    assert client.post(address).location == answer.location
    assert client.get(answer.location).status_code == 200
    assert Image.select().count() == 1


def test_a_file_goes_before_what_is_pasted(client_of: ClientOf) -> None:
    client = client_of("account-editor")
    upload = file_of(TEXT.replace("noble", "from-file").encode())
    answer = send(client, file=upload, text=TEXT)
    assert "ubuntu-from-file-24.04" in client.get(answer.location).text


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "There is nothing in it"),
        ({"text": "name\nnoble\n"}, "none named cloud"),
        ({"text": TEXT, "how": "somehow"}, "Not a valid choice"),
        ({"file": file_of(b"\xff\xfe")}, "not in UTF-8"),
    ],
)
def test_what_is_typed_stays_after_an_error(
    client_of: ClientOf, fields: dict[str, object], words: str
) -> None:
    answer = send(client_of("account-editor"), **fields)
    assert answer.status_code == 422
    assert words in answer.text
    assert str(fields.get("text", "")).strip() in answer.text
    assert not Job.select().exists()


def test_a_plan_says_what_is_wrong_and_what_would_change(
    client_of: ClientOf, make_image: MakeImage
) -> None:
    make_image("acme", name="to be changed")
    changed = "aws,us-east-1,ami-00000000000000001,better,7,web"
    text = f"{HEADER},ID,Team\n{changed}\nnimbus,x,y,z\n{ROW}\n"
    client = client_of("account-editor")
    address = planned(client, text)
    plan = client.get(address).text
    assert "1 image would be registered as not verified. 1 image would be changed." in plan
    assert "1 line cannot be imported" in plan
    assert "There is no cloud “nimbus”" in plan
    assert "Columns that mean nothing here: Team." in plan
    assert "left alone: id." in plan
    assert "<del>to be changed</del> → <ins>better</ins>" in plan
    assert plan.index("Line 3") < plan.index("Line 4") < plan.index("Line 2")
    part = client.get(f"{address}?show=update", headers={"HX-Request": "true"}).text
    assert "<html" not in part
    assert "Line 2" in part
    assert "Line 3" not in part
    for nonsense in ("show=nothing", "page=0", "page=x", "page=99999999", "page=²"):
        assert client.get(f"{address}?{nonsense}").status_code == 200


def test_with_nothing_to_do_there_is_no_button(client_of: ClientOf) -> None:
    client = client_of("account-editor")
    plan = client.get(planned(client, f"{HEADER}\nnimbus,x,y,z\n")).text
    assert "Import 0" not in plan
    assert "btn-primary" not in plan


def test_a_plan_is_of_its_maker_and_scope(client_of: ClientOf) -> None:
    address = planned(client_of("account-editor"))
    for who, path in (("account-admin", ""), ("scalr-admin", ""), ("account-editor", "production")):
        there = address.replace(ACME, "/environment/acme/production") if path else address
        assert client_of(who).get(there).status_code == 404
        assert client_of(who).post(there).status_code == 404


def test_a_look_up_is_with_credentials_of_this_scope(
    client_of: ClientOf, make_credentials: MakeCredentials
) -> None:
    usable, foreign = make_credentials("acme", "ours"), make_credentials("globex", "theirs")
    client = client_of("account-editor")
    page = client.get(f"{ACME}/images/import").text
    assert "ours" in page
    assert "theirs" not in page
    sent = {"text": TEXT, "how": "look-up"}
    assert send(client, **sent, credentials_aws=str(foreign.id)).status_code == 422
    plan = client.get(send(client, **sent, credentials_aws=str(usable.id)).location).text
    assert "each after a look-up in its cloud" in plan
    plan = client.get(send(client, **sent, credentials_aws="").location).text
    assert "A look-up needs credentials of AWS." in plan


def test_much_is_taken_here_and_nowhere_else(client_of: ClientOf) -> None:
    client = client_of("account-editor")
    filler = f"{ROW},{'x' * 2_000}\n" * 1_000
    text = f"{HEADER},ignored\n{filler}"
    assert send(client, text=text).status_code == 303
    assert send(client, file=file_of(text.encode())).status_code == 303
    too_much = "x" * (import_files.MAX_BYTES + 1)
    assert send(client, text=too_much).status_code == 422
    assert send(client, text=2 * too_much).status_code == 413
    assert client.post(f"{ACME}/bookmarks", data={"label": text}).status_code == 413
    assert send(client_of("nobody"), text=text).status_code == 413
