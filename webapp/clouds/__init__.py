"""The table of all clouds. `docs/adding-a-cloud.md` explains how to add one."""

from __future__ import annotations

import contextlib

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

    The list has several entries if the clouds use the same format for their IDs.
    """
    found = []
    for cloud in CLOUDS.values():
        with contextlib.suppress(InvalidImageId):
            found.append((cloud, cloud.parse_image_id(text)))
    return found
