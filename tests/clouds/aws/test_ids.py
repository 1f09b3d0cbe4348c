"""Parsing of pasted AMI IDs."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.clouds.helpers import assert_rejected_quickly
from webapp.clouds import clouds_for_image_id
from webapp.clouds.aws.adapter import Aws
from webapp.clouds.aws.ids import AMI, parse
from webapp.clouds.errors import InvalidImageId
from webapp.clouds.locators import ImageId
from webapp.clouds.pasted_text import MAX_LENGTH

NEW = "ami-0123456789abcdef0"
OLD = "ami-12345678"

hexadecimal = st.text("0123456789abcdef", min_size=8, max_size=8) | st.text(
    "0123456789abcdef", min_size=17, max_size=17
)
ids = hexadecimal.map("ami-{}".format)
regions = st.sampled_from(
    ["us-east-1", "ap-southeast-5", "us-gov-west-1", "cn-northwest-1", "eusc-de-east-1"]
)
blanks = st.text(" \t\r\n\xa0", max_size=5)


@pytest.mark.parametrize(
    ("text", "value", "location"),
    [
        (NEW, NEW, ""),
        (OLD, OLD, ""),
        (f"  {NEW}\t\r\n", NEW, ""),
        (f"\ufeff{NEW}\u200b", NEW, ""),
        (NEW.upper(), NEW, ""),
        (f'"{NEW}",', NEW, ""),
        (f"arn:aws:ec2:us-east-1::image/{NEW}", NEW, "us-east-1"),
        (f"arn:aws:ec2:eu-west-1:123456789012:image/{OLD}", OLD, "eu-west-1"),
        (f"arn:aws-us-gov:ec2:us-gov-west-1::image/{NEW}", NEW, "us-gov-west-1"),
        (f"ARN:AWS-CN:EC2:CN-NORTH-1::IMAGE/{NEW.upper()}", NEW, "cn-north-1"),
        (
            (
                "https://console.aws.amazon.com/ec2/v2/home?region=us-west-2"
                f"#Images:visibility=public-images;imageId={NEW};sort=name"
            ),
            NEW,
            "us-west-2",
        ),
        (
            f"https://us-east-1.console.aws.amazon.com/ec2/home#ImageDetails:imageId={NEW}",
            NEW,
            "us-east-1",
        ),
        (
            (
                "https://eu-west-1.console.aws.amazon.com/ec2/home?region=eu-west-1"
                f"#ImageDetails:imageId%3D{NEW}"
            ),
            NEW,
            "eu-west-1",
        ),
        (
            (
                "https://us-gov-west-1.console.amazonaws-us-gov.com/ec2/home"
                f"#ImageDetails:imageId={NEW}"
            ),
            NEW,
            "us-gov-west-1",
        ),
        (
            (
                "https://cn-north-1.console.amazonaws.cn/ec2/home?region=cn-north-1"
                f"#ImageDetails:imageId={OLD}"
            ),
            OLD,
            "cn-north-1",
        ),
        (
            f"us-east-1.console.aws.amazon.com/ec2/home#ImageDetails:imageId={NEW}",
            NEW,
            "us-east-1",
        ),
        (f"https://console.aws.amazon.com/ec2/home#ImageDetails:imageId={NEW}", NEW, ""),
    ],
)
def test_an_accepted_text_becomes_an_id_and_a_location(
    text: str, value: str, location: str
) -> None:
    assert parse(text) == ImageId(value, location)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "Enter an AMI ID"),
        (" \n", "Enter an AMI ID"),
        ("ubuntu-24.04", "begins with “ami-”"),
        ("ami", "begins with “ami-”"),
        ("ami-", "too short"),
        ("ami-1234567", "too short"),
        ("ami-123456789", "incomplete. It has 9"),
        ("ami-0123456789abcdef", "incomplete. It has 16"),
        ("ami-0123456789abcdef01", "too long. It has 18"),
        ("ami-0123456789abcdefg", "can’t contain “g”"),
        ("ami-0123 456789abcdef", "can’t contain “ ”"),
        ("i-0123456789abcdef0", "the ID of an instance"),
        ("snap-0123456789abcdef0", "the ID of a snapshot"),
        ("VOL-0123456789abcdef0", "the ID of a volume"),
        ("lt-0123456789abcdef0", "the ID of a launch template"),
        (
            "arn:aws:ec2:us-east-1:123456789012:instance/i-0123456789abcdef0",
            "isn’t the ARN of an AMI",
        ),
        (f"arn:aws:ec2:us-east-1::image/{NEW}0", "too long"),
        ("arn:aws:ec2:us-east-1::image/snap-0123456789abcdef0", "a snapshot"),
        (
            "https://console.aws.amazon.com/ec2/home?region=us-east-1#Images:",
            "doesn’t contain an AMI ID",
        ),
        (f"https://console.aws.amazon.com/#imageId={NEW};other={OLD}", "more than one AMI"),
        ("https://console.aws.amazon.com/#imageId=ami-0123456789abcdefg", "can’t contain “g”"),
        ("a" * (MAX_LENGTH + 1), "too long for an AMI ID"),
    ],
)
def test_a_rejected_text_gets_a_reason(text: str, words: str) -> None:
    with pytest.raises(InvalidImageId, match=words):
        parse(text)


@pytest.mark.parametrize(
    ("zone", "region"),
    [("us-east-1a", "us-east-1"), ("us-west-2-lax-1a", "us-west-2"), ("use1-az1", "us-east-1")],
)
@pytest.mark.parametrize(
    "text",
    [
        f"PLACE:{NEW}",
        f"PLACE/{NEW}",
        f"arn:aws:ec2:PLACE::image/{NEW}",
        "arn:aws:ssm:PLACE::parameter/golden/web",
        f'{{"Region": "PLACE", "ImageId": "{NEW}"}}',
        f"aws ec2 describe-images --region PLACE --image-ids {NEW}",
        f"https://console.aws.amazon.com/ec2/home?region=PLACE#ImageDetails:imageId={NEW}",
        f"https://PLACE.console.aws.amazon.com/ec2/home#ImageDetails:imageId={NEW}",
    ],
)
def test_a_zone_in_an_id_is_refused_with_its_region(text: str, zone: str, region: str) -> None:
    with pytest.raises(InvalidImageId, match=f"{zone} is a zone.* its region, {region}") as caught:
        Aws().parse_image_id(text.replace("PLACE", zone))
    assert caught.value.recognized
    assert Aws().parse_image_id(text.replace("PLACE", region)).location == region


def test_a_zone_beside_an_id_is_refused() -> None:
    for text in (f"us-east-01:{NEW}", f"us-east-01a:{NEW}"):
        with pytest.raises(InvalidImageId):
            Aws().parse_image_id(text)
    for text in (f"us-east-1a {NEW}", f"{NEW} in us-east-1a", f"{NEW}@us-west-2-lax-1a"):
        with pytest.raises(InvalidImageId, match="is a zone"):
            Aws().parse_image_id(text)


def test_an_id_with_several_regions_is_refused() -> None:
    with pytest.raises(InvalidImageId, match="more than one region: us-east-1, us-west-2"):
        parse(f"us-east-1:{NEW},us-west-2:{NEW}")
    assert parse(f"us-east-1:{NEW},us-east-1:{NEW.upper()}") == ImageId(NEW, "us-east-1")


@pytest.mark.parametrize(
    ("text", "region"),
    [
        (f"us-east-1/{NEW}", "us-east-1"),
        (f"ec2-image/{NEW}", ""),
        (f"/images/{NEW}", ""),
        (f"/golden/images/{OLD}/", ""),
        (f"my.registry/{NEW}", ""),
    ],
)
def test_an_id_at_the_end_of_a_path_is_found(text: str, region: str) -> None:
    (aws, found), *others = clouds_for_image_id(text)
    assert (aws.key, found.location, others) == ("aws", region, [])
    assert AMI.fullmatch(found.value)
    assert not found.is_alias


@pytest.mark.parametrize(
    "text",
    [
        f"acme-images/global/images/{OLD}",
        f"https://www.googleapis.com/compute/v1/projects/acme-images/global/images/{OLD}",
        f"/subscriptions/0/resourceGroups/rg/providers/Microsoft.Compute/images/{OLD}",
    ],
)
def test_an_image_of_another_cloud_may_be_named_like_an_ami(text: str) -> None:
    assert "aws" not in {cloud.key for cloud, _ in clouds_for_image_id(text)}


@given(ids, blanks, blanks)
def test_any_id_in_any_case_between_blanks(image_id: str, before: str, after: str) -> None:
    assert parse(before + image_id + after) == ImageId(image_id)
    assert parse(before + image_id.upper() + after) == ImageId(image_id)


@given(ids, regions)
def test_any_arn_and_any_console_url(image_id: str, region: str) -> None:
    expected = ImageId(image_id, region)
    assert parse(f"arn:aws:ec2:{region}::image/{image_id}") == expected
    host = f"https://{region}.console.aws.amazon.com/ec2/home"
    assert parse(f"{host}?region={region}#ImageDetails:imageId={image_id}") == expected
    assert parse(f"{host}#ImageDetails:imageId={image_id}") == expected


@given(
    st.text(max_size=60)
    | st.text("ami-0123456789abcdefABCDEF \n:/#?&;=.", max_size=60)
    | st.text(string.hexdigits + "-", max_size=20).map("ami-{}".format)
)
def test_any_text_is_parsed_or_rejected(text: str) -> None:
    try:
        found = parse(text)
    except InvalidImageId as error:
        assert str(error).endswith(".")  # noqa: PT017  both outcomes are correct
        return
    assert AMI.fullmatch(found.value)
    assert found.location.isascii()
    assert parse(found.value).value == found.value


@pytest.mark.parametrize(
    "piece", ["ami-", "a", "-", "arn:aws:", "us-", "region=", "https://", "%41", "://ami-1", " "]
)
def test_hostile_input_is_rejected_quickly(piece: str) -> None:
    assert_rejected_quickly(parse, piece, MAX_LENGTH)
