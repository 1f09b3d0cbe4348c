"""Answers of the sandbox's Resource Manager, in the format of Azure."""

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
    Definition,
    Offered,
)
from sandbox.faulty import Answer

OBJECT_ID = "1a2b3c4d-5e6f-4708-9a0b-c1d2e3f4a5b6"
API_VERSIONS = {
    "subscriptions": ("2016-06-01", "2022-12-01"),
    "publishers": ("2024-03-01", "2024-07-01"),
    "images": ("2024-03-01", "2024-07-01"),
    "galleries": ("2022-08-03", "2023-07-03"),
}


class Refused(Exception):
    """An error to answer with."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def manage(method: str, address: str) -> Answer:
    """Return the answer to a request. Raises Refused."""
    path, question = urlsplit(address).path, urlsplit(address).query
    query = {name: each[-1] for name, each in parse_qs(question).items()}
    if method != "GET":
        raise Refused(error(405, "MethodNotAllowed", "The sandbox is there to be read."))
    for pattern, answer in _ROUTES:
        found = re.fullmatch(pattern, path, re.IGNORECASE)
        if found:
            names = {name: unquote(each) for name, each in found.groupdict().items()}
            _require_subscription(names.pop("subscription"))
            return answer(query, **names)
    raise Refused(error(404, "InvalidResourceType", "The resource type could not be found in it."))


def _require_subscription(subscription: str) -> None:
    if subscription.lower() != SUBSCRIPTION:
        raise Refused(
            error(
                404,
                "SubscriptionNotFound",
                f"The subscription '{subscription}' could not be found.",
            )
        )


def _require_group(group: str, action: str) -> None:
    if group.lower() == LOCKED_GROUP:
        raise Refused(
            error(
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
            error(404, "ResourceGroupNotFound", f"Resource group '{group}' could not be found.")
        )


def _require_version(query: Mapping[str, str], kind: str, location: str = "") -> None:
    asked = query.get("api-version", "")
    if asked in API_VERSIONS[kind] and (not location or location.lower() in REGIONS):
        return
    if kind == "publishers":
        raise Refused(
            error(
                400,
                "NoRegisteredProviderFound",
                f"No registered resource provider found for location '{location}' and API version "
                f"'{asked}' for type 'locations/publishers'. The supported api-versions are "
                f"'{', '.join(API_VERSIONS[kind])}'. The supported locations are "
                f"'{', '.join(REGIONS)}'.",
            )
        )
    raise Refused(
        error(400, "InvalidApiVersionParameter", f"The api-version '{asked}' is invalid.")
    )


def _subscription(query: Mapping[str, str]) -> Answer:
    _require_version(query, "subscriptions")
    return json_of(
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
        _location(key, name, {"regionType": "Physical", "regionCategory": kind, "geography": place})
        for key, (name, kind, place) in REGIONS.items()
    ]
    logical = [
        _location(key, name, {"regionType": "Logical", "regionCategory": "Other"})
        for key, name in LOGICAL.items()
    ]
    return json_of({"value": logical + physical})


def _location(key: str, name: str, metadata: dict[str, str]) -> dict[str, Any]:
    return {
        "id": f"/subscriptions/{SUBSCRIPTION}/locations/{key}",
        "name": key,
        "type": "Region",
        "displayName": name,
        "regionalDisplayName": name,
        "metadata": metadata,
    }


def _offered(location: str, publisher: str, offer: str = "", sku: str = "") -> list[Offered]:
    """Return the matching SKUs. Names ignore case, and '' matches any name."""
    found = [
        each
        for each in MARKETPLACE
        if location.lower() in each.regions
        and publisher.lower() == each.publisher.lower()
        and offer.lower() in {"", each.offer.lower()}
        and sku.lower() in {"", each.sku.lower()}
    ]
    if not found:
        raise Refused(error(404, "NotFound", "Artifact: VMImage was not found."))
    return found


def _offers(query: Mapping[str, str], location: str, publisher: str) -> Answer:
    _require_version(query, "publishers", location)
    names = dict.fromkeys(each.offer for each in _offered(location, publisher))
    return _artifacts(location, f"{publisher}/ArtifactTypes/VMImage/Offers", names)


def _skus(query: Mapping[str, str], location: str, publisher: str, offer: str) -> Answer:
    _require_version(query, "publishers", location)
    names = dict.fromkeys(each.sku for each in _offered(location, publisher, offer))
    return _artifacts(location, f"{publisher}/ArtifactTypes/VMImage/Offers/{offer}/Skus", names)


def _versions(
    query: Mapping[str, str], location: str, publisher: str, offer: str, sku: str
) -> Answer:
    """Return the versions sorted as text, as Azure does."""
    _require_version(query, "publishers", location)
    [found] = _offered(location, publisher, offer, sku)
    names = sorted(found.versions, reverse=query.get("$orderby") == "name desc")
    top = int(query.get("$top") or len(names))
    under = f"{publisher}/ArtifactTypes/VMImage/Offers/{offer}/Skus/{sku}/Versions"
    return _artifacts(location, under, dict.fromkeys(names[:top]))


def _version(
    query: Mapping[str, str], location: str, publisher: str, offer: str, sku: str, version: str
) -> Answer:
    _require_version(query, "publishers", location)
    [found] = _offered(location, publisher, offer, sku)
    if version not in found.versions:
        raise Refused(error(404, "NotFound", "Artifact: VMImage was not found."))
    # Azure answers in its own spelling, at least of the location.
    under = (
        f"{found.publisher}/ArtifactTypes/VMImage/Offers/{found.offer}/Skus/{found.sku}/Versions"
    )
    return json_of(
        {
            "properties": found.properties(),
            "location": location,
            "name": version,
            "id": f"{_artifact(location)}/{under}/{version}",
        }
    )


def _artifacts(location: str, under: str, names: Mapping[str, Any]) -> Answer:
    return json_of(
        [
            {"location": location, "name": name, "id": f"{_artifact(location)}/{under}/{name}"}
            for name in names
        ]
    )


def _artifact(location: str) -> str:
    return (
        f"/Subscriptions/{SUBSCRIPTION}/Providers/Microsoft.Compute/Locations/{location}/Publishers"
    )


def _managed(query: Mapping[str, str], group: str, name: str) -> Answer:
    _require_version(query, "images")
    _require_group(group, "Microsoft.Compute/images/read")
    for each in MANAGED:
        if each.name.lower() == name.lower():
            return json_of(each.body())
    raise Refused(_resource_not_found("images", name, group))


def _definition(query: Mapping[str, str], group: str, gallery: str, name: str) -> Answer:
    return json_of(_found_definition(query, group, gallery, name).body())


def _gallery_versions(query: Mapping[str, str], group: str, gallery: str, name: str) -> Answer:
    found = _found_definition(query, group, gallery, name)
    return json_of({"value": [found.version_body(each) for each in found.versions]})


def _gallery_version(
    query: Mapping[str, str], group: str, gallery: str, name: str, version: str
) -> Answer:
    found = _found_definition(query, group, gallery, name)
    for each in found.versions:
        if each.number == version:
            replication = query.get("$expand", "").lower() == "replicationstatus"
            return json_of(found.version_body(each, replication=replication))
    raise Refused(
        _resource_not_found("galleries/images/versions", f"{gallery}/{name}/{version}", group)
    )


def _found_definition(query: Mapping[str, str], group: str, gallery: str, name: str) -> Definition:
    _require_version(query, "galleries")
    _require_group(group, "Microsoft.Compute/galleries/images/read")
    for each in DEFINITIONS:
        if gallery.lower() == GALLERY and each.name.lower() == name.lower():
            return each
    raise Refused(_resource_not_found("galleries/images", f"{gallery}/{name}", group))


def _resource_not_found(kind: str, name: str, group: str) -> Answer:
    return error(
        404,
        "ResourceNotFound",
        f"The Resource 'Microsoft.Compute/{kind}/{name}' under resource group '{group}' was not "
        "found.",
    )


def error(status: int, code: str, message: str) -> Answer:
    """Return an error in the format of Resource Manager."""
    return json_of({"error": {"code": code, "message": message}}, status)


def json_of(body: Any, status: int = 200) -> Answer:
    return Answer(status, json.dumps(body).encode(), "application/json")


_IN_SUBSCRIPTION = r"/subscriptions/(?P<subscription>[^/]+)"
_COMPUTE = "/providers/Microsoft[.]Compute"
_PUBLISHER = (
    rf"{_IN_SUBSCRIPTION}{_COMPUTE}/locations/(?P<location>[^/]+)/publishers/(?P<publisher>[^/]+)"
)
_OFFERS = rf"{_PUBLISHER}/artifacttypes/vmimage/offers"
_SKUS = rf"{_OFFERS}/(?P<offer>[^/]+)/skus"
_VERSIONS = rf"{_SKUS}/(?P<sku>[^/]+)/versions"
_IN_GROUP = rf"{_IN_SUBSCRIPTION}/resourceGroups/(?P<group>[^/]+){_COMPUTE}"
_DEFINITION = rf"{_IN_GROUP}/galleries/(?P<gallery>[^/]+)/images/(?P<name>[^/]+)"
_ROUTES: tuple[tuple[str, Callable[..., Answer]], ...] = (
    (_IN_SUBSCRIPTION, _subscription),
    (rf"{_IN_SUBSCRIPTION}/locations", _locations),
    (_OFFERS, _offers),
    (_SKUS, _skus),
    (_VERSIONS, _versions),
    (rf"{_VERSIONS}/(?P<version>[^/]+)", _version),
    (rf"{_IN_GROUP}/images/(?P<name>[^/]+)", _managed),
    (_DEFINITION, _definition),
    (rf"{_DEFINITION}/versions", _gallery_versions),
    (rf"{_DEFINITION}/versions/(?P<version>[^/]+)", _gallery_version),
)
