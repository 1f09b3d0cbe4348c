"""A loopback AWS: moto's EC2, SSM and STS, with a small catalog instead of moto's images.

Image IDs never change, so documentation and tests may use them.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

# Set this before importing moto, which would otherwise spend seconds on loading hundreds of AMIs.
os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"

from moto.core.responses import ActionResult
from moto.ec2.models import ec2_backends
from moto.ec2.models.amis import Ami
from moto.ec2.responses.amis import AmisResponse
from moto.moto_server.threaded_moto_server import ThreadedMotoServer
from moto.ssm.models import Parameter, ssm_backends

ACCOUNT = "123456789012"
CANONICAL, DEBIAN, AMAZON, WINDOWS, REDHAT = (
    "099720109477",
    "136693071363",
    "137112412989",
    "801119661308",
    "309956199498",
)
REGIONS = ("us-east-1", "eu-west-1", "us-west-2")


@dataclass(frozen=True)
class Disk:
    """A disk of an image. `size` is in GiB, and `kind` is the EBS volume type."""

    device: str
    size: int
    kind: str = "gp3"
    encrypted: bool = False


@dataclass(frozen=True)
class SandboxImage:
    """An image of the catalog. It has a different ID in each region.

    The last digit of an ID is the index of its region in REGIONS, for example 1 for eu-west-1.
    """

    number: int
    name: str
    description: str
    owner: str
    created: str
    architecture: str = "x86_64"
    platform: str = "Linux/UNIX"
    root: str = "/dev/sda1"
    size: int = 8
    more_disks: tuple[Disk, ...] = ()
    public: bool = True
    shared_with: tuple[str, ...] = ()
    deprecated: str = ""
    state: str = "available"
    regions: tuple[str, ...] = REGIONS

    def id_in(self, region: str) -> str:
        return f"ami-0{self.number:015x}{REGIONS.index(region)}"


def _ubuntu(number: int, version: str, codename: str, arch: str, created: str) -> SandboxImage:
    machine = "arm64" if arch == "arm64" else "x86_64"
    return SandboxImage(
        number,
        f"ubuntu/images/hvm-ssd-gp3/ubuntu-{codename}-{version}-{arch}-server-"
        f"{created[:10].replace('-', '')}",
        f"Canonical, Ubuntu, {version}, {arch} {codename} image",
        CANONICAL,
        created,
        architecture=machine,
    )


NOBLE = _ubuntu(0x2404, "24.04", "noble", "amd64", "2026-10-21T05:12:45Z")
DEBIAN_13 = SandboxImage(
    0x1300,
    "debian-13-amd64-20261012-2262",
    "Debian 13 (20261012-2262)",
    DEBIAN,
    "2026-10-12T17:01:09Z",
    root="/dev/xvda",
)
AMAZON_LINUX = SandboxImage(
    0x2023,
    "al2023-ami-2023.9.20261019.0-kernel-6.12-x86_64",
    "Amazon Linux 2023 AMI 2023.9.20261019.0 x86_64 HVM kernel-6.12",
    AMAZON,
    "2026-10-19T22:10:00Z",
    root="/dev/xvda",
)
WINDOWS_2025 = SandboxImage(
    0x2025,
    "Windows_Server-2025-English-Full-Base-2026.10.15",
    "Microsoft Windows Server 2025 Full Locale English AMI provided by Amazon",
    WINDOWS,
    "2026-10-15T09:20:31Z",
    platform="Windows",
    size=30,
)
ACME_IMAGE = SandboxImage(
    0xACE1,
    "acme-golden-postgres-17",
    "Acme's database image: Ubuntu 24.04 with PostgreSQL 17",
    ACCOUNT,
    "2026-09-30T14:05:00Z",
    size=20,
    more_disks=(Disk("/dev/sdf", 200, "io2", encrypted=True), Disk("/dev/sdg", 50)),
    public=False,
    shared_with=("210987654321",),
)
OLD = SandboxImage(
    0x1404,
    "ubuntu/images/hvm-ssd/ubuntu-trusty-14.04-amd64-server-20190122",
    "Canonical, Ubuntu, 14.04 LTS, amd64 trusty image build on 2019-01-22",
    CANONICAL,
    "2019-01-22T11:40:00Z",
    deprecated="2021-01-22T11:40:00Z",
)
DISABLED = SandboxImage(
    0xACE2,
    "acme-golden-web-2025",
    "Acme's web image of last year",
    ACCOUNT,
    "2025-03-01T08:00:00Z",
    public=False,
    state="disabled",
)
ONLY_IRELAND = SandboxImage(
    0xACE3,
    "acme-golden-web-2026",
    "Acme's web image: Debian 13 with nginx",
    ACCOUNT,
    "2026-08-01T08:00:00Z",
    public=False,
    regions=("eu-west-1",),
)
PARTNER = "210987654321"
PARTNER_IMAGE = SandboxImage(
    0xACE4,
    "globex-appliance-3.2",
    "Globex's appliance, shared with Acme",
    PARTNER,
    "2026-07-15T08:00:00Z",
    public=False,
    shared_with=(ACCOUNT,),
)
CATALOG = (
    NOBLE,
    _ubuntu(0x24A4, "24.04", "noble", "arm64", "2026-10-21T05:14:10Z"),
    _ubuntu(0x2204, "22.04", "jammy", "amd64", "2026-10-20T04:51:00Z"),
    _ubuntu(0x2604, "26.04", "resolute", "amd64", "2026-10-22T06:00:00Z"),
    DEBIAN_13,
    SandboxImage(
        0x1200,
        "debian-12-amd64-20261012-2262",
        "Debian 12 (20261012-2262)",
        DEBIAN,
        "2026-10-12T17:30:40Z",
        root="/dev/xvda",
    ),
    AMAZON_LINUX,
    SandboxImage(
        0x20A3,
        "al2023-ami-2023.9.20261019.0-kernel-6.12-arm64",
        "Amazon Linux 2023 AMI 2023.9.20261019.0 arm64 HVM kernel-6.12",
        AMAZON,
        "2026-10-19T22:12:00Z",
        architecture="arm64",
        root="/dev/xvda",
    ),
    WINDOWS_2025,
    SandboxImage(
        0x2022,
        "Windows_Server-2022-English-Full-Base-2026.10.15",
        "Microsoft Windows Server 2022 Full Locale English AMI provided by Amazon",
        WINDOWS,
        "2026-10-15T09:18:02Z",
        platform="Windows",
        size=30,
    ),
    SandboxImage(
        0x1000,
        "RHEL-10.1.0_HVM-20261001-x86_64-0-Hourly2-GP3",
        "Provided by Red Hat, Inc.",
        REDHAT,
        "2026-10-01T12:00:00Z",
        platform="Red Hat Enterprise Linux",
        size=10,
    ),
    SandboxImage(
        0x0940,
        "RHEL-9.7.0_HVM-20260915-x86_64-0-Hourly2-GP3",
        "Provided by Red Hat, Inc.",
        REDHAT,
        "2026-09-15T12:00:00Z",
        platform="Red Hat Enterprise Linux",
        size=10,
    ),
    ACME_IMAGE,
    OLD,
    DISABLED,
    ONLY_IRELAND,
    PARTNER_IMAGE,
)


@dataclass(frozen=True)
class SandboxParameter:
    """A parameter of SSM. It has one version for each image in `images`, in the same order.

    The value of a version is `template`, with the ID of the image in place of `{}`. `labels` belong
    to the first version.
    """

    name: str
    images: tuple[SandboxImage, ...]
    template: str = "{}"
    kind: str = "String"
    data_type: str = "text"
    labels: tuple[str, ...] = ()


PUBLIC = "/aws/service"
UBUNTU_PARAMETER = f"{PUBLIC}/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id"
PARAMETERS = (
    SandboxParameter(
        f"{PUBLIC}/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64", (AMAZON_LINUX,)
    ),
    SandboxParameter(
        f"{PUBLIC}/ami-windows-latest/Windows_Server-2025-English-Full-Base", (WINDOWS_2025,)
    ),
    SandboxParameter(UBUNTU_PARAMETER, (NOBLE,), data_type="aws:ec2:image"),
    SandboxParameter(
        f"{PUBLIC}/ecs/optimized-ami/amazon-linux-2023/recommended",
        (AMAZON_LINUX,),
        '{{"ecs_agent_version": "1.99.0", "image_id": "{}", "schema_version": 1}}',
    ),
    SandboxParameter("/acme/golden/postgres", (OLD, ACME_IMAGE), labels=("stable",)),
    SandboxParameter("acme-golden", (ACME_IMAGE,), data_type="aws:ec2:image"),
    SandboxParameter("/acme/golden/all", (ACME_IMAGE,), "{},ami-12345678", kind="StringList"),
    SandboxParameter("/acme/database/url", (ACME_IMAGE,), "postgres://acme:hunter2@db/acme"),
    SandboxParameter("/acme/secret", (ACME_IMAGE,), kind="SecureString"),
)


class SandboxAmi(Ami):
    """An image for moto, with disks and a deprecation date, which moto's own images do not have."""

    def __init__(self, backend: Any, image: SandboxImage, region: str) -> None:
        self._image = image
        super().__init__(
            backend,
            image.id_in(region),
            name=image.name,
            description=image.description,
            owner_id=image.owner,
            owner_alias=None if image.owner in {ACCOUNT, PARTNER} else "amazon",
            public=image.public,
            virtualization_type="hvm",
            architecture=image.architecture,
            state=image.state,
            creation_date=_instant(image.created),
            platform="windows" if image.platform == "Windows" else None,
            image_location=f"{image.owner}/{image.name}",
            hypervisor="xen",
            root_device_type="ebs",
            root_device_name=image.root,
            region_name=f"{region}a",
        )
        self.platform_details = image.platform
        self.ena_support = True
        self.imds_support = "v2.0"
        self.launch_permissions += [{"UserId": account} for account in image.shared_with]
        if image.deprecated:
            self.deprecation_time = image.deprecated.replace("Z", ".000Z")

    @property
    def block_device_mappings(self) -> list[dict[str, Any]]:
        disks = (Disk(self._image.root, self._image.size), *self._image.more_disks)
        return [
            {
                "DeviceName": disk.device,
                "Ebs": {
                    "SnapshotId": f"snap-0{self._image.number:014x}{index:02x}",
                    "VolumeSize": disk.size,
                    "VolumeType": disk.kind,
                    "DeleteOnTermination": True,
                    "Encrypted": disk.encrypted,
                },
            }
            for index, disk in enumerate(disks)
        ]


def _describe_images(response: AmisResponse) -> ActionResult:
    """Return the page of images that the request asks for. moto itself ignores MaxResults."""
    all_images = _all_images(response)
    size = int(response._get_param("MaxResults") or 0)  # noqa: SLF001
    if not size:
        return all_images
    first = int(response._get_param("NextToken") or 0)  # noqa: SLF001
    images = cast("dict[str, Any]", all_images.result)["Images"]
    page: dict[str, Any] = {"Images": images[first : first + size]}
    if first + size < len(images):
        page["NextToken"] = str(first + size)
    return ActionResult(page)


_all_images = AmisResponse.describe_images
setattr(AmisResponse, _all_images.__name__, _describe_images)


def fill() -> None:
    """Replace all of moto's images with the images of the catalog, and store PARAMETERS."""
    for region in REGIONS:
        backend = ec2_backends[ACCOUNT][region]
        backend.amis = {
            image.id_in(region): SandboxAmi(backend, image, region)
            for image in CATALOG
            if region in image.regions
        }
        _fill_parameters(region)


def _fill_parameters(region: str) -> None:
    """Store PARAMETERS, and replace moto's parameters that have the same names."""
    stored = ssm_backends[ACCOUNT][region]._parameters  # noqa: SLF001
    for parameter in PARAMETERS:
        # The first access makes moto load its own parameters. Remove those with this name.
        stored[parameter.name].clear()
        stored[parameter.name] += [
            Parameter(  # type: ignore[abstract]
                account_id=ACCOUNT,
                name=parameter.name,
                value=parameter.template.format(image.id_in(region)),
                parameter_type=parameter.kind,
                description=None,
                allowed_pattern=None,
                keyid=None,
                last_modified_date=datetime.now(UTC),
                version=number,
                data_type=parameter.data_type,
                labels=list(parameter.labels) if number == 1 else [],
            )
            for number, image in enumerate(parameter.images, start=1)
        ]


@contextmanager
def start(port: int = 0) -> Iterator[str]:
    """Serve on loopback from a thread of this process, and yield the URL."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # By default it logs each request.
    fill()
    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    host, bound_port = server.get_host_and_port()
    try:
        yield f"http://{host}:{bound_port}"
    finally:
        server.stop()


def credentials(url: str) -> dict[str, str]:
    """Return credentials for the sandbox, which accepts any key."""
    return {
        "access_key_id": "AKIASANDBOXSANDBOX00",
        "secret_access_key": "sandbox",
        "session_token": "",
        "role_arn": "",
        "partition": "aws",
        "sign_in_region": "",
        "endpoint_url": url,
        "ca": "",
    }


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None)
