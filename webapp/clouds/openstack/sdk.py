"""The parts of OpenStack's SDK that the OpenStack adapter uses: keystoneauth, the part that logs in
and sends requests. Imports it, so it is itself imported on first use only.

The rest of the SDK is not used. It would ask a server for its versions before each first call, and
read an image out of any answer at all; the URL of an image is the same in every Glance of the last
ten years. Nor does it read anything of this server's own surroundings then: no `clouds.yaml`, no
`OS_…` variable, no proxy, no `.netrc`.
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
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from webapp.clouds.base import CloudUnreachable, CredentialValues
from webapp.clouds.cache import NEVER_EXPIRES, Cache, credentials_digest
from webapp.clouds.openstack import errors as openstack_errors
from webapp.clouds.tls import ca_file

CONNECT_SECONDS = 2
READ_SECONDS = 4
INTERFACES = ("public", "internal")
"""Which of a region's endpoints are of use, the best first."""
NO_REGION = "RegionOne"
"""What a region without a name is called, here as in OpenStack's own tools."""

# At its debug level keystoneauth logs whole requests and answers.
logging.getLogger("keystoneauth").setLevel(logging.INFO)


@dataclass(frozen=True)
class Whoami:
    """What Keystone says of those who have logged in; `images` is where the image service of each
    region is."""

    user: str
    user_domain: str
    project: str
    project_id: str
    domain: str
    """That of the project."""
    images: dict[str, str]


class Account:
    """One set of credentials, and the token that they were given. Safe to share between threads."""

    def __init__(self, credentials: CredentialValues) -> None:
        self._application = is_application(credentials)
        self._auth = _plugin(credentials)
        ca = credentials.get("ca")
        self._session = Session(
            session=_Requests(),
            verify=ca_file(ca) if ca else True,
            redirect=False,  # A password is not for whomever the server names.
            app_name="image-registry",
        )

    def whoami(self) -> Whoami:
        """Logs in, unless that was done and is good still. Raises CloudError."""
        return _read(self._access())

    def get(self, region: str, url: str) -> requests.Response:
        """What the image service answers to a GET of `url`. A token that it does not accept, say
        because it was revoked, is replaced, once. Raises CloudError where there is no answer."""
        answer = self._ask(region, url)
        if answer.status_code == 401:
            self._auth.invalidate()
            answer = self._ask(region, url)
        return answer

    def _access(self) -> AccessInfo:
        try:
            return self._auth.get_access(self._session)
        except Exception as error:
            told = openstack_errors.of_login(error, application=self._application)
            if told is None:
                raise
            raise told from error

    def _ask(self, region: str, url: str) -> requests.Response:
        if not _is_address(url):
            raise openstack_errors.no_address(region)
        token = self._access().auth_token
        headers = {"Accept": "application/json", "X-Auth-Token": token}
        try:
            return self._session.get(url, headers=headers, authenticated=False, raise_exc=False)
        except ClientException as error:
            told = openstack_errors.of_connection(error, region, urlsplit(url).netloc)
            if told is None:
                raise
            raise told from error
        except ValueError as error:
            raise openstack_errors.no_address(region) from error


class Accounts:
    """Accounts by credentials. Safe to share between threads."""

    def __init__(self) -> None:
        self._accounts = Cache()

    def get(self, credentials: CredentialValues) -> Account:
        name = (credentials_digest(credentials),)
        account: Account | None = self._accounts.get(name)
        if account is None:
            account = Account(credentials)
            self._accounts.set(name, account, NEVER_EXPIRES)  # It renews its token by itself.
        return account

    def forget(self, credentials: CredentialValues) -> None:
        """Log in anew next time, over a new connection."""
        self._accounts.delete_owner(credentials_digest(credentials))


def is_application(credentials: CredentialValues) -> bool:
    return credentials.get("auth_type") == "application_credential"


def _plugin(credentials: CredentialValues) -> v3.Auth:
    """It adds the version to an auth URL without one."""
    url = credentials["auth_url"].rstrip("/").removesuffix("/auth/tokens")
    if is_application(credentials):
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


def _read(access: AccessInfo) -> Whoami:
    """keystoneauth believes any document that says "token"."""
    try:
        return Whoami(
            user=access.username or "",
            user_domain=access.user_domain_name or "",
            project=access.project_name or "",
            project_id=access.project_id or "",
            domain=access.project_domain_name or "",
            images=_images(access.service_catalog.catalog),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CloudUnreachable(openstack_errors.NOT_KEYSTONE) from error


def _images(catalog: list[dict[str, Any]]) -> dict[str, str]:
    """Where each region's images are, by region."""
    found: dict[str, str] = {}
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
                found.setdefault(str(region), images_of(str(endpoint["url"])))
    return dict(sorted(found.items()))


def images_of(endpoint: str) -> str:
    """Where the images are below an endpoint, which may name the version or not."""
    address = endpoint.rstrip("/")
    if re.search(r"/v2(?:\.[0-9]{1,2})?(?:/|$)", address):
        return f"{address}/images"
    return f"{re.sub(r'/v1(?:[.][0-9]{1,2})?$', '', address)}/v2/images"


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


class _Requests(requests.Session):
    """Knows nothing of this server's surroundings, and waits in bounded time."""

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False
        # The second attempt is for a connection that the server had closed meanwhile, or a hiccup.
        # Logging in may be repeated, too.
        retry = Retry(
            total=1,
            connect=0,
            allowed_methods=None,
            backoff_factor=0,
            status_forcelist=(502, 503, 504),
            raise_on_status=False,
            respect_retry_after_header=False,
        )
        for scheme in ("https://", "http://"):
            self.mount(scheme, HTTPAdapter(max_retries=retry))

    def request(self, method: str, url: str, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        kwargs["timeout"] = (CONNECT_SECONDS, READ_SECONDS)
        return super().request(method, url, **kwargs)
