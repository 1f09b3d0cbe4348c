"""The AWS adapter against the sandbox's EC2 and STS, over a socket."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox import aws, faulty
from tests.clouds import vendor_data
from tests.clouds.aws import answers
from tests.clouds.aws.peer import aws_credentials
from tests.clouds.helpers import fact
from webapp.clouds.aws.adapter import Aws
from webapp.clouds.aws.details import image_details
from webapp.clouds.credentials import CredentialValues
from webapp.clouds.details import Fact, ImageState, Volume
from webapp.clouds.errors import ImageNotFound, ImageNotVisible, UnknownLocation
from webapp.clouds.locators import Locator

ROOT = Path(__file__).parents[3]
HOME = "us-east-1"


def locator_of(known: aws.SandboxImage, region: str = HOME) -> Locator:
    return Locator(region, known.id_in(region))


@pytest.mark.parametrize("region", aws.REGIONS)
def test_every_image_of_the_sandbox(adapter: Aws, good: CredentialValues, region: str) -> None:
    for known in aws.CATALOG:
        if region not in known.regions:
            continue
        details = adapter.describe(good, locator_of(known, region))
        assert details.name == known.name
        assert details.description == known.description
        assert details.architecture == known.architecture
        assert details.size_gb == known.size
        assert details.created_at == datetime.fromisoformat(known.created)
        assert fact(details, "platform") == known.platform
        assert (fact(details, "owner") or "").startswith(known.owner)
        assert fact(details, "visibility") == ("Public" if known.public else "Private")


def test_own_image_with_its_volumes_and_shares(adapter: Aws, good: CredentialValues) -> None:
    details = adapter.describe(good, locator_of(aws.ACME_IMAGE))
    assert [(v.device, v.kind, v.size_gb, v.encrypted, v.root) for v in details.volumes] == [
        ("/dev/sda1", "gp3", 20, False, True),
        ("/dev/sdf", "io2", 200, True, False),
        ("/dev/sdg", "gp3", 50, False, False),
    ]
    assert all(volume.snapshot.startswith("snap-") for volume in details.volumes)
    assert fact(details, "shared_with") == "210987654321"
    assert details.state is ImageState.AVAILABLE
    assert details.state_note == ""


def test_shares_of_foreign_images_are_not_requested(adapter: Aws, good: CredentialValues) -> None:
    assert fact(adapter.describe(good, locator_of(aws.NOBLE)), "shared_with") is None


def test_shares_are_left_out_where_the_permission_is_missing(
    adapter: Aws, sandbox_aws: str
) -> None:
    behavior = answers.by_action(
        DescribeImageAttribute=answers.aws_error("UnauthorizedOperation", status=403),
        otherwise=faulty.forwarding(sandbox_aws),
    )
    with faulty.serve(behavior) as url:
        details = adapter.describe(aws_credentials(url), locator_of(aws.ACME_IMAGE))
    assert details.name == aws.ACME_IMAGE.name
    assert fact(details, "shared_with") is None


def test_deprecated_and_disabled_images_have_a_state_note(
    adapter: Aws, good: CredentialValues
) -> None:
    old = adapter.describe(good, locator_of(aws.OLD))
    assert old.state is ImageState.DEPRECATED
    assert old.deprecated_at == datetime(2021, 1, 22, 11, 40, tzinfo=UTC)
    assert old.state_note.startswith("This image has been deprecated since 2021-01-22. It still")
    disabled = adapter.describe(good, locator_of(aws.DISABLED))
    assert disabled.state is ImageState.DISABLED
    assert "disabled" in disabled.state_note


def test_a_missing_image_is_hidden_only_if_another_account_owns_it(
    adapter: Aws, good: CredentialValues
) -> None:
    own = adapter.describe(good, locator_of(aws.ACME_IMAGE)).owner
    assert own == aws.ACCOUNT
    with pytest.raises(ImageNotVisible, match="or it isn’t shared") as caught:
        adapter.describe(good, Locator("us-east-1", "ami-00000000000000bad"))
    assert caught.value.account == own


def test_an_image_in_another_region_is_found_there(adapter: Aws, good: CredentialValues) -> None:
    wrong = Locator("us-west-2", aws.ONLY_IRELAND.id_in("eu-west-1"))
    with pytest.raises(ImageNotFound, match="in us-west-2, but it exists in eu-west-1") as caught:
        adapter.describe(good, wrong)
    assert caught.value.found_in == ("eu-west-1",)


def test_an_image_in_several_other_regions_is_found_there(adapter: Aws) -> None:
    """An ID exists in one region only, but a private endpoint may serve several regions."""
    behavior = answers.by_action(
        DescribeRegions=answers.regions(
            ap_south_1="opted_in", eu_west_1="opted_in", us_west_2="opted_in"
        ),
        otherwise=answers.by_region(
            ap_south_1=answers.aws_error("InvalidAMIID.NotFound"),
            otherwise=answers.images({"ImageId": "ami-12345678"}),
        ),
    )
    words = "but it exists in eu-west-1 and us-west-2. Choose one of those"
    with faulty.serve(behavior) as url, pytest.raises(ImageNotFound, match=words):
        adapter.describe(aws_credentials(url), Locator("ap-south-1", "ami-12345678"))


def test_a_deprecated_or_disabled_image_in_another_region_is_found_there(adapter: Aws) -> None:
    def listed_if_included(request: faulty.Request) -> faulty.Answer | None:
        included = [request.form.get(f"Include{kind}") for kind in ("Deprecated", "Disabled")]
        found = [{"ImageId": "ami-12345678"}] if included == ["true", "true"] else []
        return answers.images(*found)(request)

    behavior = answers.by_action(
        DescribeRegions=answers.regions(eu_west_1="opted_in", us_west_2="opted_in"),
        otherwise=answers.by_region(
            us_west_2=answers.aws_error("InvalidAMIID.NotFound"), otherwise=listed_if_included
        ),
    )
    with faulty.serve(behavior) as url, pytest.raises(ImageNotFound, match="exists in eu-west-1"):
        adapter.describe(aws_credentials(url), Locator("us-west-2", "ami-12345678"))


def test_check_with_keys_and_with_a_role(adapter: Aws, sandbox_aws: str) -> None:
    identity = adapter.check(aws_credentials(sandbox_aws))
    assert identity.account == aws.ACCOUNT
    role = "arn:aws:iam::210987654321:role/images"
    identity = adapter.check(aws_credentials(sandbox_aws, role_arn=role))
    assert identity.account == "210987654321"
    assert "assumed-role/images" in identity.description


def test_regions_with_names_and_status(adapter: Aws, good: CredentialValues) -> None:
    found = {each.key: each for each in adapter.locations(good)}
    assert found[HOME].label == "us-east-1 — US East (N. Virginia)"
    assert found[HOME].enabled
    assert not found["ap-east-1"].enabled


def test_without_permission_the_default_regions_are_listed(adapter: Aws) -> None:
    with faulty.serve(answers.aws_error("UnauthorizedOperation", status=403)) as url:
        found = adapter.locations(aws_credentials(url))
    assert found == adapter.default_locations({})


def test_default_locations_of_each_partition(adapter: Aws) -> None:
    def keys(partition: str) -> set[str]:
        return {each.key for each in adapter.default_locations({"partition": partition})}

    assert keys("aws") >= {HOME, "eu-west-1", "ap-southeast-2"}
    assert keys("aws-us-gov") == {"us-gov-east-1", "us-gov-west-1"}
    assert keys("aws-cn") == {"cn-north-1", "cn-northwest-1"}
    assert keys("") == keys("aws")


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("eu-west-1", "console.aws.amazon.com"),
        ("us-gov-west-1", "console.amazonaws-us-gov.com"),
        ("cn-north-1", "console.amazonaws.cn"),
    ],
)
def test_each_partition_has_its_console(adapter: Aws, region: str, host: str) -> None:
    locator = Locator(region, "ami-12345678")
    assert adapter.console_url({"endpoint_url": "http://127.0.0.1"}, locator) == ""
    link = adapter.console_url({}, locator)
    assert link == f"https://{host}/ec2/home?region={region}#ImageDetails:imageId=ami-12345678"


@pytest.mark.parametrize("region", ["us-gov-west-1", "cn-north-1", "eusc-de-east-1"])
def test_region_of_another_partition_is_not_called(adapter: Aws, region: str) -> None:
    with pytest.raises(UnknownLocation, match=f"{region} is a region of .*these credentials"):
        adapter.describe(aws_credentials(""), Locator(region, "ami-12345678"))


def test_an_invalid_region_name_is_not_called(adapter: Aws) -> None:
    with pytest.raises(UnknownLocation, match="no such region"):
        adapter.describe(aws_credentials(""), Locator("evil.example/?", "ami-12345678"))


def test_a_region_of_a_private_endpoint_can_have_any_name_that_a_host_can_have(
    adapter: Aws,
) -> None:
    behavior = answers.by_action(
        GetCallerIdentity=answers.caller("1"),
        otherwise=answers.by_region(
            local=answers.images({"ImageId": "ami-12345678", "Name": "base"}),
            otherwise=answers.aws_error("InvalidAMIID.NotFound"),
        ),
    )
    with faulty.serve(behavior) as url:
        credentials = aws_credentials(url)
        assert adapter.describe(credentials, Locator("local", "ami-12345678")).name == "base"
        assert len(adapter.browse(credentials, "local").images) == 1
        for region in ("", "evil.example/?"):
            with pytest.raises(UnknownLocation, match="no such region"):
                adapter.describe(credentials, Locator(region, "ami-12345678"))


def test_answers_about_another_image_are_rejected(adapter: Aws) -> None:
    with faulty.serve(answers.images({"ImageId": "ami-87654321"})) as url:  # noqa: SIM117
        with pytest.raises(ImageNotVisible, match="ami-12345678"):
            adapter.describe(aws_credentials(url), Locator(HOME, "ami-12345678"))


@pytest.mark.parametrize(
    ("image", "state", "words"),
    [
        ({"State": "pending"}, ImageState.PENDING, "still being created"),
        ({"State": "transient"}, ImageState.PENDING, "still being created"),
        ({"State": "disabled"}, ImageState.DISABLED, "disabled"),
        ({"State": "invalid"}, ImageState.FAILED, "invalid"),
        ({"State": "error"}, ImageState.FAILED, "an error"),
        ({"State": "deregistered"}, ImageState.GONE, "deregistered"),
        ({"State": "something new"}, ImageState.FAILED, "something new"),
        ({}, ImageState.FAILED, "unknown state for this image: none"),
        (
            {"State": "failed", "StateReason": {"Message": "Snapshot is gone"}},
            ImageState.FAILED,
            "Snapshot is gone",
        ),
    ],
)
def test_each_state_is_translated(image: dict[str, Any], state: ImageState, words: str) -> None:
    details = image_details(image)
    assert details.state is state
    assert words in details.state_note


def test_a_future_deprecation_does_not_change_the_state() -> None:
    later = datetime.now(UTC) + timedelta(days=1)
    details = image_details({"State": "available", "DeprecationTime": later.isoformat()})
    assert details.state is ImageState.AVAILABLE
    assert details.deprecated_at == later


def test_volumes_of_every_kind() -> None:
    image = {
        "RootDeviceName": "/dev/xvda",
        "BlockDeviceMappings": [
            {"DeviceName": "/dev/sdb", "VirtualName": "ephemeral0"},
            {"DeviceName": "/dev/sdc", "NoDevice": ""},
            {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 8}},
        ],
    }
    details = image_details(image)
    assert details.volumes == (
        Volume("/dev/sdb", "ephemeral0", None, "", encrypted=None),
        Volume("/dev/xvda", "", 8, "", encrypted=None, root=True),
    )
    assert details.size_gb == 8


def test_rare_facts_are_read() -> None:
    image = {
        "OwnerId": "679593333241",
        "ImageOwnerAlias": "aws-marketplace",
        "Public": True,
        "ProductCodes": [{"ProductCodeId": "abc123", "ProductCodeType": "marketplace"}],
        "SourceInstanceId": "i-1",
        "TpmSupport": "v2.0",
        "CreationDate": "yesterday",
    }
    details = image_details(image)
    assert set(details.facts) >= {
        Fact("owner", "Owner account", "679593333241 (aws-marketplace)"),
        Fact("marketplace", "AWS Marketplace product", "abc123"),
        Fact("source", "Created from", "i-1"),
        Fact("tpm", "Trusted platform module", "v2.0"),
    }
    assert details.created_at is None


def test_many_shares_are_counted() -> None:
    accounts = [f"{number:012d}" for number in range(300)]
    shared = fact(image_details({}, accounts), "shared_with")
    assert shared is not None
    assert shared.startswith("000000000000, ")
    assert shared.endswith(" and 290 more")
    assert fact(image_details({}, []), "shared_with") == "No other account"


@pytest.mark.parametrize(
    ("image", "texts"),
    [
        ({"PlatformDetails": "Linux/UNIX", "Name": "n", "Description": "d"}, ("n", "d")),
        ({"PlatformDetails": "Linux with SQL Server Web", "Name": "n"}, ("n",)),
        ({"PlatformDetails": "Red Hat Enterprise Linux", "Name": "n"}, ("Red Hat E", "n")),
        ({"PlatformDetails": "SUSE Linux", "Name": "n"}, ("SUSE Linux", "n")),
        ({"Platform": "windows", "Name": "n"}, ("windows", "n")),
        ({}, ()),
    ],
)
def test_the_texts_that_suggest_the_operating_system(
    image: dict[str, str], texts: tuple[str, ...]
) -> None:
    found = image_details(image).os_texts
    assert len(found) == len(texts)
    assert all(text.startswith(begin) for text, begin in zip(found, texts, strict=True))


@pytest.mark.parametrize(
    ("answer", "visibility"),
    [({"Public": True}, "Public"), ({"Public": False}, "Private"), ({}, None)],
)
def test_the_visibility_is_shown_only_if_aws_reports_it(
    answer: dict[str, bool], visibility: str | None
) -> None:
    assert fact(image_details(answer), "visibility") == visibility


def test_recorded_answers_are_described(adapter: Aws) -> None:
    """Test with real answers of DescribeImages."""
    recorded = vendor_data.folder("aws") / "aws_custodian_describe_images.json"
    described = json.loads(recorded.read_text())["Images"]
    behavior = answers.by_action(
        DescribeImages=answers.images(*described), otherwise=answers.caller("1")
    )
    with faulty.serve(behavior) as url:
        for image in described:
            details = adapter.describe(aws_credentials(url), Locator(HOME, image["ImageId"]))
            assert details.name == image.get("Name", "")
            old = image.get("DeprecationTime", "9999") < datetime.now(UTC).isoformat()
            assert details.state is (ImageState.DEPRECATED if old else ImageState.AVAILABLE)
            assert (f"since {image.get('DeprecationTime', '')[:10]}." in details.state_note) == old
            assert details.created_at == datetime.fromisoformat(image["CreationDate"])
            assert len(details.volumes) == len(image.get("BlockDeviceMappings", []))
            roots = [volume.size_gb for volume in details.volumes if volume.root]
            assert [details.size_gb] == (roots or [None])
    assert len(described) == 30
