"""Parsing of the names of AWS regions, as people, files and tools write them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from webapp.clouds.aws.ids import REGION
from webapp.clouds.base import InvalidLocation
from webapp.clouds.characters import SURROUNDING_CHARACTERS
from webapp.clouds.messages import shorten

_REGION = re.compile(REGION)
_ZONE = re.compile(rf"({REGION})(?:[a-z]|(?:-[a-z0-9]{{2,12}}){{1,3}}-[0-9]{{1,2}}[a-z]?)")
"""An availability zone, a local zone or a Wavelength zone: us-east-1a, us-west-2-lax-1a."""
_ZONE_ID = re.compile(r"([a-z]{3,6}[0-9]{1,2})(?:-[a-z0-9]{2,12}){0,2}-az[0-9]{1,2}")
"""The ID of a zone, such as use1-az1, which begins with an abbreviation of the region."""
_PRIVATE_REGION = re.compile(r"[a-z0-9][a-z0-9._-]*")


def parse(text: str) -> str:
    """Return the region that `text` names: `us-east-1`, `US-EAST-1` or `US East (N. Virginia)`.

    Private endpoints can have regions with any name, so an unknown name is returned in lower case.
    Raises InvalidLocation for a zone, and for text that cannot be the name of a region.
    """
    name = text.strip(SURROUNDING_CHARACTERS).lower()
    if not name or _REGION.fullmatch(name):
        return name
    if zone := _ZONE.fullmatch(name):
        raise InvalidLocation(_zone_message(name, zone[1]))
    if zone := _ZONE_ID.fullmatch(name):
        raise InvalidLocation(_zone_message(name, _regions_by_abbreviation().get(zone[1], "")))
    if region := _regions_by_spelling().get(_fold(name)):
        return region
    if _PRIVATE_REGION.fullmatch(name):
        return name
    raise InvalidLocation(
        f"“{shorten(text.strip(), 40)}” isn’t an AWS region. Enter a region such as us-east-1."
    )


def _zone_message(zone: str, region: str) -> str:
    region = region or "such as us-east-1"
    return f"{shorten(zone, 40)} is a zone, not a region. Enter its region, {region}."


def _fold(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


@cache
def _regions_by_spelling() -> Mapping[str, str]:
    """Return the regions by key and by name, each without punctuation."""
    regions: dict[str, str] = {}
    for key, name in _region_names().items():
        for spelling in (key, name, f"{key} {name}", f"{name} {key}"):
            regions[_fold(spelling)] = key
    return regions


@cache
def _regions_by_abbreviation() -> Mapping[str, str]:
    """Return the regions by the abbreviation in IDs of zones: us-east-1 is use1."""
    return {_abbreviation(key): key for key in _region_names()}


def _abbreviation(region: str) -> str:
    first, *words, number = region.split("-")
    compass = {"northeast": "ne", "northwest": "nw", "southeast": "se", "southwest": "sw"}
    return first + "".join(compass.get(word, word[0]) for word in words) + number


def _region_names() -> dict[str, str]:
    from webapp.clouds.aws import sdk  # noqa: PLC0415  imports botocore

    return {key: name for names in sdk.regions().values() for key, name in names.items()}
