"""A loopback Azure: the parts of Microsoft Entra and Resource Manager that look-ups use, over TLS.

There is one application in one tenant. The application may read one subscription.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from sandbox import faulty, tls
from sandbox.azure_images import CLIENT, SUBSCRIPTION, TENANT
from sandbox.azure_manager import Refused, answer_request, error_answer, json_answer
from sandbox.faulty import Answer, Request

SECRET = "sandbox~8Q~wJalrXUtnFEMIbPxRfiCYEXAMPLE"  # noqa: S105
TENANT_DOMAIN = "acme.example"
TOKEN_SECONDS = 3599
TRACE = "Trace ID: 0 Correlation ID: 0 Timestamp: 2026-11-01 00:00:00Z"


@contextmanager
def start(port: int = 0, authority: tls.Authority | None = None) -> Iterator[str]:
    """Serve on loopback from a thread of this process, and yield the URL."""
    context = (authority or tls.authority()).context()
    with faulty.serve(Azure(), tls=context, port=port) as url:
        yield url


def credentials(url: str, authority: tls.Authority | None = None) -> dict[str, str]:
    """Return valid credentials for a server at `url` with a certificate of `authority`."""
    return {
        "tenant_id": TENANT,
        "client_id": CLIENT,
        "client_secret": SECRET,
        "subscription_id": SUBSCRIPTION,
        "cloud": "custom",
        "authority_url": url,
        "endpoint_url": url,
        "ca": (authority or tls.authority()).pem,
    }


class Azure:
    """The behavior of the server, which answers requests and stores the tokens that it issues."""

    def __init__(self) -> None:
        self._tokens: dict[str, float] = {}

    def __call__(self, request: Request) -> Answer:
        path = urlsplit(request.path).path
        try:
            return self._login(request, path) or self._manage(request)
        except Refused as refused:
            return refused.answer

    def expire_tokens(self) -> None:
        """Make all tokens expire now."""
        self._tokens = dict.fromkeys(self._tokens, 0.0)

    def _login(self, request: Request, path: str) -> Answer | None:
        tenant, _, rest = path.strip("/").partition("/")
        if rest == "v2.0/.well-known/openid-configuration":
            _require_tenant(tenant)
            return json_answer(_configuration(request, tenant))
        if rest == "oauth2/v2.0/token":
            _require_tenant(tenant)
            return self._token(request.form)
        return None

    def _token(self, form: Mapping[str, str]) -> Answer:
        if form.get("client_id", "").lower() != CLIENT:
            raise Refused(
                _aadsts(
                    400,
                    "unauthorized_client",
                    700016,
                    f"Application with identifier '{form.get('client_id')}' was not found in the "
                    "directory 'Acme'. You may have sent your authentication request to the wrong "
                    "tenant.",
                )
            )
        if form.get("client_secret") != SECRET:
            raise Refused(
                _aadsts(
                    401,
                    "invalid_client",
                    7000215,
                    "Invalid client secret provided. Ensure the secret being sent in the request "
                    "is the client secret value, not the client secret ID, for a secret added to "
                    f"app '{CLIENT}'.",
                )
            )
        token = secrets.token_urlsafe(32)
        self._tokens[token] = time.time() + TOKEN_SECONDS
        return json_answer(
            {
                "token_type": "Bearer",
                "expires_in": TOKEN_SECONDS,
                "ext_expires_in": TOKEN_SECONDS,
                "access_token": token,
            }
        )

    def _manage(self, request: Request) -> Answer:
        self._require_token(request)
        return answer_request(request.method, request.path)

    def _require_token(self, request: Request) -> None:
        headers = {name.lower(): value for name, value in request.headers.items()}
        token = headers.get("authorization", "").removeprefix("Bearer ")
        expires = self._tokens.get(token)
        if expires is None:
            code, message = "InvalidAuthenticationToken", "The access token is invalid."
        elif expires <= time.time():
            code, message = "ExpiredAuthenticationToken", "The access token has expired."
        else:
            return
        challenge = f'Bearer authorization_uri="/{TENANT}", error="invalid_token"'
        answer = error_answer(401, code, message)
        raise Refused(
            Answer(401, answer.body, answer.content_type, {"WWW-Authenticate": challenge})
        )


def _configuration(request: Request, tenant: str) -> dict[str, Any]:
    tenant_url = f"https://{request.headers.get('Host')}/{tenant}"
    return {
        "token_endpoint": f"{tenant_url}/oauth2/v2.0/token",
        "authorization_endpoint": f"{tenant_url}/oauth2/v2.0/authorize",
        "issuer": f"{tenant_url}/v2.0",
        "jwks_uri": f"{tenant_url}/discovery/v2.0/keys",
    }


def _require_tenant(tenant: str) -> None:
    if tenant.lower() not in {TENANT, TENANT_DOMAIN}:
        raise Refused(
            _aadsts(
                400,
                "invalid_tenant",
                90002,
                f"Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID "
                "and are signing into the correct cloud.",
            )
        )


def _aadsts(status: int, error: str, code: int, message: str) -> Answer:
    """Return an error in the format of Microsoft Entra."""
    description = f"AADSTS{code}: {message} {TRACE}"
    return json_answer(
        {"error": error, "error_description": description, "error_codes": [code]}, status
    )
