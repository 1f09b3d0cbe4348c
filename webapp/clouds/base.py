"""What every cloud adapter declares, does and raises.

Everything above this package knows clouds only through the names in this file. An adapter knows
one vendor's SDK and nothing of Flask, of the tables, or of another adapter.

The errors, each with one sentence that is safe to show and says what to do next:

    CloudError
    ├── InvalidCredentials    the fields cannot be right, or not together; nothing was sent
    ├── InvalidImageId        the text is no image id of this cloud; nothing was sent
    ├── ImageNotFound         the cloud knows no such image at that location
    ├── ImageNotVisible       it exists, or did, but these credentials cannot use it any more
    ├── UnknownLocation       no such region, or not enabled for these credentials
    ├── CredentialsRejected   the cloud does not accept who we say we are
    ├── PermissionDenied      the cloud knows us and refuses the call
    ├── CloudThrottled        too many calls for now
    └── CloudUnreachable      no answer in time, no connection, or no answer we can read
"""

from __future__ import annotations

import enum
import logging
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Concatenate, ParamSpec, TypeVar

from webapp.clouds.deadline import DeadlineExceeded, call_within

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

CALL_SECONDS = 9.0
"""How long one public call of an adapter may take in all, in seconds."""

_TOKEN = re.compile(r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*")
"""A signed token (JWT), such as calls to Azure and Google carry."""


class CloudError(Exception):
    """A refusal that a person can act on. `str()` is safe to show."""


class InvalidCredentials(CloudError):
    """What was entered cannot be right; `field` names the field that it is about."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.field = field


class InvalidImageId(CloudError):
    """The text cannot be an image id of this cloud."""


class ImageNotFound(CloudError):
    """No such image at that location; `found_in` names locations that do have it, if we looked."""

    def __init__(self, message: str, found_in: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.found_in = found_in


class ImageNotVisible(CloudError):
    """The image is there no longer, or not for these credentials."""


class UnknownLocation(CloudError):
    """No such location, or it is not enabled for these credentials."""


class CredentialsRejected(CloudError):
    """The cloud does not accept the credentials."""


class PermissionDenied(CloudError):
    """The credentials are valid and lack a permission; the message names it."""


class CloudThrottled(CloudError):
    """The cloud asks for fewer calls."""


class CloudUnreachable(CloudError):
    """No connection, no answer in time, or an answer that cannot be read."""


class LocationRule(enum.Enum):
    """What a location means for an image of this cloud."""

    REGIONAL = "regional"
    """Part of the image's identity: AWS, OpenStack, VMware."""
    LOOKUP_ONLY = "lookup-only"
    """Asked for a look-up only; the image is common to all regions: Azure."""
    GLOBAL = "global"
    """None: Google Compute Engine."""


class ImageState(enum.StrEnum):
    """What the cloud says of an image's fitness for use, in words common to all clouds."""

    AVAILABLE = "available"
    DEPRECATED = "deprecated"
    PENDING = "pending"
    DISABLED = "disabled"
    FAILED = "failed"
    GONE = "gone"
    """Not returned any more: deregistered, or no longer shared with us."""


@dataclass(frozen=True)
class Field:
    """One input of a form: a credential field, or a part of the locator."""

    name: str
    label: str
    hint: str = ""
    placeholder: str = ""
    pattern: str = ""
    """A regular expression that the whole value must match, or '' for any."""
    required: bool = True
    secret: bool = False
    """Encrypted at rest, never shown again."""
    multiline: bool = False
    """A text of several lines, pasted or uploaded: a key file, certificates."""
    options: tuple[tuple[str, str], ...] = ()
    """(value, label) pairs: the field is a select; the first is the default."""
    default: str = ""
    """What a fresh form holds."""
    when: tuple[str, str] | None = None
    """(name of a select, value): asked only while that select has that value, and required, if it
    is, only then."""
    free_text: bool = False
    """What is offered are suggestions, and any other text will do."""


class CredentialValues(Mapping[str, str]):
    """The fields of one set of credentials, in the clear. Its repr shows names only, so that a
    traceback or a log line cannot carry a secret."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = dict(values)

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
    """What a pasted text said: the canonical id, and the location if the text held one."""

    value: str
    location: str = ""


@dataclass(frozen=True)
class Locator:
    """What finds a cloud image."""

    location: str
    image_id: str
    compute_resource: str = ""


@dataclass(frozen=True)
class Location:
    """A place that can be chosen: `key` as the cloud names it, `label` for people."""

    key: str
    label: str
    enabled: bool = True


@dataclass(frozen=True)
class ListedImage:
    """An image that can be chosen from a list: its canonical id, and its name for people."""

    image_id: str
    name: str


@dataclass(frozen=True)
class Fact:
    """One thing the cloud says that only this cloud has; `label` and `value` are for people."""

    key: str
    label: str
    value: str


@dataclass(frozen=True)
class Volume:
    """A disk that the image brings. `size_gb` in GB (2**30 bytes); None where it is not said."""

    device: str
    kind: str
    size_gb: int | None
    snapshot: str
    encrypted: bool | None
    root: bool = False


@dataclass(frozen=True)
class ImageDetails:
    """What the cloud says of one image: facts only, no guesses."""

    name: str
    description: str
    architecture: str
    """x86_64, arm64, i386, or the cloud's own word; '' where it is not said."""
    size_gb: int | None
    """Of the root disk, in GB."""
    state: ImageState
    state_note: str
    """One sentence on the state where it needs one, else ''."""
    created: datetime | None
    deprecated: datetime | None
    """When the image is, was, or will be deprecated."""
    facts: tuple[Fact, ...]
    volumes: tuple[Volume, ...]
    os_texts: tuple[str, ...]
    """The cloud's own words that may name the operating system, the most telling first."""
    warnings: tuple[str, ...] = ()
    """One sentence for each thing that a person should know before relying on the image."""
    image_id: str = ""
    """The canonical id of what was found where that is not the one that was asked for: the
    version that `latest` stands for today, the present image of a family. '' if it is."""
    compute_resources: tuple[str, ...] = ()
    """Those that the image can be registered for, where its cloud has `compute_resource_field`."""


@dataclass(frozen=True)
class Identity:
    """Whom the cloud took us for: `account` (number, tenant, project) and a line for people."""

    account: str
    description: str


class Cloud(ABC):
    """One cloud platform. Subclasses declare the data below and implement the `_…` methods;
    callers use the public ones, which bound the time and translate the SDK's errors."""

    key: ClassVar[str]
    label: ClassVar[str]
    icon: ClassVar[str]
    """The name of a symbol in the icon sprite."""
    location_rule: ClassVar[LocationRule]
    credential_fields: ClassVar[tuple[Field, ...]]
    location_field: ClassVar[Field | None]
    image_id_field: ClassVar[Field]
    lists_images: ClassVar[bool] = False
    """Whether the image is chosen from a list, of `images`, in place of typing its id."""
    compute_resource_field: ClassVar[Field | None] = None
    """Asked with the details, where the same image can be registered once for each of several."""
    where_to_find: ClassVar[str]
    """Where in the vendor's console or tools a person finds the image id."""
    packer_builders: ClassVar[tuple[str, ...]] = ()
    """The types of HashiCorp Packer's builders that make images of this cloud."""

    @abstractmethod
    def parse_image_id(self, text: str) -> ImageId:
        """Understand what people really paste. Raises InvalidImageId with what is wrong."""

    def default_locations(self, credentials: Mapping[str, str]) -> tuple[Location, ...]:  # noqa: ARG002
        """The locations known without asking the cloud; none, unless the adapter says so. Needs
        no secret field."""
        return ()

    def console_url(self, settings: Mapping[str, str], locator: Locator) -> str:  # noqa: ARG002
        """A link to the image in the vendor's console, '' where none can be told. `settings` holds
        the credential fields that are no secret, and nothing where the credentials are gone."""
        return ""

    def validate(self, values: Mapping[str, str]) -> None:  # noqa: B027  most have no such rules
        """What the patterns of the fields cannot say, before anything is sent or kept. `values`
        holds every credential field. Raises InvalidCredentials."""

    def packer_images(self, artifact_id: str, custom: Mapping[str, str]) -> list[Locator]:
        """What a builder of `packer_builders` wrote into its manifest. `custom` is the custom_data
        there: people put into it what the builder does not write. Raises InvalidImageId."""
        found = self.parse_image_id(custom.get("cloud_image_id") or artifact_id)
        location = found.location or custom.get("location", "")
        if self.location_rule is LocationRule.REGIONAL and not location:
            raise InvalidImageId(
                "Packer does not write where this image is. Put its location into custom_data, as "
                "“location”."
            )
        return [Locator(location, found.value, custom.get("compute_resource", ""))]

    def check(self, credentials: CredentialValues) -> Identity:
        """Log in and say as whom. Raises CloudError."""
        return self._call(self._check, credentials)

    def locations(self, credentials: CredentialValues) -> tuple[Location, ...]:
        """The locations that these credentials may use. Raises CloudError."""
        return self._call(self._locations, credentials)

    def images(self, credentials: CredentialValues, location: str) -> tuple[ListedImage, ...]:
        """Those at `location`, by name, where `lists_images`. Raises CloudError."""
        return self._call(self._images, credentials, location)

    def describe(self, credentials: CredentialValues, locator: Locator) -> ImageDetails:
        """Read one image. Raises CloudError."""
        return self._call(self._describe, credentials, locator)

    def warm_up(self) -> None:  # noqa: B027  not every adapter has something to load
        """Load the SDK, which may take seconds. Harmless at any time, nothing when done before;
        called at start-up so that the first person need not wait for it."""

    @abstractmethod
    def _check(self, credentials: CredentialValues) -> Identity: ...

    @abstractmethod
    def _locations(self, credentials: CredentialValues) -> tuple[Location, ...]: ...

    def _images(self, credentials: CredentialValues, location: str) -> tuple[ListedImage, ...]:
        raise NotImplementedError(f"{self.label} lists no images")

    @abstractmethod
    def _describe(self, credentials: CredentialValues, locator: Locator) -> ImageDetails: ...

    @abstractmethod
    def _translate(self, error: Exception) -> CloudError | None:
        """The CloudError for an SDK's exception, or None for what is not the cloud's doing."""

    def _call(
        self,
        call: Callable[Concatenate[CredentialValues, P], T],
        credentials: CredentialValues,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run `call` for CALL_SECONDS at most, and put what goes wrong into our words."""
        self.warm_up()  # Before the clock runs: a slow disk is not the cloud's doing.
        try:
            return call_within(CALL_SECONDS, call, credentials, *args, **kwargs)
        except DeadlineExceeded as error:
            raise CloudUnreachable(
                f"{self.label} did not answer within {CALL_SECONDS:.0f} seconds. Try again; "
                "if it stays so, check the endpoint and the network between here and there."
            ) from error
        except CloudError as error:
            self._log_error(error.__cause__ or error, credentials)
            raise
        except Exception as error:
            translated = self._translate(error)
            if translated is None:
                raise
            self._log_error(error, credentials)
            raise translated from error

    def _log_error(self, error: BaseException, credentials: CredentialValues) -> None:
        """The raw reply. Some clouds repeat in it what they were sent."""
        text = str(error)
        secrets = (credentials.get(each.name, "") for each in self.credential_fields if each.secret)
        for secret in sorted(filter(None, secrets), key=len, reverse=True):
            text = text.replace(secret, "…")
        text = _TOKEN.sub("…", text)
        log.info("%s refused a call: %s: %s", self.key, type(error).__name__, text)
