"""The adapter for Azure.

There are three kinds of image IDs:

- A Marketplace image is identified by its URN, which is the same in all regions.
- A managed image, or a version in a compute gallery, is identified by its resource ID, which begins
  with the subscription.
- A version in a community gallery or a directly shared gallery is identified by an ID that begins
  with the kind of the gallery.

This module does not import the SDK, because importing the SDK takes more than a second. Functions
import the modules that need the SDK on first use.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from webapp.clouds import tls
from webapp.clouds.azure import ids, usage
from webapp.clouds.base import Cloud
from webapp.clouds.browsing import ImageCollector
from webapp.clouds.credentials import CredentialValues, Field, Identity
from webapp.clouds.details import ImageDetails
from webapp.clouds.errors import CloudError, InvalidCredentials, InvalidImageId
from webapp.clouds.examples import Example
from webapp.clouds.locators import ImageId, Location, LocationRule, Locator, NamedImage

if TYPE_CHECKING:
    from webapp.clouds.azure.sdk import Sessions

CLOUDS = (
    ("public", "Azure"),
    ("usgov", "Azure US Government"),
    ("china", "Azure China"),
    ("custom", "Another endpoint"),
)
PORTALS = {
    "public": "portal.azure.com",
    "usgov": "portal.azure.us",
    "china": "portal.azure.cn",
}
_CUSTOM = ("cloud", "custom")
_GUID = r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
_GUID_EXAMPLE = "01234567-89ab-cdef-0123-456789abcdef"


class Azure(Cloud):
    key = "azure"
    label = "Azure"
    icon = "brand-azure"
    location_rule = LocationRule.LOOKUP_ONLY
    credential_fields = (
        Field(
            "tenant_id",
            "Tenant ID",
            hint="The directory (tenant) ID in Microsoft Entra, or its domain.",
            placeholder=_GUID_EXAMPLE,
            pattern=r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?",
        ),
        Field(
            "client_id",
            "Client ID",
            hint="The application (client) ID of an app registration.",
            placeholder=_GUID_EXAMPLE,
            pattern=_GUID,
        ),
        Field(
            "client_secret",
            "Client secret",
            hint="The value of a client secret of the app registration, not the ID of the secret.",
            secret=True,
        ),
        Field(
            "subscription_id",
            "Subscription ID",
            hint="The application needs the Reader role in this subscription.",
            placeholder=_GUID_EXAMPLE,
            pattern=_GUID,
        ),
        Field("cloud", "Azure cloud", options=CLOUDS),
        Field(
            "authority_url",
            "Authority URL",
            hint="The URL of the login server.",
            placeholder="https://…",
            when=_CUSTOM,
        ),
        Field(
            "endpoint_url",
            "Endpoint URL",
            hint="The URL of Azure Resource Manager.",
            placeholder="https://…",
            when=_CUSTOM,
        ),
        Field(
            "ca",
            "CA certificates",
            hint="The certificates of a private certificate authority, in PEM format. Only needed "
            "if such an authority issued the certificates of the endpoints.",
            placeholder="-----BEGIN CERTIFICATE-----…",
            identifies_server=True,
            required=False,
            multiline=True,
            when=_CUSTOM,
        ),
    )
    location_field = Field(
        "location",
        "Cloud Location",
        hint="A region where the image is available. Marketplace images need no region. If you "
        "leave this field empty, community and directly shared galleries are searched in all "
        "regions, which takes longer.",
        placeholder="Leave empty for a Marketplace image",
        required=False,
        free_text=True,
    )
    image_id_field = Field(
        "image_id",
        "Cloud Image ID",
        hint="The URN of a Marketplace image, the ID of a version in a community gallery or a "
        "directly shared gallery, or the resource ID or portal URL of any other image.",
        placeholder=ids.EXAMPLE,
    )
    where_to_find = (
        "To list the URNs of Marketplace images, run “az vm image list --all --publisher "
        "Canonical”. For your own image, open it (or a version in its compute gallery) in the "
        "portal, and copy the Resource ID from Properties or from the JSON view. For a version in "
        "a community gallery, copy the ID that begins with /CommunityGalleries/."
    )
    packer_builders = ("azure-arm", "azure-chroot")

    def parse_image_id(self, text: str) -> ImageId:
        return ids.parse(text)

    def parse_location(self, text: str) -> str:
        return ids.parse_location(text)

    def packer_images(
        self, artifact_id: str, custom: Mapping[str, str]
    ) -> Sequence[Locator | NamedImage]:
        """Return the image of a build. The manifest contains the resource ID of the image.

        Raises InvalidImageId if the manifest has the URL of a VHD and `custom` names no image.
        """
        if ".vhd" in artifact_id.lower() and not custom.get("cloud_image_id"):
            raise InvalidImageId(
                "Packer created a VHD, which isn’t an image. Create an image from it in Azure, or "
                "configure Packer to create a managed image or a version in a compute gallery."
            )
        return super().packer_images(artifact_id, custom)

    def suggest_name(self, image_id: str) -> str:
        return ids.parse_canonical(image_id).suggested_name

    def console_url(self, settings: Mapping[str, str], locator: Locator) -> str:
        """Return the portal URL of an image that has a resource ID, or '' for any other image.

        Also returns '' for a custom endpoint, because its portal is unknown.
        """
        portal = PORTALS.get(settings.get("cloud", "public"))
        if not portal or not locator.image_id.startswith("/subscriptions/"):
            return ""
        return f"https://{portal}/#@/resource{locator.image_id}"

    def examples(self, locator: Locator, name: str) -> tuple[Example, ...]:  # noqa: ARG002
        return usage.examples(locator.location, locator.image_id)

    def validate(self, values: Mapping[str, str]) -> None:
        for name in ("authority_url", "endpoint_url"):
            if values.get(name) and not values[name].lower().startswith("https://"):
                raise InvalidCredentials(
                    "The Azure SDK only supports HTTPS. Enter a URL that begins with https.",
                    name,
                )
        tls.require_certificates(values.get("ca", ""), "ca")

    def warm_up(self) -> None:
        self._sessions  # noqa: B018  the property imports the SDK on first access

    @cached_property
    def _sessions(self) -> Sessions:
        from webapp.clouds.azure.sdk import Sessions  # noqa: PLC0415

        return Sessions()

    def _check(self, credentials: CredentialValues) -> Identity:
        self._sessions.forget(credentials)  # A cached login could hide a revoked role.
        response = self._sessions.get(credentials).subscription()
        subscription = str(response["subscriptionId"])
        name = response.get("displayName")
        tenant = response.get("tenantId") or credentials["tenant_id"]
        ids_in_words = f"subscription {subscription}, tenant {tenant}"
        return Identity(subscription, f"{name} ({ids_in_words})" if name else ids_in_words)

    def _locations(self, credentials: CredentialValues) -> tuple[Location, ...]:
        from webapp.clouds.azure import regions  # noqa: PLC0415

        names = regions.region_names(self._sessions.get(credentials))
        return tuple(Location(key, f"{key} — {name}") for key, name in sorted(names.items()))

    def _browse(
        self, credentials: CredentialValues, location: str, collector: ImageCollector
    ) -> None:
        from webapp.clouds.azure import browsing  # noqa: PLC0415

        browsing.browse(self._sessions.get(credentials), location, collector)

    def _describe(self, credentials: CredentialValues, locator: Locator) -> ImageDetails:
        from webapp.clouds.azure import lookup  # noqa: PLC0415

        return lookup.describe(
            self._sessions.get(credentials),
            ids.parse_canonical(locator.image_id),
            locator.location,
        )

    def _translate(self, error: Exception) -> CloudError | None:
        from webapp.clouds.azure import errors  # noqa: PLC0415

        return errors.translate(error)
