"""Look up one Azure image.

If the look-up fails, find out which other regions have the image, or which part of its ID is wrong.

This module imports the SDK through `sdk`, so it is itself imported only on first use.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from webapp.clouds.azure import details, shared_galleries
from webapp.clouds.azure.errors import code_of, is_image_not_found, unknown_location
from webapp.clouds.azure.ids import (
    LATEST,
    AnyImage,
    GalleryVersion,
    ManagedImage,
    MarketplaceImage,
    SharedVersion,
    with_azure_spelling,
)
from webapp.clouds.azure.regions import (
    in_other_regions_error,
    list_in_words,
    region_names,
    require_first_region,
    search,
    shorter_if_too_long,
)
from webapp.clouds.azure.sdk import Session
from webapp.clouds.details import ImageDetails
from webapp.clouds.errors import ImageNotFound, ImageNotVisible
from webapp.clouds.follow_up import follow_up_deadline, try_call
from webapp.clouds.messages import shorten

FoundMarketplaceImage = tuple[MarketplaceImage, Mapping[str, Any]]
"""An image that has a version number instead of `latest`, and Azure's description of the image."""


def describe(session: Session, image: AnyImage, location: str) -> ImageDetails:
    """Return the details of `image`. `location` may be '' for any region. Raises CloudError."""
    deadline = follow_up_deadline()
    region = details.region_key(location)
    if location.strip() and not region:
        raise unknown_location()
    if isinstance(image, MarketplaceImage):
        return _describe_marketplace_image(session, image, region, deadline)
    if isinstance(image, SharedVersion):
        return shared_galleries.describe(session, image, region, deadline)
    try:
        if isinstance(image, ManagedImage):
            return _describe_managed_image(session, image, region)
        return _describe_gallery_version(session, image, region)
    except Exception as error:
        if session.owns(image.subscription) or code_of(error) != "SubscriptionNotFound":
            raise
        raise ImageNotVisible(
            f"The image is in the subscription {image.subscription}, which the application can’t "
            "see. Give the application the Reader role there, or choose other credentials."
        ) from error


def _describe_marketplace_image(
    session: Session, image: MarketplaceImage, region: str, deadline: float
) -> ImageDetails:
    first_region = region or require_first_region(session)
    found = _read_marketplace_image(session, image, first_region)
    if found is None:
        other_regions, is_complete = _regions_with_image(session, image, first_region, deadline)
        found = None if region else next(iter(other_regions.values()), None)
    if found is None and not region and not is_complete:
        raise ImageNotVisible(
            f"The Marketplace image {shorten(str(image), 120)} wasn’t found, but not all locations "
            "responded. Enter a location where it’s available, or try again."
        )
    if found is None:
        raise _marketplace_image_not_found(
            session, image, first_region, tuple(other_regions), deadline
        )
    exact_image, response = found
    exact_image = with_azure_spelling(exact_image, details.text(response, "id"))
    return details.from_marketplace(exact_image, response, str(image))


def _read_marketplace_image(
    session: Session, image: MarketplaceImage, region: str
) -> FoundMarketplaceImage | None:
    """Return the image in `region`, or None if `region` does not have it.

    If the version is `latest`, return the newest version in `region`.
    """
    try:
        if image.version == LATEST:
            versions = session.marketplace_versions(region, image.publisher, image.offer, image.sku)
            newest = details.newest_version(versions)
            if not newest:
                return None
            image = replace(image, version=newest)
        return image, session.marketplace_image(
            region, image.publisher, image.offer, image.sku, image.version
        )
    except Exception as error:
        if is_image_not_found(error):
            return None
        raise


def _regions_with_image(
    session: Session, image: MarketplaceImage, first_region: str, deadline: float
) -> tuple[dict[str, FoundMarketplaceImage], bool]:
    """Return the regions other than `first_region` that have the image, with Azure's descriptions.

    Also return whether Azure listed its regions and each of them responded in time.
    """
    names = try_call(deadline, region_names, session) or {}
    others = [each for each in names if each != first_region]
    find = partial(_read_marketplace_image, session, image)
    found, is_complete = search(find, others, deadline)
    return found, is_complete and first_region in names


def _marketplace_image_not_found(
    session: Session,
    image: MarketplaceImage,
    region: str,
    other_regions: tuple[str, ...],
    deadline: float,
) -> ImageNotFound:
    start = f"There is no Marketplace image {shorten(str(image), 120)}"
    if other_regions:
        return ImageNotFound(
            shorter_if_too_long(
                f"{start} in {region}, but it exists in {list_in_words(other_regions)}. Leave the "
                "location empty, or choose one of those locations.",
                f"{start} in {region}. Leave the location empty.",
            ),
            other_regions,
        )
    reason = try_call(deadline, _wrong_part, session, image, region) or "check each part of the URN"
    return ImageNotFound(
        shorter_if_too_long(f"{start}: {reason}.", f"{start}. Check each part of the URN.")
    )


def _wrong_part(session: Session, image: MarketplaceImage, region: str) -> str:
    """Return the end of a message about a URN that Azure does not have in `region`.

    The text names the first part of the URN that Azure does not have there. If this part is the
    offer, the text also names some other offers of the publisher. If this part is the SKU, the text
    also names some other SKUs of the offer, if there are any. If this part is the version, the text
    also names the newest version of the SKU, if there is one.
    """
    offers = _list_names(lambda: session.marketplace_offers(region, image.publisher))
    if not offers:
        return "the publisher doesn’t exist"
    if image.offer.lower() not in map(str.lower, offers):
        return f"the publisher has no such offer, but it has {list_in_words(offers)}"
    skus = _list_names(lambda: session.marketplace_skus(region, image.publisher, image.offer))
    if not skus:
        return "the offer has no SKUs"
    if image.sku.lower() not in map(str.lower, skus):
        return f"the offer has no such SKU, but it has {list_in_words(skus)}"
    versions = session.marketplace_versions(region, image.publisher, image.offer, image.sku)
    newest = details.newest_version(versions)
    if not newest:
        return "the SKU no longer has any versions"
    return f"the SKU has no such version. The newest version is {newest}"


def _list_names(read: Callable[[], list[Mapping[str, Any]]]) -> tuple[str, ...]:
    """Return the names in the list that `read` returns, or () if Azure has no such list."""
    try:
        response = read()
    except Exception as error:
        if is_image_not_found(error):
            return ()
        raise
    return tuple(filter(None, (details.text(each, "name") for each in response)))


def _describe_managed_image(session: Session, image: ManagedImage, region: str) -> ImageDetails:
    try:
        response = session.managed_image(image.subscription, image.group, image.name)
    except Exception as error:
        if is_image_not_found(error):
            raise ImageNotFound(
                f"The resource group {image.group} has no image {image.name}. Check the resource "
                "ID."
            ) from error
        raise
    actual_region = details.region_key(details.text(response, "location"))
    if region and actual_region and region != actual_region:
        raise in_other_regions_error(session, f"The image {image.name}", region, (actual_region,))
    canonical = str(with_azure_spelling(image, details.text(response, "id")))
    image_id = "" if canonical == str(image) else canonical
    return replace(details.from_managed_image(response), image_id=image_id)


def _describe_gallery_version(session: Session, image: GalleryVersion, region: str) -> ImageDetails:
    names = (image.subscription, image.group, image.gallery, image.definition)
    try:
        definition = session.gallery_definition(*names)
        version = image.version
        if version == LATEST:
            version = _newest_in_gallery(session, image, region)
        response = session.gallery_version(*names, version)
    except Exception as error:
        if is_image_not_found(error):
            raise ImageNotFound(
                f"The gallery {image.gallery} has no version {image.version} of "
                f"{image.definition}. Check the resource ID."
            ) from error
        raise
    regions = details.regions_of(response)
    if region and regions and region not in regions:
        subject = f"The version {version} of {image.definition}"
        raise in_other_regions_error(session, subject, region, regions)
    exact_image = replace(image, version=version)
    canonical = str(with_azure_spelling(exact_image, details.text(response, "id")))
    image_id = "" if canonical == str(image) else canonical
    return details.from_gallery_version(definition, response, image_id)


def _newest_in_gallery(session: Session, image: GalleryVersion, region: str) -> str:
    versions = session.gallery_versions(
        image.subscription, image.group, image.gallery, image.definition
    )
    newest = details.newest_version(
        [each for each in versions if details.can_be_latest(each, region)]
    )
    if newest:
        return newest
    candidates = [each for each in versions if details.can_be_latest(each, "")]
    regions = tuple(dict.fromkeys(r for each in candidates for r in details.regions_of(each)))
    if region and regions:
        subject = f"The latest version of {image.definition}"
        raise in_other_regions_error(session, subject, region, regions)
    raise ImageNotFound(
        f"The gallery {image.gallery} has no latest version of {image.definition}. Enter the ID of "
        "a version."
    )
