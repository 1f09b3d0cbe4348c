"""Azure: an image is one of the Marketplace, named by its URN and common to all regions, or one of
a subscription's own, named by its resource id.

This file is light: whatever needs the SDK is in `azure_sdk` and `azure_errors`, and these are
imported inside functions, on first use. Importing them takes more than a second.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from webapp.clouds import tls
from webapp.clouds.azure import ids as azure_ids
from webapp.clouds.base import (
    Cloud,
    CloudError,
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
            hint="The directory (tenant) ID of Microsoft Entra, or its domain.",
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
            hint="The value of a secret of the app registration, not the secret's ID.",
            secret=True,
        ),
        Field(
            "subscription_id",
            "Subscription ID",
            hint="The application needs the role Reader in it.",
            placeholder=_GUID_EXAMPLE,
            pattern=_GUID,
        ),
        Field("cloud", "Azure cloud", options=CLOUDS),
        Field(
            "authority_url",
            "Authority URL",
            hint="Where logins are sent.",
            placeholder="https://…",
            when=_CUSTOM,
        ),
        Field(
            "endpoint_url",
            "Endpoint URL",
            hint="Where Azure Resource Manager answers.",
            placeholder="https://…",
            when=_CUSTOM,
        ),
        Field(
            "ca",
            "Certificate authority",
            hint="In PEM form, where the endpoints have certificates that are not publicly known.",
            placeholder="-----BEGIN CERTIFICATE-----",
            required=False,
            multiline=True,
            when=_CUSTOM,
        ),
    )
    location_field = Field(
        "location",
        "Location",
        hint="Only for an image that is not from the Marketplace: where it is to be available.",
        placeholder="Leave empty for a Marketplace image",
        required=False,
        free_text=True,
    )
    image_id_field = Field(
        "image_id",
        "Cloud Image ID",
        hint="The URN of a Marketplace image; of any other its resource id, or its address in the "
        "portal.",
        placeholder=azure_ids.EXAMPLE,
    )
    where_to_find = (
        "URNs of Marketplace images come from Azure's API: “az vm image list --all --publisher "
        "Canonical” prints them. For an image of your own open it, or a version in its compute "
        "gallery, in the portal, and copy the Resource ID from its Properties or its JSON view."
    )
    packer_builders = ("azure-arm", "azure-chroot")

    def parse_image_id(self, text: str) -> ImageId:
        return azure_ids.parse(text)

    def packer_images(self, artifact_id: str, custom: Mapping[str, str]) -> list[Locator]:
        """A resource id; the address of a VHD where Packer was told to make that."""
        if ".vhd" in artifact_id.lower() and not custom.get("cloud_image_id"):
            raise InvalidImageId(
                "Packer made a VHD here, and that is no image. Make an image of it in Azure, or "
                "let Packer make a managed image or a version in a compute gallery."
            )
        return super().packer_images(artifact_id, custom)

    def console_url(self, settings: Mapping[str, str], locator: Locator) -> str:
        """The Marketplace has no page of its own for a version of an image."""
        portal = PORTALS.get(settings.get("cloud", "public"))
        if not portal or not locator.image_id.startswith("/subscriptions/"):
            return ""
        return f"https://{portal}/#@/resource{locator.image_id}"

    def validate(self, values: Mapping[str, str]) -> None:
        for name in ("authority_url", "endpoint_url"):
            if values.get(name) and not values[name].lower().startswith("https://"):
                raise InvalidCredentials(
                    "Azure's own tools speak https only. Enter an address that begins with https.",
                    name,
                )
        tls.require_certificates(values.get("ca", ""), "ca")

    def warm_up(self) -> None:
        self._sessions  # noqa: B018  made, and the SDK loaded, once it has been looked at

    @cached_property
    def _sessions(self) -> Sessions:
        from webapp.clouds.azure.sdk import Sessions  # noqa: PLC0415

        return Sessions()

    def _check(self, credentials: CredentialValues) -> Identity:
        self._sessions.forget(credentials)  # What is said here is true now.
        said = self._sessions.get(credentials).subscription()
        subscription = str(said["subscriptionId"])
        name = said.get("displayName") or "Without a name"
        tenant = said.get("tenantId") or credentials["tenant_id"]
        return Identity(subscription, f"{name} (subscription {subscription}, tenant {tenant})")

    def _locations(self, credentials: CredentialValues) -> tuple[Location, ...]:
        from webapp.clouds.azure import lookup as azure_lookup  # noqa: PLC0415

        found = azure_lookup.locations(self._sessions.get(credentials))
        return tuple(Location(key, f"{key} — {name}") for key, name in sorted(found.items()))

    def _describe(self, credentials: CredentialValues, locator: Locator) -> ImageDetails:
        from webapp.clouds.azure import lookup as azure_lookup  # noqa: PLC0415

        return azure_lookup.describe(
            self._sessions.get(credentials), azure_ids.read(locator.image_id), locator.location
        )

    def _translate(self, error: Exception) -> CloudError | None:
        from webapp.clouds.azure import errors as azure_errors  # noqa: PLC0415

        return azure_errors.translate(error)
