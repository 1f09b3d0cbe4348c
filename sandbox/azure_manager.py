"""Responses of the sandbox's Resource Manager, in the format of Azure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from sandbox.azure_images import (
    CLIENT,
    DEFINITIONS,
    GALLERY,
    GROUP,
    LOCKED_GROUP,
    LOGICAL,
    MANAGED,
    MARKETPLACE,
    REGIONS,
    SUBSCRIPTION,
    SUBSCRIPTION_NAME,
    TENANT,
    GalleryDefinition,
    MarketplaceSku,
    in_group,
)
from sandbox.azure_shared_galleries import SHARED_DEFINITIONS, SharedDefinition, gallery_body
from sandbox.faulty import Answer

OBJECT_ID = "1a2b3c4d-5e6f-4708-9a0b-c1d2e3f4a5b6"
API_VERSIONS = {
    "subscriptions": ("2016-06-01", "2022-12-01"),
    "publishers": ("2024-03-01", "2024-07-01"),
    "images": ("2024-03-01", "2024-07-01"),
    "galleries": ("2022-08-03", "2023-07-03"),
}


class Refused(Exception):
    """Resource Manager or Entra refuses the request. `answer` is its response."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def answer_request(method: str, url: str) -> Answer:
    """Return the response to a request. Raises Refused."""
    parts = urlsplit(url)
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    if method != "GET":
        raise Refused(error_answer(405, "MethodNotAllowed", "The sandbox is read-only."))
    for pattern, view in _ROUTES:
        match = re.fullmatch(pattern, parts.path, re.IGNORECASE)
        if match:
            names = {name: unquote(value) for name, value in match.groupdict().items()}
            _require_subscription(names.pop("subscription"))
            return view(query, **names)
    message = "The resource type could not be found in the namespace 'Microsoft.Compute'."
    raise Refused(error_answer(404, "InvalidResourceType", message))


def _require_subscription(subscription: str) -> None:
    if subscription.lower() != SUBSCRIPTION:
        raise Refused(
            error_answer(
                404,
                "SubscriptionNotFound",
                f"The subscription '{subscription}' could not be found.",
            )
        )


def _require_group(group: str, action: str) -> None:
    if group.lower() == LOCKED_GROUP:
        raise Refused(
            error_answer(
                403,
                "AuthorizationFailed",
                f"The client '{CLIENT}' with object id '{OBJECT_ID}' does not have authorization "
                f"to perform action '{action}' over scope '/subscriptions/{SUBSCRIPTION}/"
                f"resourceGroups/{group}' or the scope is invalid. If access was recently "
                "granted, please refresh your credentials.",
            )
        )
    if group.lower() != GROUP:
        raise Refused(
            error_answer(
                404, "ResourceGroupNotFound", f"Resource group '{group}' could not be found."
            )
        )


def _require_version(query: Mapping[str, str], kind: str, location: str = "") -> None:
    version = query.get("api-version", "")
    if version in API_VERSIONS[kind] and (not location or location.lower() in REGIONS):
        return
    if location:
        raise Refused(
            error_answer(
                400,
                "NoRegisteredProviderFound",
                f"No registered resource provider found for location '{location}' and API version "
                f"'{version}' for type 'locations/{kind}'. The supported api-versions are "
                f"'{', '.join(API_VERSIONS[kind])}'. The supported locations are "
                f"'{', '.join(REGIONS)}'.",
            )
        )
    raise Refused(
        error_answer(400, "InvalidApiVersionParameter", f"The api-version '{version}' is invalid.")
    )


def _subscription(query: Mapping[str, str]) -> Answer:
    _require_version(query, "subscriptions")
    return json_answer(
        {
            "id": f"/subscriptions/{SUBSCRIPTION}",
            "subscriptionId": SUBSCRIPTION,
            "tenantId": TENANT,
            "displayName": SUBSCRIPTION_NAME,
            "state": "Enabled",
            "authorizationSource": "RoleBased",
            "managedByTenants": [],
        }
    )


def _locations(query: Mapping[str, str]) -> Answer:
    _require_version(query, "subscriptions")
    physical = [
        _location(
            key,
            name,
            {"regionType": "Physical", "regionCategory": category, "geography": geography},
        )
        for key, (name, category, geography) in REGIONS.items()
    ]
    logical = [
        _location(key, name, {"regionType": "Logical", "regionCategory": "Other"})
        for key, name in LOGICAL.items()
    ]
    return json_answer({"value": logical + physical})


def _location(key: str, name: str, metadata: dict[str, str]) -> dict[str, Any]:
    return {
        "id": f"/subscriptions/{SUBSCRIPTION}/locations/{key}",
        "name": key,
        "type": "Region",
        "displayName": name,
        "regionalDisplayName": name,
        "metadata": metadata,
    }


def _find_skus(
    location: str, publisher: str, offer: str = "", sku: str = ""
) -> list[MarketplaceSku]:
    """Return the SKUs with these names. Raises Refused if there is none.

    Case does not matter. An `offer` or `sku` of '' matches any name.
    """
    found = [
        candidate
        for candidate in MARKETPLACE
        if location.lower() in candidate.regions
        and publisher.lower() == candidate.publisher.lower()
        and offer.lower() in {"", candidate.offer.lower()}
        and sku.lower() in {"", candidate.sku.lower()}
    ]
    if not found:
        raise Refused(error_answer(404, "NotFound", "Artifact: VMImage was not found."))
    return found


def _offers(query: Mapping[str, str], location: str, publisher: str) -> Answer:
    _require_version(query, "publishers", location)
    names = dict.fromkeys(sku.offer for sku in _find_skus(location, publisher))
    return _artifacts(location, f"{publisher}/ArtifactTypes/VMImage/Offers", names)


def _skus(query: Mapping[str, str], location: str, publisher: str, offer: str) -> Answer:
    _require_version(query, "publishers", location)
    found = _find_skus(location, publisher, offer)
    names = dict.fromkeys(candidate.sku for candidate in found)
    return _artifacts(location, f"{publisher}/ArtifactTypes/VMImage/Offers/{offer}/Skus", names)


def _versions(
    query: Mapping[str, str], location: str, publisher: str, offer: str, sku: str
) -> Answer:
    """Return the versions sorted as text, as Azure does."""
    _require_version(query, "publishers", location)
    [found] = _find_skus(location, publisher, offer, sku)
    names = sorted(found.versions, reverse=query.get("$orderby") == "name desc")
    top = int(query.get("$top") or len(names))
    path = f"{publisher}/ArtifactTypes/VMImage/Offers/{offer}/Skus/{sku}/Versions"
    return _artifacts(location, path, dict.fromkeys(names[:top]))


def _version(
    query: Mapping[str, str], location: str, publisher: str, offer: str, sku: str, version: str
) -> Answer:
    _require_version(query, "publishers", location)
    [found] = _find_skus(location, publisher, offer, sku)
    if version not in found.versions:
        raise Refused(error_answer(404, "NotFound", "Artifact: VMImage was not found."))
    # Azure returns each name as its creator spelled it, but the location as the request spells it.
    path = f"{found.publisher}/ArtifactTypes/VMImage/Offers/{found.offer}/Skus/{found.sku}/Versions"
    return json_answer(
        {
            "properties": found.properties(),
            "location": location,
            "name": version,
            "id": f"{_publishers_path(location)}/{path}/{version}",
        }
    )


def _artifacts(location: str, path: str, names: Mapping[str, Any]) -> Answer:
    """Return the list of the resources with these names.

    `path` is the part of their IDs after `Publishers/` and before the name.
    """
    return json_answer(
        [
            {
                "location": location,
                "name": name,
                "id": f"{_publishers_path(location)}/{path}/{name}",
            }
            for name in names
        ]
    )


def _publishers_path(location: str) -> str:
    return (
        f"/Subscriptions/{SUBSCRIPTION}/Providers/Microsoft.Compute/Locations/{location}/Publishers"
    )


def _managed_image(query: Mapping[str, str], group: str, name: str) -> Answer:
    _require_version(query, "images")
    _require_group(group, "Microsoft.Compute/images/read")
    for image in MANAGED:
        if image.name.lower() == name.lower():
            return json_answer(image.body())
    raise Refused(_resource_not_found("images", name, group))


def _managed_image_list(query: Mapping[str, str]) -> Answer:
    _require_version(query, "images")
    return json_answer({"value": [image.body() for image in MANAGED if image.group == GROUP]})


def _gallery_list(query: Mapping[str, str]) -> Answer:
    _require_version(query, "galleries")
    gallery = {
        "id": f"{in_group(GROUP)}/galleries/{GALLERY}",
        "name": GALLERY,
        "type": "Microsoft.Compute/galleries",
        "location": "westeurope",
        "properties": {"provisioningState": "Succeeded"},
    }
    return json_answer({"value": [gallery]})


def _definition_list(query: Mapping[str, str], group: str, gallery: str) -> Answer:
    _require_version(query, "galleries")
    _require_group(group, "Microsoft.Compute/galleries/images/read")
    if gallery.lower() != GALLERY:
        raise Refused(_resource_not_found("galleries", gallery, group))
    return json_answer({"value": [definition.body() for definition in DEFINITIONS]})


def _definition(query: Mapping[str, str], group: str, gallery: str, name: str) -> Answer:
    return json_answer(_find_definition(query, group, gallery, name).body())


def _gallery_versions(query: Mapping[str, str], group: str, gallery: str, name: str) -> Answer:
    found = _find_definition(query, group, gallery, name)
    return json_answer({"value": [found.version_body(version) for version in found.versions]})


def _gallery_version(
    query: Mapping[str, str], group: str, gallery: str, name: str, version: str
) -> Answer:
    found = _find_definition(query, group, gallery, name)
    for candidate in found.versions:
        if candidate.number == version:
            replication = query.get("$expand", "").lower() == "replicationstatus"
            return json_answer(found.version_body(candidate, replication=replication))
    raise Refused(
        _resource_not_found("galleries/images/versions", f"{gallery}/{name}/{version}", group)
    )


def _find_definition(
    query: Mapping[str, str], group: str, gallery: str, name: str
) -> GalleryDefinition:
    """Return the image definition. Raises Refused if it does not exist or may not be read."""
    _require_version(query, "galleries")
    _require_group(group, "Microsoft.Compute/galleries/images/read")
    for definition in DEFINITIONS:
        if gallery.lower() == GALLERY and definition.name.lower() == name.lower():
            return definition
    raise Refused(_resource_not_found("galleries/images", f"{gallery}/{name}", group))


def _shared_gallery(query: Mapping[str, str], location: str, sharing: str, gallery: str) -> Answer:
    found = _find_shared(query, location, sharing, gallery)[0]
    return json_answer(gallery_body(found.sharing, found.gallery, location))


def _shared_definition(
    query: Mapping[str, str], location: str, sharing: str, gallery: str, name: str
) -> Answer:
    return json_answer(_find_shared(query, location, sharing, gallery, name)[0].body(location))


def _shared_versions(
    query: Mapping[str, str], location: str, sharing: str, gallery: str, name: str
) -> Answer:
    [found] = _find_shared(query, location, sharing, gallery, name)
    bodies = [
        found.version_body(version, location)
        for version in found.versions
        if location.lower() in version.regions
    ]
    return json_answer({"value": bodies})


def _shared_version(
    query: Mapping[str, str], location: str, sharing: str, gallery: str, name: str, version: str
) -> Answer:
    [found] = _find_shared(query, location, sharing, gallery, name)
    for candidate in found.versions:
        if candidate.number == version and location.lower() in candidate.regions:
            return json_answer(found.version_body(candidate, location))
    raise Refused(
        error_answer(
            404,
            "NotFound",
            f"please check if the gallery image version '{version}' is valid and exists in "
            f"'{location}' region.",
        )
    )


def _find_shared(
    query: Mapping[str, str], location: str, sharing: str, gallery: str, name: str = ""
) -> list[SharedDefinition]:
    """Return the definitions that are available in the region. Raises Refused if there is none.

    Case does not matter. The name '' matches all definitions of the gallery.
    """
    _require_version(query, "galleries", location)
    found = [
        definition
        for definition in SHARED_DEFINITIONS
        if (sharing.lower(), gallery.lower())
        == (definition.sharing.lower(), definition.gallery.lower())
        and name.lower() in {"", definition.name.lower()}
        and definition.is_in(location.lower())
    ]
    if not found:
        kind, missing = ("gallery image", name) if name else ("gallery", gallery)
        raise Refused(
            error_answer(
                404,
                "NotFound",
                f"please check if the {kind} name '{missing}' is valid and the {kind} exists in "
                f"'{location}' region.",
            )
        )
    return found


def _resource_not_found(kind: str, name: str, group: str) -> Answer:
    return error_answer(
        404,
        "ResourceNotFound",
        f"The Resource 'Microsoft.Compute/{kind}/{name}' under resource group '{group}' was not "
        "found.",
    )


def error_answer(status: int, code: str, message: str) -> Answer:
    """Return an error in the format of Resource Manager."""
    return json_answer({"error": {"code": code, "message": message}}, status)


def json_answer(body: Any, status: int = 200) -> Answer:
    return Answer(status, json.dumps(body).encode(), "application/json")


_IN_SUBSCRIPTION = r"/subscriptions/(?P<subscription>[^/]+)"
_COMPUTE = "/providers/Microsoft[.]Compute"
_PUBLISHER = (
    rf"{_IN_SUBSCRIPTION}{_COMPUTE}/locations/(?P<location>[^/]+)/publishers/(?P<publisher>[^/]+)"
)
_OFFERS = rf"{_PUBLISHER}/artifacttypes/vmimage/offers"
_SKUS = rf"{_OFFERS}/(?P<offer>[^/]+)/skus"
_VERSIONS = rf"{_SKUS}/(?P<sku>[^/]+)/versions"
_SHARED = (
    rf"{_IN_SUBSCRIPTION}{_COMPUTE}/locations/(?P<location>[^/]+)"
    r"/(?P<sharing>communityGalleries|sharedGalleries)/(?P<gallery>[^/]+)"
)
_SHARED_DEFINITION = rf"{_SHARED}/images/(?P<name>[^/]+)"
_IN_GROUP = rf"{_IN_SUBSCRIPTION}/resourceGroups/(?P<group>[^/]+){_COMPUTE}"
_DEFINITION = rf"{_IN_GROUP}/galleries/(?P<gallery>[^/]+)/images/(?P<name>[^/]+)"
_ROUTES: tuple[tuple[str, Callable[..., Answer]], ...] = (
    (_IN_SUBSCRIPTION, _subscription),
    (rf"{_IN_SUBSCRIPTION}/locations", _locations),
    (_OFFERS, _offers),
    (_SKUS, _skus),
    (_VERSIONS, _versions),
    (rf"{_VERSIONS}/(?P<version>[^/]+)", _version),
    (rf"{_IN_SUBSCRIPTION}{_COMPUTE}/images", _managed_image_list),
    (rf"{_IN_SUBSCRIPTION}{_COMPUTE}/galleries", _gallery_list),
    (rf"{_IN_GROUP}/galleries/(?P<gallery>[^/]+)/images", _definition_list),
    (rf"{_IN_GROUP}/images/(?P<name>[^/]+)", _managed_image),
    (_DEFINITION, _definition),
    (rf"{_DEFINITION}/versions", _gallery_versions),
    (rf"{_DEFINITION}/versions/(?P<version>[^/]+)", _gallery_version),
    (_SHARED, _shared_gallery),
    (_SHARED_DEFINITION, _shared_definition),
    (rf"{_SHARED_DEFINITION}/versions", _shared_versions),
    (rf"{_SHARED_DEFINITION}/versions/(?P<version>[^/]+)", _shared_version),
)
