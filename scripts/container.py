"""Build the image of deploy/Containerfile without a registry, run it, and test it.

    python -m scripts.container

Needs root on Debian or Ubuntu, and installs buildah, podman and mmdebstrap. mmdebstrap makes the
base image from Debian packages. The test signs in, registers an image of the sandbox, and reads the
health check. The image stays, with the tag `image-registry`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from bench.measure import sign_in
from sandbox.aws import NOBLE
from tests import served
from tests.postgresql import free_port
from tests.served import ROOT
from tests.views.pages import form_action, receipt_in

PACKAGES = ("buildah", "crun", "mmdebstrap", "podman")
BASE, IMAGE = "localhost/image-registry-base", "localhost/image-registry"
STORAGE = "--storage-driver=overlay"
CERTIFICATES = "/etc/ssl/certs"
USER = 10001
LEFT_OUT = ("/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/man/*")
LIMITS = ("--cap-drop=ALL", "--security-opt=no-new-privileges", "--read-only")


def main() -> None:
    if os.geteuid() != 0:
        sys.exit("Run this command as root, because it mounts file systems.")
    if any(shutil.which(package) is None for package in PACKAGES):
        _run("apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *PACKAGES)
    if not _exists(BASE):
        _report("base image", _make_base)
    _report("build", _build)
    image, base = _megabytes(IMAGE), _megabytes(BASE)
    print(f"size: {image:.0f} MB, including {base:.0f} MB for the base image")
    with tempfile.TemporaryDirectory() as name:
        _test(Path(name))
    print("The image works.")


def _report(what: str, work: Callable[[], None]) -> None:
    began = time.monotonic()
    work()
    print(f"{what}: {time.monotonic() - began:.1f} s", flush=True)


def _run(*command: str) -> None:
    subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, check=True)


def _exists(image: str) -> bool:
    return bool(_podman("images", "--quiet", image))


def _megabytes(image: str) -> float:
    return int(_podman("inspect", "--format={{.Size}}", image)) / 1e6


def _podman(*arguments: str) -> str:
    program = shutil.which("podman")
    assert program is not None
    return subprocess.check_output([program, STORAGE, *arguments], text=True)


def _make_base() -> None:
    with tempfile.TemporaryDirectory() as folder:
        archive = f"{folder}/base.tar"
        _run(
            "mmdebstrap",
            "--mode=root",
            "--variant=minbase",
            "--quiet",
            "--include=ca-certificates,python3,python3-venv",
            "--dpkgopt=force-unsafe-io",
            *(f"--dpkgopt=path-exclude={path}" for path in LEFT_OUT),
            "bookworm",
            archive,
        )
        _run("podman", STORAGE, "import", "--quiet", archive, BASE)


def _build() -> None:
    bundle = f"{CERTIFICATES}/ca-certificates.crt"
    _run(
        "buildah",
        STORAGE,
        "bud",
        "--quiet",
        "--isolation=chroot",
        "--pull-never",
        "--layers",
        "--format=docker",
        # The certificate authorities of this machine, for networks that have their own.
        f"--volume={CERTIFICATES}:{CERTIFICATES}:ro",
        f"--build-arg=PIP_CERT={bundle}",
        f"--build-arg=NODE_EXTRA_CA_CERTS={bundle}",
        f"--build-arg=BASE={BASE}",
        "--file=deploy/Containerfile",
        f"--tag={IMAGE}",
        ".",
    )


def _test(folder: Path) -> None:
    data = folder / "data"
    data.mkdir(mode=0o700)
    with served.sandbox(folder) as sandbox:
        environ = served.app_environ(data)
        served.seed(environ, sandbox)
        for path in (data, *data.iterdir()):
            shutil.chown(path, USER, USER)
        began = time.monotonic()
        with _container(data, environ, folder / "log") as url:
            print(f"start to first page: {time.monotonic() - began:.1f} s", flush=True)
            _journey(url)
            _health_check(url)


@contextmanager
def _container(data: Path, environ: dict[str, str], log: Path) -> Iterator[str]:
    """Run the image as the docs say: not as root, and with a read-only file system."""
    address = f"127.0.0.1:{free_port()}"
    settings = {
        "CREDENTIALS_KEYS": environ["CREDENTIALS_KEYS"],
        "DEMONSTRATION": "true",
        "GUNICORN_CMD_ARGS": f"--bind={address} --worker-tmp-dir=/dev/shm",
        "SECRET_KEY": environ["SECRET_KEY"],
    }
    command = [
        *("podman", STORAGE, "run", "--rm", f"--name=image-registry-{os.getpid()}"),
        *("--network=host", "--cgroups=disabled", *LIMITS),
        *("--read-only-tmpfs=false", "--tmpfs=/tmp", f"--volume={data}:/data"),
        *("--ulimit=nofile=4096:4096", "--ulimit=nproc=4096:4096"),
        *(f"--env={name}" for name in settings),
        IMAGE,
    ]
    # podman needs a cgroup2 file system. This command mounts one that other programs do not see.
    mounted = ["unshare", "--mount", "sh", "-c"]
    mounted += ['mount -t cgroup2 none /sys/fs/cgroup && exec "$@"', "sh", *command]
    with served.serve(mounted, {**os.environ, **settings}, log, f"http://{address}/sign-in") as app:
        yield app.url.removesuffix("/sign-in")


def _journey(url: str) -> None:
    """Sign in, and register an image of the sandbox."""
    session = sign_in(url, "account@example.com")
    form = session.get(f"{url}/account/acme/images/new/aws", timeout=30).text
    credentials = re.search(r'name="credentials".*?value="(\d+)"', form, re.DOTALL)
    assert credentials is not None, form
    region = "us-east-1"
    query = {"credentials": credentials[1], "location": region, "image_id": NOBLE.id_in(region)}
    confirm = f"{url}/account/acme/images/new/aws/confirm"
    page = session.get(confirm, params=query, timeout=30).text
    choices = {"name": "noble", "os_family": "ubuntu", "os_version": "ubuntu|24.04", "size_gb": "8"}
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
    assert token is not None, page
    form_fields = {"csrf_token": token[1], "receipt": receipt_in(page), **choices}
    answer = session.post(url + form_action(page), form_fields, timeout=30)
    assert answer.ok, answer.status_code
    assert "is registered at" in answer.text, answer.text
    print("signed in, looked up an image, and registered it")


def _health_check(url: str) -> None:
    answer = requests.get(f"{url}/healthz", timeout=30)
    assert answer.status_code == 200, answer.status_code
    print(f"/healthz: {answer.text.strip()}")


if __name__ == "__main__":
    main()
