"""Import and export files with the installed command, in the sandbox AWS."""

from __future__ import annotations

import csv
import io
import json
import socket
from pathlib import Path

from sandbox import aws
from tests.cli.proxies import read_request, serve
from tests.cli.registry import Command, Registry

NOBLE = aws.NOBLE.id_in("us-east-1")
MISSING = "ami-00000000000000abc"
HEADER = "cloud,location,cloud_image_id,name\n"


def file_of(folder: Path, *ids: str) -> Path:
    file = folder / "images.csv"
    lines = (f"aws,us-east-1,{image_id},web\n" for image_id in ids)
    file.write_text(HEADER + "".join(lines))
    return file


def test_a_file_is_imported_with_look_ups(
    images: Command, catalog: Registry, tmp_path: Path
) -> None:
    file = file_of(tmp_path, NOBLE)
    dry = json.loads(images.succeed("import", file, "--dry-run", "-o", "json"))
    assert [(line["line"], line["effect"]) for line in dry] == [("line 2", "create")]
    assert catalog.image_count() == 0
    job = json.loads(images.succeed("import", file, "--wait", "-o", "json"))
    assert (job["state"], job["outcomes"]) == ("done", {"created": 1})
    (image,) = json.loads(images.succeed("list", "-o", "json"))
    assert (image["name"], image["cloud_image_id"], image["os_family"]) == ("web", NOBLE, "ubuntu")
    again = images.succeed("import", file, "--dry-run")
    assert "unchanged" in again


def test_a_line_with_an_error_fails_the_command(
    images: Command, catalog: Registry, tmp_path: Path
) -> None:
    file = file_of(tmp_path, NOBLE, MISSING)
    planned = images.run("import", file, "--dry-run")
    assert (planned.code, "1 of 2 lines have errors" in planned.errors) == (6, True)
    assert MISSING in planned.output
    assert catalog.image_count() == 0
    result = images.run("import", file, "--wait", "-q")
    assert (result.code, "refused 1 of 2" in result.errors) == (6, True)
    assert catalog.image_count() == 1
    rows = images.succeed("jobs", "rows", result.output.strip(), "--outcome", "refused")
    assert MISSING in rows


def test_standard_input_and_values_that_the_file_lacks(images: Command, catalog: Registry) -> None:
    manifest = json.dumps(
        {
            "builds": [
                {
                    "name": "web",
                    "builder_type": "openstack",
                    "build_time": 1796000000,
                    "artifact_id": "6f2b8c1e-1a3d-4e5f-8a9b-0c1d2e3f4a5b",
                }
            ]
        }
    )
    arguments = ("import", "-", "--no-look-up", "--wait")
    refused = images.run(*arguments, sent=manifest)
    assert refused.code == 6
    values = ("--location", "openstack=RegionOne", "--os", "Ubuntu 24.04")
    assert images.run(*arguments, *values, sent=manifest).code == 0
    (image,) = json.loads(images.succeed("list", "-o", "json"))
    assert (image["location"], image["os_version"]) == ("RegionOne", "24.04")


def test_waiting_fails_if_the_import_waits_for_a_review(images: Command, tmp_path: Path) -> None:
    job = json.loads(images.succeed("import", file_of(tmp_path, NOBLE), "--wait", "-o", "json"))
    images.succeed("import", file_of(tmp_path, NOBLE), "--no-look-up", "--dry-run")
    planned = images.run("jobs", "show", job["id"] + 1, "--wait")
    assert planned.code == 6
    page = f"{job['web_url'].removesuffix(str(job['id']))}{job['id'] + 1}"
    assert f"Job {job['id'] + 1} waits for a review: {page}" in planned.errors


def test_wrong_files_and_options(images: Command, tmp_path: Path) -> None:
    assert images.run("import", tmp_path / "missing.csv").code == 2
    broken = tmp_path / "broken.csv"
    broken.write_bytes(b"\xff\xfe")
    assert images.run("import", broken).code == 2
    file = file_of(tmp_path, NOBLE)
    assert images.run("import", file, "--location", "us-east-1").code == 2
    assert images.run("import", file, "--credentials", "aws=Unknown").code == 6
    file.write_text("[]")
    refused = images.run("import", file)
    assert (refused.code, "contains no images" in refused.errors) == (6, True)


def test_an_export_is_written_to_a_file_or_to_the_output(
    images: Command, catalog: Registry, tmp_path: Path
) -> None:
    catalog.add_images(1_200)
    text = images.succeed("export", "image-00")
    rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))
    assert {row["name"] for row in rows} == {f"image-00{number}" for number in range(10)}
    file = tmp_path / "images.json"
    assert images.succeed("export", "--format", "json", "--file", file) == ""
    assert len(json.loads(file.read_text())) == 1_200
    before = file.read_bytes()
    refused = images.run("export", "clod:aws", "--file", file)
    assert (refused.code, "cloud:" in refused.errors) == (6, True)
    assert file.read_bytes() == before
    assert [each.name for each in tmp_path.glob("tmp*")] == []


def test_an_incomplete_export_replaces_no_file(images: Command, tmp_path: Path) -> None:
    def handle(connection: socket.socket) -> None:
        with connection:
            read_request(connection)
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Disposition: attachment\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
            )

    file = tmp_path / "images.csv"
    file.write_text("before")
    with serve(handle) as port:
        result = images.run("export", "--file", file, IMAGES_URL=f"http://127.0.0.1:{port}")
    assert (result.code, "incomplete" in result.errors) == (9, True)
    assert file.read_text() == "before"
