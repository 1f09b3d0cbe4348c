"""Credentials, members, invitations, views, scopes and the audit log with the installed command."""

from __future__ import annotations

import json
import re

import pytest

import models
from sandbox import aws
from tests.cli.app_with_provider import ISSUER
from tests.cli.registry import Command, Registry
from webapp.single_sign_on.role_rules import SHOWN_RULES


@pytest.fixture
def admin(images: Command, catalog: Registry) -> Command:
    """Return the command with a token of the admin of acme."""
    token = {"IMAGES_TOKEN": catalog.token("account-admin")}
    return Command(images.folder, images.home, images.environ | token)


def test_credentials_are_added_changed_and_deleted(admin: Command, images: Command) -> None:
    secret = "this-is-the-secret-of-a-cloud"
    values = json.dumps(
        {"access_key_id": "AKIAEXAMPLE", "secret_access_key": secret, "partition": "aws"}
    )
    arguments = ("credentials", "add", "aws", "Build", "--values-file", "-", "--no-check")
    assert images.run(*arguments, sent=values).code == 4
    added = admin.run(*arguments, "-o", "json", sent=values)
    assert added.code == 0, added.errors
    assert secret not in added.output
    number = json.loads(added.output)["id"]
    assert str(number) in admin.succeed("credentials", "list", "--search", "Build", "-q")
    edited = ("credentials", "edit", number, "--name", "Build 2", "--no-check")
    assert re.search(r"^Name +Build 2$", admin.succeed(*edited), re.MULTILINE)
    assert "AKIAEXAMPLE" in admin.succeed("credentials", "show", number)
    assert admin.run("credentials", "edit", number).code == 2
    wrong = admin.run("credentials", "edit", number, "--values-file", "-", sent=f'["{secret}"]')
    assert (wrong.code, secret in wrong.errors) == (2, False)
    assert admin.run("credentials", "check", number).code == 8
    assert admin.run("credentials", "delete", number).code == 2
    assert admin.run("credentials", "delete", number, "--yes", "--wait").code == 0
    assert admin.run("credentials", "show", number).code == 5


def test_clouds_and_their_locations(admin: Command, images: Command) -> None:
    keys = admin.succeed("clouds", "list", "-q").split()
    assert set(keys) == {"aws", "azure", "gce", "openstack", "vmware"}
    assert "secret_access_key" in admin.succeed("clouds", "list")
    number = images.succeed("credentials", "list", "--search", "Sandbox", "-q").strip()
    assert "us-east-1" in images.succeed("clouds", "locations", "aws", number, "-q").split()
    assert images.run("clouds", "locations", "awz", number).code == 5


def test_the_images_in_a_cloud(images: Command, catalog: Registry) -> None:
    number = images.succeed("credentials", "list", "--search", "Sandbox", "-q").strip()
    command = ("clouds", "images", "aws", number, "--location", "us-east-1")
    found = json.loads(images.succeed(*command, "-o", "json"))
    own = aws.ACME_IMAGE.id_in("us-east-1")
    assert {each["cloud_image_id"]: each["registered"] for each in found}[own] is None
    image_id = int(images.succeed("register", "aws", own, "--location", "us-east-1", "-q"))
    (image,) = json.loads(images.succeed(*command, "--search", own, "-o", "json"))
    assert image["registered"]["id"] == image_id
    assert images.run("clouds", "images", "awz", number).code == 5
    assert images.run(*command[:-1], "nowhere").code in {6, 8}


def test_members_and_invitations(admin: Command, images: Command) -> None:
    assert images.run("members", "list").code == 4
    members = {
        each["email"]: each for each in json.loads(admin.succeed("members", "list", "-ojson"))
    }
    viewer = members["account-viewer@example.com"]["id"]
    for role in ("editor", "viewer"):
        assert role in admin.succeed("members", "role", viewer, role)
    assert admin.run("members", "role", viewer, "owner").code == 2
    assert admin.run("members", "sign-out", viewer).code == 0
    assert json.loads(admin.succeed("members", "second-factor", "-ojson")) == {
        "required": False, "required_by": None,
    }  # fmt: skip
    assert admin.succeed("members", "second-factor", "--quiet") == "false\n"
    refused = admin.run("members", "second-factor", "--require")
    assert (refused.code, "Only people with a second factor" in refused.errors) == (6, True)
    assert "REQUIRED" in admin.succeed("members", "second-factor", "--no-require").upper()
    link = admin.succeed("invitations", "create", "new@example.com", "viewer").strip()
    assert "/invitation/" in link
    number = admin.succeed("invitations", "list", "--search", "new@", "-q").strip()
    assert admin.run("invitations", "withdraw", number).code == 0
    assert admin.run("invitations", "withdraw", number).code == 5


def test_rules_for_roles(admin: Command, images: Command, catalog: Registry) -> None:
    assert images.run("role-rules", "list").code == 4
    created = admin.succeed("role-rules", "create", "example", "groups", "ops", "editor", "-ojson")
    rule = json.loads(created)
    number, revision = rule["id"], rule["revision"]
    assert (rule["provider"], rule["scope"]["path"], rule["role"]) == ("example", "acme", "editor")
    assert admin.succeed("role-rules", "list", "-q") == f"{number}\n"
    listed = admin.succeed("role-rules", "list")
    assert "fixed-group" in listed
    assert "ops" in listed
    assert not admin.run("role-rules", "list").errors
    with models.database.connection_context():
        stored = models.ProviderRule.get_by_id(number)
        values = {name: getattr(stored, name) for name in ("issuer", "scope", "claim", "role")}
        copies = [{**values, "value": f"copy {copy}"} for copy in range(SHOWN_RULES)]
        models.ProviderRule.insert_many(copies).execute()
        assert "501 of 502 rules are listed" in admin.run("role-rules", "list").errors
        models.ProviderRule.delete().where(models.ProviderRule.id != number).execute()
    assert "editor" in admin.succeed("role-rules", "show", number)
    edit = ("role-rules", "edit", number)
    assert "viewer" in admin.succeed(*edit, "--role", "viewer", "--revision", revision)
    assert admin.run(*edit, "--role", "admin", "--revision", revision).code == 7
    assert admin.run(*edit).code == 2
    with models.database.connection_context():
        person = models.Person.get(models.Person.email == "account-viewer@example.com")
        models.Identity.create(person=person, issuer=ISSUER, subject="1", label="1")
    refused = admin.run(*edit, "--value", "others")
    assert (refused.code, "account-viewer" in refused.errors) == (6, True)
    assert "others" in admin.succeed(*edit, "--value", "others", "--accept-losses")
    assert admin.run("role-rules", "create", "nothing", "groups", "ops", "editor").code == 6
    assert admin.run("role-rules", "delete", number).code == 0
    assert admin.run("role-rules", "delete", number).code == 5


def test_views_are_saved_changed_and_deleted(images: Command) -> None:
    created = images.succeed("views", "create", "Old", "created:<2026-01-01", "--share", "-ojson")
    view = json.loads(created)
    assert (view["q"], view["shared"]) == ("created:<2026-01-01", True)
    changed = json.loads(
        images.succeed("views", "edit", view["id"], "--name", "Older", "--no-share", "-ojson")
    )
    assert (changed["name"], changed["shared"]) == ("Older", False)
    stale = ("views", "edit", view["id"], "--name", "x", "--revision", view["revision"])
    assert images.run(*stale).code == 7
    assert str(view["id"]) in images.succeed("views", "list", "-q").split()
    assert images.run("views", "edit", view["id"]).code == 2
    assert images.run("views", "delete", view["id"]).code == 0
    assert images.run("views", "delete", view["id"]).code == 5


def test_scopes_below_are_created_renamed_and_deleted(admin: Command, images: Command) -> None:
    assert images.run("environments", "create", "testing").code == 4
    assert admin.succeed("environments", "create", "testing", "-q") == "acme/testing\n"
    assert "Test" in admin.succeed("environments", "rename", "testing", "Test")
    assert "acme/testing" in admin.succeed("environments", "list", "-q").split()
    delete = ("environments", "delete", "testing", "--wait", "--confirm-name")
    assert admin.run(*delete, "testing").code == 6
    result = admin.run(*delete, "Test")
    assert result.code == 0, result.errors
    assert admin.run("environments", "rename", "testing", "Test").code == 5
    assert admin.run("accounts", "list").code == 5


def test_the_audit_log_and_the_overview(admin: Command, images: Command, catalog: Registry) -> None:
    image_id = catalog.add_image(name="audited")
    images.succeed("edit", image_id, "--name", "audited-2")
    assert images.run("audit", "list").code == 4
    entries = json.loads(admin.succeed("audit", "list", "audited-2", "--limit", "1", "-o", "json"))
    assert entries[0]["subject"] == "audited-2"
    shown = admin.succeed("audit", "show", entries[0]["id"])
    assert "name: audited → audited-2" in shown
    assert shown.startswith("ID ")
    exported = admin.succeed("audit", "export", "audited-2", "--format", "jsonl")
    assert str(entries[0]["id"]) in exported
    assert images.succeed("overview", "-q") == "1\n"
    assert "aws" in images.succeed("overview", "-o", "csv")
