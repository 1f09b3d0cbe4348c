"""The VMware adapter against the sandbox's vCenter, over a socket."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from sandbox import tls, vmware
from sandbox.vmware_inventory import (
    AARHUS,
    COPENHAGEN,
    DEBIAN,
    INVENTORY,
    LAB,
    NO_TOOLS,
    NOT_A_TEMPLATE,
    OLD_TOOLS,
    ROCKY,
    SLASH_IN_NAME,
    UBUNTU,
    WINDOWS,
    Machine,
    templates,
)
from tests.clouds.helpers import fact
from tests.clouds.vmware import answers
from webapp.clouds.credentials import CredentialValues, Identity
from webapp.clouds.details import ImageDetails, ImageState
from webapp.clouds.errors import (
    ImageNotFound,
    ImageNotVisible,
    InvalidCredentials,
    InvalidImageId,
    UnknownLocation,
)
from webapp.clouds.locators import ListedImage, Location, Locator
from webapp.clouds.vmware.adapter import VMware
from webapp.clouds.vmware.details import image_details, listed_images, unescape_name
from webapp.clouds.vmware.inventory import Template, VirtualMachine
from webapp.images import operating_systems

TEMPLATES = [
    (datacenter, template)
    for datacenter in (COPENHAGEN, AARHUS)
    for template in templates(datacenter)
]


@pytest.fixture(scope="module")
def vcenter() -> vmware.VCenter:
    return answers.vcenter()


@pytest.fixture(scope="module")
def good(vcenter: vmware.VCenter) -> Iterator[CredentialValues]:
    with vmware.serve(vcenter) as url:
        yield answers.credentials(url)


@pytest.mark.parametrize(("datacenter", "machine"), TEMPLATES, ids=lambda value: str(value)[:30])
def test_every_template_of_the_sandbox(
    adapter: VMware, good: CredentialValues, datacenter: Any, machine: Machine
) -> None:
    details = adapter.describe(good, Locator(datacenter.path, machine.uuid))
    assert details.name == machine.name.replace("%2f", "/")
    assert details.description == machine.annotation
    assert details.architecture == "x86_64"
    assert details.state is ImageState.AVAILABLE
    assert details.size_gb == -(-machine.disks[0].gb // 1)
    created = datetime.fromisoformat(machine.created) if machine.created else None
    assert details.created_at == created
    assert fact(details, "guest") == machine.guest_name
    assert fact(details, "host") == machine.host
    assert fact(details, "hardware") == machine.version
    assert fact(details, "datastore") == machine.datastore
    assert (fact(details, "folder") or "") == machine.folder
    assert fact(details, "firmware") == machine.firmware.upper()
    assert details.compute_resources == tuple(sorted(each.path for each in datacenter.resources))
    resource = next(each.path for each in datacenter.resources if machine.host in each.hosts)
    assert fact(details, "compute_resource") == resource
    assert [each.root for each in details.volumes] == [True, *[False] * (len(machine.disks) - 1)]


def test_the_disks_of_a_template(adapter: VMware, good: CredentialValues) -> None:
    details = adapter.describe(good, Locator(COPENHAGEN.path, ROCKY.uuid))
    assert [(v.device, v.kind, v.size_gb, v.encrypted, v.root) for v in details.volumes] == [
        ("Hard disk 1", "thick", 30, False, True),
        ("Hard disk 2", "thick, zeroed", 100, True, False),
    ]


@pytest.mark.parametrize(
    ("machine", "shown", "warning"),
    [
        (UBUNTU, "12.5.0", ""),
        (SLASH_IN_NAME, "Version not reported", ""),
        (
            OLD_TOOLS,
            "9.4.15, Out of date",
            "VMware Tools 9.4.15, but servers need version 9.10.0 or later",
        ),
        (NO_TOOLS, "Not installed", "isn’t installed in this template"),
    ],
    ids=lambda each: getattr(each, "name", None),
)
def test_outdated_and_missing_tools_are_a_warning(
    adapter: VMware, good: CredentialValues, machine: Machine, shown: str, warning: str
) -> None:
    details = adapter.describe(good, Locator(COPENHAGEN.path, machine.uuid))
    assert fact(details, "tools") == shown
    assert len(details.warnings) == bool(warning)
    assert all(warning in each for each in details.warnings)


@pytest.mark.parametrize(
    ("machine", "family", "version"),
    [
        (UBUNTU, "ubuntu", "24.04"),
        (DEBIAN, "debian", "13"),
        (ROCKY, "rocky", "9"),
        (WINDOWS, "windows-server", "2025"),
        (OLD_TOOLS, "centos", "6"),
        (SLASH_IN_NAME, "sles", "15-sp6"),
        (LAB, "photon", "5"),
    ],
    ids=lambda each: getattr(each, "name", None),
)
def test_the_suggested_operating_system(
    adapter: VMware, good: CredentialValues, machine: Machine, family: str, version: str
) -> None:
    datacenter = AARHUS if machine is LAB else COPENHAGEN
    details = adapter.describe(good, Locator(datacenter.path, machine.uuid))
    suggested = operating_systems.suggest(details.os_texts)
    assert suggested is not None
    assert (suggested.family, suggested.version) == (family, version)


def test_the_check_names_the_user_and_the_vcenter(adapter: VMware, good: CredentialValues) -> None:
    line = f"{vmware.USER} at VMware vCenter Server 8.0.3 build-24322831"
    assert adapter.check(good) == Identity(INVENTORY.uuid, line)


def test_datacenters_in_folders_are_listed(adapter: VMware, good: CredentialValues) -> None:
    found = adapter.locations(good)
    assert found == (Location("Copenhagen", "Copenhagen"), Location("Labs/Aarhus", "Labs/Aarhus"))
    assert adapter.default_locations({}) == ()


def test_templates_are_listed_by_name(adapter: VMware, good: CredentialValues) -> None:
    found = adapter.images(good, COPENHAGEN.path)
    assert [each.name for each in found] == [
        "appliance-freebsd-14",
        "centos-6.5-legacy",
        "debian-13-base",
        "rocky-9-hardened",
        "sles-15-sp6 / sap",
        "ubuntu-24.04-server-2026-10",
        "win2025-datacenter",
    ]
    assert {each.image_id for each in found} == {each.uuid for each in templates(COPENHAGEN)}


def test_the_number_of_calls_is_minimal(vcenter: vmware.VCenter, good: CredentialValues) -> None:
    """The number of calls depends only on the number of pages of the sandbox's answer."""
    adapter = VMware()
    adapter.check(good)
    vcenter.calls.clear()
    adapter.images(good, COPENHAGEN.path)
    pages = len(COPENHAGEN.machines) // vmware.OBJECTS_PER_PAGE + 1
    assert pages > 2
    assert vcenter.calls == [
        "FindByInventoryPath",
        "CreateContainerView",
        "RetrievePropertiesEx",
        *["ContinueRetrievePropertiesEx"] * (pages - 1),
        "DestroyView",
    ]
    vcenter.calls.clear()
    adapter.describe(good, Locator(AARHUS.path, LAB.uuid))
    assert [each for each in vcenter.calls if each != "ContinueRetrievePropertiesEx"] == [
        "FindByInventoryPath",
        "FindByUuid",
        "RetrievePropertiesEx",
        "RetrievePropertiesEx",
    ]


def test_templates_with_the_same_name_show_their_folder(adapter: VMware) -> None:
    twins = tuple(
        replace(UBUNTU, uuid=f"501e0000-0000-4c5d-8091-00000000000{number}", folder=folder)
        for number, folder in enumerate(("Old", "New", "New/a %2f b", ""))
    )
    inventory = replace(INVENTORY, datacenters=(replace(COPENHAGEN, machines=(*twins, DEBIAN)),))
    with vmware.serve(vmware.VCenter(inventory)) as url:
        found = adapter.images(CredentialValues(vmware.credentials(url)), COPENHAGEN.path)
    assert [each.name for each in found] == [
        "debian-13-base",
        "ubuntu-24.04-server-2026-10 (in the folder a / b)",
        "ubuntu-24.04-server-2026-10 (in the folder New)",
        "ubuntu-24.04-server-2026-10 (in the folder Old)",
        "ubuntu-24.04-server-2026-10 (in the folder vm)",
    ]


def test_templates_with_the_same_name_are_not_found_by_their_name(adapter: VMware) -> None:
    twins = tuple(
        replace(UBUNTU, uuid=f"501e0000-0000-4c5d-8091-00000000000{number}", folder=folder)
        for number, folder in enumerate(("Old", "New"))
    )
    inventory = replace(INVENTORY, datacenters=(replace(COPENHAGEN, machines=(*twins, DEBIAN)),))
    with vmware.serve(vmware.VCenter(inventory)) as url:
        good = CredentialValues(vmware.credentials(url))
        assert adapter.find_image_id(good, COPENHAGEN.path, DEBIAN.name) == DEBIAN.uuid
        with pytest.raises(InvalidImageId, match="Copenhagen has 2 templates named"):
            adapter.find_image_id(good, COPENHAGEN.path, UBUNTU.name)


def test_templates_with_the_same_name_and_folder_show_their_id() -> None:
    same = [Template("b", "one", "Old"), Template("a", "one", "Old"), Template("c", "Two")]
    assert listed_images(same) == (
        ListedImage("a", "one (a)"),
        ListedImage("b", "one (b)"),
        ListedImage("c", "Two"),
    )


def test_wrong_and_unknown_datacenters_are_reported(
    adapter: VMware, good: CredentialValues
) -> None:
    with pytest.raises(
        ImageNotFound, match="in Copenhagen, but it exists in Labs/Aarhus"
    ) as caught:
        adapter.describe(good, Locator(COPENHAGEN.path, LAB.uuid))
    assert caught.value.found_in == ("Labs/Aarhus",)
    for location in ("Atlantis", "Labs", "", "Copenhagen/vm"):
        with pytest.raises(UnknownLocation, match="The vCenter has no datacenter"):
            adapter.describe(good, Locator(location, UBUNTU.uuid))
        with pytest.raises(UnknownLocation):
            adapter.images(good, location)


def test_a_virtual_machine_is_not_an_image(adapter: VMware, good: CredentialValues) -> None:
    with pytest.raises(ImageNotVisible, match="“web-01” is a virtual machine, not a template"):
        adapter.describe(good, Locator(COPENHAGEN.path, NOT_A_TEMPLATE.uuid))


def test_there_is_no_console_link(adapter: VMware) -> None:
    assert adapter.console_url({}, Locator(COPENHAGEN.path, UBUNTU.uuid)) == ""


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"vcenter_url": "http://vcenter.example.com"}, "vcenter_url", "only https"),
        (
            {"vcenter_url": "https://vcenter.example.com?x=1"},
            "vcenter_url",
            "only the URL of the vCenter",
        ),
        (
            {"vcenter_url": "https://me@vcenter.example.com"},
            "vcenter_url",
            "only the URL of the vCenter",
        ),
        (
            {"vcenter_url": "https://vcenter.example.com:x"},
            "vcenter_url",
            "only the URL of the vCenter",
        ),
        ({"vcenter_url": "https://"}, "vcenter_url", "only the URL of the vCenter"),
        ({"verification": "thumbprint"}, "thumbprint", "has 64 hexadecimal digits"),
        (
            {"verification": "thumbprint", "thumbprint": "12:34"},
            "thumbprint",
            "has 64 hexadecimal digits",
        ),
        ({"ca": "nonsense"}, "ca", "isn’t a certificate in PEM form"),
        ({"ca": "-----BEGIN PRIVATE KEY-----"}, "ca", "contains a private key"),
    ],
)
def test_invalid_values_are_refused_at_their_field(
    adapter: VMware, changes: dict[str, str], field: str, words: str
) -> None:
    values = {**vmware.credentials("https://vcenter.example.com"), **changes}
    with pytest.raises(InvalidCredentials, match=words) as caught:
        adapter.validate(values)
    assert caught.value.field == field


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"ca": ""},
        {"vcenter_url": "https://vcenter.example.com/ui/"},
        {"vcenter_url": "https://[2001:db8::1]:8443"},
        {"verification": "thumbprint", "thumbprint": ":".join(["1A"] * 20)},
        {"verification": "off"},
        {"verification": ""},
    ],
)
def test_valid_values_are_accepted(adapter: VMware, changes: dict[str, str]) -> None:
    adapter.validate({**vmware.credentials("https://vcenter.example.com"), **changes})
    assert tls.authority().pem == vmware.credentials("")["ca"]


def details_of(**fields: Any) -> ImageDetails:
    """Return the details of a machine with only these properties. `__` stands for a dot."""
    properties = {name.replace("__", "."): value for name, value in fields.items()}
    return image_details(VirtualMachine("DC0", properties=properties))


def test_a_template_with_few_properties_is_described() -> None:
    details = details_of(name="x")
    assert details.facts == ()
    assert details.volumes == ()
    assert (details.size_gb, details.created_at, details.architecture) == (None, None, "")
    assert details.os_texts == ("x",)
    assert "doesn’t report whether VMware Tools is installed" in details.warnings[0]


@pytest.mark.parametrize(
    ("properties", "shown"),
    [
        ({"config__tools__toolsVersion": 10272}, "10.1.0"),
        ({"config__tools__toolsVersion": 9536}, "9.10.0"),
        ({"guest__toolsVersion": "12389"}, "12.3.5"),
        ({"config__tools__toolsVersion": 0, "guest__toolsVersion": "12389"}, "12.3.5"),
        ({"config__tools__toolsVersion": 12389, "guest__toolsStatus": "toolsOk"}, "12.3.5, Up to"),
        ({"guest__toolsStatus": "toolsNotInstalled"}, "Not installed"),
        ({"guest__toolsVersion": "²", "guest__toolsStatus": "toolsOk"}, "Up to date"),
    ],
)
def test_versions_of_tools_are_formatted(properties: dict[str, Any], shown: str) -> None:
    found = fact(details_of(**properties), "tools")
    assert found is not None
    assert found.startswith(shown)


@pytest.mark.parametrize(
    ("guest_id", "full_name", "architecture"),
    [
        ("ubuntu64Guest", "Ubuntu Linux (64-bit)", "x86_64"),
        ("windows9_64Guest", "Microsoft Windows 10 (64-bit)", "x86_64"),
        ("windows9Guest", "Microsoft Windows 10 (32-bit)", "i386"),
        ("armUbuntu64Guest", "Ubuntu Linux (64-bit) ARM", "arm64"),
        ("otherGuest", "", ""),
        ("", "Ubuntu Linux (64-bit)", "x86_64"),
    ],
)
def test_architectures_are_derived_from_the_guest(
    guest_id: str, full_name: str, architecture: str
) -> None:
    details = details_of(config__guestId=guest_id, config__guestFullName=full_name)
    assert details.architecture == architecture


def test_disks_of_every_kind_are_read() -> None:
    label = SimpleNamespace(label="Hard disk 1")
    raw = SimpleNamespace(compatibilityMode="physicalMode")
    devices = [
        SimpleNamespace(label="a drive without a capacity"),
        SimpleNamespace(deviceInfo=label, capacityInKB=1, capacityInBytes=None, backing=raw),
        SimpleNamespace(capacityInKB=0, capacityInBytes=2**30 + 1, backing=SimpleNamespace()),
        SimpleNamespace(capacityInKB=0),
    ]
    volumes = details_of(config__hardware__device=devices).volumes
    assert [(v.device, v.kind, v.size_gb, v.encrypted, v.root) for v in volumes] == [
        ("Hard disk 1", "raw device", 1, False, True),
        ("Disk 2", "", 2, False, False),
        ("Disk 3", "", None, None, False),
    ]


@pytest.mark.parametrize(
    ("value", "created"),
    [
        (datetime(1970, 1, 1, tzinfo=UTC), None),
        (datetime(2026, 1, 2, 3, 4), datetime(2026, 1, 2, 3, 4, tzinfo=UTC)),  # noqa: DTZ001
        ("yesterday", None),
    ],
)
def test_invalid_dates_are_left_out(value: Any, created: datetime | None) -> None:
    assert details_of(config__createDate=value).created_at == created


@pytest.mark.parametrize(
    ("name", "shown"),
    [("a%2fb", "a/b"), ("a%5Cb", "a\\b"), ("100%25", "100%"), ("%252f", "%2f"), ("%41", "%41")],
)
def test_names_are_decoded_once(name: str, shown: str) -> None:
    assert unescape_name(name) == shown
    assert details_of(name=name).name == shown
