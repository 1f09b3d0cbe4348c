"""The reference of the API in the help, whose commands work."""

from __future__ import annotations

import html
import json
import re
import shlex
from typing import Any

from models import Image
from tests.api.client import ROOT, ApiClient, ClientFor
from tests.conftest import ClientOf, MakeImage
from webapp.api import reference
from webapp.api.operations import OPERATIONS

REFERENCE = "/help/api/reference"
TRIED = (
    *("get_openapi", "list_scopes", "list_clouds", "get_current_token", "list_environments"),
    *("create_environment", "rename_environment", "list_images", "get_image", "edit_image"),
    *("share_image", "set_life_cycle", "change_tags", "get_history", "start_bulk_action"),
    *("delete_image", "list_deleted_images", "restore_image", "get_overview", "list_views"),
    *("create_view", "list_members", "list_invitations", "invite", "list_tokens"),
    *("create_token_rule", "list_token_rules", "list_role_rules"),
    *("list_credentials", "add_credentials", "list_audit_log"),
)
"""The operations whose example needs no other record than the image 12, in a working order."""


def commands(page: str) -> dict[str, str]:
    """Return the command of each operation by its name."""
    found = re.findall(r'<h3 id="(\w+)">.*?<pre[^>]*><code>(.*?)</code>', page, re.DOTALL)
    return {name: html.unescape(command) for name, command in found}


def test_the_reference_has_every_operation_once(client_of: ClientOf) -> None:
    page = client_of("outsider").get(REFERENCE)
    assert page.status_code == 200
    assert sorted(commands(page.text)) == sorted(each.name for each in OPERATIONS)
    assert "<script src" not in page.text.partition("<article")[2]
    for section in reference.sections():
        assert f'id="{section.slug}"' in page.text


def test_every_operation_with_a_body_has_an_example() -> None:
    with_body = {each.name for each in OPERATIONS if each.body_type is not None}
    assert with_body == set(reference.EXAMPLE_BODIES)


def run(api: ApiClient, command: str) -> int:
    """Send the request of a command with the test client, and return the status."""
    arguments = shlex.split(command.replace("\\\n", "").replace("$TOKEN", api.token))
    assert arguments.pop(0) == "curl"
    method, headers, body, url = "GET", {}, None, ""
    while arguments:
        argument = arguments.pop(0)
        if argument == "-X":
            method = arguments.pop(0)
        elif argument == "-H":
            name, _, value = arguments.pop(0).partition(": ")
            headers[name] = value
        elif argument == "-d":
            body = arguments.pop(0)
            json.loads(body)
        else:
            url = argument
    path = url.removeprefix(f"http://localhost{ROOT}")
    options: dict[str, Any] = {"headers": headers, "data": body}
    return api.open(method, path, **options).status_code


def test_the_commands_work(client_of: ClientOf, api_of: ClientFor, make_image: MakeImage) -> None:
    image = make_image("acme", tags=["draft"])
    Image.update(id=12).where(Image.id == image.id).execute()
    api = api_of("account-admin")
    found = commands(client_of("account-viewer").get(REFERENCE).text)
    statuses = {}
    for name in TRIED:
        command = found[name]
        if 'If-Match: "3"' in command:
            revision = Image.get_by_id(12).revision
            command = command.replace('If-Match: "3"', f'If-Match: "{revision}"')
        statuses[name] = run(api, command)
    assert {name: status for name, status in statuses.items() if status >= 300} == {}
