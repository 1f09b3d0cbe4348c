"""Parsing of the names of AWS regions."""

from __future__ import annotations

import pytest

from webapp.clouds.aws import sdk
from webapp.clouds.aws.locations import parse
from webapp.clouds.errors import InvalidLocation


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("us-east-1", "us-east-1"),
        (" US-EAST-1\t", "us-east-1"),
        ('"us-east-1",', "us-east-1"),
        ("us_east_1", "us-east-1"),
        ("US East (N. Virginia)", "us-east-1"),
        ("us-east-1 — US East (N. Virginia)", "us-east-1"),
        ("us-east-1 (N. Virginia)", "us-east-1"),
        ("us-\u200beast-1", "us-east-1"),
        ("Europe (Ireland)", "eu-west-1"),
        ("eusc-de-east-1", "eusc-de-east-1"),
        ("My.Private-Cloud", "my.private-cloud"),
        ("", ""),
        (" ", ""),
    ],
)
def test_a_region_becomes_its_key(text: str, region: str) -> None:
    assert parse(text) == region


@pytest.mark.parametrize(
    ("zone", "region"),
    [
        ("us-east-1a", "us-east-1"),
        ("US-EAST-1F", "us-east-1"),
        ("us-gov-west-1b", "us-gov-west-1"),
        ("us-west-2-lax-1a", "us-west-2"),
        ("us-east-1-wl1-bos-wlz-1", "us-east-1"),
        ("use1-az1", "us-east-1"),
        ("apne1-az4", "ap-northeast-1"),
        ("usw2-lax1-az1", "us-west-2"),
        ("zzz9-az1", "such as us-east-1"),
    ],
)
def test_a_zone_is_refused_with_its_region(zone: str, region: str) -> None:
    with pytest.raises(InvalidLocation, match=f"{zone.lower()} is a zone.* its region, {region}"):
        parse(zone)


def test_text_that_cannot_be_a_region_is_refused() -> None:
    for text in ("nowhere at all", "us-east-1/2", "-"):
        with pytest.raises(InvalidLocation, match="isn’t an AWS region"):
            parse(text)


def test_a_region_whose_number_begins_with_zero_is_refused() -> None:
    for text in ("us-east-01", "US-EAST-001"):
        with pytest.raises(InvalidLocation, match=r"isn’t an AWS region.*enter us-east-1"):
            parse(text)


def test_every_region_and_its_name_become_the_same_key() -> None:
    for regions in sdk.regions().values():
        for key, name in regions.items():
            for text in (key, key.upper(), name, f"{key} — {name}"):
                assert parse(text) == key
            with pytest.raises(InvalidLocation, match=f"its region, {key}"):
                parse(f"{key}a")
