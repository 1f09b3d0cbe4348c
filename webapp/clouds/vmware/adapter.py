"""The adapter for VMware vSphere.

An image is a template of a vCenter. It belongs to one datacenter and is identified by its instance
UUID.

This module must stay fast to import. Only the modules `connection`, `sdk`, `inventory` and `errors`
need the SDK. Functions import these modules on first use, because importing the SDK takes longer
than importing everything else in the application.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from webapp.clouds.base import Cloud
from webapp.clouds.credentials import CredentialValues, Field, Identity
from webapp.clouds.details import ImageDetails
from webapp.clouds.errors import (
    CloudError,
    ImageNotFound,
    ImageNotVisible,
    IncompleteArtifact,
    InvalidCredentials,
    InvalidImageId,
    UnknownLocation,
)
from webapp.clouds.examples import Example
from webapp.clouds.locators import (
    ImageId,
    ListedImage,
    Location,
    LocationRule,
    Locator,
    NamedImage,
)
from webapp.clouds.messages import join_names
from webapp.clouds.outgoing import encryption
from webapp.clouds.tls import require_certificates
from webapp.clouds.vmware import details, ids, usage

if TYPE_CHECKING:
    from webapp.clouds.vmware.inventory import VirtualMachine
    from webapp.clouds.vmware.sdk import Sessions

VERIFY, THUMBPRINT, OFF = "verify", "thumbprint", "off"


class VMware(Cloud):
    key = "vmware"
    label = "VMware vSphere"
    icon = "server-2"
    location_rule = LocationRule.REGIONAL
    lists_images = True
    lists_origins = lists_dates = False
    credential_fields = (
        Field(
            "vcenter_url",
            "vCenter URL",
            hint="The URL of the vCenter Server, beginning with https.",
            placeholder="https://vcenter.example.com",
        ),
        Field(
            "username",
            "Username",
            hint="Enter the username with its domain. The user only needs the Read-only role on "
            "the datacenters that contain the templates, and on everything in these datacenters.",
            placeholder="administrator@vsphere.local",
        ),
        Field("password", "Password", secret=True),
        Field(
            "verification",
            "Certificate verification",
            options=(
                (VERIFY, "Verify the certificate"),
                (THUMBPRINT, "Trust one certificate by its thumbprint"),
                (OFF, "Don’t verify: anyone on the network path can read the password"),
            ),
            identifies_server=True,
        ),
        Field(
            "thumbprint",
            "Thumbprint",
            hint="The SHA-256 or SHA-1 thumbprint of the certificate that the vCenter itself uses. "
            "Ask your vCenter administrator for it.",
            placeholder="1A:2B:3C:…",
            identifies_server=True,
            when=("verification", THUMBPRINT),
        ),
        Field(
            "ca",
            "CA certificates",
            hint="The certificates of a private certificate authority, in PEM format. Only needed "
            "if such an authority, for example the vCenter itself, issued the certificate.",
            placeholder="-----BEGIN CERTIFICATE-----…",
            identifies_server=True,
            required=False,
            multiline=True,
            when=("verification", VERIFY),
        ),
    )
    location_field = Field(
        "location", "Location", hint="The datacenter that contains the template."
    )
    image_id_field = Field(
        "image_id",
        "Cloud Image",
        hint="A template in the chosen datacenter.",
        placeholder=ids.EXAMPLE,
    )
    compute_resource_field = Field(
        "compute_resource",
        "Compute Resource",
        hint="You can register the same template once for each cluster or host. Each registration "
        "is a separate image. A new virtual machine can use only the images and networks of its "
        "own cluster or host.",
        required=False,
    )
    where_to_find = (
        "Choose the location, then choose the template from the list. The list contains the "
        "templates that the user of the credentials can see. To convert a virtual machine to a "
        "template, select Template > Convert to Template in the vSphere Client."
    )
    packer_builders = ("vsphere-iso", "vsphere-clone")

    def parse_image_id(self, text: str) -> ImageId:
        return ids.parse(text)

    def parse_location(self, text: str) -> str:
        """Return the datacenter's path without the slashes and quotes around it."""
        return ids.parse_datacenter_path(text)

    def packer_images(
        self, artifact_id: str, custom: Mapping[str, str]
    ) -> Sequence[Locator | NamedImage]:
        """Return the template of a build. Raises IncompleteArtifact if the datacenter is unknown.

        Packer writes only the name of the virtual machine. If `custom` contains no instance UUID,
        return a NamedImage, so that the template is found by its name.
        """
        if custom.get("cloud_image_id"):
            return super().packer_images(artifact_id, custom)
        if not artifact_id:
            raise InvalidImageId("The Packer manifest doesn’t contain the name of this template.")
        if not custom.get("location"):
            raise IncompleteArtifact(
                f"The Packer manifest contains only the name of the template, “{artifact_id[:80]}”,"
                " without the datacenter.",
                "location",
            )
        return [NamedImage(custom["location"], artifact_id, custom.get("compute_resource", ""))]

    def examples(self, locator: Locator, name: str) -> tuple[Example, ...]:
        return usage.examples(locator, name)

    def validate(self, values: Mapping[str, str]) -> None:
        url = values["vcenter_url"]
        if not url.lower().startswith("https:"):
            raise InvalidCredentials(
                "A vCenter accepts only https. Enter a URL that begins with https.", "vcenter_url"
            )
        if not _is_server_url(url):
            raise InvalidCredentials(
                "Enter only the URL of the vCenter. It begins with https and contains a host name "
                "such as vcenter.example.com, but no username and no query.",
                "vcenter_url",
            )
        verification = values.get("verification") or VERIFY
        if verification == THUMBPRINT and not ids.parse_thumbprint(values.get("thumbprint", "")):
            raise InvalidCredentials(
                "A thumbprint has 64 hexadecimal digits (SHA-256) or 40 (SHA-1), with or without "
                "colons between them. Copy the whole thumbprint.",
                "thumbprint",
            )
        if verification == VERIFY:
            require_certificates(values.get("ca", ""), "ca")

    def require_encryption(self, values: Mapping[str, str]) -> None:
        super().require_encryption(values)
        host = urlsplit(values.get("vcenter_url", "")).hostname or ""
        if values.get("verification") == OFF and encryption.must_encrypt(host):
            raise InvalidCredentials(
                "Choose another certificate verification, because this server connects only to "
                "servers whose certificate it can verify.",
                "verification",
            )

    def warm_up(self) -> None:
        self._sessions  # noqa: B018  The first access loads the SDK.

    @cached_property
    def _sessions(self) -> Sessions:
        from webapp.clouds.vmware.sdk import Sessions  # noqa: PLC0415

        sessions = Sessions()
        sessions.warm_up()
        return sessions

    def _check(self, credentials: CredentialValues) -> Identity:
        session = self._sessions.log_in_again(credentials)
        host = urlsplit(credentials["vcenter_url"]).hostname or ""
        about = session.content.about
        return Identity(about.instanceUuid or host, f"{session.user} at {about.fullName}")

    def _locations(self, credentials: CredentialValues) -> tuple[Location, ...]:
        from webapp.clouds.vmware import inventory  # noqa: PLC0415

        paths = self._sessions.call(credentials, inventory.datacenters)
        return tuple(Location(path, path) for path in paths)

    def _images(self, credentials: CredentialValues, location: str) -> tuple[ListedImage, ...]:
        from webapp.clouds.vmware import inventory  # noqa: PLC0415

        templates = self._sessions.call(credentials, inventory.templates, location)
        if templates is None:
            raise _unknown_location(location)
        return details.listed_images(templates)

    def _find_image_id(self, credentials: CredentialValues, location: str, name: str) -> str:
        from webapp.clouds.vmware import inventory  # noqa: PLC0415

        templates = self._sessions.call(credentials, inventory.templates, location)
        if templates is None:
            raise _unknown_location(location)
        names = {name, details.unescape_name(name)}
        found = [each.uuid for each in templates if details.unescape_name(each.name) in names]
        datacenter = details.unescape_name(location)
        if not found:
            raise ImageNotFound(
                f"There is no template named “{name}” in {datacenter}. Convert the virtual machine "
                "to a template, or choose another datacenter."
            )
        if len(found) > 1:
            raise InvalidImageId(
                f"{datacenter} has {len(found)} templates named “{name}”. Add the instance UUID of "
                "one of them to custom_data as “cloud_image_id”."
            )
        return found[0]

    def _describe(self, credentials: CredentialValues, locator: Locator) -> ImageDetails:
        from webapp.clouds.vmware import inventory  # noqa: PLC0415

        machine = self._sessions.call(
            credentials, inventory.virtual_machine, locator.location, locator.image_id
        )
        if machine is None:
            raise _unknown_location(locator.location)
        _require_in_datacenter(machine, locator)
        _require_template(machine)
        found = details.image_details(machine, locator.compute_resource)
        if machine.datacenter and machine.datacenter != locator.location:
            return replace(found, location=machine.datacenter)
        return found

    def describe_again(self, credentials: CredentialValues, locator: Locator) -> ImageDetails:
        """Return the details of a template, even if it was moved or its datacenter was renamed."""
        return self._call(self._describe_anywhere, credentials, locator)

    def _describe_anywhere(self, credentials: CredentialValues, locator: Locator) -> ImageDetails:
        """Return the details of a template, searching all datacenters if necessary."""
        from webapp.clouds.vmware import inventory  # noqa: PLC0415

        try:
            return self._describe(credentials, locator)
        except (UnknownLocation, ImageNotFound) as error:
            found = self._sessions.call(credentials, inventory.locations_of, locator.image_id)
            if not found and isinstance(error, UnknownLocation):
                sees_everything = self._sessions.call(credentials, inventory.sees_everything)
                missing_machine = inventory.VirtualMachine(may_be_hidden=not sees_everything)
                _require_in_datacenter(missing_machine, locator)
            if not found:
                raise
        location = _only_location(found, locator)
        moved_image = self._describe(credentials, replace(locator, location=location))
        return replace(moved_image, location=location)

    def _translate(self, error: Exception) -> CloudError | None:
        from webapp.clouds.vmware import errors  # noqa: PLC0415

        return errors.translate(error)


def _is_server_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0 and not (parts.username or parts.query)
    except ValueError:
        return False


def _unknown_location(location: str) -> UnknownLocation:
    return UnknownLocation(
        f"The vCenter has no datacenter {location}, or these credentials can’t see it. Choose a "
        "datacenter from the list."
    )


def _only_location(found: AbstractSet[str | None], locator: Locator) -> str:
    """Return the only location in `found`, for a template that is not at its registered location.

    A None in `found` means a datacenter that these credentials can't see. Raises ImageNotVisible if
    `found` contains several locations, or only None.
    """
    locations = sorted(filter(None, found))
    if len(locations) > 1:
        raise ImageNotVisible(
            f"The template {locator.image_id} isn’t in {locator.location} anymore, but several "
            f"datacenters have a template with this UUID: {join_names(locations)}. Register the "
            "right one, then delete this image from the registry."
        )
    if not locations:
        raise _in_hidden_datacenter(locator)
    return locations[0]


def _in_hidden_datacenter(locator: Locator) -> ImageNotVisible:
    return ImageNotVisible(
        f"The template {locator.image_id} is in a datacenter that these credentials can’t see. "
        "Give the user the Read-only role on that datacenter, or choose other credentials."
    )


def _require_in_datacenter(machine: VirtualMachine, locator: Locator) -> None:
    """Raise ImageNotFound or ImageNotVisible unless the machine is in the locator's datacenter."""
    problem = f"There is no template {locator.image_id} in {locator.location}"
    if machine.properties and machine.datacenter is None:
        raise _in_hidden_datacenter(locator)
    if machine.may_be_hidden:
        raise ImageNotVisible(
            f"{problem} or any other datacenter that these credentials can see. The template may "
            "be hidden, because the user has no role on the vCenter’s root folder. Choose a "
            "template from the list, or give the user the Read-only role on that folder."
        )
    if machine.datacenter is None:
        raise ImageNotFound(
            f"{problem} or any other datacenter of the vCenter. Choose a template from the list."
        )
    if not machine.in_datacenter:
        raise ImageNotFound(
            f"{problem}, but it exists in {machine.datacenter}. Choose that location.",
            (machine.datacenter,),
        )


def _require_template(machine: VirtualMachine) -> None:
    """Raise ImageNotVisible if the machine is not a template, or its configuration is missing."""
    name = details.unescape_name(machine.properties.get("name") or "")
    if "config.template" not in machine.properties:
        raise ImageNotVisible(
            f"The vCenter can’t read the configuration of “{name}” at the moment: its host may be "
            "disconnected. Try again when the host is connected."
        )
    if not machine.properties["config.template"]:
        raise ImageNotVisible(
            f"“{name}” is a virtual machine, not a template. Convert it to a template in the "
            "vSphere Client, or choose a template from the list."
        )
