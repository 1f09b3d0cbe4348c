"""Bulk actions, jobs, scopes and tokens with the installed command."""

from __future__ import annotations

import json
import re

import models
from models import LifeCycle, Role
from tests.cli.registry import Command, Registry
from webapp.images import deletion


def test_a_bulk_action_is_a_job(images: Command, catalog: Registry) -> None:
    first, second = catalog.add_images(2)
    dry = json.loads(images.succeed("bulk", "retire", "--search", "", "--dry-run", "-o", "json"))
    assert (dry["changed"], dry["unchanged"]) == (2, 0)
    assert catalog.image(first).status is LifeCycle.ACTIVE
    arguments = ("bulk", "retire", "--image", first, "--image", second, "--reason", "Old")
    result = images.run(*arguments, "--wait", "-q")
    assert result.code == 0, result.errors
    assert "Retire" in result.errors
    assert catalog.image(first).status_reason == catalog.image(second).status_reason == "Old"
    job_id = result.output.strip()
    shown = images.succeed("jobs", "show", job_id, "--wait")
    assert re.search(r"^Outcomes +2 done$", shown, re.MULTILINE)
    assert set(images.succeed("jobs", "rows", job_id, "-q").split()) == {str(first), str(second)}
    assert images.run("jobs", "rows", job_id + "0").code == 5
    assert images.run("bulk", "retire").code == 2
    assert images.run("bulk", "retired", "--search", "").code == 6


def test_waiting_fails_if_images_were_refused(images: Command, catalog: Registry) -> None:
    image_id = catalog.add_image()
    for number in range(2):
        images.succeed("tag", image_id, "--add", f"tag-{number}")
    many = [argument for number in range(49) for argument in ("--tag", f"more-{number}")]
    result = images.run("bulk", "tag", "--image", image_id, *many, "--wait")
    assert result.code == 6, result
    assert len(catalog.image(image_id).tags) == 2


def test_a_job_deletes_the_successor_of_many(images: Command, catalog: Registry) -> None:
    successor = catalog.add_image(number=999)
    ids = catalog.add_images(deletion.MAX_PREDECESSORS + 1)
    with models.database.connection_context():
        changed = {"successor": successor}
        models.Image.update(changed).where(models.Image.id.in_(ids)).execute()
    result = images.run("delete", successor, "--yes", "--wait")
    assert result.code == 0, result.errors
    assert images.run("show", successor).code == 5
    result = images.run("restore", successor)
    assert (result.code, "restores image" in result.errors) == (0, True)


def test_scopes_are_those_of_the_token(images: Command) -> None:
    names = images.succeed("scopes", "-q").split()
    assert names == ["acme", "acme/production", "acme/staging"]
    assert images.succeed("scopes", "--name", "stag", "-q") == "acme/staging\n"
    lines = images.succeed("scopes").splitlines()
    assert lines[1].split() == ["acme", "acme", "editor"]


def test_a_login_uses_the_scope_of_the_token(images: Command, catalog: Registry) -> None:
    for name, scope in (("environment-viewer", "acme/production"), ("scalr-viewer", "scalr")):
        environ = {"IMAGES_TOKEN": catalog.token(name), "IMAGES_SCOPE": ""}
        result = images.run("login", catalog.url, **environ)
        assert result.errors == f"Logged in to {catalog.url} at the scope {scope}.\n"


def test_tokens_are_created_rotated_and_revoked(images: Command, catalog: Registry) -> None:
    admin = {"IMAGES_TOKEN": catalog.token("account-admin")}
    create = ("token", "create", "ci", "--role", "editor", "--days", "1", "-q")
    assert images.run(*create).code == 4
    text = images.succeed(*create, **admin).strip()
    assert images.run("list", IMAGES_TOKEN=text).code == 0
    (token_id,) = images.succeed("token", "list", "-q", **admin).split()
    assert "ci" in images.succeed("token", "show", token_id, **admin)
    new = images.succeed("token", "rotate", token_id, "--days", "1", "-q", **admin).strip()
    assert images.run("list", IMAGES_TOKEN=text).code == 3
    assert images.run("list", IMAGES_TOKEN=new).code == 0
    assert images.run("token", "revoke", token_id, **admin).code == 0
    assert images.run("list", IMAGES_TOKEN=new).code == 3
    assert images.run("token", "show", "mine", **admin).code == 2
    shown = json.loads(images.succeed("token", "show", "current", "-o", "json", **admin))
    assert shown["is_personal"]
    assert "text" not in shown


def test_own_tokens_are_listed_and_revoked(images: Command, catalog: Registry) -> None:
    mine = {"IMAGES_TOKEN": catalog.token("environment-admin")}
    other = catalog.token("environment-admin", role=Role.VIEWER)
    listed = json.loads(images.succeed("token", "list", "--own", "-o", "json", **mine))
    current = json.loads(images.succeed("token", "show", "current", "-o", "json", **mine))
    (token_id,) = (str(each["id"]) for each in listed if each["role"] == "viewer")
    assert current["id"] in {each["id"] for each in listed}
    assert all(each["is_personal"] and "text" not in each for each in listed)
    assert token_id in images.succeed("token", "show", token_id, "--own", **mine)
    refused = images.run("token", "revoke", str(current["id"]), "--own", IMAGES_TOKEN=other)
    assert (refused.code, "stronger token" in refused.errors) == (6, True)
    assert images.run("token", "revoke", token_id, "--own", **mine).code == 0
    assert images.run("list", IMAGES_TOKEN=other).code == 3
    assert images.run("token", "show", token_id, "--own", **mine).code == 5


def test_rules_for_pipelines_are_created_and_deleted(images: Command, catalog: Registry) -> None:
    admin = {"IMAGES_TOKEN": catalog.token("account-admin")}
    create: tuple[str, ...] = (
        "token",
        "create-rule",
        "deploy",
        "--issuer",
        "https://gitlab.com",
        "--role",
        "editor",
        "--audience",
        "https://registry.example.com",
        "--claim",
        "ref=main",
    )
    shown = images.succeed(*create, "--claim", "project_path=acme/*", **admin)
    assert "ref = main" in shown
    assert images.run(*create, "--claim", "ref", **admin).code == 2
    assert images.run("token", "rules").code == 4
    (rule_id,) = images.succeed("token", "rules", "-q", **admin).split()
    rule = json.loads(images.succeed("token", "show-rule", rule_id, "-o", "json", **admin))
    assert rule["claims"] == {"ref": "main", "project_path": "acme/*"}
    assert images.run("token", "delete-rule", rule_id, **admin).code == 0
    assert images.succeed("token", "rules", "-q", **admin) == ""


def test_people_are_disabled_enabled_and_removed(images: Command, catalog: Registry) -> None:
    admin = {"IMAGES_TOKEN": catalog.token("scalr-admin"), "IMAGES_SCOPE": "scalr"}
    assert images.run("people", "list").code == 5
    listed = images.succeed("people", "list", "--name", "outsider", "-q", **admin)
    (person_id,) = listed.split()
    for command, is_disabled in (("disable", True), ("enable", False)):
        assert images.run("people", command, person_id, **admin).code == 0
        shown = json.loads(images.succeed("people", "show", person_id, "-o", "json", **admin))
        assert shown["is_disabled"] is is_disabled
    assert images.run("people", "remove", person_id, "--yes", **admin).code == 0
    assert images.run("people", "show", person_id, **admin).code == 5
