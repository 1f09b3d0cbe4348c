"""Parsing of service account keys, which are JSON documents.

This module knows the format of the documents, but not the SDK. No message of this module contains a
value from a document, except the universe in the message of `require_known_api`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from webapp.clouds.errors import InvalidCredentials
from webapp.clouds.gce.ids import PROJECT
from webapp.clouds.gce.universes import GOOGLE, find_universe

FIELD = "service_account_key"
MAX_LENGTH = 20_000
"""The maximum length of a key file, in characters. A usual key file has about 2,400 characters."""
LONGEST_PRIVATE_KEY = 3_500
"""The maximum length of a private key, in characters. A key of 4,096 bits has 3,272 characters."""
MAX_PRIME_BITS = 2_048
"""The maximum size of a prime of a private key. The primes of a key of 4,096 bits have this size.

The check of a larger prime can take many seconds, and blocks all other threads during this time.
"""

_CREATE_KEY = (
    "In the Google Cloud console, create a key of type JSON under IAM & Admin > Service Accounts > "
    "Keys."
)
_OTHER_TYPES = {
    "authorized_user": "These are user credentials created by gcloud, not a service account key.",
    "external_account": (
        "This is a configuration for workload identity federation, not a service account key."
    ),
    "impersonated_service_account": (
        "This is a configuration for service account impersonation, not a service account key."
    ),
    "gdch_service_account": "This is a key for Google Distributed Cloud, which isn’t supported.",
}
"""The messages, by the `type` of a JSON document that is not a service account key."""
_EMAIL = re.compile(r"[^@\s]{1,128}@[^@\s]{1,128}")
_UNIVERSE = re.compile(r"[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){1,8}")


@dataclass(frozen=True)
class ServiceAccount:
    """A service account and its private key.

    The URLs in the key file are ignored, because a pasted text must not decide where tokens are
    sent. For the same reason, a key of an unknown `universe` can be used only together with an
    endpoint URL that the person enters (see `require_known_api`).
    """

    project: str
    email: str
    key_id: str
    universe: str
    private_key: RSAPrivateKey = field(repr=False)


def parse_key(text: str) -> ServiceAccount:
    """Return the service account of a key file. Raises InvalidCredentials with the reason."""
    document = _parse_document(text)
    _require_type(document)
    account = ServiceAccount(
        project=_required_text(document, "project_id"),
        email=_required_text(document, "client_email"),
        key_id=str(document.get("private_key_id") or ""),
        universe=str(document.get("universe_domain") or GOOGLE.domain),
        private_key=_private_key(_required_text(document, "private_key")),
    )
    if not PROJECT.fullmatch(account.project):
        raise _invalid(f"The project_id in this key isn’t a valid project ID. {_CREATE_KEY}")
    if not _EMAIL.fullmatch(account.email):
        raise _invalid(f"The client_email in this key isn’t a valid e-mail address. {_CREATE_KEY}")
    if not _UNIVERSE.fullmatch(account.universe):
        raise _invalid(f"The universe_domain in this key isn’t a valid domain. {_CREATE_KEY}")
    return account


def require_known_api(account: ServiceAccount, endpoint_url: str) -> None:
    """Raise InvalidCredentials if neither a person nor the registry has named the API.

    Without an endpoint URL, tokens are sent to the API of the universe, so the universe must be one
    of UNIVERSES.
    """
    if not endpoint_url and find_universe(account.universe) is None:
        raise InvalidCredentials(
            f"This key belongs to an unknown cloud, {account.universe}. Enter the endpoint URL of "
            "its Compute Engine API, which begins with https and usually has the host name "
            f"compute.{account.universe}.",
            "endpoint_url",
        )


def _parse_document(text: str) -> Mapping[str, Any]:
    text = text.strip("\ufeff \t\r\n")
    if len(text) > MAX_LENGTH:
        raise _invalid("This is too long for a service account key. Paste only the key file.")
    if text.startswith("-----BEGIN"):
        raise _invalid(
            "This is only the private key. Paste the complete JSON key file that contains it, from "
            "the first { to the last }."
        )
    document = _parse_json(text)
    if document is None:
        raise _invalid(
            "This isn’t valid JSON. Paste the complete key file, from the first { to the last }."
        )
    if not isinstance(document, dict):
        raise _invalid(f"This is JSON, but not a service account key. {_CREATE_KEY}")
    return document


def _parse_json(text: str) -> Any:
    """Return the JSON value, or None if `text` is not JSON.

    The JSON parser's exception is not raised, because it contains the whole text with the key.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _require_type(document: Mapping[str, Any]) -> None:
    kind = document.get("type")
    if kind == "service_account":
        return
    if "installed" in document or "web" in document:
        raise _invalid(f"This is an OAuth client secret, not a service account key. {_CREATE_KEY}")
    explanation = _OTHER_TYPES.get(kind) if isinstance(kind, str) else None
    raise _invalid(f"{explanation or 'This isn’t a service account key.'} {_CREATE_KEY}")


def _required_text(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name)
    if isinstance(value, str) and value.strip():
        return value.strip()
    raise _invalid(f"This key has no {name}. Paste the complete, unchanged key file.")


def _private_key(pem: str) -> RSAPrivateKey:
    too_long = _invalid(f"The private_key in this key is too long. {_CREATE_KEY}")
    if len(pem) > LONGEST_PRIVATE_KEY:
        raise too_long
    try:
        # Read the sizes of the primes before the check of the key. Limiting the length of the text
        # is not enough, because a short text can contain one large prime and one small prime.
        key = load_pem_private_key(pem.encode(), password=None, unsafe_skip_rsa_key_validation=True)
        if isinstance(key, RSAPrivateKey):
            numbers = key.private_numbers()
            if max(numbers.p.bit_length(), numbers.q.bit_length()) > MAX_PRIME_BITS:
                raise too_long
            key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _invalid(
            "The private_key in this key can’t be read because it is incomplete or was changed. "
            "Paste the complete key file again, or create a new key."
        ) from error
    if not isinstance(key, RSAPrivateKey):
        raise _invalid(f"The private_key in this key isn’t an RSA key. {_CREATE_KEY}")
    return key


def _invalid(message: str) -> InvalidCredentials:
    return InvalidCredentials(message, FIELD)
