"""The key of a service account, as Google Cloud gives it out: a JSON document. Knows its form, and
nothing of the SDK. No message quotes anything of the document."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from webapp.clouds.base import InvalidCredentials
from webapp.clouds.gce.ids import PROJECT

FIELD = "service_account_key"
UNIVERSE = "googleapis.com"
"""Google's own; sovereign clouds run by others have another."""
MAX_LENGTH = 20_000
"""A key has some 2,400 characters."""

_MAKE_ONE = (
    "In the Google Cloud console, under IAM & Admin, Service Accounts, Keys, make a key of type "
    "JSON."
)
_OTHER_TYPES = {
    "authorized_user": "This is a person's own login, made by gcloud, not a service account's key.",
    "external_account": (
        "This describes workload identity federation, which needs another identity to begin with, "
        "and is no key."
    ),
    "impersonated_service_account": (
        "This impersonates a service account with another login, and is no key itself."
    ),
    "gdch_service_account": "This is a key of Google Distributed Cloud, which is not supported.",
}
_EMAIL = re.compile(r"[^@\s]{1,128}@[^@\s]{1,128}")
_UNIVERSE = re.compile(r"[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){1,8}")


@dataclass(frozen=True)
class ServiceAccount:
    """Whose key it is, and what signs for it. The document's addresses are left out on purpose:
    nobody is to be sent a token because a pasted text says so."""

    project: str
    email: str
    key_id: str
    universe: str
    private_key: RSAPrivateKey = field(repr=False)


def read(text: str) -> ServiceAccount:
    """Raises InvalidCredentials with what is wrong."""
    document = _document(text)
    _require_type(document)
    account = ServiceAccount(
        project=_said(document, "project_id"),
        email=_said(document, "client_email"),
        key_id=str(document.get("private_key_id") or ""),
        universe=str(document.get("universe_domain") or UNIVERSE),
        private_key=_private_key(_said(document, "private_key")),
    )
    if not PROJECT.fullmatch(account.project):
        raise _invalid(f"The project_id in this key is not that of a project. {_MAKE_ONE}")
    if not _EMAIL.fullmatch(account.email):
        raise _invalid(f"The client_email in this key is no service account's. {_MAKE_ONE}")
    if not _UNIVERSE.fullmatch(account.universe):
        raise _invalid(f"The universe_domain in this key is no domain. {_MAKE_ONE}")
    return account


def _document(text: str) -> Mapping[str, Any]:
    text = text.strip("\ufeff \t\r\n")
    if len(text) > MAX_LENGTH:
        raise _invalid(
            "This is far too long for a service account's key. Paste the key file alone."
        )
    if text.startswith("-----BEGIN"):
        raise _invalid(
            "This is the private key alone. Paste the whole JSON file that it is a part of, from "
            "the first { to the last }."
        )
    document = _parsed(text)
    if document is None:
        raise _invalid(
            "This is not JSON. Paste the whole key file, from the first { to the last }."
        )
    if not isinstance(document, dict):
        raise _invalid(f"This is JSON, but no key of a service account. {_MAKE_ONE}")
    return document


def _parsed(text: str) -> Any:
    """None for what is no JSON. The error itself would carry the whole text along."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _require_type(document: Mapping[str, Any]) -> None:
    kind = document.get("type")
    if kind == "service_account":
        return
    if "installed" in document or "web" in document:
        raise _invalid(f"This is the secret of an OAuth client, not a key. {_MAKE_ONE}")
    known = _OTHER_TYPES.get(kind) if isinstance(kind, str) else None
    raise _invalid(f"{known or 'This is no key of a service account.'} {_MAKE_ONE}")


def _said(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name)
    if isinstance(value, str) and value.strip():
        return value.strip()
    raise _invalid(f"This key has no {name}. Paste the whole key file, unchanged.")


def _private_key(pem: str) -> RSAPrivateKey:
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _invalid(
            "The private_key in this key cannot be read: it is cut off or changed. Paste the whole "
            "key file again, or make a new key."
        ) from error
    if not isinstance(key, RSAPrivateKey):
        raise _invalid(
            f"The private_key in this key is of a kind that Google does not use. {_MAKE_ONE}"
        )
    return key


def _invalid(message: str) -> InvalidCredentials:
    return InvalidCredentials(message, FIELD)
