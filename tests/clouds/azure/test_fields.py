"""Validation of the fields of Azure credentials."""

from __future__ import annotations

import pytest

from tests.clouds.helpers import cloud_error
from webapp.clouds.azure.adapter import Azure
from webapp.clouds.credentials import CredentialValues
from webapp.clouds.errors import InvalidCredentials


def test_values_that_the_sdk_rejects_are_reported(adapter: Azure, good: CredentialValues) -> None:
    for name, value in (("tenant_id", "a/b"), ("authority_url", "http://127.0.0.1:1")):
        values = CredentialValues({**good, name: value})
        error = cloud_error(lambda: adapter.check(values))  # noqa: B023
        assert isinstance(error, InvalidCredentials)


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"endpoint_url": "http://127.0.0.1"}, "endpoint_url", "begins with https"),
        ({"authority_url": "http://127.0.0.1"}, "authority_url", "begins with https"),
        ({"ca": "nothing"}, "ca", "isn’t a certificate"),
        ({"ca": "-----BEGIN PRIVATE KEY-----"}, "ca", "private key"),
    ],
)
def test_invalid_combinations_are_refused_at_their_field(
    adapter: Azure, good: CredentialValues, changes: dict[str, str], field: str, words: str
) -> None:
    error = cloud_error(lambda: adapter.validate({**good, **changes}))
    assert isinstance(error, InvalidCredentials)
    assert error.field == field
    assert words in str(error)


def test_valid_combinations_are_accepted(adapter: Azure, good: CredentialValues) -> None:
    adapter.validate(good)
    plain = {**good, "authority_url": "", "endpoint_url": "", "ca": ""}
    for cloud in ("public", "usgov", "china"):
        adapter.validate({**plain, "cloud": cloud})
