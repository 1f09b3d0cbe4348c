"""Sign and verify receipts. A receipt is the signed record of a look-up.

The NEXT button looks up an image and puts a receipt, with the details from the cloud, into the
confirmation form. The REGISTER button sends the receipt back. The signature proves that nobody
changed the receipt in the browser. So the image is saved with details that come from its cloud.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from itsdangerous import BadData

from models import Scope, now
from webapp.access import Actor
from webapp.clouds.details import ImageDetails
from webapp.clouds.locators import Locator
from webapp.credentials import signatures
from webapp.images import image_details
from webapp.refusals import Refusal

VALID_SECONDS = 30 * 60
"""How long a receipt is valid, from the beginning of its look-up."""


class ReceiptExpired(Refusal):
    """The look-up is too old. The image in `receipt` can be looked up again."""

    def __init__(self, receipt: Receipt) -> None:
        super().__init__(f"You looked up this image more than {VALID_SECONDS // 60} minutes ago.")
        self.receipt = receipt


class ReceiptInvalid(Refusal):
    """The receipt was changed, or belongs to another person or scope, or has an older format."""

    def __init__(self) -> None:
        super().__init__(
            "This confirmation can’t be used: it was changed, it is for another person or scope, "
            "or the registry was upgraded."
        )


@dataclass(frozen=True)
class Receipt:
    """One look-up: the credentials, the image that was found, and its details from the cloud."""

    cloud: str
    credentials_id: int
    credentials_revision: int
    """The revision of the credentials at the time of the look-up."""
    locator: Locator
    details: ImageDetails
    alias: str = ""
    """The alias that the person looked up, such as a family or `latest`.

    '' if the person looked up the ID in `locator`.
    """
    read_at: datetime = field(default_factory=now)
    """When the look-up began to read the image from the cloud."""


class Receipts:
    """Signs receipts and verifies them. A receipt is valid for one person at one scope."""

    def __init__(self, secret_key: str) -> None:
        self._serializer = signatures.serializer(secret_key, "look-up receipt")

    def issue(self, actor: Actor, scope: Scope, receipt: Receipt) -> str:
        """Return `receipt` as a signed text."""
        text: str = self._serializer.dumps({"for": [actor.person.id, scope.id], **to_json(receipt)})
        return text

    def open(self, actor: Actor, scope: Scope, text: str) -> Receipt:
        """Return the receipt in a signed text. Raises ReceiptExpired and ReceiptInvalid."""
        try:
            data = self._serializer.loads(text)
            receipt = from_json(data)
            owner = data["for"]
        except (BadData, KeyError, TypeError, ValueError) as error:
            # An older version of the application may have issued the receipt in another format.
            raise ReceiptInvalid from error
        if owner != [actor.person.id, scope.id]:
            raise ReceiptInvalid
        if now() - receipt.read_at > timedelta(seconds=VALID_SECONDS):
            raise ReceiptExpired(receipt)
        return receipt


def to_json(receipt: Receipt) -> dict[str, Any]:
    """Return `receipt` as plain JSON values."""
    locator = receipt.locator
    return {
        "cloud": receipt.cloud,
        "credentials": [receipt.credentials_id, receipt.credentials_revision],
        "locator": [locator.location, locator.image_id, locator.compute_resource],
        "details": image_details.to_json(receipt.details),
        "alias": receipt.alias,
        "read_at": receipt.read_at.isoformat(),
    }


def from_json(data: Mapping[str, Any]) -> Receipt:
    """Return the receipt from the result of `to_json`."""
    credentials_id, credentials_revision = data["credentials"]
    return Receipt(
        cloud=data["cloud"],
        credentials_id=credentials_id,
        credentials_revision=credentials_revision,
        locator=Locator(*data["locator"]),
        details=image_details.from_json(data["details"]),
        alias=data["alias"],
        read_at=datetime.fromisoformat(data["read_at"]),
    )
