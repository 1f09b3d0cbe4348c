"""Measure how long it takes to list a vCenter's templates, compared with the vCenter's own time.

    python -m bench.templates [--vms 2000] [--delay 5] [--rounds 10]

The vCenter is VMware's simulator. One in fifty virtual machines is a template. The vCenter's own
time is the time of one property collector call that reads three properties of all virtual machines.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyVmomi import vim, vmodl

from bench.measure import milliseconds, percentiles
from tests.clouds.vmware import vcsim
from webapp.clouds.credentials import CredentialValues
from webapp.clouds.locators import Locator
from webapp.clouds.outgoing import endpoints
from webapp.clouds.vmware.adapter import VMware
from webapp.clouds.vmware.connection import VCenterConnection
from webapp.clouds.vmware.sdk import Session

CLUSTERS = 4
VMS_PER_TEMPLATE = 50
PATHS = ["name", "config.template", "config.instanceUuid"]
LOCATION = "F0/DC0"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vms", type=int, default=2000, help="virtual machines")
    parser.add_argument("--delay", type=int, default=0, help="milliseconds added to each call")
    parser.add_argument("--rounds", type=int, default=10, help="calls for each measured time")
    arguments = parser.parse_args()
    if vcsim.missing_packages():
        sys.exit(vcsim.missing_packages())
    endpoints.configure(["default", "127.0.0.0/8"])  # The simulator is on loopback.
    flags = {"datacenters": 1, "clusters": CLUSTERS, "hosts": 0, "every": VMS_PER_TEMPLATE}
    flags |= {"machines": arguments.vms // CLUSTERS, "delay": arguments.delay}
    with (
        tempfile.TemporaryDirectory() as folder,
        vcsim.start(Path(folder), flags=flags) as address,
    ):
        _measure(vcsim.credentials(address), arguments.rounds)


def _measure(credentials: CredentialValues, rounds: int) -> None:
    cloud = VMware()
    found = cloud.images(credentials, LOCATION)  # Loads the SDK and logs in.
    locator = Locator(LOCATION, found[0].image_id)
    vcenter_ms = _report("vCenter’s own", property_call(Session(credentials)), rounds)
    list_ms = _report("list", lambda: cloud.images(credentials, LOCATION), rounds)
    print(f"difference: {list_ms - vcenter_ms:.0f} ms for {len(found)} templates")
    _report("one template", lambda: cloud.describe(credentials, locator), rounds)
    _report("locations", lambda: cloud.locations(credentials), rounds)


def _report(name: str, call: Callable[[], object], rounds: int) -> float:
    with _recorded_calls() as calls:
        call()
    p50, p95, _ = percentiles(milliseconds(call, rounds))
    print(f"{name}: p50 {p50:.0f} ms, p95 {p95:.0f} ms, round trips {len(calls)}")
    return p50


@contextmanager
def _recorded_calls() -> Iterator[list[str]]:
    """Yield a list to which the method of each round trip is appended."""
    sent: list[str] = []
    original = VCenterConnection.request

    def request(self: Any, method: str, *args: Any, **kwargs: Any) -> None:
        sent.append(method)
        original(self, method, *args, **kwargs)

    VCenterConnection.request = request  # type: ignore[method-assign]
    try:
        yield sent
    finally:
        VCenterConnection.request = original  # type: ignore[method-assign]


def property_call(session: Session) -> Callable[[], object]:
    """Return a function that calls the property collector for all virtual machines."""
    collector = vmodl.query.PropertyCollector
    content = session.content
    view = content.viewManager.CreateContainerView(content.rootFolder, [vim.VirtualMachine], True)
    select = collector.TraversalSpec(type=vim.view.ContainerView, path="view", skip=False)
    spec = collector.FilterSpec(
        objectSet=[collector.ObjectSpec(obj=view, skip=True, selectSet=[select])],
        propSet=[collector.PropertySpec(type=vim.VirtualMachine, pathSet=PATHS)],
    )
    options = collector.RetrieveOptions()
    return lambda: content.propertyCollector.RetrievePropertiesEx([spec], options)


if __name__ == "__main__":
    main()
