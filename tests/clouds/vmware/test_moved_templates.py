"""Registered templates whose datacenter was renamed, or that were moved, and names with slashes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from sandbox import vmware
from sandbox.vmware_inventory import (
    AARHUS,
    COPENHAGEN,
    INVENTORY,
    LAB,
    NOT_A_TEMPLATE,
    UBUNTU,
    Datacenter,
    Machine,
    Resource,
)
from sandbox.vmware_objects import READ_ONLY
from tests.clouds.helpers import cloud_error, fact
from webapp.clouds.credentials import CredentialValues
from webapp.clouds.errors import ImageNotFound, ImageNotVisible, UnknownLocation
from webapp.clouds.locators import Location, Locator
from webapp.clouds.vmware.adapter import VMware

REGISTERED = Locator("Copenhagen", UBUNTU.uuid)
Serve = Callable[..., CredentialValues]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Yield a function that serves a vCenter with some datacenters, and returns its credentials."""
    with ExitStack() as servers:

        def start(*datacenters: Datacenter, root_role: int = READ_ONLY) -> CredentialValues:
            inventory = replace(INVENTORY, datacenters=datacenters)
            url = servers.enter_context(
                vmware.serve(vmware.VCenter(inventory, root_role=root_role))
            )
            return CredentialValues(vmware.credentials(url))

        yield start


def datacenter(path: str, *machines: Machine) -> Datacenter:
    """Return a datacenter with these machines. All their hosts are in one cluster."""
    hosts = tuple(sorted({machine.host for machine in machines})) or ("host",)
    return Datacenter(path, (Resource("Cluster %2f 1", hosts),), machines)


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("Odense", "Odense"),
        ("Sites/Odense", "Sites/Odense"),
        ("Sites %2f DK/Odense %5c 100%25", "Sites / DK/Odense \\ 100%"),
        ("Copenhagen%2f2", "Copenhagen/2"),
        ("100%252f", "100%2f"),
    ],
)
def test_a_template_is_found_in_a_renamed_datacenter(
    adapter: VMware, serve: Serve, path: str, location: str
) -> None:
    credentials = serve(replace(COPENHAGEN, path=path), AARHUS)
    error = cloud_error(lambda: adapter.describe(credentials, REGISTERED))
    assert isinstance(error, UnknownLocation)
    details = adapter.describe_again(credentials, REGISTERED)
    assert (details.location, details.name) == (location, UBUNTU.name)
    assert Location(location, location) in adapter.locations(credentials)
    again = adapter.describe(credentials, Locator(location, UBUNTU.uuid))
    assert again == replace(details, location="")
    assert adapter.describe_again(credentials, Locator(location, UBUNTU.uuid)) == again
    assert UBUNTU.uuid in {each.image_id for each in adapter.images(credentials, location)}


@pytest.mark.parametrize(
    ("path", "spellings"),
    [
        ("Copenhagen", ("/Copenhagen", "Copenhagen/", "copenhagen", "Copen%68agen")),
        ("Labs/Copenhagen", ("/Labs/Copenhagen", "Labs/Copenhagen/")),
        ("Copenhagen%2f2", ("Copenhagen%2f2", "/Copenhagen%2f2")),
    ],
)
def test_a_look_up_returns_the_location_as_the_list_contains_it(
    adapter: VMware, serve: Serve, path: str, spellings: tuple[str, ...]
) -> None:
    credentials = serve(replace(COPENHAGEN, path=path), AARHUS)
    listed = {location.key for location in adapter.locations(credentials)}
    for spelling in spellings:
        for read in (adapter.describe, adapter.describe_again):
            details = read(credentials, Locator(spelling, UBUNTU.uuid))
            assert details.location in listed - {spelling}
            assert read(credentials, Locator(details.location, UBUNTU.uuid)).location == ""


def test_a_moved_template_is_found(adapter: VMware, serve: Serve) -> None:
    credentials = serve(datacenter("Copenhagen"), datacenter("Odense", UBUNTU))
    error = cloud_error(lambda: adapter.describe(credentials, REGISTERED))
    assert isinstance(error, ImageNotFound)
    assert error.found_in == ("Odense",)
    assert adapter.describe_again(credentials, REGISTERED).location == "Odense"


def test_a_template_in_its_datacenter_is_not_looked_for_elsewhere(
    adapter: VMware, serve: Serve
) -> None:
    credentials = serve(datacenter("Copenhagen", UBUNTU), datacenter("Odense", UBUNTU))
    assert adapter.describe_again(credentials, REGISTERED).location == ""


def test_several_datacenters_with_the_template_are_named(adapter: VMware, serve: Serve) -> None:
    others = (datacenter(path, UBUNTU) for path in ("Odense", "Aalborg"))
    credentials = serve(datacenter("Esbjerg"), *others)
    error = cloud_error(lambda: adapter.describe_again(credentials, REGISTERED))
    assert isinstance(error, ImageNotVisible)
    assert "several datacenters have a template with this UUID: Aalborg and Odense." in str(error)


def test_a_virtual_machine_with_the_same_uuid_does_not_count(adapter: VMware, serve: Serve) -> None:
    machine = replace(NOT_A_TEMPLATE, uuid=UBUNTU.uuid)
    credentials = serve(datacenter("Aalborg", machine), datacenter("Odense", UBUNTU))
    assert adapter.describe_again(credentials, REGISTERED).location == "Odense"
    only_machine = serve(datacenter("Aalborg", machine))
    with pytest.raises(ImageNotVisible, match="“web-01” is a virtual machine, not a template"):
        adapter.describe_again(only_machine, REGISTERED)


@pytest.mark.parametrize("location", ["Copenhagen", "Renamed"])
def test_a_deleted_template_is_not_found(adapter: VMware, serve: Serve, location: str) -> None:
    """Only for a user who sees the whole vCenter, it is certain that the template was deleted."""
    absent = Locator(location, "501e5a2b-8c9d-0e1f-2a3b-4c5d6e7f8091")
    credentials = serve(COPENHAGEN, AARHUS)
    error = cloud_error(lambda: adapter.describe_again(credentials, absent))
    assert isinstance(error, ImageNotFound)
    assert "or any other datacenter of the vCenter" in str(error)
    limited = serve(COPENHAGEN, AARHUS, root_role=-3)
    error = cloud_error(lambda: adapter.describe_again(limited, absent))
    assert isinstance(error, ImageNotVisible)


def test_every_name_is_decoded(adapter: VMware, serve: Serve) -> None:
    machine = replace(UBUNTU, name="a%2fb", folder="c%2fd/e%5cf", host="g%25h", datastore="i%2fj")
    credentials = serve(datacenter("k%2fl", machine))
    details = adapter.describe(
        credentials,
        Locator("k/l", UBUNTU.uuid),
    )
    assert details.name == "a/b"
    assert details.compute_resources == ("Cluster / 1",)
    shown = [fact(details, key) for key in ("compute_resource", "folder", "host", "datastore")]
    assert shown == ["Cluster / 1", "c/d/e\\f", "g%h", "i/j"]
    assert "%2f" not in str(details)


def test_two_datacenters_with_the_same_path_are_told_apart(adapter: VMware, serve: Serve) -> None:
    """A slash in a name looks like the slash between a folder and a datacenter."""
    credentials = serve(datacenter("Labs/1", UBUNTU), datacenter("Labs%2f1", LAB))
    assert [each.key for each in adapter.locations(credentials)] == ["Labs%2f1", "Labs/1"]
    for location, machine in (("Labs%2f1", LAB), ("Labs/1", UBUNTU)):
        assert [each.image_id for each in adapter.images(credentials, location)] == [machine.uuid]
        again = adapter.describe_again(credentials, Locator(location, machine.uuid))
        assert (again.name, again.location) == (machine.name, "")


def test_a_missing_compute_resource_is_a_warning(adapter: VMware, serve: Serve) -> None:
    credentials = serve(datacenter("Odense", UBUNTU))
    registered = replace(REGISTERED, compute_resource="Cluster A")
    details = adapter.describe_again(credentials, registered)
    assert "Odense has no compute resource Cluster A. Register" in details.warnings[0]
    registered = replace(REGISTERED, compute_resource="Cluster / 1")
    assert adapter.describe_again(credentials, registered).warnings == ()
