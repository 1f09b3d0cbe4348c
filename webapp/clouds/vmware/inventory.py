"""Read a vCenter's inventory in as few calls as possible. Most calls read many objects.

The path of an object consists of the names of the folders above it and its own name, separated by
slashes. The names are spelled as the vSphere Client shows them. The location of a datacenter is its
path. vCenter itself writes a slash within a name as %2f. If a name contains a slash, two
datacenters can have the same path. In this case, the location of each of these datacenters is its
path as vCenter writes it.

Folders can be nested, and a response may contain a long chain of folders. So `_parents` returns at
most MAX_LEVELS parents of an object, and `_paths` visits each folder only once. Datacenters and
compute resources are left out if their path is too long for the registry.

This module imports pyVmomi, so it is imported only on first use.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pyVmomi import vim, vmodl

from webapp.clouds.errors import CloudUnreachable
from webapp.clouds.limits import COMPUTE_RESOURCE_LENGTH, LOCATION_LENGTH
from webapp.clouds.vmware.connection import NOT_VSPHERE
from webapp.clouds.vmware.details import unescape_name
from webapp.clouds.vmware.ids import location_key
from webapp.clouds.vmware.sdk import Session, require_type

OBJECTS_PER_PAGE = 500
"""The maximum number of objects to request from a vCenter with one call."""
MAX_LEVELS = 100
"""The maximum number of parents that `_parents` returns for one object."""
_TEMPLATE_PROPERTIES = ["name", "config.template", "config.instanceUuid"]
_MACHINE_PROPERTIES = [
    *("name", "parent", "runtime.host", "config.template", "config.instanceUuid"),
    *("config.guestId", "config.guestFullName", "config.annotation", "config.version"),
    *("config.firmware", "config.files.vmPathName", "config.hardware.device"),
    *("config.hardware.numCPU", "config.hardware.memoryMB", "config.tools.toolsVersion"),
    *("guest.toolsVersion", "guest.toolsStatus"),
]
_ROLES_WITHOUT_READ = {-5, -4, -3}
"""vCenter's IDs of the roles No access, Anonymous and View.

If a user has a role on an object, vCenter gives the user the role View on the object's parents.
"""
_NAME_AND_PARENT = ["name", "parent"]

Query = vmodl.query.PropertyCollector
Properties = dict[str, Any]
ObjectProperties = dict[Any, Properties]
"""The properties of each object, by the object."""
Denials = dict[Any, Exception]
"""The vCenter's faults for properties that the user is not allowed to read, by the object."""


@dataclass(frozen=True)
class Template:
    """A template in a list. `folder` is set only if another template has the same name."""

    uuid: str
    name: str
    folder: str = ""


@dataclass(frozen=True)
class VirtualMachine:
    """A virtual machine or a template. It has no properties if it was not found."""

    datacenter: str | None = None
    """The location of the datacenter.

    This is None if the machine was not found, or if the datacenter is unknown because the user
    cannot see everything above the machine.
    """
    in_datacenter: bool = False
    """Whether `datacenter` is the requested datacenter, perhaps in another spelling."""
    folder: str = ""
    """The path from the datacenter's folder of virtual machines to the machine's folder.

    This is '' if both are the same folder.
    """
    host: str = ""
    compute_resource: str = ""
    """The path of the cluster or host that the machine belongs to.

    This is '' if the cluster or host is not in the requested datacenter, or is unknown.
    """
    compute_resources: tuple[str, ...] = ()
    """The paths of all compute resources in the requested datacenter.

    These are the clusters, and the hosts that do not belong to a cluster.
    """
    properties: Properties = field(default_factory=dict)
    may_be_hidden: bool = False
    """Whether a machine that was not found may exist where the user cannot see it."""


def datacenters(session: Session) -> list[str]:
    """Return the locations of the datacenters that the user may see."""
    return sorted(_datacenters_by_location(session), key=lambda path: (path.lower(), path))


def _datacenters_by_location(session: Session) -> dict[str, Any]:
    """Return the datacenters that the user may see, by location."""
    # The names of the folders are necessary because they are part of a datacenter's path.
    found, denials = _read_all(
        session,
        session.content.rootFolder,
        vim.Datacenter,
        [_to_parents()],
        [_properties(vim.Datacenter, _NAME_AND_PARENT), _properties(vim.Folder, _NAME_AND_PARENT)],
    )
    all_datacenters = [entity for entity in found if isinstance(entity, vim.Datacenter)]
    paths = _paths(found, all_datacenters, LOCATION_LENGTH)
    visible = {entity: path for entity, path in paths.items() if path}
    if not visible and denials:
        raise next(iter(denials.values()))
    count = Counter(visible.values())
    ambiguous = [entity for entity, path in visible.items() if count[path] > 1]
    escaped = _paths(found, ambiguous, LOCATION_LENGTH, escaped=True)
    return {
        escaped[entity] if count[path] > 1 else path: entity
        for entity, path in visible.items()
        if count[path] == 1 or entity in escaped
    }


def templates(session: Session, location: str) -> list[Template] | None:
    """Return the templates of a datacenter, or None if there is no such datacenter.

    This function reads all virtual machines of the datacenter, because a vCenter has no list of
    templates.
    """
    datacenter = _find_datacenter(session, location)
    if datacenter is None:
        return None
    found, denials = _read_all(
        session,
        datacenter,
        vim.VirtualMachine,
        [],
        [_properties(vim.VirtualMachine, _TEMPLATE_PROPERTIES)],
    )
    found = {
        machine: properties
        for machine, properties in found.items()
        if properties.get("config.template") and properties.get("config.instanceUuid")
    }
    if not found and denials:
        raise next(iter(denials.values()))
    folders = _folder_names(session, _with_shared_names(found))
    return [
        Template(
            uuid=str(properties["config.instanceUuid"]).lower(),
            name=properties.get("name") or "",
            folder=folders.get(machine, ""),
        )
        for machine, properties in found.items()
    ]


def virtual_machine(session: Session, location: str, uuid: str) -> VirtualMachine | None:
    """Return the virtual machine with this instance UUID, from any datacenter.

    Returns None if there is no datacenter at `location`. Returns an empty VirtualMachine if no
    machine has this UUID.
    """
    datacenter = _find_datacenter(session, location)
    if datacenter is None:
        return None
    reference = _find_machine(session, datacenter, uuid)
    in_datacenter = reference is not None
    if not in_datacenter:
        reference = _find_machine(session, None, uuid)
    if not isinstance(reference, vim.VirtualMachine):
        return VirtualMachine(may_be_hidden=not sees_everything(session))
    machine = _read_machine(session, datacenter, reference, location)
    if machine.properties and machine.datacenter is None and in_datacenter:
        # The user is not allowed to see the folders above the machine.
        return replace(machine, datacenter=location, in_datacenter=True)
    return machine


def locations_of(session: Session, uuid: str) -> set[str | None]:
    """Return the locations of all templates with this instance UUID.

    If no template has this UUID, return the locations of the virtual machines with this UUID. A
    location is None if the user cannot see the datacenter.

    A vCenter returns only one machine for each search, so this function searches the vCenter and
    each datacenter.
    """
    by_location = _datacenters_by_location(session)
    results = [_find_machine(session, each, uuid) for each in (None, *by_location.values())]
    machines = {each for each in results if isinstance(each, vim.VirtualMachine)}
    if not machines:
        return set()
    found, _ = _read(
        session,
        [Query.ObjectSpec(obj=each, skip=False, selectSet=[_to_parents()]) for each in machines],
        [
            _properties(vim.VirtualMachine, ["parent", "config.template"]),
            _properties(vim.Folder, _NAME_AND_PARENT),
            _properties(vim.Datacenter, _NAME_AND_PARENT),
        ],
    )
    templates = {each for each in machines if found.get(each, {}).get("config.template")}
    locations = {entity: location for location, entity in by_location.items()}
    return {
        next((locations[parent] for parent in _parents(found, each) if parent in locations), None)
        for each in templates or machines
    }


def _find_machine(session: Session, datacenter: Any, instance_uuid: str) -> Any:
    """Return a virtual machine with this instance UUID in `datacenter`, or None.

    If `datacenter` is None, search the whole vCenter.
    """
    only_machines = is_instance_uuid = True
    find = session.content.searchIndex.FindByUuid
    return find(datacenter, instance_uuid, only_machines, is_instance_uuid)


def sees_everything(session: Session) -> bool:
    """Return whether the user has a role that can read the root folder.

    A user without such a role sees only some of the objects. A vCenter gives the same response for
    an object that does not exist and for a hidden object.
    """
    root = session.content.rootFolder
    properties = [_properties(vim.Folder, ["effectiveRole"])]
    found, _ = _read(session, [Query.ObjectSpec(obj=root)], properties)
    roles = set(found.get(root, {}).get("effectiveRole") or ())
    return bool(roles - _ROLES_WITHOUT_READ)


def _read_machine(
    session: Session, datacenter: Any, reference: Any, location: str = ""
) -> VirtualMachine:
    """Read a machine, the folders above it, and the compute resources of the datacenter.

    `reference` refers to the machine. `datacenter` is the requested datacenter, at `location`.
    """
    creation_date = ["config.createDate"] if session.reports_creation_date else []
    found, denials = _read(
        session,
        [
            Query.ObjectSpec(obj=reference, skip=False, selectSet=[_to_parents()]),
            Query.ObjectSpec(obj=datacenter, skip=False, selectSet=[_to_compute_resources()]),
        ],
        [
            _properties(vim.VirtualMachine, [*_MACHINE_PROPERTIES, *creation_date]),
            _properties(vim.Folder, _NAME_AND_PARENT),
            _properties(vim.Datacenter, [*_NAME_AND_PARENT, "hostFolder", "vmFolder"]),
            _properties(vim.ComputeResource, [*_NAME_AND_PARENT, "host"]),
        ],
    )
    properties = found.get(reference)
    if properties is None:  # The machine was deleted a moment ago.
        return VirtualMachine()
    if "config.template" not in properties and reference in denials:
        raise denials[reference]
    parents = _parents(found, reference)
    machine_datacenter = next(
        (parent for parent in parents if isinstance(parent, vim.Datacenter)), None
    )
    vm_folder = found.get(machine_datacenter, {}).get("vmFolder")
    host = properties.get("runtime.host")
    resources = _compute_resource_paths(found, datacenter)
    machine_resources = (
        path for resource, path in resources.items() if host in (found[resource].get("host") or ())
    )
    machine_location = None if machine_datacenter is None else _path(found, machine_datacenter)
    in_datacenter = machine_datacenter == datacenter
    if in_datacenter and machine_location != location:
        machine_location = _listed_location(session, datacenter, location)
    return VirtualMachine(
        datacenter=machine_location,
        in_datacenter=in_datacenter,
        folder=_path(found, properties.get("parent"), vm_folder),
        host=_host_name(session, host),
        compute_resource=next(machine_resources, "") if host else "",
        compute_resources=tuple(sorted(resources.values(), key=lambda path: (path.lower(), path))),
        properties=properties,
    )


def _compute_resource_paths(found: ObjectProperties, datacenter: Any) -> dict[Any, str]:
    """Return the paths of the datacenter's compute resources, beginning below its host folder."""
    host_folder = found.get(datacenter, {}).get("hostFolder")
    if host_folder is None:
        return {}
    resources = [entity for entity in found if isinstance(entity, vim.ComputeResource)]
    return _paths(found, resources, COMPUTE_RESOURCE_LENGTH, host_folder)


def _listed_location(session: Session, datacenter: Any, path: str) -> str:
    """Return the location that the list of datacenters has for `datacenter`, or else `path`.

    `path` can be another spelling of the location, for example with a slash at the beginning,
    because a vCenter finds the datacenter at such a path too.
    """
    locations = {entity: key for key, entity in _datacenters_by_location(session).items()}
    return locations.get(datacenter, path)


def _find_datacenter(session: Session, location: str) -> Any:
    """Return the datacenter at `location`, or None.

    vCenter finds most datacenters by their location. This function searches the list of all
    datacenters in two cases: vCenter finds no datacenter, or `location` contains a percent sign.
    The percent sign may be part of an escaped slash, backslash or percent sign in a name.
    """
    found = session.content.searchIndex.FindByInventoryPath(location) if location else None
    found = found if isinstance(found, vim.Datacenter) else None
    if not location or (found is not None and "%" not in location):
        return found
    by_location = _datacenters_by_location(session)
    if location in by_location or found is not None:
        return by_location.get(location, found)
    key = location_key(location)
    matches = [entity for path, entity in by_location.items() if location_key(path) == key]
    return matches[0] if len(matches) == 1 else None


def _host_name(session: Session, host: Any) -> str:
    """Return the name of a host, or '' if the host is unknown, hidden from the user, or deleted."""
    if host is None:
        return ""
    properties = [_properties(vim.HostSystem, ["name"])]
    found, _ = _read(session, [Query.ObjectSpec(obj=host)], properties)
    return found.get(host, {}).get("name") or ""


def _with_shared_names(found: ObjectProperties) -> list[Any]:
    """Return the objects that have the same name as another object."""
    names = Counter(properties.get("name") for properties in found.values())
    return [entity for entity in found if names[found[entity].get("name")] > 1]


def _folder_names(session: Session, machines: Sequence[Any]) -> dict[Any, str]:
    """Return the name of the folder of each machine, or '' if the user cannot see the folder."""
    if not machines:
        return {}
    select = [_traversal(vim.ManagedEntity, "parent", [])]
    found, _ = _read(
        session,
        [Query.ObjectSpec(obj=machine, skip=False, selectSet=select) for machine in machines],
        [_properties(vim.VirtualMachine, ["parent"]), _properties(vim.Folder, ["name"])],
    )
    return {
        machine: found.get(found.get(machine, {}).get("parent"), {}).get("name") or ""
        for machine in machines
    }


def _parents(found: ObjectProperties, entity: Any) -> Iterator[Any]:
    """Yield the parent of `entity`, the parent's parent, and so on, as far as `found` has them.

    Yields at most MAX_LEVELS objects.
    """
    seen: set[Any] = set()
    while (entity := found.get(entity, {}).get("parent")) is not None and entity not in seen:
        if len(seen) == MAX_LEVELS:
            return
        seen.add(entity)
        yield entity


def _path(found: ObjectProperties, entity: Any, root: Any = None, *, escaped: bool = False) -> str:
    """Return the path to `entity`, beginning below `root` or, by default, below the root folder.

    If `escaped` is true, return the path as vCenter itself writes it.
    """
    names: list[str] = []
    for each in (entity, *_parents(found, entity)):
        if each is None or each == root or found.get(each, {}).get("parent") is None:
            break
        name = found[each].get("name") or ""
        names.insert(0, name if escaped else unescape_name(name))
    return "/".join(names)


def _paths(
    found: ObjectProperties,
    entities: Sequence[Any],
    max_length: int,
    root: Any = None,
    *,
    escaped: bool = False,
) -> dict[Any, str]:
    """Return the paths of `entities`, as `_path` does, in time linear in the number of objects.

    Leaves out objects whose path is longer than `max_length`, and objects that are not below
    `root`. The path of each folder is computed once, because many objects can be below it.
    """
    # In these paths, a slash precedes each name, including the first name.
    paths: dict[Any, str | None] = {root: ""}
    for entity in entities:
        pending = []
        each = entity
        while each not in paths:
            paths[each] = None  # This stays None if the object is one of its own ancestors.
            parent = found.get(each, {}).get("parent")
            if parent is None:
                paths[each] = "" if root is None else None
                break
            pending.append(each)
            each = parent
        path = paths[each]
        for each in reversed(pending):
            if path is not None:
                name = found[each].get("name") or ""
                path = f"{path}/{name if escaped else unescape_name(name)}"
                path = path if len(path) - 1 <= max_length else None
            paths[each] = path
    return {entity: path[1:] for entity in entities if (path := paths[entity]) is not None}


def _read_all(
    session: Session, container: Any, kind: type, select: list[Any], properties: list[Any]
) -> tuple[ObjectProperties, Denials]:
    """Read the properties of all objects of type `kind` in `container`, as `_read` does.

    A vCenter lists the objects in a container through a view. This function creates a view and
    destroys it at the end. If reading fails, the view exists until the session ends.
    """
    create_view = session.content.viewManager.CreateContainerView
    view = require_type(create_view(container, [kind], True), vim.view.ContainerView)
    traversal = _traversal(vim.view.ContainerView, "view", select)
    found, denials = _read(
        session,
        [Query.ObjectSpec(obj=view, skip=False, selectSet=[traversal])],
        [*properties, _properties(vim.view.ContainerView, ["recursive"])],
    )
    if view not in found:  # Every vCenter includes the view itself in its response.
        raise CloudUnreachable(NOT_VSPHERE)
    with contextlib.suppress(Exception):
        view.DestroyView()
    return found, denials


def _traversal(kind: type, path: str, select: list[Any], name: str | None = None) -> Any:
    return Query.TraversalSpec(name=name, type=kind, path=path, skip=False, selectSet=select)


def _to_parents() -> Any:
    """Return a traversal from an object to everything that contains it."""
    repeat = Query.SelectionSpec(name="parents")
    return _traversal(vim.ManagedEntity, "parent", [repeat], "parents")


def _to_compute_resources() -> Any:
    """Return a traversal from a datacenter to everything in its folder of hosts."""
    repeat = Query.SelectionSpec(name="children")
    to_children = _traversal(vim.Folder, "childEntity", [repeat], "children")
    return _traversal(vim.Datacenter, "hostFolder", [to_children])


def _properties(kind: type, names: list[str]) -> Any:
    return Query.PropertySpec(type=kind, pathSet=names, all=False)


def _read(
    session: Session, objects: list[Any], properties: list[Any]
) -> tuple[ObjectProperties, Denials]:
    """Return the properties of many objects, and the faults for objects that the user cannot read.

    Raises NotAuthenticated if the session has ended. In this case, the call to the vCenter does not
    fail, but the response contains this fault instead of the properties.
    """
    spec = Query.FilterSpec(
        objectSet=objects, propSet=properties, reportMissingObjectsInResults=True
    )
    collector = session.content.propertyCollector
    try:
        return _read_pages(collector, spec)
    except vmodl.fault.ManagedObjectNotFound:
        # An object was deleted during the call. A second call usually does not include the object.
        return _read_pages(collector, spec)


def _read_pages(collector: Any, spec: Any) -> tuple[ObjectProperties, Denials]:
    found: ObjectProperties = {}
    denials: Denials = {}
    for content in _contents(collector, spec):
        values = {each.name: each.val for each in content.propSet}
        found.setdefault(content.obj, {}).update(values)
        for missing in content.missingSet:
            if isinstance(missing.fault, vim.fault.NotAuthenticated):
                raise missing.fault
            if isinstance(missing.fault, vim.fault.NoPermission):
                denials[content.obj] = missing.fault
    return found, denials


def _contents(collector: Any, spec: Any) -> Iterator[Any]:
    """Yield the objects of all pages, with only one page in memory. An object needs about 4 kB."""
    options = Query.RetrieveOptions(maxObjects=OBJECTS_PER_PAGE)
    page = collector.RetrievePropertiesEx([spec], options)
    while page is not None:  # The first page is None if nothing was found.
        token = require_type(page, Query.RetrieveResult).token
        yield from page.objects
        page = None  # Release the page before the next page is read.
        page = collector.ContinueRetrievePropertiesEx(token) if token else None
