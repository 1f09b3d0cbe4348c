"""Images as JSON: short documents for lists, and documents with all values of one image.

The ETag of an image is the revision of the image's record. This revision does not increase when
another record changes, so the document contains only values of the image's own record. For example,
it has the ID of the successor, but not the name of the successor.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

from flask import g
from msgspec import Meta, Struct

from models import Image as ImageRecord
from webapp.access import Right
from webapp.api.urls import api_url, image_path, page_url
from webapp.clouds.details import ImageDetails
from webapp.images import image_details
from webapp.search.rows import ListedImage

ImageId = Annotated[int, Meta(description="The ID of the image in the registry.")]


class ScopeReference(Struct):
    """The scope that owns a record."""

    level: Annotated[str, Meta(description="`scalr`, `account` or `environment`.")]
    path: Annotated[
        str,
        Meta(
            description="'' for the Scalr scope. For other scopes, for example `acme` or "
            "`acme/production`."
        ),
    ]


class ImageSummary(Struct):
    """An image in a list."""

    id: ImageId
    name: str
    cloud: str
    location: str
    cloud_image_id: Annotated[str, Meta(description="The ID of the image in its cloud.")]
    compute_resource: str
    os_family: str
    os_version: str
    size_gb: int | None
    agent_installed: Annotated[bool, Meta(description="Whether the Scalr agent is installed.")]
    shared: Annotated[bool, Meta(description="Whether the scopes below can use the image.")]
    tags: list[str]
    architecture: str
    description: Annotated[str, Meta(description="The description in the cloud.")]
    state: Annotated[
        str,
        Meta(
            description="The state in the cloud. `unknown` if the image was never read from the "
            "cloud."
        ),
    ]
    status: Annotated[str, Meta(description="`active`, `deprecated` or `retired`.")]
    scope: ScopeReference
    registered_by: str
    registered_at: datetime
    checked_at: Annotated[
        datetime | None,
        Meta(description="When the image was last read from its cloud. Null if it never was."),
    ]
    check_failed_at: Annotated[
        datetime | None,
        Meta(
            description="When the last check failed. Null if the last check succeeded, or if the "
            "image was never checked."
        ),
    ]
    revision: Annotated[int, Meta(description="Increases with each change. The ETag contains it.")]
    url: Annotated[str, Meta(description="The URL of the image in the API.")]
    web_url: Annotated[str, Meta(description="The URL of the page of the image.")]


class Fact(Struct):
    """A detail for which `CloudDetails` has no other field."""

    key: str
    label: str
    value: str


class Volume(Struct):
    """A disk of the image in the cloud."""

    device: str
    kind: str
    size_gb: int | None
    snapshot: str
    encrypted: bool | None
    root: bool


class CloudDetails(Struct):
    """The details that the cloud returned at the last look-up or check."""

    name: str
    description: str
    architecture: str
    size_gb: int | None
    state: str
    state_note: str
    created_at: datetime | None
    deprecated_at: datetime | None
    ends_at: datetime | None
    facts: list[Fact]
    volumes: list[Volume]
    warnings: list[str]


class Image(ImageSummary):
    """An image with all its values."""

    notes: Annotated[str, Meta(description="The notes that people wrote, in Markdown.")]
    deprecated_on: date | None
    retired_on: date | None
    status_reason: str
    successor: Annotated[
        int | None, Meta(description="The ID of the image that replaces this image.")
    ]
    credentials: Annotated[
        str | None,
        Meta(
            description="The name of the credentials. Null unless the token may list credentials."
        ),
    ]
    check_error: Annotated[str, Meta(description="Why the last check failed, or ''.")]
    details: CloudDetails


def summary_of(listed: ListedImage) -> ImageSummary:
    """Return the summary of an image in a list.

    If the current scope owns or inherits the image, its URLs are at the current scope. Otherwise,
    they are at the scope below that owns the image.
    """
    scope = g.scope
    is_here = listed.scope_id == scope.id or listed.scope_id in scope.above
    level, path = (scope.level.value, scope.path) if is_here else (listed.level, listed.owner_path)
    own_path = image_path(level, path, listed.id)
    return ImageSummary(
        id=listed.id,
        name=listed.name,
        cloud=listed.cloud,
        location=listed.location,
        cloud_image_id=listed.cloud_image_id,
        compute_resource=listed.compute_resource,
        os_family=listed.os_family,
        os_version=listed.os_version,
        size_gb=listed.size_gb,
        agent_installed=bool(listed.agent_installed),
        shared=listed.shared,
        tags=listed.tags,
        architecture=listed.architecture,
        description=listed.description,
        state=listed.state,
        status=listed.status,
        scope=ScopeReference(listed.level, listed.owner_path),
        registered_by=listed.registered_by_name,
        registered_at=listed.registered_at,
        checked_at=listed.checked_at if listed.verified else None,
        check_failed_at=listed.check_failed_at,
        revision=listed.revision,
        url=api_url(own_path),
        web_url=page_url(own_path),
    )


def document_of(image: ImageRecord) -> Image:
    """Return the document of an image that the current scope owns or inherits."""
    owner = next(each for each in g.scope.lineage if each.id == image.scope_id)
    own_path = image_path(g.scope.level, g.scope.path, image.id)
    show_credentials = g.actor.may(Right.LIST_CREDENTIALS, g.scope)
    return Image(
        id=image.id,
        name=image.name,
        cloud=image.cloud,
        location=image.location,
        cloud_image_id=image.cloud_image_id,
        compute_resource=image.compute_resource,
        os_family=image.os_family,
        os_version=image.os_version,
        size_gb=image.size_gb,
        agent_installed=image.agent_installed,
        shared=image.shared,
        tags=image.tags,
        architecture=image.architecture,
        description=image.description,
        state=image.state,
        status=image.status.value,
        scope=ScopeReference(owner.level.value, owner.path),
        registered_by=image.registered_by_name,
        registered_at=image.registered_at,
        checked_at=image.checked_at if image.verified else None,
        check_failed_at=image.check_failed_at,
        revision=image.revision,
        url=api_url(own_path),
        web_url=page_url(own_path),
        notes=image.notes,
        deprecated_on=image.deprecated_on,
        retired_on=image.retired_on,
        status_reason=image.status_reason,
        successor=image.successor_id,
        credentials=image.credentials_name if show_credentials else None,
        check_error=image.check_error,
        details=details_of(image_details.from_json(image.details)),
    )


def details_of(details: ImageDetails) -> CloudDetails:
    """Return the document of the details that a cloud returned."""
    return CloudDetails(
        name=details.name,
        description=details.description,
        architecture=details.architecture,
        size_gb=details.size_gb,
        state=details.state.value,
        state_note=details.state_note,
        created_at=details.created_at,
        deprecated_at=details.deprecated_at,
        ends_at=details.ends_at,
        facts=[Fact(each.key, each.label, each.value) for each in details.facts],
        volumes=[
            Volume(each.device, each.kind, each.size_gb, each.snapshot, each.encrypted, each.root)
            for each in details.volumes
        ],
        warnings=list(details.warnings),
    )
