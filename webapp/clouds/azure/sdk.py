"""The parts of Azure's SDK that the Azure adapter uses: logins, and clients of the Resource
Manager, kept while they are warm. Imports the SDK, so it is itself imported on first use only.

Nothing of this server's own surroundings is read but its proxies: no default credentials, no
configured cloud, no netrc. A person's credentials are the only ones that are ever sent.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
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
from requests.utils import get_environ_proxies

from webapp.clouds.azure.errors import NOT_AZURE, LoginFailed, is_stale, is_worth_another_try
from webapp.clouds.base import CloudUnreachable, CredentialValues, InvalidCredentials
from webapp.clouds.cache import NEVER_EXPIRES, Cache, credentials_digest
from webapp.clouds.tls import ca_file

T = TypeVar("T")

CONNECT_SECONDS = 2.5
READ_SECONDS = 4.0
PAGES = 20
"""How many of a list are read at most."""
LOCATIONS_SECONDS = 3600.0
"""How long the locations of a subscription are remembered."""
IMAGES_API = "2024-07-01"
GALLERIES_API = "2023-07-03"
SUBSCRIPTIONS_API = "2022-12-01"
"""Pinned: the SDK's own default is newer than what the service is said to accept."""

# At lower levels they log headers, tokens' claims, and a warning for each login that fails.
for _name in ("azure", "msal"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class Endpoints:
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
    known = ENDPOINTS.get(credentials.get("cloud") or "public")
    if known:
        return known
    manager = credentials["endpoint_url"].rstrip("/")
    return Endpoints(credentials["authority_url"].rstrip("/"), manager, f"{manager}/.default")


class Sessions:
    """Sessions by credentials. Safe to share between threads."""

    def __init__(self) -> None:
        self._sessions = Cache(64)
        self._making = threading.Lock()

    def get(self, credentials: CredentialValues) -> Session:
        """Raises InvalidCredentials for values that the SDK cannot use."""
        name = (credentials_digest(credentials),)
        with self._making:  # Two at once would log in twice.
            session: Session | None = self._sessions.get(name)
            if session is None:
                session = Session(credentials)
                self._sessions.set(name, session, NEVER_EXPIRES)
        return session

    def forget(self, credentials: CredentialValues) -> None:
        """Log in anew next time: what the application may do has changed perhaps."""
        self._sessions.delete_owner(credentials_digest(credentials))


class Session:
    """One set of credentials: its login, and its clients, one for each subscription."""

    def __init__(self, credentials: CredentialValues) -> None:
        self._at = endpoints_of(credentials)
        self._transports: list[RequestsTransport] = []
        # Not when it is forgotten, since a call may be under way: when nobody has it any more.
        weakref.finalize(self, _close, self._transports)
        self._verify: bool | str = ca_file(credentials["ca"]) if credentials.get("ca") else True
        self._login = _Login(credentials, self._at.authority, self._pipeline(self._at.authority))
        self._subscription = credentials["subscription_id"].lower()
        self._lock = threading.Lock()
        self._compute: dict[str, ComputeManagementClient] = {}
        self._subscriptions: SubscriptionClient | None = None
        self.facts = Cache(8)
        """What was learnt with this login and is worth remembering."""

    def is_own(self, subscription: str) -> bool:
        return subscription == self._subscription

    def subscription(self) -> Mapping[str, Any]:
        """What Azure says of the subscription of the credentials."""
        client = self._subscription_client()
        answer = self.ask(
            lambda: client.subscriptions.get(
                self._subscription, api_version=SUBSCRIPTIONS_API, cls=_raw
            )
        )
        return mapping(answer, "subscriptionId")

    def locations(self) -> list[Mapping[str, Any]]:
        subscriptions = self._subscription_client().subscriptions
        return self.ask(
            lambda: _collected(
                subscriptions.list_locations, self._subscription, api_version=SUBSCRIPTIONS_API
            )
        )

    def marketplace_image(
        self, region: str, publisher: str, offer: str, sku: str, version: str
    ) -> Mapping[str, Any]:
        images = self._client().virtual_machine_images
        answer = self.ask(
            lambda: images.get(
                region, publisher, offer, sku, version, api_version=IMAGES_API, cls=_raw
            )
        )
        return mapping(answer, "properties")

    def marketplace_versions(
        self, region: str, publisher: str, offer: str, sku: str
    ) -> list[Mapping[str, Any]]:
        images = self._client().virtual_machine_images
        return _listed(
            self.ask(
                lambda: images.list(region, publisher, offer, sku, api_version=IMAGES_API, cls=_raw)
            )
        )

    def marketplace_skus(self, region: str, publisher: str, offer: str) -> list[Mapping[str, Any]]:
        images = self._client().virtual_machine_images
        return _listed(
            self.ask(
                lambda: images.list_skus(region, publisher, offer, api_version=IMAGES_API, cls=_raw)
            )
        )

    def marketplace_offers(self, region: str, publisher: str) -> list[Mapping[str, Any]]:
        images = self._client().virtual_machine_images
        return _listed(
            self.ask(
                lambda: images.list_offers(region, publisher, api_version=IMAGES_API, cls=_raw)
            )
        )

    def managed_image(self, subscription: str, group: str, name: str) -> Mapping[str, Any]:
        images = self._client(subscription).images
        answer = self.ask(lambda: images.get(group, name, api_version=IMAGES_API, cls=_raw))
        return mapping(answer, "properties")

    def gallery_definition(
        self, subscription: str, group: str, gallery: str, name: str
    ) -> Mapping[str, Any]:
        images = self._client(subscription).gallery_images
        answer = self.ask(
            lambda: images.get(group, gallery, name, api_version=GALLERIES_API, cls=_raw)
        )
        return mapping(answer, "properties")

    def gallery_version(
        self, subscription: str, group: str, gallery: str, name: str, version: str
    ) -> Mapping[str, Any]:
        versions = self._client(subscription).gallery_image_versions
        answer = self.ask(
            lambda: versions.get(
                group,
                gallery,
                name,
                version,
                expand="ReplicationStatus",
                api_version=GALLERIES_API,
                cls=_raw,
            )
        )
        return mapping(answer, "properties")

    def gallery_versions(
        self, subscription: str, group: str, gallery: str, name: str
    ) -> list[Mapping[str, Any]]:
        versions = self._client(subscription).gallery_image_versions
        return self.ask(
            lambda: _collected(
                versions.list_by_gallery_image, group, gallery, name, api_version=GALLERIES_API
            )
        )

    def ask(self, question: Callable[[], T]) -> T:
        """One call, once more if that may help: after a new login where the old one is not
        accepted any more, at once where the connection broke off."""
        login = self._login.used
        try:
            return question()
        except Exception as error:
            if is_stale(error) and login:
                self._login.renew()
            elif not is_worth_another_try(error):
                raise
        return question()

    def _client(self, subscription: str = "") -> ComputeManagementClient:
        subscription = subscription or self._subscription
        with self._lock:
            if subscription not in self._compute:
                self._compute[subscription] = ComputeManagementClient(
                    self._login,
                    subscription,
                    self._at.manager,
                    cloud_setting=AzureClouds.AZURE_PUBLIC_CLOUD,  # or it reads the environment
                    credential_scopes=[self._at.scope],
                    **self._pipeline(self._at.manager, self._authorize()),
                )
            return self._compute[subscription]

    def _subscription_client(self) -> SubscriptionClient:
        with self._lock:
            if self._subscriptions is None:
                self._subscriptions = SubscriptionClient(
                    self._login,
                    self._at.manager,
                    credential_scopes=[self._at.scope],
                    **self._pipeline(self._at.manager, self._authorize()),
                )
            return self._subscriptions

    def _authorize(self) -> BearerTokenCredentialPolicy[Any, Any]:
        return BearerTokenCredentialPolicy(self._login, self._at.scope)

    def _pipeline(self, address: str, *more: Any) -> dict[str, Any]:
        """How requests are sent. Unlike the SDK's own pipeline this one follows no redirect,
        registers no resource provider, retries nothing, and logs nothing."""
        transport = RequestsTransport(
            connection_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            connection_verify=self._verify,
            use_env_settings=False,
        )
        transport.open()  # Here, since two threads that do so at once would open two.
        self._transports.append(transport)
        return {
            "policies": [
                RequestIdPolicy(),
                HeadersPolicy(),
                UserAgentPolicy("image-registry", user_agent_use_env=False),
                ProxyPolicy(_proxies(address)),
                ContentDecodePolicy(),
                RetryPolicy.no_retries(),  # It reads options that the login sends along.
                *more,
                CustomHookPolicy(),
            ],
            "transport": transport,
        }


class _Login:
    """Gives tokens, as the SDK wants it. Tokens are kept by the SDK until shortly before they
    expire."""

    def __init__(
        self, credentials: CredentialValues, authority: str, pipeline: dict[str, Any]
    ) -> None:
        self._credentials, self._authority, self._sending = credentials, authority, pipeline
        self._inner = self._make()
        self.used = False
        """Whether it has given a token."""

    def get_token_info(
        self, *scopes: str, options: TokenRequestOptions | None = None
    ) -> AccessTokenInfo:
        try:
            token = self._inner.get_token_info(*scopes, options=options)
        except Exception as error:
            raise LoginFailed(str(error)) from error
        self.used = True
        return token

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        token = self.get_token_info(*scopes, options=options or None)  # type: ignore[arg-type]
        return AccessToken(token.token, token.expires_on)

    def renew(self) -> None:
        self._inner, self.used = self._make(), False

    def _make(self) -> ClientSecretCredential:
        try:
            return _Secret(
                self._credentials["tenant_id"],
                self._credentials["client_id"],
                self._credentials["client_secret"],
                authority=self._authority,
                disable_instance_discovery=True,  # one call less, and private clouds have none
                **self._sending,
            )
        except ValueError as error:
            raise InvalidCredentials(
                "Azure's login cannot take these values. Check the tenant id and the authority "
                "URL, which begins with https.",
                "tenant_id",
            ) from error


class _Secret(ClientSecretCredential):
    """One that does not heed AZURE_REGIONAL_AUTHORITY_NAME."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._regional_authority = None


def mapping(answer: Any, name: str) -> Mapping[str, Any]:
    """`answer`, if it is Azure's: it has `name`. Raises CloudUnreachable."""
    if not isinstance(answer, dict) or not isinstance(answer.get(name), dict | list | str):
        raise CloudUnreachable(NOT_AZURE)
    return answer


def _raw(response: Any, *_: object) -> Any:
    """What was answered, rather than the SDK's model of it, which fails on what it does not
    expect."""
    return ContentDecodePolicy.deserialize_from_http_generics(response.http_response)


def _listed(answer: Any) -> list[Mapping[str, Any]]:
    if not isinstance(answer, list):
        raise CloudUnreachable(NOT_AZURE)
    return [each for each in answer if isinstance(each, dict)]


def _collected(call: Callable[..., Any], *args: str, api_version: str) -> list[Mapping[str, Any]]:
    """What is answered page by page, likewise as it is."""
    items: list[Any] = []

    def keep(response: Any) -> None:
        if response.http_response.status_code == 200:
            items.extend(_listed(mapping(_raw(response), "value")["value"]))

    pages = call(*args, api_version=api_version, raw_response_hook=keep).by_page()
    for page in islice(pages, PAGES):
        list(page)
    return items


def _close(transports: list[RequestsTransport]) -> None:
    for each in transports:
        each.close()


def _proxies(address: str) -> dict[str, str]:
    """This server's own way out, unless it is one with a password, which is not a person's."""
    found = get_environ_proxies(address)
    return {
        scheme: proxy
        for scheme, proxy in found.items()
        if scheme in {"https", "all"} and "@" not in proxy
    }
