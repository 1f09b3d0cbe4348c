"""The VMware adapter against VMware's own simulator of a vCenter.

The sandbox's vCenter must give the same answers as the simulator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyVmomi import vim

from sandbox import vmware
from sandbox.vmware_inventory import Datacenter, Disk, Inventory, Machine, Resource
from tests.clouds.vmware import vcsim
from webapp.clouds.credentials import CredentialValues, Identity
from webapp.clouds.details import ImageDetails
from webapp.clouds.errors import (
    CredentialsRejected,
    ImageNotFound,
    ImageNotVisible,
    UnknownLocation,
)
from webapp.clouds.locators import ListedImage, Location, Locator
from webapp.clouds.vmware import inventory, sdk
from webapp.clouds.vmware.adapter import VMware
from webapp.clouds.vmware.connection import make_stub

ABSENT = "501e5a2b-8c9d-0e1f-2a3b-4c5d6e7f8091"
DISK = "disk-202-0"
"""The simulator's label for a disk."""


def _machine(prefix: str, number: str, **changes: Any) -> Machine:
    """Return a machine as the simulator creates it, with the changes."""
    default = Machine(
        uuid=f"501e0000-0000-4c5d-8091-{number:0>12}",
        name=f"{prefix}_VM0",
        host=f"{prefix.removesuffix('_RP0')}" + ("_H0" if "_C" in prefix else ""),
        guest_id="debian11_64Guest",
        guest_name="Debian GNU/Linux 11 (64-bit)",
        disks=(Disk(1, label=DISK),),
        datastore="LocalDS_0",
    )
    return replace(default, **changes)


def _resources(name: str, folder: str) -> tuple[Resource, ...]:
    clusters = (
        Resource(f"{folder}{name}_C{number}", (f"{name}_C{number}_H0", f"{name}_C{number}_H1"))
        for number in (0, 1)
    )
    return (*clusters, Resource(f"{folder}{name}_H0", (f"{name}_H0",), is_cluster=False))


INVENTORY = Inventory(
    "dbed6e0c-bd88-4ef6-b594-21283e1c677f",
    "VMware vCenter Server 6.5.0 build-5973321",
    "7.0.3.0",
    (
        Datacenter(
            "DC0",
            _resources("DC0", ""),
            (
                _machine(
                    "DC0_C0_RP0",
                    "a1",
                    name="ubuntu-24.04 %2f base",
                    host="DC0_C0_H1",
                    guest_id="ubuntu64Guest",
                    guest_name="Ubuntu Linux (64-bit)",
                    annotation="With <open-vm-tools> & cloud-init",
                    disks=(Disk(40, "thick", label=DISK),),
                    created="2026-10-21T05:12:45Z",
                ),
                _machine("DC0_C1_RP0", "a2", tools=9 * 1024, version="vmx-09", firmware="bios"),
                _machine("DC0_H0", "a3", cpus=8, memory_mb=1536),
            ),
        ),
        Datacenter(
            "F0/DC1",
            _resources("DC1", "F0/"),
            tuple(
                _machine(prefix, number, folder="F0")
                for prefix, number in (("DC1_C0_RP0", "b1"), ("DC1_C1_RP0", "b2"), ("DC1_H0", "b3"))
            ),
        ),
    ),
)
"""The templates in the simulator's inventory, as the sandbox describes them.

`_settings` passes the simulator every value that it would otherwise choose itself.
"""


def _settings(name: str, machine: Machine) -> dict[str, dict[str, Any]]:
    disk = machine.disks[0]
    settings = {
        "Uuid": machine.uuid,
        "Name": machine.name,
        "Host": machine.host,
        "GuestId": machine.guest_id,
        "GuestFullName": machine.guest_name,
        "Annotation": machine.annotation,
        "Firmware": machine.firmware,
        "Version": machine.version,
        "Created": machine.created,
        "Cpus": machine.cpus,
        "MemoryMB": machine.memory_mb,
        "Tools": machine.tools,
        "Gib": disk.gb,
        "Thin": disk.kind == "thin",
    }
    return {name: settings}


NAME_PREFIXES = ("DC0_C0_RP0", "DC0_C1_RP0", "DC0_H0", "DC1_C0_RP0", "DC1_C1_RP0", "DC1_H0")
TEMPLATES = [
    (datacenter.path, machine)
    for datacenter in INVENTORY.datacenters
    for machine in datacenter.machines
]
GOLDEN = Locator("DC0", TEMPLATES[0][1].uuid)


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    vcsim.require()
    settings: dict[str, Any] = {}
    for prefix, (_, machine) in zip(NAME_PREFIXES, TEMPLATES, strict=True):
        settings |= _settings(f"{prefix}_VM0", machine)
    with vcsim.start(tmp_path_factory.mktemp("vcsim"), settings) as url:
        yield url


@pytest.fixture
def good(simulator: str) -> CredentialValues:
    return vcsim.credentials(simulator)


def test_check_and_locations(adapter: VMware, good: CredentialValues) -> None:
    assert adapter.check(good) == Identity(INVENTORY.uuid, f"{vcsim.USER} at {INVENTORY.full_name}")
    assert adapter.locations(good) == (Location("DC0", "DC0"), Location("F0/DC1", "F0/DC1"))


def test_templates_of_each_datacenter(adapter: VMware, good: CredentialValues) -> None:
    """The list is sorted by name and contains no other virtual machines."""
    assert [each.name for each in adapter.images(good, "DC0")] == [
        "DC0_C1_RP0_VM0",
        "DC0_H0_VM0",
        "ubuntu-24.04 / base",
    ]
    names = [each.name for each in adapter.images(good, "F0/DC1")]
    assert names == ["DC1_C0_RP0_VM0", "DC1_C1_RP0_VM0", "DC1_H0_VM0"]


def test_templates_are_browsed_in_pages(
    adapter: VMware, good: CredentialValues, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webapp.clouds.browsing.WHOLE_LIST_PAGE_LENGTH", 2)
    first = adapter.browse(good, "DC0")
    rest = adapter.browse(good, "DC0", cursor=first.next_cursor)
    assert [each.name for each in first.images] == ["DC0_C1_RP0_VM0", "DC0_H0_VM0"]
    assert rest.images == (ListedImage(GOLDEN.image_id, "ubuntu-24.04 / base"),)
    assert not rest.next_cursor
    found = adapter.browse(good, "DC0", "UBUNTU base")
    assert found.images == rest.images
    assert not found.next_cursor


def test_a_template_is_found_by_its_name(adapter: VMware, good: CredentialValues) -> None:
    """The API writes a slash in a name as %2f, and the vSphere Client as a slash."""
    for name in ("ubuntu-24.04 / base", "ubuntu-24.04 %2f base"):
        assert adapter.find_image_id(good, "DC0", name) == GOLDEN.image_id
    with pytest.raises(ImageNotFound, match="no template named “ubuntu” in DC0"):
        adapter.find_image_id(good, "DC0", "ubuntu")
    with pytest.raises(UnknownLocation, match="no datacenter DC9"):
        adapter.find_image_id(good, "DC9", "ubuntu-24.04 / base")


def test_a_look_up_returns_the_location_as_the_list_contains_it(
    adapter: VMware, good: CredentialValues
) -> None:
    (template, *_) = adapter.images(good, "DC0")
    for spelling in ("/DC0", "DC0/", "/DC0/"):
        details = adapter.describe(good, Locator(spelling, template.image_id))
        assert details.location == "DC0"
    assert adapter.describe(good, Locator("DC0", template.image_id)).location == ""


def test_a_wrong_password_and_a_wrong_datacenter_are_reported(
    adapter: VMware, simulator: str
) -> None:
    good = vcsim.credentials(simulator)
    with pytest.raises(CredentialsRejected, match="rejected this username and password"):
        adapter.check(vcsim.credentials(simulator, password="sandbox"))
    with pytest.raises(UnknownLocation, match="no datacenter DC1"):
        adapter.images(good, "DC1")
    with pytest.raises(ImageNotFound, match="any other datacenter"):
        adapter.describe(good, Locator("DC0", ABSENT))
    with pytest.raises(ImageNotFound, match=r"in F0/DC1, but it exists in DC0\. Choose") as caught:
        adapter.describe(good, Locator("F0/DC1", GOLDEN.image_id))
    assert caught.value.found_in == ("DC0",)


def test_an_ended_session_is_replaced(adapter: VMware, good: CredentialValues) -> None:
    """After the end of a session, the simulator answers as vCenter does: with empty objects."""
    before = adapter.images(good, "DC0")
    session = adapter._sessions._get(good)
    session.content.sessionManager.Logout()
    with pytest.raises(vim.fault.NotAuthenticated):
        inventory._read(session, *_names_of(session))
    assert adapter.images(good, "DC0") == before
    adapter._sessions._get(good).end()
    assert adapter.describe(good, GOLDEN).name == "ubuntu-24.04 / base"
    adapter._sessions._get(good).end()
    assert len(adapter.locations(good)) == 2


def _names_of(session: sdk.Session) -> tuple[list[Any], list[Any]]:
    objects = [inventory.Query.ObjectSpec(obj=session.content.rootFolder)]
    return objects, [inventory._properties(vim.Folder, ["name"])]


def test_concurrent_look_ups_agree(adapter: VMware, good: CredentialValues) -> None:
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: adapter.describe(good, GOLDEN), range(24)))
    assert len(set(found)) == 1


def test_a_deleted_machine_does_not_affect_the_others(
    adapter: VMware, good: CredentialValues
) -> None:
    session = adapter._sessions._get(good)
    deleted = vim.VirtualMachine("vm-99999", session.content.rootFolder._stub)
    machine = session.content.searchIndex.FindByUuid(None, GOLDEN.image_id, True, True)
    objects = [inventory.Query.ObjectSpec(obj=each) for each in (deleted, machine)]
    properties = [inventory._properties(vim.VirtualMachine, ["name"])]
    found, denied = inventory._read(session, objects, properties)
    assert list(found) == [machine]
    assert denied == {}
    none = inventory._read_machine(session, session.content.rootFolder, deleted)
    assert none == inventory.VirtualMachine()


def test_a_template_that_became_a_machine_is_not_an_image(
    adapter: VMware, good: CredentialValues
) -> None:
    session = adapter._sessions._get(good)
    machine = session.content.searchIndex.FindByUuid(None, TEMPLATES[4][1].uuid, True, True)
    pool = vim.ResourcePool("resgroup-1", machine._stub)
    machine.MarkAsVirtualMachine(pool, None)
    try:
        with pytest.raises(
            ImageNotVisible, match="“DC1_C1_RP0_VM0” is a virtual machine, not a template"
        ):
            adapter.describe(good, Locator("F0/DC1", TEMPLATES[4][1].uuid))
        assert len(adapter.images(good, "F0/DC1")) == 2
    finally:
        machine.MarkAsTemplate()


def test_a_template_is_found_after_its_datacenter_was_renamed(
    adapter: VMware, good: CredentialValues
) -> None:
    """vCenter and its simulator store the slash in the new name as %2f."""
    session = adapter._sessions._get(good)
    datacenter = session.content.searchIndex.FindByInventoryPath("DC0")
    try:
        datacenter.Rename_Task("Site A/1")
        renamed = Location("Site A/1", "Site A/1")
        assert adapter.locations(good) == (Location("F0/DC1", "F0/DC1"), renamed)
        assert len(adapter.images(good, renamed.key)) == 3
        with pytest.raises(UnknownLocation, match="no datacenter DC0"):
            adapter.describe(good, GOLDEN)
        found = adapter.describe_again(good, GOLDEN)
        assert (found.location, found.name) == (renamed.key, "ubuntu-24.04 / base")
        again = adapter.describe_again(good, replace(GOLDEN, location=renamed.key))
        assert again == replace(found, location="")
        with pytest.raises((ImageNotFound, ImageNotVisible), match=f"no template {ABSENT} in DC0"):
            adapter.describe_again(good, Locator("DC0", ABSENT))
    finally:
        datacenter.Rename_Task("DC0")
    assert adapter.describe_again(good, GOLDEN).location == ""
    moved = adapter.describe_again(good, replace(GOLDEN, location="F0/DC1"))
    assert moved.location == "DC0"


def test_the_path_of_the_url_is_ignored(adapter: VMware, simulator: str) -> None:
    assert adapter.check(vcsim.credentials(f"{simulator}/ui/")).account == INVENTORY.uuid
    stub = make_stub(vcsim.credentials(f"{simulator}/sdk/"))
    assert stub.path == "/sdk"


Query = Callable[[VMware, CredentialValues], Any]


@pytest.fixture(scope="module")
def both(simulator: str) -> Iterator[tuple[CredentialValues, CredentialValues]]:
    """Return credentials for the simulator, and for the sandbox with the same inventory."""
    with vmware.serve(vmware.VCenter(INVENTORY, vcsim.USER, vcsim.PASSWORD)) as sandbox:
        yield vcsim.credentials(simulator), vcsim.credentials(sandbox)


@pytest.mark.parametrize(
    "query",
    [
        lambda adapter, credentials: adapter.check(credentials),
        lambda adapter, credentials: adapter.locations(credentials),
        lambda adapter, credentials: adapter.images(credentials, "DC0"),
        lambda adapter, credentials: adapter.images(credentials, "F0/DC1"),
    ],
    ids=["check", "locations", "images", "images in a folder"],
)
def test_the_sandbox_answers_as_the_simulator_does(
    adapter: VMware, both: tuple[CredentialValues, CredentialValues], query: Query
) -> None:
    assert query(adapter, both[0]) == query(adapter, both[1])


@pytest.mark.parametrize(("location", "machine"), TEMPLATES, ids=lambda value: str(value)[:20])
def test_the_sandbox_describes_as_the_simulator_does(
    adapter: VMware,
    both: tuple[CredentialValues, CredentialValues],
    location: str,
    machine: Machine,
) -> None:
    """All fields of the details are equal."""
    details: list[ImageDetails] = [
        adapter.describe(credentials, Locator(location, machine.uuid)) for credentials in both
    ]
    assert details[0] == details[1]
    assert details[0].facts
    assert details[0].volumes


@pytest.mark.parametrize(
    "locator",
    [
        Locator("DC0", ABSENT),
        Locator("DC0", TEMPLATES[3][1].uuid),
        Locator("Nowhere", ABSENT),
    ],
)
def test_the_sandbox_refuses_as_the_simulator_does(
    adapter: VMware, both: tuple[CredentialValues, CredentialValues], locator: Locator
) -> None:
    refusals = []
    for credentials in both:
        with pytest.raises((ImageNotFound, UnknownLocation)) as caught:
            adapter.describe(credentials, locator)
        refusals.append((type(caught.value), str(caught.value)))
    assert refusals[0] == refusals[1]


def test_two_thousand_virtual_machines(adapter: VMware, tmp_path: Path) -> None:
    """Forty of the machines are templates. The simulator delays each answer by 5 ms."""
    vcsim.require()
    many = {"datacenters": 1, "clusters": 4, "hosts": 0, "machines": 500, "every": 50, "delay": 5}
    with vcsim.start(tmp_path, flags=many) as url:
        credentials = vcsim.credentials(url)
        found = adapter.images(credentials, "F0/DC0")
        assert len({each.image_id for each in found}) == 40
        details = adapter.describe(credentials, Locator("F0/DC0", found[-1].image_id))
        assert details.name == found[-1].name
    assert not list(tmp_path.glob("govcsim-*"))
