"""Every cloud of the sandbox in one process: `python -m sandbox --port P --folder F` serves them on
loopback at the ports from P on, and keeps in F what must be the same at the next start. Writes
F/sandbox.json, the credentials that are good there, and prints one line when all are ready."""

from __future__ import annotations

import argparse
import json
import os
import signal
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sandbox import aws, azure, gce, openstack, tls, vmware


class Sandbox(Protocol):
    """What the module of each cloud offers."""

    def start(self, port: int = 0) -> AbstractContextManager[str]:
        """Serve from threads of this process; yields the address."""

    def credentials(self, address: str) -> dict[str, str]:
        """Every credential field, for a server at that address."""


@dataclass(frozen=True)
class _WithTls:
    """A module whose servers have a certificate."""

    module: object
    authority: tls.Authority

    def start(self, port: int = 0) -> AbstractContextManager[str]:
        return self.module.start(port, self.authority)  # type: ignore[attr-defined]

    def credentials(self, address: str) -> dict[str, str]:
        return self.module.credentials(address, self.authority)  # type: ignore[attr-defined]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="the first; 0 for any free ones")
    parser.add_argument("--folder", type=Path, required=True)
    given = parser.parse_args()
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda *_: os._exit(0))  # At once: there is nothing to save.
    with ExitStack() as stack:
        rows = []
        for place, (key, sandbox) in enumerate(_sandboxes(given.folder).items()):
            address = stack.enter_context(sandbox.start(given.port and given.port + place))
            rows.append({"cloud": key, "values": sandbox.credentials(address)})
        _write(given.folder / "sandbox.json", {"port": given.port, "credentials": rows})
        print("The sandbox is ready", flush=True)
        threading.Event().wait()


def _sandboxes(folder: Path) -> Mapping[str, Sandbox]:
    authority = tls.kept_in(folder)
    return {
        "aws": aws,
        "gce": gce,
        "openstack": openstack,
        "azure": _WithTls(azure, authority),
        "vmware": _WithTls(vmware, authority),
    }


def _write(path: Path, content: object) -> None:
    """Whole or not at all, for its owner only: keys are among it."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    fresh.write_text(json.dumps(content, indent=1))
    fresh.replace(path)


if __name__ == "__main__":
    main()
