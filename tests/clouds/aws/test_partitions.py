"""The partitions of AWS, compared with the data that botocore ships."""

from __future__ import annotations

import json

import botocore.loaders
import pytest

from sandbox import aws, faulty, tls
from tests.clouds.aws.peer import aws_credentials
from webapp.clouds.aws import sdk
from webapp.clouds.aws.adapter import Aws
from webapp.clouds.aws.ids import is_region, parse
from webapp.clouds.aws.partitions import PARTITIONS, partition_of_region
from webapp.clouds.errors import InvalidCredentials, UnknownLocation
from webapp.clouds.locators import ImageId, Locator

LOADER = botocore.loaders.Loader()
BOTOCORE = {each["id"]: each for each in LOADER.load_data("partitions")["partitions"]}
REGIONS = [
    (partition, region)
    for partition, data in BOTOCORE.items()
    for region in data["regions"]
    if not region.endswith("-global")
]


def test_every_partition_of_botocore_can_be_chosen() -> None:
    (field,) = (each for each in Aws.credential_fields if each.name == "partition")
    assert set(dict(field.options)) == set(PARTITIONS) == set(BOTOCORE)
    assert field.options[0] == ("aws", "AWS")


@pytest.mark.parametrize(("partition", "region"), REGIONS)
def test_every_region_of_botocore_belongs_to_its_partition(
    adapter: Aws, partition: str, region: str
) -> None:
    assert is_region(region)
    assert partition_of_region(region).key == partition
    offered = {each.key for each in adapter.default_locations({"partition": partition})}
    assert region in offered
    image_id = "ami-0123456789abcdef0"
    arn = f"arn:{partition}:ec2:{region}::image/{image_id}"
    assert parse(arn) == ImageId(image_id, region)
    link = adapter.console_url({"partition": partition}, Locator(region, image_id))
    assert link.startswith(f"https://{PARTITIONS[partition].console}/ec2/home?region={region}#")
    assert parse(link) == ImageId(image_id, region)


@pytest.mark.parametrize("partition", PARTITIONS)
def test_calls_stay_in_the_partition(partition: str) -> None:
    """The endpoints of all services are in the domain of the partition."""
    credentials = aws_credentials("", partition=partition)
    main = sdk.sign_in_region(credentials)
    assert partition_of_region(main).key == partition
    clients = sdk.Clients()
    for service in sdk.OPERATIONS:
        host = clients.get(credentials, service, main).meta.endpoint_url
        assert host == f"https://{service}.{main}.{BOTOCORE[partition]['outputs']['dnsSuffix']}"


def test_consoles_are_in_the_domain_of_the_sign_in_service() -> None:
    """The hosts of the console and of the sign-in page differ only in their first labels."""
    rules = json.dumps(LOADER.load_service_model("signin", "endpoint-rule-set-1"))
    for partition in PARTITIONS.values():
        assert f".signin.{partition.console.removeprefix('console.')}" in rules


def test_signs_in_at_the_chosen_region(adapter: Aws, sandbox_aws: str) -> None:
    signed: list[tuple[str, str]] = []
    forward = faulty.forwarding(sandbox_aws)

    def behave(request: faulty.Request) -> faulty.Answer | None:
        scope = request.headers["Authorization"].partition("Credential=")[2].split("/")
        signed.append((request.form["Action"], scope[2]))
        return forward(request)

    with faulty.serve(behave) as url:
        credentials = aws_credentials(url, sign_in_region="eu-west-1")
        adapter.check(credentials)
        adapter.locations(credentials)
    assert signed == [("GetCallerIdentity", "eu-west-1"), ("DescribeRegions", "eu-west-1")]


def test_a_private_certificate_authority_is_trusted(adapter: Aws, sandbox_aws: str) -> None:
    with faulty.serve(faulty.forwarding(sandbox_aws), tls=tls.trusted()) as url:
        credentials = aws_credentials(url, ca=tls.authority().pem)
        assert adapter.check(credentials).account == aws.ACCOUNT


def test_a_region_of_another_partition_is_named_with_its_partition(adapter: Aws) -> None:
    iso = aws_credentials("", partition="aws-iso-b")
    words = r"us-iso-east-1 is a region of AWS ISO \(US\), but .* for AWS ISO-B \(US\)\. Choose"
    with pytest.raises(UnknownLocation, match=words):
        adapter.describe(iso, Locator("us-iso-east-1", "ami-12345678"))


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        (
            {"role_arn": "arn:aws-eusc:iam::123456789012:role/images"},
            "role_arn",
            "in AWS European Sovereign Cloud, but the partition is AWS.",
        ),
        (
            {"role_arn": "arn:aws-moon:iam::123456789012:role/images"},
            "role_arn",
            "in an unknown partition",
        ),
        (
            {"role_arn": "arn:aws:iam::123456789012:role/images", "partition": "aws-cn"},
            "role_arn",
            "in AWS, but the partition is AWS China",
        ),
        (
            {"sign_in_region": "us-east-1", "partition": "aws-iso"},
            "sign_in_region",
            "us-east-1 is a region of AWS, but the partition is AWS ISO",
        ),
        ({"ca": "nothing"}, "ca", "isn’t a certificate"),
    ],
)
def test_settings_of_different_partitions_are_refused(
    adapter: Aws, changes: dict[str, str], field: str, words: str
) -> None:
    with pytest.raises(InvalidCredentials, match=words) as caught:
        adapter.validate(aws_credentials("", **changes))
    assert caught.value.field == field


@pytest.mark.parametrize("partition", PARTITIONS)
def test_settings_of_one_partition_are_accepted(adapter: Aws, partition: str) -> None:
    role = f"arn:{partition}:iam::123456789012:role/images"
    region = BOTOCORE[partition]["outputs"]["implicitGlobalRegion"]
    adapter.validate(aws_credentials("", partition=partition, role_arn=role))
    adapter.validate(aws_credentials("", partition=partition, sign_in_region=region))
