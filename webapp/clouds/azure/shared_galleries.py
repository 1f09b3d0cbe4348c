"""Look up one version of an image in a community gallery or a directly shared gallery.

The gallery belongs to another tenant or subscription. So each request to Azure must name a region,
and the response contains only the versions that the owner replicates to that region. A version has
the same content in all regions.

Importing this module loads the SDK, so the module is imported only on first use.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from webapp.clouds.azure import details
from webapp.clouds.azure.errors import is_image_not_found
from webapp.clouds.azure.ids import LATEST, SharedVersion, Sharing, with_azure_spelling
from webapp.clouds.azure.regions import (
    find_if_offered,
    in_other_regions_error,
    region_names,
    require_first_region,
    search,
)
from webapp.clouds.azure.sdk import Session
from webapp.clouds.details import Fact, ImageDetails
from webapp.clouds.errors import CloudError, ImageNotFound, ImageNotVisible
from webapp.clouds.follow_up import try_call
from webapp.clouds.messages import shorten


@dataclass(frozen=True)
class _FoundVersion:
    """Azure's description of a version in one region."""

    region: str
    image: SharedVersion
    response: Mapping[str, Any]


def describe(session: Session, image: SharedVersion, region: str, deadline: float) -> ImageDetails:
    """Return the details of `image`. `region` may be '' for any region. Raises CloudError."""
    found = _read(session, image, region) if region else None
    if found is None:
        found = _search(session, image, region, deadline)
    definition = session.shared_definition(
        image.sharing, found.region, image.gallery, image.definition
    )
    gallery = _gallery(session, image, found.region)
    exact_image = with_azure_spelling(found.image, _unique_id(found.response))
    version = details.as_gallery_version(found.response)
    image_id = "" if exact_image == image else str(exact_image)
    version_details = details.from_gallery_version(definition, version, image_id)
    facts = (*version_details.facts, *_facts(exact_image, gallery, definition, version))
    return replace(version_details, facts=facts, lookup_location=found.region)


def _read(session: Session, image: SharedVersion, region: str) -> _FoundVersion | None:
    """Return the version in `region`, or None if `region` does not have it.

    If the version is `latest`, return the newest version in `region`.
    """
    names = (image.sharing, region, image.gallery, image.definition)
    try:
        if image.version == LATEST:
            versions = map(details.as_gallery_version, session.shared_versions(*names))
            newest = details.newest_version([v for v in versions if details.can_be_latest(v, "")])
            if not newest:
                return None
            image = replace(image, version=newest)
        return _FoundVersion(region, image, session.shared_version(*names, image.version))
    except Exception as error:
        if is_image_not_found(error):
            return None
        raise


def _search(session: Session, image: SharedVersion, region: str, deadline: float) -> _FoundVersion:
    """Search the regions of the subscription for the version. Raises CloudError.

    If the version is `latest`, return the newest version that any region has. Otherwise, if the
    first region of the subscription has the version, do not search the other regions.

    If `region` is not '', the caller has found that `region` does not have the version. In this
    case, always raise an error. If other regions have the version, the error names them.
    """
    find = partial(_read, session, image)
    first_region = region or require_first_region(session)
    found = None if region else find_if_offered(find, first_region)
    if found and image.version != LATEST:
        return found
    names = try_call(deadline, region_names, session) or {}
    others = [name for name in names if name != first_region]
    other_regions, is_complete = search(find, others, deadline)
    if region and other_regions:
        raise in_other_regions_error(session, _subject(image), region, tuple(other_regions))
    all_found = [*([found] if found else []), *other_regions.values()]
    if not all_found:
        is_complete = is_complete and first_region in names
        where = f" in {region} or any other location" if region else ""
        raise _not_found(
            session, image, where, [first_region, *others], deadline, complete=is_complete
        )
    return max(all_found, key=lambda each: details.version_numbers(each.image.version))


def _not_found(
    session: Session,
    image: SharedVersion,
    where: str,
    regions: Sequence[str],
    deadline: float,
    *,
    complete: bool,
) -> CloudError:
    """Return the error for a version that was not found in any of `regions`.

    `where` is the part of the message that names the regions. `complete` says whether all regions
    responded. The error is ImageNotFound only if all regions responded and the gallery itself is
    visible. If the gallery is not visible, its owner may have stopped sharing it.
    """
    if not complete:
        return ImageNotVisible(
            f"{_subject(image)} wasn’t found{where}, but not all locations responded. Enter a "
            "location where it’s available, or try again."
        )
    galleries, _ = search(lambda name: _gallery(session, image, name) or None, regions, deadline)
    label = f"{image.sharing.label} {shorten(image.gallery, 80)}"
    if not galleries:
        recipient = "" if image.sharing is Sharing.COMMUNITY else " with this subscription"
        return ImageNotVisible(
            f"Azure shows no {label}. Check the name of the gallery, and ask its owner whether "
            f"it’s still shared{recipient}."
        )
    return ImageNotFound(
        f"The {label} has no {_version_in_words(image)} of {shorten(image.definition, 80)}{where}. "
        "Check the ID, or ask the owner of the gallery."
    )


def _gallery(session: Session, image: SharedVersion, region: str) -> Mapping[str, Any]:
    """Return Azure's description of the gallery, or {} if it is not visible in `region`."""
    try:
        return session.shared_gallery(image.sharing, region, image.gallery)
    except Exception as error:
        if is_image_not_found(error):
            return {}
        raise


def _subject(image: SharedVersion) -> str:
    return f"The {_version_in_words(image)} of {shorten(image.definition, 80)}"


def _version_in_words(image: SharedVersion) -> str:
    return "latest version" if image.version == LATEST else f"version {image.version}"


def _unique_id(response: Mapping[str, Any]) -> str:
    return details.text(details.mapping_at(response, "identifier"), "uniqueId")


def _facts(
    image: SharedVersion,
    gallery: Mapping[str, Any],
    definition: Mapping[str, Any],
    version: Mapping[str, Any],
) -> Iterator[Fact]:
    """Return the name of the gallery, and the texts that its owner entered.

    The owner can enter some texts, such as the disclaimer, for the gallery and for the image. If
    the owner entered the same kind of text for both, return only the text for the image.
    """
    # Older API versions return the metadata of a gallery outside its properties.
    gallery_properties = {**gallery, **details.mapping_at(gallery, "properties")}
    metadata = details.mapping_at(gallery_properties, "communityMetadata")
    image_properties = details.mapping_at(definition, "properties")
    facts = (
        ("gallery", image.sharing.label.capitalize(), image.gallery),
        ("publisher_url", "Publisher’s website", details.text(metadata, "publisherUri")),
        ("publisher_contact", "Publisher’s contact", details.text(metadata, "publisherContact")),
        ("eula", "License agreement", _first_text("eula", image_properties, metadata)),
        (
            "privacy",
            "Privacy statement",
            _first_text("privacyStatementUri", image_properties, metadata),
        ),
        ("disclaimer", "Disclaimer", _disclaimer(version, image_properties, gallery_properties)),
    )
    return (Fact(key, label, value) for key, label, value in facts if value)


def _first_text(name: str, *objects: Mapping[str, Any]) -> str:
    """Return the first text that one of `objects` has under this name, or ''."""
    return next(filter(None, (details.text(each, name) for each in objects)), "")


def _disclaimer(version: Mapping[str, Any], *other_objects: Mapping[str, Any]) -> str:
    """Return the disclaimer, or ''.

    Microsoft's documentation shows a disclaimer as a text, and also as an object that contains a
    text, so this function accepts both.
    """
    objects = (details.mapping_at(version, "properties"), *other_objects)
    inner_objects = (details.mapping_at(each, "disclaimer") for each in objects)
    return _first_text("disclaimer", *objects) or _first_text("disclaimer", *inner_objects)
