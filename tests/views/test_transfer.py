"""Downloads, and the two steps of an import, over HTTP."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest
from flask.testing import FlaskClient
from werkzeug.datastructures import FileStorage
from werkzeug.test import TestResponse, encode_multipart

import models
from models import Image, Job
from tests.conftest import ClientOf, MakeCredentials, MakeImage
from tests.jobs.threads import process_jobs
from tests.views.pages import visible_text
from webapp.search.parser import parse
from webapp.transfer import import_formats
from webapp.views.person_pages import PERSON_ID

ACME = "/account/acme"
AMI = "ami-0123456789abcdef0"
HEADER = "cloud,location,cloud_image_id,name"
ROW = f"aws,us-east-1,{AMI},ubuntu-noble-24.04"
TEXT = f"{HEADER}\n{ROW}\n"


def send_form(client: FlaskClient, **fields: object) -> TestResponse:
    """Send the import form as a browser does."""
    boundary, body = encode_multipart({"how": "unverified", **fields})
    kind = f"multipart/form-data; boundary={boundary}"
    return client.post(f"{ACME}/images/import", data=body, content_type=kind)


def upload_of(content: bytes) -> FileStorage:
    return FileStorage(io.BytesIO(content), "images.csv")


def create_plan(client: FlaskClient, text: str = TEXT) -> str:
    """Return the URL of the plan of a text."""
    answer = send_form(client, text=text)
    assert answer.status_code == 303
    return answer.location


def test_a_download_contains_the_images_that_match_the_search(
    client_of: ClientOf, make_image: MakeImage
) -> None:
    make_image("acme", 1, name="first of them")
    make_image("acme", 2, name="second of them")
    client = client_of("account-viewer")
    answer = client.get(f"{ACME}/images/export.csv?q=second")
    assert answer.content_type == "text/csv; charset=utf-8"
    assert re.fullmatch(
        r'attachment; filename="images-acme-\d{4}-\d\d-\d\d\.csv"',
        answer.headers["Content-Disposition"],
    )
    assert answer.data.startswith(b"\xef\xbb\xbf")  # Excel recognizes UTF-8 by these bytes.
    (row,) = csv.DictReader(io.StringIO(answer.data.decode("utf-8-sig"), newline=""))
    assert row["name"] == "second of them"
    answer = client.get(f"{ACME}/images/export.json")
    assert answer.content_type == "application/json; charset=utf-8"
    assert {each["name"] for each in json.loads(answer.text)} == {"first of them", "second of them"}


def test_an_export_counts_until_the_client_has_received_it(
    client_of: ClientOf, make_image: MakeImage
) -> None:
    make_image("acme", name="noble")
    client = client_of("account-viewer")
    url = f"{ACME}/images/export.csv"
    with client.get(url, buffered=False) as first, client.get(url, buffered=False) as second:
        refused = client.get(url)
        assert (first.status_code, second.status_code, refused.status_code) == (200, 200, 429)
        assert "Wait until one of them ends." in visible_text(refused.text)
    assert client.get(url).status_code == 200


@pytest.mark.parametrize("ending", ["csv", "json"])
@pytest.mark.parametrize("text", ["status:retird", "second ab", "second " + "x" * 500])
def test_a_search_that_is_not_understood_is_not_exported(
    client_of: ClientOf, make_image: MakeImage, ending: str, text: str
) -> None:
    make_image("acme", name="second")
    client = client_of("account-viewer")
    answer = client.get(f"{ACME}/images/export.{ending}", query_string={"q": text})
    assert answer.status_code == 422
    page = visible_text(answer)
    (problem,) = parse(text).problems
    assert "Correct your search first" in page
    assert problem.message in page
    listed = client.get(f"{ACME}/images", query_string={"q": text})
    assert problem.message in visible_text(listed)
    assert "To export images, correct your search first." in visible_text(listed)
    assert f"export.{ending}" not in listed.text


def test_the_page_says_what_an_export_contains(client_of: ClientOf, make_image: MakeImage) -> None:
    make_image("acme", name="second")
    client = client_of("account-viewer")
    assert "Export all images" in visible_text(client.get(f"{ACME}/images"))
    for headers in ({}, {"HX-Request": "true"}):
        listed = client.get(f"{ACME}/images?q=second+cloud:aws", headers=headers)
        assert "Export 1 image: “second”, Cloud: AWS Export as CSV" in visible_text(listed)


@pytest.mark.parametrize("ending", ["csv", "json"])
def test_a_download_closes_its_connection(
    client_of: ClientOf, make_image: MakeImage, ending: str
) -> None:
    """The connection closes if the download is read to its end, partly, or not at all."""
    make_image("acme")
    client = client_of("account-viewer")
    models.database.close()
    url = f"{ACME}/images/export.{ending}"
    assert client.get(url).data
    assert models.database.is_closed()
    answer = client.get(url)
    chunks = answer.iter_encoded()
    assert next(iter(chunks))
    answer.close()
    assert models.database.is_closed()
    client.get(url).close()
    assert models.database.is_closed()


def test_pasted_text_is_reviewed_and_then_imported(client_of: ClientOf) -> None:
    client = client_of("account-editor")
    page = client.get(f"{ACME}/images/import").text
    assert "You can review the changes on the next page" in page
    url = create_plan(client)
    plan = client.get(url).text
    assert (
        "1 image will be registered at Account acme without a look-up, and marked as not checked."
        in plan
    )
    assert "Import 1 image" in plan
    assert not Image.select().exists()
    answer = client.post(url)
    assert (answer.status_code, Image.get().name) == (303, "ubuntu-noble-24.04")
    assert not Image.get().verified
    assert client.get(url).location == answer.location
    assert client.post(url).location == answer.location
    assert client.get(answer.location).status_code == 200
    assert Image.select().count() == 1


def test_only_the_plan_that_the_page_shows_is_imported(client_of: ClientOf) -> None:
    client = client_of("account-editor")
    text = f"{HEADER},os_family,os_version\n{ROW},,\naws,us-east-1,ami-0000000a,gold,,\n"
    url = create_plan(client, text)

    def confirm(page: str) -> str:
        (plan,) = re.findall(r'name="plan"[^>]*value="([^"]+)"', page)
        return visible_text(client.post(url, data={"plan": plan}, follow_redirects=True))

    shown = client.get(url).text
    assert "Import 1 image" in shown
    client.post(f"{url}/answers", data={"operating_system": "Debian 13"})  # In another tab.
    page = confirm(shown)
    assert "The review has changed since you opened the page." in page
    assert "2 images will be registered" in page
    assert not Image.select().exists()
    assert "2 of 2 processed" in confirm(client.get(url).text)
    assert Image.select().count() == 2


def test_a_file_takes_precedence_over_pasted_text(client_of: ClientOf) -> None:
    client = client_of("account-editor")
    upload = upload_of(TEXT.replace("noble", "from-file").encode())
    answer = send_form(client, file=upload, text=TEXT)
    assert "ubuntu-from-file-24.04" in client.get(answer.location).text


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "There is nothing to import"),
        ({"text": "name\nnoble\n"}, "The column cloud is missing"),
        ({"text": TEXT, "how": "somehow"}, "Choose a value from the list"),
        ({"file": upload_of(b"\xff\xfe")}, "isn’t encoded in UTF-8"),
    ],
)
def test_the_form_keeps_its_values_after_an_error(
    client_of: ClientOf, fields: dict[str, object], words: str
) -> None:
    answer = send_form(client_of("account-editor"), **fields)
    assert answer.status_code == 422
    assert words in answer.text
    assert str(fields.get("text", "")).strip() in answer.text
    assert not Job.select().exists()


def test_a_plan_shows_errors_and_changes(client_of: ClientOf, make_image: MakeImage) -> None:
    make_image("acme", name="to be changed")
    changed = "aws,us-east-1,ami-00000000000000001,better,7,web"
    text = f"{HEADER},ID,Team\n{changed}\nnimbus,x,y,z\n{ROW}\n"
    client = client_of("account-editor")
    url = create_plan(client, text)
    plan = client.get(url).text
    assert "without a look-up, and marked as not checked. 1 image will be updated." in plan
    assert "1 line has an error and will be skipped" in plan
    assert "“nimbus” isn’t a known cloud" in plan
    assert "Unknown columns, which will be ignored: Team." in plan
    assert "Read-only columns, which will be ignored: id." in plan
    assert "<del>to be changed</del> → <ins>better</ins>" in plan
    assert plan.index("Line 3") < plan.index("Line 4") < plan.index("Line 2")
    part = client.get(f"{url}?show=update", headers={"HX-Request": "true"}).text
    assert "<html" not in part
    assert "Line 2" in part
    assert "Line 3" not in part
    for invalid in ("show=nothing", "page=0", "page=x", "page=99999999", "page=²"):
        assert client.get(f"{url}?{invalid}").status_code == 200


def test_a_plan_without_changes_has_no_button(client_of: ClientOf) -> None:
    client = client_of("account-editor")
    plan = client.get(create_plan(client, f"{HEADER}\nnimbus,x,y,z\n")).text
    assert "Import 0" not in plan
    assert "btn-primary" not in plan


BAD = "nimbus,x,y,z"
INCOMPLETE = f"aws,,{AMI},ubuntu-noble-24.04"
INCOMPLETE_AND_BAD = "aws,us-east-1,no-ami,a name without an operating system"


@pytest.mark.parametrize(
    ("rows", "summary", "problem"),
    [
        ([ROW], "Nothing has been imported yet. 1 image will be registered", ""),
        (
            [BAD],
            "Nothing can be imported from this file yet.",
            "The line has an error. Correct the file and import it again.",
        ),
        (
            [BAD, BAD],
            "Nothing can be imported from this file yet.",
            "Both lines have errors. Correct the file and import it again.",
        ),
        (
            [ROW, BAD, BAD],
            "Nothing has been imported yet. 1 image will be registered",
            "2 lines have errors and will be skipped.",
        ),
        (
            [INCOMPLETE],
            "Nothing has been imported yet.",
            "1 line lacks a value. Enter the value below.",
        ),
        (
            [INCOMPLETE, BAD],
            "Nothing has been imported yet.",
            "2 lines have errors. 1 of them lacks a value that you can enter below.",
        ),
        (
            [INCOMPLETE, BAD, BAD, f"aws,us-east-1,{AMI[:-1]}1,ubuntu-noble-24.04"],
            "Nothing has been imported yet. 1 image will be registered",
            (
                "3 lines have errors. 1 of them lacks a value that you can enter below. For the "
                "others, correct the file and import it again. You can also continue without the "
                "lines that have errors."
            ),
        ),
        (
            [INCOMPLETE_AND_BAD],
            "Nothing can be imported from this file yet.",
            "The line has an error. Correct the file and import it again.",
        ),
        (
            [INCOMPLETE, INCOMPLETE_AND_BAD],
            "Nothing has been imported yet.",
            "2 lines have errors. 1 of them lacks a value that you can enter below.",
        ),
        (
            [INCOMPLETE, f"aws,us-east-1,{AMI[:-1]}1,ubuntu-noble-24.04"],
            "Nothing has been imported yet. 1 image will be registered",
            "1 line lacks a value. Enter the value below, or continue without this line.",
        ),
        (
            ["aws,us-east-1,ami-00000000000000001,"],
            "There is nothing to import. 1 image won’t change.",
            "",
        ),
        (
            ["aws,us-east-1,ami-00000000000000001,", BAD],
            "Nothing can be imported from this file yet. 1 image won’t change.",
            "1 line has an error. Correct the file and import it again.",
        ),
    ],
)
def test_the_sentences_above_a_plan_agree(
    client_of: ClientOf, make_image: MakeImage, rows: list[str], summary: str, problem: str
) -> None:
    make_image("acme", 1)
    client = client_of("account-editor")
    page = client.get(create_plan(client, "\n".join([HEADER, *rows]))).text
    intro = " ".join(visible_text(page.partition('<section id="planned-lines"')[0]).split())
    assert f"Review import {summary}" in intro
    if problem:
        assert problem in intro
    assert ("error" in intro or "lack" in intro) == bool(problem)
    assert ("Complete the file" in intro) == ("below" in problem or INCOMPLETE_AND_BAD in rows)


def test_the_sentences_above_a_plan_name_what_the_file_contains(client_of: ClientOf) -> None:
    client = client_of("account-editor")
    item = {"cloud": "nimbus", "cloud_image_id": "x"}
    plan = client.get(create_plan(client, json.dumps([item, item]))).text
    assert "Both items have errors." in plan
    build = {"name": "web", "builder_type": "googlecompute", "artifact_id": "debian-13"}
    other = {**build, "builder_type": "docker"}
    plan = client.get(create_plan(client, json.dumps({"builds": [build, other]}))).text
    assert "2 builds have errors. 1 of them lacks a value that you can enter below." in plan
    assert "For images that lack a project ID." in plan
    amis = {
        **build,
        "builder_type": "amazon-ebs",
        "artifact_id": f"us-east-1:{AMI},us-west-1:{AMI}",
    }
    plan = client.get(create_plan(client, json.dumps({"builds": [amis]}))).text
    assert "2 images lack values. Enter the values below." in plan
    amis["artifact_id"] = f"us-east-1a:{AMI},us-east-1b:{AMI}"
    plan = client.get(create_plan(client, json.dumps({"builds": [amis]}))).text
    assert "Both images have errors. Correct the file and import it again." in plan


def test_nobody_else_sees_a_plan(client_of: ClientOf) -> None:
    url = create_plan(client_of("account-editor"))
    for who, path in (("account-admin", ""), ("scalr-admin", ""), ("account-editor", "production")):
        other_url = url.replace(ACME, "/environment/acme/production") if path else url
        assert client_of(who).get(other_url).status_code == 404
        assert client_of(who).post(other_url).status_code == 404


def test_only_usable_credentials_can_be_chosen(
    client_of: ClientOf, make_credentials: MakeCredentials
) -> None:
    usable, foreign = make_credentials("acme", "ours"), make_credentials("globex", "theirs")
    client = client_of("account-editor")
    page = client.get(f"{ACME}/images/import").text
    assert "ours" in page
    assert "theirs" not in page
    sent = {"text": TEXT, "how": "look-up"}
    assert send_form(client, **sent, credentials_aws=str(foreign.id)).status_code == 422
    plan = send_form(client, **sent, credentials_aws=str(usable.id)).location
    process_jobs()
    assert "Looking up this image requires AWS credentials." not in client.get(plan).text
    plan = client.get(send_form(client, **sent, credentials_aws="").location).text
    assert "Looking up this image requires AWS credentials." in plan


def test_only_the_import_form_accepts_large_uploads(client_of: ClientOf) -> None:
    client = client_of("account-editor")
    filler = f"{ROW},{'x' * 2_000}\n" * 1_000
    text = f"{HEADER},ignored\n{filler}"
    assert send_form(client, text=text).status_code == 303
    assert send_form(client, file=upload_of(text.encode())).status_code == 303
    too_much = "x" * (import_formats.MAX_BYTES + 1)
    assert send_form(client, text=too_much).status_code == 422
    assert send_form(client, text=2 * too_much).status_code == 413
    assert client.post(f"{ACME}/bookmarks", data={"label": text}).status_code == 413
    assert send_form(client_of("nobody"), text=text).status_code == 413


def test_a_person_has_one_large_upload_in_progress(client_of: ClientOf) -> None:
    client = client_of("account-editor")
    text = f"{HEADER},ignored\n" + f"{ROW},{'x' * 2_000}\n" * 1_000
    with client.session_transaction() as state:
        person_id = state[PERSON_ID]
    uploads = client.application.extensions["services"].uploads
    uploads.begin(person_id, lambda: None)
    refused = send_form(client, text=text)
    assert refused.status_code == 429
    assert "Your other upload is still in progress." in visible_text(refused.text)
    assert send_form(client, text=TEXT).status_code == 303
    uploads.end(person_id)
    for _ in range(2):
        assert send_form(client, text=text).status_code == 303
    assert send_form(client, text="x" * import_formats.MAX_BYTES).status_code == 422
    assert send_form(client, text=text).status_code == 303
