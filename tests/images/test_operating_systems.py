"""Operating systems: what a cloud's own texts suggest, and how versions are sorted."""

from __future__ import annotations

import itertools
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapp.images import operating_systems
from webapp.images.operating_systems import (
    FAMILIES,
    OTHER,
    TEXT_LENGTH,
    Suggestion,
    label,
    suggest,
    version_key,
)

NAMES = {
    # AWS: names and descriptions.
    "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20260101": ("ubuntu", "24.04"),
    "ubuntu-minimal/images/hvm-ssd/ubuntu-focal-20.04-amd64-minimal-2024": ("ubuntu", "20.04"),
    "Canonical, Ubuntu, 22.04 LTS, amd64 jammy image build on 2024-01-01": ("ubuntu", "22.04"),
    "Ubuntu-1604-base-201804181847": ("ubuntu", "16.04"),
    "My-Ubuntu1804-Image": ("ubuntu", "18.04"),
    "debian-12-amd64-20260101-1234": ("debian", "12"),
    "debian-13-genericcloud": ("debian", "13"),
    "debian-12-amd64-10": ("debian", "12"),
    "amzn2-ami-hvm-2.0.20190218-x86_64-gp2": ("amazon-linux", "2"),
    "amzn-ami-hvm-2018.03.0.20200602.1-x86_64-gp2": ("amazon-linux", "2018.03"),
    "amzn-ami-vpc-nat-hvm-2016.09.1.20170119-x86_64-ebs": ("amazon-linux", "2016.09"),
    "al2023-ami-2023.6.20250101.0-kernel-6.1-x86_64": ("amazon-linux", "2023"),
    "Amazon Linux 2023 AMI": ("amazon-linux", "2023"),
    "Amazon Linux 2 Kernel 5.10 AMI 2.0.20240131.0 x86_64 HVM gp2": ("amazon-linux", "2"),
    "amazon-eks-node-al2023-x86_64-standard-1.33-v20260101": ("amazon-linux", "2023"),
    "My-AmazonLinux2-Image": ("amazon-linux", "2"),
    "amzn-ec2-macos-14.5-20240528-101217-arm64": ("macos", "14"),
    "Windows_Server-2022-English-Full-Base-2026.01.14": ("windows-server", "2022"),
    "Windows_Server-2012-R2_RTM-English": ("windows-server", "2012-r2"),
    "Windows_Server-2022-English-Full-SQL_2019_Standard-2026.01.14": ("windows-server", "2022"),
    "Windows_Server-1809-English-Core-2019.05.15": ("windows-server", "1809"),
    "base-windows2016-25092017": ("windows-server", "2016"),
    "RHEL-9.4.0_HVM-20240423-x86_64": ("rhel", "9.4"),
    "RHEL-SAP-8.10.0_HVM-20240423-x86_64": ("rhel", "8.10"),
    "base-centos7-no-selinux-201807061228": ("centos", "7"),
    "CentOS Linux 7 x86_64 HVM EBS ENA 1901_01": ("centos", "7"),
    "CentOS-Stream-ec2-9-20260101.0.x86_64": ("centos-stream", "9"),
    "Rocky-9-EC2-Base-9.4-20240509.0.x86_64": ("rocky", "9"),
    "AlmaLinux OS 9.4.20240507 x86_64": ("almalinux", "9"),
    "OL9.4-x86_64-HVM-2024-05-29": ("oracle", "9.4"),
    "suse-sles-15-sp6-v20250101-hvm-ssd-x86_64": ("sles", "15-sp6"),
    "Fedora-Cloud-Base-AmazonEC2.x86_64-43-1.6": ("fedora", "43"),
    "bottlerocket-aws-k8s-1.29-x86_64-v1.20.0-fcdf32d9": ("bottlerocket", "1"),
    "FreeBSD 14.1-RELEASE-amd64 UEFI": ("freebsd", "14.1"),
    "alpine-3.19.1-x86_64-bios-tiny-r0": ("alpine", "3.19"),
    # Google Compute Engine: names, families, licenses, descriptions.
    "ubuntu-2404-noble-amd64-v20260101": ("ubuntu", "24.04"),
    "ubuntu-minimal-2604-lts": ("ubuntu", "26.04"),
    "base64-ubuntu-14-04-1456237068": ("ubuntu", "14.04"),
    "Debian, Debian GNU/Linux, 12 (bookworm), amd64 built on 20250212": ("debian", "12"),
    "rhel-9-v20260101": ("rhel", "9"),
    "rhel-9-4-sap-v20260101": ("rhel", "9.4"),
    "centos-stream-9": ("centos-stream", "9"),
    "CentOS, CentOS, Stream 9, x86_64 built on 20260101": ("centos-stream", "9"),
    "rocky-linux-9-optimized-gcp": ("rocky", "9"),
    "opensuse-leap-15-6-v20260101-x86-64": ("opensuse", "15.6"),
    "windows-server-2022-dc-v20260101": ("windows-server", "2022"),
    "windows-server-20h2-dc-core-v20210101": ("windows-server", "20h2"),
    "sql-2014-enterprise-windows-2016-dc-v20180313": ("windows-server", "2016"),
    "sql-std-2019-win-2022": ("windows-server", "2022"),
    "cos-121-lts": ("cos", "121"),
    "cos-stable-63-10032-88-0": ("cos", "63"),
    "fedora-coreos-43-20260101-3-0-gcp-x86-64": ("fedora-coreos", "43"),
    "coreos-stable-1520-5-0-v20171011": ("coreos", "stable"),
    "Google, Container-Optimized OS, 121-18867.294.22 LTS": ("cos", "121"),
    "ubuntu-pro-fips-updates-2204-jammy-v20261110": ("ubuntu", "22.04"),
    "ubuntu-accelerator-2404-amd64-with-nvidia-570-v20261110": ("ubuntu", "24.04"),
    "fedora-cloud-base-gcp-43-1-6-x86-64": ("fedora", "43"),
    "almalinux-10-arm64-v20261110": ("almalinux", "10"),
    "hpc-rocky-linux-8-v20261110": ("rocky", "8"),
    "oracle-linux-9-v20261110": ("oracle", "9"),
    "sles-sap-15-sp6": ("sles", "15-sp6"),
    "flatcar-lts-4081-3-6": ("flatcar", "lts"),
    "freebsd-14-3-release-amd64-ufs": ("freebsd", "14.3"),
    # Azure: publisher, offer and SKU.
    "Canonical UbuntuServer 16.04-LTS": ("ubuntu", "16.04"),
    "Canonical 0001-com-ubuntu-server-jammy 22_04-lts-gen2": ("ubuntu", "22.04"),
    "Canonical ubuntu-24_04-lts server": ("ubuntu", "24.04"),
    "Debian debian-11 11-backports-gen2": ("debian", "11"),
    "MicrosoftWindowsServer WindowsServer 2019-Datacenter": ("windows-server", "2019"),
    "MicrosoftWindowsServer windows-cvm 2022-datacenter-cvm": ("windows-server", "2022"),
    "WindowsServerSemiAnnual Datacenter-Core-1709-smalldisk": ("windows-server", "1709"),
    "MicrosoftSQLServer sql2019-ws2022 standard": ("windows-server", "2022"),
    "MicrosoftSQLServer SQL2014SP2-WS2012R2 Enterprise": ("windows-server", "2012-r2"),
    "MicrosoftWindowsDesktop office-365 win11-23h2-avd-m365": ("windows-client", "11"),
    "RedHat RHEL 94_gen2": ("rhel", "9.4"),
    "RedHat RHEL 810-gen2": ("rhel", "8.10"),
    "RedHat RHEL 7lvm-gen2": ("rhel", "7"),
    "RedHat rhel-byos rhel-lvm88": ("rhel", "8.8"),
    "OpenLogic CentOS 7_9-gen2": ("centos", "7"),
    "Oracle Oracle-Linux ol94-lvm-gen2": ("oracle", "9.4"),
    "almalinux almalinux-x86_64 9-gen2": ("almalinux", "9"),
    "almalinux almalinux-arm 9-arm-gen2": ("almalinux", "9"),
    "RedHat rhel-sap-ha 92sapha-gen2": ("rhel", "9.2"),
    "SUSE sles-sap-15-sp6-byos gen2": ("sles", "15-sp6"),
    "thefreebsdfoundation freebsd-14_2 14_2-release-amd64-gen2-zfs": ("freebsd", "14.2"),
    "resf rockylinux-x86_64 9-base": ("rocky", "9"),
    "SUSE sles-15-sp5 gen2": ("sles", "15-sp5"),
    "SUSE openSUSE-leap-15-4 gen2": ("opensuse", "15.4"),
    "kinvolk flatcar-container-linux-free stable-gen2": ("flatcar", "stable"),
    "MicrosoftCBLMariner cbl-mariner cbl-mariner-2-gen2": ("azure-linux", "2"),
    # OpenStack: os_distro and os_version, and names.
    "ubuntu 24.04": ("ubuntu", "24.04"),
    "sles 15.5": ("sles", "15-sp5"),
    "windows 2012r2": ("windows-server", "2012-r2"),
    "windows 10": ("windows-client", "10"),
    "win2k19": ("windows-server", "2019"),
    "noble-server-cloudimg-amd64": ("ubuntu", "24.04"),
    "jammy-22.04-base": ("ubuntu", "22.04"),
    "bookworm": ("debian", "12"),
    # VMware: guest IDs and names.
    "ubuntu64Guest": ("ubuntu", ""),
    "rhel9_64Guest": ("rhel", "9"),
    "Red Hat Enterprise Linux 9 (64-bit)": ("rhel", "9"),
    "debian12_64Guest": ("debian", "12"),
    "windows2019srv_64Guest": ("windows-server", "2019"),
    "windows2019srvNext_64Guest": ("windows-server", "2022"),
    "windows9_64Guest": ("windows-client", "10"),
    "windows7Server64Guest": ("windows-server", "2008-r2"),
    "Debian GNU/Linux 12 (64-bit)": ("debian", "12"),
    "VMware Photon OS (64-bit)": ("photon", ""),
}
# Texts that name a family and contain a number that may not be its version.
NO_VERSION = [
    "ubuntu-20260101",
    "Ubuntu based, with Python 3.10",
    "Ubuntu 20.04, upgraded to Ubuntu 22.04",
    "ubuntu-focal-22.04",
    "Debian with Postgres 12",
    "postgres-12-debian",
    "debian-app-20260101-9",
    "debian-2026-01-12",
    "centos-kernel-5.4",
    "CentOS 4/5 or later (64-bit)",
    "golden-2016-windows",
    "Windows with SQL Server 2019",
    "Windows_Server-2025.01.14",
    "Microsoft Windows Server 2016 or later (64-bit)",
    "windows9Server64Guest",
    "fedora64Guest",
    "Amazon Linux, kernel 2.6",
]
NO_SUGGESTION = [
    "",
    "my-image",
    "LambdaCompiler",
    "20260101",
    "golden 24.04",
    "a precise copy of the stretch target",
    "trusty-backups",
    "rocky-mountain-app",
    "amazon-eks-node-1.29-v20240101",
    "other3xLinux64Guest",
    "cosmos-2",
    "Migrated from CentOS 7 to Rocky Linux 9",
]


@pytest.mark.parametrize(("text", "expected"), NAMES.items())
def test_a_text_suggests_an_operating_system(text: str, expected: tuple[str, str]) -> None:
    assert suggest([text]) == Suggestion(*expected, text)


@pytest.mark.parametrize(
    ("text", "family", "version"),
    [
        ("cos-62-9901-80-0", "cos", "62"),
        ("Google, Container-Optimized OS, 62-9901.80.0 dev, Kernel: ChromiumOS-4.4", "cos", "62"),
        ("cos-arm64-stable-129-19506-1", "cos", "129"),
        ("fedora-coreos-32-20200601-3-0-gcp-x86-64", "fedora-coreos", "32"),
        ("Fedora CoreOS stable, 32.20200601.3.0, x86_64", "fedora-coreos", "32"),
        ("Fedora-Cloud-Base-25-1.3.x86_64", "fedora", "25"),
        ("ubuntu-oneiric-11.10-amd64-server-20130509", "ubuntu", "11.10"),
        ("ubuntu-1110-oneiric-v2012", "ubuntu", "11.10"),
        ("ubuntu-hardy-amd64", "ubuntu", "8.04"),
        ("Ubuntu15.04Snappy", "ubuntu", "15.04"),
        ("RHEL-6.7_HVM-20180802-x86_64-1-Hourly2-GP2", "rhel", "6.7"),
        ("RedHat RHEL-SAP-HANA 6.7", "rhel", "6.7"),
        ("RedHat rhel-raw rhel-raw-ci67", "rhel", "6.7"),
        ("RedHat rhel-raw rhel-raw-ci76", "rhel", "7.6"),
        ("Oracle Oracle-Linux 6.9", "oracle", "6.9"),
        ("SUSE SLES-HPC-Priority 12-SP3", "sles", "12-sp3"),
        ("SLES-HPC-Priority/12-SP3", "sles", "12-sp3"),
        ("SLES 12 SP6", "sles", "12 SP6"),
        ("suse-sles-10-sp4-byos", "sles", "10 SP4"),
        ("openSUSE 12.3", "opensuse", "12.3"),
        ("OpenLogic CentOS-CI 7-CI", "centos", "7"),
        ("OpenLogic centos_corevm_test-200331 8_1-gen2", "centos", "8"),
        ("Debian debian-sid-daily sid-gen2", "debian", "sid"),
        ("Debian GNU/Linux 5 (64-bit)", "debian", "5"),
        ("FreeBSD-12.2-RELEASE-amd64", "freebsd", "12.2"),
        ("alpine-3.15.0-x86_64-bios", "alpine", "3.15"),
        ("amzn-ami-pv-2012.03.1.x86_64-ebs", "amazon-linux", "2012.03"),
        ("macOS 10.13 High Sierra", "macos", "10.13"),
    ],
)
def test_a_version_that_is_not_in_the_list_is_suggested_as_text(
    text: str, family: str, version: str
) -> None:
    assert suggest([text]) == Suggestion(family, version, text)


@pytest.mark.parametrize(
    "text",
    [
        *("fedora-64", "rhel-64", "rhel64Guest", "fedora64Guest", "acme-debian-3", "centos-2"),
        *("ubuntu-42", "windows-server-2026-golden", "acme-fedora-3", "rhel-9999", "cos-stable"),
        *("Oracle Linux 4/5 or later (64-bit)", "FreeBSD 14 or later versions (64-bit)"),
    ],
)
def test_a_number_that_is_hardly_a_version_is_not_suggested(text: str) -> None:
    found = suggest([text])
    assert found is None or found.version == ""


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (
            [
                "windows-server-2016-dc",
                "windows-1803-core",
                "windows-server-1803-dc-core-v20180508",
                "Microsoft, Windows Server, version 1803 Datacenter Core, built on 20180508",
            ],
            ("windows-server", "1803"),
        ),
        (
            [
                "windows-server-2016-dc",
                "windows-server-1803-dc-core-v20180508",
                "Microsoft, Windows Server, version 1803 Datacenter Core, built on 20180508",
            ],
            ("windows-server", "1803"),
        ),
        (
            ["debian-11-bullseye", "ubuntu-2204-lts", "ubuntu-2204-jammy-v1", "Ubuntu 22.04"],
            ("ubuntu", "22.04"),
        ),
        # One text alone does not outvote a license, and two that differ do not either.
        (["windows-server-2016-dc", "windows-server-1803-dc-core"], ("windows-server", "2016")),
        (["debian-11", "ubuntu-2204", "ubuntu-2004"], ("debian", "11")),
        # Another text agrees with the license.
        (["rhel-7-server", "rhel-8", "RHEL 8", "rhel-7-9-v2024"], ("rhel", "7.9")),
    ],
)
def test_a_license_that_contradicts_all_other_texts_does_not_win(
    texts: list[str], expected: tuple[str, str]
) -> None:
    found = suggest(texts)
    assert found is not None
    assert (found.family, found.version) == expected


@pytest.mark.parametrize("text", NO_VERSION)
def test_an_uncertain_version_is_not_suggested(text: str) -> None:
    found = suggest([text])
    assert found is not None
    assert found.version == ""


@pytest.mark.parametrize("text", NO_SUGGESTION)
def test_other_texts_suggest_nothing(text: str) -> None:
    assert suggest([text]) is None


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_labels_suggest_their_own_family_and_version(family: Any) -> None:
    """People name images after the labels in the form, so each label must suggest its version."""
    for version in family.versions:
        text = f"{family.label} {version.label}".replace("LTS ", "")
        found = suggest([text])
        assert found is not None, text
        assert found.family == family.key, text
        assert found.version == version.key, text


def test_a_text_with_a_version_takes_precedence_over_an_earlier_text() -> None:
    exact = "Windows_Server-2019-English"
    assert suggest(["nothing", "Windows", exact]) == Suggestion("windows-server", "2019", exact)
    assert suggest(["Windows", "golden"]) == Suggestion("windows-server", "", "Windows")


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["sles-sap-12", "sles-12-sp5-sap"], ("sles", "12-sp5")),
        (["rhel-9-sap", "rhel-9-4-sap-ha"], ("rhel", "9.4")),
        (["rhel-9", "rhel", "rhel-9-4", "rhel-9-2"], ("rhel", "9.4")),
        (["debian-13", "debian-12"], ("debian", "13")),
        (["windows-server-2012-dc", "ubuntu-2404"], ("windows-server", "2012")),
        (["rhel-9", "oracle-linux-9-4"], ("rhel", "9")),
        (["rhel-9-4", "rhel-9"], ("rhel", "9.4")),
    ],
)
def test_a_later_text_with_a_more_exact_version_takes_precedence(
    texts: list[str], expected: tuple[str, str]
) -> None:
    found = suggest(texts)
    assert found is not None
    assert (found.family, found.version) == expected
    assert found.source_text in texts


def test_a_number_cut_by_the_length_limit_is_not_read() -> None:
    text = "x" * (TEXT_LENGTH - 8) + " rhel-8.10"
    assert text[:TEXT_LENGTH].endswith(" rhel-8.")
    for more in range(12):
        found = suggest([text[more:]])
        assert found is None or found.version in ("", "8.10"), found


# Parts of real names. With them, the generated texts resemble names.
NOISE = [*" -_./:,()+\n", "\u0130", "\u0669", "\u00b2", "20260101", "64Guest", " or later"]
WORDS = ["ubuntu", "Windows", "centos", "stream", "noble", "24.04", "2404", "9", "2012", "r2"]
PIECES = st.sampled_from(WORDS + NOISE)


@given(st.lists(st.text() | st.lists(PIECES).map("".join)))
def test_a_suggestion_comes_from_one_of_the_texts(texts: list[str]) -> None:
    found = suggest(texts)
    if found:
        assert found.source_text in texts
        assert found.version in {"", *(each.key for each in FAMILIES[found.family].versions)}


@pytest.mark.parametrize(
    "piece", ["ubuntu ", "windows-", "win", "1.", " ", "a", "centos ,", "(9", "noble ", "al2"]
)
def test_a_hostile_text_is_read_in_linear_time(piece: str) -> None:
    """A long text takes milliseconds. A regular expression that backtracks would take hours."""
    began = time.perf_counter()
    suggest([piece * 200_000])
    assert time.perf_counter() - began < 1


NUMBERS = st.lists(st.integers(0, 10**12), min_size=1, max_size=4)


@given(NUMBERS, NUMBERS)
def test_version_keys_order_as_numbers(one: list[int], two: list[int]) -> None:
    def key(parts: list[int]) -> str:
        return version_key(".".join(map(str, parts)))

    assert (key(one) < key(two)) == (one < two)


@given(st.text())
def test_version_keys_fit_their_column(text: str) -> None:
    assert len(version_key(text)) <= 64
    assert version_key(text).isascii()


def test_version_keys_sort_the_known_versions() -> None:
    ordered = ["9", "9.0", "9.9", "9.10", "10", "24.04", "24.10", "2012", "2012-r2", "2016", "b"]
    assert sorted(sorted(ordered), key=version_key) == ordered
    assert version_key("2018.03") < version_key("2018.4") < version_key("2018.09")
    assert version_key("15") < version_key("15-sp5") < version_key("15-sp6") < version_key("16.0")
    for family in FAMILIES.values():
        keys = [version_key(each.key) for each in family.versions]
        assert len(set(keys)) == len(keys), family.key


def test_a_label_names_the_family_and_the_version() -> None:
    assert label("ubuntu", "24.04") == "Ubuntu 24.04 LTS Noble Numbat"
    assert label("ubuntu") == "Ubuntu"
    assert label("ubuntu", "6.06") == "Ubuntu 6.06"
    assert label("Haiku", "R1") == "Haiku R1"


def test_the_data_is_complete() -> None:
    assert OTHER not in FAMILIES
    icons = {"brand-ubuntu", "brand-debian", "brand-redhat", "brand-windows", "server"}
    for family in FAMILIES.values():
        assert family.versions, family.key
        assert family.icon in icons
        texts = itertools.chain.from_iterable((each.key, each.label) for each in family.versions)
        assert all(0 < len(text) <= 64 for text in (family.key, family.label, *texts))


@pytest.mark.parametrize(
    ("text", "family"),
    [
        ("Debian 12", "debian"),
        ("ubuntu 24.04", "ubuntu"),
        ("Ubuntu", None),
        ("Ubuntu Core", None),
        ("Oracle Solaris", None),
        ("", None),
    ],
)
def test_a_family_with_a_listed_version_is_recognized(text: str, family: str | None) -> None:
    found = operating_systems.family_with_version(text)
    assert (found and found.key) == family
