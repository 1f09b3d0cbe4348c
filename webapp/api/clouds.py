"""The clouds that the registry supports, and the locations and images that the clouds return."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from flask import g
from msgspec import Meta, Struct

from webapp.access import Right
from webapp.api.operations import Answer, RecordId, operation
from webapp.api.paging import page_links
from webapp.api.problems import ApiProblem, Existing
from webapp.api.urls import image_url
from webapp.clouds import CLOUDS
from webapp.images import browsing
from webapp.images.browsing import BrowsedImage
from webapp.images.registration import usable_credentials
from webapp.web.services import services

TAG = "Clouds"
CLOUD_CALL_PROBLEMS = (
    *("invalid-values", "cloud-refused", "cloud-busy", "cloud-unreachable"),
    "credentials-unreadable",
)


class CredentialField(Struct):
    """A value of the credentials for a cloud."""

    name: str
    label: str
    required: bool
    secret: Annotated[bool, Meta(description="True for a secret, which the API never returns.")]
    hint: str


class Cloud(Struct):
    """A cloud."""

    key: str
    label: str
    location_rule: Annotated[
        str,
        Meta(
            description="`regional`: all images need a location. `lookup-only`: images have no "
            "location, but the look-ups of some images need a location. `global`: no image has a "
            "location."
        ),
    ]
    credential_fields: list[CredentialField]


class CloudList(Struct):
    """All clouds."""

    items: list[Cloud]


class Location(Struct):
    """A location of a cloud."""

    key: str
    label: str
    enabled: Annotated[
        bool, Meta(description="Whether the account of the credentials can use the location.")
    ]


class LocationList(Struct):
    """The locations that a cloud returns for credentials."""

    items: list[Location]


class LocationQuery(Struct, forbid_unknown_fields=True):
    """The parameters of the list of locations."""

    credentials: Annotated[RecordId, Meta(description="The ID of the credentials to use.")]


@operation("GET /clouds", tag=TAG, levels=())
def list_clouds() -> Answer[CloudList]:
    """List the clouds, and the values that their credentials need."""
    return Answer(
        CloudList(
            [
                Cloud(
                    key=cloud.key,
                    label=cloud.label,
                    location_rule=cloud.location_rule.value,
                    credential_fields=[
                        CredentialField(
                            each.name, each.label, each.required, each.secret, each.hint
                        )
                        for each in cloud.credential_fields
                    ],
                )
                for cloud in CLOUDS.values()
            ]
        )
    )


@operation(
    "GET /clouds/<cloud>/locations",
    tag=TAG,
    right=Right.EDIT_IMAGES,
    problems=CLOUD_CALL_PROBLEMS,
)
def list_locations(cloud: str, query: LocationQuery) -> Answer[LocationList]:
    """List the locations of a cloud, as the cloud returns them for the credentials."""
    if cloud not in CLOUDS:
        raise ApiProblem("not-found")
    row = usable_credentials(g.scope, cloud, query.credentials)
    items = CLOUDS[cloud].locations(services().vault.reveal(row))
    return Answer(LocationList([Location(each.key, each.label, each.enabled) for each in items]))


class CloudImage(Struct):
    """An image in a cloud."""

    cloud_image_id: str
    name: str
    origin: Annotated[
        str, Meta(description="The owner of the image, the gallery that contains the image, or ''.")
    ]
    created_at: datetime | None
    registered: Annotated[
        Existing | None,
        Meta(description="The record of the image, or null if the scope sees no record of it."),
    ]


class CloudImageList(Struct):
    """One page of the images in a cloud."""

    items: list[CloudImage]
    next: str | None
    is_complete: Annotated[
        bool, Meta(description="False if the page leaves out images that may match the search.")
    ]


class CloudImageQuery(Struct, forbid_unknown_fields=True):
    """The parameters of the list of images in a cloud."""

    credentials: Annotated[RecordId, Meta(description="The ID of the credentials to use.")]
    location: Annotated[str, Meta(description="For example a region.")] = ""
    q: Annotated[str, Meta(description="A part of the name or of the cloud image ID.")] = ""
    cursor: Annotated[
        str, Meta(max_length=2_000, description="The position in the list. See `next`.")
    ] = ""


@operation(
    "GET /clouds/<cloud>/images",
    tag=TAG,
    right=Right.EDIT_IMAGES,
    problems=CLOUD_CALL_PROBLEMS,
)
def list_cloud_images(cloud: str, query: CloudImageQuery) -> Answer[CloudImageList]:
    """List the images that the credentials own in a cloud, or that are shared with the credentials.

    The registry reads the list from the cloud. Public images of other owners are left out.
    """
    if cloud not in CLOUDS:
        raise ApiProblem("not-found")
    listing = browsing.browse(
        g.actor,
        g.scope,
        services().vault,
        cloud,
        credentials_id=query.credentials,
        location=query.location,
        search=query.q,
        cursor=query.cursor,
    )
    items = [_cloud_image(each) for each in listing.images]
    next_url, headers = page_links(listing.next_cursor)
    return Answer(CloudImageList(items, next_url, listing.is_complete), headers=headers)


def _cloud_image(image: BrowsedImage) -> CloudImage:
    listed, record = image.listed, image.registered
    return CloudImage(
        cloud_image_id=listed.image_id,
        name=listed.name,
        origin=listed.origin,
        created_at=listed.created,
        registered=Existing(record.id, record.name, image_url(record)) if record else None,
    )
