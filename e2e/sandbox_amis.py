"""The IDs and locations of the sandbox's AMIs that the end-to-end tests register."""

from __future__ import annotations

from typing import NamedTuple

from sandbox import aws


class Ami(NamedTuple):
    id: str
    location: str


def _ami_in(image: aws.SandboxImage, region: str) -> Ami:
    return Ami(image.id_in(region), region)


NOBLE = _ami_in(aws.NOBLE, "us-east-1")
DEBIAN = _ami_in(aws.DEBIAN_13, "eu-west-1")
WINDOWS = _ami_in(aws.WINDOWS_2025, "us-west-2")
OWN = _ami_in(aws.ACME_IMAGE, "us-east-1")
AMAZON_LINUX = _ami_in(aws.AMAZON_LINUX, "us-east-1")
