"""An identity provider on a real socket that can be told to answer wrongly.

The providers of `peers.py` are not ours, but they answer only correctly.
"""

from __future__ import annotations

import hmac
import json
import threading
import time
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT_ID = "image-registry"
CLIENT_SECRET = "canary-client-secret-7d1f"
ACCESS_TOKEN = "canary-access-token-93c0"
METADATA = "/.well-known/openid-configuration"


def new_key(kid: str) -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": kid, "use": "sig"})


KEY, OTHER_KEY = new_key("first"), new_key("second")
"""Generating a key takes long, so all tests share them."""


@dataclass
class IdentityProvider:
    """The provider. Tests change its attributes between requests."""

    issuer: str
    claims: dict[str, Any] = field(default_factory=dict)
    """The claims of the person, which also replace the usual claims. None removes a claim."""
    userinfo: dict[str, Any] | None = None
    """The claims that the userinfo endpoint returns, or None if there is no such endpoint."""
    key: RSAKey = field(default_factory=lambda: KEY)
    """The key that signs tokens."""
    published: list[RSAKey] = field(default_factory=lambda: [KEY])
    header: dict[str, Any] = field(default_factory=dict)
    """Replaces values in the header of ID tokens. None removes a value."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """Replaces values in the metadata."""
    forged: str = ""
    """An algorithm with which everybody could sign: none, or HS256 with the public key."""
    answer: Callable[[str], tuple[int, bytes] | None] = lambda _path: None
    """Returns the answer to a request for a path instead of the usual one, or None."""
    pause: float = 0.0
    """The seconds before each answer."""
    requests: list[str] = field(default_factory=list)
    """The paths of all requests."""
    visits: list[dict[str, str]] = field(default_factory=list)
    """The parameters of all visits of people."""
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    """The parameters of the visits whose code was not redeemed yet."""
    checks_pkce: bool = True

    @property
    def userinfo_url(self) -> str:
        return f"{self.issuer}/userinfo"

    def visit(self, url: str, **changes: str | None) -> str:
        """Sign the person in at the URL that the registry sent them to.

        Return the path and query to which the provider sends the person back. `changes` replace
        parameters of this answer, and None removes a parameter.
        """
        parts = urlsplit(url)
        assert f"{parts.scheme}://{parts.netloc}{parts.path}" == f"{self.issuer}/authorize"
        visit = dict(parse_qsl(parts.query, strict_parsing=True))
        self.visits.append(visit)
        code = f"code-{len(self.visits)}"
        self.codes[code] = visit
        values = {"code": code, "state": visit["state"], "iss": self.issuer, **changes}
        query = urlencode({name: value for name, value in values.items() if value is not None})
        return f"{urlsplit(visit['redirect_uri']).path}?{query}"

    def token(self, form: dict[str, str]) -> tuple[int, Any]:
        """Return the answer of the token endpoint."""
        visit = self.codes.pop(form.get("code", ""), None)
        digest = sha256(form.get("code_verifier", "").encode()).digest()
        challenge = _base64(digest)
        if visit is None or (self.checks_pkce and challenge != visit["code_challenge"]):
            return 400, {"error": "invalid_grant"}
        if form.get("redirect_uri") != visit["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "sub": "248289761001",
            "nonce": visit["nonce"],
            "iat": now,
            "exp": now + 300,
            **({"auth_time": now} if "max_age" in visit else {}),
            **self.claims,
        }
        return 200, {
            "access_token": ACCESS_TOKEN,
            "token_type": "Bearer",
            "expires_in": 300,
            "id_token": self.sign({k: v for k, v in claims.items() if v is not None}),
        }

    def sign(self, claims: dict[str, Any]) -> str:
        header = {"typ": "JWT", "alg": "RS256", "kid": self.key.kid, **self.header}
        header = {name: value for name, value in header.items() if value is not None}
        if self.forged:
            parts = [_base64(json.dumps(each)) for each in ({**header, "alg": self.forged}, claims)]
            text, key = ".".join(parts), KEY.as_pem(private=False)
            signature = hmac.digest(key, text.encode(), sha256) if self.forged == "HS256" else b""
            return f"{text}.{_base64(signature)}"
        return jwt.encode(header, claims, self.key, [header["alg"]], default_type=None)

    def respond(self, method: str, path: str, authorization: str, body: str) -> tuple[int, bytes]:
        self.requests.append(path)
        time.sleep(self.pause)
        if replaced := self.answer(path):
            return replaced
        if path == METADATA:
            return _json(
                200,
                {
                    "issuer": self.issuer,
                    "authorization_endpoint": f"{self.issuer}/authorize",
                    "token_endpoint": f"{self.issuer}/token",
                    "jwks_uri": f"{self.issuer}/keys",
                    "authorization_response_iss_parameter_supported": True,
                    **({} if self.userinfo is None else {"userinfo_endpoint": self.userinfo_url}),
                    **self.metadata,
                },
            )
        if path == "/keys":
            keys = [key.as_dict(private=False) for key in self.published]
            return _json(200, {"keys": keys})
        if path == "/userinfo" and self.userinfo is not None:
            is_right = authorization == f"Bearer {ACCESS_TOKEN}"
            return _json(200, self.userinfo) if is_right else (401, b"")
        if path == "/token" and method == "POST":
            expected = f"{CLIENT_ID}:{CLIENT_SECRET}"
            sent = b64decode(authorization.removeprefix("Basic ")).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            is_client = sent == expected or form.get("client_secret") == CLIENT_SECRET
            return _json(*(self.token(form) if is_client else (401, {"error": "invalid_client"})))
        return 404, b""


def _base64(content: bytes | str) -> str:
    raw = content.encode() if isinstance(content, str) else content
    return urlsafe_b64encode(raw).decode().rstrip("=")


def _json(status: int, values: Any) -> tuple[int, bytes]:
    return status, json.dumps(values).encode()


@contextmanager
def identity_provider() -> Iterator[IdentityProvider]:
    """Run a provider on loopback and yield it."""

    class Handler(BaseHTTPRequestHandler):
        def handle_one(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            sent = self.headers.get("Authorization", "")
            status, content = provider.respond(self.command, self.path, sent, body)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = handle_one  # noqa: N815  names of http.server

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider = IdentityProvider(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
