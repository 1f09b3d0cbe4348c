"""The contract for cloud adapters: the data, methods and errors that every adapter has.

Code outside this package uses a cloud only through the names in this file. An adapter knows
one vendor's SDK. It must not know Flask, the tables, or another adapter.

These are the errors. The message of each error is safe to show and says what to do next.

    CloudError
    ├── InvalidCredentials    a field, or a combination of fields, is wrong; nothing was sent
    ├── InvalidImageId        the text is not an image ID of this cloud; nothing was sent
    │   └── IncompleteArtifact    a Packer manifest lacks a value that identifies the image
    ├── InvalidLocation       the text is not a location of this cloud; nothing was sent
    ├── ImageNotFound         the cloud says that there is no such image at that location
    ├── ImageNotVisible       these credentials cannot see or use the image, which may exist
    ├── UnknownLocation       no such region, or not enabled for these credentials
    ├── CredentialsRejected   the cloud does not accept the credentials
    ├── PermissionDenied      the cloud accepts the credentials, but refuses the call
    ├── CloudThrottled        too many calls
    ├── CallsInProgress       too many calls are in progress, so this call was refused or ended
    └── CloudUnreachable      no connection, no answer in time, or an unreadable answer
"""

from __future__ import annotations

import dataclasses
import enum
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Concatenate, ParamSpec, TypeVar

from webapp.clouds import cache, waiting
from webapp.clouds.cache import credentials_digest
from webapp.clouds.characters import SURROUNDING_CHARACTERS
from webapp.clouds.messages import bounded
from webapp.clouds.outgoing.budgets import Budget, BudgetUsedUp, budgets
from webapp.clouds.outgoing.calls import (
    MAX_ANSWER_BYTES,
    AnswerTooLarge,
    DeadlineExceeded,
    call_within,
)
from webapp.monitoring import masking, metrics

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

CALL_SECONDS = 9.0
"""How long one public call of an adapter may take in total."""


MESSAGE_LENGTH = 1000
LOG_LENGTH = 2000
NAME_LENGTH = 255
TEXT_LENGTH = 1000
DESCRIPTION_LENGTH = 4000
"""The maximum lengths, in characters, of the texts that the registry logs, stores and shows. A
private cloud may send megabytes. No cloud allows descriptions of more than 4,000 characters."""
MAX_FACTS = 200
MAX_ITEMS = 100
"""The maximum number of volumes, of warnings, and of `os_texts` of one image."""
MAX_LISTED = 10_000
"""The maximum number of locations, images or compute resources in one list."""

_USED_UP = {
    Budget.CREDENTIALS: "{} calls with these credentials are in progress. Try again in a moment.",
    Budget.ACCOUNT: "{} calls with credentials of this account are in progress. Try again in a "
    "moment.",
    Budget.SHARE: "{} calls with credentials of this account are in progress. Try again in a "
    "moment.",
    Budget.PERSON: "{} of your calls to clouds are in progress. Wait until one of them ends, then "
    "try again.",
    Budget.PROCESS: "The server is waiting for many calls to clouds. Try again in a moment.",
    Budget.LARGE: "Another call with credentials of this account is reading a large response. Try "
    "again in a moment.",
    Budget.MEMORY: "The server is reading several large responses. Try again in a moment.",
}
"""The message for each budget that can be used up."""
for _budget in Budget:
    metrics.BUDGETS_USED_UP.labels(_budget.name.lower())  # 0 until its first increase


class CloudError(Exception):
    """A failure that a person can act on. Its `str()` is safe to show."""

    def __init__(self, message: str = "") -> None:
        super().__init__(bounded(message, MESSAGE_LENGTH))


class InvalidCredentials(CloudError):
    """The entered credentials cannot be right. `field` is the name of the field to correct."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.field = field


class InvalidImageId(CloudError):
    """The text cannot be an image ID of this cloud.

    `recognized` is true if the text clearly belongs to this cloud, for example the ID of an AWS
    instance. If no cloud is chosen yet, only the messages of these errors are shown.
    """

    def __init__(self, message: str, *, recognized: bool = False) -> None:
        super().__init__(message)
        self.recognized = recognized


class InvalidLocation(CloudError):
    """The text cannot be a location of this cloud, for example because it is a zone of a region."""


class IncompleteArtifact(InvalidImageId):
    """An artifact in a Packer manifest lacks a value that is necessary to find its image.

    `missing` is the name of the value: `location` or `project`.
    """

    def __init__(self, message: str, missing: str) -> None:
        super().__init__(message)
        self.missing = missing


class ImageNotFound(CloudError):
    """The cloud says that there is no such image at that location.

    This error marks a registered image as gone, so an adapter raises it only for a definite answer
    of the cloud. If the adapter searched other locations, `found_in` lists the locations that have
    the image.
    """

    def __init__(self, message: str, found_in: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.found_in = found_in


class ImageNotVisible(CloudError):
    """These credentials cannot see or use the image, which may still exist.

    Some clouds give the same answer for an image that does not exist and for an image that its
    owner does not share. If such a cloud shows these credentials all images of their own account,
    `account` is the ID of this account. An image that belongs to `account` then no longer exists.
    """

    def __init__(self, message: str, account: str = "") -> None:
        super().__init__(message)
        self.account = account


class UnknownLocation(CloudError):
    """The location does not exist, or is not enabled for these credentials."""


class CredentialsRejected(CloudError):
    """The cloud does not accept the credentials."""


class PermissionDenied(CloudError):
    """The credentials are valid, but lack a permission. The message names the permission."""


class CloudThrottled(CloudError):
    """The cloud limits the rate of calls, and the limit was reached."""


class CallsInProgress(CloudError):
    """The maximum number of calls is in progress, for example of the account or of the person.

    The call was not made, or it ended before its answer was complete. So this error says nothing
    about the cloud or the image.
    """


class CloudUnreachable(CloudError):
    """There was no connection, no answer in time, or an answer that cannot be read."""


class LocationRule(enum.Enum):
    """The meaning of a location for the images of one cloud."""

    REGIONAL = "regional"
    """The location is part of the image's identity: AWS, OpenStack, VMware."""
    LOOKUP_ONLY = "lookup-only"
    """All regions share the image. The location is needed only to look it up: Azure."""
    GLOBAL = "global"
    """There are no locations: Google Compute Engine."""


class ImageState(enum.StrEnum):
    """Whether an image can be used, as reported by the cloud, in terms common to all clouds."""

    AVAILABLE = "available"
    DEPRECATED = "deprecated"
    PENDING = "pending"
    DISABLED = "disabled"
    FAILED = "failed"
    GONE = "gone"
    """The cloud says that the image does not exist, or that it is being deleted."""
    UNKNOWN = "unknown"
    """Never read from the cloud. No adapter returns this state."""

    @property
    def label(self) -> str:
        """The name of the state for people."""
        return "Not checked" if self is ImageState.UNKNOWN else self.capitalize()

    @property
    def token(self) -> str:
        """The label as one word in lower case, for searches and exports."""
        return self.label.lower().replace(" ", "-")


@dataclass(frozen=True)
class Field:
    """One input of a form: a credential field, or a part of the locator."""

    name: str
    label: str
    hint: str = ""
    placeholder: str = ""
    pattern: str = ""
    """A regular expression that the whole value must match, or '' for any value."""
    required: bool = True
    secret: bool = False
    """The value is encrypted at rest and never shown again."""
    multiline: bool = False
    """The value has several lines and can be pasted or uploaded: a key file, certificates."""
    options: tuple[tuple[str, str], ...] = ()
    """(value, label) pairs. A field with options is a select. The first option is the default."""
    default: str = ""
    """The value in a new form."""
    when: tuple[str, str] | None = None
    """(name of a select, value). If the select has another value, the field is hidden and not
    required."""
    free_text: bool = False
    """The field offers values as suggestions, and accepts any other text too."""


class CredentialValues(Mapping[str, str]):
    """The fields of one set of credentials, unencrypted.

    The repr shows names only, so that a traceback or a log line cannot contain a secret.
    """

    def __init__(self, values: Mapping[str, str], owner: str = "") -> None:
        """`owner` is the account whose budget the calls use, or '' for credentials of Scalr."""
        self._values = dict(values)
        self.owner = owner

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"CredentialValues({', '.join(sorted(self._values))})"


@dataclass(frozen=True)
class ImageId:
    """A parsed image ID: its canonical form, and the location if the text contained one."""

    value: str
    location: str = ""
    is_alias: bool = dataclasses.field(default=False, compare=False)
    """Whether the ID can refer to another image later, as `latest` or an image family can."""


@dataclass(frozen=True)
class Locator:
    """Identifies a cloud image within one cloud."""

    location: str
    image_id: str
    compute_resource: str = ""


@dataclass(frozen=True)
class NamedImage:
    """Identifies a cloud image by its name. `Cloud.find_image_id` finds its ID."""

    location: str
    name: str
    compute_resource: str = ""


@dataclass(frozen=True)
class Location:
    """A location that people can choose, such as an AWS region.

    `key` is the cloud's name for the location, for example `us-east-1`. `label` is for people.
    """

    key: str
    label: str
    enabled: bool = True

    def __post_init__(self) -> None:
        _bound(self, TEXT_LENGTH, "label")


@dataclass(frozen=True)
class ListedImage:
    """An image in the list that a cloud offers: its canonical ID, and its name for people."""

    image_id: str
    name: str

    def __post_init__(self) -> None:
        _bound(self, NAME_LENGTH, "name")


@dataclass(frozen=True)
class Fact:
    """A detail that only this cloud reports. `label` and `value` are for people."""

    key: str
    label: str
    value: str

    def __post_init__(self) -> None:
        _bound(self, NAME_LENGTH, "key", "label")
        _bound(self, TEXT_LENGTH, "value")


REPLACEMENT = "replacement"
"""The key of the fact that contains the ID of the image to use instead."""
OWNER = "owner"
"""The key of the fact that begins with the ID of the account or project that owns the image."""


@dataclass(frozen=True)
class Volume:
    """A disk of the image. `size_gb` is in GB (2**30 bytes), or None if unknown."""

    device: str
    kind: str
    size_gb: int | None
    snapshot: str
    encrypted: bool | None
    root: bool = False

    def __post_init__(self) -> None:
        _bound(self, NAME_LENGTH, "device", "kind")
        _bound(self, TEXT_LENGTH, "snapshot")


@dataclass(frozen=True)
class ImageDetails:
    """The details of one image as the cloud reports them, without any suggestions."""

    name: str
    """The name of the image in the cloud, or '' if the cloud has none."""
    description: str
    architecture: str
    """x86_64, arm64, i386, or the cloud's own word; '' if unknown."""
    size_gb: int | None
    """The size of the root disk in GB."""
    state: ImageState
    state_note: str
    """One sentence that explains the state, or ''."""
    created: datetime | None
    deprecated: datetime | None
    """When the image was deprecated or, if it is available, when it will be deprecated."""
    facts: tuple[Fact, ...]
    volumes: tuple[Volume, ...]
    os_texts: tuple[str, ...]
    """Texts from the cloud that may name the operating system, the most reliable first."""
    warnings: tuple[str, ...] = ()
    """One sentence for each problem to know about before relying on the image."""
    image_id: str = ""
    """The canonical ID of the image that was found, or '' if it equals the requested ID. If the
    requested ID is an alias, such as `latest` or the name of a family, the two IDs differ."""
    compute_resources: tuple[str, ...] = ()
    """The compute resources that the image can be registered for, for clouds that have a
    `compute_resource_field`."""
    location: str = ""
    """The current location, or '' if it is the requested location. See `describe_again`."""
    lookup_location: str = ""
    """The location where the image was read, or where an import expects the image. If the image can
    be read without a location, this is ''. The location isn't part of the image's identity, but
    makes the next look-up fast."""
    end: datetime | None = None
    """When the image will be obsolete or deleted, as its owner announced."""

    @property
    def deprecation_announced_for(self) -> datetime | None:
        """The time from which a look-up of this available image will return DEPRECATED, or None."""
        if self.state is not ImageState.AVAILABLE:
            return None
        return min(filter(None, (self.deprecated, self.end)), default=None)

    def __post_init__(self) -> None:
        _bound(self, NAME_LENGTH, "architecture")
        _bound(self, TEXT_LENGTH, "name", "state_note")
        _bound(self, DESCRIPTION_LENGTH, "description")
        _replace(
            self,
            facts=_first_facts(self.facts),
            volumes=self.volumes[:MAX_ITEMS],
            os_texts=tuple(bounded(each, TEXT_LENGTH) for each in self.os_texts[:MAX_ITEMS]),
            warnings=tuple(bounded(each, TEXT_LENGTH) for each in self.warnings[:MAX_ITEMS]),
            compute_resources=self.compute_resources[:MAX_LISTED],
        )

    @property
    def replacement(self) -> str:
        """The ID of the image that the owner recommends instead, or ''."""
        return next((fact.value for fact in self.facts if fact.key == REPLACEMENT), "")

    @property
    def owner(self) -> str:
        """The ID of the account or project that owns the image, or '' if it is unknown."""
        fact = next((fact.value for fact in self.facts if fact.key == OWNER), "")
        return fact.partition(" ")[0]


@dataclass(frozen=True)
class Identity:
    """The owner of the credentials, according to the cloud.

    `account` is a number, tenant or project; `description` is for people.
    """

    account: str
    description: str

    def __post_init__(self) -> None:
        _bound(self, NAME_LENGTH, "account")
        _bound(self, TEXT_LENGTH, "description")


def _bound(value: object, length: int, /, *names: str) -> None:
    """Shorten the texts of a new frozen value."""
    _replace(value, **{name: bounded(getattr(value, name), length) for name in names})


def _replace(value: object, /, **fields: object) -> None:
    for name, field in fields.items():
        object.__setattr__(value, name, field)


def _first_facts(facts: tuple[Fact, ...]) -> tuple[Fact, ...]:
    """Return at most MAX_FACTS facts, including all facts that the registry itself uses."""
    if len(facts) <= MAX_FACTS:
        return facts
    used = [fact for fact in facts if fact.key in {REPLACEMENT, OWNER}]
    others = [fact for fact in facts if fact.key not in {REPLACEMENT, OWNER}]
    shown = (used + others)[: MAX_FACTS - 1]
    left_out = Fact("more", "More details", f"{len(facts) - len(shown):,} more (shortened)")
    return (*shown, left_out)


class Cloud(ABC):
    """One cloud platform.

    Subclasses declare the data below and implement the `_…` methods. Callers use the public
    methods, which limit the time and translate the SDK's errors.
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
    """Whether people choose the image from the list that `images` returns, or type its ID."""
    compute_resource_field: ClassVar[Field | None] = None
    """The field for the compute resource in the confirmation form, or None.

    If a cloud has no compute resources, this is None. Otherwise, an image can be registered once
    for each of its compute resources.
    """
    where_to_find: ClassVar[str]
    """Where to find the image ID in the vendor's console or tools."""
    packer_builders: ClassVar[tuple[str, ...]] = ()
    """The types of the HashiCorp Packer builders that create images of this cloud."""

    @abstractmethod
    def parse_image_id(self, text: str) -> ImageId:
        """Return the canonical form of a pasted image ID, ARN, link or similar text.

        Raises InvalidImageId with a message that explains the problem.
        """

    def parse_location(self, text: str) -> str:
        """Return the canonical key of the location that a person or a file names.

        If `text` is empty, return ''.

        Raises InvalidLocation with a message that explains the problem.
        """
        if self.location_rule is LocationRule.GLOBAL:
            return ""
        return text.strip(SURROUNDING_CHARACTERS)

    def default_locations(self, credentials: Mapping[str, str]) -> tuple[Location, ...]:  # noqa: ARG002
        """Return the locations known without a call to the cloud.

        `credentials` may lack the secret fields.
        """
        return ()

    def console_url(self, settings: Mapping[str, str], locator: Locator) -> str:  # noqa: ARG002
        """Return the URL of the image in the vendor's console, or '' if there is none.

        `settings` contains the credential fields that are not secret. It is empty if the
        credentials were deleted.
        """
        return ""

    def suggest_name(self, image_id: str) -> str:  # noqa: ARG002
        """Return a name to offer for an image that has none in the cloud, or ''."""
        return ""

    def validate(self, values: Mapping[str, str]) -> None:  # noqa: B027  most clouds have no such rules
        """Check the rules that field patterns cannot express, before anything is sent or stored.

        `values` contains every credential field. Raises InvalidCredentials.
        """

    def packer_images(
        self, artifact_id: str, custom: Mapping[str, str]
    ) -> Sequence[Locator | NamedImage]:
        """Return the images that a Packer manifest lists for one of `packer_builders`.

        Builders leave values out, such as the location. So `custom` contains the custom_data of the
        manifest and the values that the person entered. Raises IncompleteArtifact if such a value
        is missing, and InvalidImageId.
        """
        found = self.parse_image_id(custom.get("cloud_image_id") or artifact_id)
        location = found.location or custom.get("location", "")
        if self.location_rule is LocationRule.REGIONAL and not location:
            raise IncompleteArtifact(
                "The Packer manifest doesn’t contain the location of this image.", "location"
            )
        return [Locator(location, found.value, custom.get("compute_resource", ""))]

    def default_project(self, credentials: CredentialValues) -> str:  # noqa: ARG002
        """Return the project of the credentials, for clouds whose image IDs contain a project.

        Returns '' if there is none.
        """
        return ""

    def check(self, credentials: CredentialValues) -> Identity:
        """Sign in and return the identity of the credentials. Raises CloudError."""
        return self._call(self._check, credentials)

    def locations(self, credentials: CredentialValues) -> tuple[Location, ...]:
        """Return the locations that these credentials may use. Raises CloudError."""
        return self._call(self._locations, credentials)[:MAX_LISTED]

    def images(self, credentials: CredentialValues, location: str) -> tuple[ListedImage, ...]:
        """Return the images at `location`, sorted by name, for clouds with `lists_images`.

        Raises CloudError.
        """
        return self._call(self._images, credentials, location)[:MAX_LISTED]

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
        """Return the ID of the image with this name, for a NamedImage from `packer_images`.

        Raises InvalidImageId if several images have the name, and CloudError.
        """
        return self._call(self._find_image_id, credentials, location, name)

    def warm_up(self) -> None:  # noqa: B027  not every adapter has something to load
        """Load the SDK, which may take seconds. Does nothing if it is already loaded.

        Called in the background, so that the first request does not have to wait.
        """

    @abstractmethod
    def _check(self, credentials: CredentialValues) -> Identity: ...

    @abstractmethod
    def _locations(self, credentials: CredentialValues) -> tuple[Location, ...]: ...

    def _images(self, credentials: CredentialValues, location: str) -> tuple[ListedImage, ...]:
        raise NotImplementedError(f"{self.label} does not list images")

    def _find_image_id(self, credentials: CredentialValues, location: str, name: str) -> str:
        raise NotImplementedError(f"{self.label} does not find images by name")

    @abstractmethod
    def _describe(self, credentials: CredentialValues, locator: Locator) -> ImageDetails: ...

    @abstractmethod
    def _translate(self, error: Exception) -> CloudError | None:
        """Return the CloudError for an exception of the SDK, or None for any other exception."""

    def _call(
        self,
        call: Callable[Concatenate[CredentialValues, P], T],
        credentials: CredentialValues,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Return the result of `call`. Count the call, and mask its secrets in log lines."""
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
        """Return the result of `call`, with the limits of `outgoing`. Translate exceptions."""
        self.warm_up()  # This has no time limit, because a slow disk is not the cloud's fault.
        digest = credentials_digest(credentials)
        try:
            with waiting.while_waiting(), budgets.reserve(digest, credentials.owner) as outermost:
                try:
                    return call_within(CALL_SECONDS, call, credentials, *args, **kwargs)
                except Exception as error:
                    known = self._known_error(error, credentials)
                    if known is None:
                        raise
                    if not outermost.has_large_answer:
                        raise known from (error.__cause__ if known is error else error)
                finally:
                    if outermost.has_large_answer:  # A cached session may contain the answer.
                        cache.forget(digest)
                # The exception of the SDK refers to the large answer, so it must end here.
                known.__cause__ = known.__context__ = None
                raise known.with_traceback(None)
        except BudgetUsedUp as error:
            raise self._used_up(error) from error

    def _used_up(self, error: BudgetUsedUp) -> CallsInProgress:
        metrics.BUDGETS_USED_UP.labels(error.budget.name.lower()).inc()
        return CallsInProgress(_USED_UP[error.budget].format(error.limit))

    def _known_error(self, error: Exception, credentials: CredentialValues) -> CloudError | None:
        """Log an exception and return the CloudError for it, or None if it is unexpected."""
        if isinstance(error, BudgetUsedUp):
            return self._used_up(error)
        if isinstance(error, DeadlineExceeded):
            return CloudUnreachable(
                f"{self.label} didn’t respond within {CALL_SECONDS:.0f} seconds. Try again. If the "
                "problem persists, check the endpoint and the network connection."
            )
        if isinstance(error, AnswerTooLarge):
            self._log_error(error.__cause__ or error, credentials)
            return CloudUnreachable(
                f"The response of {self.label} is too large: it has more than "
                f"{MAX_ANSWER_BYTES >> 20} MB, or too many values. It wasn’t read completely. "
                "Check the endpoint."
            )
        if isinstance(error, CloudError):
            self._log_error(error.__cause__ or error, credentials)
            return error
        translated = self._translate(error)
        if translated is not None:
            self._log_error(error, credentials)
        return translated

    def _log_error(self, error: BaseException, credentials: CredentialValues) -> None:
        """Log the error without secrets. Some clouds repeat the request in an error."""
        with masking.masked(self.secrets_of(credentials)):
            text = bounded(masking.mask(str(error)), LOG_LENGTH)
        log.info("%s: a call failed: %s: %s", self.key, type(error).__name__, text)
