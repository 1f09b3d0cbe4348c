"""Identity providers that are not ours, as separate processes on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from tests import served
from tests.postgresql import free_port

FOLDER = Path(__file__).parent / "mock_server"
"""The folder with the npm package oauth2-mock-server."""
PROGRAM = FOLDER / "node_modules" / ".bin" / "oauth2-mock-server"
METADATA = "/.well-known/openid-configuration"


@contextmanager
def oauth2_mock_server(log: Path) -> Iterator[str]:
    """Run oauth2-mock-server of npm, which signs in everybody at once, and yield its issuer."""
    subprocess.run(
        [sys.executable, served.ROOT / "scripts" / "npm.py", FOLDER], check=True, cwd=served.ROOT
    )
    port = free_port()
    issuer = f"http://localhost:{port}"
    command = [str(PROGRAM), "-a", "localhost", "-p", str(port)]
    with served.serve(command, os.environ, log, issuer + METADATA):
        yield issuer


@contextmanager
def oidc_provider_mock(log: Path, *users: dict[str, Any]) -> Iterator[str]:
    """Run oidc-provider-mock of PyPI, which shows a form to sign in, and yield its issuer.

    It knows only clients of `register_client`. `users` are the claims of people.
    """
    port = free_port()
    issuer = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(port)]
    command += ["--require-registration", "true", "--require-nonce", "true"]
    for user in users:
        command += ["--user-claims", json.dumps(user)]
    with served.serve(command, os.environ, log, issuer + METADATA):
        yield issuer


def register_client(issuer: str, redirect_uri: str) -> tuple[str, str]:
    """Register a client at oidc-provider-mock. Return its ID and its secret."""
    body = json.dumps({"redirect_uris": [redirect_uri]}).encode()
    headers = {"Content-Type": "application/json"}
    with urlopen(Request(f"{issuer}/oauth2/clients", body, headers)) as response:
        client = json.load(response)
    return client["client_id"], client["client_secret"]
