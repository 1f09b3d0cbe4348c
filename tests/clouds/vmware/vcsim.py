"""VMware's own vCenter simulator as a separate process.

The simulator is the Go program in `vcsim/`. It is built with Debian's packages on first use.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sandbox import tls
from webapp.clouds.credentials import CredentialValues

PACKAGES = ("golang-go", "golang-github-vmware-govmomi-dev")
"""The names of the Debian packages."""
USER, PASSWORD = "registry@vsphere.local", "vcsim's own password"
ROOT = Path(__file__).parents[3]
SOURCE = Path(__file__).parent / "vcsim" / "main.go"
BUILD = ROOT / "build" / "vcsim"
GOPATH = Path("/usr/share/gocode")
LIBRARY = GOPATH / "src" / "github.com" / "vmware" / "govmomi" / "simulator"


def missing_packages() -> str:
    """Return a message about the packages that this machine lacks, or '' if it has them all."""
    if shutil.which("go") and LIBRARY.is_dir():
        return ""
    return f"vcsim needs Debian's packages {' and '.join(PACKAGES)}"


def built_program() -> Path:
    """Return the path of the program, and build it if necessary. Safe in parallel processes."""
    BUILD.mkdir(parents=True, exist_ok=True)
    built = BUILD / f"vcsim-{hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:12]}"
    with (BUILD / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not built.exists():
            new = built.with_suffix(".new")
            environ = {
                **os.environ,
                "GO111MODULE": "off",
                "GOPATH": str(GOPATH),
                "GOCACHE": str(BUILD / "cache"),
                "GOFLAGS": "",
            }
            subprocess.run(
                [shutil.which("go") or "go", "build", "-o", str(new), str(SOURCE)],
                env=environ,
                check=True,
                cwd=SOURCE.parent,
            )
            new.replace(built)
    return built


@contextmanager
def start(
    folder: Path,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    flags: Mapping[str, int] | None = None,
) -> Iterator[str]:
    """Start the simulator, and yield its URL.

    The simulator writes its files to `folder`. `settings` changes its virtual machines, by name.
    `flags` are the command-line flags of the program.
    """
    certificate = folder / "certificate.pem"
    certificate.touch(mode=0o600)
    certificate.write_bytes(tls.authority().issue())
    command = [str(built_program()), "-certificate", str(certificate), "-user", USER]
    command += [f"-{name}={value}" for name, value in (flags or {}).items()]
    environ = {**os.environ, "TMPDIR": str(folder), "VCSIM_PASSWORD": PASSWORD}
    with (
        (folder / "vcsim.log").open("w") as log,
        subprocess.Popen(
            command,
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(settings or {}))
            process.stdin.flush()
            url = process.stdout.readline().strip()
            if not url:
                raise RuntimeError(f"vcsim did not start:\n{(folder / 'vcsim.log').read_text()}")
            yield f"https://{url}"
        finally:
            process.stdin.close()  # The simulator then removes its files and ends.
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()


def credentials(url: str, **changes: str) -> CredentialValues:
    """Return the credentials of the simulator's user."""
    values = {
        "vcenter_url": url,
        "username": USER,
        "password": PASSWORD,
        "verification": "verify",
        "thumbprint": "",
        "ca": tls.authority().pem,
    }
    return CredentialValues({**values, **changes})


def require() -> None:
    """Skip the test if the simulator cannot be built. Fail it in CI."""
    reason = missing_packages()
    if reason and os.environ.get("CI") == "true":
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
