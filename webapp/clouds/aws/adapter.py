"""AWS: an image is an AMI, which belongs to one region and is read with EC2's DescribeImages.

This file is light: whatever needs the SDK is in `aws_sdk` and `aws_errors`, and these are imported
inside functions, on first use. Importing them costs more than everything else in the app.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from webapp.clouds.aws import details as aws_details
from webapp.clouds.aws import ids as aws_ids
from webapp.clouds.base import (
    Cloud,
    CloudError,
    CloudUnreachable,
    CredentialsRejected,
    CredentialValues,
    Field,
    Identity,
    ImageDetails,
    ImageId,
    ImageNotFound,
    ImageNotVisible,
    InvalidImageId,
    Location,
    LocationRule,
    Locator,
    PermissionDenied,
    UnknownLocation,
)
from webapp.clouds.deadline import DeadlineExceeded, call_within
from webapp.clouds.follow_up import (
    follow_up_deadline,
    image_in_other_regions,
    search_regions,
    seconds_left,
    try_call,
)

if TYPE_CHECKING:
    from webapp.clouds.aws.sdk import Clients

PARTITIONS = (("aws", "AWS"), ("aws-us-gov", "AWS GovCloud (US)"), ("aws-cn", "AWS China"))
CONSOLES = {
    "us-gov-": "console.amazonaws-us-gov.com",
    "cn-": "console.amazonaws.cn",
    "": "console.aws.amazon.com",
}
"""The console's host by what a region's name begins with."""


class Aws(Cloud):
    key = "aws"
    label = "AWS"
    icon = "brand-aws"
    location_rule = LocationRule.REGIONAL
    credential_fields = (
        Field("access_key_id", "Access key id", placeholder="AKIA…", pattern=r"\w{4,128}"),
        Field("secret_access_key", "Secret access key", secret=True),
        Field(
            "session_token",
            "Session token",
            hint="Only with temporary credentials, which expire.",
            required=False,
            secret=True,
        ),
        Field(
            "role_arn",
            "Role ARN",
            hint="A role to take on with these keys, if images are to be read as that role.",
            placeholder="arn:aws:iam::123456789012:role/images",
            pattern=r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]{1,512}",
            required=False,
        ),
        Field("partition", "Partition", options=PARTITIONS),
        Field(
            "endpoint_url",
            "Endpoint URL",
            hint="Only for a private or test endpoint, which has to serve both EC2 and STS. Leave "
            "empty for AWS itself.",
            placeholder="https://…",
            required=False,
        ),
    )
    location_field = Field("location", "Location", hint="An AMI exists in one region only.")
    image_id_field = Field(
        "image_id",
        "Cloud Image ID",
        hint="The id of the AMI; its ARN or its address in the console will do, too.",
        placeholder="ami-xxxxxxxx",
    )
    where_to_find = (
        "In the AWS console open EC2, then Images, then AMIs, and copy the AMI ID of the image "
        "that you want to register. An image that is in several regions has another id in each."
    )
    packer_builders = ("amazon-ebs", "amazon-ebssurrogate", "amazon-instance", "amazon-chroot")

    def parse_image_id(self, text: str) -> ImageId:
        return aws_ids.parse(text)

    def packer_images(self, artifact_id: str, custom: Mapping[str, str]) -> list[Locator]:  # noqa: ARG002
        """`us-east-1:ami-…,eu-west-1:ami-…`: an AMI for each region that it was copied to."""
        return [self._packer_image(each) for each in artifact_id.split(",")]

    def _packer_image(self, text: str) -> Locator:
        region, colon, ami = text.strip().partition(":")
        if not colon:
            raise InvalidImageId(
                f"Packer writes an AMI as REGION:AMI-ID, and “{text[:40]}” is not of that form."
            )
        return Locator(region.strip(), aws_ids.parse(ami).value)

    def default_locations(self, credentials: Mapping[str, str]) -> tuple[Location, ...]:
        from webapp.clouds.aws import sdk as aws_sdk  # noqa: PLC0415

        names = aws_sdk.regions()[aws_sdk.partition_of(credentials)]
        return tuple(Location(key, f"{key} — {name}") for key, name in names.items())

    def console_url(self, settings: Mapping[str, str], locator: Locator) -> str:
        if settings.get("endpoint_url"):
            return ""  # not AWS itself
        host = next(host for begin, host in CONSOLES.items() if locator.location.startswith(begin))
        region, image_id = quote(locator.location, safe=""), quote(locator.image_id, safe="")
        return f"https://{host}/ec2/home?region={region}#ImageDetails:imageId={image_id}"

    def warm_up(self) -> None:
        self._clients  # noqa: B018  made, and warm, once it has been looked at

    @cached_property
    def _clients(self) -> Clients:
        from webapp.clouds.aws.sdk import Clients  # noqa: PLC0415

        clients = Clients()
        clients.warm_up()
        return clients

    def _check(self, credentials: CredentialValues) -> Identity:
        self._clients.forget(credentials)  # What is said here is true now.
        caller = self._caller(credentials)
        return Identity(caller["Account"], caller["Arn"])

    def _caller(self, credentials: CredentialValues) -> Mapping[str, str]:
        sts = self._clients.get(credentials, "sts", self._home(credentials))
        caller: Mapping[str, str] = sts.get_caller_identity()
        _require(caller, "Account", "Arn")
        return caller

    def _locations(self, credentials: CredentialValues) -> tuple[Location, ...]:
        """All regions of the partition; where that may not be asked, those known here."""
        known = self.default_locations(credentials)
        names = {each.key: each.label for each in known}
        try:
            enabled = self._enabled_by_region(credentials)
        except Exception as error:
            if isinstance(self._translate(error), PermissionDenied):
                return known
            raise
        return tuple(Location(key, names.get(key, key), on) for key, on in sorted(enabled.items()))

    def _describe(self, credentials: CredentialValues, locator: Locator) -> ImageDetails:
        """One call by id, bounded by its nature; whatever else it takes must not take long."""
        deadline = follow_up_deadline()
        self._require_own_partition(credentials, locator.location)
        ec2 = self._clients.get(credentials, "ec2", locator.location)
        try:
            answer = ec2.describe_images(
                ImageIds=[locator.image_id], IncludeDeprecated=True, IncludeDisabled=True
            )
        except Exception as error:
            explained = self._explained(error, credentials, locator, deadline)
            if explained is None:
                raise
            raise explained from error
        _require(answer, "Images")
        for image in answer["Images"]:
            if image.get("ImageId") == locator.image_id:
                shares = self._shares(credentials, locator.location, image, deadline)
                return aws_details.details(image, shares)
        raise ImageNotVisible(
            f"AWS does not show {locator.image_id}: it was deregistered or disabled, or is no "
            "longer shared with these credentials. Choose another, or ask its owner."
        )

    def _translate(self, error: Exception) -> CloudError | None:
        from webapp.clouds.aws import errors as aws_errors  # noqa: PLC0415

        return aws_errors.translate(error)

    def _home(self, credentials: Mapping[str, str]) -> str:
        from webapp.clouds.aws import sdk as aws_sdk  # noqa: PLC0415

        return aws_sdk.HOME[aws_sdk.partition_of(credentials)]

    def _require_own_partition(self, credentials: CredentialValues, region: str) -> None:
        """Elsewhere these credentials mean nothing, and AWS would not say why."""
        from webapp.clouds.aws import sdk as aws_sdk  # noqa: PLC0415

        own = aws_sdk.partition_of(credentials)
        theirs = next((key for key, each in aws_sdk.regions().items() if region in each), own)
        if theirs != own and not credentials.get("endpoint_url"):
            labels = dict(PARTITIONS)
            raise UnknownLocation(
                f"{region} is a region of {labels.get(theirs, theirs)}, and these credentials are "
                f"of {labels[own]}. Choose another location, or other credentials."
            )

    def _shares(
        self, credentials: CredentialValues, region: str, image: Mapping[str, Any], deadline: float
    ) -> list[str] | None:
        """With whom a private image of our own is shared; None where that may not be known."""
        if image.get("Public"):
            return None
        try:
            return call_within(
                seconds_left(deadline), self._read_shares, credentials, region, image
            )
        except DeadlineExceeded:
            return None
        except Exception as error:
            if self._translate(error) is None:
                raise
            return None

    def _read_shares(
        self, credentials: CredentialValues, region: str, image: Mapping[str, Any]
    ) -> list[str] | None:
        if image.get("OwnerId") != self._clients.account(credentials):
            return None
        answer = self._clients.get(credentials, "ec2", region).describe_image_attribute(
            ImageId=image["ImageId"], Attribute="launchPermission"
        )
        with_whom = (
            each.get("UserId") or each.get("OrganizationArn") or each.get("OrganizationalUnitArn")
            for each in answer.get("LaunchPermissions") or ()
        )
        return sorted(filter(None, with_whom))

    def _explained(
        self, error: Exception, credentials: CredentialValues, locator: Locator, deadline: float
    ) -> CloudError | None:
        """What a second look tells of an error; None where the error says it all."""
        from webapp.clouds.aws import errors as aws_errors  # noqa: PLC0415
        from webapp.clouds.aws import sdk as aws_sdk  # noqa: PLC0415

        region = locator.location
        code = aws_errors.code_of(error)
        if code == aws_errors.IMAGE_NOT_FOUND:
            return self._not_found(credentials, locator, deadline)
        if code in aws_errors.DOUBTFUL:
            return self._refused(credentials, region, deadline)
        known = aws_sdk.regions()[aws_sdk.partition_of(credentials)]
        if region in known:
            return None
        nowhere = aws_errors.is_no_connection(error) and not credentials.get("endpoint_url")
        return aws_errors.no_region() if nowhere or aws_errors.is_not_aws(error) else None

    def _not_found(
        self, credentials: CredentialValues, locator: Locator, deadline: float
    ) -> ImageNotFound:
        here = f"There is no AMI {locator.image_id} in {locator.location}"
        elsewhere = self._regions_that_have(credentials, locator, deadline)
        if not elsewhere:
            return ImageNotFound(
                f"{here}, or it is not shared with these credentials. Check the id and the "
                "location."
            )
        return image_in_other_regions(here, elsewhere)

    def _regions_that_have(
        self, credentials: CredentialValues, locator: Locator, deadline: float
    ) -> tuple[str, ...]:
        def has_image(region: str) -> bool:
            ec2 = self._clients.get(credentials, "ec2", region)
            return bool(ec2.describe_images(ImageIds=[locator.image_id])["Images"])

        enabled = try_call(deadline, self._enabled_by_region, credentials) or {}
        others = [name for name, on in sorted(enabled.items()) if on and name != locator.location]
        return tuple(search_regions(has_image, others, deadline))

    def _refused(
        self, credentials: CredentialValues, region: str, deadline: float
    ) -> CloudError | None:
        """EC2 says the same of wrong keys and of a region that is not enabled; STS tells."""
        from webapp.clouds.aws import errors as aws_errors  # noqa: PLC0415

        try:
            call_within(seconds_left(deadline), self._caller, credentials)
        except DeadlineExceeded:
            return None
        except Exception as error:  # noqa: BLE001  it is the first error that will be told of
            said = self._translate(error)
            return said if isinstance(said, CredentialsRejected) else None
        if region == self._home(credentials):
            return None
        enabled = try_call(deadline, self._enabled_by_region, credentials)
        if enabled is None:
            return aws_errors.refused_here(region)
        return None if enabled.get(region) else aws_errors.not_enabled(region)

    def _enabled_by_region(self, credentials: CredentialValues) -> dict[str, bool]:
        ec2 = self._clients.get(credentials, "ec2", self._home(credentials))
        answer = ec2.describe_regions(AllRegions=True)
        _require(answer, "Regions")
        return {
            each["RegionName"]: each.get("OptInStatus") != "not-opted-in"
            for each in answer["Regions"]
        }


def _require(answer: Mapping[str, Any], *names: str) -> None:
    """botocore reads any XML at all, and leaves out what it does not find in it."""
    if not all(name in answer for name in names):
        from webapp.clouds.aws import errors as aws_errors  # noqa: PLC0415

        raise CloudUnreachable(aws_errors.NOT_AWS)
