"""Every page says the same about an image: before, at and after the time when a date is due."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from flask.testing import FlaskClient

from models import Image, open_connection
from tests.conftest import ClientOf, Clock, MakeImage, details, reload
from tests.views.pages import visible_text
from webapp.access import Actor
from webapp.images import image_details, life_cycle
from webapp.images.life_cycle import LifeCyclePlan
from webapp.jobs import ticker

ACME = "/account/acme"
DUE = datetime(2025, 3, 11, tzinfo=UTC)
ChangePlan = Callable[[LifeCyclePlan], object]


def announce_deprecation(image: Image, _plan: ChangePlan) -> None:
    image_details.apply_details(image, details(deprecated_at=DUE))
    image.save()


def announce_end(image: Image, _plan: ChangePlan) -> None:
    image_details.apply_details(image, details(ends_at=DUE))
    image.save()


def plan_deprecation(_image: Image, plan: ChangePlan) -> None:
    plan(LifeCyclePlan(DUE.date()))


def plan_retirement(_image: Image, plan: ChangePlan) -> None:
    plan(LifeCyclePlan(None, DUE.date()))


@dataclass(frozen=True)
class Case:
    """A date that is due at DUE, and the values before and after."""

    prepare: Callable[[Image, ChangePlan], None]
    column: str
    before: str
    after: str


@pytest.mark.parametrize(
    "case",
    [
        Case(announce_deprecation, "state", "available", "deprecated"),
        Case(announce_end, "state", "available", "deprecated"),
        Case(plan_deprecation, "status", "active", "deprecated"),
        Case(plan_retirement, "status", "active", "retired"),
    ],
)
def test_all_pages_agree_before_and_after_a_date_is_applied(
    client_of: ClientOf, make_image: MakeImage, editor: Actor, clock: Clock, case: Case
) -> None:
    clock.go_to(DUE - timedelta(days=1))
    image = make_image("acme")
    case.prepare(image, lambda plan: life_cycle.change(editor, image, plan))
    clock.go_to(DUE - timedelta(seconds=1))
    client, search = client_of("account-editor"), f"status:{case.after}"
    assert not ticker_changed(image)
    clock.go_to(DUE)  # No server has applied the date yet.
    assert values_on_pages(client, image, case.column) == {case.before}
    assert counts_on_pages(client, search) == {0}
    assert ticker_changed(image)
    assert values_on_pages(client, image, case.column) == {case.after}
    assert counts_on_pages(client, search) == {1}


def ticker_changed(image: Image) -> bool:
    """Apply due dates once, as periodic work does. Return whether this changed the image."""
    revision = reload(image).revision
    work = ticker.PERIODIC_WORK["apply due dates"]
    with open_connection():
        assert not work.do_chunk()
        return reload(image).revision != revision


def values_on_pages(client: FlaskClient, image: Image, column: str) -> set[str]:
    """Return the values of the state or the status on the image's page and in an export."""
    text = client.get(f"{ACME}/images/export.csv").get_data(as_text=True).lstrip("\ufeff")
    [row] = csv.DictReader(io.StringIO(text))
    page = visible_text(client.get(f"{ACME}/images/{image.id}").text)
    if column == "state":
        shown = re.findall(r"From the cloud .* State (Available|Deprecated) .* History", page)
    else:
        shown = re.findall(r"(Deprecated|Retired) since 2025-03-11\.", page) or ["active"]
    return {row[column], *(word.lower() for word in shown)}


def counts_on_pages(client: FlaskClient, search: str) -> set[int]:
    """Return the number of images that match `search`, on each page that counts them."""
    listed = client.get(f"{ACME}/images", query_string={"q": search}).text
    rows = len(re.findall(rf'<a class="fw-bold" href="{ACME}/images/\d+"', listed))
    filters = client.get(f"{ACME}/images/filters").text
    label = search.partition(":")[2].capitalize()
    found = re.search(rf"<span>{label}</span>\s*<span class=.number.>(\d+)<", filters)
    overview = visible_text(client.get(f"{ACME}/overview").text)
    attention = re.search(rf"\b{label} (\d+) images?", overview)
    assert attention is not None
    data = {"action": "restore", "all": "y", "q": search}
    bulk = client.post(f"{ACME}/images/bulk", data=data)
    selected = re.search(r"(\d+) images? won’t change|(\d+) images? will be changed", bulk.text)
    return {
        rows,
        int(found[1]) if found else 0,
        int(attention[1]),
        int(selected[1] or selected[2]) if selected else 0,
    }
