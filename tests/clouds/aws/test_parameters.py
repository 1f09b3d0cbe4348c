"""Parameters of SSM that contain an AMI ID, looked up in moto's SSM and EC2."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto.ssm.models import ssm_backends

from sandbox import aws, faulty
from tests.clouds.aws import answers
from tests.clouds.aws.peer import aws_credentials
from tests.clouds.helpers import assert_rejected_quickly, cloud_error
from webapp.clouds import CLOUDS, clouds_for_image_id
from webapp.clouds.aws.adapter import Aws
from webapp.clouds.aws.parameters import PREFIX, ami_in, parse
from webapp.clouds.credentials import CredentialValues
from webapp.clouds.errors import (
    CloudThrottled,
    CloudUnreachable,
    CredentialsRejected,
    ImageNotVisible,
    InvalidImageId,
    PermissionDenied,
    UnknownLocation,
)
from webapp.clouds.locators import ImageId, Locator
from webapp.clouds.pasted_text import MAX_LENGTH

HOME = "us-east-1"
LINUX = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
CONSOLE = "https://eu-west-1.console.aws.amazon.com/systems-manager/parameters/{}/description"
UUID = "501e5a2b-8c9d-0e1f-2a3b-4c5d6e7f8091"
GOLDEN = Locator(HOME, f"{PREFIX}/golden")


@pytest.mark.parametrize(
    ("text", "name", "region"),
    [
        (LINUX, LINUX, ""),
        (f"resolve:ssm:{LINUX}", LINUX, ""),
        (f"RESOLVE:SSM:{LINUX}", LINUX, ""),
        (f"ssm:{LINUX}", LINUX, ""),
        (f"ssm://{LINUX}", LINUX, ""),
        (f'  "{LINUX}",\n', LINUX, ""),
        ("/my/param", "/my/param", ""),
        ("/my/param:3", "/my/param:3", ""),
        ("/my/param:prod", "/my/param:prod", ""),
        ("resolve:ssm:/Golden.Web_1", "/Golden.Web_1", ""),
        ("resolve:ssm:golden-ami:latest", "golden-ami:latest", ""),
        ("{{resolve:ssm:golden:2}}", "golden:2", ""),
        ("{{ resolve:ssm:/my/param }}", "/my/param", ""),
        ('"ImageId": "resolve:ssm:/my/param:prod",', "/my/param:prod", ""),
        (
            f"aws ssm get-parameters --names {LINUX} --region eu-west-1 --query Value",
            LINUX,
            "eu-west-1",
        ),
        (f"ssmParameter: {LINUX}:7", f"{LINUX}:7", ""),
        ("ImageId=resolve:ssm:/my/param,InstanceType=t3.micro", "/my/param", ""),
        (f"arn:aws:ssm:eu-west-1::parameter{LINUX}", LINUX, "eu-west-1"),
        (
            "arn:aws:ssm:eu-west-1:123456789012:parameter/my/param:3",
            "arn:aws:ssm:eu-west-1:123456789012:parameter/my/param:3",
            "eu-west-1",
        ),
        (
            "resolve:ssm:ARN:aws-eusc:ssm:eusc-de-east-1:123456789012:parameter/Golden",
            "arn:aws-eusc:ssm:eusc-de-east-1:123456789012:parameter/Golden",
            "eusc-de-east-1",
        ),
        (
            CONSOLE.format("my/param") + "?region=eu-west-1&tab=Table",
            "/my/param",
            "eu-west-1",
        ),
        (
            CONSOLE.format("%252Fmy%252Fparam"),
            "/my/param",
            "eu-west-1",
        ),
        (
            CONSOLE.format("golden").replace("eu-west-1.", "") + "?region=eu-west-1",
            "golden",
            "eu-west-1",
        ),
    ],
)
def test_every_spelling_of_a_parameter_becomes_canonical(
    adapter: Aws, text: str, name: str, region: str
) -> None:
    expected = ImageId(PREFIX + name, region)
    assert adapter.parse_image_id(text) == expected
    assert adapter.parse_image_id(expected.value).value == expected.value
    assert [cloud.key for cloud, _ in clouds_for_image_id(text)] == ["aws"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{{resolve:ssm-secure:/my/param:1}}", "refers to a secret"),
        ("{{resolve:secretsmanager:MySecret:SecretString:ami}}", "refers to a secret"),
        ("resolve:ssm:/my/pärâm", "isn’t the name of a parameter"),
        ("resolve:ssm:/my/param:a:b", "isn’t the name of a parameter"),
        ("resolve:ssm:/my/a resolve:ssm:/my/b", "more than one parameter"),
        ("arn:aws:ssm:us-east-1:123456789012:document/x", "isn’t the ARN of an AMI"),
        ("AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>", "begins with “ami-”"),
        ("/my", "begins with “ami-”"),
    ],
)
def test_other_texts_are_refused(adapter: Aws, text: str, words: str) -> None:
    with pytest.raises(InvalidImageId, match=words):
        adapter.parse_image_id(text)
    assert clouds_for_image_id(text) == []


@pytest.mark.parametrize(
    ("text", "cloud"),
    [
        (f"/v2/images/{UUID}", "openstack"),
        ("/projects/debian-cloud/global/images/debian-12", "gce"),
        (
            f"/subscriptions/{UUID}/resourceGroups/a/providers/Microsoft.Compute/images/b",
            "azure",
        ),
        ("Canonical/ubuntu-24_04-lts/server/latest", "azure"),
    ],
)
def test_paths_of_other_clouds_are_not_parameters(text: str, cloud: str) -> None:
    assert [each.key for each, _ in clouds_for_image_id(text)] == [cloud]


@pytest.mark.parametrize(
    "text",
    ["/aws/service/ami/1.2.3", "resolve:ssm:my:latest", "ssm:/my/1.2"],
)
def test_a_parameter_is_not_a_urn_of_azure(text: str) -> None:
    with pytest.raises(InvalidImageId):
        CLOUDS["azure"].parse_image_id(text)


def test_an_ami_id_beside_the_name_of_its_parameter_wins(adapter: Aws) -> None:
    answer = {"Name": LINUX, "Value": "ami-0123456789abcdef0", "ARN": "arn:aws:ssm:eu-west-1::x"}
    assert adapter.parse_image_id(json.dumps(answer)).value == "ami-0123456789abcdef0"


def test_a_path_that_may_be_a_urn_is_offered_for_both_clouds() -> None:
    found = clouds_for_image_id("/my/golden/ami/latest")
    assert [cloud.key for cloud, _ in found] == ["aws", "azure"]


@given(st.from_regex(r"\A(/[A-Za-z0-9_.-]{1,20}){2,15}(:[0-9]{1,3}|:[A-Za-z_.-]{1,9})?\Z"))
def test_any_path_in_any_spelling(path: str) -> None:
    expected = ImageId(PREFIX + path)
    for text in (path, f"ssm:{path}", f"resolve:ssm:{path}", f"{{{{resolve:ssm:{path}}}}}"):
        assert parse(text) == expected


@pytest.mark.parametrize(
    "piece", ["ssm:", "resolve:ssm:", "/a", "arn:aws:ssm:", "{{", "a" * 9 + "-", "/parameters/",
              ".console.x/systems-manager/parameters/", "/description", ":parameter/a"]
)  # fmt: skip
def test_hostile_input_is_parsed_quickly(adapter: Aws, piece: str) -> None:
    assert_rejected_quickly(adapter.parse_image_id, f"\0{piece}", MAX_LENGTH)


@pytest.mark.parametrize(
    ("name", "image"),
    [
        (LINUX, aws.AMAZON_LINUX),
        (aws.UBUNTU_PARAMETER, aws.NOBLE),
        ("/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended", aws.AMAZON_LINUX),
        ("acme-golden", aws.ACME_IMAGE),
        ("/acme/golden/postgres", aws.ACME_IMAGE),
        ("/acme/golden/postgres:1", aws.OLD),
        ("/acme/golden/postgres:2", aws.ACME_IMAGE),
        ("/acme/golden/postgres:stable", aws.OLD),
        (f"arn:aws:ssm:eu-west-1:{aws.ACCOUNT}:parameter/acme/golden/postgres", aws.ACME_IMAGE),
    ],
)
def test_a_parameter_is_resolved_to_its_ami_of_today(
    adapter: Aws, good: CredentialValues, name: str, image: aws.SandboxImage
) -> None:
    details = adapter.describe(good, Locator("eu-west-1", PREFIX + name))
    assert (details.image_id, details.name) == (image.id_in("eu-west-1"), image.name)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("/acme/nothing", "no parameter /acme/nothing in us-east-1"),
        ("/acme/golden/postgres:9", "no parameter /acme/golden/postgres:9 in us-east-1"),
        ("/acme/golden/postgres:prod", "no parameter /acme/golden/postgres:prod in us-east-1"),
        ("/acme/golden/all", "/acme/golden/all isn’t an AMI ID"),
        ("/acme/secret", "/acme/secret is encrypted"),
        ("/acme/database/url", "/acme/database/url isn’t an AMI ID"),
    ],
)
def test_a_parameter_without_an_ami_is_refused(
    adapter: Aws, good: CredentialValues, name: str, words: str
) -> None:
    error = cloud_error(lambda: adapter.describe(good, Locator(HOME, PREFIX + name)))
    assert isinstance(error, ImageNotVisible)
    assert words in str(error)
    assert "hunter2" not in str(error)
    assert "kms:" not in str(error)


def test_the_public_parameters_that_moto_serves_are_read(
    adapter: Aws, good: CredentialValues
) -> None:
    """moto has the real parameters of Amazon Linux 2, but the sandbox does not have their AMIs."""
    name = "/aws/service/ami-amazon-linux-latest/amzn2-ami-hvm-x86_64-gp2"
    parameter = ssm_backends[aws.ACCOUNT][HOME].get_parameter(name)
    assert parameter is not None
    value = parameter.value
    error = cloud_error(lambda: adapter.describe(good, Locator(HOME, PREFIX + name)))
    assert isinstance(error, ImageNotVisible)
    assert f"The parameter {name} contains {value}. There is no AMI {value} in" in str(error)


@pytest.mark.parametrize(
    ("parameter", "ami"),
    [
        ({"Type": "String", "Value": " ami-12345678\n"}, "ami-12345678"),
        ({"Value": json.dumps({"image_id": "ami-12345678", "image_name": "x"})}, "ami-12345678"),
        ({"Type": "String", "Value": json.dumps({"image_id": ["ami-12345678"]})}, ""),
        ({"Type": "String", "Value": json.dumps({"ami": "ami-12345678"})}, ""),
        ({"Type": "String", "Value": '{"image_id": '}, ""),
        ({"Type": "String", "Value": "{" * 100_000}, ""),
        ({"Type": "String", "Value": '{"a":' * 100_000}, ""),
        ({"Type": "String", "Value": "snap-12345678"}, ""),
        ({"Type": "String", "Value": ""}, ""),
        ({"Type": "StringList", "Value": "ami-12345678"}, ""),
        ({"Type": "SecureString", "Value": "ami-12345678"}, ""),
        ({}, ""),
    ],
)
def test_the_ami_in_the_value_of_a_parameter(parameter: dict[str, Any], ami: str) -> None:
    if ami:
        assert ami_in(parameter, "/golden") == ami
        return
    with pytest.raises(ImageNotVisible, match="/golden") as caught:
        ami_in(parameter, "/golden")
    assert "12345678" not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "message", "kind", "words"),
    [
        (
            "AccessDeniedException",
            "User: arn:aws:iam::1:user/x is not authorized to perform: ssm:GetParameter on",
            PermissionDenied,
            "the permission ssm:GetParameter",
        ),
        ("AccessDeniedException", "No.", PermissionDenied, "the permission ssm:GetParameter"),
        ("ThrottlingException", "Rate exceeded", CloudThrottled, "throttling"),
        ("ValidationException", "1 error", InvalidImageId, "rejected the name"),
        ("InvalidSignatureException", "No.", CredentialsRejected, "secret access key doesn’t"),
        ("InvalidSignatureException", "Signature expired", CredentialsRejected, "clock"),
        ("IncompleteSignatureException", "No.", CredentialsRejected, "signature"),
        ("UnknownOperationException", "No.", CloudUnreachable, "doesn’t serve SSM"),
    ],
)
def test_each_error_of_ssm_has_its_own_message(
    adapter: Aws, code: str, message: str, kind: type[Exception], words: str
) -> None:
    with faulty.serve(answers.aws_error(code, message)) as url:
        error = cloud_error(lambda: adapter.describe(aws_credentials(url), GOLDEN))
    assert type(error) is kind
    assert words in str(error)


def test_unrecognized_keys_and_a_region_that_is_not_enabled_are_distinguished(
    adapter: Aws,
) -> None:
    wrong = answers.aws_error("InvalidClientTokenId", status=403)
    unrecognized = answers.aws_error("UnrecognizedClientException")
    with faulty.serve(answers.by_action(GetCallerIdentity=wrong, otherwise=unrecognized)) as url:
        error = cloud_error(lambda: adapter.describe(aws_credentials(url), GOLDEN))
    assert isinstance(error, CredentialsRejected)
    behavior = answers.by_action(
        GetCallerIdentity=answers.caller(),
        DescribeRegions=answers.regions(eu_south_1="not_opted_in"),
        otherwise=unrecognized,
    )
    there = Locator("eu-south-1", GOLDEN.image_id)
    with faulty.serve(behavior) as url, pytest.raises(UnknownLocation, match="isn’t enabled"):
        adapter.describe(aws_credentials(url), there)


def test_an_endpoint_that_is_not_aws_is_reported(adapter: Aws) -> None:
    for behavior in (faulty.answering(200, "<html>"), faulty.answering(200, "{}", "text/plain")):
        with faulty.serve(behavior) as url:
            error = cloud_error(lambda: adapter.describe(aws_credentials(url), GOLDEN))
        assert isinstance(error, CloudUnreachable)
