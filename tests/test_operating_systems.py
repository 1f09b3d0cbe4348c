"""Operating systems: what a cloud's own words suggest, and how versions are sorted."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapp import operating_systems
from webapp.operating_systems import FAMILIES, guess, label, matching, version_key

NAMES = {
    "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20260101": ("ubuntu", "24.04"),
    "Canonical, Ubuntu, 22.04 LTS, amd64 jammy image build on 2024-01-01": ("ubuntu", "22.04"),
    "ubuntu-2404-noble-amd64-v20260101": ("ubuntu", "24.04"),
    "Canonical UbuntuServer 16.04-LTS": ("ubuntu", "16.04"),
    "0001-com-ubuntu-server-jammy 22_04-lts-gen2": ("ubuntu", "22.04"),
    "ubuntu-24_04-lts server": ("ubuntu", "24.04"),
    "Ubuntu-1604-base-201804181847": ("ubuntu", "16.04"),
    "ubuntu64Guest": ("ubuntu", ""),
    "noble-server-cloudimg": ("ubuntu", "24.04"),
    "debian-12-amd64-20260101-1234": ("debian", "12"),
    "debian-13-genericcloud": ("debian", "13"),
    "debian 12": ("debian", "12"),
    "amzn2-ami-hvm-2.0.20190218-x86_64-gp2": ("amazon-linux", "2"),
    "amzn-ami-hvm-2018.03.0.20200602.1-x86_64-gp2": ("amazon-linux", "2018.03"),
    "al2023-ami-2023.6.20250101.0-kernel-6.1-x86_64": ("amazon-linux", "2023"),
    "Amazon Linux 2023 AMI": ("amazon-linux", "2023"),
    "Windows_Server-2022-English-Full-Base-2026.01.14": ("windows-server", "2022"),
    "Windows_Server-2012-R2_RTM-English": ("windows-server", "2012-r2"),
    "windows-server-2025-dc-v20260101": ("windows-server", "2025"),
    "MicrosoftWindowsServer WindowsServer 2019-Datacenter": ("windows-server", "2019"),
    "MicrosoftSQLServer sql2019-ws2022": ("windows-server", "2022"),
    "sql-2014-enterprise-windows-2016-dc-v20180313": ("windows-server", "2016"),
    "windows2019srv_64Guest": ("windows-server", "2019"),
    "base-windows2016-25092017": ("windows-server", "2016"),
    "windows-11-enterprise": ("windows-client", "11"),
    "RHEL-9.4.0_HVM-20240423-x86_64": ("rhel", "9.4"),
    "rhel-9-v20260101": ("rhel", "9"),
    "rhel9_64Guest": ("rhel", "9"),
    "base-centos7-no-selinux-201807061228": ("centos", "7"),
    "centos-stream-9": ("centos-stream", "9"),
    "rocky-linux-9-optimized-gcp": ("rocky", "9"),
    "AlmaLinux OS 9.4.20240507 x86_64": ("almalinux", "9"),
    "suse-sles-15-sp6-v20250101-hvm-ssd-x86_64": ("sles", "15-sp6"),
    "Fedora-Cloud-Base-AmazonEC2.x86_64-43-1.6": ("fedora", "43"),
    "cos-121-lts": ("cos", "121"),
    "fedora-coreos-43-stable": ("fedora-coreos", "43"),
}
CLOUD_DATA = Path(
    os.environ.get("CLOUD_DATA") or Path(__file__).resolve().parents[2] / "shared" / "cloud-data"
)


@pytest.mark.parametrize(("text", "expected"), NAMES.items())
def test_guess(text: str, expected: tuple[str, str]) -> None:
    found = guess([text])
    assert found is not None
    assert (found.family, found.version) == expected
    assert found.text == text


@pytest.mark.parametrize("text", ["my-image", "LambdaCompiler", "", "20260101", "golden 24.04"])
def test_no_guess_where_nothing_is_said(text: str) -> None:
    assert guess([text]) is None


def test_a_text_that_tells_the_version_wins_over_an_earlier_one_that_does_not() -> None:
    found = guess(["nothing", "Windows", "Windows_Server-2019-English"])
    assert found is not None
    assert (found.version, found.text) == ("2019", "Windows_Server-2019-English")
    found = guess(["Windows", "golden"])
    assert found is not None
    assert (found.family, found.version) == ("windows-server", "")


@pytest.mark.skipif(
    not CLOUD_DATA.is_dir() and os.environ.get("CI") != "true",
    reason="needs the vendors' recorded images",
)
def test_real_images_of_google() -> None:
    """The name says the family in its first part, and the version behind it."""
    data = json.loads((CLOUD_DATA / "gcp" / "gce_images.json").read_text())
    images = (
        data if isinstance(data, list) else next(v for v in data.values() if isinstance(v, list))
    )
    telling = [i["name"] for i in images if i["name"].split("-")[0] in FAMILIES]
    assert len(telling) > 60
    wrong = [name for name in telling if not _plausible(name)]
    assert len(wrong) <= len(telling) * 0.05, wrong


def _plausible(name: str) -> bool:
    found = guess([name])
    family, _, rest = name.partition("-")
    if found is None or found.family != family:
        return False
    said = rest.replace("-", ".")
    key = found.version.replace("-", ".")
    return not key or said.startswith(key) or said.startswith(key.replace(".", ""))


@given(st.lists(st.text()))
def test_a_guess_is_read_from_what_was_given(texts: list[str]) -> None:
    found = guess(texts)
    assert found is None or found.text in texts


@given(st.tuples(*[st.integers(0, 999_999)] * 3), st.tuples(*[st.integers(0, 999_999)] * 3))
def test_version_keys_order_as_numbers(one: tuple[int, ...], two: tuple[int, ...]) -> None:
    def key(parts: tuple[int, ...]) -> str:
        return version_key(".".join(map(str, parts)))

    assert (key(one) < key(two)) == (one < two)


@given(st.text())
def test_version_keys_fit_their_column(text: str) -> None:
    assert len(version_key(text)) <= 64


def test_version_keys_of_the_data() -> None:
    assert version_key("2012") < version_key("2012-r2") < version_key("2016")
    assert version_key("15") < version_key("15-sp5") < version_key("15-sp6") < version_key("16.0")


def test_labels() -> None:
    assert label("ubuntu", "24.04") == "Ubuntu 24.04 LTS Noble Numbat"
    assert label("ubuntu") == "Ubuntu"
    assert label("Haiku", "R1") == "Haiku R1"


def test_matching_what_is_shown() -> None:
    assert matching("noble") == ([], {"ubuntu": ["24.04"]})
    assert matching("Red Hat") == (["rhel"], {})
    assert matching("zzz") == ([], {})


def test_the_data_is_whole() -> None:
    for family in FAMILIES.values():
        assert family.versions, family.key
        assert set(family.names.values()) <= {each.key for each in family.versions}
        assert family.key != operating_systems.OTHER
