"""Have ready what the adapters of the clouds are tested against: Keystone and Glance, Prism, and
the vCenter simulator. What is there and up to date is left alone. Ends with an error where CI=true
and one cannot be had; the tests that need it say so as well."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.clouds import prism
from tests.clouds.vmware import vcsim
from tests.served import ROOT


def main() -> None:
    lacking = [name for name, command in _commands().items() if not _succeeds(command)]
    if vcsim.missing():
        lacking.append(vcsim.missing())
    else:
        vcsim.program()
    print("Not ready: " + "; ".join(lacking) if lacking else "All are ready.")
    sys.exit(bool(lacking) and os.environ.get("CI") == "true")


def _commands() -> dict[str, list[str]]:
    scripts = ROOT / "scripts"
    return {
        "Keystone and Glance": [sys.executable, str(scripts / "openstack.py")],
        "Prism": [sys.executable, str(scripts / "npm.py"), str(prism.FOLDER)],
    }


def _succeeds(command: list[str]) -> bool:
    return subprocess.run(command, cwd=ROOT, check=False).returncode == 0


if __name__ == "__main__":
    main()
