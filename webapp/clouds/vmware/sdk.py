"""Sessions at vCenters, kept while they are good. Imports pyVmomi, so it is itself imported on
first use only.

Nothing of this server's own surroundings is read: neither proxy nor configuration.
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

from webapp.clouds.base import CloudUnreachable, CredentialValues
from webapp.clouds.cache import Cache, credentials_digest
from webapp.clouds.vmware.connection import NOT_VSPHERE, stub_for

P = ParamSpec("P")
T = TypeVar("T")

KEPT_SECONDS = 20 * 60
"""How long a session is used. A vCenter ends one that is idle for half an hour."""
NEWER = (((7, 0), "vim.version.v7_0"), ((6, 7), "vim.version.version12"))
"""Newer versions of the API, of which the first that a vCenter has is spoken with it: from 6.7 on
it says when a template was made, from 7.0 on that a password has expired."""


class Session:
    """Somebody logged in at a vCenter: `content` names its services."""

    def __init__(self, credentials: CredentialValues) -> None:
        """Log in. Raises what pyVmomi raises, and CloudError. The password is sent only to what
        says that it is a vCenter."""
        stub = stub_for(credentials)
        self.content = _content(vim.ServiceInstance("ServiceInstance", stub))
        version = _numbers(self.content.about.apiVersion)
        newer = next((name for since, name in NEWER if version >= since), None)
        self.knows_creation = newer is not None
        if newer:
            stub.ComputeVersionInfo(newer)
        user = self.content.sessionManager.Login(credentials["username"], credentials["password"])
        self.user = str(required(user, vim.UserSession).userName or "")
        if not self.user:
            raise CloudUnreachable(NOT_VSPHERE)

    def end(self) -> None:
        """As far as that is possible."""
        with contextlib.suppress(Exception):
            self.content.sessionManager.Logout()


class Sessions:
    """One for each set of credentials. Safe to share between threads."""

    def __init__(self) -> None:
        self._cache = Cache()
        self._keeping = threading.Lock()

    def warm_up(self) -> None:
        """Have pyVmomi make the types that it makes on first use."""
        for each in (vim.ServiceInstanceContent, vim.UserSession, vim.vm.device.VirtualDisk):
            each._GetPropertyList()  # type: ignore[no-untyped-call]  # noqa: SLF001

    def use(
        self,
        credentials: CredentialValues,
        work: Callable[Concatenate[Session, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """What `work` returns, which reads only. Where a kept session turns out to be over, or
        its connection closed, once more with a new one."""
        session: Session | None = self._cache.get((credentials_digest(credentials),))
        if session is not None:
            try:
                return work(session, *args, **kwargs)
            except (vim.fault.NotAuthenticated, ConnectionError):
                self._forget(credentials, session)
        return work(self._get(credentials), *args, **kwargs)

    def anew(self, credentials: CredentialValues) -> Session:
        """Log in, whatever is kept: what is said here is true now."""
        owner = credentials_digest(credentials)
        before: Session | None = self._cache.get((owner,))
        self._cache.delete_owner(owner)
        session = self._log_in(credentials)
        if before is not None:
            before.end()
        return session

    def _get(self, credentials: CredentialValues) -> Session:
        session: Session | None = self._cache.get((credentials_digest(credentials),))
        return session or self._log_in(credentials)

    def _log_in(self, credentials: CredentialValues) -> Session:
        """Another thread may have done so meanwhile: then one session is enough."""
        owner = credentials_digest(credentials)
        session = Session(credentials)
        with self._keeping:
            other: Session | None = self._cache.get((owner,))
            if other is None:
                self._cache.set((owner,), session, time.time() + KEPT_SECONDS)
                return session
        session.end()
        return other

    def _forget(self, credentials: CredentialValues, session: Session) -> None:
        """Unless another thread has put a new one in its place."""
        owner = credentials_digest(credentials)
        if self._cache.get((owner,)) is session:
            self._cache.delete_owner(owner)


def required(answer: Any, kind: type) -> Any:
    """pyVmomi reads any XML at all, and returns None, or part of it, for what is not vCenter's."""
    if not isinstance(answer, kind):
        raise CloudUnreachable(NOT_VSPHERE)
    return answer


def _content(instance: Any) -> Any:
    content = required(instance.RetrieveContent(), vim.ServiceInstanceContent)
    about = required(content.about, vim.AboutInfo)
    if about.apiType == "HostAgent":
        raise CloudUnreachable(
            "This is the address of a single ESXi host, which has no templates. Enter that of the "
            "vCenter Server which manages it."
        )
    needed = ("rootFolder", "propertyCollector", "sessionManager", "searchIndex", "viewManager")
    for each in needed:
        required(getattr(content, each), ManagedObject)
    return content


def _numbers(version: str | None) -> tuple[int, ...]:
    return tuple(int(each) for each in re.findall("[0-9]{1,9}", version or ""))
