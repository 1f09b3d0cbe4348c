"""Images to register together with the image that a person confirms in New Image.

The confirmation page has checkboxes for the copies of the image in other locations. If the image is
a VMware template, the page also has checkboxes for other compute resources. One job registers the
ticked images with the values in the form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from flask import Response, abort, g, request, url_for

from models import Image
from schema.text import place_key
from webapp.access import Right
from webapp.clouds import CLOUDS
from webapp.clouds.errors import CloudError
from webapp.credentials.vault import VaultError
from webapp.images.choices import ImageChoices
from webapp.images.copies import Copy, find_copies
from webapp.images.receipts import Receipt, ReceiptExpired, ReceiptInvalid
from webapp.refusals import Refusal
from webapp.transfer import chosen_images, imports
from webapp.transfer.import_plan import ImportOptions
from webapp.views.scope_pages import needs, pages
from webapp.views.start_pages import NEW_IMAGE, start_page, start_url
from webapp.web.rendering import redirect, render, toast
from webapp.web.services import services

COPY, RESOURCE = "copy_", "also_resource_"
"""The prefixes of the names of the checkboxes for copies and for compute resources.

No two checkboxes have the same name, because `static/app.js` restores entries by field name.
"""
MAX_RESOURCES = 100
"""The maximum number of compute resources with a checkbox."""


@dataclass(frozen=True)
class OfferedCopy:
    """A copy as the page shows it.

    If the copy is already registered, the page shows a link to its record, and `signed_receipt` is
    ''. Otherwise, the page shows a checkbox with the value `signed_receipt`.
    """

    location: str
    image_id: str
    signed_receipt: str
    registered: Image | None
    is_ticked: bool


@pages.post("/images/copies")
@needs(Right.EDIT_IMAGES)
def offer_copies() -> Response:
    """Find the image of a confirmation page in other locations, and offer to register it there."""
    try:
        receipt = services().receipts.open(g.actor, g.scope, request.form.get("receipt", ""))
    except (ReceiptInvalid, ReceiptExpired):
        abort(400)
    return render("new_image/_copies.html", **copies_of(receipt))


def copies_of(receipt: Receipt) -> dict[str, Any]:
    """Return the context of `new_image/_copies.html`: the copies, or why they can't be found."""
    try:
        found = find_copies(g.actor, g.scope, services().vault, receipt)
    except (Refusal, CloudError, VaultError) as error:
        return {"copies": [], "problem": str(error)}
    return {"copies": [_offered_copy(copy) for copy in found], "problem": ""}


def ticked_copies() -> list[OfferedCopy]:
    """Return the copies whose checkboxes were sent, so that the form can be shown again."""
    try:
        receipts = _sent_receipts()
    except ReceiptInvalid:
        return []
    return [_offered_copy(Copy(receipt), is_ticked=True) for receipt, _ in receipts]


def ticked_resources() -> list[str]:
    """Return the compute resources whose checkboxes were sent."""
    return [value for name, value in request.form.items() if name.startswith(RESOURCE)]


def register_together(
    receipt: Receipt, choices: ImageChoices, compute_resource: str
) -> Response | None:
    """Register the image and the ticked images with one job, and redirect to the page of the job.

    If the form contains `another`, redirect to the form for the next image instead. If some images
    need a review, for example because somebody has registered one of them meanwhile, register
    nothing yet and redirect to the review. Return None if no other image is ticked. Raises Refusal,
    for example ReceiptInvalid.
    """
    resources = {place_key(each): each for each in ticked_resources() if each}
    resources.pop(place_key(compute_resource), None)
    first = replace(receipt.locator, compute_resource=compute_resource)
    locators = [first, *(replace(first, compute_resource=each) for each in resources.values())]
    look_ups = dict.fromkeys(range(len(locators)), receipt)
    for copy, is_current in _sent_receipts():
        if copy.cloud != receipt.cloud:
            raise ReceiptInvalid
        if is_current:
            look_ups[len(locators)] = copy
        locators.append(copy.locator)
    if len(locators) == 1:
        return None
    cloud = CLOUDS[receipt.cloud]
    lines = chosen_images.selected_lines(cloud, locators, chosen_images.settings_of(choices))
    credentials = {cloud.key: receipt.credentials_id}
    options = ImportOptions(look_up=True, credentials=credentials, only_new=True)
    vault = services().vault
    start = start_page(
        NEW_IMAGE,
        cloud_key=cloud.key,
        credentials=receipt.credentials_id,
        location=request.args.get("location") or receipt.locator.location,
    )
    job = imports.start(
        g.actor, g.scope, vault, lines, options, look_ups=look_ups, start_page=start
    )
    if imports.apply_if_all_new(job, vault):
        job_url = url_for(".job", job_id=job.id)
        if "another" not in request.form:
            return redirect(job_url)
        toast(
            f"{len(locators)} images are being registered. {{progress}}",
            progress=("Show the progress", job_url),
        )
        return redirect(start_url(job))
    return redirect(url_for(".review_import", job_id=job.id))


def _sent_receipts() -> Sequence[tuple[Receipt, bool]]:
    """Return the receipts of the ticked copies, and whether each of them is still valid.

    Raises ReceiptInvalid.
    """
    found = []
    for name, text in request.form.items():
        if not name.startswith(COPY):
            continue
        try:
            found.append((services().receipts.open(g.actor, g.scope, text), True))
        except ReceiptExpired as error:
            found.append((error.receipt, False))
    return found


def _offered_copy(copy: Copy, *, is_ticked: bool = False) -> OfferedCopy:
    locator = copy.receipt.locator
    signed_receipt = (
        "" if copy.registered else services().receipts.issue(g.actor, g.scope, copy.receipt)
    )
    return OfferedCopy(
        locator.location, locator.image_id, signed_receipt, copy.registered, is_ticked
    )
