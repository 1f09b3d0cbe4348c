"""Parsing of the artifacts that Packer's builders write into a manifest."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from webapp.clouds import CLOUDS
from webapp.clouds.errors import IncompleteArtifact, InvalidImageId
from webapp.clouds.locators import Locator, NamedImage

AMI = "ami-0123456789abcdef0"
UUID = "6f2b8c1e-1a3d-4e5f-8a9b-0c1d2e3f4a5b"
GROUP = (
    "/subscriptions/01234567-89ab-cdef-0123-456789abcdef/resourceGroups/images"
    "/providers/Microsoft.Compute"
)


@pytest.mark.parametrize(
    ("key", "artifact", "custom", "locators"),
    [
        ("aws", f"us-east-1:{AMI}", {}, [Locator("us-east-1", AMI)]),
        (
            "aws",
            f"eu-west-1:{AMI},us-east-1:ami-0fedcba9876543210",
            {},
            [Locator("eu-west-1", AMI), Locator("us-east-1", "ami-0fedcba9876543210")],
        ),
        (
            "gce",
            "web-20261101",
            {"project": "acme-images"},
            [Locator("", "acme-images/global/images/web-20261101")],
        ),
        (
            "gce",
            "projects/acme-images/global/images/web",
            {},
            [Locator("", "acme-images/global/images/web")],
        ),
        ("openstack", UUID, {"location": "RegionOne"}, [Locator("RegionOne", UUID)]),
        ("azure", f"{GROUP}/images/web", {}, [Locator("", f"{GROUP}/images/web")]),
        (
            "azure",
            f"{GROUP}/galleries/ours/images/web/versions/1.0.3",
            {"location": "westeurope"},
            [Locator("westeurope", f"{GROUP}/galleries/ours/images/web/versions/1.0.3")],
        ),
        (
            "vmware",
            "web-20261101",
            {"cloud_image_id": UUID, "location": "DC0", "compute_resource": "cluster-1"},
            [Locator("DC0", UUID, "cluster-1")],
        ),
        (
            "vmware",
            "web-20261101",
            {"location": "DC0", "compute_resource": "cluster-1"},
            [NamedImage("DC0", "web-20261101", "cluster-1")],
        ),
    ],
)
def test_an_artifact_becomes_locators(
    key: str, artifact: str, custom: Mapping[str, str], locators: list[Locator | NamedImage]
) -> None:
    assert CLOUDS[key].packer_images(artifact, custom) == locators


@pytest.mark.parametrize(
    ("key", "artifact", "custom", "words"),
    [
        ("aws", AMI, {}, "REGION:AMI-ID"),
        ("aws", "us-east-1:vol-0123456789abcdef0", {}, "a volume"),
        ("aws", "", {}, "REGION:AMI-ID"),
        ("openstack", "web", {"location": "RegionOne"}, "is a UUID"),
        ("azure", "https://acme.blob.core.windows.net/system/os.vhd", {}, "a VHD"),
        ("azure", "UNKNOWN ID", {}, "URN"),
        ("vmware", "", {"location": "DC0"}, "name of this template"),
    ],
)
def test_an_invalid_artifact_is_refused(
    key: str, artifact: str, custom: Mapping[str, str], words: str
) -> None:
    with pytest.raises(InvalidImageId, match=words):
        CLOUDS[key].packer_images(artifact, custom)


@pytest.mark.parametrize(
    ("key", "artifact", "custom", "missing"),
    [
        ("gce", "web-20261101", {}, "project"),
        ("openstack", UUID, {}, "location"),
        ("vmware", "web-20261101", {}, "location"),
        ("vmware", "web-20261101", {"cloud_image_id": UUID}, "location"),
    ],
)
def test_an_incomplete_artifact_names_the_missing_value(
    key: str, artifact: str, custom: Mapping[str, str], missing: str
) -> None:
    with pytest.raises(IncompleteArtifact) as caught:
        CLOUDS[key].packer_images(artifact, custom)
    assert caught.value.missing == missing
    values = {"project": "acme-images", "location": "RegionOne"}
    (image,) = CLOUDS[key].packer_images(artifact, {**custom, missing: values[missing]})
    assert image.location in {"", "RegionOne"}


def test_each_builder_belongs_to_one_cloud() -> None:
    builders = [each for cloud in CLOUDS.values() for each in cloud.packer_builders]
    assert len(builders) == len(set(builders))
    assert all(cloud.packer_builders for cloud in CLOUDS.values())
