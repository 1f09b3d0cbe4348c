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
    with aws.start() as address:
        yield address


@pytest.fixture
def adapter() -> Cloud:
    """One of its own for each test: an adapter remembers whom it has logged in."""
    return type(AwsPeer.cloud)()


@pytest.fixture
def good(sandbox_aws: str) -> CredentialValues:
    return aws_credentials(sandbox_aws)


def aws_credentials(address: str, **changes: str) -> CredentialValues:
    return CredentialValues({**AwsPeer().credentials(address), "session_token": "", **changes})


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second attempt of a call is still made, but at once."""
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0)
