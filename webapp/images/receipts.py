"""Receipts: signed records of look-ups.

NEXT looks up an image and puts a receipt, with the details from the cloud, into the confirmation
form. REGISTER sends the receipt back. The signature shows whether somebody changed the receipt in
the browser, so an image is always saved with details from its cloud.
"""

from __future__ import annotations

from dataclasses import dataclass

from itsdangerous import BadData, SignatureExpired, URLSafeTimedSerializer

from models import Scope
from webapp.access import Actor
from webapp.clouds.base import ImageDetails, Locator
from webapp.images import image_details
from webapp.refusals import Refusal

VALID_SECONDS = 30 * 60


class ReceiptExpired(Refusal):
    """The look-up is too old to rely on."""

    def __init__(self) -> None:
        super().__init__(
            f"You looked up this image more than {VALID_SECONDS // 60} minutes ago. "
            "Look it up again with NEXT."
        )


class ReceiptInvalid(Refusal):
    """The receipt was changed, or belongs to another person or scope."""

    def __init__(self) -> None:
        super().__init__("This form can’t be used here. Look up the image again with NEXT.")


@dataclass(frozen=True)
class Receipt:
    """One look-up: the credentials, the image that was found, and its details from the cloud."""

    cloud: str
    credentials_id: int
    locator: Locator
    details: ImageDetails
    alias: str = ""
    """The ID that the person looked up, if it was an alias of the image in `locator`, such as a
    family or `latest`; otherwise ''."""


class Receipts:
    """Signs receipts and verifies them. A receipt is valid for one person at one scope."""

    def __init__(self, secret_key: str) -> None:
        self._serializer = URLSafeTimedSerializer(secret_key, salt="look-up receipt")

    def issue(self, actor: Actor, scope: Scope, receipt: Receipt) -> str:
        """Return `receipt` as a signed text."""
        locator = receipt.locator
        text: str = self._serializer.dumps(
            {
                "for": [actor.person.id, scope.id],
                "cloud": receipt.cloud,
                "credentials": receipt.credentials_id,
                "locator": [locator.location, locator.image_id, locator.compute_resource],
                "details": image_details.to_json(receipt.details),
                "alias": receipt.alias,
            }
        )
        return text

    def open(self, actor: Actor, scope: Scope, text: str) -> Receipt:
        """Return the receipt from a signed text. Raises ReceiptExpired and ReceiptInvalid."""
        try:
            data = self._serializer.loads(text, max_age=VALID_SECONDS)
        except SignatureExpired as error:
            raise ReceiptExpired from error
        except BadData as error:
            raise ReceiptInvalid from error
        if data["for"] != [actor.person.id, scope.id]:
            raise ReceiptInvalid
        return Receipt(
            cloud=data["cloud"],
            credentials_id=data["credentials"],
            locator=Locator(*data["locator"]),
            details=image_details.from_json(data["details"]),
            alias=data["alias"],
        )
