"""A loopback vCenter that serves the inventory of `vmware_inventory` over SOAP."""

from __future__ import annotations

import itertools
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.cookies import SimpleCookie
from typing import Any
from xml.etree import ElementTree as ET

from pyVmomi import vim, vmodl

from sandbox import faulty, tls, vmware_soap
from sandbox.faulty import Answer, Request
from sandbox.vmware_inventory import INVENTORY, Inventory
from sandbox.vmware_objects import READ_ONLY, Collector, build, collect, contents_with_faults
from sandbox.vmware_soap import Call

USER, PASSWORD = "registry@vsphere.local", "sandbox"
COOKIE = "vmware_soap_session"
PATH = "/sdk"
OBJECTS_PER_PAGE = 7
"""The maximum number of objects in one response. A real vCenter has a higher limit."""
_METHODS_WITHOUT_LOGIN = {"RetrieveServiceContent", "Login"}


@contextmanager
def start(port: int = 0, authority: tls.Authority | None = None) -> Iterator[str]:
    """Serve the sandbox's inventory from a thread of this process, and yield the URL."""
    with serve(VCenter(INVENTORY), port, authority) as url:
        yield url


@contextmanager
def serve(vcenter: VCenter, port: int = 0, authority: tls.Authority | None = None) -> Iterator[str]:
    """Serve this vCenter on loopback from a thread of this process, and yield the URL."""
    context = (authority or tls.authority()).context()
    with faulty.serve(vcenter.behave, tls=context, port=port) as url:
        yield url


def credentials(url: str, authority: tls.Authority | None = None) -> dict[str, str]:
    """Return the credentials of the sandbox's user, for the vCenter at this URL."""
    return {
        "vcenter_url": url,
        "username": USER,
        "password": PASSWORD,
        "verification": "verify",
        "thumbprint": "",
        "ca": (authority or tls.authority()).pem,
    }


@dataclass
class _Session:
    """The state of one login."""

    views: dict[Any, tuple[Any, type]] = field(default_factory=dict)
    """The container of each view, and the type of the objects in the view."""
    pages: dict[str, list[Any]] = field(default_factory=dict)
    """The objects that the client has not read yet, by the token of the next page."""


class VCenter:
    """A vCenter. Its method `behave` answers a request. Threads can share this object.

    `root_role` is the ID of the user's role on the root folder.
    """

    def __init__(
        self,
        inventory: Inventory,
        user: str = USER,
        password: str = PASSWORD,
        root_role: int = READ_ONLY,
    ) -> None:
        self._user_and_password = user, password
        self._objects, self._root = build(inventory, root_role)
        self._content = _content(inventory, self._root)
        self._sessions: dict[str, _Session] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self.calls: list[str] = []
        """The names of the methods that were called, in order."""

    def behave(self, request: Request) -> Answer:
        if request.path.rstrip("/") != PATH:
            return Answer(404, b"Not found", "text/plain")
        if request.method != "POST":
            return Answer(405, b"Method not allowed", "text/plain")
        with self._lock:
            try:
                call = vmware_soap.read(request.body)
                return self._answer(call, _cookie(request))
            except vmodl.MethodFault as error:
                return vmware_soap.fault(error)
            except (ET.ParseError, LookupError, TypeError):
                return vmware_soap.fault(vmodl.fault.InvalidRequest())

    def end_sessions(self) -> None:
        """End all sessions, as a restart of the vCenter does."""
        with self._lock:
            self._sessions.clear()

    def _answer(self, call: Call, cookie: str) -> Answer:
        self.calls.append(call.method)
        session = self._sessions.get(cookie)
        if call.method == "Login":
            return self._log_in(call, session)
        method = getattr(self, f"_{call.method}", None)
        if method is None:
            raise vmodl.fault.MethodNotFound(receiver=self._root, method=call.method)
        if session is None and call.method == "RetrievePropertiesEx":
            return self._read_without_session(call)
        if session is None and call.method not in _METHODS_WITHOUT_LOGIN:
            raise _not_authenticated(self._root)
        if call.method == "Logout":
            del self._sessions[cookie]
        return vmware_soap.result(call.method, method(session, call))

    def _log_in(self, call: Call, session: _Session | None) -> Answer:
        sent = call.arguments["userName"], call.arguments["password"]
        if session is not None or sent != self._user_and_password:
            raise vim.fault.InvalidLogin
        key, now = str(uuid.uuid4()), datetime.now(UTC)
        self._sessions[key] = _Session()
        user = vim.UserSession(
            key=key,
            userName=sent[0],
            fullName=sent[0],
            loginTime=now,
            lastActiveTime=now,
            locale="en",
            messageLocale="en",
            extensionSession=False,
            ipAddress=faulty.LOOPBACK,
            userAgent="",
            callCount=0,
        )
        cookie = f'{COOKIE}="{key}"; Path=/; HttpOnly; Secure;'
        return vmware_soap.result("Login", user, **{"Set-Cookie": cookie})

    def _read_without_session(self, call: Call) -> Answer:
        found = collect(self._objects, {}, call.arguments["specSet"][0])
        page = Collector.RetrieveResult(objects=contents_with_faults(found, _not_authenticated))
        return vmware_soap.result(call.method, page if found else None)

    def _RetrieveServiceContent(self, _session: Any, _call: Call) -> Any:  # noqa: N802  the name in SOAP
        return self._content

    def _Logout(self, _session: Any, _call: Call) -> None:  # noqa: N802
        """Do nothing: `_answer` has already ended the session."""

    def _CreateContainerView(self, session: _Session, call: Call) -> Any:  # noqa: N802
        view = vim.view.ContainerView(f"view-{next(self._numbers)}")
        session.views[view] = call.arguments["container"], call.arguments["type"][0]
        return view

    def _DestroyView(self, session: _Session, call: Call) -> None:  # noqa: N802
        view = vim.view.ContainerView(call.this)
        if session.views.pop(view, None) is None:
            raise vmodl.fault.ManagedObjectNotFound(obj=view)

    def _RetrievePropertiesEx(self, session: _Session, call: Call) -> Any:  # noqa: N802
        found = collect(self._objects, session.views, call.arguments["specSet"][0])
        return self._page(session, found) if found else None

    def _ContinueRetrievePropertiesEx(self, session: _Session, call: Call) -> Any:  # noqa: N802
        remaining = session.pages.pop(call.arguments["token"], None)
        if remaining is None:
            raise vmodl.fault.InvalidArgument(invalidProperty="token")
        return self._page(session, remaining)

    def _page(self, session: _Session, found: list[Any]) -> Any:
        token = None
        if found[OBJECTS_PER_PAGE:]:
            token = str(next(self._numbers))
            session.pages[token] = found[OBJECTS_PER_PAGE:]
        return Collector.RetrieveResult(token=token, objects=found[:OBJECTS_PER_PAGE])

    def _FindByInventoryPath(self, _session: Any, call: Call) -> Any:  # noqa: N802
        """Return a datacenter, or None. The adapter calls this method only for datacenters."""
        return self._objects.datacenters.get(call.arguments["inventoryPath"].strip("/"))

    def _FindByUuid(self, _session: Any, call: Call) -> Any:  # noqa: N802
        if not (call.arguments["vmSearch"] and call.arguments["instanceUuid"]):
            return None
        scope = call.arguments["datacenter"]
        machines = self._objects.machines.get(call.arguments["uuid"].lower(), [])
        return next((machine for owner, machine in machines if scope in {None, owner}), None)


def _content(inventory: Inventory, root: Any) -> Any:
    about = vim.AboutInfo(
        name="VMware vCenter Server",
        fullName=inventory.full_name,
        vendor="VMware, Inc.",
        version=".".join(inventory.api_version.split(".")[:3]),
        build="24322831",
        osType="linux-x64",
        productLineId="vpx",
        apiType="VirtualCenter",
        apiVersion=inventory.api_version,
        instanceUuid=inventory.uuid,
    )
    return vim.ServiceInstanceContent(
        rootFolder=root,
        propertyCollector=Collector("propertyCollector"),
        viewManager=vim.view.ViewManager("ViewManager"),
        about=about,
        sessionManager=vim.SessionManager("SessionManager"),
        searchIndex=vim.SearchIndex("SearchIndex"),
    )


def _not_authenticated(reference: Any) -> Any:
    return vim.fault.NotAuthenticated(object=reference, privilegeId="System.View")


def _cookie(request: Request) -> str:
    sent = SimpleCookie(request.headers.get("Cookie", ""))
    return sent[COOKIE].value if COOKIE in sent else ""
