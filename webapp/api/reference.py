"""The API reference in the help: each operation with its parameters, its fields and a command.

The content comes from the OpenAPI document. If an operation exists for scopes of several levels,
the reference shows only the operation for accounts.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from markupsafe import Markup, escape

from webapp.api import openapi
from webapp.clouds import CLOUDS

TITLES = (
    *("Images", "Imports", "Jobs", "Scopes", "Clouds", "Credentials", "Views", "Overview"),
    *("Members", "People", "Tokens", "Audit log", "OpenAPI"),
)
"""The sections in their order. Each is a tag of the OpenAPI document."""
ACCOUNT = "/account/{account}"
CLOUD = next(iter(CLOUDS))
"""The cloud of the examples."""
EXAMPLE_VALUES = {"account": "acme", "cloud": CLOUD, "slug": "staging"}
"""The example values of path parameters that are texts. The example of an ID is EXAMPLE_ID."""
EXAMPLE_ID = "12"
_LOCATOR = {"cloud": CLOUD, "location": "us-east-1", "cloud_image_id": "ami-0123456789abcdef0"}
EXAMPLE_BODIES: dict[str, Any] = {
    "add_credentials": {
        "cloud": CLOUD,
        "name": "Build",
        "values": {"access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "…"},
        "check": False,
    },
    "answer_import": {"operating_system": "Ubuntu 24.04"},
    "apply_import": {},
    "change_role": {"role": "editor"},
    "change_tags": {"add": ["team=web"], "remove": ["draft"]},
    "check_image": {},
    "create_account": {"name": "initech"},
    "create_environment": {"name": "testing"},
    "create_role_rule": {
        "provider": "example",
        "claim": "groups",
        "value": "registry-editors",
        "role": "editor",
    },
    "create_token": {"name": "ci", "role": "editor", "expires_at": "2026-12-31T00:00:00Z"},
    "create_token_rule": {
        "name": "images",
        "issuer": "https://token.actions.githubusercontent.com",
        "audience": "https://registry.example.com",
        "claims": {"repository": "acme/images", "ref": "refs/heads/main"},
        "role": "editor",
    },
    "create_view": {"name": "Old images", "q": "created:<2026-01-01", "shared": True},
    "delete_account": {"name": "globex"},
    "delete_environment": {"name": "staging"},
    "edit_credentials": {"name": "Build", "check": False},
    "edit_image": {"name": "web-2026-11", "notes": "For the web servers."},
    "edit_role_rule": {"role": "viewer", "accept_losses": True},
    "edit_view": {"name": "Older images"},
    "exchange_token": {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
        "subject_token": "eyJhbGciOi…",
        "scope": "/account/acme",
    },
    "invite": {"email": "new@example.com", "role": "viewer"},
    "look_up_image": _LOCATOR,
    "register_image": {**_LOCATOR, "tags": ["team=web"]},
    "rename_account": {"name": "Globex"},
    "rename_environment": {"name": "Staging"},
    "rotate_current_token": {"expires_at": "2026-12-31T00:00:00Z"},
    "rotate_token": {"expires_at": "2026-12-31T00:00:00Z"},
    "set_life_cycle": {"status": "deprecated", "reason": "Use the new image."},
    "set_second_factor_rule": {"required": True},
    "share_image": {"shared": True},
    "start_import": {
        "content": "cloud,location,cloud_image_id\naws,us-east-1,ami-0123456789abcdef0\n",
        "dry_run": True,
    },
    "start_bulk_action": {"action": "tag", "q": "os:ubuntu", "tags": ["cis"], "dry_run": True},
}
"""An example body for each operation that has a body, by the name of the operation."""


@dataclass(frozen=True)
class Value:
    """A parameter, or a field of a body."""

    name: str
    kind: str
    is_required: bool
    description: Markup


@dataclass(frozen=True)
class Entry:
    """An operation. `name` is its anchor."""

    name: str
    method: str
    path: str
    summary: str
    description: Markup
    parameters: tuple[Value, ...]
    fields: tuple[Value, ...]
    statuses: tuple[str, ...]
    example_path: str
    example_headers: tuple[str, ...]
    example_body: str

    def command(self, api_url: str) -> str:
        """Return a curl command that sends an example of the request."""
        method = "" if self.method == "GET" else f" -X {self.method}"
        headers = "".join(f" \\\n  -H {shlex.quote(each)}" for each in self.example_headers)
        body = f" \\\n  -d {shlex.quote(self.example_body)}" if self.example_body else ""
        url = shlex.quote(f"{api_url}{self.example_path}")
        return f'curl{method} -H "Authorization: Bearer $TOKEN"{headers} \\\n  {url}{body}'


@dataclass(frozen=True)
class Section:
    """The operations on one kind of record."""

    title: str
    entries: tuple[Entry, ...]

    @property
    def slug(self) -> str:
        return self.title.lower().replace(" ", "-")


@cache
def sections() -> tuple[Section, ...]:
    """Return the reference, from the committed OpenAPI document."""
    document = json.loads(openapi.FILE.read_text())
    entries = list(_entries(document))
    return tuple(
        Section(title, tuple(entry for tag, entry in entries if tag == title)) for title in TITLES
    )


def _entries(document: dict[str, Any]) -> Iterator[tuple[str, Entry]]:
    """Yield the tag and the entry of each operation that the reference shows."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            level, _, name = operation["operationId"].partition("_")
            if level not in {"scalr", "account", "environment"}:
                name = operation["operationId"]
            elif level != "account" and f"{ACCOUNT}{_path_below_scope(path)}" in document["paths"]:
                continue
            yield operation["tags"][0], _entry(document, name, method, path, operation)


def _path_below_scope(path: str) -> str:
    """Return the part of a path after the scope."""
    for prefix in ("/scalr", "/environment/{account}/{environment}"):
        if path.startswith(f"{prefix}/"):
            return path.removeprefix(prefix)
    return path


def _entry(
    document: dict[str, Any], name: str, method: str, path: str, operation: dict[str, Any]
) -> Entry:
    parameters = [_resolve(document, each) for each in operation["parameters"]]
    shown_parameters = [each for each in parameters if each["in"] != "path"]
    body = EXAMPLE_BODIES.get(name)
    headers = [
        f"{each['name']}: {each['example']}"
        for each in shown_parameters
        if each["in"] == "header" and each.get("required")
    ]
    if "requestBody" in operation:
        headers.append("Content-Type: application/json")
    values = {
        each["name"]: EXAMPLE_VALUES.get(each["name"], EXAMPLE_ID)
        for each in parameters
        if each["in"] == "path"
    }
    query = [
        f"{each['name']}={EXAMPLE_ID}"
        for each in shown_parameters
        if each["in"] == "query" and "required" in each
    ]
    return Entry(
        name=name,
        method=method.upper(),
        path=path,
        summary=operation["summary"],
        description=_with_code(operation.get("description", "")),
        parameters=tuple(
            Value(
                each["name"],
                _kind(document, each["schema"]),
                bool(each.get("required")),
                _with_code(each.get("description", "")),
            )
            for each in shown_parameters
        ),
        fields=_fields(document, operation),
        statuses=tuple(status for status in operation["responses"] if status.startswith("2")),
        example_path=path.format(**values) + (f"?{'&'.join(query)}" if query else ""),
        example_headers=tuple(headers),
        example_body="" if body is None else json.dumps(body, ensure_ascii=False),
    )


def _fields(document: dict[str, Any], operation: dict[str, Any]) -> tuple[Value, ...]:
    """Return the fields of the body, the required fields first."""
    if "requestBody" not in operation:
        return ()
    content = next(iter(operation["requestBody"]["content"].values()))
    schema = _resolve(document, content["schema"])
    required = schema.get("required", [])
    fields = [
        Value(
            name, _kind(document, each), name in required, _with_code(each.get("description", ""))
        )
        for name, each in schema["properties"].items()
    ]
    return tuple(sorted(fields, key=lambda field: not field.is_required))


def _with_code(text: str) -> Markup:
    """Return a text as HTML. A part between two backticks is code."""
    parts = enumerate(text.split("`"))
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if number % 2 else escape(part)
        for number, part in parts
    )


def _kind(document: dict[str, Any], schema: dict[str, Any]) -> str:
    """Return the kind of a value in words, for example 'list of strings'."""
    schema = _resolve(document, schema)
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    if "anyOf" in schema:
        return " or ".join(_kind(document, each) for each in schema["anyOf"])
    names = {"integer": "number", "boolean": "true or false", "null": "null"}
    if schema.get("type") == "array":
        return f"list of {_kind(document, schema['items'])}s"
    if schema.get("format") == "date":
        return "date"
    if schema.get("format") == "date-time":
        return "date and time"
    kind = schema.get("type", "object")
    return names.get(kind, kind)


def _resolve(document: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    node: Any = document
    if "$ref" not in value:
        return value
    for part in value["$ref"].removeprefix("#/").split("/"):
        node = node[part]
    return dict(node)
