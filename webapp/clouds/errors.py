"""The errors that adapters raise.

The message of each error is safe to show to people.

    CloudError
    ├── InvalidCredentials    a field, or a combination of fields, is wrong; nothing was sent
    ├── InvalidImageId        the text does not identify one image of this cloud
    │   └── IncompleteArtifact    a Packer manifest lacks a value that identifies the image
    ├── InvalidLocation       the text is not a location of this cloud; nothing was sent
    ├── ImageNotFound         the cloud says that the requested location has no such image
    ├── ImageNotVisible       these credentials cannot see or use the image, which may exist
    ├── UnknownLocation       the location does not exist, or is not enabled for these credentials
    ├── CredentialsRejected   the cloud does not accept the credentials
    ├── PermissionDenied      the cloud accepts the credentials, but refuses the call
    ├── CloudThrottled        the cloud refuses the call, because it received too many calls
    ├── CallsInProgress       this server refused or ended the call: too many are in progress
    └── CloudUnreachable      no connection, no response in time, or an unusable response
"""

from __future__ import annotations

from webapp.clouds.messages import bounded

MESSAGE_LENGTH = 1000
"""The maximum length of a message, in characters. A message may quote texts from the cloud."""


class CloudError(Exception):
    """A failure that a person can act on. Its `str()` is safe to show to people."""

    retry_after = 0.0
    """How many seconds to wait before the next call, as the cloud asked, or 0."""

    def __init__(self, message: str = "") -> None:
        super().__init__(bounded(message, MESSAGE_LENGTH))


class InvalidCredentials(CloudError):
    """The entered credentials cannot be right. `field` is the name of the field to correct."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.field = field


class InvalidImageId(CloudError):
    """The text does not identify one image of this cloud.

    If a person has not chosen a cloud, all clouds try to parse the text. If all of them fail, only
    errors whose `recognized` is true are shown. `recognized` is true if the message also helps a
    person who has not chosen this cloud. An example is the message that the text is the ID of an
    AWS instance.
    """

    def __init__(self, message: str, *, recognized: bool = False) -> None:
        super().__init__(message)
        self.recognized = recognized


class InvalidLocation(CloudError):
    """The text cannot be a location of this cloud, for example because it is a zone."""


class IncompleteArtifact(InvalidImageId):
    """A build in a Packer manifest lacks a value that is necessary to identify its image.

    `missing` is the name of the value: `location` or `project`.
    """

    def __init__(self, message: str, missing: str) -> None:
        super().__init__(message)
        self.missing = missing


class ImageNotFound(CloudError):
    """The cloud says that the requested location has no such image.

    If a check of a registered image raises this error, the image gets the state GONE, unless its ID
    is an alias. So an adapter raises this error only if the cloud leaves no doubt. If the
    adapter searched other locations, `found_in` lists the locations that have the image.
    """

    def __init__(self, message: str, found_in: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.found_in = found_in


class ImageNotVisible(CloudError):
    """These credentials cannot see or use the image, which may still exist.

    Some clouds give the same response for an image that does not exist and for an image that its
    owner does not share. But such a cloud always shows an account its own images. So if the image
    belongs to the account of these credentials, this error means that the image no longer exists.
    For such a cloud, `account` is the ID of this account, or '' if the ID could not be read.
    """

    def __init__(self, message: str, account: str = "") -> None:
        super().__init__(message)
        self.account = account


class UnknownLocation(CloudError):
    """The location does not exist, or is not enabled for these credentials."""


class CredentialsRejected(CloudError):
    """The cloud does not accept the credentials."""


class PermissionDenied(CloudError):
    """The cloud accepts the credentials, but refuses the call. Usually, a permission is missing.

    If the cloud names the missing permission, the message names it too.
    """


class CloudThrottled(CloudError):
    """The cloud limits the rate of calls, and the limit was reached."""


class CallsInProgress(CloudError):
    """This server refused or ended the call, because too many other calls are in progress.

    The number of calls is limited, for example for each account and for each person. The call was
    not made, or it ended before all of its responses were parsed. So this error says nothing about
    the cloud or the image.
    """


class CloudUnreachable(CloudError):
    """There was no connection, no response in time, or no usable response."""
