"""Finding one image in Azure, and saying where else it is, or which part of its id is wrong.
Imports the SDK by way of `azure_sdk`, so it is itself imported on first use only."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from webapp.clouds.azure import details as azure_details
from webapp.clouds.azure.errors import code_of, is_image_not_found, no_region, translate
from webapp.clouds.azure.ids import (
    LATEST,
    AnyImage,
    GalleryVersion,
    ManagedImage,
    MarketplaceImage,
    spelled,
)
from webapp.clouds.azure.sdk import LOCATIONS_SECONDS, Session
from webapp.clouds.base import ImageDetails, ImageNotFound, ImageNotVisible, PermissionDenied
from webapp.clouds.follow_up import follow_up_deadline, join_names, search_regions, try_call

REGIONS_TRIED = 16
ROOM = 90
"""How many characters of a sentence names may take, other than the first."""


def locations(session: Session) -> dict[str, str]:
    """The names of the subscription's regions by their keys, the recommended ones first. A logical
    one, such as "europe", holds no images."""
    known: dict[str, str] | None = session.facts.get(("locations",))
    if known is None:
        regions = [each for each in session.locations() if _is_region(each)]
        regions.sort(key=lambda each: not _is_recommended(each))  # else in Azure's order
        known = {
            azure_details.text(each, "name"): azure_details.text(each, "displayName")
            or azure_details.text(each, "name")
            for each in regions
        }
        session.facts.set(("locations",), known, time.time() + LOCATIONS_SECONDS)
    return known


def describe(session: Session, image: AnyImage, location: str) -> ImageDetails:
    deadline = follow_up_deadline()
    place = azure_details.region(location)
    if location.strip() and not place:
        raise no_region()
    if isinstance(image, MarketplaceImage):
        return _marketplace(session, image, place, deadline)
    try:
        if isinstance(image, ManagedImage):
            return _managed(session, image, place)
        return _gallery(session, image, place)
    except Exception as error:
        if session.is_own(image.subscription) or code_of(error) != "SubscriptionNotFound":
            raise
        raise ImageNotVisible(
            f"The image is in the subscription {image.subscription}, which the application cannot "
            "see. Give it the role Reader there, or choose other credentials."
        ) from error


def _is_region(said: Mapping[str, Any]) -> bool:
    kind = azure_details.text(azure_details.part(said, "metadata"), "regionType")
    return bool(azure_details.text(said, "name")) and kind in {"", "Physical"}


def _is_recommended(said: Mapping[str, Any]) -> bool:
    return azure_details.part(said, "metadata").get("regionCategory") == "Recommended"


def _marketplace(
    session: Session, image: MarketplaceImage, place: str, deadline: float
) -> ImageDetails:
    home = place or next(iter(locations(session)), "")
    if not home:
        raise PermissionDenied(
            "Azure shows no location of this subscription. Enter one, or ask whoever manages the "
            "subscription whether it is enabled."
        )
    found = _read(session, image, home)
    if found is None and not place:
        elsewhere = _regions_that_have(session, image, home, deadline)
        found = next(iter(elsewhere.values()), None)
    if found is None:
        raise _marketplace_not_found(session, image, place, home, deadline)
    concrete, answer = found
    concrete = spelled(concrete, azure_details.text(answer, "id"))
    return azure_details.marketplace(concrete, answer, str(image))


def _read(
    session: Session, image: MarketplaceImage, region: str
) -> tuple[MarketplaceImage, Mapping[str, Any]] | None:
    """The image with the version that `latest` stands for today; None where it is not there."""
    try:
        if image.version == LATEST:
            said = session.marketplace_versions(region, image.publisher, image.offer, image.sku)
            newest = _newest(said)
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


def _newest(versions: list[Mapping[str, Any]]) -> str:
    """Azure lists by name, in which 1.0.9 comes after 1.0.10."""
    names = [azure_details.text(each, "name") for each in versions]
    newest = max(names, key=azure_details.number, default="")
    return newest if azure_details.number(newest) else ""


def _regions_that_have(
    session: Session, image: MarketplaceImage, but: str, deadline: float
) -> dict[str, tuple[MarketplaceImage, Mapping[str, Any]]]:
    """What a second look finds in other regions: not every image is in all of them."""
    known = try_call(deadline, locations, session) or {}
    others = [each for each in known if each != but][:REGIONS_TRIED]
    return search_regions(lambda region: _read(session, image, region), others, deadline)


def _marketplace_not_found(
    session: Session, image: MarketplaceImage, place: str, home: str, deadline: float
) -> ImageNotFound:
    here = f"The Marketplace has no {_short(str(image))}"
    elsewhere = tuple(_regions_that_have(session, image, home, deadline)) if place else ()
    if elsewhere:
        return ImageNotFound(
            _within_length(
                f"{here} in {place}, but in {_listed(elsewhere)}. Leave the location empty, or "
                "choose one of those.",
                f"{here} in {place}. Leave the location empty.",
            ),
            elsewhere,
        )
    wrong = try_call(deadline, _wrong_part, session, image, home) or "check each part of the URN"
    return ImageNotFound(_within_length(f"{here}: {wrong}.", f"{here}. Check each part of it."))


def _wrong_part(session: Session, image: MarketplaceImage, region: str) -> str:
    """The first part that Azure does not know, and what there is instead."""
    offers = _names(lambda: session.marketplace_offers(region, image.publisher))
    if not offers:
        return "no such publisher is known"
    if image.offer.lower() not in map(str.lower, offers):
        return f"the publisher has no such offer, but {_listed(offers)}"
    skus = _names(lambda: session.marketplace_skus(region, image.publisher, image.offer))
    if image.sku.lower() not in map(str.lower, skus):
        return f"the offer has no such SKU, but {_listed(skus)}" if skus else "the offer is empty"
    newest = _newest(session.marketplace_versions(region, image.publisher, image.offer, image.sku))
    if not newest:
        return "the SKU has no version any more"
    return f"the SKU has no such version. The newest is {newest}"


def _names(ask: Callable[[], list[Mapping[str, Any]]]) -> tuple[str, ...]:
    try:
        answer = ask()
    except Exception as error:
        if is_image_not_found(error):
            return ()
        raise
    return tuple(filter(None, (azure_details.text(each, "name") for each in answer)))


def _managed(session: Session, image: ManagedImage, place: str) -> ImageDetails:
    try:
        answer = session.managed_image(image.subscription, image.group, image.name)
    except Exception as error:
        if is_image_not_found(error):
            raise ImageNotFound(
                f"The resource group {image.group} has no image {image.name}, or the application "
                "may not see it. Check the resource id."
            ) from error
        raise
    there = azure_details.region(azure_details.text(answer, "location"))
    if place and there and place != there:
        raise _elsewhere(session, f"The image {image.name}", place, (there,))
    own = str(spelled(image, azure_details.text(answer, "id")))
    return replace(azure_details.managed(answer), image_id="" if own == str(image) else own)


def _gallery(session: Session, image: GalleryVersion, place: str) -> ImageDetails:
    names = (image.subscription, image.group, image.gallery, image.definition)
    try:
        definition = session.gallery_definition(*names)
        version = image.version
        if version == LATEST:
            version = _newest_in_gallery(session, image, place)
        answer = session.gallery_version(*names, version)
    except Exception as error:
        if is_image_not_found(error):
            raise ImageNotFound(
                f"The gallery {image.gallery} has no version {image.version} of "
                f"{image.definition}, or the application may not see it. Check the resource id."
            ) from error
        raise
    there = azure_details.regions_of(answer)
    if place and there and place not in there:
        what = f"The version {version} of {image.definition}"
        raise _elsewhere(session, what, place, there)
    concrete = replace(image, version=version)
    own = str(spelled(concrete, azure_details.text(answer, "id")))
    return azure_details.gallery_version(definition, answer, "" if own == str(image) else own)


def _newest_in_gallery(session: Session, image: GalleryVersion, place: str) -> str:
    versions = session.gallery_versions(
        image.subscription, image.group, image.gallery, image.definition
    )
    newest = _newest([each for each in versions if azure_details.is_ready_for_latest(each, place)])
    if newest:
        return newest
    anywhere = [each for each in versions if azure_details.is_ready_for_latest(each, "")]
    there = tuple(dict.fromkeys(r for each in anywhere for r in azure_details.regions_of(each)))
    if place and there:
        raise _elsewhere(session, f"The latest version of {image.definition}", place, there)
    raise ImageNotFound(
        f"No version of {image.definition} counts as the latest in the gallery {image.gallery}. "
        "Enter the id of one of its versions."
    )


def _elsewhere(session: Session, what: str, place: str, there: tuple[str, ...]) -> ImageNotFound:
    """Raises UnknownLocation where Azure has no such place at all."""
    try:
        known = locations(session)
    except Exception as error:
        if translate(error) is None:
            raise
        known = {}
    if known and place not in known:
        raise no_region()
    choose = "that location" if len(there) == 1 else "one of those locations"
    return ImageNotFound(
        _within_length(
            f"{what} is not in {place}, but in {_listed(there)}. Choose {choose}, or leave it "
            "empty.",
            f"{what} is not in {place}. Choose another location, or leave it empty.",
        ),
        there,
    )


def _listed(names: tuple[str, ...]) -> str:
    """All of them, or as many as a sentence has room for."""
    shown = [names[0]]
    for name in names[1:]:
        if len(", ".join((*shown, name))) > ROOM:
            return f"{', '.join(shown)} and {len(names) - len(shown)} more"
        shown.append(name)
    return join_names(shown)


def _within_length(words: str, shorter: str) -> str:
    return words if len(words) < 300 else shorter


def _short(name: str) -> str:
    return name if len(name) <= 120 else f"{name[:120]}…"
