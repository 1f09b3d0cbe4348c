"""Importing templates of vSphere, which can be registered once for each compute resource."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date

import pytest

from models import CloudCredentials, Image, Job, Scope
from tests.conftest import ScopeAt, choices, details
from tests.transfer.conftest import ApplyPlan, PlanImport
from webapp.access import Actor
from webapp.clouds import CLOUDS
from webapp.clouds.locators import Locator
from webapp.credentials.vault import Vault
from webapp.images import life_cycle, registration
from webapp.images.life_cycle import LifeCyclePlan
from webapp.images.successors import find_image
from webapp.search import catalogue
from webapp.search.query import OWNED_OR_INHERITED
from webapp.transfer import export, imports
from webapp.transfer.import_plan import ImportOptions, PlannedLine

TEMPLATE = "501e0000-0000-4c5d-8091-000000001300"
RESOURCES = ("Cluster A", "Cluster B")
PlanLookUp = Callable[..., Job]


@pytest.fixture
def register(editor: Actor, scope: ScopeAt) -> Callable[[str], Image]:
    """Return a function that registers the template on a compute resource."""

    def register(resource: str) -> Image:
        locator = Locator("Copenhagen", TEMPLATE, resource)
        return registration.register_unverified(
            editor,
            scope("acme"),
            "vmware",
            locator,
            choices(name=f"deb-{resource}"),
            details=details(),
        )

    return register


@pytest.fixture
def plan_look_up(
    scope: ScopeAt, vault: Vault, plan: PlanImport, monkeypatch: pytest.MonkeyPatch
) -> PlanLookUp:
    """Return a function that plans the import of lines of the template with a look-up."""

    def describe(_credentials: object, locator: Locator) -> object:
        return details(image_id=locator.image_id, compute_resources=RESOURCES)

    monkeypatch.setattr(CLOUDS["vmware"], "describe", describe)
    monkeypatch.setattr(CLOUDS["vmware"], "locations", lambda _credentials: ())
    row = store_credentials(scope("acme"), vault)
    options = ImportOptions(look_up=True, credentials={"vmware": row.id})
    locator = {"cloud": "vmware", "location": "Copenhagen", "cloud_image_id": TEMPLATE}
    return lambda *lines: plan(*({**locator, **each} for each in lines), options=options)


@pytest.mark.parametrize("resource", ["", "Cluster B"])
def test_a_successor_on_another_compute_resource_is_exported_and_planned_exactly(
    register: Callable[[str], Image],
    plan: PlanImport,
    apply_plan: ApplyPlan,
    editor: Actor,
    scope: ScopeAt,
    resource: str,
) -> None:
    old = register("Cluster A")
    images = {name: register(name) for name in ("", "Cluster B", "Cluster C")}
    wrong = images["Cluster C"]
    life_cycle.change(editor, old, LifeCyclePlan(date(2020, 1, 31), successor=wrong.id))
    locator = {"cloud": "vmware", "location": "Copenhagen", "cloud_image_id": TEMPLATE}
    line = {**locator, "compute_resource": "Cluster A", "status": "deprecated"}
    job = plan({**line, "successor": f"#{images[resource].id}"})
    (planned,) = planned_lines(job)
    text = ":".join(filter(None, ("Copenhagen", TEMPLATE, resource)))
    assert planned.changes == {"successor": [f"Copenhagen:{TEMPLATE}:Cluster C", text]}
    assert apply_plan(job) == [("updated", "")]
    assert Image.get_by_id(old.id).successor_id == images[resource].id
    exported = catalogue.iterate_images(editor, scope("acme"), OWNED_OR_INHERITED)
    lines = json.loads("".join(export.json_chunks(exported, scope("acme"))))
    assert [each["successor"] for each in lines if each["id"] == old.id] == [text]
    assert apply_plan(plan({**line, "successor": text})) == [("unchanged", "")]
    if resource:
        assert find_image(scope("acme"), text) == images[resource]


def store_credentials(scope: Scope, vault: Vault) -> CloudCredentials:
    row = CloudCredentials(scope=scope, cloud="vmware", name="vCenter")
    fields = CLOUDS["vmware"].credential_fields
    values = {field.name: "" for field in fields} | {"vcenter_url": "https://vcenter.example.com"}
    vault.store(row, fields, values)
    row.save(force_insert=True)
    return row


def planned_lines(job: Job) -> list[PlannedLine]:
    return imports.list_lines(job, None, 1, 100)[0]


@pytest.mark.parametrize("registered", [(), ("",), ("", "Cluster B")])
def test_each_compute_resource_is_an_image_of_its_own(
    register: Callable[[str], Image],
    plan_look_up: PlanLookUp,
    apply_plan: ApplyPlan,
    registered: tuple[str, ...],
) -> None:
    before = {resource: register(resource).revision for resource in registered}
    job = plan_look_up({"name": "deb-A", "compute_resource": "Cluster A", "status": "retired"})
    (line,) = planned_lines(job)
    assert (line.effect, line.errors) == ("create", [])
    assert apply_plan(job) == [("created", "")]
    images = {image.compute_resource: image for image in Image.select()}
    assert images.keys() == {*registered, "Cluster A"}
    assert (images["Cluster A"].name, images["Cluster A"].status) == ("deb-A", "retired")
    assert {resource: images[resource].revision for resource in before} == before


@pytest.mark.parametrize("registered", [(), ("",), ("", *RESOURCES)])
def test_an_unknown_compute_resource_is_refused(
    register: Callable[[str], Image], plan_look_up: PlanLookUp, registered: tuple[str, ...]
) -> None:
    for resource in registered:
        register(resource)
    (line,) = planned_lines(plan_look_up({"name": "deb-A", "compute_resource": "Nowhere"}))
    assert line.effect == "error"
    assert line.errors == [
        "The image can’t be used on the compute_resource “Nowhere”. Correct it, or leave it empty."
    ]


def test_lines_of_one_template_on_several_compute_resources_are_several_images(
    plan_look_up: PlanLookUp, apply_plan: ApplyPlan
) -> None:
    names = ["", *RESOURCES]
    job = plan_look_up(*({"name": f"deb-{name}", "compute_resource": name} for name in names))
    assert apply_plan(job) == [("created", "")] * 3
    assert {image.compute_resource for image in Image.select()} == set(names)


def test_the_registered_image_of_the_same_compute_resource_is_updated(
    register: Callable[[str], Image], plan_look_up: PlanLookUp, apply_plan: ApplyPlan
) -> None:
    image = register("Cluster A")
    job = plan_look_up({"name": "renamed", "compute_resource": "Cluster A"})
    assert apply_plan(job) == [("updated", "")]
    assert [(each.id, each.name) for each in Image.select()] == [(image.id, "renamed")]
    # The case of a datacenter or a cluster makes no difference.
    job = plan_look_up(
        {"location": "/COPENHAGEN", "compute_resource": "cluster a", "name": "again"}
    )
    assert apply_plan(job) == [("updated", "")]
    stored = Image.get()
    assert (stored.id, stored.name, stored.compute_resource) == (image.id, "again", "Cluster A")


def test_a_compute_resource_gets_the_spelling_of_the_vcenter(
    plan_look_up: PlanLookUp, apply_plan: ApplyPlan, scope: ScopeAt
) -> None:
    line = {"name": "deb-A", "compute_resource": "CLUSTER a"}
    assert apply_plan(plan_look_up(line)) == [("created", "")]
    image = Image.get()
    assert image.compute_resource == "Cluster A"
    assert find_image(scope("acme"), f"copenhagen:{TEMPLATE}:cluster A") == image
    assert apply_plan(plan_look_up(line)) == [("unchanged", "")]


def test_lines_whose_places_differ_only_in_spelling_are_the_same_image(plan: PlanImport) -> None:
    locator = {"cloud": "vmware", "cloud_image_id": TEMPLATE, "os_family": "debian"}
    line = {**locator, "os_version": "13", "name": "deb"}
    job = plan(
        {**line, "location": "Labs/DC0", "compute_resource": "Cluster A"},
        {**line, "location": "/labs//dc0", "compute_resource": "cluster a"},
        {**line, "location": "labs/dc0", "compute_resource": "cluster b"},
    )
    effects = [planned.effect for planned in planned_lines(job)]
    assert sorted(effects) == ["create", "create", "error"]
