"""Images of the sandbox that the journeys register: ID and location."""

from __future__ import annotations

from typing import NamedTuple

from sandbox import aws


class Ami(NamedTuple):
    id: str
    location: str


def _in(known: aws.SandboxImage, region: str) -> Ami:
    return Ami(known.id_in(region), region)


NOBLE = _in(aws.NOBLE, "us-east-1")
DEBIAN = _in(aws.DEBIAN_13, "eu-west-1")
WINDOWS = _in(aws.WINDOWS_2025, "us-west-2")
OWN = _in(aws.OWN, "us-east-1")
