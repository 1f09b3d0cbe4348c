"""An import recognizes an image in any spelling of its ID and its location."""

from __future__ import annotations

import pytest

from tests.clouds.spellings import SPELLINGS
from tests.conftest import ScopeAt, choices, details
from tests.transfer.conftest import PlanImport
from webapp.access import Actor
from webapp.clouds.locators import Locator
from webapp.images import registration
from webapp.transfer import import_plan, imports
from webapp.transfer.import_plan import PlannedLine

AMI = "ami-0123456789abcdef0"
UUID = "6f2b8c1e-1a3d-4e5f-8a9b-0c1d2e3f4a5b"
MANAGED = (
    "/subscriptions/01234567-89ab-cdef-0123-456789abcdef/resourceGroups/RG-Web/providers"
    "/Microsoft.Compute/images/Web"
)


def plan_lines(plan: PlanImport, *lines: dict[str, str]) -> list[PlannedLine]:
    planned, _ = imports.list_lines(plan(*lines), None, 1, 100)
    return planned


@pytest.mark.parametrize(
    ("cloud", "location", "image_id"),
    [
        ("aws", "us-east-1", AMI),
        ("gce", "", "acme-images/global/images/web-1"),
        ("openstack", "RegionTwo", UUID),
        ("azure", "", "Canonical/ubuntu-24_04-lts/server/24.04.202610150"),
        ("azure", "", MANAGED),
        ("vmware", "DC0", UUID),
    ],
)
def test_a_registered_image_is_recognized_in_any_spelling(
    plan: PlanImport, editor: Actor, scope: ScopeAt, cloud: str, location: str, image_id: str
) -> None:
    image = registration.register_unverified(
        editor, scope("acme"), cloud, Locator(location, image_id), choices(), details=details()
    )
    for text, other in SPELLINGS[cloud](image_id):
        if other in {"", location}:
            line = {"cloud": cloud, "location": location, "cloud_image_id": text}
            (planned,) = plan_lines(plan, line)
            assert (planned.effect, planned.image_id) == ("unchanged", image.id), text


def test_two_lines_with_one_image_in_two_spellings_are_refused(plan: PlanImport) -> None:
    for values in (
        [{"cloud": "azure", "cloud_image_id": text} for text in (MANAGED, MANAGED.upper())],
        [
            {"cloud": "aws", "location": location, "cloud_image_id": AMI}
            for location in ("us-east-1", "US-EAST-1")
        ],
    ):
        lines = [{"name": "ubuntu-24.04", **each} for each in values]
        effects = {line.effect: " ".join(line.errors) for line in plan_lines(plan, *lines)}
        assert effects.keys() == {"create", "error"}
        assert "the same image as in" in effects[import_plan.Effect.ERROR]


def test_a_zone_is_refused_with_its_region(plan: PlanImport) -> None:
    line = {"name": "ubuntu-24.04", "cloud": "aws", "cloud_image_id": AMI, "location": "us-east-1a"}
    (planned,) = plan_lines(plan, line)
    assert planned.errors[0] == "us-east-1a is a zone, not a region. Enter its region, us-east-1."


def test_a_successor_is_recognized_in_any_spelling(
    plan: PlanImport, editor: Actor, scope: ScopeAt
) -> None:
    successor = registration.register_unverified(
        editor, scope("acme"), "aws", Locator("us-east-1", AMI), choices(), details=details()
    )
    line = {
        "name": "ubuntu-24.04",
        "cloud": "aws",
        "location": "us-east-1",
        "cloud_image_id": "ami-12345678",
        "status": "deprecated",
    }
    for text, location in SPELLINGS["aws"](AMI):
        if location in {"", "us-east-1"}:
            (planned,) = plan_lines(plan, {**line, "successor": text})
            assert planned.changes["successor"] == [None, successor.cloud_image_id], text
