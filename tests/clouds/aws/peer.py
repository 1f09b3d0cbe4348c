"""The sandbox's AWS as a peer for the contract tests."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import ClassVar

from sandbox import aws, faulty
from tests.clouds.aws.answers import aws_error, by_action
from tests.clouds.peer import SECRET, Peer
from webapp.clouds import CLOUDS
from webapp.clouds.credentials import CredentialValues
from webapp.clouds.locators import Locator


class AwsPeer(Peer):
    cloud = CLOUDS["aws"]
    known = Locator("us-east-1", aws.NOBLE.id_in("us-east-1"))
    known_name = aws.NOBLE.name
    alias = Locator("us-east-1", f"resolve:ssm:{aws.UBUNTU_PARAMETER}")
    unknown = Locator("us-east-1", "ami-0fedcba9876543210")
    in_other_location = Locator("us-west-2", aws.ONLY_IRELAND.id_in("eu-west-1"))
    at_unknown_location = Locator("eu-nowhere-1", known.image_id)
    pasted: ClassVar[Mapping[str, str]] = {
        " ami-0123456789abcdef0\n": "ami-0123456789abcdef0",
        "AMI-12345678": "ami-12345678",
        "arn:aws:ec2:us-east-1::image/ami-12345678": "ami-12345678",
        "{{resolve:ssm:/golden/web:3}}": "resolve:ssm:/golden/web:3",
    }
    invalid_ids = ("", "ubuntu", "ami-", "i-0123456789abcdef0")

    def start(self) -> AbstractContextManager[str]:
        return aws.start()

    def credentials(self, url: str) -> CredentialValues:
        return CredentialValues(
            {
                "access_key_id": "AKIAIOSFODNN7EXAMPLE",
                "secret_access_key": SECRET,
                "session_token": f"token-{SECRET}",
                "role_arn": "",
                "partition": "aws",
                "sign_in_region": "",
                "endpoint_url": url,
                "ca": "",
            }
        )

    def rejecting(self) -> faulty.Behavior:
        return by_action(
            GetCallerIdentity=aws_error("InvalidClientTokenId", status=403),
            otherwise=aws_error("AuthFailure", status=401),
        )

    def denying(self) -> faulty.Behavior:
        return aws_error("UnauthorizedOperation", status=403)

    def throttling(self) -> faulty.Behavior:
        return aws_error("RequestLimitExceeded", status=503)


def aws_credentials(url: str, **changes: str) -> CredentialValues:
    """Return valid credentials without a session token, except for `changes`."""
    return CredentialValues({**AwsPeer().credentials(url), "session_token": "", **changes})
