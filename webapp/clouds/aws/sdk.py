"""The parts of botocore that the AWS adapter uses: cached clients, and the list of regions.

This module imports botocore, so it is itself imported only on first use. It ignores the profiles,
keys and endpoint URLs that the environment of this server configures: only the keys of the given
credentials, or of their role, sign requests. botocore reads some other settings from the
environment, such as the proxies.
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
from botocore.awsrequest import AWSHTTPConnection, AWSHTTPSConnection
from botocore.config import Config

from webapp.clouds.cache import NEVER_EXPIRES, Cache, credentials_digest
from webapp.clouds.credentials import CredentialValues
from webapp.clouds.outgoing.calls import current_call, has_reached_limit
from webapp.clouds.outgoing.connections import limited_pools
from webapp.clouds.tls import ca_file

CONNECT_SECONDS = 2
READ_SECONDS = 4
ROLE_SECONDS = 900
"""The duration of the session of an assumed role: the minimum that AWS allows."""
OPERATIONS = {
    "ec2": {"DescribeImages", "DescribeImageAttribute", "DescribeRegions"},
    "ssm": {"GetParameter"},
    "sts": {"AssumeRole", "GetCallerIdentity"},
}
"""The operations that the adapter calls, by service."""
# At debug level, botocore logs complete requests and responses, including tokens and keys.
logging.getLogger("botocore").setLevel(logging.INFO)


def partition_of(credentials: Mapping[str, str]) -> str:
    return credentials.get("partition") or "aws"


def sign_in_region(credentials: Mapping[str, str]) -> str:
    """Return the region in which the adapter calls STS and DescribeRegions.

    This is the sign-in region in the credentials, or else the main region of their partition.
    """
    chosen_region = credentials.get("sign_in_region")
    main_region: str = _partitions()[partition_of(credentials)]["outputs"]["implicitGlobalRegion"]
    return chosen_region or main_region


@cache
def regions() -> dict[str, dict[str, str]]:
    """Return the names of the regions that botocore lists, by partition and by key."""
    return {
        partition: {
            key: region["description"]
            for key, region in sorted(data["regions"].items())
            if not key.endswith("-global")  # a placeholder for services without regions
        }
        for partition, data in _partitions().items()
    }


def _partitions() -> dict[str, Any]:
    """Return botocore's data about each partition. botocore's loader caches the data."""
    return {each["id"]: each for each in _LOADER.load_data("partitions")["partitions"]}


@dataclass(frozen=True, repr=False)
class _Keys:
    """The keys that sign requests. They are used until `expires`, in seconds since the epoch."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None
    expires: float = NEVER_EXPIRES


class Clients:
    """A cache of clients by credentials, service and region. Threads can share it."""

    def __init__(self) -> None:
        self._session = _Session()
        self._session.register_component("data_loader", _LOADER)
        self._lock = threading.Lock()
        self._keys = Cache()
        self._clients = Cache(max_per_account=64)  # about 0.1 MB each
        self._accounts = Cache()

    def warm_up(self) -> None:
        """Load botocore's service descriptions, which takes most of the time of the first `get`."""
        for service in OPERATIONS:
            self._create({}, service, sign_in_region({}), _Keys("-", "-", None))

    def get(self, credentials: CredentialValues, service: str, region: str) -> Any:
        """Return the client for a service in a region.

        Raises botocore's exception if the role in the credentials cannot be assumed.
        """
        digest = credentials_digest(credentials)
        key = (digest, service, region)
        client = self._clients.get(key)
        if client is None:
            keys = self._keys_for(credentials, digest)
            client = self._create(credentials, service, region, keys)
            self._clients.set(key, client, keys.expires)
        return client

    def account(self, credentials: CredentialValues) -> str:
        """Return the account number of `credentials`, or '' if AWS does not report it.

        If the credentials name a role, return the account of the role. The number never changes, so
        it is cached.
        """
        role = credentials.get("role_arn")
        if role:
            return role.split(":")[4]
        key = (credentials_digest(credentials),)
        account: str | None = self._accounts.get(key)
        if account is None:
            sts = self.get(credentials, "sts", sign_in_region(credentials))
            account = sts.get_caller_identity().get("Account", "")
            self._accounts.set(key, account, NEVER_EXPIRES)
        return account or ""

    def forget(self, credentials: CredentialValues) -> None:
        """Delete the cached keys and clients, so that the next call assumes the role again."""
        digest = credentials_digest(credentials)
        self._keys.forget(digest)
        self._clients.forget(digest)

    def _keys_for(self, credentials: CredentialValues, digest: str) -> _Keys:
        """Return the keys in the credentials or, if they name a role, the keys of the role."""
        stored_keys = _Keys(
            credentials["access_key_id"],
            credentials["secret_access_key"],
            credentials.get("session_token") or None,
        )
        role = credentials.get("role_arn")
        if not role:
            return stored_keys
        role_keys: _Keys | None = self._keys.get((digest,))
        if role_keys is None:
            sts = self._create(credentials, "sts", sign_in_region(credentials), stored_keys)
            response = sts.assume_role(
                RoleArn=role, RoleSessionName="image-registry", DurationSeconds=ROLE_SECONDS
            )["Credentials"]
            role_keys = _Keys(
                response["AccessKeyId"],
                response["SecretAccessKey"],
                response["SessionToken"],
                response["Expiration"].timestamp() - 60,
            )
            self._keys.set((digest,), role_keys, role_keys.expires)
        return role_keys

    def _create(
        self, credentials: Mapping[str, str], service: str, region: str, keys: _Keys
    ) -> Any:
        ca = credentials.get("ca")
        with self._lock:  # Two threads must not create clients with one session at the same time.
            client = self._session.create_client(
                service,
                region_name=region,
                endpoint_url=credentials.get("endpoint_url") or None,
                verify=ca_file(ca) if ca else None,
                aws_access_key_id=keys.access_key_id,
                aws_secret_access_key=keys.secret_access_key,
                aws_session_token=keys.session_token,
                config=Config(
                    connect_timeout=CONNECT_SECONDS,
                    read_timeout=READ_SECONDS,
                    # A second attempt is necessary if AWS has closed a pooled connection.
                    retries={"mode": "standard", "total_max_attempts": 2},
                    ignore_configured_endpoint_urls=True,
                    user_agent_appid="image-registry",
                ),
            )
        # botocore has no public way to replace the connections. All of its connection managers,
        # including the managers for proxies, share this dictionary.
        client._endpoint.http_session._pool_classes_by_scheme.update(_POOLS)  # noqa: SLF001
        client.meta.events.register_first("needs-retry", _on_needs_retry)
        return client


_POOLS = limited_pools(AWSHTTPConnection, AWSHTTPSConnection)


def _on_needs_retry(**_: object) -> bool | None:
    """Return False if the call in progress has reached a limit, so that botocore does not retry.

    Otherwise, return None, which leaves the decision to botocore.

    botocore calls this function after each attempt to send a request, and may wait before the next
    attempt. So this function also reports that the call in progress no longer parses a response.
    Other calls to clouds can then parse their responses while botocore waits.
    """
    current_call().end_parsing()
    return False if has_reached_limit() else None


class _Session(botocore.session.Session):
    """A session that ignores the AWS configuration files of this server."""

    @property
    def full_config(self) -> dict[str, Any]:
        return {"profiles": {}}

    def get_scoped_config(self) -> dict[str, Any]:
        return {}


class _Loader(botocore.loaders.Loader):
    """A loader of service descriptions that contain only the operations that the adapter calls.

    Creating an EC2 client takes about 40 ms and 1 MB with all operations, but 5 ms and 0.1 MB with
    three operations. The search for an image in other regions creates a client for each region.
    """

    def load_service_model(
        self, service_name: str, type_name: str, api_version: str | None = None
    ) -> dict[str, Any]:
        model = super().load_service_model(service_name, type_name, api_version)
        if type_name != "service-2":
            return model
        used_names = OPERATIONS[service_name]
        operations = {
            name: operation for name, operation in model["operations"].items() if name in used_names
        }
        return {**model, "operations": operations}


_LOADER = _Loader()
"""The loader of all clients. It caches the files that it has read."""
