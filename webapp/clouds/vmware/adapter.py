"""VMware vSphere: an image is a template of a vCenter, which belongs to one datacenter there and
is identified by its instance UUID.

This file is light: whatever needs the SDK is in the modules `vmware_…`, and those that import it
are themselves imported inside functions, on first use. Importing it costs more than everything
else in the app.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from webapp.clouds.base import (
    Cloud,
    CloudError,
    CredentialValues,
    Field,
    Identity,
    ImageDetails,
    ImageId,
    ImageNotFound,
    ImageNotVisible,
    InvalidCredentials,
    InvalidImageId,
    ListedImage,
    Location,
    LocationRule,
    Locator,
    UnknownLocation,
)
from webapp.clouds.tls import require_certificates
from webapp.clouds.vmware import details as vmware_details
from webapp.clouds.vmware import ids as vmware_ids

if TYPE_CHECKING:
    from webapp.clouds.vmware.sdk import Sessions

VERIFY, THUMBPRINT, OFF = "verify", "thumbprint", "off"


class VMware(Cloud):
    key = "vmware"
    label = "VMware vSphere"
    icon = "server-2"
    location_rule = LocationRule.REGIONAL
    lists_images = True
    credential_fields = (
        Field(
            "vcenter_url",
            "vCenter URL",
            hint="The address of the vCenter Server, with https before it.",
            placeholder="https://vcenter.example.com",
        ),
        Field(
            "username",
            "User name",
            hint="With its domain. The role Read-only, on the datacenters with the templates and "
            "all below them, is enough for it.",
            placeholder="administrator@vsphere.local",
        ),
        Field("password", "Password", secret=True),
        Field(
            "verification",
            "Certificate of the vCenter",
            options=(
                (VERIFY, "Verify the certificate"),
                (THUMBPRINT, "Trust one certificate, by its thumbprint"),
                (OFF, "Do not verify: whoever is in between can read the password"),
            ),
        ),
        Field(
            "thumbprint",
            "Thumbprint",
            hint="SHA-256 or SHA-1, of the certificate that the vCenter itself shows. Ask whoever "
            "runs it.",
            placeholder="1A:2B:3C:…",
            when=("verification", THUMBPRINT),
        ),
        Field(
            "ca",
            "Certificate authority",
            hint="Only if the certificate is issued by an authority that is not known everywhere, "
            "such as vCenter's own: the authority's certificates in PEM form.",
            placeholder="-----BEGIN CERTIFICATE-----…",
            required=False,
            multiline=True,
            when=("verification", VERIFY),
        ),
    )
    location_field = Field(
        "location", "Location", hint="A datacenter of the vCenter; a template is in one only."
    )
    image_id_field = Field(
        "image_id",
        "Cloud Image",
        hint="The templates of that datacenter.",
        placeholder=vmware_ids.EXAMPLE,
    )
    compute_resource_field = Field(
        "compute_resource",
        "Compute Resource",
        hint="The same template can be registered once for each cluster or host. It determines the "
        "image, and the networks, for servers there.",
        required=False,
    )
    where_to_find = (
        "Choose the location, then the template from the list. It holds what is marked as a "
        "template in the vSphere Client: a virtual machine becomes one with Template, then "
        "Convert to Template."
    )
    packer_builders = ("vsphere-iso", "vsphere-clone")

    def parse_image_id(self, text: str) -> ImageId:
        return vmware_ids.parse(text)

    def packer_images(self, artifact_id: str, custom: Mapping[str, str]) -> list[Locator]:
        """Packer writes the name of the virtual machine, which identifies nothing."""
        if not custom.get("cloud_image_id"):
            raise InvalidImageId(
                f"Packer writes a name alone, “{artifact_id[:80]}”, and a template is identified "
                "by its instance UUID. Put that into custom_data, as “cloud_image_id”, and the "
                "datacenter as “location”."
            )
        return super().packer_images(artifact_id, custom)

    def validate(self, values: Mapping[str, str]) -> None:
        url = values["vcenter_url"]
        if not url.lower().startswith("https:"):
            raise InvalidCredentials(
                "A vCenter is reached with https only. Let the address begin with that.",
                "vcenter_url",
            )
        if not _is_plain_address(url):
            raise InvalidCredentials(
                "Enter the address of the vCenter alone, such as vcenter.example.com with https "
                "before it.",
                "vcenter_url",
            )
        how = values.get("verification") or VERIFY
        if how == THUMBPRINT and not vmware_ids.thumbprint(values.get("thumbprint", "")):
            raise InvalidCredentials(
                "The thumbprint of a certificate has 64 digits, or 40 if it is made with SHA-1: 0 "
                "to 9 and A to F, with colons between them or without.",
                "thumbprint",
            )
        if how == VERIFY:
            require_certificates(values.get("ca", ""), "ca")

    def warm_up(self) -> None:
        self._sessions  # noqa: B018  made, and the SDK loaded, once it has been looked at

    @cached_property
    def _sessions(self) -> Sessions:
        from webapp.clouds.vmware.sdk import Sessions  # noqa: PLC0415

        sessions = Sessions()
        sessions.warm_up()
        return sessions

    def _check(self, credentials: CredentialValues) -> Identity:
        session = self._sessions.anew(credentials)
        host = urlsplit(credentials["vcenter_url"]).hostname or ""
        about = session.content.about
        return Identity(about.instanceUuid or host, f"{session.user} at {about.fullName}")

    def _locations(self, credentials: CredentialValues) -> tuple[Location, ...]:
        from webapp.clouds.vmware import inventory  # noqa: PLC0415

        found = self._sessions.use(credentials, inventory.datacenters)
        return tuple(Location(path, vmware_details.decoded(path)) for path in found)

    def _images(self, credentials: CredentialValues, location: str) -> tuple[ListedImage, ...]:
        from webapp.clouds.vmware import inventory  # noqa: PLC0415

        found = self._sessions.use(credentials, inventory.templates, location)
        if found is None:
            raise _unknown(location)
        return vmware_details.listed(found)

    def _describe(self, credentials: CredentialValues, locator: Locator) -> ImageDetails:
        from webapp.clouds.vmware import inventory  # noqa: PLC0415

        uuid, location = locator.image_id, locator.location
        found = self._sessions.use(credentials, inventory.virtual_machine, location, uuid)
        if found is None:
            raise _unknown(location)
        here = f"There is no template {uuid} in {vmware_details.decoded(location)}"
        if found.datacenter is None:
            raise ImageNotFound(
                f"{here}, nor elsewhere in this vCenter as far as these credentials can see. "
                "Choose one from the list."
            )
        if found.datacenter != location:
            place = vmware_details.decoded(found.datacenter)
            raise ImageNotFound(
                f"{here}, but in {place}. Choose that location.", (found.datacenter,)
            )
        details = vmware_details.details(found)
        if "config.template" not in found.properties:
            raise ImageNotVisible(
                f"The vCenter cannot read the configuration of “{details.name}” at present: its "
                "host may be disconnected. Try again when that is back."
            )
        if not found.properties["config.template"]:
            raise ImageNotVisible(
                f"The virtual machine “{details.name}” is no template, or none any more. Have "
                "it converted to a template in the vSphere Client, or choose another."
            )
        return details

    def _translate(self, error: Exception) -> CloudError | None:
        from webapp.clouds.vmware import errors as vmware_errors  # noqa: PLC0415

        return vmware_errors.translate(error)


def _is_plain_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0 and not (parts.username or parts.query)
    except ValueError:
        return False


def _unknown(location: str) -> UnknownLocation:
    return UnknownLocation(
        f"The vCenter has no datacenter {vmware_details.decoded(location)}, or none that these "
        "credentials may see. Choose one from the list."
    )
