"""The base class of all cloud adapters. It also limits every call to a cloud.

An adapter knows one vendor's SDK. It must not know Flask, database tables, or other adapters.

The contract between the adapters and the rest of the application consists of this class, the
classes in the modules `credentials`, `locators`, `details`, `errors` and `examples` of this
package, and `ImageList` in `browsing`. Code outside this package uses an adapter only through these
classes.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Concatenate, ParamSpec, TypeVar

from webapp.clouds import cache, waiting
from webapp.clouds.browsing import ImageCollector, ImageList
from webapp.clouds.cache import credentials_digest
from webapp.clouds.characters import SURROUNDING_CHARACTERS
from webapp.clouds.credentials import CredentialValues, Field, Identity
from webapp.clouds.details import ImageCopy, ImageDetails
from webapp.clouds.errors import (
    CallsInProgress,
    CloudError,
    CloudUnreachable,
    IncompleteArtifact,
    InvalidCredentials,
)
from webapp.clouds.examples import Example
from webapp.clouds.limits import MAX_ITEMS, MAX_LISTED
from webapp.clouds.locators import (
    ImageId,
    ListedImage,
    Location,
    LocationRule,
    Locator,
    NamedImage,
)
from webapp.clouds.messages import bounded
from webapp.clouds.outgoing import encryption
from webapp.clouds.outgoing.budgets import Budget, BudgetUsedUp, budgets
from webapp.clouds.outgoing.calls import (
    DeadlineExceeded,
    ResponseTooLarge,
    call_within,
)
from webapp.monitoring import masking, metrics

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

CALL_SECONDS = 9.0
"""The time limit, in seconds, of one call of a public method such as `describe`.

The limit includes all requests of the call. It excludes the time to load the SDK, and the time
until the budgets of `outgoing.budgets` allow the call to begin.
"""
LOG_LENGTH = 2000
"""The maximum length, in characters, of the message of an error in a log line."""

_BUDGET_MESSAGES = {
    Budget.CREDENTIALS: "Too many calls with these credentials are in progress. Try again in a "
    "moment.",
    Budget.ACCOUNT: "Too many calls with credentials of {owner} are in progress. Try again in a "
    "moment.",
    Budget.SHARE: "Too many calls with credentials of {owner} are in progress. Try again in a "
    "moment.",
    Budget.PERSON: "Too many of your calls to clouds are in progress. Wait until one of them ends, "
    "then try again.",
    Budget.PROCESS: "The server is waiting for many calls to clouds. Try again in a moment.",
    Budget.SLOW: "The server is waiting for many slow clouds. Try again in a moment.",
    Budget.UNPROVEN: "The server is waiting for many clouds. Try again in a moment.",
    Budget.LARGE: "Another call with credentials of {owner} is reading a large response, or "
    "has just read one. Try again in a moment.",
    Budget.MEMORY: "The server is busy with large responses. Try again in a moment.",
    Budget.ACCOUNT_PARSER: "Another call with credentials of {owner} is reading a large response. "
    "Try again in a moment.",
    Budget.PARSER: "The server is busy with large responses. Try again in a moment.",
}
"""For each budget, the message that says that the budget is used up."""
for _budget in Budget:
    # This creates the counter of the budget, so that the metrics contain it from the start.
    metrics.BUDGETS_USED_UP.labels(_budget.name.lower())


class Cloud(ABC):
    """The adapter for one cloud.

    A subclass declares the data below and implements at least the abstract methods. Code outside
    this package calls only the public methods. A public method that calls the cloud has a time
    limit. If the SDK raises an exception that the adapter expects, the method raises a CloudError
    instead.
    """

    key: ClassVar[str]
    label: ClassVar[str]
    icon: ClassVar[str]
    """The name of a symbol in the icon sprite."""
    location_rule: ClassVar[LocationRule]
    credential_fields: ClassVar[tuple[Field, ...]]
    location_field: ClassVar[Field | None]
    image_id_field: ClassVar[Field]
    lists_images: ClassVar[bool] = False
    """Whether people can choose the image from the list that `images` returns."""
    lists_origins: ClassVar[bool] = True
    """Whether the images that `browse` returns have a `ListedImage.origin`."""
    lists_dates: ClassVar[bool] = True
    """Whether `browse` returns the dates when the images were created."""
    finds_copies: ClassVar[bool] = False
    """Whether `copies` can find the copies of an image in other locations."""
    compute_resource_field: ClassVar[Field | None] = None
    """The field for the compute resource in the form that registers an image.

    A compute resource is a cluster or a host. If a cloud has no compute resources, this is None.
    Otherwise, a cloud image can be registered once for each of its compute resources.
    """
    where_to_find: ClassVar[str]
    """A text for people that explains where they find the image ID in the vendor's tools."""
    packer_builders: ClassVar[tuple[str, ...]] = ()
    """The types of the HashiCorp Packer builders that create images of this cloud."""

    @abstractmethod
    def parse_image_id(self, text: str) -> ImageId:
        """Return the canonical form of a pasted image ID, ARN, link or similar text.

        Raises InvalidImageId with a message that explains the problem.
        """

    def parse_location(self, text: str) -> str:
        """Return the canonical form of `text`, a location from a person or from an import file.

        If `text` is empty, or if the cloud's images have no location, return ''.

        Raises InvalidLocation with a message that explains the problem.
        """
        if self.location_rule is LocationRule.GLOBAL:
            return ""
        return text.strip(SURROUNDING_CHARACTERS)

    def default_locations(self, credentials: Mapping[str, str]) -> tuple[Location, ...]:  # noqa: ARG002
        """Return the locations that the adapter knows without a call to the cloud.

        `credentials` may lack the secret fields.
        """
        return ()

    def console_url(self, settings: Mapping[str, str], locator: Locator) -> str:  # noqa: ARG002
        """Return the URL of the image in the vendor's console, or '' if there is none.

        `settings` contains the credential fields that are not secret. It is empty if the
        credentials were deleted.
        """
        return ""

    @abstractmethod
    def examples(self, locator: Locator, name: str) -> tuple[Example, ...]:
        """Return examples of how to use a registered image in tools such as Terraform.

        `name` is the name of the image in its cloud, or '' if it is unknown.
        """

    def suggest_name(self, image_id: str) -> str:  # noqa: ARG002
        """Return the name to suggest if the image has no known name in the cloud, or ''."""
        return ""

    def validate(self, values: Mapping[str, str]) -> None:  # noqa: B027  most clouds have no such rules
        """Raise InvalidCredentials if `values` break a rule that the field patterns cannot express.

        `values` contains a value for each credential field. The caller has not yet sent or stored
        the values.
        """

    def packer_images(
        self, artifact_id: str, custom: Mapping[str, str]
    ) -> Sequence[Locator | NamedImage]:
        """Return the images that one build in a Packer manifest created.

        `artifact_id` is the ID that Packer wrote into the manifest. Some builders leave out a value
        such as the location. `custom` contains the values from the custom_data of the build, and
        the values that a person entered during the import. Raises IncompleteArtifact if a necessary
        value is neither in `artifact_id` nor in `custom`, and InvalidImageId if the ID is invalid.
        """
        image_id = self.parse_image_id(custom.get("cloud_image_id") or artifact_id)
        location = image_id.location or custom.get("location", "")
        if self.location_rule is LocationRule.REGIONAL and not location:
            raise IncompleteArtifact(
                "The Packer manifest doesn’t contain the location of this image.", "location"
            )
        return [Locator(location, image_id.value, custom.get("compute_resource", ""))]

    def require_encryption(self, values: Mapping[str, str]) -> None:
        """Raise InvalidCredentials if REQUIRE_TLS is set, but a call would not be encrypted."""
        for field in self.credential_fields:
            url = values.get(field.name, "") if field.name.endswith("_url") else ""
            if url and encryption.forbids(url):
                raise InvalidCredentials(
                    f"{field.label} must begin with https://, because this server requires "
                    "encrypted connections.",
                    field.name,
                )

    def default_project(self, credentials: CredentialValues) -> str:  # noqa: ARG002
        """Return the project of the credentials, or '' if image IDs of this cloud have no project.

        Raises CloudError.
        """
        return ""

    def check(self, credentials: CredentialValues) -> Identity:
        """Log in and return the identity of the credentials. Raises CloudError."""
        return self._call(self._check, credentials)

    def locations(self, credentials: CredentialValues) -> tuple[Location, ...]:
        """Return the locations that the cloud lists for these credentials. Raises CloudError."""
        return self._call(self._locations, credentials)[:MAX_LISTED]

    def images(self, credentials: CredentialValues, location: str) -> tuple[ListedImage, ...]:
        """Return the images at `location`, sorted by name. Raises CloudError.

        Call this only for clouds with `lists_images`.
        """
        return self._call(self._images, credentials, location)[:MAX_LISTED]

    def browse(
        self, credentials: CredentialValues, location: str, search: str = "", cursor: str = ""
    ) -> ImageList:
        """Return the images that the credentials own at `location`, or that are shared with them.

        Public images of other owners are left out. If `search` is not '', only the images that
        match it are returned. The result is one page of the list. `cursor` is the `next_cursor` of
        the previous page. Raises CloudError.
        """
        # Load the SDK first, because a collector's time limit begins when the collector is created.
        self.warm_up()
        collector = ImageCollector(search, cursor)
        self._call(self._browse, credentials, location, collector)
        return collector.result()

    def copies(
        self, credentials: CredentialValues, locator: Locator, details: ImageDetails
    ) -> tuple[ImageCopy, ...]:
        """Return the copies of an image: images with the same name and owner in other locations.

        `locator` and `details` describe the image. A location that does not respond in time is left
        out. For clouds without `finds_copies`, the result is empty. Raises CloudError.
        """
        return self._call(self._copies, credentials, locator, details)[:MAX_ITEMS]

    def describe(self, credentials: CredentialValues, locator: Locator) -> ImageDetails:
        """Return the details of one image. Raises CloudError."""
        return self._call(self._describe, credentials, locator)

    def describe_again(self, credentials: CredentialValues, locator: Locator) -> ImageDetails:
        """Return the details of a registered image, even if it has moved. Raises CloudError.

        If images of a cloud can move to another location and keep their ID, the adapter overrides
        this method. The details of a moved image contain the new location.
        """
        return self.describe(credentials, locator)

    def find_image_id(self, credentials: CredentialValues, location: str, name: str) -> str:
        """Return the ID of the image with this name at `location`.

        `name` is the name of a NamedImage that `packer_images` returned. Raises CloudError, for
        example InvalidImageId if several images have the name.
        """
        return self._call(self._find_image_id, credentials, location, name)

    def warm_up(self) -> None:  # noqa: B027  not every adapter has something to load
        """Load the SDK if it is not loaded yet, which may take seconds.

        `webapp/warm_up.py` calls this method in the background, so that the first call to the cloud
        does not have to wait.
        """

    @abstractmethod
    def _check(self, credentials: CredentialValues) -> Identity: ...

    @abstractmethod
    def _locations(self, credentials: CredentialValues) -> tuple[Location, ...]: ...

    def _images(self, credentials: CredentialValues, location: str) -> tuple[ListedImage, ...]:
        raise NotImplementedError(f"{self.label} does not list images")

    def _browse(
        self, credentials: CredentialValues, location: str, collector: ImageCollector
    ) -> None:
        """Add to `collector` the images that the cloud lists."""
        images = self._images(credentials, location)
        collector.next_cursor = collector.add_page(images, collector.cursor)

    def _copies(
        self,
        credentials: CredentialValues,  # noqa: ARG002
        locator: Locator,  # noqa: ARG002
        details: ImageDetails,  # noqa: ARG002
    ) -> tuple[ImageCopy, ...]:
        return ()

    def _find_image_id(self, credentials: CredentialValues, location: str, name: str) -> str:
        raise NotImplementedError(f"{self.label} does not find images by name")

    @abstractmethod
    def _describe(self, credentials: CredentialValues, locator: Locator) -> ImageDetails: ...

    @abstractmethod
    def _translate(self, error: Exception) -> CloudError | None:
        """Return the CloudError for an expected exception of the SDK, else None."""

    def _call(
        self,
        call: Callable[Concatenate[CredentialValues, P], T],
        credentials: CredentialValues,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Return the result of `call`. Record metrics, and mask the secrets in log lines.

        Raises InvalidCredentials if REQUIRE_TLS is set, but the call would not be encrypted. This
        happens with credentials that were stored before REQUIRE_TLS was set.
        """
        self.require_encryption(credentials)
        name = call.__name__.removeprefix("_")
        with masking.masked(self.secrets_of(credentials)), metrics.cloud_call(self.key, name):
            return self._limited_call(call, credentials, *args, **kwargs)

    def secrets_of(self, values: Mapping[str, str]) -> list[str]:
        """Return the values of the secret fields."""
        return [values.get(field.name, "") for field in self.credential_fields if field.secret]

    def _limited_call(
        self,
        call: Callable[Concatenate[CredentialValues, P], T],
        credentials: CredentialValues,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Return the result of `call`, which runs with the limits of the package `outgoing`.

        Raises a CloudError instead of an expected exception of the SDK.
        """
        self.warm_up()  # This has no time limit, because a slow disk is not the cloud's fault.
        digest = credentials_digest(credentials)
        try:
            with (
                waiting.released_resources(),
                budgets.reserve(digest, credentials.owner) as reserved_call,
            ):
                try:
                    return call_within(CALL_SECONDS, call, credentials, *args, **kwargs)
                except Exception as error:
                    cloud_error = self._known_error(error, credentials)
                    if cloud_error is None:
                        raise
                    cloud_error.retry_after = reserved_call.retry_after
                    if not reserved_call.has_large_response:
                        raise cloud_error from (error.__cause__ if cloud_error is error else error)
                finally:
                    if (
                        reserved_call.has_large_response
                    ):  # A cached session may contain the response.
                        cache.forget(digest)
                # The exception of the SDK refers to the large response. If `cloud_error` referred
                # to the exception, the memory of the response could not be released.
                cloud_error.__cause__ = cloud_error.__context__ = None
                raise cloud_error.with_traceback(None)
        except BudgetUsedUp as error:
            raise self._budget_error(error, credentials) from error

    def _budget_error(self, error: BudgetUsedUp, credentials: CredentialValues) -> CallsInProgress:
        metrics.BUDGETS_USED_UP.labels(error.budget.name.lower()).inc()
        owner = "this account" if credentials.owner else "the Scalr scope"
        return CallsInProgress(_BUDGET_MESSAGES[error.budget].format(owner=owner))

    def _known_error(self, error: Exception, credentials: CredentialValues) -> CloudError | None:
        """Return the CloudError for an exception, or None if the exception is unexpected.

        Also log an expected exception, except if a budget or the deadline caused it.
        """
        if isinstance(error, BudgetUsedUp):
            return self._budget_error(error, credentials)
        if isinstance(error, DeadlineExceeded):
            return CloudUnreachable(
                f"{self.label} didn’t respond within {CALL_SECONDS:.0f} seconds. Try again. If the "
                "problem persists, check the endpoint and the network connection."
            )
        if isinstance(error, ResponseTooLarge):
            self._log_error(error.__cause__ or error, credentials)
            return CloudUnreachable(
                f"The response of {self.label} is too large, so it wasn’t read completely. Check "
                "the endpoint."
            )
        if isinstance(error, CloudError):
            self._log_error(error.__cause__ or error, credentials)
            return error
        cloud_error = self._translate(error)
        if cloud_error is not None:
            self._log_error(error, credentials)
        return cloud_error

    def _log_error(self, error: BaseException, credentials: CredentialValues) -> None:
        """Log the error without secrets.

        Some clouds repeat the request in their error messages, perhaps with a secret.
        """
        with masking.masked(self.secrets_of(credentials)):
            text = bounded(masking.mask(str(error)), LOG_LENGTH)
        log.info("%s: a call failed: %s: %s", self.key, type(error).__name__, text)
