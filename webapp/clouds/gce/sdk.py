"""The parts of Google's SDK that the Compute Engine adapter uses: clients, kept while they are
warm, and the token that each sends. Imports the SDK, which takes seconds and 100 MB, so it is
itself imported on first use only, after `gce_package.load`.

Nothing of this server's own surroundings is used: no default credentials, no proxy, no `.netrc`,
no client certificate. Nothing but the endpoint is ever asked, either: google-auth's own class for
these keys would ask its IAM service from a thread of its own, and knows an address of the key's.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from google.api_core.gapic_v1.client_info import ClientInfo
from google.auth import credentials as google_credentials
from google.auth import jwt
from google.auth.crypt import RSASigner
from google.auth.transport.requests import AuthorizedSession
from google.cloud.compute_v1.services.images import ImagesClient
from google.cloud.compute_v1.services.images.transports.rest import ImagesRestTransport
from google.cloud.compute_v1.types.compute import Image, ListImagesRequest
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from webapp.clouds.base import CredentialValues
from webapp.clouds.cache import NEVER_EXPIRES, Cache, credentials_digest
from webapp.clouds.gce import key as gce_key
from webapp.clouds.gce.ids import ImageRef
from webapp.clouds.gce.key import ServiceAccount
from webapp.clouds.tls import ca_file

CONNECT_SECONDS = 2
READ_SECONDS = 4
TOKEN_SECONDS = 3600
"""How long a token is good for: what Google allows."""

# At its debug level the SDK logs whole requests and answers.
logging.getLogger("google").setLevel(logging.INFO)
# A second attempt is nothing to warn of.
logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)


class Images:
    """The images that one service account sees."""

    def __init__(self, account: ServiceAccount, endpoint: str, ca: str) -> None:
        self.account = account
        transport = _Transport(_SelfSigned(account), endpoint, ca_file(ca) if ca else True)
        self._client = ImagesClient(transport=transport)

    def get(self, wanted: ImageRef) -> dict[str, Any]:
        """What the answer holds, by the names that the SDK gives its fields."""
        project, name = wanted.project, wanted.name
        if wanted.family:
            image = self._client.get_from_family(project=project, family=name, retry=None)
        else:
            image = self._client.get(project=project, image=name, retry=None)
        return Image.to_dict(image)

    def kind_of_list(self) -> str:
        """What the answer calls itself when the project's own images are listed, one at most."""
        request = ListImagesRequest(project=self.account.project, max_results=1)
        return str(self._client.list(request, retry=None).kind)


class Clients:
    """Clients by credentials. Safe to share between threads."""

    def __init__(self) -> None:
        self._clients = Cache()

    def get(self, credentials: CredentialValues) -> Images:
        """Raises InvalidCredentials."""
        name = (credentials_digest(credentials),)
        client: Images | None = self._clients.get(name)
        if client is None:
            account = gce_key.read(credentials[gce_key.FIELD])
            endpoint = endpoint_of(credentials.get("endpoint_url", ""), account.universe)
            client = Images(account, endpoint, credentials.get("ca", ""))
            self._clients.set(name, client, NEVER_EXPIRES)
        return client

    def forget(self, credentials: CredentialValues) -> None:
        """Sign anew next time, over a new connection."""
        self._clients.delete_owner(credentials_digest(credentials))


def endpoint_of(entered: str, universe: str = gce_key.UNIVERSE) -> str:
    """Without the path, which the SDK adds by itself."""
    if not entered:
        return f"https://compute.{universe}"
    return entered.rstrip("/").removesuffix("/compute/v1")


class _SelfSigned(google_credentials.Credentials):
    """A token that the key itself signs, for Compute Engine only: nobody is asked for it."""

    def __init__(self, account: ServiceAccount) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._account = account
        self._signer = RSASigner(account.private_key, account.key_id)  # type: ignore[no-untyped-call]

    def refresh(self, request: object) -> None:  # noqa: ARG002  the base class says so
        now = datetime.now(UTC)
        expires = now + timedelta(seconds=TOKEN_SECONDS)
        claims = {
            "iss": self._account.email,
            "sub": self._account.email,
            "aud": f"https://compute.{self._account.universe}/",
            "iat": int(now.timestamp()),
            "exp": int(expires.timestamp()),
        }
        self.token = jwt.encode(self._signer, claims).decode()  # type: ignore[no-untyped-call]
        self.expiry = expires.replace(tzinfo=None)  # google-auth counts in UTC without saying so


class _Session(AuthorizedSession):
    """One that talks to the endpoint, in bounded time, and goes nowhere else."""

    def __init__(self, credentials: _SelfSigned, verify: str | bool) -> None:
        super().__init__(credentials, max_refresh_attempts=1)  # type: ignore[no-untyped-call]
        self.trust_env = False
        self.verify = verify
        # The second attempt is for a connection that Google had closed meanwhile, or a hiccup.
        retry = Retry(
            total=1,
            connect=0,
            backoff_factor=0,
            status_forcelist=(502, 503, 504),
            raise_on_status=False,
            respect_retry_after_header=False,
        )
        for scheme in ("https://", "http://"):
            self.mount(scheme, HTTPAdapter(max_retries=retry))

    def request(self, method: str, url: str, **kwargs: Any) -> Any:  # type: ignore[override]
        kwargs["timeout"] = (CONNECT_SECONDS, READ_SECONDS)
        return super().request(method, url, **kwargs)  # type: ignore[no-untyped-call]

    def get_redirect_target(self, resp: object) -> None:
        """Compute Engine sends nobody elsewhere."""


class _Transport(ImagesRestTransport):
    """The SDK's own, over a session of ours."""

    def __init__(self, credentials: _SelfSigned, endpoint: str, verify: str | bool) -> None:
        self._own_session = _Session(credentials, verify)
        super().__init__(host=endpoint, credentials=credentials)

    def _prep_wrapped_messages(self, client_info: ClientInfo) -> None:
        """What is made here holds on to the session that there is by then."""
        self._session = self._own_session
        super()._prep_wrapped_messages(client_info)  # type: ignore[no-untyped-call]
