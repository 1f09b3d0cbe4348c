"""Define the columns of images and related records, and print images."""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import Any

from images_cli.client import Client
from images_cli.output import Column, Output, Record
from images_cli.texts import local_time, scope_text, value_text

CSV_FIELDS = (
    *("id", "name", "cloud", "location", "cloud_image_id", "compute_resource"),
    *("os_family", "os_version", "size_gb", "agent_installed", "shared", "tags"),
    *("architecture", "description", "state", "status", "scope"),
    *("registered_by", "registered_at", "checked_at", "check_failed_at"),
    *("revision", "url", "web_url"),
)
"""The columns of CSV. Scripts rely on these columns, so new fields of the API are not added."""
DELETED_FIELDS = (
    *("id", "name", "cloud", "location", "cloud_image_id"),
    *("deleted_at", "deleted_by", "restorable_until"),
)
HISTORY_FIELDS = ("id", "at", "action", "person", "person_email", "scope", "job", "changes")
LOOK_UP_FIELDS = ("cloud", "location", "cloud_image_id", "alias", "compute_resources")


def _value(name: str) -> Callable[[Record], str]:
    return lambda record: value_text(record[name])


def _time(name: str) -> Callable[[Record], str]:
    return lambda record: local_time(record[name])


def _operating_system(record: Record) -> str:
    return f"{record['os_family']} {record['os_version']}".strip()


def _size(record: Record) -> str:
    return "" if record["size_gb"] is None else f"{record['size_gb']} GB"


def _registered(record: Record) -> str:
    return f"{local_time(record['registered_at'])} by {record['registered_by']}"


def _changes(record: Record) -> str:
    texts = []
    for change in record["changes"]:
        before = value_text(change["before"])
        arrow = f"{before} → " if before else ""
        texts.append(f"{change['field']}: {arrow}{value_text(change['after'])}".rstrip())
    return "; ".join([*texts, "…"] if record.get("is_shortened") else texts)


LIST_COLUMNS = (
    Column("ID", _value("id")),
    Column("NAME", itemgetter("name")),
    Column("CLOUD", itemgetter("cloud")),
    Column("LOCATION", itemgetter("location")),
    Column("CLOUD IMAGE ID", itemgetter("cloud_image_id")),
    Column("OS", _operating_system),
    Column("STATUS", itemgetter("status")),
    Column("STATE", itemgetter("state")),
    Column("SCOPE", lambda record: scope_text(record["scope"])),
    Column("REGISTERED", _time("registered_at")),
)
IMAGE_ROWS = (
    Column("ID", _value("id")),
    Column("Name", itemgetter("name")),
    Column("Cloud", itemgetter("cloud")),
    Column("Location", itemgetter("location")),
    Column("Cloud image ID", itemgetter("cloud_image_id")),
    Column("Compute resource", itemgetter("compute_resource")),
    Column("Operating system", _operating_system),
    Column("Size", _size),
    Column("Scalr agent", _value("agent_installed")),
    Column("Architecture", itemgetter("architecture")),
    Column("Description", itemgetter("description")),
    Column("Tags", _value("tags")),
    Column("Scope", lambda record: scope_text(record["scope"])),
    Column("Shared", _value("shared")),
    Column("State", itemgetter("state")),
    Column("Status", itemgetter("status")),
    Column("Deprecated on", _value("deprecated_on")),
    Column("Retired on", _value("retired_on")),
    Column("Reason", itemgetter("status_reason")),
    Column("Successor", _value("successor")),
    Column("Registered", _registered),
    Column("Checked", _time("checked_at")),
    Column("Check failed", _time("check_failed_at")),
    Column("Check error", itemgetter("check_error")),
    Column("Credentials", _value("credentials")),
    Column("Notes", itemgetter("notes")),
    Column("Revision", _value("revision")),
    Column("Page", itemgetter("web_url")),
)
LOOK_UP_ROWS = (
    Column("Cloud", itemgetter("cloud")),
    Column("Location", itemgetter("location")),
    Column("Cloud image ID", itemgetter("cloud_image_id")),
    Column("Alias", itemgetter("alias")),
    Column("Compute resources", _value("compute_resources")),
    Column("Name in the cloud", lambda record: record["details"]["name"]),
    Column("Description", lambda record: record["details"]["description"]),
    Column("Architecture", lambda record: record["details"]["architecture"]),
    Column("State", lambda record: record["details"]["state"]),
    Column("Created", lambda record: local_time(record["details"]["created_at"])),
    Column("Suggested name", lambda record: record["suggested"]["name"]),
    Column("Suggested system", lambda record: _operating_system(record["suggested"])),
    Column("Size", lambda record: _size(record["suggested"])),
    Column("Warnings", lambda record: value_text(record["details"]["warnings"])),
)
DELETED_COLUMNS = (
    Column("ID", _value("id")),
    Column("NAME", itemgetter("name")),
    Column("CLOUD", itemgetter("cloud")),
    Column("LOCATION", itemgetter("location")),
    Column("CLOUD IMAGE ID", itemgetter("cloud_image_id")),
    Column("DELETED", _time("deleted_at")),
    Column("DELETED BY", _value("deleted_by")),
    Column("RESTORABLE UNTIL", _time("restorable_until")),
)
HISTORY_COLUMNS = (
    Column("TIME", _time("at")),
    Column("PERSON", itemgetter("person")),
    Column("ACTION", itemgetter("action_text")),
    Column("CHANGES", _changes),
)


def print_image(output: Output, image: Record) -> None:
    output.print_one(image, IMAGE_ROWS, CSV_FIELDS)


def image_path(image_id: int) -> str:
    """Return the path of an image in the API, below its scope."""
    return f"/images/{image_id}"


def read_image(client: Client, image_id: int) -> tuple[Record, str]:
    """Return an image and its ETag."""
    response = client.get(image_path(image_id))
    image: dict[str, Any] = response.document
    return image, response.headers["ETag"]
