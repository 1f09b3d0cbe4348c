"""Convert an inventory into managed objects with properties, and answer queries about the objects.

The results have the format of a vCenter's property collector.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pyVmomi import VmomiSupport, vim, vmodl

from sandbox.vmware_inventory import Datacenter, Disk, Inventory, Machine

Collector = vmodl.query.PropertyCollector
READ_ONLY = -2
"""vCenter's ID of the role Read-only."""


@dataclass
class Objects:
    """All managed objects of a vCenter."""

    properties: dict[Any, dict[str, Any]] = field(default_factory=dict)
    """The properties of each object, by their path. Properties without a value are left out."""
    datacenters: dict[str, Any] = field(default_factory=dict)
    """The datacenters by path."""
    machines: dict[str, list[tuple[Any, Any]]] = field(default_factory=dict)
    """Pairs of a datacenter and a machine, by the instance UUID of the machine."""
    _folders: dict[tuple[Any, str], Any] = field(default_factory=dict)

    def add(self, kind: type, prefix: str, name: str, parent: Any, **properties: Any) -> Any:
        """Add an object to its parent, and return it. `prefix` is the beginning of its ID."""
        reference = kind(f"{prefix}{len(self.properties) + 1}")
        self.properties[reference] = {
            "name": name,
            **({"parent": parent} if parent else {}),
            **properties,
        }
        children = self.properties.get(parent, {}).get("childEntity")
        if children is not None:
            children.append(reference)
        return reference

    def folder(self, path: str, root: Any, prefix: str) -> Any:
        """Return the folder at `path` below `root`, and create it and its parents if necessary."""
        parent, parent_path = root, ""
        for name in filter(None, path.split("/")):
            parent_path = f"{parent_path}/{name}"
            if (root, parent_path) not in self._folders:
                children = _array(vim.ManagedEntity)
                folder = self.add(vim.Folder, prefix, name, parent, childEntity=children)
                self._folders[root, parent_path] = folder
            parent = self._folders[root, parent_path]
        return parent

    def descendants(self, container: Any) -> Iterator[Any]:
        """Yield all objects below `container`."""
        for reference in self.properties:
            parent = reference
            while (parent := self.properties[parent].get("parent")) is not None:
                if parent == container:
                    yield reference
                    break


def build(inventory: Inventory, root_role: int) -> tuple[Objects, Any]:
    """Return the managed objects for an inventory, and the root folder.

    `root_role` is the ID of the user's role on the root folder.
    """
    objects = Objects()
    root = objects.add(
        vim.Folder,
        "group-d",
        "Datacenters",
        None,
        childEntity=_array(vim.ManagedEntity),
        effectiveRole=VmomiSupport.GetVmodlType("int[]")([root_role]),
    )
    for datacenter in inventory.datacenters:
        _add_datacenter(objects, root, datacenter)
    return objects, root


def _add_datacenter(objects: Objects, root: Any, data: Datacenter) -> None:
    folder_path, _, name = data.path.rpartition("/")
    datacenter = objects.add(
        vim.Datacenter, "datacenter-", name, objects.folder(folder_path, root, "group-d")
    )
    objects.datacenters[data.path] = datacenter
    folders = {}
    for kind, prefix in (("vm", "group-v"), ("host", "group-h")):
        children = _array(vim.ManagedEntity)
        folder = objects.add(vim.Folder, prefix, kind, datacenter, childEntity=children)
        objects.properties[datacenter][f"{kind}Folder"] = folders[kind] = folder
    hosts = {}
    for resource in data.resources:
        folder_path, _, name = resource.path.rpartition("/")
        resource_type = vim.ClusterComputeResource if resource.is_cluster else vim.ComputeResource
        folder = objects.folder(folder_path, folders["host"], "group-h")
        reference = objects.add(
            resource_type, "domain-c", name, folder, host=_array(vim.HostSystem)
        )
        for host in resource.hosts:
            hosts[host] = objects.add(vim.HostSystem, "host-", host, reference)
            objects.properties[reference]["host"].append(hosts[host])
    for machine in data.machines:
        folder = objects.folder(machine.folder, folders["vm"], "group-v")
        reference = objects.add(vim.VirtualMachine, "vm-", machine.name, folder)
        objects.properties[reference].update(_machine_properties(machine, hosts[machine.host]))
        objects.machines.setdefault(machine.uuid, []).append((datacenter, reference))


def _machine_properties(machine: Machine, host: Any) -> dict[str, Any]:
    drive = vim.vm.device.VirtualCdrom(
        key=3000, deviceInfo=vim.Description(label="CD/DVD drive 1", summary="Client device")
    )
    disks = [_disk(machine, index, disk) for index, disk in enumerate(machine.disks)]
    devices = _array(vim.vm.device.VirtualDevice, [drive, *disks])
    properties = {
        "runtime.host": host,
        "config.template": machine.is_template,
        "config.instanceUuid": machine.uuid,
        "config.guestId": machine.guest_id,
        "config.guestFullName": machine.guest_name,
        "config.annotation": machine.annotation,
        "config.version": machine.version,
        "config.firmware": machine.firmware,
        "config.files.vmPathName": f"[{machine.datastore}] {machine.name}/{machine.name}.vmtx",
        "config.hardware.device": devices,
        "config.hardware.numCPU": machine.cpus,
        "config.hardware.memoryMB": machine.memory_mb,
        "config.tools.toolsVersion": machine.tools,
        "config.createDate": datetime.fromisoformat(machine.created) if machine.created else None,
        "guest.toolsVersion": None if machine.tools is None else str(machine.tools),
        "guest.toolsStatus": vim.vm.GuestInfo.ToolsStatus(machine.tools_status)
        if machine.tools_status
        else None,
    }
    return {path: value for path, value in properties.items() if value is not None}


def _disk(machine: Machine, index: int, disk: Disk) -> Any:
    size = int(disk.gb * 2**30)
    key = vim.encryption.CryptoKeyId(keyId="key-1") if disk.encrypted else None
    label = disk.label or f"Hard disk {index + 1}"
    return vim.vm.device.VirtualDisk(
        key=2000 + index,
        controllerKey=1000,
        unitNumber=index,
        capacityInKB=size // 1024,
        capacityInBytes=size,
        deviceInfo=vim.Description(label=label, summary=f"{size // 1024:,} KB"),
        backing=vim.vm.device.VirtualDisk.FlatVer2BackingInfo(
            fileName=f"[{machine.datastore}] {machine.name}/{machine.name}_{index}.vmdk",
            diskMode="persistent",
            thinProvisioned=disk.kind == "thin",
            eagerlyScrub=disk.kind == "zeroed",
            keyId=key,
        ),
    )


def _array(kind: Any, items: Sequence[Any] = ()) -> Any:
    return kind.Array(items)


def collect(objects: Objects, views: dict[Any, tuple[Any, type]], spec: Any) -> list[Any]:
    """Return the objects that a property collector returns for one filter.

    Raises ManagedObjectNotFound and InvalidProperty.
    """
    selection = _Selection(objects, views, bool(spec.reportMissingObjectsInResults))
    for object_spec in spec.objectSet:
        selection.select(object_spec.obj, object_spec.selectSet, skipped=bool(object_spec.skip))
    contents = []
    for reference in selection.selected:
        property_specs = [
            property_spec
            for property_spec in spec.propSet
            if isinstance(reference, property_spec.type)
        ]
        if property_specs:
            paths = [path for property_spec in property_specs for path in property_spec.pathSet]
            contents.append(_content(reference, selection.properties(reference) or {}, paths))
    return contents


def _content(reference: Any, properties: dict[str, Any], paths: list[str]) -> Any:
    for path in paths:
        if not _is_property(type(reference), path):
            raise vmodl.query.InvalidProperty(name=path)
    return Collector.ObjectContent(
        obj=reference,
        propSet=[
            vmodl.DynamicProperty(name=path, val=properties[path])
            for path in paths
            if path in properties
        ],
    )


def _is_property(kind: Any, path: str) -> bool:
    """Return whether objects of this type have this property in the API."""
    for name in path.split("."):
        try:
            kind = kind._GetPropertyInfo(name).type  # noqa: SLF001
        except AttributeError:
            return False
    return True


def contents_with_faults(objects: list[Any], make_fault: Any) -> list[Any]:
    """Return the objects of a result with a fault in place of each property.

    A vCenter returns such a result if the session has ended. `make_fault` returns the fault for an
    object.
    """
    return [
        Collector.ObjectContent(
            obj=content.obj,
            missingSet=[
                Collector.MissingProperty(path=prop.name, fault=make_fault(content.obj))
                for prop in content.propSet
            ],
        )
        for content in objects
    ]


class _Selection:
    """The objects that a filter selects, in the order in which its traversals visit them."""

    def __init__(
        self, objects: Objects, views: dict[Any, tuple[Any, type]], skip_missing: bool
    ) -> None:
        self._objects, self._views, self._skip_missing = objects, views, skip_missing
        self._specs: dict[str, Any] = {}
        self._visited: set[tuple[Any, int]] = set()
        self.selected: dict[Any, None] = {}

    def properties(self, reference: Any) -> dict[str, Any] | None:
        """Return the properties of an object or a view, or None if it does not exist."""
        if reference in self._views:
            container, kind = self._views[reference]
            members = [
                member
                for member in self._objects.descendants(container)
                if isinstance(member, kind)
            ]
            return {"recursive": True, "view": _array(vim.ManagedEntity, members)}
        return self._objects.properties.get(reference)

    def select(self, reference: Any, select: list[Any], *, skipped: bool) -> None:
        """Follow the traversals in `select`. Unless `skipped` is true, also select the object."""
        properties = self.properties(reference)
        if properties is None:
            if self._skip_missing:
                return
            raise vmodl.fault.ManagedObjectNotFound(obj=reference)
        if not skipped:
            self.selected[reference] = None
        for traversal in select:
            self._follow(reference, properties, traversal)

    def _follow(self, reference: Any, properties: dict[str, Any], spec: Any) -> None:
        if isinstance(spec, Collector.TraversalSpec):
            if spec.name:
                self._specs[spec.name] = spec
        else:
            spec = self._specs[spec.name]
        if not isinstance(reference, spec.type) or (reference, id(spec)) in self._visited:
            return
        self._visited.add((reference, id(spec)))
        found = properties.get(spec.path)
        for target in found if isinstance(found, list) else filter(None, [found]):
            self.select(target, spec.selectSet, skipped=bool(spec.skip))
