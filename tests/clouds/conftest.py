"""Peers on loopback, started once for all tests of a process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from botocore.retries.standard import ExponentialBackoff

from sandbox import aws
from tests.clouds.aws.peer import AwsPeer
from webapp.clouds.base import Cloud, CredentialValues


@pytest.fixture(scope="session")
def sandbox_aws() -> Iterator[str]:
    with aws.start() as url:
        yield url


@pytest.fixture
def adapter() -> Cloud:
    """Return a new adapter for each test, since adapters cache sessions."""
    return type(AwsPeer.cloud)()


@pytest.fixture
def good(sandbox_aws: str) -> CredentialValues:
    return aws_credentials(sandbox_aws)


def aws_credentials(url: str, **changes: str) -> CredentialValues:
    return CredentialValues({**AwsPeer().credentials(url), "session_token": "", **changes})


@pytest.fixture(autouse=True)
def no_retry_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make botocore retry without a delay."""
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0)
