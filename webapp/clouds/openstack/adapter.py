"""The adapter for OpenStack. An image belongs to one region.

Keystone, the identity service, lists the image service (Glance) of each region, and Glance
describes the image.

This module must stay fast to import. The modules that need the SDK are `sdk`, `errors`, `lookup`
and `browsing`. They are imported inside functions, on first use.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from webapp.clouds.base import Cloud
from webapp.clouds.browsing import ImageCollector
from webapp.clouds.credentials import CredentialValues, Field, Identity
from webapp.clouds.details import ImageCopy, ImageDetails
from webapp.clouds.errors import CloudError, InvalidCredentials
from webapp.clouds.examples import Example
from webapp.clouds.locators import ImageId, Location, LocationRule, Locator
from webapp.clouds.openstack import ids, usage
from webapp.clouds.tls import require_certificates

if TYPE_CHECKING:
    from webapp.clouds.openstack.sdk import Clients

AUTH_TYPES = (
    ("password", "Username and password"),
    ("application_credential", "Application credential"),
)
_WITH_PASSWORD, _WITH_APPLICATION_CREDENTIAL = (("auth_type", key) for key, _ in AUTH_TYPES)


class OpenStack(Cloud):
    key = "openstack"
    label = "OpenStack"
    icon = "stack-2"
    location_rule = LocationRule.REGIONAL
    credential_fields = (
        Field(
            "auth_url",
            "Auth URL",
            hint="The URL of Keystone: OS_AUTH_URL in the RC file that you can download from the "
            "dashboard.",
            placeholder="https://…/v3",
        ),
        Field("auth_type", "Authentication method", options=AUTH_TYPES),
        Field("username", "Username", when=_WITH_PASSWORD),
        Field("password", "Password", secret=True, when=_WITH_PASSWORD),
        Field(
            "project_name",
            "Project name",
            hint="OS_PROJECT_NAME in the RC file.",
            when=_WITH_PASSWORD,
        ),
        Field(
            "user_domain_name",
            "User domain name",
            hint="OS_USER_DOMAIN_NAME in the RC file.",
            default="Default",
            when=_WITH_PASSWORD,
        ),
        Field(
            "project_domain_name",
            "Project domain name",
            hint="Usually the same as the user domain name.",
            default="Default",
            when=_WITH_PASSWORD,
        ),
        Field(
            "application_credential_id",
            "Application credential ID",
            hint="Create an application credential in the dashboard under Identity > Application "
            "Credentials. It belongs to one user and one project, so you don’t enter a username "
            "or a project.",
            placeholder="0123456789abcdef0123456789abcdef",
            pattern=r"[\w.-]{1,64}",
            when=_WITH_APPLICATION_CREDENTIAL,
        ),
        Field(
            "application_credential_secret",
            "Application credential secret",
            secret=True,
            when=_WITH_APPLICATION_CREDENTIAL,
        ),
        Field(
            "ca",
            "CA certificates",
            hint="The certificates of a private certificate authority, in PEM format. Only needed "
            "if such an authority issued the certificates of the cloud.",
            placeholder="-----BEGIN CERTIFICATE-----…",
            identifies_server=True,
            required=False,
            multiline=True,
        ),
    )
    location_field = Field(
        "location",
        "Cloud Location",
        hint="The name of the region. If your cloud has no regions, use RegionOne.",
        placeholder="RegionOne",
        default="RegionOne",
        free_text=True,
    )
    image_id_field = Field(
        "image_id",
        "Cloud Image ID",
        hint="The UUID of the image, or the URL of its page in the dashboard.",
        placeholder="xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx",
    )
    where_to_find = (
        "In the OpenStack dashboard, choose the project and, if there are several, the region. "
        "Open Images and select the image. Copy the ID from the Image section."
    )
    finds_copies = True
    packer_builders = ("openstack",)

    def parse_image_id(self, text: str) -> ImageId:
        return ids.parse(text)

    def examples(self, locator: Locator, name: str) -> tuple[Example, ...]:  # noqa: ARG002
        return usage.examples(locator.location, locator.image_id)

    def validate(self, values: Mapping[str, str]) -> None:
        url = urlsplit(values["auth_url"])
        if url.query or url.fragment:
            raise InvalidCredentials(
                "The auth URL must end with its path, such as /v3. Remove everything after the "
                "path.",
                "auth_url",
            )
        if url.path.rstrip("/").endswith(("/v2.0", "/v2")):
            raise InvalidCredentials(
                "OpenStack no longer supports version 2 of the identity service. Replace the "
                "version in the auth URL with /v3.",
                "auth_url",
            )
        require_certificates(values.get("ca", ""), "ca")

    def warm_up(self) -> None:
        self._clients  # noqa: B018  The first access loads the SDK.

    @cached_property
    def _clients(self) -> Clients:
        from webapp.clouds.openstack.sdk import Clients  # noqa: PLC0415

        return Clients()

    def _check(self, credentials: CredentialValues) -> Identity:
        # A cached token may still work although the credentials are no longer valid.
        self._clients.forget(credentials)
        login = self._clients.get(credentials).login()
        project = login.project or login.project_id
        user = _with_domain(login.user, login.user_domain)
        return Identity(
            project, f"user {user} in project {_with_domain(project, login.project_domain)}"
        )

    def _locations(self, credentials: CredentialValues) -> tuple[Location, ...]:
        """Return the regions for which Keystone's service catalog lists an image service."""
        login = self._clients.get(credentials).login()
        return tuple(Location(region, region) for region in login.image_urls)

    def _browse(
        self, credentials: CredentialValues, location: str, collector: ImageCollector
    ) -> None:
        from webapp.clouds.openstack import browsing  # noqa: PLC0415

        browsing.browse(self._clients.get(credentials), location, collector)

    def _copies(
        self, credentials: CredentialValues, locator: Locator, details: ImageDetails
    ) -> tuple[ImageCopy, ...]:
        from webapp.clouds.openstack import browsing  # noqa: PLC0415

        if not details.name or not details.owner:
            return ()
        return browsing.find_copies(self._clients.get(credentials), locator, details)

    def _describe(self, credentials: CredentialValues, locator: Locator) -> ImageDetails:
        from webapp.clouds.openstack import lookup  # noqa: PLC0415

        return lookup.describe(self._clients.get(credentials), locator)

    def _translate(self, error: Exception) -> CloudError | None:  # noqa: ARG002
        """Return None, because `sdk` has already translated the error.

        The meaning of an error depends on the service that was called, Keystone or Glance. Only
        `sdk` knows this service.
        """
        return None


def _with_domain(name: str, domain: str) -> str:
    return f"{name} ({domain})" if domain else name
