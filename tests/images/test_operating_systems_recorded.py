"""Suggestions for the names of real images that the vendors publish."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.clouds import vendor_data
from webapp.images.operating_systems import Suggestion, suggest

# The operating system of Google's recorded images, by a part of the image's name.
GOOGLE = {
    "centos-6": ("centos", "6"),
    "centos-7": ("centos", "7"),
    "coreos-alpha": ("coreos", "alpha"),
    "coreos-beta": ("coreos", "beta"),
    "coreos-stable": ("coreos", "stable"),
    "cos-beta-65": ("cos", "65"),
    "cos-stable-63": ("cos", "63"),
    "debian-12": ("debian", "12"),
    "debian-6": ("debian", "6"),
    "debian-7": ("debian", "7"),
    "opensuse-13-1": ("opensuse", "13.1"),
    "rhel-7": ("rhel", "7"),
    "sles-11-sp3": ("sles", "11-sp3"),
    "sles-11-sp4": ("sles", "11-sp4"),
    "sles-12-sp2": ("sles", "12-sp2"),
    "sles-12-sp3": ("sles", "12-sp3"),
    "windows-2012-r2": ("windows-server", "2012-r2"),
    "windows-2016": ("windows-server", "2016"),
    "ubuntu-1204": ("ubuntu", "12.04"),
    "ubuntu-1404": ("ubuntu", "14.04"),
    "ubuntu-1410": ("ubuntu", "14.10"),
}
# The operating system of Azure's offers, or of the SKU if the offer names only the family.
AZURE = {
    "linux-data-science-vm-ubuntu": ("ubuntu", ""),
    "ubuntuserver 18": ("ubuntu", "18.04"),
    "ubuntuserver 14": ("ubuntu", "14.04"),
    "0001-com-ubuntu-server-focal": ("ubuntu", "20.04"),
    "debian-10": ("debian", "10"),
    "centos 7": ("centos", "7"),
    "rhel 7": ("rhel", "7"),
    "windowsserver 2012-r2": ("windows-server", "2012-r2"),
    "windowsserver 2012": ("windows-server", "2012"),
    "windowsserver 2022": ("windows-server", "2022"),
    "windows-cvm 2022": ("windows-server", "2022"),
}
AWS = {
    "amzn2-ami": ("amazon-linux", "2"),
    "amzn-ami-hvm-2016.09": ("amazon-linux", "2016.09"),
    "amzn-ami-hvm-2016.03": ("amazon-linux", "2016.03"),
    "amzn-ami-hvm-2017.09": ("amazon-linux", "2017.09"),
    "al2023-ami": ("amazon-linux", "2023"),
    "My-AmazonLinux2": ("amazon-linux", "2"),
    "My-CentOS7": ("centos", "7"),
    "My-Ubuntu1804": ("ubuntu", "18.04"),
    "Ubuntu1404": ("ubuntu", "14.04"),
    "ubuntu/images/hvm-ssd/ubuntu-trusty": ("ubuntu", "14.04"),
    "ubuntu/images/hvm-ssd/ubuntu-xenial": ("ubuntu", "16.04"),
    "ubuntu/images/hvm-ssd/ubuntu-bionic": ("ubuntu", "18.04"),
}


def test_suggestions_for_real_images_of_google() -> None:
    images = _recorded("gcp/gce_images.json")["items"]
    by_name = [([image["name"]], _expected(image["name"], GOOGLE)) for image in images]
    _require_accuracy(by_name, at_least=80)
    for image, (name, expected) in zip(images, by_name, strict=True):
        licenses = [each.rpartition("/")[2] for each in image.get("licenses", [])]
        found = suggest([*licenses, image.get("description", ""), *name])
        assert expected is None or (found and found.family == expected[0]), name
    for image in images:
        if image["name"] == "image-1":
            found = suggest([image["licenses"][0].rpartition("/")[2]])
            assert found in (
                Suggestion("debian", "11", "debian-11-bullseye"),
                Suggestion("ubuntu", "18.04", "ubuntu-1804-lts"),
            )


def test_suggestions_for_real_images_of_azure() -> None:
    urns = [
        each["urn"].split("/")
        for each in _recorded("azure/azure_marketplace_images.json")["images"]
    ]
    texts = [" ".join(parts[:3]) for parts in urns]
    offers = [" ".join(parts[1:3]).lower() for parts in urns]
    pairs = [([text], _expected(offer, AZURE)) for text, offer in zip(texts, offers, strict=True)]
    _require_accuracy(pairs, at_least=40)


def test_no_number_in_a_recorded_offer_of_azure_is_overlooked() -> None:
    """If only the family is suggested, the offer and the SKU contain no version."""
    recorded = json.dumps(_recorded("azure/azure_real_recordings.json"))
    path = r'/publishers/([^/"\\ ]+)/artifacttypes/vmimage/offers/([^/"?\\]+)(?:/skus/([^/"?\\]+))?'
    offers = {
        " ".join(filter(None, each.groups())) for each in re.finditer(path, recorded, re.IGNORECASE)
    }
    found = {text: suggest([text]) for text in offers}
    assert sum(bool(each and each.version) for each in found.values()) > 150
    without = [text for text, each in found.items() if each and not each.version]
    numbers = re.compile(
        r"(?<![0-9])(?:[4-9]|[1-4][0-9])(?:[._-]?(?:[0-9]{1,2}|sp[0-9]))?(?![0-9])"
    )
    assert [text for text in without if numbers.search(text)] == []


def test_suggestions_for_real_images_of_aws() -> None:
    images = _recorded("aws/aws_custodian_describe_images.json")["Images"]
    pairs = [([image["Name"]], _expected(image["Name"], AWS)) for image in images]
    _require_accuracy(pairs, at_least=13)


def _recorded(path: str) -> Any:
    vendor, name = path.split("/")
    return json.loads((vendor_data.folder(vendor) / name).read_text())


def _expected(name: str, table: dict[str, tuple[str, str]]) -> tuple[str, str] | None:
    """Return the entry of `table` with the longest key that the name contains."""
    found = [each for each in table if each in name]
    return table[max(found, key=len)] if found else None


def _require_accuracy(pairs: list[tuple[list[str], tuple[str, str] | None]], at_least: int) -> None:
    """Assert that 95 % of the suggestions are correct, and that no suggested version is wrong.

    Names without an entry in the table do not count for the 95 %.
    """
    results = [(suggest(texts), expected, texts) for texts, expected in pairs if expected]
    assert len(results) >= at_least
    correct = [
        1 for found, expected, _ in results if found and (found.family, found.version) == expected
    ]
    assert len(correct) >= 0.95 * len(results), results
    for texts, expected in pairs:
        found = suggest(texts)
        if found and found.version:
            assert expected == (found.family, found.version), texts
