"""The parts of Google's SDK that the Compute Engine adapter uses: cached clients and their tokens.

Importing the SDK takes seconds and more than 50 MB of memory. Import this module only on first use,
after `package.load`.

The environment of this server is ignored: no default credentials, proxy, `.netrc` file or client
certificate is used.

This module calls only the Compute Engine endpoint. So it does not use google-auth's class for
service account keys: that class also calls the token URL in the key and, in a background thread, an
IAM service.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
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

from webapp.clouds.cache import NEVER_EXPIRES, Cache, credentials_digest
from webapp.clouds.credentials import CredentialValues
from webapp.clouds.gce.ids import ImageRef
from webapp.clouds.gce.key import FIELD, ServiceAccount, parse_key, require_known_api
from webapp.clouds.gce.universes import GOOGLE
from webapp.clouds.outgoing.connections import configure_session
from webapp.clouds.tls import ca_file

CONNECT_SECONDS = 2
READ_SECONDS = 4
PAGE_SIZE = 200
"""The maximum number of images in the response to one request. A call can send several requests."""
TOKEN_SECONDS = 3600
"""The period for which a token is valid, which is the maximum that Google allows."""

# At debug level, the SDK logs complete requests and responses.
logging.getLogger("google").setLevel(logging.INFO)
# urllib3 logs a warning for each retry.
logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)


class Client:
    """A client that reads images with one service account."""

    def __init__(self, account: ServiceAccount, endpoint: str, ca: str) -> None:
        self.account = account
        transport = _Transport(
            _SelfSignedCredentials(account), endpoint, ca_file(ca) if ca else True
        )
        self._client = ImagesClient(transport=transport)

    def get(self, requested: ImageRef) -> dict[str, Any]:
        """Return the fields of the image under the SDK's names, for example `self_link`."""
        project, name = requested.project, requested.name
        if requested.is_family:
            image = self._client.get_from_family(project=project, family=name, retry=None)
        else:
            image = self._client.get(project=project, image=name, retry=None)
        return Image.to_dict(image)

    def image_pages(
        self, name_pattern: str, token: str
    ) -> Iterator[tuple[str, list[Mapping[str, str]], str]]:
        """Yield pages of the project's images, beginning at the page token `token`.

        A page consists of its `kind`, its images, and the token of the next page or ''. If
        `name_pattern` is not '', only images whose name matches this regular expression are
        listed. If it is '', the newest images come first. An image has the keys `name` and
        `creation_timestamp`.
        """
        request = ListImagesRequest(
            project=self.account.project, max_results=PAGE_SIZE, page_token=token
        )
        if name_pattern:
            request.filter = f"name eq {name_pattern}"
        else:
            request.order_by = "creationTimestamp desc"
        for page in self._client.list(request, retry=None).pages:
            yield (
                str(page.kind),
                [
                    {"name": image.name, "creation_timestamp": image.creation_timestamp}
                    for image in page.items
                ],
                page.next_page_token,
            )

    def response_kind(self) -> str:
        """List at most one image of the project, and return the `kind` of the response."""
        request = ListImagesRequest(project=self.account.project, max_results=1)
        return str(self._client.list(request, retry=None).kind)


class Clients:
    """A cache of clients by credentials. Threads can share it."""

    def __init__(self) -> None:
        self._clients = Cache()

    def get(self, credentials: CredentialValues) -> Client:
        """Return the client for `credentials`.

        Raises InvalidCredentials if the service account key is invalid, or if its universe is
        unknown and the credentials contain no endpoint URL.
        """
        key = (credentials_digest(credentials),)
        client: Client | None = self._clients.get(key)
        if client is None:
            account = parse_key(credentials[FIELD])
            url = credentials.get("endpoint_url", "")
            require_known_api(account, url)
            endpoint = normalize_endpoint(url, account.universe)
            client = Client(account, endpoint, credentials.get("ca", ""))
            self._clients.set(key, client, NEVER_EXPIRES)
        return client

    def forget(self, credentials: CredentialValues) -> None:
        """Discard the client with its token and its connections."""
        self._clients.forget(credentials_digest(credentials))


def normalize_endpoint(url: str, domain: str = GOOGLE.domain) -> str:
    """Return the endpoint URL that a person entered, without `/compute/v1`, which the SDK adds.

    If `url` is empty, return the endpoint of the universe with the API domain `domain`.
    """
    if not url:
        return f"https://compute.{domain}"
    return url.rstrip("/").removesuffix("/compute/v1")


class _SelfSignedCredentials(google_credentials.Credentials):
    """Credentials whose tokens are valid for Compute Engine only.

    This class signs the tokens with the key, instead of requesting tokens from Google.
    """

    def __init__(self, account: ServiceAccount) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._account = account
        self._signer = RSASigner(account.private_key, account.key_id)  # type: ignore[no-untyped-call]

    def refresh(self, request: object) -> None:  # noqa: ARG002  required by the base class
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
        self.expiry = expires.replace(tzinfo=None)  # google-auth uses UTC without a time zone


class _Session(AuthorizedSession):
    """An HTTP session that has timeouts and follows no redirects."""

    def __init__(self, credentials: _SelfSignedCredentials, verify: str | bool) -> None:
        super().__init__(credentials, max_refresh_attempts=1)  # type: ignore[no-untyped-call]
        configure_session(self)
        self.verify = verify

    def request(self, method: str, url: str, **kwargs: Any) -> Any:  # type: ignore[override]
        kwargs["timeout"] = (CONNECT_SECONDS, READ_SECONDS)
        return super().request(method, url, **kwargs)  # type: ignore[no-untyped-call]


class _Transport(ImagesRestTransport):
    """The SDK's transport, with `_Session` instead of the SDK's own session."""

    def __init__(
        self, credentials: _SelfSignedCredentials, endpoint: str, verify: str | bool
    ) -> None:
        self._session_with_timeouts = _Session(credentials, verify)
        super().__init__(host=endpoint, credentials=credentials)

    def _prep_wrapped_messages(self, client_info: ClientInfo) -> None:
        """Replace the session before the base class passes it to the methods that send requests."""
        self._session = self._session_with_timeouts
        super()._prep_wrapped_messages(client_info)  # type: ignore[no-untyped-call]
