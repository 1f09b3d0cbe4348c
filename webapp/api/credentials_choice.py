"""The choice of a cloud and of its credentials in a request."""

from __future__ import annotations

from typing import Annotated

from flask import g
from msgspec import Meta

from models import CloudCredentials
from webapp.api.operations import RecordId
from webapp.api.problems import LONGEST_ECHO, invalid_value
from webapp.clouds import CLOUDS
from webapp.clouds.messages import shorten
from webapp.credentials import cloud_credentials

Credentials = Annotated[
    RecordId | Annotated[str, Meta(max_length=CloudCredentials.name.max_length)] | None,
    Meta(
        description="The ID or the name of the credentials. This field can be left out if the "
        "scope can use only one set of credentials for the cloud."
    ),
]


def require_cloud(field: str, key: str) -> None:
    """Raise ApiProblem unless `key` is the key of a cloud. `field` is the name of the field."""
    if key not in CLOUDS:
        text, names = shorten(key, LONGEST_ECHO), ", ".join(CLOUDS)
        message = f"“{text}” isn’t the key of a cloud. Use one of: {names}."
        raise invalid_value(field, message)


def matching_credentials(cloud: str, choice: int | str | None) -> list[CloudCredentials]:
    """Return the credentials that the scope can use for a cloud, and that match the choice.

    Without a choice, all match. The credentials of the nearest scope come first. Names are unique
    within a scope, so a name matches at most one set of credentials of each scope.
    """
    rows = cloud_credentials.usable_at(g.scope, cloud)
    if choice is None:
        return rows
    return [row for row in rows if choice in {row.id, row.name}]
