"""Parsing of the names of AWS regions, as people, files and tools write them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from webapp.clouds.aws.ids import REGION, ZONE, ZONE_ID
from webapp.clouds.characters import SURROUNDING_CHARACTERS, fold
from webapp.clouds.errors import InvalidLocation
from webapp.clouds.messages import shorten

_REGION = re.compile(REGION)
_ZONE, _ZONE_ID = re.compile(ZONE), re.compile(ZONE_ID)
_LEADING_ZERO = re.compile(r"-0+(?=[0-9]$)")
_PRIVATE_REGION = re.compile(r"[a-z0-9][a-z0-9._-]*")


def parse(text: str) -> str:
    """Return the key of the region that `text` names.

    For example, return `us-east-1` for `US-EAST-1` or `US East (N. Virginia)`. The regions of
    private endpoints can have any name, so an unknown name is returned in lower case. If `text` is
    empty, return ''.

    Raises InvalidLocation for a zone, and for text that cannot be the name of a region.
    """
    name = fold(text.strip(SURROUNDING_CHARACTERS))
    if _LEADING_ZERO.search(name):
        raise InvalidLocation(
            f"“{shorten(name, 40)}” isn’t an AWS region. The number of a region doesn’t begin with "
            f"zero: enter {shorten(_LEADING_ZERO.sub('-', name), 40)}."
        )
    if not name or _REGION.fullmatch(name):
        return name
    if _ZONE.fullmatch(name):
        region_match = _REGION.match(name)
        raise InvalidLocation(_zone_message(name, region_match[0] if region_match else ""))
    if _ZONE_ID.fullmatch(name):
        abbreviation = name.partition("-")[0]
        raise InvalidLocation(_zone_message(name, _regions_by_abbreviation().get(abbreviation, "")))
    if region := _regions_by_spelling().get(_letters_and_digits(name)):
        return region
    if _PRIVATE_REGION.fullmatch(name):
        return name
    raise InvalidLocation(
        f"“{shorten(text.strip(), 40)}” isn’t an AWS region. Enter a region such as us-east-1."
    )


def _zone_message(zone: str, region: str) -> str:
    region = region or "such as us-east-1"
    return f"{shorten(zone, 40)} is a zone, not a region. Enter its region, {region}."


def _letters_and_digits(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


@cache
def _regions_by_spelling() -> Mapping[str, str]:
    """Return the key of a region for each spelling. `_letters_and_digits` normalizes spellings."""
    regions: dict[str, str] = {}
    for key, name in _region_names().items():
        place = name.partition("(")[2]  # "N. Virginia)" in "US East (N. Virginia)".
        spellings = {key, name, f"{key} {name}", f"{name} {key}", f"{key} {place}"}
        for spelling in spellings:
            regions[_letters_and_digits(spelling)] = key
    return regions


@cache
def _regions_by_abbreviation() -> Mapping[str, str]:
    """Return each region by its abbreviation in zone IDs.

    For example, the zone ID `use1-az2` begins with `use1`, the abbreviation of `us-east-1`.
    """
    return {_abbreviation(key): key for key in _region_names()}


def _abbreviation(region: str) -> str:
    first, *words, number = region.split("-")
    compass = {"northeast": "ne", "northwest": "nw", "southeast": "se", "southwest": "sw"}
    return first + "".join(compass.get(word, word[0]) for word in words) + number


def _region_names() -> dict[str, str]:
    from webapp.clouds.aws import sdk  # noqa: PLC0415  imports botocore

    return {key: name for names in sdk.regions().values() for key, name in names.items()}
