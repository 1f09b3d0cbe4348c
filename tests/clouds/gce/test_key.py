"""Parsing of service account keys, and validation of the other credential fields."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from hypothesis import given
from hypothesis import strategies as st

from sandbox import gce_keys, tls
from webapp.clouds.errors import InvalidCredentials
from webapp.clouds.gce.adapter import Gce
from webapp.clouds.gce.key import LONGEST_PRIVATE_KEY, MAX_LENGTH, parse_key

LINE = json.loads(gce_keys.key_file())["private_key"].splitlines()[3]
"""A part of the private key."""


def key(**changes: Any) -> str:
    """Return the text of a key file in which `changes` replace some fields."""
    return json.dumps({**json.loads(gce_keys.key_file()), **changes})


def without(name: str) -> str:
    """Return a key file without the field `name`."""
    document = json.loads(gce_keys.key_file())
    del document[name]
    return json.dumps(document)


@cache
def elliptic_curve_key() -> str:
    private_key = ec.generate_private_key(ec.SECP256R1())
    return private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@cache
def encrypted_key() -> str:
    pem = json.loads(gce_keys.key_file())["private_key"].encode()
    private_key = load_pem_private_key(pem, password=None)
    encryption = BestAvailableEncryption(b"sesame")
    return private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode()


def rsa_pem(p: int, q: int, d: int) -> str:
    """Return a key with the primes `p` and `q`, and the private exponent `d`."""
    e = pow(d, -1, (p - 1) * (q - 1))
    numbers = rsa.RSAPrivateNumbers(
        p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), rsa.RSAPublicNumbers(e, p * q)
    )
    private_key = numbers.private_key(unsafe_skip_rsa_key_validation=True)
    return private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def key_error(text: str, **others: str) -> InvalidCredentials:
    """Return the error for a key file with this text, after checking its message."""
    values = {"service_account_key": text, "endpoint_url": "", "ca": "", **others}
    with pytest.raises(InvalidCredentials) as caught:
        Gce().validate(values)
    assert str(caught.value).endswith(".")
    assert len(str(caught.value)) < 300
    assert "://" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("around", ["{}", "\ufeff{}", "\n\n {} \r\n"])
def test_a_valid_key_is_accepted(around: str) -> None:
    text = around.replace("{}", gce_keys.key_file())
    account = parse_key(text)
    assert account.project == "acme-images"
    assert account.email == gce_keys.EMAIL
    assert account.universe == "googleapis.com"
    Gce().validate({"service_account_key": text, "endpoint_url": "", "ca": ""})


def test_repr_contains_no_secret() -> None:
    shown = repr(parse_key(gce_keys.key_file()))
    assert "acme-images" in shown
    assert "private_key=" not in shown
    assert LINE not in shown


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "This isn’t valid JSON"),
        ("secret", "This isn’t valid JSON"),
        ('{"type": "service_account"', "This isn’t valid JSON"),
        ("[" * 10_000, "This isn’t valid JSON"),
        ("-----BEGIN PRIVATE KEY-----\nMII", "only the private key"),
        ("null", "This isn’t valid JSON"),
        ("[]", "JSON, but not a service account key"),
        ("5", "JSON, but not a service account key"),
        ("{}", "isn’t a service account key"),
        (key(type="authorized_user"), "user credentials created by gcloud"),
        (key(type="external_account"), "workload identity federation"),
        (key(type="impersonated_service_account"), "service account impersonation"),
        (key(type="gdch_service_account"), "Distributed Cloud"),
        (key(type="new"), "isn’t a service account key"),
        (key(type=["service_account"]), "isn’t a service account key"),
        ('{"installed": {"client_id": "x"}}', "OAuth client secret"),
        ('{"web": {"client_id": "x"}}', "OAuth client secret"),
        (without("project_id"), "has no project_id"),
        (without("client_email"), "has no client_email"),
        (without("private_key"), "has no private_key"),
        (key(project_id=7), "has no project_id"),
        (key(project_id=" "), "has no project_id"),
        (key(project_id="../x"), "project_id in this key isn’t"),
        (key(client_email="nobody"), "client_email in this key isn’t"),
        (key(client_email="a b@example.com"), "client_email in this key isn’t"),
        (key(universe_domain="x/y"), "universe_domain in this key isn’t a valid domain"),
        (key(private_key="sesame"), "private_key in this key can’t be read"),
        (
            key(private_key="-----BEGIN PRIVATE KEY-----\nMII\n"),
            "can’t be read because it is incomplete",
        ),
        (key(private_key=encrypted_key()), "private_key in this key can’t be read"),
        (key(private_key=elliptic_curve_key()), "isn’t an RSA key"),
        (key(private_key=f"x{'y' * MAX_LENGTH}"), "too long for a service account key"),
        (key(private_key="y" * (LONGEST_PRIVATE_KEY + 1)), "private_key in this key is too long"),
    ],
    ids=lambda each: each[:30],
)
def test_each_mistake_has_its_own_message(text: str, words: str) -> None:
    error = key_error(text)
    assert words in str(error)
    assert error.field == "service_account_key"


def test_the_largest_usual_key_is_accepted() -> None:
    private_key = rsa.generate_private_key(65537, 4096)
    pem = private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    assert parse_key(key(private_key=pem)).private_key.key_size == 4096


def test_a_large_prime_in_a_short_key_is_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    checked = []

    def load(*arguments: Any, unsafe_skip_rsa_key_validation: bool = False, **others: Any) -> Any:
        checked.append(not unsafe_skip_rsa_key_validation)
        return load_pem_private_key(
            *arguments, unsafe_skip_rsa_key_validation=unsafe_skip_rsa_key_validation, **others
        )

    monkeypatch.setattr("webapp.clouds.gce.key.load_pem_private_key", load)
    # Mersenne primes. The public exponent is large, so that the private exponent can be short.
    pem = rsa_pem(2**4423 - 1, 2**61 - 1, 65537)
    assert len(pem) < LONGEST_PRIVATE_KEY
    assert "private_key in this key is too long" in str(key_error(key(private_key=pem)))
    assert checked == [False]
    parse_key(gce_keys.key_file())
    assert checked == [False, False, True]


def test_no_message_contains_the_secret() -> None:
    whole = gce_keys.key_file()
    cut = whole[: len(whole) // 2]
    for text in (cut, key(private_key=LINE), key(type=LINE), key(client_email=LINE), f"{{{LINE}"):
        assert LINE not in str(key_error(text))
        assert LINE[:10] not in str(key_error(text))
        assert LINE not in repr(vars(key_error(text).__cause__ or key_error(text)))


def test_ca_certificates_require_an_endpoint() -> None:
    good, pem = gce_keys.key_file(), tls.authority().pem
    error = key_error(good, ca=pem)
    assert "require an endpoint URL" in str(error)
    assert error.field == "ca"
    error = key_error(good, ca="sesame", endpoint_url="https://10.0.0.1")
    assert "isn’t a certificate" in str(error)
    assert error.field == "ca"
    values = {"service_account_key": good, "ca": pem, "endpoint_url": "https://10.0.0.1"}
    Gce().validate(values)


def test_a_key_of_a_known_sovereign_cloud_needs_no_endpoint() -> None:
    sovereign = key(
        universe_domain="apis-berlin-build0.goog",
        project_id="eu0:acme-images",
        client_email="registry@acme-images.eu0.iam.gserviceaccount.com",
    )
    Gce().validate({"service_account_key": sovereign, "ca": "", "endpoint_url": ""})
    assert parse_key(sovereign).project == "eu0:acme-images"


def test_a_key_of_an_unknown_cloud_needs_its_endpoint() -> None:
    """A key alone must not decide where its tokens are sent."""
    foreign = key(universe_domain="example-cloud.fr")
    error = key_error(foreign)
    assert "unknown cloud, example-cloud.fr" in str(error)
    assert error.field == "endpoint_url"
    endpoint = "https://compute.example-cloud.fr"
    Gce().validate({"service_account_key": foreign, "ca": "", "endpoint_url": endpoint})
    assert parse_key(foreign).universe == "example-cloud.fr"


@given(
    st.text(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
        max_leaves=8,
    ).map(json.dumps)
    | st.dictionaries(
        st.sampled_from(["type", "project_id", "client_email", "private_key", "universe_domain"]),
        st.sampled_from(["service_account", "acme-images", "a@b", LINE]) | st.text() | st.none(),
    ).map(json.dumps)
)
def test_any_other_text_is_rejected_with_a_message(text: str) -> None:
    assert LINE not in str(key_error(text))
