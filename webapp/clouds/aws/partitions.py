"""The partitions of AWS: separate clouds, each with its own accounts, regions and console.

botocore knows the regions and endpoints of each partition. PARTITIONS adds the labels for people,
the hosts of the consoles, and the prefixes of the region names.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Partition:
    """A partition. `key` is its name in ARNs, and `label` is its name in the interface."""

    key: str
    label: str
    console: str
    """The host of the console."""
    region_prefix: str
    """The prefix of the names of its regions, or '' for the standard partition."""


PARTITIONS = {
    partition.key: partition
    for partition in (
        Partition("aws", "AWS", "console.aws.amazon.com", ""),
        Partition("aws-us-gov", "AWS GovCloud (US)", "console.amazonaws-us-gov.com", "us-gov-"),
        Partition("aws-cn", "AWS China", "console.amazonaws.cn", "cn-"),
        Partition("aws-eusc", "AWS European Sovereign Cloud", "console.amazonaws-eusc.eu", "eusc-"),
        Partition("aws-iso", "AWS ISO (US)", "console.c2shome.ic.gov", "us-iso-"),
        Partition("aws-iso-b", "AWS ISO-B (US)", "console.sc2shome.sgov.gov", "us-isob-"),
        Partition("aws-iso-e", "AWS ISO-E (Europe)", "console.csphome.adc-e.uk", "eu-isoe-"),
        Partition("aws-iso-f", "AWS ISO-F (US)", "console.csphome.hci.ic.gov", "us-isof-"),
    )
}
"""All partitions by key. The first partition is the default."""


def partition_of_region(region: str) -> Partition:
    """Return the partition of a region, even if botocore does not know the region yet."""
    standard, *others = PARTITIONS.values()
    matches = (each for each in others if region.startswith(each.region_prefix))
    return next(matches, standard)


def partition_of_arn(arn: str) -> Partition | None:
    """Return the partition that an ARN names, or None if there is no such partition."""
    return PARTITIONS.get(arn.lower().split(":")[1])
