"""Look up cloud images, and register them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from flask import g
from msgspec import Meta, Struct

from models import CloudCredentials, Level
from models import Image as ImageRecord
from webapp.access import Right
from webapp.api.credentials_choice import Credentials, matching_credentials, require_cloud
from webapp.api.image_documents import CloudDetails, Image, details_of
from webapp.api.image_values import Values, parse_values
from webapp.api.images import TAG, answer_with
from webapp.api.operations import Answer, operation
from webapp.api.problems import invalid_value
from webapp.api.urls import image_url
from webapp.clouds import CLOUDS
from webapp.images import operating_systems, registration
from webapp.images.choices import ImageChoices
from webapp.images.identity import AlreadyRegistered
from webapp.images.receipts import Receipt
from webapp.web.services import services

CLOUD_PROBLEMS = (
    *("already-registered", "cloud-refused", "cloud-busy", "cloud-unreachable"),
    "credentials-unreadable",
)


Cloud = Annotated[
    str, Meta(description="The key of a cloud.", extra_json_schema={"enum": list(CLOUDS)})
]
CloudImageId = Annotated[
    str, Meta(description="The ID of the image, in any format that the New Image page accepts.")
]
Location = Annotated[
    str,
    Meta(
        description="For example a region. Leave out the location if the image needs none, or if "
        "`cloud_image_id` contains it."
    ),
]


class Locator(Struct, forbid_unknown_fields=True):
    """Identifies an image in its cloud."""

    cloud: Cloud
    cloud_image_id: CloudImageId
    location: Location = ""
    credentials: Credentials = None


class Suggestion(Struct):
    """The values that the New Image page suggests. An unknown value is '' or null."""

    name: str
    os_family: str
    os_version: str
    size_gb: int | None


class LookUp(Struct):
    """The details of an image in its cloud. Nothing was saved."""

    cloud: str
    location: str
    cloud_image_id: Annotated[str, Meta(description="The ID in its canonical form.")]
    alias: Annotated[
        str,
        Meta(
            description="The alias that was looked up, such as an image family, or an ID with "
            "`latest`. '' if no alias was looked up."
        ),
    ]
    compute_resources: list[str]
    details: CloudDetails
    suggested: Suggestion


def _prepare_look_up(body: Locator) -> Receipt:
    return _look_up(body)


@operation(
    "POST /images/look-up",
    tag=TAG,
    right=Right.EDIT_IMAGES,
    problems=CLOUD_PROBLEMS,
    prepare=_prepare_look_up,
)
def look_up_image(body: Locator, prepared: Receipt) -> Answer[LookUp]:  # noqa: ARG001
    """Read an image from its cloud, without registering it."""
    # The type of `body` describes the request. `_prepare_look_up` has already used the value.
    receipt = prepared
    return Answer(
        LookUp(
            cloud=receipt.cloud,
            location=receipt.locator.location,
            cloud_image_id=receipt.locator.image_id,
            alias=receipt.alias,
            compute_resources=list(receipt.details.compute_resources),
            details=details_of(receipt.details),
            suggested=Suggestion(**_suggested_values(receipt)),
        )
    )


class Registration(Values, kw_only=True):
    """The image to register, and the values that people enter for it.

    If the name, the size or the operating system is left out, it comes from the cloud. By default,
    the Scalr agent counts as installed. At the Scalr scope and at accounts, the image is shared
    with the scopes below by default.
    """

    cloud: Cloud
    cloud_image_id: CloudImageId
    location: Location = ""
    credentials: Credentials = None
    compute_resource: Annotated[
        str, Meta(description="For VMware vSphere: one of the compute resources of the template.")
    ] = ""


class RegistrationQuery(Struct, forbid_unknown_fields=True):
    """The query parameters of a registration."""

    if_exists: Annotated[
        Literal["fail", "return"],
        Meta(
            description="The response if the image is already registered. `fail`: the status is "
            "409. `return`: the status is 200, and the body is the registered image."
        ),
    ] = "fail"


def _look_up_new(query: RegistrationQuery, body: Registration) -> Receipt | ImageRecord:
    """Look up an image.

    If the image is registered already, raise AlreadyRegistered or, with `if_exists=return`, return
    the registered image.
    """
    parse_values(body)  # Report an invalid value without a call to the cloud.
    try:
        return _look_up(body)
    except AlreadyRegistered as error:
        if query.if_exists == "fail":
            raise
        return error.image


@operation(
    "POST /images",
    tag=TAG,
    right=Right.EDIT_IMAGES,
    statuses=(201, 200),
    problems=CLOUD_PROBLEMS,
    prepare=_look_up_new,
)
def register_image(
    query: RegistrationQuery, body: Registration, prepared: Receipt | ImageRecord
) -> Answer[Image]:
    """Look up an image in its cloud, and register it.

    With `if_exists=return`, a pipeline can repeat the request: if the image is registered already,
    the response is 200 with the registered image, which stays as it is.
    """
    if isinstance(prepared, ImageRecord):
        return answer_with(prepared)
    choices = _choices(prepared, parse_values(body))
    try:
        image = registration.register(g.actor, g.scope, prepared, choices, body.compute_resource)
    except AlreadyRegistered as error:
        if query.if_exists == "fail":
            raise
        return answer_with(error.image)
    answer = answer_with(image, 201)
    return Answer(answer.body, 201, {"Location": image_url(image)}, image.revision)


def _look_up(body: Locator | Registration) -> Receipt:
    require_cloud("cloud", body.cloud)
    return registration.look_up(
        g.actor,
        g.scope,
        services().vault,
        body.cloud,
        credentials_id=_credentials_id(body),
        location=body.location,
        image_id=body.cloud_image_id,
    )


def _credentials_id(body: Locator | Registration) -> int | None:
    """Return the ID of the chosen credentials, or of the only usable ones. Raises ApiProblem."""
    choice = body.credentials
    if isinstance(choice, int):
        return choice
    rows = matching_credentials(body.cloud, choice)
    if choice is None and len(rows) > 1:
        names = ", ".join(map(_label, rows[:20]))
        message = f"Several credentials can be used here. Choose one of: {names}."
        raise invalid_value("credentials", message)
    return rows[0].id if rows else None


def _label(row: CloudCredentials) -> str:
    return f"{row.id} (“{row.name}”)"


def _suggested_values(receipt: Receipt) -> dict[str, Any]:
    system = operating_systems.suggest(receipt.details.os_texts)
    return {
        "name": registration.suggested_name(receipt),
        "os_family": system.family if system else "",
        "os_version": system.version if system else "",
        "size_gb": receipt.details.size_gb,
    }


def _choices(receipt: Receipt, values: dict[str, Any]) -> ImageChoices:
    """Return the values of the new image.

    Raises InvalidChoices, for example if the operating system is missing in `values` and cannot be
    detected.
    """
    defaults = {
        **_suggested_values(receipt),
        "agent_installed": True,
        "shared": g.scope.level is not Level.ENVIRONMENT,
    }
    if "os_family" in values and values["os_family"] != defaults["os_family"]:
        defaults["os_version"] = ""  # The suggested version belongs to another family.
    return ImageChoices(**{**defaults, **values})
