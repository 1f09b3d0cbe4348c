"""OpenStack: an image belongs to one region and is read with Glance, the image service that
Keystone, the identity service, says is there.

This file is light: whatever needs the SDK is in `openstack_sdk` and `openstack_errors`, and these
are imported inside functions, on first use.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any
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
    InvalidCredentials,
    Location,
    LocationRule,
    Locator,
    UnknownLocation,
)
from webapp.clouds.deadline import DeadlineExceeded, call_within
from webapp.clouds.follow_up import (
    follow_up_deadline,
    image_in_other_regions,
    search_regions,
    seconds_left,
)
from webapp.clouds.openstack import details as openstack_details
from webapp.clouds.openstack import ids as openstack_ids
from webapp.clouds.tls import require_certificates

if TYPE_CHECKING:
    from webapp.clouds.openstack.sdk import Account, Accounts, Whoami

AUTH_TYPES = (
    ("password", "User and password"),
    ("application_credential", "Application credential"),
)
_PASSWORD, _APPLICATION = (("auth_type", key) for key, _ in AUTH_TYPES)


class OpenStack(Cloud):
    key = "openstack"
    label = "OpenStack"
    icon = "stack-2"
    location_rule = LocationRule.REGIONAL
    credential_fields = (
        Field(
            "auth_url",
            "Auth URL",
            hint="Where Keystone answers: OS_AUTH_URL in the RC file that the dashboard offers.",
            placeholder="https://…/v3",
        ),
        Field("auth_type", "Log in with", options=AUTH_TYPES),
        Field("username", "User name", when=_PASSWORD),
        Field("password", "Password", secret=True, when=_PASSWORD),
        Field(
            "project_name",
            "Project name",
            hint="OS_PROJECT_NAME in the RC file.",
            when=_PASSWORD,
        ),
        Field(
            "user_domain_name",
            "Domain of the user",
            hint="OS_USER_DOMAIN_NAME in the RC file.",
            default="Default",
            when=_PASSWORD,
        ),
        Field(
            "project_domain_name",
            "Domain of the project",
            hint="Mostly the same as that of the user.",
            default="Default",
            when=_PASSWORD,
        ),
        Field(
            "application_credential_id",
            "Application credential ID",
            hint="Made in the dashboard under Identity, Application Credentials. It belongs to one "
            "user and one project, so nothing else is needed.",
            placeholder="0123456789abcdef0123456789abcdef",
            pattern=r"[\w.-]{1,64}",
            when=_APPLICATION,
        ),
        Field(
            "application_credential_secret",
            "Application credential secret",
            secret=True,
            when=_APPLICATION,
        ),
        Field(
            "ca",
            "Certificate authority",
            hint="The certificates, in PEM form, of whoever issued those of the cloud, if it is "
            "none that is known everywhere.",
            placeholder="-----BEGIN CERTIFICATE-----…",
            required=False,
            multiline=True,
        ),
    )
    location_field = Field(
        "location",
        "Location",
        hint="The name of the region. Where there are no regions, use RegionOne.",
        placeholder="RegionOne",
        default="RegionOne",
        free_text=True,
    )
    image_id_field = Field(
        "image_id",
        "Cloud Image ID",
        hint="The UUID of the image; its address in the dashboard will do, too.",
        placeholder="xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx",
    )
    where_to_find = (
        "In the OpenStack dashboard choose the project, and the region if there are several, open "
        "Images, and click on the image that you want to register. Copy the ID from the section "
        "Image."
    )
    packer_builders = ("openstack",)

    def parse_image_id(self, text: str) -> ImageId:
        return openstack_ids.parse(text)

    def validate(self, values: Mapping[str, str]) -> None:
        address = urlsplit(values["auth_url"])
        if address.query or address.fragment:
            raise InvalidCredentials(
                "The auth URL ends with its path, such as /v3. Leave out what comes after it.",
                "auth_url",
            )
        if address.path.rstrip("/").endswith(("/v2.0", "/v2")):
            raise InvalidCredentials(
                "Version 2 of the identity service is gone from OpenStack. Enter the auth URL with "
                "/v3 in place of it.",
                "auth_url",
            )
        require_certificates(values.get("ca", ""), "ca")

    def warm_up(self) -> None:
        self._accounts  # noqa: B018  made, and the SDK loaded, once it has been looked at

    @cached_property
    def _accounts(self) -> Accounts:
        from webapp.clouds.openstack.sdk import Accounts  # noqa: PLC0415

        return Accounts()

    def _check(self, credentials: CredentialValues) -> Identity:
        self._accounts.forget(credentials)  # What is said here is true now.
        who = self._accounts.get(credentials).whoami()
        project = who.project or who.project_id
        return Identity(
            project,
            f"user {_with(who.user, who.user_domain)} in project {_with(project, who.domain)}",
        )

    def _locations(self, credentials: CredentialValues) -> tuple[Location, ...]:
        """The regions in which there is an image service: Keystone says so with the token."""
        who = self._accounts.get(credentials).whoami()
        return tuple(Location(region, region) for region in who.images)

    def _describe(self, credentials: CredentialValues, locator: Locator) -> ImageDetails:
        """One call by id, bounded by its nature; whatever else it takes must not take long."""
        deadline = follow_up_deadline()
        account = self._accounts.get(credentials)
        who = account.whoami()
        _require_region(who, locator.location)
        image = _read(account, who, locator.location, locator.image_id)
        if image is None:
            _require_list(account, who, locator.location, deadline)
            raise _not_found(account, who, locator, deadline)
        return openstack_details.details(image)

    def _translate(self, error: Exception) -> CloudError | None:  # noqa: ARG002
        """What an error means depends on which of two servers it is from, and is said there."""
        return None


def _with(name: str, domain: str) -> str:
    return f"{name} ({domain})" if domain else name


def _require_region(who: Whoami, region: str) -> None:
    from webapp.clouds.openstack import errors as openstack_errors  # noqa: PLC0415

    if region in who.images:
        return
    if not who.images:
        raise UnknownLocation(
            "OpenStack names no image service for this project in any region. Ask whoever runs the "
            "cloud, or choose other credentials."
        )
    raise UnknownLocation(
        "OpenStack has no region of this name with an image service. There is "
        f"{openstack_errors.named(list(who.images))}: choose from these, in exactly this spelling."
    )


def _read(account: Account, who: Whoami, region: str, image_id: str) -> dict[str, Any] | None:
    """None where the answer is 404. Raises CloudError."""
    from webapp.clouds.openstack import errors as openstack_errors  # noqa: PLC0415

    answer = account.get(region, f"{who.images[region]}/{image_id}")
    if answer.status_code == 404:
        return None
    if answer.status_code != 200:
        raise openstack_errors.of_image(answer, region, who.project)
    try:
        image = answer.json()
    except (ValueError, RecursionError) as error:
        raise openstack_errors.not_glance(region) from error
    if not isinstance(image, dict) or image.get("id") != image_id or not image.get("status"):
        raise openstack_errors.not_glance(region)
    return image


def _require_list(account: Account, who: Whoami, region: str, deadline: float) -> None:
    """404 is what any server says of a path that it does not know, and Glance says of everything
    to those who may not read images. But it tells them so of its list."""
    from webapp.clouds.openstack import errors as openstack_errors  # noqa: PLC0415

    address = f"{who.images[region]}?limit=1"
    try:
        answer = call_within(seconds_left(deadline), account.get, region, address)
    except (DeadlineExceeded, CloudError):
        return  # A second look that fails tells nothing.
    if answer.status_code == 404:
        raise openstack_errors.not_glance(region)
    if answer.status_code == 403:
        raise openstack_errors.of_image(answer, region, who.project)


def _not_found(account: Account, who: Whoami, locator: Locator, deadline: float) -> ImageNotFound:
    here = f"There is no image {locator.image_id} in {locator.location}"
    elsewhere = _regions_that_have(account, who, locator, deadline)
    if not elsewhere:
        return ImageNotFound(
            f"{here}, or it is private to another project. Check the id, the location, and the "
            "project of the credentials."
        )
    return image_in_other_regions(here, elsewhere)


def _regions_that_have(
    account: Account, who: Whoami, locator: Locator, deadline: float
) -> tuple[str, ...]:
    def has(region: str) -> bool:
        return _read(account, who, region, locator.image_id) is not None

    others = [each for each in who.images if each != locator.location]
    return tuple(search_regions(has, others, deadline))
