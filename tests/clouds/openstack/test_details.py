"""The details that the OpenStack adapter reads from Glance's answers, including malformed ones."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from webapp.clouds.details import ImageState, Volume
from webapp.clouds.openstack.details import image_details


@pytest.mark.parametrize(
    ("status", "state", "words"),
    [
        ("active", ImageState.AVAILABLE, ""),
        ("saving", ImageState.PENDING, "being uploaded"),
        ("uploading", ImageState.PENDING, "for import"),
        ("importing", ImageState.PENDING, "importing"),
        ("killed", ImageState.FAILED, "failed"),
        ("deleted", ImageState.GONE, "has been deleted"),
        ("pending_delete", ImageState.GONE, "being deleted"),
        ("something new", ImageState.FAILED, "something new"),
    ],
)
def test_each_state_is_translated(status: str, state: ImageState, words: str) -> None:
    details = image_details({"status": status})
    assert details.state is state
    assert words in details.state_note
    assert details.state_note.endswith(".") or not words


@pytest.mark.parametrize(
    ("fields", "size"),
    [
        ({}, None),
        ({"min_disk": 0, "virtual_size": None}, None),
        ({"min_disk": 10, "virtual_size": None}, 10),
        ({"min_disk": 10, "virtual_size": 2**30}, 10),
        ({"min_disk": 1, "virtual_size": 2**30 + 1}, 2),
        ({"min_disk": 0, "virtual_size": 1}, 1),
        ({"min_disk": "7", "virtual_size": "x"}, 7),
        ({"min_disk": -7, "virtual_size": True}, None),
    ],
)
def test_the_size_is_the_larger_of_minimum_and_virtual_size(
    fields: dict[str, Any], size: int | None
) -> None:
    assert image_details(fields).size_gb == size


@pytest.mark.parametrize(
    ("word", "ours"),
    [("aarch64", "arm64"), ("AMD64", "x86_64"), ("i686", "i386"), ("ppc64le", "ppc64le")],
)
def test_architectures_are_translated(word: str, ours: str) -> None:
    assert image_details({"architecture": word}).architecture == ours
    assert image_details({"hw_architecture": word}).architecture == ours


@pytest.mark.parametrize(
    ("image", "texts"),
    [
        ({"os_distro": "debian", "os_version": "13", "name": "n"}, ("debian 13", "n")),
        ({"os_distro": "arch", "name": "n", "os_type": "linux"}, ("arch", "n")),
        ({"os_version": "13", "name": "n"}, ("n",)),
        ({"os_type": "windows", "name": "n"}, ("n", "windows")),
        ({"name": "n", "description": "Rocky Linux 9"}, ("n", "Rocky Linux 9")),
        ({"os_distro": None, "name": 5, "os_type": ["x"]}, ("5",)),
        ({}, ()),
    ],
)
def test_the_texts_that_suggest_the_operating_system(
    image: dict[str, Any], texts: tuple[str, ...]
) -> None:
    assert image_details(image).os_texts == texts


@pytest.mark.parametrize(
    "mapping", ["", "[", "null", "{}", "[1, null]", "[" * 100_000, '[{"no_device": true}]', 7]
)
def test_invalid_disks_are_left_out(mapping: object) -> None:
    assert image_details({"block_device_mapping": mapping}).volumes == ()


def test_disks_of_every_kind_are_read() -> None:
    mapping = (
        '[{"boot_index": "0", "device_name": "/dev/vda", "volume_type": "ssd", "encrypted": true,'
        ' "volume_size": "8"}, {"boot_index": 0, "device_name": "/dev/vdb"}, {"boot_index": -1}]'
    )
    assert image_details({"block_device_mapping": mapping}).volumes == (
        Volume("/dev/vda", "ssd", 8, "", encrypted=True, root=True),
        Volume("", "", None, "", encrypted=None),
    )


def test_the_first_of_two_equal_root_disks_stays() -> None:
    mapping = '[{"boot_index": 0, "volume_size": 8}, {"boot_index": 0, "volume_size": 8}]'
    volumes = image_details({"block_device_mapping": mapping}).volumes
    assert [volume.size_gb for volume in volumes] == [8]


def test_values_of_unexpected_types_are_left_out() -> None:
    details = image_details(
        {
            "name": "a\0b ",
            "status": None,
            "created_at": "yesterday",
            "tags": {"a": 1},
            "size": "big",
            "protected": "yes",
            "os_hidden": "yes",
            "owner": {},
        }
    )
    assert details.name == "ab"
    assert details.created_at is None
    assert details.facts == ()
    assert details.warnings == ()
    assert image_details({"created_at": "2026-11-24T00:00:00"}).created_at == datetime(
        2026, 11, 24, tzinfo=UTC
    )
