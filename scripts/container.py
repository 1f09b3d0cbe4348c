"""Build the container image from deploy/Containerfile, run it, and test it.

    python -m scripts.container

The script needs root on Debian or Ubuntu, and installs buildah, podman, crun and mmdebstrap. No
container registry is necessary: mmdebstrap makes the base image from Debian packages. The test
signs in and registers a machine image of the sandbox. It checks the user, the file system, the
health check and the commands. It also checks that the server stops after SIGTERM. The script does
not delete the container image, whose tag is `image-registry`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from bench.measure import sign_in
from sandbox.aws import NOBLE
from tests import served
from tests.postgresql import free_port
from tests.served import ROOT, Server
from tests.views.pages import form_action, receipt_in

PACKAGES = ("buildah", "crun", "mmdebstrap", "podman")
BASE, IMAGE = "localhost/image-registry-base", "localhost/image-registry"
STORAGE = "--storage-driver=overlay"
CERTIFICATES = "/etc/ssl/certs"
NAME = f"image-registry-{os.getpid()}"
USER = 10001
EXCLUDED_PATHS = ("/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/man/*")
LIMITS = ("--cap-drop=ALL", "--security-opt=no-new-privileges", "--read-only")


def main() -> None:
    if os.geteuid() != 0:
        sys.exit("Run this command as root, because it mounts file systems.")
    if any(shutil.which(package) is None for package in PACKAGES):
        _run("apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *PACKAGES)
    if not _exists(BASE):
        _print_duration("base image", _make_base)
    _print_duration("build", _build)
    image, base = _megabytes(IMAGE), _megabytes(BASE)
    print(f"size: {image:.0f} MB, including {base:.0f} MB for the base image")
    with tempfile.TemporaryDirectory() as name:
        _test(Path(name))
    print("The image works.")


def _print_duration(step: str, work: Callable[[], None]) -> None:
    """Do the work of a step, and print how long it takes."""
    began = time.monotonic()
    work()
    print(f"{step}: {time.monotonic() - began:.1f} s", flush=True)


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
            *(f"--dpkgopt=path-exclude={path}" for path in EXCLUDED_PATHS),
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
        # Use the certificate authorities of this machine, because some networks have their own.
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
        settings = {
            "CREDENTIALS_KEYS": environ["CREDENTIALS_KEYS"],
            "DEMONSTRATION": "true",
            "SECRET_KEY": environ["SECRET_KEY"],
        }
        _test_commands(data, settings, folder / "commands.log")
        began = time.monotonic()
        with _server(data, settings, folder / "log") as (server, container):
            print(f"start to first page: {time.monotonic() - began:.1f} s", flush=True)
            _check_limits(container)
            _register_image(server.url.removesuffix("/sign-in"))
            _check_health(container, urlsplit(server.url).netloc)
            print(f"memory: {container.memory() / 1e6:.0f} MB", flush=True)
            began = time.monotonic()
            os.kill(container.pid, signal.SIGTERM)
            assert server.wait(30) == 0, "the server did not stop after SIGTERM"
            print(f"end after SIGTERM: {time.monotonic() - began:.1f} s")
        written = sorted(path.name for path in data.iterdir())
        print(f"files in /data: {', '.join(written)}")


def _podman_run(data: Path, settings: dict[str, str], name: str, *command: str) -> list[str]:
    """Return the command that runs the container image, with a read-only file system."""
    run = [
        *("podman", STORAGE, "run", "--rm", "--no-healthcheck", f"--name={name}"),
        *("--network=host", "--cgroups=disabled", *LIMITS),
        *("--read-only-tmpfs=false", "--tmpfs=/tmp", f"--volume={data}:/data"),
        *("--ulimit=nofile=4096:4096", "--ulimit=nproc=4096:4096"),
        *(f"--env={name}" for name in settings),
        *(IMAGE, *command),
    ]
    # podman needs a cgroup2 file system. This command mounts such a file system, which other
    # programs do not see.
    mount = 'mount -t cgroup2 none /sys/fs/cgroup && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", mount, "sh", *run]


def _test_commands(data: Path, settings: dict[str, str], log: Path) -> None:
    """Run the commands that an operator needs, each in a container."""
    environ = {**os.environ, **settings}
    for command in ("version", "migrate", "backup /data/registry.backup"):
        run = _podman_run(data, settings, f"{NAME}-command", "flask", *command.split())
        done = subprocess.run(run, env=environ, stdout=subprocess.PIPE, text=True, check=True)
        print(f"flask {command}: {done.stdout.splitlines()[0]}", flush=True)
    run = _podman_run(data, settings, f"{NAME}-worker", "flask", "work")
    with log.open("w+") as output, subprocess.Popen(run, env=environ, stderr=output) as worker:
        container = _Container(f"{NAME}-worker")
        time.sleep(5)
        os.kill(container.pid, signal.SIGTERM)
        assert worker.wait(30) == 0, log.read_text()
    print("flask work: ended after SIGTERM")


@contextmanager
def _server(data: Path, settings: dict[str, str], log: Path) -> Iterator[tuple[Server, _Container]]:
    """Run the server in a container."""
    address = f"127.0.0.1:{free_port()}"
    settings = {
        **settings,
        "GUNICORN_CMD_ARGS": f"--bind={address} --worker-tmp-dir=/dev/shm",
    }
    command = _podman_run(data, settings, NAME)
    url = f"http://{address}/sign-in"
    with served.serve(command, {**os.environ, **settings}, log, url) as server:
        yield server, _Container(NAME)


class _Container:
    """A running container. `run` enters its namespaces, because `podman exec` needs cgroups."""

    def __init__(self, name: str) -> None:
        deadline = time.monotonic() + 30
        self.pid = 0
        while not self.pid and time.monotonic() < deadline:
            if name in _podman("ps", "--format={{.Names}}").split():
                self.pid = int(_podman("inspect", "--format={{.State.Pid}}", name))
            time.sleep(0.1)

    def run(self, command: list[str]) -> int:
        """Run a command in the container, with its environment and user. Return the exit code."""
        environ = dict(
            line.split("=", 1)
            for line in Path(f"/proc/{self.pid}/environ").read_text().split("\0")
            if line
        )
        enter = [
            "nsenter",
            f"--target={self.pid}",
            "--mount",
            "--pid",
            "--ipc",
            "--uts",
            "--wdns=/",
        ]
        enter += [f"--setuid={USER}", f"--setgid={USER}"]
        return subprocess.run([*enter, "--", *command], env=environ, check=False).returncode

    def processes(self) -> list[int]:
        """Return the process and its children."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [self.pid, *map(int, children)]

    def memory(self) -> int:
        """Return the memory of all processes in bytes. Shared memory counts once."""
        texts = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in self.processes()]
        return sum(int(text.partition("\nPss:")[2].split()[0]) * 1024 for text in texts)


def _check_limits(container: _Container) -> None:
    """Check the user, the capabilities, and where the container can write."""
    status = dict(
        line.split(":\t", 1)
        for line in Path(f"/proc/{container.pid}/status").read_text().splitlines()
    )
    assert set(status["Uid"].split()) == {str(USER)}
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    for folder, code in (("/srv/image-registry", 1), ("/etc", 1), ("/data", 0), ("/tmp", 0)):  # noqa: S108
        write = f"touch {folder}/written 2>/dev/null && rm {folder}/written"
        assert container.run(["sh", "-c", write]) == code, folder
    print(f"runs as user {USER} without capabilities, and cannot write to its own files or /etc")


def _check_health(container: _Container, address: str) -> None:
    """Run the health check of the image on a server that responds, and on a server that hangs."""
    check = json.loads(_podman("inspect", "--format={{json .HealthCheck}}", IMAGE))
    kind, *command = check["Test"]
    assert kind == "CMD", kind
    assert "127.0.0.1:8000/healthz" in command[-1], command
    # The container uses the network of this machine, so the server has another port.
    command[-1] = command[-1].replace("127.0.0.1:8000", address)
    assert container.run(command) == 0
    for number, healthy in ((signal.SIGSTOP, False), (signal.SIGCONT, True)):
        for pid in container.processes():
            os.kill(pid, number)
        began = time.monotonic()
        assert (container.run(command) == 0) is healthy
        assert time.monotonic() - began < check["Timeout"] / 1e9
    print("the health check succeeds, and fails while the server hangs")


def _register_image(url: str) -> None:
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
    response = session.post(url + form_action(page), form_fields, timeout=30)
    assert response.ok, response.status_code
    assert "is registered at" in response.text, response.text
    print("signed in, looked up an image, and registered it")


if __name__ == "__main__":
    main()
