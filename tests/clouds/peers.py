"""What the contract's tests need to know of each adapter: one class a cloud, one line at the end.
A peer is a server on loopback that stands for the cloud, with an image that is known to be there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import ClassVar

from sandbox import aws, faulty
from tests.clouds.aws_answers import aws_error, by_action
from webapp.clouds import CLOUDS
from webapp.clouds.base import Cloud, CredentialValues, Locator

SECRET = "wJalrXUtnFEMI/bPxRfiCYEXAMPLEKEY"


class Peer(ABC):
    cloud: ClassVar[Cloud]
    known: ClassVar[Locator]
    known_name: ClassVar[str]
    unknown: ClassVar[Locator]
    pasted: ClassVar[Mapping[str, str]]
    """What people paste, and the canonical id that it stands for."""
    not_ids: ClassVar[tuple[str, ...]]

    @abstractmethod
    def start(self) -> AbstractContextManager[str]:
        """Serve; the address is what `credentials` takes."""

    @abstractmethod
    def credentials(self, address: str) -> CredentialValues:
        """Good ones, for a cloud at this address. Every secret field holds something of SECRET."""

    @abstractmethod
    def rejecting(self) -> faulty.Behaviour:
        """A cloud that does not know who is asking."""

    @abstractmethod
    def denying(self) -> faulty.Behaviour:
        """A cloud that knows who is asking, and does not allow it."""

    @abstractmethod
    def throttling(self) -> faulty.Behaviour: ...


class AwsPeer(Peer):
    cloud = CLOUDS["aws"]
    known = Locator("us-east-1", aws.NOBLE.id_in("us-east-1"))
    known_name = aws.NOBLE.name
    unknown = Locator("us-east-1", "ami-0fedcba9876543210")
    pasted: ClassVar[Mapping[str, str]] = {
        " ami-0123456789abcdef0\n": "ami-0123456789abcdef0",
        "AMI-12345678": "ami-12345678",
        "arn:aws:ec2:us-east-1::image/ami-12345678": "ami-12345678",
    }
    not_ids = ("", "ubuntu", "ami-", "i-0123456789abcdef0")

    def start(self) -> AbstractContextManager[str]:
        return aws.start()

    def credentials(self, address: str) -> CredentialValues:
        return CredentialValues(
            {
                "access_key_id": "AKIAIOSFODNN7EXAMPLE",
                "secret_access_key": SECRET,
                "session_token": f"token-{SECRET}",
                "role_arn": "",
                "partition": "aws",
                "endpoint_url": address,
            }
        )

    def rejecting(self) -> faulty.Behaviour:
        return by_action(
            GetCallerIdentity=aws_error("InvalidClientTokenId", status=403),
            otherwise=aws_error("AuthFailure", status=401),
        )

    def denying(self) -> faulty.Behaviour:
        return aws_error("UnauthorizedOperation", status=403)

    def throttling(self) -> faulty.Behaviour:
        return aws_error("RequestLimitExceeded", status=503)


PEERS: tuple[Peer, ...] = (AwsPeer(),)
