"""From an inventory's data to managed objects with properties, and the property collector, which is
how a vCenter's clients read them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pyVmomi import vim, vmodl

from sandbox.vmware_inventory import Datacenter, Disk, Inventory, Machine

Collector = vmodl.query.PropertyCollector


@dataclass
class Objects:
    """All managed objects, each with its properties by path; what is unset is left out."""

    properties: dict[Any, dict[str, Any]] = field(default_factory=dict)
    datacenters: dict[str, Any] = field(default_factory=dict)
    """By path."""
    machines: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    """(datacenter, machine) by instance UUID."""
    _folders: dict[tuple[Any, str], Any] = field(default_factory=dict)

    def add(self, kind: type, prefix: str, name: str, parent: Any, **more: Any) -> Any:
        reference = kind(f"{prefix}{len(self.properties) + 1}")
        self.properties[reference] = {
            "name": name,
            **({"parent": parent} if parent else {}),
            **more,
        }
        children = self.properties.get(parent, {}).get("childEntity")
        if children is not None:
            children.append(reference)
        return reference

    def folder(self, path: str, root: Any, prefix: str) -> Any:
        """That of `path` below `root`, made where it is not there yet."""
        parent, above = root, ""
        for name in filter(None, path.split("/")):
            above = f"{above}/{name}"
            if (root, above) not in self._folders:
                children = _array(vim.ManagedEntity)
                made = self.add(vim.Folder, prefix, name, parent, childEntity=children)
                self._folders[root, above] = made
            parent = self._folders[root, above]
        return parent

    def inside(self, container: Any) -> Iterator[Any]:
        """All that is below `container`."""
        for each in self.properties:
            above = each
            while (above := self.properties[above].get("parent")) is not None:
                if above == container:
                    yield each
                    break


def build(inventory: Inventory) -> tuple[Objects, Any]:
    """The objects, and the root folder."""
    objects = Objects()
    root = objects.add(
        vim.Folder, "group-d", "Datacenters", None, childEntity=_array(vim.ManagedEntity)
    )
    for datacenter in inventory.datacenters:
        _add_datacenter(objects, root, datacenter)
    return objects, root


def _add_datacenter(objects: Objects, root: Any, data: Datacenter) -> None:
    above, _, name = data.path.rpartition("/")
    datacenter = objects.add(
        vim.Datacenter, "datacenter-", name, objects.folder(above, root, "group-d")
    )
    objects.datacenters[data.path] = datacenter
    folders = {}
    for kind, prefix in (("vm", "group-v"), ("host", "group-h")):
        children = _array(vim.ManagedEntity)
        made = objects.add(vim.Folder, prefix, kind, datacenter, childEntity=children)
        objects.properties[datacenter][f"{kind}Folder"] = folders[kind] = made
    hosts = {}
    for resource in data.resources:
        above, _, name = resource.path.rpartition("/")
        cluster = vim.ClusterComputeResource if resource.is_cluster else vim.ComputeResource
        folder = objects.folder(above, folders["host"], "group-h")
        made = objects.add(cluster, "domain-c", name, folder, host=_array(vim.HostSystem))
        for host in resource.hosts:
            hosts[host] = objects.add(vim.HostSystem, "host-", host, made)
            objects.properties[made]["host"].append(hosts[host])
    for machine in data.machines:
        folder = objects.folder(machine.folder, folders["vm"], "group-v")
        made = objects.add(vim.VirtualMachine, "vm-", machine.name, folder)
        objects.properties[made].update(_properties(machine, hosts[machine.host]))
        objects.machines[machine.uuid] = datacenter, made


def _properties(machine: Machine, host: Any) -> dict[str, Any]:
    drive = vim.vm.device.VirtualCdrom(
        key=3000, deviceInfo=vim.Description(label="CD/DVD drive 1", summary="Client device")
    )
    disks = [_disk(machine, place, disk) for place, disk in enumerate(machine.disks)]
    devices = _array(vim.vm.device.VirtualDevice, [drive, *disks])
    said = {
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
    return {path: value for path, value in said.items() if value is not None}


def _disk(machine: Machine, place: int, disk: Disk) -> Any:
    size = int(disk.gb * 2**30)
    key = vim.encryption.CryptoKeyId(keyId="key-1") if disk.encrypted else None
    label = disk.label or f"Hard disk {place + 1}"
    return vim.vm.device.VirtualDisk(
        key=2000 + place,
        controllerKey=1000,
        unitNumber=place,
        capacityInKB=size // 1024,
        capacityInBytes=size,
        deviceInfo=vim.Description(label=label, summary=f"{size // 1024:,} KB"),
        backing=vim.vm.device.VirtualDisk.FlatVer2BackingInfo(
            fileName=f"[{machine.datastore}] {machine.name}/{machine.name}_{place}.vmdk",
            diskMode="persistent",
            thinProvisioned=disk.kind == "thin",
            eagerlyScrub=disk.kind == "zeroed",
            keyId=key,
        ),
    )


def _array(kind: Any, items: Sequence[Any] = ()) -> Any:
    return kind.Array(items)


def collect(objects: Objects, views: dict[Any, tuple[Any, type]], spec: Any) -> list[Any]:
    """What a property collector answers to one filter. Raises faults."""
    read = _Reading(objects, views, bool(spec.reportMissingObjectsInResults))
    for each in spec.objectSet:
        read.select(each.obj, each.selectSet, skipped=bool(each.skip))
    contents = []
    for reference in read.selected:
        wanted = [each for each in spec.propSet if isinstance(reference, each.type)]
        if wanted:
            paths = [path for each in wanted for path in each.pathSet]
            contents.append(_content(reference, read.properties(reference) or {}, paths))
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
    """According to the API's description."""
    for name in path.split("."):
        try:
            kind = kind._GetPropertyInfo(name).type  # noqa: SLF001
        except AttributeError:
            return False
    return True


def nothing_but_faults(objects: list[Any], make: Any) -> list[Any]:
    """As a vCenter answers where the session is over: the same objects, each without properties."""
    return [
        Collector.ObjectContent(
            obj=each.obj,
            missingSet=[
                Collector.MissingProperty(path=one.name, fault=make(each.obj))
                for one in each.propSet
            ],
        )
        for each in objects
    ]


class _Reading:
    """The objects that a filter selects, in the order in which it comes to them."""

    def __init__(self, objects: Objects, views: dict[Any, tuple[Any, type]], lenient: bool) -> None:
        self._objects, self._views, self._lenient = objects, views, lenient
        self._specs: dict[str, Any] = {}
        self._walked: set[tuple[Any, int]] = set()
        self.selected: dict[Any, None] = {}

    def properties(self, reference: Any) -> dict[str, Any] | None:
        """None for what is not there."""
        if reference in self._views:
            container, kind = self._views[reference]
            inside = [each for each in self._objects.inside(container) if isinstance(each, kind)]
            return {"recursive": True, "view": _array(vim.ManagedEntity, inside)}
        return self._objects.properties.get(reference)

    def select(self, reference: Any, select: list[Any], *, skipped: bool) -> None:
        properties = self.properties(reference)
        if properties is None:
            if self._lenient:
                return
            raise vmodl.fault.ManagedObjectNotFound(obj=reference)
        if not skipped:
            self.selected[reference] = None
        for each in select:
            self._follow(reference, properties, each)

    def _follow(self, reference: Any, properties: dict[str, Any], spec: Any) -> None:
        if isinstance(spec, Collector.TraversalSpec):
            if spec.name:
                self._specs[spec.name] = spec
        else:
            spec = self._specs[spec.name]
        if not isinstance(reference, spec.type) or (reference, id(spec)) in self._walked:
            return
        self._walked.add((reference, id(spec)))
        found = properties.get(spec.path)
        for each in found if isinstance(found, list) else filter(None, [found]):
            self.select(each, spec.selectSet, skipped=bool(spec.skip))
