"""The choice of cloud credentials in a request, by their ID or their name."""

from __future__ import annotations

from typing import Annotated

from flask import g
from msgspec import Meta

from models import CloudCredentials
from webapp.api.operations import RecordId
from webapp.credentials import cloud_credentials

Credentials = Annotated[
    RecordId | Annotated[str, Meta(max_length=CloudCredentials.name.max_length)] | None,
    Meta(
        description="The ID or the name of the credentials. It can be left out if the scope can "
        "use only one set of credentials for the cloud."
    ),
]


def matching_credentials(cloud: str, chosen: int | str | None) -> list[CloudCredentials]:
    """Return the credentials for a cloud that the scope can use, and that match the choice.

    Without a choice, all match. The credentials of the nearest scope come first. A scope has only
    one set of credentials with the same name.
    """
    usable = cloud_credentials.usable_at(g.scope, cloud)
    if chosen is None:
        return usable
    return [row for row in usable if chosen in {row.id, row.name}]
