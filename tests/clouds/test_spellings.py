"""Every spelling of an image ID becomes the same canonical ID, for all clouds."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, example, given, settings

from tests.clouds.spellings import SpelledId, spelled_ids
from webapp.clouds import CLOUDS, recognize_image_id
from webapp.clouds.errors import InvalidImageId
from webapp.clouds.locators import ImageId
from webapp.clouds.pasted_text import MAX_LENGTH, MAX_PARTS, parse_whole_or_part

AMI = "ami-0123456789abcdef0"
UUID = "6f2b8c1e-1a3d-4e5f-8a9b-0c1d2e3f4a5b"
OTHER_UUID = "00002404-5a4d-4b0c-8000-000000002404"
VMX = "50 1e 5a 2b 8c 9d 0e 1f-2a 3b 4c 5d 6e 7f 80 91"
COMPUTE = (
    "/subscriptions/01234567-89ab-cdef-0123-456789abcdef/resourceGroups/g/providers"
    "/Microsoft.Compute"
)
busy_machine = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""Settings for a machine that is so busy that Hypothesis takes long to generate examples."""


@busy_machine
@given(spelled_ids)
def test_every_spelling_becomes_the_canonical_id(spelled: SpelledId) -> None:
    cloud = CLOUDS[spelled.cloud]
    parsed = cloud.parse_image_id(spelled.spelling)
    assert parsed.value.lower() == spelled.canonical.lower()
    assert parsed.location == spelled.location
    assert cloud.parse_image_id(parsed.value).value == parsed.value


@busy_machine
@given(spelled_ids)
def test_only_azure_has_ids_with_capital_letters(spelled: SpelledId) -> None:
    """Two IDs that differ only in case are therefore the same image in every cloud."""
    parsed = CLOUDS[spelled.cloud].parse_image_id(spelled.spelling)
    assert spelled.cloud == "azure" or parsed.value == parsed.value.lower()


@busy_machine
@given(spelled_ids)
@example(SpelledId("gce", "web/global/images/base", "/web/global/images/base/", ""))
def test_only_clouds_with_uuids_share_an_id(spelled: SpelledId) -> None:
    found, _ = recognize_image_id(spelled.spelling)
    keys = {cloud.key for cloud, _ in found}
    assert spelled.cloud in keys
    assert keys == {spelled.cloud} or keys <= {"openstack", "vmware"}


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ("i-0abc123def4567890", "aws", "the ID of an instance"),
        ('"SnapshotId": "snap-0123456789abcdef0"', "aws", "the ID of a snapshot"),
        (f"us-east-1:{AMI},eu-west-1:ami-12345678", "aws", f"{AMI} in us-east-1"),
        (f"{AMI} ami-12345678", "aws", "more than one AMI ID"),
        ("us-east-1:ami-0123", "aws", "too short"),
        ("https://console.aws.amazon.com/ec2/home?region=us-east-1", "aws", "doesn’t contain an"),
        (f"{COMPUTE}/galleries/g/images/d", "azure", "without a version"),
        (f"{COMPUTE}/disks/d", "azure", "the ID of a disk"),
        ("Canonical:ubuntu-24_04-lts:server", "azure", "This text has 3"),
        ("Canonical:ubuntu:server:newest", "azure", "isn’t a version"),
        ("debian-cloud/debian-13", "gce", "an image or an image family"),
        ("projects/p/zones/europe-west1-b/disks/d", "gce", "This is a disk"),
        ("acme/global/images/web 24", "gce", "can’t contain “ ”"),
        (f"https://cloud.example.com/dashboard/project/instances/{UUID}", "openstack", "isn’t the"),
        (
            "https://vcenter.example.com/ui/app/vm;nav=v/urn:vmomi:VirtualMachine:vm-7:x",
            "vmware",
            "“vm-7”",
        ),
        (f'uuid.bios = "{VMX}"', "vmware", "vc.uuid"),
    ],
)
def test_the_cloud_of_a_text_that_is_no_image_id_explains_it(
    text: str, key: str, words: str
) -> None:
    found, problems = recognize_image_id(text)
    assert not found
    (problem,) = problems
    assert problem[0].key == key
    assert words in str(problem[1])


@pytest.mark.parametrize("text", ["", "ubuntu", "hello world", "12:34:56", "https://example.com/x"])
def test_no_cloud_explains_a_text_that_could_be_anything(text: str) -> None:
    assert recognize_image_id(text) == ([], [])


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (f"acme/global/images/{AMI}", "gce"),
        (f"https://www.googleapis.com/compute/v1/projects/p/global/images/{AMI}", "gce"),
        (f"{COMPUTE}/images/{AMI}", "azure"),
    ],
)
def test_an_image_named_like_an_ami_is_not_an_ami(text: str, key: str) -> None:
    found, _ = recognize_image_id(text)
    assert [cloud.key for cloud, _ in found] == [key]


@pytest.mark.parametrize(
    ("text", "location"),
    [
        (f"{AMI} (web-server-01)", ""),
        (f"web-server-01 {AMI}", ""),
        (f'{{"Name": "eu-west-1", "ImageId": "{AMI}"}}', ""),
        (f"region us-east-1, region eu-west-1: {AMI}", "eu-west-1"),
        (f"region us-east-1, region eu-west-1, {AMI}", ""),
        (f"{AMI} prod-us-east-1", ""),
        (f"https://aws.amazon.com/images/{AMI}/", ""),
    ],
)
def test_only_a_region_that_belongs_to_the_ami_is_used(text: str, location: str) -> None:
    assert CLOUDS["aws"].parse_image_id(text).location == location


def test_a_text_with_several_ids_is_refused() -> None:
    for text in ("a-project/global/images/web,a-project/global/images/db", f"{UUID}, {OTHER_UUID}"):
        _, problems = recognize_image_id(text)
        assert any("more than one image ID" in str(error) for _, error in problems), text
    with pytest.raises(InvalidImageId, match="more than one image ID"):
        CLOUDS["azure"].parse_image_id("a:b:c:1.0, a:b:c:2.0")


def test_several_azure_ids_between_blanks_are_refused() -> None:
    for blank in (" ", "\n", ", "):
        with pytest.raises(InvalidImageId, match="more than one image ID"):
            CLOUDS["azure"].parse_image_id(f"{COMPUTE}/images/a{blank}{COMPUTE}/images/b")


@pytest.mark.parametrize(
    "text",
    ["docker.io/library/ubuntu:24.04", "ghcr.io/acme/web:1.0.2", "localhost:5000/a/web:1.0"],
)
def test_a_container_image_is_no_urn(text: str) -> None:
    found, problems = recognize_image_id(text)
    assert found == []
    assert any("This is a container image" in str(error) for _, error in problems)


@pytest.mark.parametrize(
    "text",
    ["| owner | {} |", "owner_id: {}", '"owner": "{}"', "project_id={}", "| owner      | {} |"],
)
def test_the_id_of_a_project_is_no_image_id(text: str) -> None:
    digits = UUID.replace("-", "")
    found, problems = recognize_image_id(text.format(digits))
    assert found == []
    assert [cloud.key for cloud, _ in problems] == ["openstack"]
    assert CLOUDS["openstack"].parse_image_id(f"| id | {digits} |").value == UUID


def test_only_aws_explains_a_reference_to_a_secret() -> None:
    _, problems = recognize_image_id("resolve:secretsmanager:x")
    assert [cloud.key for cloud, _ in problems] == ["aws"]


@pytest.mark.parametrize("text", ["/golden/web/", "/golden/web", "ssm:/golden/web"])
def test_a_slash_after_the_name_of_a_parameter_is_ignored(text: str) -> None:
    assert CLOUDS["aws"].parse_image_id(text).value == "resolve:ssm:/golden/web"


@pytest.mark.parametrize(
    "label", ["instance_uuid: ", "Instance UUID: ", "instanceUuid=", "vc.uuid = "]
)
def test_the_label_of_an_instance_uuid_is_ignored(label: str) -> None:
    assert CLOUDS["vmware"].parse_image_id(f"{label}{UUID}").value == UUID


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("--image=web --image-project=debian-cloud", "debian-cloud/global/images/web"),
        ("--image-project debian-cloud --image web", "debian-cloud/global/images/web"),
        (
            "gcloud compute instances create a --image-family=web --image-project=p-1",
            "p-1/global/images/family/web",
        ),
    ],
)
def test_the_options_of_gcloud_name_an_image(text: str, value: str) -> None:
    assert CLOUDS["gce"].parse_image_id(text).value == value


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("'a" * (MAX_LENGTH // 2), 1),
        ("'abcd:e.f" * (MAX_LENGTH // 9), 1),
        ("'abcd:e.fg" * (MAX_LENGTH // 10), 2),
        ("".join(f"'abcde:{number:03}" for number in range(200)), 1 + MAX_PARTS),
    ],
)
def test_few_parts_of_a_text_are_parsed(text: str, count: int) -> None:
    parsed = []

    def parse(part: str) -> ImageId:
        parsed.append(part)
        raise InvalidImageId("This isn’t an image ID.")

    with pytest.raises(InvalidImageId):
        parse_whole_or_part(text, parse)
    assert len(parsed) == count


@busy_machine
@given(spelled_ids)
@example(SpelledId("azure", "a/b/c/1.0", "a:b:c:1.0", ""))
@example(SpelledId("gce", "a/global/images/b", "a%2Fglobal%2Fimages%2Fb", ""))
@example(SpelledId("openstack", UUID, UUID.replace("-", ""), ""))
def test_every_id_is_found_between_other_words(spelled: SpelledId) -> None:
    """No ID of a cloud is too short to be parsed."""
    cloud = CLOUDS[spelled.cloud]
    for image_id in {spelled.canonical, spelled.spelling}:
        if spelled.cloud not in {"azure", "gce", "openstack"} or set(image_id) & set("\"',|= "):
            continue
        words = "x'y " * 100
        assert cloud.parse_image_id(f'{words}"{image_id}",{words}') == cloud.parse_image_id(
            image_id
        )
