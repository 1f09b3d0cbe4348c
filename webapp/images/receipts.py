"""Signed receipts of look-ups: what the cloud said, handed to the browser with the confirmation
form and back with REGISTER, so that facts come from the cloud and not from the form."""

from __future__ import annotations

from dataclasses import dataclass

from itsdangerous import BadData, SignatureExpired, URLSafeTimedSerializer

from models import Scope
from webapp.access import Actor
from webapp.clouds.base import ImageDetails, Locator
from webapp.images import image_details

VALID_SECONDS = 30 * 60


class ReceiptExpired(Exception):
    """The look-up is too long ago to be believed; look up again."""


class ReceiptInvalid(Exception):
    """Not signed by us, or for another person or scope."""


@dataclass(frozen=True)
class Receipt:
    """One look-up: with which credentials, of what, and what the cloud said."""

    cloud: str
    credentials_id: int
    locator: Locator
    details: ImageDetails
    asked: str = ""
    """The image id that was asked for where it stands for another one, that of the locator: a
    family, `latest`. '' where it does not."""


class Receipts:
    """Issues and opens receipts; bound to the person and the scope that looked up."""

    def __init__(self, secret_key: str) -> None:
        self._serializer = URLSafeTimedSerializer(secret_key, salt="look-up receipt")

    def issue(self, actor: Actor, scope: Scope, receipt: Receipt) -> str:
        locator = receipt.locator
        text: str = self._serializer.dumps(
            {
                "for": [actor.person.id, scope.id],
                "cloud": receipt.cloud,
                "credentials": receipt.credentials_id,
                "locator": [locator.location, locator.image_id, locator.compute_resource],
                "details": image_details.to_json(receipt.details),
                "asked": receipt.asked,
            }
        )
        return text

    def open(self, actor: Actor, scope: Scope, text: str) -> Receipt:
        """Raises ReceiptExpired and ReceiptInvalid."""
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
            asked=data.get("asked", ""),
        )
