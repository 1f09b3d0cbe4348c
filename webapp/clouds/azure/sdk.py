"""Logins and Resource Manager clients of the Azure SDK, cached for each set of credentials.

This module imports the SDK, so it is itself imported only on first use. From the server's
environment, it uses only the proxy settings. It ignores the default credentials, the configured
cloud and the netrc file, so that it sends only the credentials that the caller gives.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from azure.core import AzureClouds
from azure.core.credentials import AccessToken, AccessTokenInfo, TokenRequestOptions
from azure.core.pipeline.policies import (
    BearerTokenCredentialPolicy,
    ContentDecodePolicy,
    CustomHookPolicy,
    HeadersPolicy,
    ProxyPolicy,
    RequestIdPolicy,
    RetryPolicy,
    UserAgentPolicy,
)
from azure.core.pipeline.transport import RequestsTransport
from azure.identity import ClientSecretCredential
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.subscription import SubscriptionClient
from requests import Session as HttpSession
from requests.utils import get_environ_proxies

from webapp.clouds.azure.errors import (
    NOT_AZURE,
    LoginFailed,
    is_expired_login,
    is_retryable,
)
from webapp.clouds.azure.ids import Sharing
from webapp.clouds.cache import NEVER_EXPIRES, Cache, credentials_digest
from webapp.clouds.credentials import CredentialValues
from webapp.clouds.errors import CloudUnreachable, InvalidCredentials
from webapp.clouds.outgoing.connections import NO_RETRY, configure_session
from webapp.clouds.tls import ca_file

T = TypeVar("T")

CONNECT_SECONDS = 2.5
READ_SECONDS = 4.0
MAX_PAGES = 50
"""The maximum number of pages of a list that are read.

A longer list of versions causes an error, because the newest version may be on a later page. For
any other longer list, `browsing` reports that the list is incomplete.
"""
LOCATIONS_SECONDS = 3600.0
"""The period for which the locations of a subscription are cached."""
IMAGES_API = "2024-07-01"
GALLERIES_API = "2023-07-03"
SUBSCRIPTIONS_API = "2022-12-01"
"""The API versions are fixed, so that an update of the SDK does not change the responses."""

# Below the level CRITICAL, the SDK logs headers, token claims, and a warning for each failed login.
for _name in ("azure", "msal"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class Endpoints:
    """The URLs of one Azure cloud, and the OAuth scope of its tokens."""

    authority: str
    manager: str
    scope: str


ENDPOINTS = {
    "public": Endpoints(
        "https://login.microsoftonline.com",
        "https://management.azure.com",
        "https://management.azure.com/.default",
    ),
    "usgov": Endpoints(
        "https://login.microsoftonline.us",
        "https://management.usgovcloudapi.net",
        "https://management.core.usgovcloudapi.net/.default",
    ),
    "china": Endpoints(
        "https://login.partner.microsoftonline.cn",
        "https://management.chinacloudapi.cn",
        "https://management.chinacloudapi.cn/.default",
    ),
}


def endpoints_of(credentials: Mapping[str, str]) -> Endpoints:
    """Return the endpoints of the Azure cloud that the credentials are for."""
    endpoints = ENDPOINTS.get(credentials.get("cloud") or "public")
    if endpoints:
        return endpoints
    manager = credentials["endpoint_url"].rstrip("/")
    return Endpoints(credentials["authority_url"].rstrip("/"), manager, f"{manager}/.default")


class Sessions:
    """A cache of sessions by credentials. Threads can share it."""

    def __init__(self) -> None:
        self._sessions = Cache(64, max_per_account=8)
        self._lock = threading.Lock()

    def get(self, credentials: CredentialValues) -> Session:
        """Return the session for `credentials`.

        Raises InvalidCredentials for values that the SDK cannot use.
        """
        key = (credentials_digest(credentials),)
        # Without the lock, two threads could create two sessions, and log in twice.
        with self._lock:
            session: Session | None = self._sessions.get(key)
            if session is None:
                session = Session(credentials)
                self._sessions.set(key, session, NEVER_EXPIRES)
        return session

    def forget(self, credentials: CredentialValues) -> None:
        """Delete the session, so that the next call logs in again and sees changed roles."""
        self._sessions.forget(credentials_digest(credentials))


class Session:
    """The login with one set of credentials, and the clients that use it."""

    def __init__(self, credentials: CredentialValues) -> None:
        self._endpoints = endpoints_of(credentials)
        self._transports: list[RequestsTransport] = []
        # A call may still use a session after its deletion from the cache. So the connections are
        # closed only when nothing refers to the session any more.
        weakref.finalize(self, _close, self._transports)
        self._verify: bool | str = ca_file(credentials["ca"]) if credentials.get("ca") else True
        self._login = _Login(
            credentials, self._endpoints.authority, self._pipeline(self._endpoints.authority)
        )
        self._subscription = credentials["subscription_id"].lower()
        self._lock = threading.Lock()
        self._compute: dict[str, ComputeManagementClient] = {}
        self._subscriptions: SubscriptionClient | None = None
        self.cache = Cache(8)
        """A cache of responses. Its keys need no digest, because all responses belong to the same
        credentials."""

    def owns(self, subscription: str) -> bool:
        """Return whether `subscription` is the subscription in the credentials."""
        return subscription == self._subscription

    def subscription(self) -> Mapping[str, Any]:
        """Return Azure's description of the subscription in the credentials."""
        client = self._subscription_client()
        response = self.send(
            lambda: client.subscriptions.get(
                self._subscription, api_version=SUBSCRIPTIONS_API, cls=_decode
            )
        )
        return require_member(response, "subscriptionId")

    def locations(self) -> list[Mapping[str, Any]]:
        subscriptions = self._subscription_client().subscriptions
        return self.send(
            # The second value is always True, because the SDK reads only one page of locations.
            lambda: _first_pages(
                subscriptions.list_locations, self._subscription, api_version=SUBSCRIPTIONS_API
            )[0]
        )

    def marketplace_image(
        self, region: str, publisher: str, offer: str, sku: str, version: str
    ) -> Mapping[str, Any]:
        images = self._client().virtual_machine_images
        response = self.send(
            lambda: images.get(
                region, publisher, offer, sku, version, api_version=IMAGES_API, cls=_decode
            )
        )
        return require_member(response, "properties")

    def marketplace_versions(
        self, region: str, publisher: str, offer: str, sku: str
    ) -> list[Mapping[str, Any]]:
        images = self._client().virtual_machine_images
        return _require_list(
            self.send(
                lambda: images.list(
                    region, publisher, offer, sku, api_version=IMAGES_API, cls=_decode
                )
            )
        )

    def marketplace_skus(self, region: str, publisher: str, offer: str) -> list[Mapping[str, Any]]:
        images = self._client().virtual_machine_images
        return _require_list(
            self.send(
                lambda: images.list_skus(
                    region, publisher, offer, api_version=IMAGES_API, cls=_decode
                )
            )
        )

    def marketplace_offers(self, region: str, publisher: str) -> list[Mapping[str, Any]]:
        images = self._client().virtual_machine_images
        return _require_list(
            self.send(
                lambda: images.list_offers(region, publisher, api_version=IMAGES_API, cls=_decode)
            )
        )

    def managed_image(self, subscription: str, group: str, name: str) -> Mapping[str, Any]:
        images = self._client(subscription).images
        response = self.send(lambda: images.get(group, name, api_version=IMAGES_API, cls=_decode))
        return require_member(response, "properties")

    def managed_images(self) -> tuple[list[Mapping[str, Any]], bool]:
        """Return the managed images of the subscription, and whether the list is complete."""
        images = self._client().images
        return self.send(lambda: _first_pages(images.list, api_version=IMAGES_API))

    def galleries(self) -> tuple[list[Mapping[str, Any]], bool]:
        """Return the compute galleries of the subscription, and whether the list is complete."""
        galleries = self._client().galleries
        return self.send(lambda: _first_pages(galleries.list, api_version=GALLERIES_API))

    def gallery_definitions(self, group: str, gallery: str) -> tuple[list[Mapping[str, Any]], bool]:
        """Return the image definitions of a gallery, and whether the list is complete."""
        images = self._client().gallery_images
        return self.send(
            lambda: _first_pages(images.list_by_gallery, group, gallery, api_version=GALLERIES_API)
        )

    def gallery_definition(
        self, subscription: str, group: str, gallery: str, name: str
    ) -> Mapping[str, Any]:
        images = self._client(subscription).gallery_images
        response = self.send(
            lambda: images.get(group, gallery, name, api_version=GALLERIES_API, cls=_decode)
        )
        return require_member(response, "properties")

    def gallery_version(
        self, subscription: str, group: str, gallery: str, name: str, version: str
    ) -> Mapping[str, Any]:
        versions = self._client(subscription).gallery_image_versions
        response = self.send(
            lambda: versions.get(
                group,
                gallery,
                name,
                version,
                expand="ReplicationStatus",
                api_version=GALLERIES_API,
                cls=_decode,
            )
        )
        return require_member(response, "properties")

    def gallery_versions(
        self, subscription: str, group: str, gallery: str, name: str
    ) -> list[Mapping[str, Any]]:
        versions = self._client(subscription).gallery_image_versions
        return self.send(
            lambda: _all_pages(
                versions.list_by_gallery_image, group, gallery, name, api_version=GALLERIES_API
            )
        )

    def shared_gallery(self, sharing: Sharing, region: str, gallery: str) -> Mapping[str, Any]:
        client, community = self._client(), sharing is Sharing.COMMUNITY
        galleries = client.community_galleries if community else client.shared_galleries
        response = self.send(
            lambda: galleries.get(region, gallery, api_version=GALLERIES_API, cls=_decode)
        )
        return require_member(response, "name")

    def shared_definition(
        self, sharing: Sharing, region: str, gallery: str, name: str
    ) -> Mapping[str, Any]:
        client, community = self._client(), sharing is Sharing.COMMUNITY
        images = client.community_gallery_images if community else client.shared_gallery_images
        response = self.send(
            lambda: images.get(region, gallery, name, api_version=GALLERIES_API, cls=_decode)
        )
        return require_member(response, "properties")

    def shared_version(
        self, sharing: Sharing, region: str, gallery: str, name: str, version: str
    ) -> Mapping[str, Any]:
        versions = self._shared_versions(sharing)
        response = self.send(
            lambda: versions.get(
                region, gallery, name, version, api_version=GALLERIES_API, cls=_decode
            )
        )
        return require_member(response, "properties")

    def shared_versions(
        self, sharing: Sharing, region: str, gallery: str, name: str
    ) -> list[Mapping[str, Any]]:
        """Return the versions in `region`.

        If a gallery is shared with the whole tenant, Azure lists its versions only if the request
        contains `shared_to="tenant"`.
        """
        names = (region, gallery, name)
        call = partial(_all_pages, self._shared_versions(sharing).list, *names)
        versions = self.send(lambda: call(api_version=GALLERIES_API))
        if versions or sharing is Sharing.COMMUNITY:
            return versions
        return self.send(lambda: call(api_version=GALLERIES_API, shared_to="tenant"))

    def _shared_versions(self, sharing: Sharing) -> Any:
        client = self._client()
        if sharing is Sharing.COMMUNITY:
            return client.community_gallery_image_versions
        return client.shared_gallery_image_versions

    def send(self, call: Callable[[], T]) -> T:
        """Return the result of `call`. Retry the call once if a second attempt can succeed.

        If the login has expired, log in again before the retry. After a broken connection or a
        server error, retry immediately.
        """
        had_token = self._login.has_returned_token
        try:
            return call()
        except Exception as error:
            if is_expired_login(error) and had_token:
                self._login.renew()
            elif not is_retryable(error):
                raise
        return call()

    def _client(self, subscription: str = "") -> ComputeManagementClient:
        subscription = subscription or self._subscription
        with self._lock:
            if subscription not in self._compute:
                self._compute[subscription] = ComputeManagementClient(
                    self._login,
                    subscription,
                    self._endpoints.manager,
                    cloud_setting=AzureClouds.AZURE_PUBLIC_CLOUD,  # not from the environment
                    credential_scopes=[self._endpoints.scope],
                    **self._pipeline(self._endpoints.manager, self._token_policy()),
                )
            return self._compute[subscription]

    def _subscription_client(self) -> SubscriptionClient:
        with self._lock:
            if self._subscriptions is None:
                self._subscriptions = SubscriptionClient(
                    self._login,
                    self._endpoints.manager,
                    credential_scopes=[self._endpoints.scope],
                    **self._pipeline(self._endpoints.manager, self._token_policy()),
                )
            return self._subscriptions

    def _token_policy(self) -> BearerTokenCredentialPolicy[Any, Any]:
        return BearerTokenCredentialPolicy(self._login, self._endpoints.scope)

    def _pipeline(self, url: str, *extra_policies: Any) -> dict[str, Any]:
        """Return the arguments that define how a client of the SDK sends requests.

        Unlike the SDK's default pipeline, this pipeline follows no redirects, registers no resource
        providers, and neither retries nor logs.
        """
        session = HttpSession()
        configure_session(session, NO_RETRY)
        transport = RequestsTransport(
            session=session,
            connection_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            connection_verify=self._verify,
            use_env_settings=False,
        )
        # If a transport that was opened is used after `close`, it fails. If a transport that was
        # never opened is used after `close`, it creates a new session instead, without the limits
        # of `configure_session`.
        transport.open()
        self._transports.append(transport)
        return {
            "policies": [
                RequestIdPolicy(),
                HeadersPolicy(),
                UserAgentPolicy("image-registry", user_agent_use_env=False),
                ProxyPolicy(_proxies(url)),
                ContentDecodePolicy(),
                # The login library passes the option `retry_on_methods` with its requests. This
                # policy removes the option, because the transport would not accept it.
                RetryPolicy.no_retries(),
                *extra_policies,
                CustomHookPolicy(),
            ],
            "transport": transport,
        }


class _Login:
    """A token credential for the SDK. It caches a token until shortly before the token expires."""

    def __init__(
        self, credentials: CredentialValues, authority: str, pipeline: dict[str, Any]
    ) -> None:
        self._credentials, self._authority, self._pipeline = credentials, authority, pipeline
        self._credential = self._new_credential()
        self.has_returned_token = False

    def get_token_info(
        self, *scopes: str, options: TokenRequestOptions | None = None
    ) -> AccessTokenInfo:
        try:
            token = self._credential.get_token_info(*scopes, options=options)
        except Exception as error:
            raise LoginFailed(str(error)) from error
        self.has_returned_token = True
        return token

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        token = self.get_token_info(*scopes, options=options or None)  # type: ignore[arg-type]
        return AccessToken(token.token, token.expires_on)

    def renew(self) -> None:
        """Discard all tokens, so that the next call logs in again."""
        self._credential, self.has_returned_token = self._new_credential(), False

    def _new_credential(self) -> ClientSecretCredential:
        try:
            return _SecretCredential(
                self._credentials["tenant_id"],
                self._credentials["client_id"],
                self._credentials["client_secret"],
                authority=self._authority,
                # Instance discovery needs a call, and not all clouds support it.
                disable_instance_discovery=True,
                **self._pipeline,
            )
        except ValueError as error:
            raise InvalidCredentials(
                "These values aren’t valid for an Azure login. Check the tenant ID and the "
                "authority URL, which must begin with https.",
                "tenant_id",
            ) from error


class _SecretCredential(ClientSecretCredential):
    """A ClientSecretCredential that ignores the variable AZURE_REGIONAL_AUTHORITY_NAME."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._regional_authority = None


def require_member(response: Any, name: str) -> Mapping[str, Any]:
    """Return `response`. Raises CloudUnreachable unless it is an object with a member of this name.

    Callers pass the name of a member that every valid response of Azure has.
    """
    if not isinstance(response, dict) or not isinstance(response.get(name), dict | list | str):
        raise CloudUnreachable(NOT_AZURE)
    return response


def _decode(response: Any, *_: object) -> Any:
    """Return the decoded response. The SDK's own models would fail on unexpected values."""
    return ContentDecodePolicy.deserialize_from_http_generics(response.http_response)


def _require_list(response: Any) -> list[Mapping[str, Any]]:
    if not isinstance(response, list):
        raise CloudUnreachable(NOT_AZURE)
    return [each for each in response if isinstance(each, dict)]


def _all_pages(call: Callable[..., Any], *args: str, **options: str) -> list[Mapping[str, Any]]:
    """Return the decoded items of a paged list of versions.

    Raises CloudUnreachable if there are more than MAX_PAGES pages.
    """
    items, is_complete = _first_pages(call, *args, **options)
    if not is_complete:
        raise CloudUnreachable(
            f"Azure’s list has more than {MAX_PAGES} pages, so it wasn’t read completely. "
            "Enter the exact version of the image instead of “latest”."
        )
    return items


def _first_pages(
    call: Callable[..., Any], *args: str, **options: str
) -> tuple[list[Mapping[str, Any]], bool]:
    """Return the items of the first MAX_PAGES pages, and whether there are no more pages."""
    items: list[Any] = []

    def collect(response: Any) -> None:
        if response.http_response.status_code == 200:
            items.extend(_require_list(require_member(_decode(response), "value")["value"]))

    pages = call(*args, raw_response_hook=collect, **options).by_page()
    for number, page in enumerate(pages, start=1):
        list(page)
        if number == MAX_PAGES and pages.continuation_token:
            return items, False
    return items, True


def _close(transports: list[RequestsTransport]) -> None:
    for each in transports:
        each.close()


def _proxies(url: str) -> dict[str, str]:
    """Return the proxies that the server's environment configures for HTTPS to `url`, by scheme.

    A proxy whose URL contains a password is left out, because only the credentials for Azure may be
    sent.
    """
    proxies = get_environ_proxies(url)
    return {
        scheme: proxy
        for scheme, proxy in proxies.items()
        if scheme in {"https", "all"} and "@" not in proxy
    }
