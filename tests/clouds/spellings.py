"""Random image IDs of every cloud, and the spellings in which tools and people write them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import strategies as st

REGIONS = ("us-east-1", "ap-southeast-5", "us-gov-west-1", "cn-northwest-1", "us-isob-east-1")
HOST = "https://cloud.example.com"


@dataclass(frozen=True)
class SpelledId:
    """An image ID in another spelling. `location` is the location that the spelling contains.

    `canonical` is the ID that `parse_image_id` must return, except for the case of Azure's IDs.
    """

    cloud: str
    canonical: str
    spelling: str
    location: str = ""


def _spelled(
    cloud: str, ids: st.SearchStrategy[str], spellings: Callable[[str], list[tuple[str, str]]]
) -> st.SearchStrategy[SpelledId]:
    @st.composite
    def build(draw: st.DrawFn) -> SpelledId:
        canonical = draw(ids)
        spelling, location = draw(st.sampled_from(spellings(canonical)))
        return SpelledId(cloud, canonical, spelling, location)

    return build()


def _hexadecimal(*lengths: int) -> st.SearchStrategy[str]:
    return st.one_of(*(st.text("0123456789abcdef", min_size=n, max_size=n) for n in lengths))


def _aws_spellings(ami: str) -> list[tuple[str, str]]:
    spellings = [
        (ami, ""),
        (ami.upper(), ""),
        (f" {ami}\t", ""),
        (f'"ImageId": "{ami}",', ""),
        (f'ami = "{ami}"', ""),
        (f"{ami} (web-server-01)", ""),
        (f"ImageId: {ami}", ""),
        (f"The AMI is {ami}.", ""),
        (ami.replace("-", "–"), ""),
        (f"export AMI_ID={ami}", ""),
    ]
    for region in REGIONS:
        spellings += [
            (f"{region}:{ami}", region),
            (f"{region} {ami}", region),
            (f"{ami} in {region}", region),
            (f"{ami}@{region}", region),
            (f"AMIs were created:\n{region}: {ami}\n", region),
            (f"arn:aws:ec2:{region}::image/{ami}", region),
            (f"arn:aws-iso-b:ec2:{region.upper()}:123456789012:image/{ami}", region),
            (f'{{"ImageId": "{ami}", "Region": "{region}"}}', region),
            (f"aws ec2 describe-images --region {region} --image-ids {ami}", region),
            (f"{HOST}/ec2/home?region={region}#ImageDetails:imageId={ami}", region),
            (f"https://{region}.console.aws.amazon.com/ec2/home#Images:imageId%3D{ami}", region),
        ]
    return spellings


def _gce_spellings(path: str) -> list[tuple[str, str]]:
    api = "https://www.googleapis.com/compute"
    return [
        (each, "")
        for each in (
            path,
            f"projects/{path}",
            f"/{path}/",
            f"{api}/v1/projects/{path}",
            f"{api}/beta/projects/{path}?alt=json&prettyPrint=false",
            f"https://compute.googleapis.com/compute/alpha/projects/{path}",
            f"//compute.googleapis.com/projects/{path}",
            f"selfLink: {api}/v1/projects/{path}",
            f'"selfLink": "{api}/v1/projects/{path}",',
            f'image = "projects/{path}"',
            f"{path} (web)",
            f"gcloud compute instances create web --image projects/{path} --zone europe-west1-b",
        )
    ]


def _uuid_spellings(uuid: str) -> list[str]:
    return [
        uuid,
        uuid.upper(),
        uuid.replace("-", ""),
        f"{{{uuid}}}",
        f"urn:uuid:{uuid}",
        f'"{uuid}",',
    ]


def _openstack_spellings(uuid: str) -> list[tuple[str, str]]:
    texts = [
        *_uuid_spellings(uuid),
        f"| id | {uuid} |",
        f'"image_id": "{uuid}",',
        f'"imageRef": "{uuid}"',
        f"{uuid} (ubuntu 24.04)",
        f"openstack image show {uuid}",
        f"openstack server create --image {uuid} web",
        uuid.replace("-", "‑"),
        f"{HOST}/dashboard/project/images/{uuid}/",
        f"{HOST}/compute/image/detail/{uuid}",
        f"{HOST}/compute/image-admin/detail/{uuid}?tab=members",
        f"{HOST}:9292/v2/images/{uuid}/file",
        f"{HOST}:8774/v2.1/0123456789abcdef0123456789abcdef/images/{uuid}",
        f"{HOST}/compute/v2.1/images/{uuid.upper()}",
    ]
    return [
        *((text, "") for text in texts),
        (f"{HOST}/project/images/{uuid}?region=RegionTwo", "RegionTwo"),
    ]


def _vmware_spellings(uuid: str) -> list[tuple[str, str]]:
    pairs = re.findall("..", uuid.replace("-", ""))
    vmx = f"{' '.join(pairs[:8])}-{' '.join(pairs[8:])}"
    texts = [*_uuid_spellings(uuid), vmx, f'vc.uuid = "{vmx}"', f"InstanceUuid : {uuid}"]
    return [(text, "") for text in texts]


def _azure_spellings(image_id: str) -> list[tuple[str, str]]:
    portal = "https://portal.azure.com/#@acme.onmicrosoft.com/resource"
    texts = [image_id, image_id.lower(), image_id.upper(), f' "{image_id}",', f'id = "{image_id}"']
    if image_id.startswith("/subscriptions/"):
        texts += [f"{portal}{image_id}", f"{portal}{image_id}/overview", image_id[1:]]
    else:
        urn = image_id.replace("/", ":")
        texts += [urn, urn.swapcase(), f'"urn": "{urn}",', f"x64  Ubuntu  {urn}  1.0"]
        texts += [f"az vm create --image {urn} --name web"]
    return [(text, "") for text in texts]


SPELLINGS = {
    "aws": _aws_spellings,
    "gce": _gce_spellings,
    "openstack": _openstack_spellings,
    "azure": _azure_spellings,
    "vmware": _vmware_spellings,
}
"""Functions by cloud that return the spellings of a canonical ID, each with its location."""

_names = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,20}[A-Za-z0-9]", fullmatch=True)
_low_names = st.from_regex(r"[a-z][a-z0-9-]{3,20}[a-z0-9]", fullmatch=True)
_numbers = st.tuples(*[st.integers(0, 10**9)] * 3).map(lambda parts: ".".join(map(str, parts)))
_group = "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.Compute"

aws_ids = _hexadecimal(8, 17).map("ami-{}".format)
gce_ids = st.builds("{}/global/images/{}".format, _low_names, _low_names)
uuids = st.uuids().map(str)
azure_ids = st.one_of(
    st.builds("{}/{}/{}/{}".format, _names, _names, _names, _numbers).filter(
        lambda text: "/global/images/" not in text.lower()
    ),
    st.builds(f"{_group}/images/{{}}".format, uuids, _names, _names),
    st.builds(
        f"{_group}/galleries/{{}}/images/{{}}/versions/{{}}".format,
        uuids,
        _names,
        _names,
        _names,
        _numbers,
    ),
)

spelled_ids: st.SearchStrategy[SpelledId] = st.one_of(
    _spelled("aws", aws_ids, SPELLINGS["aws"]),
    _spelled("gce", gce_ids, SPELLINGS["gce"]),
    _spelled("openstack", uuids, SPELLINGS["openstack"]),
    _spelled("azure", azure_ids, SPELLINGS["azure"]),
    _spelled("vmware", uuids, SPELLINGS["vmware"]),
)
