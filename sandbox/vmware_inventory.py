"""Classes for the inventory of a loopback vCenter, and the inventory of the sandbox.

Instance UUIDs never change, so documentation and tests may use them.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True)
class Disk:
    """A disk of a virtual machine.

    `kind` is "thin", "thick" or "zeroed" (a thick disk that is filled with zeros in advance).
    """

    gb: float
    kind: str = "thin"
    encrypted: bool = False
    label: str = ""
    """The label, or '' for the default label, such as “Hard disk 1”."""


@dataclass(frozen=True)
class Machine:
    """A virtual machine, or a template."""

    uuid: str
    name: str
    host: str
    """The name of one of the datacenter's hosts."""
    guest_id: str = "other6xLinux64Guest"
    guest_name: str = "Other 6.x or later Linux (64-bit)"
    annotation: str = ""
    folder: str = ""
    """The path below the datacenter's folder of virtual machines."""
    disks: tuple[Disk, ...] = (Disk(16),)
    cpus: int = 2
    memory_mb: int = 4096
    tools: int | None = 12 * 1024 + 5 * 32
    """The version of VMware Tools as one number, by default 12.5.0. It is 0 if the tools are not
    installed, and None if the vCenter does not report the version."""
    tools_status: str = "toolsNotRunning"
    version: str = "vmx-19"
    firmware: str = "efi"
    datastore: str = "vsanDatastore"
    created: str = ""
    """The creation date in ISO 8601, or ''."""
    is_template: bool = True


@dataclass(frozen=True)
class Resource:
    """A compute resource: either a cluster, or a single host.

    If it is a single host, the name of the host is also the name of the compute resource.
    """

    path: str
    """The path below the datacenter's folder of hosts."""
    hosts: tuple[str, ...]
    is_cluster: bool = True


@dataclass(frozen=True)
class Datacenter:
    path: str
    resources: tuple[Resource, ...]
    machines: tuple[Machine, ...]


@dataclass(frozen=True)
class Inventory:
    uuid: str
    full_name: str
    api_version: str
    datacenters: tuple[Datacenter, ...]


def _uuid(number: int) -> str:
    return str(UUID(int=0x501E << 112 | 0x4C5D << 64 | 0x8091 << 48 | number))


_CLUSTER_A = tuple(f"esx-a{number}.example.com" for number in (1, 2, 3))
_CLUSTER_B = tuple(f"esx-b{number}.example.com" for number in (1, 2))
_EDGE = "esx-edge.example.com"
_LAB = "esx-lab1.example.com"

UBUNTU = Machine(
    _uuid(0x2404),
    "ubuntu-24.04-server-2026-10",
    _CLUSTER_A[0],
    "ubuntu64Guest",
    "Ubuntu Linux (64-bit)",
    "Ubuntu Server 24.04 LTS with open-vm-tools and cloud-init",
    "Templates",
    created="2026-10-21T05:12:45Z",
)
DEBIAN = Machine(
    _uuid(0x1300),
    "debian-13-base",
    _CLUSTER_A[1],
    "debian13_64Guest",
    "Debian GNU/Linux 13 (64-bit)",
    folder="Templates",
    disks=(Disk(20),),
    created="2026-10-12T17:01:09Z",
)
ROCKY = Machine(
    _uuid(0x0900),
    "rocky-9-hardened",
    _CLUSTER_B[0],
    "rockylinux_64Guest",
    "Rocky Linux (64-bit)",
    "Rocky Linux 9.7, hardened after CIS level 2",
    "Templates/Hardened",
    disks=(Disk(30, "thick"), Disk(100, "zeroed", encrypted=True)),
    created="2026-09-15T12:00:00Z",
)
WINDOWS = Machine(
    _uuid(0x2025),
    "win2025-datacenter",
    _CLUSTER_B[1],
    "windows2022srvNext_64Guest",
    "Microsoft Windows Server 2025 (64-bit)",
    folder="Templates",
    disks=(Disk(90),),
    cpus=4,
    memory_mb=8192,
    version="vmx-21",
    created="2026-10-15T09:20:31Z",
)
OLD_TOOLS = Machine(
    _uuid(0x0065),
    "centos-6.5-legacy",
    _EDGE,
    "centos64Guest",
    "CentOS 4/5/6 (64-bit)",
    "CentOS 6.5 for the old billing system",
    disks=(Disk(10, "thick"),),
    cpus=1,
    memory_mb=2048,
    tools=9 * 1024 + 4 * 32 + 15,
    tools_status="toolsOld",
    version="vmx-09",
    firmware="bios",
    datastore="edge-local",
)
NO_TOOLS = Machine(
    _uuid(0x0143),
    "appliance-freebsd-14",
    _EDGE,
    "freebsd14_64Guest",
    "FreeBSD 14 or later versions (64-bit)",
    disks=(Disk(8.5),),
    cpus=1,
    memory_mb=1536,
    tools=0,
    tools_status="toolsNotInstalled",
    firmware="bios",
    datastore="edge-local",
    created="2026-05-02T08:00:00Z",
)
SLASH_IN_NAME = Machine(
    _uuid(0x0156),
    "sles-15-sp6 %2f sap",
    _CLUSTER_A[2],
    "sles15_64Guest",
    "SUSE Linux Enterprise 15 (64-bit)",
    "SLES 15 SP6 for SAP",
    "Templates",
    disks=(Disk(60), Disk(200)),
    cpus=8,
    memory_mb=65536,
    tools=2**31 - 1,
    created="2026-06-30T14:05:00Z",
)
"""A template with a slash in its name, which a vCenter writes as %2f.

The number for the version of its VMware Tools means that the version is unknown."""
LAB = Machine(
    _uuid(0x0042),
    "photon-5-lab",
    _LAB,
    "vmwarePhoton64Guest",
    "VMware Photon OS (64-bit)",
    "Photon OS 5.0",
    disks=(Disk(16),),
    datastore="lab-local",
    created="2026-08-01T08:00:00Z",
)
LAB_TWIN = Machine(
    _uuid(0x0043),
    UBUNTU.name,
    _LAB,
    UBUNTU.guest_id,
    UBUNTU.guest_name,
    "The lab's own copy",
    datastore="lab-local",
    created="2026-10-22T08:00:00Z",
)
NOT_A_TEMPLATE = Machine(
    _uuid(0xACE1), "web-01", _CLUSTER_A[0], "ubuntu64Guest", "Ubuntu Linux (64-bit)",
    is_template=False,
)  # fmt: skip
"""A virtual machine that is not a template."""

COPENHAGEN = Datacenter(
    "Copenhagen",
    (
        Resource("Cluster A", _CLUSTER_A),
        Resource("Cluster B", _CLUSTER_B),
        Resource(f"Edge/{_EDGE}", (_EDGE,), is_cluster=False),
    ),
    (
        *(UBUNTU, DEBIAN, ROCKY, WINDOWS, OLD_TOOLS, NO_TOOLS, SLASH_IN_NAME, NOT_A_TEMPLATE),
        *(
            Machine(_uuid(0xACE1 + number), f"web-{number:02}", _CLUSTER_A[0], is_template=False)
            for number in range(2, 10)
        ),
    ),
)
AARHUS = Datacenter("Labs/Aarhus", (Resource(_LAB, (_LAB,), is_cluster=False),), (LAB, LAB_TWIN))
"""A datacenter in a folder."""
INVENTORY = Inventory(
    "6f1c0c5f-9d0b-4b2e-8a7d-3c5e1f2a4b60",
    "VMware vCenter Server 8.0.3 build-24322831",
    "8.0.3.0",
    (COPENHAGEN, AARHUS),
)


def templates(datacenter: Datacenter) -> tuple[Machine, ...]:
    return tuple(machine for machine in datacenter.machines if machine.is_template)
