"""Install the peers: the servers that the cloud adapters and single sign-on are tested against.

The peers are Keystone and Glance, Prism, the vCenter simulator and oauth2-mock-server. This script
also installs Redocly, which checks the OpenAPI document. If a program is up to date, it is not
installed again. With CI=true, this script fails if a program cannot be installed. The tests that
need the missing program report it as well.
"""

from __future__ import annotations

import os
import subprocess
import sys

from tests.api import redocly
from tests.clouds import prism
from tests.clouds.vmware import vcsim
from tests.served import ROOT
from tests.single_sign_on import peers as sign_on


def main() -> None:
    missing = [name for name, command in _commands().items() if not _succeeds(command)]
    if vcsim.missing_packages():
        missing.append(vcsim.missing_packages())
    else:
        vcsim.built_program()
    print("Not installed: " + "; ".join(missing) if missing else "All peers are installed.")
    sys.exit(bool(missing) and os.environ.get("CI") == "true")


def _commands() -> dict[str, list[str]]:
    scripts = ROOT / "scripts"
    return {
        "Keystone and Glance": [sys.executable, str(scripts / "openstack.py")],
        "Prism": [sys.executable, str(scripts / "npm.py"), str(prism.FOLDER)],
        "Redocly": [sys.executable, str(scripts / "npm.py"), str(redocly.FOLDER)],
        "oauth2-mock-server": [sys.executable, str(scripts / "npm.py"), str(sign_on.FOLDER)],
    }


def _succeeds(command: list[str]) -> bool:
    return subprocess.run(command, cwd=ROOT, check=False).returncode == 0


if __name__ == "__main__":
    main()
