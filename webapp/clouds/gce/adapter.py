"""Google Compute Engine: an image belongs to a project, is common to all regions, and is read with
Compute Engine's own API.

This file is light: whatever needs the SDK is in `gce_sdk` and `gce_errors`, and these are imported
inside functions, on first use. Importing them costs more than everything else in the app.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import quote

from webapp.clouds.base import (
    Cloud,
    CloudError,
    CloudUnreachable,
    CredentialValues,
    Field,
    Identity,
    ImageDetails,
    ImageId,
    InvalidCredentials,
    InvalidImageId,
    Location,
    LocationRule,
    Locator,
)
from webapp.clouds.gce import details as gce_details
from webapp.clouds.gce import ids as gce_ids
from webapp.clouds.gce import package as gce_package
from webapp.clouds.tls import require_certificates

if TYPE_CHECKING:
    from webapp.clouds.gce.sdk import Clients

CONSOLE = "https://console.cloud.google.com/compute/imagesDetail/projects/"
IMAGE_LIST = "compute#imageList"


class Gce(Cloud):
    key = "gce"
    label = "Google Compute Engine"
    icon = "brand-google"
    location_rule = LocationRule.GLOBAL
    credential_fields = (
        Field(
            "service_account_key",
            "Service account key",
            hint="The JSON file that Google Cloud gives when a key is made, under IAM & Admin, "
            "Service Accounts, Keys. The role Compute Image User is enough for it.",
            placeholder='{"type": "service_account", …}',
            secret=True,
            multiline=True,
        ),
        Field(
            "endpoint_url",
            "Endpoint URL",
            hint="Only for a private or test endpoint. Leave empty for Google itself.",
            placeholder="https://…",
            required=False,
        ),
        Field(
            "ca",
            "Certificate authority",
            hint="Only with an endpoint URL: the certificates, in PEM form, of whoever issued that "
            "of the endpoint, if it is none that is known everywhere.",
            placeholder="-----BEGIN CERTIFICATE-----…",
            required=False,
            multiline=True,
        ),
    )
    location_field = None
    image_id_field = Field(
        "image_id",
        "Cloud Image ID",
        hint="Images of Compute Engine are available in all regions. A whole selfLink, an address "
        "in the console, or an image family will do, too.",
        placeholder="PROJECT-ID/global/images/NAME",
    )
    where_to_find = (
        "In the Google Cloud console open Compute Engine, then Images, and click on the image that "
        "you want to register. Click on Equivalent REST, look for selfLink, and copy the part "
        "after “projects/”."
    )
    packer_builders = ("googlecompute",)

    def parse_image_id(self, text: str) -> ImageId:
        return gce_ids.parse(text)

    def packer_images(self, artifact_id: str, custom: Mapping[str, str]) -> list[Locator]:
        """Packer writes the name alone."""
        if "/" in artifact_id or custom.get("cloud_image_id"):
            return super().packer_images(artifact_id, custom)
        project = custom.get("project") or custom.get("project_id")
        if not project:
            raise InvalidImageId(
                f"Packer writes the name of the image alone, “{artifact_id[:63]}”. Put the id of "
                "its project into custom_data, as “project”."
            )
        return super().packer_images(f"{project}/global/images/{artifact_id}", custom)

    def console_url(self, settings: Mapping[str, str], locator: Locator) -> str:
        """A family has no page of its own, and a private endpoint no console."""
        if "/family/" in locator.image_id or settings.get("endpoint_url"):
            return ""
        return CONSOLE + quote(locator.image_id, safe="/:")

    def validate(self, values: Mapping[str, str]) -> None:
        from webapp.clouds.gce import key as gce_key  # noqa: PLC0415

        account = gce_key.read(values["service_account_key"])
        ca, endpoint = values.get("ca", ""), values.get("endpoint_url", "")
        if ca and not endpoint:
            raise InvalidCredentials(
                "A certificate authority goes with an endpoint URL only. Enter that, too, or leave "
                "both empty.",
                "ca",
            )
        require_certificates(ca, "ca")
        if account.universe != gce_key.UNIVERSE and not endpoint:
            raise InvalidCredentials(
                f"This key is of another cloud, {account.universe}. Enter the endpoint URL of "
                f"Compute Engine there, such as compute.{account.universe} with https before it.",
                "endpoint_url",
            )

    def warm_up(self) -> None:
        self._clients  # noqa: B018  made, and the SDK loaded, once it has been looked at

    @cached_property
    def _clients(self) -> Clients:
        gce_package.load()
        from webapp.clouds.gce.sdk import Clients  # noqa: PLC0415

        return Clients()

    def _check(self, credentials: CredentialValues) -> Identity:
        """Whoever may list the images of the key's own project is known to Google, and so is who
        is told that the permission for it is missing: images may well be in other projects."""
        from webapp.clouds.gce import errors as gce_errors  # noqa: PLC0415

        self._clients.forget(credentials)  # What is said here is true now.
        client = self._clients.get(credentials)
        account = client.account
        try:
            kind = client.kind_of_list()
        except Exception as error:
            if not gce_errors.lacks_permission(error):
                raise
            kind = IMAGE_LIST
        if kind != IMAGE_LIST:
            raise CloudUnreachable(gce_errors.NOT_GOOGLE)
        return Identity(account.project, account.email)

    def _locations(self, credentials: CredentialValues) -> tuple[Location, ...]:  # noqa: ARG002
        return ()

    def _describe(self, credentials: CredentialValues, locator: Locator) -> ImageDetails:
        """One call, bounded by its nature."""
        from webapp.clouds.gce import errors as gce_errors  # noqa: PLC0415

        wanted = gce_ids.reference(locator.image_id)
        client = self._clients.get(credentials)
        try:
            answer = client.get(wanted)
        except Exception as error:
            translated = gce_errors.translate(error, wanted)
            if translated is None:
                raise
            raise translated from error
        if not gce_details.answers(answer, wanted):
            raise CloudUnreachable(gce_errors.NOT_GOOGLE)
        return gce_details.details(answer, wanted)

    def _translate(self, error: Exception) -> CloudError | None:
        from webapp.clouds.gce import errors as gce_errors  # noqa: PLC0415

        return gce_errors.translate(error)
