"""The answers of clouds are limited in length, and shortened texts say that they are shortened."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from tests.clouds.helpers import fact
from webapp.clouds.credentials import Identity
from webapp.clouds.details import OWNER, REPLACEMENT, Fact, ImageDetails, ImageState, Volume
from webapp.clouds.errors import CloudThrottled, CloudUnreachable
from webapp.clouds.locators import ListedImage, Location
from webapp.clouds.messages import SHORTENED

LONG = "x" * 5_000_000
VOLUME = Volume(LONG, LONG, 8, LONG, encrypted=None)
HOSTILE = ImageDetails(
    name=LONG,
    description=LONG,
    architecture=LONG,
    size_gb=8,
    state=ImageState.AVAILABLE,
    state_note=LONG,
    created_at=None,
    deprecated_at=None,
    facts=(
        *(Fact(f"key_{number}", f"Label {number}", LONG) for number in range(5000)),
        Fact(OWNER, "Owner", "123456789012"),
        Fact(REPLACEMENT, "Replacement", "ami-1"),
    ),
    volumes=(VOLUME,) * 5000,
    os_texts=(LONG,) * 5000,
    warnings=(LONG,) * 5000,
    compute_resources=("cluster",) * 50_000,
)


def test_details_are_bounded_and_say_so() -> None:
    assert len(str(asdict(HOSTILE))) < 1_000_000
    assert len(HOSTILE.description) == 4000
    assert HOSTILE.description.endswith(SHORTENED)
    assert HOSTILE.name.endswith(SHORTENED)
    assert fact(HOSTILE, "key_0") == "x" * (1000 - len(SHORTENED)) + SHORTENED
    assert fact(HOSTILE, "more") == "4,803 more (shortened)"


def test_facts_that_the_registry_uses_are_not_left_out() -> None:
    assert HOSTILE.owner == "123456789012"
    assert HOSTILE.replacement == "ami-1"


def test_bounded_details_do_not_change_when_they_are_copied() -> None:
    assert replace(HOSTILE, location="us-east-1", compute_resources=()) == replace(
        HOSTILE, location="us-east-1", compute_resources=()
    )
    assert replace(HOSTILE) == HOSTILE


def test_texts_of_usual_length_are_not_shortened() -> None:
    details = replace(HOSTILE, name="n" * 255, description="d" * 4000, facts=(), warnings=("w",))
    assert (details.name, details.description) == ("n" * 255, "d" * 4000)
    assert (details.facts, details.warnings) == ((), ("w",))


@pytest.mark.parametrize("kind", [CloudThrottled, CloudUnreachable])
def test_errors_are_bounded(kind: type[Exception]) -> None:
    assert len(str(kind(LONG))) == 1000
    assert str(kind("Short.")) == "Short."


def test_lists_and_identities_are_bounded() -> None:
    assert len(ListedImage("id", LONG).name) == 255
    assert len(Location("key", LONG).label) == 1000
    identity = Identity(LONG, LONG)
    assert (len(identity.account), len(identity.description)) == (255, 1000)
