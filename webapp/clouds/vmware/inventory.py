"""What the adapter reads in a vCenter's inventory: as few calls as can be, each for many objects.
Imports pyVmomi, so it is itself imported on first use only.

A path is that of names from the root folder down, with slashes in between: a slash in a name is
%2f there, as vCenter itself writes it.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pyVmomi import vim, vmodl

from webapp.clouds.base import CloudUnreachable
from webapp.clouds.vmware.connection import NOT_VSPHERE
from webapp.clouds.vmware.sdk import Session, required

PAGE = 1000
"""How many objects a vCenter is asked for at once."""
_LISTED = ["name", "config.template", "config.instanceUuid"]
_DESCRIBED = [
    *("name", "parent", "runtime.host", "config.template", "config.instanceUuid"),
    *("config.guestId", "config.guestFullName", "config.annotation", "config.version"),
    *("config.firmware", "config.files.vmPathName", "config.hardware.device"),
    *("config.hardware.numCPU", "config.hardware.memoryMB", "config.tools.toolsVersion"),
    *("guest.toolsVersion", "guest.toolsStatus"),
]
_PLACED = ["name", "parent"]

Query = vmodl.query.PropertyCollector
Properties = dict[str, Any]
Found = dict[Any, Properties]
"""The properties of each object, by the object."""
Denied = dict[Any, Exception]
"""What vCenter says of objects of which something may not be read."""


@dataclass(frozen=True)
class Template:
    """One of a list. `folder` is told where another one has the same name."""

    uuid: str
    name: str
    folder: str = ""


@dataclass(frozen=True)
class VirtualMachine:
    """A virtual machine, or a template; `datacenter` is None where there is none."""

    datacenter: str | None = None
    folder: str = ""
    """Below the datacenter's folder for virtual machines, '' for that itself."""
    host: str = ""
    compute_resource: str = ""
    compute_resources: tuple[str, ...] = ()
    properties: Properties = field(default_factory=dict)


def datacenters(session: Session) -> list[str]:
    """The paths of those that the user may see."""
    # With the folders above them, whose names are part of the path.
    found, denied = _read_all(
        session,
        (session.content.rootFolder, vim.Datacenter),
        [_upwards()],
        [_properties(vim.Datacenter, _PLACED), _properties(vim.Folder, _PLACED)],
    )
    paths = [_path(found, each) for each in found if isinstance(each, vim.Datacenter)]
    if not any(paths) and denied:
        raise next(iter(denied.values()))
    return sorted(filter(None, paths), key=lambda path: (path.lower(), path))


def templates(session: Session, location: str) -> list[Template] | None:
    """Those of a datacenter; None where there is no such datacenter. All its virtual machines have
    to be looked at: a vCenter has no list of templates."""
    datacenter = _datacenter(session, location)
    if datacenter is None:
        return None
    properties = [_properties(vim.VirtualMachine, _LISTED)]
    found, denied = _read_all(session, (datacenter, vim.VirtualMachine), [], properties)
    listed = {
        each: properties
        for each, properties in found.items()
        if properties.get("config.template") and properties.get("config.instanceUuid")
    }
    if not listed and denied:
        raise next(iter(denied.values()))
    folders = _folders(session, _of_same_name(listed))
    return [
        Template(_uuid(properties), properties.get("name") or "", folders.get(each, ""))
        for each, properties in listed.items()
    ]


def virtual_machine(session: Session, location: str, uuid: str) -> VirtualMachine | None:
    """The one with this instance UUID, there or in another datacenter; None where there is no such
    datacenter."""
    datacenter = _datacenter(session, location)
    if datacenter is None:
        return None
    search = session.content.searchIndex
    machine = search.FindByUuid(datacenter, uuid, True, True)
    where = location if machine else None
    if machine is None:
        machine = search.FindByUuid(None, uuid, True, True)
    if not isinstance(machine, vim.VirtualMachine):
        return VirtualMachine()
    found = _described(session, datacenter, machine)
    if found.properties and found.datacenter is None:  # What holds it may not be seen.
        return replace(found, datacenter=where)
    return found


def _described(session: Session, datacenter: Any, machine: Any) -> VirtualMachine:
    """All about the machine, the folders above it, and the datacenter's compute resources."""
    paths = [*_DESCRIBED, *(["config.createDate"] if session.knows_creation else [])]
    found, denied = _read(
        session,
        [
            Query.ObjectSpec(obj=machine, skip=False, selectSet=[_upwards()]),
            Query.ObjectSpec(obj=datacenter, skip=False, selectSet=[_to_compute_resources()]),
        ],
        [
            _properties(vim.VirtualMachine, paths),
            _properties(vim.Folder, _PLACED),
            _properties(vim.Datacenter, [*_PLACED, "hostFolder", "vmFolder"]),
            _properties(vim.ComputeResource, [*_PLACED, "host"]),
        ],
    )
    properties = found.get(machine)
    if properties is None:  # It has been deleted just now.
        return VirtualMachine()
    if "config.template" not in properties and machine in denied:
        raise denied[machine]
    place = next(
        (each for each in _above(found, machine) if isinstance(each, vim.Datacenter)), None
    )
    host = properties.get("runtime.host")
    below = found.get(datacenter, {}).get("hostFolder")
    resources = {
        each: _path(found, each, below)
        for each in found
        if isinstance(each, vim.ComputeResource) and below in _above(found, each)
    }
    on = (path for each, path in resources.items() if host in (found[each].get("host") or ()))
    return VirtualMachine(
        datacenter=None if place is None else _path(found, place),
        folder=_path(found, properties.get("parent"), found.get(place, {}).get("vmFolder")),
        host=_name_of(session, host),
        compute_resource=next(on, "") if host else "",
        compute_resources=tuple(sorted(resources.values(), key=lambda path: (path.lower(), path))),
        properties=properties,
    )


def _datacenter(session: Session, location: str) -> Any:
    found = session.content.searchIndex.FindByInventoryPath(location) if location else None
    return found if isinstance(found, vim.Datacenter) else None


def _name_of(session: Session, host: Any) -> str:
    """'' for a host that may not be seen, or is gone."""
    if host is None:
        return ""
    wanted = [_properties(vim.HostSystem, ["name"])]
    found, _ = _read(session, [Query.ObjectSpec(obj=host)], wanted)
    return found.get(host, {}).get("name") or ""


def _of_same_name(listed: Found) -> list[Any]:
    names = Counter(properties.get("name") for properties in listed.values())
    return [each for each in listed if names[listed[each].get("name")] > 1]


def _folders(session: Session, machines: Sequence[Any]) -> dict[Any, str]:
    """The name of the folder of each."""
    if not machines:
        return {}
    select = [_through(vim.ManagedEntity, "parent", [])]
    found, _ = _read(
        session,
        [Query.ObjectSpec(obj=each, skip=False, selectSet=select) for each in machines],
        [_properties(vim.VirtualMachine, ["parent"]), _properties(vim.Folder, ["name"])],
    )
    return {
        each: found.get(found.get(each, {}).get("parent"), {}).get("name") or ""
        for each in machines
    }


def _uuid(properties: Properties) -> str:
    return str(properties["config.instanceUuid"]).lower()


def _above(found: Found, entity: Any) -> Iterator[Any]:
    """What holds it, the nearest first, as far as that was read."""
    seen = set()
    while (entity := found.get(entity, {}).get("parent")) is not None and entity not in seen:
        seen.add(entity)
        yield entity


def _path(found: Found, entity: Any, below: Any = None) -> str:
    """The names down to `entity`: from the root folder, which has no name, or from `below`."""
    names: list[str] = []
    for each in (entity, *_above(found, entity)):
        if each is None or each == below or found.get(each, {}).get("parent") is None:
            break
        names.insert(0, found[each].get("name") or "")
    return "/".join(names)


def _read_all(
    session: Session, where: tuple[Any, type], select: list[Any], properties: list[Any]
) -> tuple[Found, Denied]:
    """As `_read`, of all objects of a kind below a container. A vCenter keeps a view until it is
    told not to, or the session ends: after an error it is left."""
    container, kind = where
    create = session.content.viewManager.CreateContainerView
    view = required(create(container, [kind], True), vim.view.ContainerView)
    through = _through(vim.view.ContainerView, "view", select)
    found, denied = _read(
        session,
        [Query.ObjectSpec(obj=view, skip=False, selectSet=[through])],
        [*properties, _properties(vim.view.ContainerView, ["recursive"])],
    )
    if view not in found:  # As it always is: this is no answer of a vCenter's.
        raise CloudUnreachable(NOT_VSPHERE)
    with contextlib.suppress(Exception):
        view.DestroyView()
    return found, denied


def _through(kind: type, path: str, select: list[Any], name: str | None = None) -> Any:
    return Query.TraversalSpec(name=name, type=kind, path=path, skip=False, selectSet=select)


def _upwards() -> Any:
    """All that holds an object."""
    again = Query.SelectionSpec(name="upwards")
    return _through(vim.ManagedEntity, "parent", [again], "upwards")


def _to_compute_resources() -> Any:
    """From a datacenter through its folders of hosts."""
    again = Query.SelectionSpec(name="downwards")
    downwards = _through(vim.Folder, "childEntity", [again], "downwards")
    return _through(vim.Datacenter, "hostFolder", [downwards])


def _properties(kind: type, paths: list[str]) -> Any:
    return Query.PropertySpec(type=kind, pathSet=paths, all=False)


def _read(session: Session, objects: list[Any], properties: list[Any]) -> tuple[Found, Denied]:
    """The properties of many objects, and what may not be read of which. Raises NotAuthenticated
    where the session is over: a vCenter answers that with empty objects."""
    spec = Query.FilterSpec(
        objectSet=objects, propSet=properties, reportMissingObjectsInResults=True
    )
    try:
        contents = _pages(session.content.propertyCollector, spec)
    except vmodl.fault.ManagedObjectNotFound:  # One has been deleted meanwhile: once more without.
        contents = _pages(session.content.propertyCollector, spec)
    found: Found = {}
    denied: Denied = {}
    for each in contents:
        found.setdefault(each.obj, {}).update({one.name: one.val for one in each.propSet})
        for one in each.missingSet:
            if isinstance(one.fault, vim.fault.NotAuthenticated):
                raise one.fault
            if isinstance(one.fault, vim.fault.NoPermission):
                denied[each.obj] = one.fault
    return found, denied


def _pages(collector: Any, spec: Any) -> list[Any]:
    contents: list[Any] = []
    page = collector.RetrievePropertiesEx([spec], Query.RetrieveOptions(maxObjects=PAGE))
    while page is not None:  # As it is where nothing at all was found.
        contents += required(page, Query.RetrieveResult).objects
        page = collector.ContinueRetrievePropertiesEx(page.token) if page.token else None
    return contents
