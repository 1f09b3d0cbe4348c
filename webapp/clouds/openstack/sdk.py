"""Logins to Keystone and requests to Glance. Both use keystoneauth, a part of OpenStack's SDK.

This module imports keystoneauth, so it is imported only on first use.

The rest of the SDK is not used, for two reasons: it requests the versions of each server before the
first call to the server, and it accepts any response as an image. This module does not need to know
the version of Glance, because every Glance of the last ten years uses the same path for an image.

The environment of this server is ignored: no `clouds.yaml` file, `OS_…` variable, proxy or `.netrc`
file is used.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
from keystoneauth1.access import AccessInfo
from keystoneauth1.exceptions import ClientException
from keystoneauth1.identity import v3
from keystoneauth1.session import Session

from webapp.clouds.cache import NEVER_EXPIRES, Cache, credentials_digest
from webapp.clouds.credentials import CredentialValues
from webapp.clouds.errors import CloudUnreachable
from webapp.clouds.openstack import errors
from webapp.clouds.outgoing.connections import configure_session
from webapp.clouds.tls import ca_file

MAX_URL_LENGTH = 2_000
"""The maximum length of a URL in the catalog, in characters."""
CONNECT_SECONDS = 2
READ_SECONDS = 4
INTERFACES = ("public", "internal")
"""The kinds of endpoints that can be used, in order of preference."""
NO_REGION = "RegionOne"
"""The name for a region without a name, as in OpenStack's own tools."""

# At debug level, keystoneauth logs complete requests and responses.
logging.getLogger("keystoneauth").setLevel(logging.INFO)


@dataclass(frozen=True)
class Login:
    """The user, the project and the image services that Keystone reports for a token."""

    user: str
    user_domain: str
    project: str
    project_id: str
    project_domain: str
    image_urls: dict[str, str]
    """The URL of the list of images, by region."""


class Client:
    """A client for one set of credentials. Threads can share it."""

    def __init__(self, credentials: CredentialValues) -> None:
        self._uses_application_credential = uses_application_credential(credentials)
        self._auth = _auth_plugin(credentials)
        ca = credentials.get("ca")
        self._session = Session(
            session=_RequestsSession(),
            verify=ca_file(ca) if ca else True,
            redirect=False,  # A redirect could send the password to any server.
            app_name="image-registry",
        )

    def login(self) -> Login:
        """Return the current login. Log in if there is no valid token. Raises CloudError."""
        return _parse_login(self._access())

    def get(self, region: str, url: str) -> requests.Response:
        """Return the response of the image service of `region` to a GET request.

        If the service rejects the token, for example because the token was revoked, this method
        logs in again and repeats the request once. Raises CloudError if there is no response.
        """
        response = self._get_once(region, url)
        if response.status_code == 401:
            self._auth.invalidate()
            response = self._get_once(region, url)
        return response

    def _access(self) -> AccessInfo:
        try:
            return self._auth.get_access(self._session)
        except Exception as error:
            translated = errors.login_error(
                error, uses_application_credential=self._uses_application_credential
            )
            if translated is None:
                raise
            raise translated from error

    def _get_once(self, region: str, url: str) -> requests.Response:
        if not _is_http_url(url):
            raise errors.invalid_image_url_error(region)
        token = self._access().auth_token
        headers = {"Accept": "application/json", "X-Auth-Token": token}
        try:
            return self._session.get(url, headers=headers, authenticated=False, raise_exc=False)
        except ClientException as error:
            translated = errors.image_connection_error(error, region, urlsplit(url).netloc)
            if translated is None:
                raise
            raise translated from error
        except ValueError as error:
            raise errors.invalid_image_url_error(region) from error


class Clients:
    """A cache of clients by credentials. Threads can share it."""

    def __init__(self) -> None:
        self._clients = Cache()

    def get(self, credentials: CredentialValues) -> Client:
        key = (credentials_digest(credentials),)
        client: Client | None = self._clients.get(key)
        if client is None:
            client = Client(credentials)
            self._clients.set(key, client, NEVER_EXPIRES)  # A client renews its token itself.
        return client

    def forget(self, credentials: CredentialValues) -> None:
        """Delete the client, so that the next call logs in again over a new connection."""
        self._clients.forget(credentials_digest(credentials))


def uses_application_credential(credentials: CredentialValues) -> bool:
    return credentials.get("auth_type") == "application_credential"


def image_list_url(endpoint: str) -> str:
    """Return the URL of the image list at `endpoint`, which may contain a version such as v2."""
    url = endpoint.rstrip("/")
    if re.search(r"/v2(?:\.[0-9]{1,2})?(?:/|$)", url):
        return f"{url}/images"
    return f"{re.sub(r'/v1(?:[.][0-9]{1,2})?$', '', url)}/v2/images"


def _auth_plugin(credentials: CredentialValues) -> v3.Auth:
    """Return the keystoneauth plugin that logs in.

    If the auth URL contains no version, the plugin adds the version.
    """
    url = credentials["auth_url"].rstrip("/").removesuffix("/auth/tokens")
    if uses_application_credential(credentials):
        return v3.ApplicationCredential(
            url,
            application_credential_id=credentials["application_credential_id"],
            application_credential_secret=credentials["application_credential_secret"],
        )
    return v3.Password(
        url,
        username=credentials["username"],
        password=credentials["password"],
        user_domain_name=credentials["user_domain_name"],
        project_name=credentials["project_name"],
        project_domain_name=credentials["project_domain_name"],
    )


def _parse_login(access: AccessInfo) -> Login:
    """Return the login that Keystone's response describes.

    Raises CloudUnreachable if the response is malformed: keystoneauth accepts any document that
    contains "token".
    """
    try:
        return Login(
            user=access.username or "",
            user_domain=access.user_domain_name or "",
            project=access.project_name or "",
            project_id=access.project_id or "",
            project_domain=access.project_domain_name or "",
            image_urls=_image_urls(access.service_catalog.catalog),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CloudUnreachable(errors.NOT_KEYSTONE) from error


def _image_urls(catalog: list[dict[str, Any]]) -> dict[str, str]:
    """Return the URL of the list of images, by region."""
    urls: dict[str, str] = {}
    endpoints = [
        endpoint
        for service in catalog
        if service["type"] == "image"
        for endpoint in service.get("endpoints") or ()
    ]
    for interface in INTERFACES:
        for endpoint in endpoints:
            region = endpoint.get("region_id") or endpoint.get("region") or NO_REGION
            if endpoint.get("interface") == interface and endpoint.get("url"):
                urls.setdefault(str(region), image_list_url(str(endpoint["url"])))
    return dict(sorted(urls.items()))


def _is_http_url(url: str) -> bool:
    if len(url) > MAX_URL_LENGTH:  # `urlsplit` normalizes the host, in quadratic time.
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


class _RequestsSession(requests.Session):
    """A session that ignores the environment of this server and has a timeout for each request."""

    def __init__(self) -> None:
        super().__init__()
        configure_session(self)

    def request(self, method: str, url: str, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        kwargs["timeout"] = (CONNECT_SECONDS, READ_SECONDS)
        return super().request(method, url, **kwargs)
