"""The table of all clouds. `docs/adding-a-cloud.md` explains how to add one."""

from __future__ import annotations

from webapp.clouds.aws.adapter import Aws
from webapp.clouds.azure.adapter import Azure
from webapp.clouds.base import Cloud, ImageId, InvalidImageId
from webapp.clouds.gce.adapter import Gce
from webapp.clouds.openstack.adapter import OpenStack
from webapp.clouds.vmware.adapter import VMware

CLOUDS: dict[str, Cloud] = {
    cloud.key: cloud for cloud in (Aws(), Gce(), OpenStack(), Azure(), VMware())
}
"""All adapters by key, in the order in which New Image offers them."""


def clouds_for_image_id(text: str) -> list[tuple[Cloud, ImageId]]:
    """Return each cloud whose image IDs look like `text`, with the parsed ID.

    If several clouds use the same format for their IDs, the list has several entries.
    """
    return recognize_image_id(text)[0]


def recognize_image_id(
    text: str,
) -> tuple[list[tuple[Cloud, ImageId]], list[tuple[Cloud, InvalidImageId]]]:
    """Return the clouds whose image IDs look like `text`, and the clouds with a precise error.

    The first list has the parsed IDs. If the text clearly belongs to another cloud but is not an
    image ID, for example because it is the ID of an instance, the second list has that cloud and
    its error.
    """
    found, problems = [], []
    for cloud in CLOUDS.values():
        try:
            found.append((cloud, cloud.parse_image_id(text)))
        except InvalidImageId as error:
            if error.recognized:
                problems.append((cloud, error))
    return found, problems
