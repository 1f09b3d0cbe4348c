"""Sessions with vCenters. A session is reused while it is valid.

This module imports pyVmomi, so it is imported only on first use. The environment variables of the
registry's process are ignored: no proxy and no configuration file is used.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from pyVmomi import vim
from pyVmomi.VmomiSupport import ManagedObject

from webapp.clouds.cache import Cache, credentials_digest
from webapp.clouds.credentials import CredentialValues
from webapp.clouds.errors import CloudUnreachable
from webapp.clouds.vmware.connection import NOT_VSPHERE, make_stub

P = ParamSpec("P")
T = TypeVar("T")

SESSION_SECONDS = 20 * 60
"""The period for which a session is reused. By default, a vCenter ends a session that is idle for
half an hour."""
API_VERSIONS = (((7, 0), "vim.version.v7_0"), ((6, 7), "vim.version.version12"))
"""The API versions that are newer than `connection.OLDEST_VERSION`, newest first.

Each entry is a pair: the minimum version of the vCenter, and the API version to use. A session uses
the first API version that the vCenter supports. Version 6.7 can report the creation date of a
template. Version 7.0 can also report that a password has expired.
"""


class Session:
    """A login to a vCenter. `content` refers to the vCenter's services."""

    def __init__(self, credentials: CredentialValues) -> None:
        """Log in. Raises pyVmomi's exceptions and CloudError.

        The password is sent only to a server that has responded like a vCenter.
        """
        stub = make_stub(credentials)
        self.content = _read_content(vim.ServiceInstance("ServiceInstance", stub))
        version = _parse_version(self.content.about.apiVersion)
        newer_version = next((name for minimum, name in API_VERSIONS if version >= minimum), None)
        self.reports_creation_date = newer_version is not None
        if newer_version:
            stub.ComputeVersionInfo(newer_version)
        user = self.content.sessionManager.Login(credentials["username"], credentials["password"])
        self.user = str(require_type(user, vim.UserSession).userName or "")
        if not self.user:
            raise CloudUnreachable(NOT_VSPHERE)

    def end(self) -> None:
        """Log out. Ignores all errors."""
        with contextlib.suppress(Exception):
            self.content.sessionManager.Logout()


class Sessions:
    """A cache of sessions by credentials. Threads can share it."""

    def __init__(self) -> None:
        self._cache = Cache()
        self._lock = threading.Lock()

    def warm_up(self) -> None:
        """Make pyVmomi create types that it would otherwise create during the first call."""
        for kind in (vim.ServiceInstanceContent, vim.UserSession, vim.vm.device.VirtualDisk):
            kind._GetPropertyList()  # type: ignore[no-untyped-call]  # noqa: SLF001

    def call(
        self,
        credentials: CredentialValues,
        function: Callable[Concatenate[Session, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Call `function` with a session, and return its result.

        If a cached session has ended, or its connection was closed, `function` is called once more
        with a new session. So `function` must only read.
        """
        session = self._cached_session(credentials)
        if session is not None:
            try:
                return function(session, *args, **kwargs)
            except (vim.fault.NotAuthenticated, ConnectionError):
                self._forget(credentials, session)
        return function(self._get(credentials), *args, **kwargs)

    def log_in_again(self, credentials: CredentialValues) -> Session:
        """Log in even if there is a cached session, and return the new session.

        A cached session does not prove that the credentials are still valid. This method ends
        the cached session after the login.
        """
        previous = self._cached_session(credentials)
        self._cache.forget(credentials_digest(credentials))
        session = self._log_in(credentials)
        if previous is not None:
            previous.end()
        return session

    def _get(self, credentials: CredentialValues) -> Session:
        return self._cached_session(credentials) or self._log_in(credentials)

    def _cached_session(self, credentials: CredentialValues) -> Session | None:
        session: Session | None = self._cache.get((credentials_digest(credentials),))
        return session

    def _log_in(self, credentials: CredentialValues) -> Session:
        """Log in and cache the session.

        If another thread has cached a session in the meantime, end the new session and return the
        cached session.
        """
        session = Session(credentials)
        with self._lock:
            other = self._cached_session(credentials)
            if other is None:
                key = (credentials_digest(credentials),)
                self._cache.set(key, session, time.time() + SESSION_SECONDS)
                return session
        session.end()
        return other

    def _forget(self, credentials: CredentialValues, session: Session) -> None:
        """Remove `session` from the cache unless another thread has replaced it."""
        if self._cached_session(credentials) is session:
            self._cache.forget(credentials_digest(credentials))


def require_type(value: Any, kind: type) -> Any:
    """Return `value` if its type is `kind`, else raise CloudUnreachable.

    pyVmomi accepts any XML. For a response that is not from a vCenter, it returns None or an
    incomplete object.
    """
    if not isinstance(value, kind):
        raise CloudUnreachable(NOT_VSPHERE)
    return value


def _read_content(instance: Any) -> Any:
    content = require_type(instance.RetrieveContent(), vim.ServiceInstanceContent)
    about = require_type(content.about, vim.AboutInfo)
    if about.apiType == "HostAgent":
        raise CloudUnreachable(
            "This is the URL of a single ESXi host, which has no templates. Enter the URL of the "
            "vCenter Server that manages it."
        )
    services = ("rootFolder", "propertyCollector", "sessionManager", "searchIndex", "viewManager")
    for name in services:
        require_type(getattr(content, name), ManagedObject)
    return content


def _parse_version(version: str | None) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall("[0-9]{1,9}", version or ""))
