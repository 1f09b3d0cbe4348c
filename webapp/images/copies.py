"""Find the same image in other locations, such as an AMI with the same name in other regions."""

from __future__ import annotations

from dataclasses import dataclass

from models import Image, Scope, now
from webapp.access import Actor, Right
from webapp.clouds import CLOUDS
from webapp.clouds.locators import Locator
from webapp.credentials.vault import Vault
from webapp.images.identity import (
    ImageIdentity,
    InvalidLocator,
    find_all_with_owners,
    require_storable,
)
from webapp.images.receipts import Receipt
from webapp.images.registration import usable_credentials


@dataclass(frozen=True)
class Copy:
    """A copy of an image in another location.

    `receipt` contains the locator and the details of the copy. `registered` is the record of the
    copy, or None if the scope can see no such record.
    """

    receipt: Receipt
    registered: Image | None = None


def find_copies(actor: Actor, scope: Scope, vault: Vault, receipt: Receipt) -> list[Copy]:
    """Return the copies of the image in `receipt`, sorted by location.

    Copies are images in other locations with the same name and owner. Raises Forbidden,
    CredentialsNotUsable, VaultError and CloudError.
    """
    actor.require(Right.EDIT_IMAGES, scope)
    cloud = CLOUDS[receipt.cloud]
    if not cloud.finds_copies:
        return []
    credentials = usable_credentials(scope, receipt.cloud, receipt.credentials_id)
    revision, read_at = credentials.revision, now()
    found = cloud.copies(vault.reveal(credentials), receipt.locator, receipt.details)
    receipts = {}
    for each in found:
        locator = Locator(each.location, each.image_id)
        try:
            require_storable(locator)
        except InvalidLocator:
            continue  # The cloud returned a value that cannot be stored.
        identity = ImageIdentity.from_locator(cloud.key, locator)
        receipts[identity] = Receipt(
            cloud.key, credentials.id, revision, locator, each.details, read_at=read_at
        )
    registered = find_all_with_owners(scope, receipts.keys())
    copies = [
        Copy(copy_receipt, registered.get(identity)) for identity, copy_receipt in receipts.items()
    ]
    return sorted(copies, key=lambda copy: copy.receipt.locator.location)
