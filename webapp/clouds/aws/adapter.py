"""The AWS adapter. An image is an AMI: it belongs to one region and is read with DescribeImages.

A parameter of Systems Manager (SSM) can be an alias of an AMI.

This module does not import botocore, because importing botocore is slow. The modules `sdk` and
`errors` import botocore. Functions import these two modules on first use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from webapp.clouds import base
from webapp.clouds.aws import browsing, ids, locations, parameters, usage
from webapp.clouds.aws.details import image_details
from webapp.clouds.aws.partitions import PARTITIONS, partition_of_arn, partition_of_region
from webapp.clouds.base import Cloud
from webapp.clouds.browsing import ImageCollector
from webapp.clouds.credentials import CredentialValues, Field, Identity
from webapp.clouds.details import ImageCopy, ImageDetails
from webapp.clouds.errors import (
    CloudError,
    CloudUnreachable,
    CredentialsRejected,
    ImageNotFound,
    ImageNotVisible,
    InvalidCredentials,
    InvalidImageId,
    InvalidLocation,
    PermissionDenied,
    UnknownLocation,
)
from webapp.clouds.examples import Example
from webapp.clouds.follow_up import (
    follow_up_deadline,
    in_other_regions_error,
    search_regions,
    seconds_left,
    try_call,
)
from webapp.clouds.locators import ImageId, Location, LocationRule, Locator
from webapp.clouds.outgoing.calls import DeadlineExceeded, call_within
from webapp.clouds.tls import require_certificates

if TYPE_CHECKING:
    from webapp.clouds.aws.sdk import Clients


class Aws(Cloud):
    key = "aws"
    label = "AWS"
    icon = "brand-aws"
    location_rule = LocationRule.REGIONAL
    credential_fields = (
        Field(
            "access_key_id",
            "Access key ID",
            hint="Needs the permission ec2:DescribeImages. Recommended: ec2:DescribeRegions and "
            "ec2:DescribeImageAttribute. To register images by an SSM parameter, also "
            "ssm:GetParameter.",
            placeholder="AKIA…",
            pattern=r"\w{4,128}",
        ),
        Field("secret_access_key", "Secret access key", secret=True),
        Field(
            "session_token",
            "Session token",
            hint="Only for temporary credentials, which expire.",
            required=False,
            secret=True,
        ),
        Field(
            "role_arn",
            "Role ARN",
            hint="A role to assume with these keys. Leave empty to use the keys directly.",
            placeholder="arn:aws:iam::123456789012:role/images",
            pattern=r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]{1,512}",
            required=False,
        ),
        Field(
            "partition",
            "Partition",
            options=tuple((each.key, each.label) for each in PARTITIONS.values()),
        ),
        Field(
            "sign_in_region",
            "Sign-in region",
            hint="The region used to sign in and to list the regions. Leave empty to use the main "
            "region of the partition, such as us-east-1.",
            placeholder="us-east-1",
            pattern=ids.REGION,
            required=False,
        ),
        Field(
            "endpoint_url",
            "Endpoint URL",
            hint="Only for a private or test endpoint, which must serve both EC2 and STS, and SSM "
            "if you use SSM parameters. Leave empty to use AWS.",
            placeholder="https://…",
            required=False,
        ),
        Field(
            "ca",
            "CA certificates",
            hint="The certificates of a private certificate authority, in PEM format. Only needed "
            "if such an authority issued the certificates of the endpoints, as in the ISO "
            "partitions.",
            placeholder="-----BEGIN CERTIFICATE-----…",
            identifies_server=True,
            required=False,
            multiline=True,
        ),
    )
    location_field = Field("location", "Location", hint="An AMI exists in one region only.")
    image_id_field = Field(
        "image_id",
        "Cloud Image ID",
        hint="The AMI ID. You can also paste an ARN, a link to the AWS console, or an SSM "
        "parameter that contains an AMI ID.",
        placeholder="ami-xxxxxxxx",
    )
    where_to_find = (
        "In the AWS console, open EC2 > Images > AMIs and copy the AMI ID of the image that you "
        "want to register. A copy of the image in another region has a different ID."
    )
    finds_copies = True
    packer_builders = ("amazon-ebs", "amazon-ebssurrogate", "amazon-instance", "amazon-chroot")

    def parse_image_id(self, text: str) -> ImageId:
        """Return the ID of an AMI, or the reference to a parameter. Raises InvalidImageId.

        The text may also name a region. A text that names a zone instead is invalid.
        """
        image_id = parameters.parse(text) or ids.parse(text)
        try:
            return replace(image_id, location=locations.parse(image_id.location))
        except InvalidLocation as error:
            raise InvalidImageId(str(error), recognized=True) from error

    def parse_location(self, text: str) -> str:
        return locations.parse(text)

    def packer_images(self, artifact_id: str, custom: Mapping[str, str]) -> list[Locator]:  # noqa: ARG002
        """Return the AMI of each region in an artifact ID: `us-east-1:ami-…,eu-west-1:ami-…`."""
        return [self._packer_image(part) for part in artifact_id.split(",")]

    def _packer_image(self, text: str) -> Locator:
        region, colon, ami = text.strip().partition(":")
        if not colon:
            raise InvalidImageId(
                f"“{text[:40]}” isn’t in the format REGION:AMI-ID, which Packer uses for AMIs. "
                "Check the manifest."
            )
        return Locator(region.strip(), ids.parse(ami).value)

    def default_locations(self, credentials: Mapping[str, str]) -> tuple[Location, ...]:
        from webapp.clouds.aws import sdk  # noqa: PLC0415

        names = sdk.regions()[sdk.partition_of(credentials)]
        return tuple(Location(key, f"{key} — {name}") for key, name in names.items())

    def console_url(self, settings: Mapping[str, str], locator: Locator) -> str:
        if settings.get("endpoint_url"):
            return ""  # A private endpoint has no console.
        host = partition_of_region(locator.location).console
        region, image_id = quote(locator.location, safe=""), quote(locator.image_id, safe="")
        return f"https://{host}/ec2/home?region={region}#ImageDetails:imageId={image_id}"

    def examples(self, locator: Locator, name: str) -> tuple[Example, ...]:  # noqa: ARG002
        return usage.examples(locator.location, locator.image_id)

    def validate(self, values: Mapping[str, str]) -> None:
        """Raise InvalidCredentials for a wrong role, sign-in region or certificate.

        The role and the sign-in region must be in the chosen partition.
        """
        partition = PARTITIONS[values.get("partition") or "aws"]
        role_partition = partition_of_arn(values.get("role_arn") or f"arn:{partition.key}:")
        if role_partition != partition:
            actual = role_partition.label if role_partition else "an unknown partition"
            raise InvalidCredentials(
                f"This role is in {actual}, but the partition is {partition.label}. Choose "
                "another partition, or enter another role.",
                "role_arn",
            )
        region = values.get("sign_in_region")
        if region and not values.get("endpoint_url") and partition_of_region(region) != partition:
            raise InvalidCredentials(
                f"{region} is a region of {partition_of_region(region).label}, but the partition "
                f"is {partition.label}. Choose another partition, or enter another region.",
                "sign_in_region",
            )
        require_certificates(values.get("ca") or "", "ca")

    def warm_up(self) -> None:
        self._clients  # noqa: B018  creates the clients and loads the SDK

    @cached_property
    def _clients(self) -> Clients:
        from webapp.clouds.aws.sdk import Clients  # noqa: PLC0415

        clients = Clients()
        clients.warm_up()
        return clients

    def _check(self, credentials: CredentialValues) -> Identity:
        self._clients.forget(credentials)  # The check must not use cached keys of a role.
        caller = self._caller(credentials)
        return Identity(caller["Account"], caller["Arn"])

    def _caller(self, credentials: CredentialValues) -> Mapping[str, str]:
        sts = self._clients.get(credentials, "sts", self._sign_in_region(credentials))
        caller: Mapping[str, str] = sts.get_caller_identity()
        _require_fields(caller, "Account", "Arn")
        return caller

    def _locations(self, credentials: CredentialValues) -> tuple[Location, ...]:
        """Return all regions of the partition, as AWS reports them.

        If the credentials lack the permission ec2:DescribeRegions, return the regions that botocore
        lists for the partition.
        """
        defaults = self.default_locations(credentials)
        labels = {location.key: location.label for location in defaults}
        try:
            enabled = self._enabled_by_region(credentials)
        except Exception as error:
            if isinstance(self._translate(error), PermissionDenied):
                return defaults
            raise
        return tuple(
            Location(key, labels.get(key, key), is_enabled)
            for key, is_enabled in sorted(enabled.items())
        )

    def _browse(
        self, credentials: CredentialValues, location: str, collector: ImageCollector
    ) -> None:
        deadline = follow_up_deadline()
        self._require_same_partition(credentials, location)
        with self._precise_errors(credentials, Locator(location, ""), deadline):
            browsing.browse(self._describe_images_in(credentials, location), collector)

    def _copies(
        self, credentials: CredentialValues, locator: Locator, details: ImageDetails
    ) -> tuple[ImageCopy, ...]:
        deadline = follow_up_deadline()
        if not details.name or not details.owner:
            return ()

        def find(region: str) -> list[ImageCopy]:
            describe_images = self._describe_images_in(credentials, region)
            return browsing.copies_in(describe_images, region, details)

        enabled = self._enabled_by_region(credentials)
        others = sorted(
            name
            for name, is_enabled in enabled.items()
            if is_enabled and name != locator.location and ids.is_region(name)
        )
        found = search_regions(find, others, deadline, base.CALL_SECONDS)
        return tuple(chain.from_iterable(found.values()))

    def _describe_images_in(
        self, credentials: CredentialValues, region: str
    ) -> Callable[..., Mapping[str, Any]]:
        """Return a function that calls DescribeImages in a region, and checks the response."""
        ec2 = self._clients.get(credentials, "ec2", region)

        def describe_images(**arguments: Any) -> Mapping[str, Any]:
            response: Mapping[str, Any] = ec2.describe_images(**arguments)
            _require_fields(response, "Images")
            return response

        return describe_images

    def _describe(self, credentials: CredentialValues, locator: Locator) -> ImageDetails:
        """Return the details of an AMI.

        If the image ID is a reference to a parameter, first read the AMI ID from the parameter.
        """
        deadline = follow_up_deadline()
        self._require_same_partition(credentials, locator.location)
        name = parameters.parameter_in(locator.image_id)
        if not name:
            return self._describe_ami(credentials, locator, deadline)
        ami = replace(locator, image_id=self._read_parameter(credentials, locator, name, deadline))
        try:
            details = self._describe_ami(credentials, ami, deadline)
        except (ImageNotFound, ImageNotVisible) as error:
            raise ImageNotVisible(
                f"The parameter {name} contains {ami.image_id}. {error}"
            ) from error
        return replace(details, image_id=ami.image_id)

    def _describe_ami(
        self, credentials: CredentialValues, locator: Locator, deadline: float
    ) -> ImageDetails:
        ec2 = self._clients.get(credentials, "ec2", locator.location)
        with self._precise_errors(credentials, locator, deadline):
            response = ec2.describe_images(
                ImageIds=[locator.image_id], IncludeDeprecated=True, IncludeDisabled=True
            )
        _require_fields(response, "Images")
        for image in response["Images"]:
            if image.get("ImageId") == locator.image_id:
                shares = self._shares(credentials, locator.location, image, deadline)
                return image_details(image, shares)
        raise ImageNotVisible(
            f"{locator.image_id} is no longer available. It was deregistered or disabled, or is no "
            "longer shared with these credentials. Choose another AMI or contact its owner.",
            self._account(credentials, deadline),
        )

    def _read_parameter(
        self, credentials: CredentialValues, locator: Locator, name: str, deadline: float
    ) -> str:
        """Return the AMI ID that a parameter contains."""
        ssm = self._clients.get(credentials, "ssm", locator.location)
        with self._precise_errors(credentials, locator, deadline):
            response = ssm.get_parameter(Name=name)
        _require_fields(response, "Parameter")
        return parameters.ami_in(response["Parameter"], name)

    @contextmanager
    def _precise_errors(
        self, credentials: CredentialValues, locator: Locator, deadline: float
    ) -> Iterator[None]:
        """Replace an exception of the SDK with the error that `_explain` returns, if any."""
        try:
            yield
        except Exception as error:
            precise_error = self._explain(error, credentials, locator, deadline)
            if precise_error is None:
                raise
            raise precise_error from error

    def _translate(self, error: Exception) -> CloudError | None:
        from webapp.clouds.aws import errors  # noqa: PLC0415

        return errors.translate(error)

    def _sign_in_region(self, credentials: Mapping[str, str]) -> str:
        from webapp.clouds.aws import sdk  # noqa: PLC0415

        return sdk.sign_in_region(credentials)

    def _require_same_partition(self, credentials: CredentialValues, region: str) -> None:
        """Raise UnknownLocation if the region is not in the partition of the credentials.

        Also raises UnknownLocation if `region` does not have the format of a region.

        For a private endpoint, this method accepts any region, because the endpoint can have
        regions of any partition and with any name. The SDK still rejects a region whose name cannot
        be a part of a host name.
        """
        from webapp.clouds.aws import errors, sdk  # noqa: PLC0415

        if region and credentials.get("endpoint_url"):
            return
        if not ids.is_region(region):
            raise errors.no_such_region()
        expected, actual = sdk.partition_of(credentials), partition_of_region(region)
        if actual.key != expected:
            raise UnknownLocation(
                f"{region} is a region of {actual.label}, but these credentials are for "
                f"{PARTITIONS[expected].label}. Choose another location or other credentials."
            )

    def _shares(
        self, credentials: CredentialValues, region: str, image: Mapping[str, Any], deadline: float
    ) -> list[str] | None:
        """Return the accounts, organizations and organizational units that may launch an image.

        Returns None if the image is public, if it belongs to another account, or if its shares
        cannot be read.
        """
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
        response = self._clients.get(credentials, "ec2", region).describe_image_attribute(
            ImageId=image["ImageId"], Attribute="launchPermission"
        )
        shares = (
            each.get("UserId") or each.get("OrganizationArn") or each.get("OrganizationalUnitArn")
            for each in response.get("LaunchPermissions") or ()
        )
        return sorted(filter(None, shares))

    def _explain(
        self, error: Exception, credentials: CredentialValues, locator: Locator, deadline: float
    ) -> CloudError | None:
        """Return a more precise error than `_translate` returns, or None. Makes follow-up calls."""
        from webapp.clouds.aws import errors, sdk  # noqa: PLC0415

        region = locator.location
        code = errors.error_code(error)
        if code == errors.IMAGE_NOT_FOUND:
            return self._not_found(credentials, locator, deadline)
        if code in errors.PARAMETER_NOT_FOUND:
            return errors.no_such_parameter(parameters.parameter_in(locator.image_id), region)
        if code in errors.AMBIGUOUS_CODES:
            return self._explain_ambiguous(credentials, region, deadline)
        if region in sdk.regions()[sdk.partition_of(credentials)]:
            return None
        # botocore derives the host name from the region. AWS has no server for an unknown region,
        # so a connection failure means that the region does not exist.
        no_server = errors.is_connection_failure(error) and not credentials.get("endpoint_url")
        return errors.no_such_region() if no_server or errors.is_not_aws(error) else None

    def _not_found(
        self, credentials: CredentialValues, locator: Locator, deadline: float
    ) -> ImageNotFound | ImageNotVisible:
        """Return the error for an AMI that AWS does not find.

        AWS gives the same response for a deregistered AMI and for an AMI that another account does
        not share. But an AMI exists in one region only. So if another region has the AMI, this
        region certainly does not.
        """
        start = f"There is no AMI {locator.image_id} in {locator.location}"
        regions = self._other_regions_with_image(credentials, locator, deadline)
        if regions:
            return in_other_regions_error(start, regions)
        return ImageNotVisible(
            f"{start}, or it isn’t shared with these credentials. Check the ID and the location.",
            self._account(credentials, deadline),
        )

    def _account(self, credentials: CredentialValues, deadline: float) -> str:
        """Return the account of the credentials, or '' if the call fails or takes too long."""
        return try_call(deadline, self._clients.account, credentials) or ""

    def _other_regions_with_image(
        self, credentials: CredentialValues, locator: Locator, deadline: float
    ) -> tuple[str, ...]:
        def has_image(region: str) -> bool:
            describe_images = self._describe_images_in(credentials, region)
            response = describe_images(
                ImageIds=[locator.image_id], IncludeDeprecated=True, IncludeDisabled=True
            )
            return bool(response["Images"])

        enabled = try_call(deadline, self._enabled_by_region, credentials) or {}
        others = [
            name
            for name, is_enabled in sorted(enabled.items())
            if is_enabled and name != locator.location
        ]
        return tuple(search_regions(has_image, others, deadline))

    def _explain_ambiguous(
        self, credentials: CredentialValues, region: str, deadline: float
    ) -> CloudError | None:
        """Return the error for wrong keys or for a region that is not enabled, or None.

        EC2 and SSM return the same code for both problems. A call to STS succeeds only with the
        right keys. If the keys are right, but the regions cannot be listed, the error says that the
        region may not be enabled. If there is no sign of either problem, return None.
        """
        from webapp.clouds.aws import errors  # noqa: PLC0415

        try:
            call_within(seconds_left(deadline), self._caller, credentials)
        except DeadlineExceeded:
            return None
        except Exception as error:  # noqa: BLE001
            # If this function returns None, `_precise_errors` raises the original exception again.
            cloud_error = self._translate(error)
            return cloud_error if isinstance(cloud_error, CredentialsRejected) else None
        if region == self._sign_in_region(credentials):
            return None
        enabled = try_call(deadline, self._enabled_by_region, credentials)
        if enabled is None:
            return errors.rejected_in_region(region)
        return None if enabled.get(region) else errors.region_not_enabled(region)

    def _enabled_by_region(self, credentials: CredentialValues) -> dict[str, bool]:
        """Return for each region of the partition whether it is enabled for the account."""
        ec2 = self._clients.get(credentials, "ec2", self._sign_in_region(credentials))
        response = ec2.describe_regions(AllRegions=True)
        _require_fields(response, "Regions")
        return {
            each["RegionName"]: each.get("OptInStatus") != "not-opted-in"
            for each in response["Regions"]
        }


def _require_fields(response: Mapping[str, Any], *names: str) -> None:
    """Raise CloudUnreachable unless `response` has the fields `names`.

    botocore accepts any XML, even if it is not from AWS, and leaves out missing fields.
    """
    if not all(name in response for name in names):
        from webapp.clouds.aws import errors  # noqa: PLC0415

        raise CloudUnreachable(errors.NOT_AWS)
