"""List, show, register and change images with the installed command, in the sandbox AWS."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest

from models import LifeCycle
from sandbox import aws
from tests.cli.registry import Command, Registry

NOBLE = aws.NOBLE.id_in("us-east-1")
DEBIAN = aws.DEBIAN_13.id_in("us-east-1")


def test_an_image_is_looked_up_registered_and_shown(images: Command, catalog: Registry) -> None:
    found = images.succeed("lookup", "aws", NOBLE, "--location", "us-east-1")
    assert re.search(r"^Suggested system +ubuntu 24.04$", found, re.MULTILINE)
    assert catalog.image_count() == 0
    arguments = ("register", "aws", f"us-east-1:{NOBLE}", "--tag", "ci", "--tag", "web")
    text = images.succeed(*arguments, "--name", "web", "--no-agent", "-o", "json")
    image = json.loads(text)
    assert (image["name"], image["tags"], image["agent_installed"]) == ("web", ["ci", "web"], False)
    assert json.loads(images.succeed("show", image["id"], "-o", "json")) == image
    shown = images.succeed("show", image["id"])
    assert re.search(r"^Name +web$", shown, re.MULTILINE)
    assert re.search(r"^Tags +ci, web$", shown, re.MULTILINE)


def test_a_pipeline_can_repeat_a_registration(images: Command, catalog: Registry) -> None:
    arguments = ("register", "aws", NOBLE, "--location", "us-east-1")
    first = images.succeed(*arguments, "--quiet")
    again = images.run(*arguments)
    assert again.code == 7
    assert f"Registered as {first.strip()} (“" in again.errors
    assert images.succeed(*arguments, "--if-exists", "return", "-q") == first
    assert catalog.image_count() == 1
    assert images.run("lookup", "aws", NOBLE, "--location", "us-east-1").code == 7


def test_lists_have_all_pages_in_every_format(images: Command, catalog: Registry) -> None:
    ids = catalog.add_images(255)
    assert images.succeed("list", "--sort", "name", "-q").split() == [str(each) for each in ids]
    assert len(json.loads(images.succeed("list", "-o", "json"))) == 255
    rows = list(csv.DictReader(io.StringIO(images.succeed("list", "-o", "csv"))))
    assert len(rows) == 255
    newest = (rows[0]["id"], rows[0]["name"], rows[0]["scope"], rows[0]["shared"])
    assert newest == (str(ids[-1]), "image-254", "acme", "true")
    lines = images.succeed("list", "image-01", "--limit", "3", "--sort", "-name").splitlines()
    assert lines[0].split()[:4] == ["ID", "NAME", "CLOUD", "LOCATION"]
    assert [line.split()[1] for line in lines[1:]] == ["image-019", "image-018", "image-017"]
    assert len(images.succeed("list", "-q", "--limit", "252").split()) == 252


def test_an_empty_list_is_valid(images: Command) -> None:
    assert json.loads(images.succeed("list", "-o", "json")) == []
    assert images.succeed("list", "-q") == ""
    assert images.succeed("list", "-o", "csv").startswith("id,name,cloud,")
    assert images.succeed("list").startswith("ID  NAME")


def test_a_search_that_is_not_understood_fails_with_the_suggestion(images: Command) -> None:
    result = images.run("list", "clod:aws")
    assert (result.code, result.output) == (6, "")
    assert "cloud:" in result.errors


def test_times_are_in_the_time_zone_of_the_user(images: Command, catalog: Registry) -> None:
    image_id = catalog.add_image()
    registered_at = catalog.image(image_id).registered_at
    utc, tokyo = (
        re.findall(r"\d{4}-\d\d-\d\d (\d\d):(\d\d)", images.succeed("list", TZ=zone))[0]
        for zone in ("UTC", "UTC-9")
    )
    assert utc == (f"{registered_at:%H}", f"{registered_at:%M}")
    assert (int(tokyo[0]) - int(utc[0])) % 24 == 9
    (image,) = json.loads(images.succeed("list", "-o", "json", TZ="UTC-9"))
    assert image["registered_at"].endswith("Z")


def test_an_edit_changes_only_the_given_values(images: Command, catalog: Registry) -> None:
    image_id = catalog.add_image()
    images.succeed("edit", image_id, "--name", "other", "--size-gb", "unknown", "--no-agent")
    image = catalog.image(image_id)
    assert (image.name, image.size_gb, image.agent_installed) == ("other", None, False)
    assert (image.os_family, image.revision) == ("ubuntu", 2)
    assert images.run("edit", image_id, "--notes-file", "-", sent="# Notes\n").code == 0
    assert catalog.image(image_id).notes.strip() == "# Notes"
    nothing = images.run("edit", image_id)
    assert nothing.code == 2
    assert "at least one value" in nothing.errors


@pytest.mark.parametrize(
    "arguments",
    [
        ("edit", "--name", "other"),
        ("delete", "--yes"),
        ("share",),
        ("retire",),
        ("tag", "--add", "x"),
    ],
)
def test_a_change_of_an_old_revision_is_refused(
    images: Command, catalog: Registry, arguments: tuple[str, ...]
) -> None:
    image_id = catalog.add_image()
    images.succeed("edit", image_id, "--name", "newer")
    name, *more = arguments
    result = images.run(name, image_id, *more, "--revision", 1)
    assert result.code == 7
    assert "Somebody has changed this record since you read it. Nothing was saved." in result.errors
    assert catalog.image(image_id).revision == 2
    assert images.run(name, image_id, *more, "--revision", 2).code == 0


def test_all_wrong_values_are_named(images: Command, catalog: Registry) -> None:
    image_id = catalog.add_image()
    result = images.run("edit", image_id, "--name", "x", "--size-gb", "0")
    assert result.code == 6
    assert re.search("^(Error: )?name: ", result.errors, re.MULTILINE)
    assert re.search("^size_gb: ", result.errors, re.MULTILINE)
    assert catalog.image(image_id).revision == 1


def test_the_life_cycle_of_an_image(images: Command, catalog: Registry) -> None:
    image_id = catalog.add_image()
    successor = catalog.add_image(name="newer", number=2)
    day, reason = ("--on", "2026-01-31"), ("--reason", "Old kernel")
    images.succeed("deprecate", image_id, *day, *reason, "--successor", successor)
    image = catalog.image(image_id)
    assert (image.status, image.status_reason) == (LifeCycle.DEPRECATED, "Old kernel")
    assert (str(image.deprecated_on), image.successor_id) == ("2026-01-31", successor)
    images.succeed("retire", image_id)
    image = catalog.image(image_id)
    assert (image.status, image.successor_id) == (LifeCycle.RETIRED, None)
    assert '"active"' in images.succeed("activate", image_id, "-o", "json")
    assert images.run("deprecate", image_id, "--on", "tomorrow").code == 2


def test_sharing_tags_and_promotion(images: Command, catalog: Registry) -> None:
    image_id = catalog.add_image()
    images.succeed("unshare", image_id)
    assert not catalog.image(image_id).shared
    images.succeed("share", image_id)
    assert catalog.image(image_id).shared
    images.succeed("tag", image_id, "--add", "a", "--add", "b")
    images.succeed("tag", image_id, "--remove", "a")
    assert catalog.image(image_id).tags == ["b"]
    assert images.run("tag", image_id).code == 2
    assert images.run("promote", image_id).code == 5
    below = catalog.add_image("acme/production", number=2)
    images.succeed("promote", below, "--scope", "acme/production")
    assert catalog.image(below).scope.path == "acme"


def test_a_check_prints_what_has_changed(images: Command, catalog: Registry) -> None:
    register = ("register", "aws", DEBIAN, "--location", "us-east-1", "-q")
    image_id = int(images.succeed(*register))
    assert images.succeed("check", image_id) == "The image is unchanged.\n"
    image = catalog.image(image_id)
    image.details = {**image.details, "architecture": "old"}
    image.save()
    text = images.succeed("check", image_id)
    assert re.search(r"old +x86_64$", text, re.MULTILINE)
    assert json.loads(images.succeed("check", image_id, "-o", "json"))["changes"] == []


def test_a_deleted_image_is_restored(images: Command, catalog: Registry) -> None:
    image_id = catalog.add_image()
    asked = images.run("delete", image_id)
    assert (asked.code, "--yes" in asked.errors) == (2, True)
    deleted = images.run("delete", image_id, "--yes")
    assert (deleted.code, deleted.output) == (0, "")
    assert f"images restore {image_id}" in deleted.errors
    gone = images.run("show", image_id)
    assert gone.code == 5
    assert "it can be restored" in gone.errors
    assert images.succeed("deleted", "-q").split()[0] == str(image_id)
    assert images.succeed("deleted", "--name", "nothing", "-q") == ""
    images.succeed("restore", image_id)
    lines = images.succeed("history", image_id).splitlines()
    assert len(lines) == 4
    assert "account-editor" in lines[1]
    assert len(json.loads(images.succeed("history", image_id, "-o", "json", "--limit", 2))) == 2


def test_the_output_cannot_control_the_terminal(images: Command, catalog: Registry) -> None:
    image_id = catalog.add_image()
    image = catalog.image(image_id)
    image.description = "a\x1b[31mb\u202ec\nd"
    image.save()
    assert "\x1b" not in images.succeed("list", "-o", "json")
    shown = images.succeed("show", image_id)
    assert re.search(r"^Description +a\[31mbc d$", shown, re.MULTILINE)


def test_a_closed_pipe_is_no_error_message(images: Command, catalog: Registry) -> None:
    catalog.add_images(100)
    with images.start("list", "-o", "json") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
