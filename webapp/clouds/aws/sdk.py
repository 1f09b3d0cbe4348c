"""The parts of botocore that the AWS adapter uses: clients, kept while they are warm, and the
regions that botocore knows. Imports botocore, so it is itself imported on first use only.

Nothing of this server's own surroundings is read: no profile, no keys, no configured endpoint.
A person's credentials are the only ones that are ever sent.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import botocore.loaders
import botocore.session
from botocore.config import Config

from webapp.clouds.base import CredentialValues
from webapp.clouds.cache import NEVER_EXPIRES, Cache, credentials_digest

CONNECT_SECONDS = 2
READ_SECONDS = 4
ROLE_SECONDS = 900
"""How long a role is taken on for: the shortest time that AWS allows."""
OPERATIONS = {
    "ec2": {"DescribeImages", "DescribeImageAttribute", "DescribeRegions"},
    "sts": {"AssumeRole", "GetCallerIdentity"},
}
HOME = {"aws": "us-east-1", "aws-us-gov": "us-gov-west-1", "aws-cn": "cn-north-1"}
"""A region of each partition that every account has: where its STS and its regions are asked."""

# At its debug level botocore logs whole requests and answers, session tokens and keys included.
logging.getLogger("botocore").setLevel(logging.INFO)


def partition_of(credentials: Mapping[str, str]) -> str:
    return credentials.get("partition") or "aws"


@cache
def regions() -> dict[str, dict[str, str]]:
    """The regions of each partition with their names, as botocore ships them."""
    known = _LOADER.load_data("partitions")["partitions"]
    return {
        each["id"]: {
            key: region["description"]
            for key, region in sorted(each["regions"].items())
            if not key.endswith("-global")  # not a place, a word for "none"
        }
        for each in known
    }


@dataclass(frozen=True, repr=False)
class _Keys:
    """What requests are signed with, and until when (seconds of the epoch)."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None
    expires: float = NEVER_EXPIRES


class Clients:
    """Clients by credentials, service and region. Safe to share between threads."""

    def __init__(self) -> None:
        self._session = _Session()
        self._session.register_component("data_loader", _LOADER)
        self._making = threading.Lock()
        self._keys = Cache()
        self._clients = Cache()  # some 0.1 MB each
        self._accounts = Cache()

    def warm_up(self) -> None:
        """Read the descriptions of both services, which takes longer than anything after it."""
        for service in OPERATIONS:
            self._make({}, service, HOME["aws"], _Keys("-", "-", None))

    def get(self, credentials: CredentialValues, service: str, region: str) -> Any:
        """Raises what botocore raises when a role is to be taken on and cannot be."""
        owner = credentials_digest(credentials)
        name = (owner, service, region)
        client = self._clients.get(name)
        if client is None:
            keys = self._keys_for(credentials, owner)
            client = self._make(credentials, service, region, keys)
            self._clients.set(name, client, keys.expires)
        return client

    def account(self, credentials: CredentialValues) -> str:
        """The number of the account that they act for, which never changes."""
        role = credentials.get("role_arn")
        if role:
            return role.split(":")[4]
        owner = (credentials_digest(credentials),)
        account: str | None = self._accounts.get(owner)
        if account is None:
            sts = self.get(credentials, "sts", HOME[partition_of(credentials)])
            account = sts.get_caller_identity().get("Account", "")
            self._accounts.set(owner, account, NEVER_EXPIRES)
        return account or ""

    def forget(self, credentials: CredentialValues) -> None:
        """Log in anew next time: what a role allows, or who may take it on, has changed perhaps."""
        owner = credentials_digest(credentials)
        self._keys.delete_owner(owner)
        self._clients.delete_owner(owner)

    def _keys_for(self, credentials: CredentialValues, owner: str) -> _Keys:
        own = _Keys(
            credentials["access_key_id"],
            credentials["secret_access_key"],
            credentials.get("session_token") or None,
        )
        role = credentials.get("role_arn")
        if not role:
            return own
        taken: _Keys | None = self._keys.get((owner,))
        if taken is None:
            sts = self._make(credentials, "sts", HOME[partition_of(credentials)], own)
            answer = sts.assume_role(
                RoleArn=role, RoleSessionName="image-registry", DurationSeconds=ROLE_SECONDS
            )["Credentials"]
            taken = _Keys(
                answer["AccessKeyId"],
                answer["SecretAccessKey"],
                answer["SessionToken"],
                answer["Expiration"].timestamp() - 60,
            )
            self._keys.set((owner,), taken, taken.expires)
        return taken

    def _make(self, credentials: Mapping[str, str], service: str, region: str, keys: _Keys) -> Any:
        with self._making:  # A session must not make two clients at once.
            return self._session.create_client(
                service,
                region_name=region,
                endpoint_url=credentials.get("endpoint_url") or None,
                aws_access_key_id=keys.access_key_id,
                aws_secret_access_key=keys.secret_access_key,
                aws_session_token=keys.session_token,
                config=Config(
                    connect_timeout=CONNECT_SECONDS,
                    read_timeout=READ_SECONDS,
                    # The second attempt is for a connection that AWS had closed meanwhile.
                    retries={"mode": "standard", "total_max_attempts": 2},
                    ignore_configured_endpoint_urls=True,
                    user_agent_appid="image-registry",
                ),
            )


class _Session(botocore.session.Session):
    """One without a configuration file: what is in it is the server's, not the person's."""

    @property
    def full_config(self) -> dict[str, Any]:
        return {"profiles": {}}

    def get_scoped_config(self) -> dict[str, Any]:
        return {}


class _Loader(botocore.loaders.Loader):
    """Describes to botocore only the operations that are used. A client of EC2 with all of its
    700 takes 40 ms and 1 MB to make, one with three 5 ms and 0.1 MB: with it all regions can be
    asked at once."""

    def load_service_model(
        self, service_name: str, type_name: str, api_version: str | None = None
    ) -> dict[str, Any]:
        model = super().load_service_model(service_name, type_name, api_version)
        if type_name != "service-2":
            return model
        used = OPERATIONS[service_name]
        operations = {name: each for name, each in model["operations"].items() if name in used}
        return {**model, "operations": operations}


_LOADER = _Loader()
"""Keeps what it has read."""
