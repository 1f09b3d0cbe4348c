"""The adapter for Google Compute Engine. An image belongs to a project, not to a region.

This module must stay fast to import. Only the modules `sdk` and `errors` need the SDK. Functions
import these two modules on first use, because importing the SDK takes longer than importing
everything else in the application.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING
from urllib.parse import quote

from webapp.clouds.base import Cloud
from webapp.clouds.browsing import MAX_PAGES, ImageCollector
from webapp.clouds.credentials import CredentialValues, Field, Identity
from webapp.clouds.details import ImageDetails
from webapp.clouds.errors import (
    CloudError,
    CloudUnreachable,
    ImageNotVisible,
    IncompleteArtifact,
    InvalidCredentials,
)
from webapp.clouds.examples import Example
from webapp.clouds.gce import ids, package, usage
from webapp.clouds.gce.details import image_details, is_requested_image
from webapp.clouds.gce.universes import find_universe, is_private_endpoint, universe_of_project
from webapp.clouds.instants import parse_instant
from webapp.clouds.locators import ImageId, ListedImage, Location, LocationRule, Locator, NamedImage
from webapp.clouds.tls import require_certificates

if TYPE_CHECKING:
    from webapp.clouds.gce.sdk import Clients

IMAGE_LIST = "compute#imageList"
"""The `kind` of Google's response to a request for a list of images."""


class Gce(Cloud):
    key = "gce"
    label = "Google Compute Engine"
    icon = "brand-google"
    location_rule = LocationRule.GLOBAL
    lists_origins = False
    credential_fields = (
        Field(
            "service_account_key",
            "Service account key",
            hint="The JSON key file that you create in the Google Cloud console under IAM & Admin "
            "> Service Accounts > Keys. The role Compute Image User is sufficient.",
            placeholder='{"type": "service_account", …}',
            secret=True,
            multiline=True,
        ),
        Field(
            "endpoint_url",
            "Endpoint URL",
            hint="Only for a private or test endpoint. Leave empty to use the cloud that the key "
            "belongs to.",
            placeholder="https://…",
            required=False,
        ),
        Field(
            "ca",
            "CA certificates",
            hint="The certificates of a private certificate authority, in PEM format. Only needed "
            "if such an authority issued the certificate of the endpoint URL.",
            placeholder="-----BEGIN CERTIFICATE-----…",
            identifies_server=True,
            required=False,
            multiline=True,
        ),
    )
    location_field = None
    image_id_field = Field(
        "image_id",
        "Cloud Image ID",
        hint="The project and the name of the image. You can also paste a selfLink, a link to the "
        "Google Cloud console, or an image family.",
        placeholder="PROJECT-ID/global/images/NAME",
    )
    where_to_find = (
        "In the Google Cloud console, open Compute Engine > Images and select the image that you "
        "want to register. Select Equivalent REST, find selfLink, and copy the part after "
        "“projects/”."
    )
    packer_builders = ("googlecompute",)

    def parse_image_id(self, text: str) -> ImageId:
        return ids.parse(text)

    def packer_images(
        self, artifact_id: str, custom: Mapping[str, str]
    ) -> Sequence[Locator | NamedImage]:
        """Return the image of a build. Raises IncompleteArtifact if the project is unknown.

        Packer writes only the name of the image. The project must be in `custom`, unless
        `artifact_id` or `custom` contains the complete image ID.
        """
        if "/" in artifact_id or custom.get("cloud_image_id"):
            return super().packer_images(artifact_id, custom)
        project = custom.get("project") or custom.get("project_id")
        if not project:
            raise IncompleteArtifact(
                f"The Packer manifest contains only the image name, “{artifact_id[:63]}”, without "
                "the project.",
                "project",
            )
        return super().packer_images(f"{project}/global/images/{artifact_id}", custom)

    def default_project(self, credentials: CredentialValues) -> str:
        from webapp.clouds.gce import key  # noqa: PLC0415

        return key.parse_key(credentials["service_account_key"]).project

    def console_url(self, settings: Mapping[str, str], locator: Locator) -> str:
        """Return the URL of the image's page in the console of its universe (see `universes`).

        Returns '' for an image family, a private endpoint, or an unknown universe, because no page
        of a console is known for these.
        """
        universe = universe_of_project(locator.image_id.partition("/")[0])
        if "/family/" in locator.image_id or universe is None:
            return ""
        if is_private_endpoint(settings.get("endpoint_url", ""), universe):
            return ""
        page = f"https://{universe.console}/compute/imagesDetail/projects/"
        return page + quote(locator.image_id, safe="/:")

    def examples(self, locator: Locator, name: str) -> tuple[Example, ...]:  # noqa: ARG002
        return usage.examples(locator.image_id)

    def validate(self, values: Mapping[str, str]) -> None:
        from webapp.clouds.gce import key  # noqa: PLC0415

        account = key.parse_key(values["service_account_key"])
        ca, endpoint = values.get("ca", ""), values.get("endpoint_url", "")
        if ca and not endpoint:
            raise InvalidCredentials(
                "CA certificates require an endpoint URL. Enter the URL too, or leave both empty.",
                "ca",
            )
        require_certificates(ca, "ca")
        key.require_known_api(account, endpoint)

    def warm_up(self) -> None:
        self._clients  # noqa: B018  The first access loads the SDK.

    @cached_property
    def _clients(self) -> Clients:
        package.load()
        from webapp.clouds.gce.sdk import Clients  # noqa: PLC0415

        return Clients()

    def _check(self, credentials: CredentialValues) -> Identity:
        """List one image of the key's project, to test whether Google accepts the key.

        If only the permission to list images is missing, the check succeeds, because the images to
        register may be in other projects.
        """
        from webapp.clouds.gce import errors  # noqa: PLC0415

        self._clients.forget(credentials)  # The check must not use a cached token.
        client = self._clients.get(credentials)
        account = client.account
        try:
            kind = client.response_kind()
        except Exception as error:
            if not errors.lacks_permission(error):
                raise
            kind = IMAGE_LIST
        if kind != IMAGE_LIST:
            raise CloudUnreachable(errors.NOT_GOOGLE)
        return Identity(account.project, account.email)

    def _locations(self, credentials: CredentialValues) -> tuple[Location, ...]:  # noqa: ARG002
        return ()

    def _browse(
        self,
        credentials: CredentialValues,
        location: str,  # noqa: ARG002
        collector: ImageCollector,
    ) -> None:
        """Add to `collector` the images of the credentials' project.

        The cursor is Google's token of the next response page.
        """
        from webapp.clouds.gce import errors  # noqa: PLC0415

        client = self._clients.get(credentials)
        pages = client.image_pages(ids.name_pattern(collector.words), collector.cursor)
        for kind, images, token in islice(pages, MAX_PAGES):
            if kind != IMAGE_LIST:
                raise CloudUnreachable(errors.NOT_GOOGLE)
            for image in images:
                path = f"{client.account.project}/global/images/{image['name']}"
                if ids.NAME.fullmatch(image["name"]):
                    created = parse_instant(image["creation_timestamp"])
                    collector.add(ListedImage(path, image["name"], created=created))
            collector.next_cursor = token
            if collector.has_enough:
                return

    def _describe(self, credentials: CredentialValues, locator: Locator) -> ImageDetails:
        """Return the details of an image, or of the current image of a family, with one request."""
        from webapp.clouds.gce import errors  # noqa: PLC0415

        requested = ids.parse_reference(locator.image_id)
        client = self._clients.get(credentials)
        if not credentials.get("endpoint_url"):
            _require_same_universe(requested, client.account.universe)
        try:
            response = client.get(requested)
        except Exception as error:
            translated = errors.translate(error, requested)
            if translated is None:
                raise
            raise translated from error
        if not is_requested_image(response, requested):
            raise CloudUnreachable(errors.NOT_GOOGLE)
        return image_details(response, requested)

    def _translate(self, error: Exception) -> CloudError | None:
        from webapp.clouds.gce import errors  # noqa: PLC0415

        return errors.translate(error)


def _require_same_universe(requested: ids.ImageRef, domain: str) -> None:
    """Raise ImageNotVisible if the image is in another universe than the credentials.

    `domain` is the API domain of the universe of the credentials. If one of the two universes is
    unknown, do nothing.
    """
    if requested.project.isdigit():
        return  # The number of a project does not show the universe of the project.
    universe = universe_of_project(requested.project)
    if universe and find_universe(domain) and universe.domain != domain:
        raise ImageNotVisible(
            f"The project {requested.project} is in the cloud {universe.domain}, but these "
            f"credentials are for {domain}. Check the project ID, or choose credentials for "
            f"{universe.domain}."
        )
