"""The table of all clouds. `docs/adding-a-cloud.md` explains how to add one."""

from __future__ import annotations

from webapp.clouds.aws.adapter import Aws
from webapp.clouds.azure.adapter import Azure
from webapp.clouds.base import Cloud
from webapp.clouds.errors import InvalidImageId
from webapp.clouds.gce.adapter import Gce
from webapp.clouds.locators import ImageId
from webapp.clouds.openstack.adapter import OpenStack
from webapp.clouds.vmware.adapter import VMware

CLOUDS: dict[str, Cloud] = {
    cloud.key: cloud for cloud in (Aws(), Gce(), OpenStack(), Azure(), VMware())
}
"""All adapters by key, in the order in which the page New Image shows the clouds."""


def clouds_for_image_id(text: str) -> list[tuple[Cloud, ImageId]]:
    """Return each cloud that can parse `text` as an image ID, with the parsed ID.

    If several clouds use the same format for their IDs, the list has several entries.
    """
    return recognize_image_id(text)[0]


def recognize_image_id(
    text: str,
) -> tuple[list[tuple[Cloud, ImageId]], list[tuple[Cloud, InvalidImageId]]]:
    """Return the clouds that can parse `text` as an image ID, and clouds that only recognize it.

    The first list contains each cloud that can parse `text`, with the parsed ID. The second list
    contains each cloud that cannot parse `text`, but recognizes it, for example as the ID of an
    instance. In the second list, each cloud comes with the error that explains the problem.
    """
    found, problems = [], []
    for cloud in CLOUDS.values():
        try:
            found.append((cloud, cloud.parse_image_id(text)))
        except InvalidImageId as error:
            if error.recognized:
                problems.append((cloud, error))
    return found, problems
