"""The paths of objects in an inventory, also if the inventory is hostile."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import pytest
from pyVmomi import vim

from models import Image
from webapp.clouds.limits import COMPUTE_RESOURCE_LENGTH, LOCATION_LENGTH
from webapp.clouds.vmware import inventory

ROOT = vim.Folder("group-d1")
HOST_FOLDER = vim.Folder("group-h1")


class CountedObjects(dict[Any, dict[str, Any]]):
    """The properties of each object. Counts how often they are read."""

    reads = 0

    def get(self, *args: Any) -> Any:
        self.reads += 1
        return super().get(*args)

    def __getitem__(self, key: Any) -> dict[str, Any]:
        self.reads += 1
        return super().__getitem__(key)


def chain(count: int, top: Any, name: str = "folder") -> CountedObjects:
    """Return objects in which each of `count` folders contains the next one and a datacenter.

    The first folder is in `top`. Each folder also contains a compute resource.
    """
    found = CountedObjects({top: {"name": "top"}})
    parent = top
    for number in range(count):
        folder = vim.Folder(f"group-{number}")
        found[folder] = {"name": name, "parent": parent}
        found[vim.Datacenter(f"datacenter-{number}")] = {"name": f"{number}", "parent": folder}
        found[vim.ComputeResource(f"domain-s{number}")] = {"name": f"{number}", "parent": folder}
        parent = folder
    return found


def listed(monkeypatch: pytest.MonkeyPatch, found: CountedObjects) -> list[str]:
    """Return the locations of the datacenters in `found`."""
    monkeypatch.setattr(inventory, "_read_all", lambda *_: (found, {}))
    session: Any = SimpleNamespace(content=SimpleNamespace(rootFolder=ROOT))
    return inventory.datacenters(session)


def test_the_limits_are_those_of_the_registry() -> None:
    assert Image.location.max_length == LOCATION_LENGTH
    assert Image.compute_resource.max_length == COMPUTE_RESOURCE_LENGTH


@pytest.mark.parametrize("name", ["f", "f" * 2_000])
def test_a_deep_chain_of_folders_is_read_in_linear_time(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = chain(500, ROOT, name)
    locations = listed(monkeypatch, found)
    assert found.reads < 5 * len(found)
    assert len(locations) == (63 if name == "f" else 0)
    assert all(len(location) <= LOCATION_LENGTH for location in locations)
    found = chain(500, HOST_FOLDER, name)
    datacenter = vim.Datacenter("datacenter-x")
    found[datacenter] = {"name": "dc", "hostFolder": HOST_FOLDER}
    resources = inventory._compute_resource_paths(found, datacenter)
    assert found.reads < 5 * len(found)
    assert len(resources) == (126 if name == "f" else 0)
    assert all(len(path) <= COMPUTE_RESOURCE_LENGTH for path in resources.values())
    assert inventory._compute_resource_paths(found, vim.Datacenter("datacenter-y")) == {}


def test_a_path_with_the_greatest_length_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two datacenters with the same path are listed only if the escaped paths are short too."""
    names = ["d" * 128, "e" * 129, "a%2fb", "a/b", "/" * 50, "%2f" * 50]
    found = CountedObjects({ROOT: {"name": "Datacenters"}})
    for number, name in enumerate(names):
        found[vim.Datacenter(f"datacenter-{number}")] = {"name": name, "parent": ROOT}
    assert listed(monkeypatch, found) == sorted(["a%2fb", "a/b", "d" * 128, "/" * 50])


def test_few_parents_are_considered() -> None:
    found = chain(500, ROOT)
    assert len(list(inventory._parents(found, vim.Datacenter("datacenter-98")))) == 100
    assert len(list(inventory._parents(found, vim.Datacenter("datacenter-499")))) == 100


def test_a_folder_that_contains_itself_has_no_path(monkeypatch: pytest.MonkeyPatch) -> None:
    found = chain(3, ROOT)
    found[vim.Folder("group-0")]["parent"] = vim.Folder("group-1")
    assert listed(monkeypatch, found) == []


@pytest.mark.parametrize("seed", range(30))
def test_every_path_is_that_of_one_object(seed: int) -> None:
    choose = random.Random(seed)
    found: dict[Any, dict[str, Any]] = {ROOT: {"name": "Datacenters"}}
    for number in range(40):
        parent = choose.choice([*found, *found, None, vim.Folder("unread")])
        name = choose.choice(["a", "a%2fb", "", None])
        found[vim.Folder(f"group-{number}")] = {"name": name, "parent": parent}
    entities = choose.sample(list(found), len(found))
    for escaped in (False, True):
        paths = inventory._paths(found, entities, 1_000, escaped=escaped)
        assert paths == {each: inventory._path(found, each, escaped=escaped) for each in entities}
    root = choose.choice(entities)
    below = [each for each in entities if each == root or root in inventory._parents(found, each)]
    paths = inventory._paths(found, entities, 1_000, root)
    assert paths == {each: inventory._path(found, each, root) for each in below}
