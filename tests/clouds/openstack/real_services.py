"""The real Keystone, and a real Glance for each of two regions, with the sandbox's images in them.

They belong to a process of their own, this file run as a module, which lives as long as anybody
uses them: all processes of a test run share one cloud, and it ends however they end. Whoever uses
it holds a shared lock on a file; the keeper tries to have that file alone.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from sandbox.openstack_images import ONE
from scripts.openstack import FOLDER, LOCK, VENV, locked
from tests import served
from tests.clouds.openstack import seed
from tests.postgresql import free_port

BIN = VENV / "bin"
USERS, KEEPER, STATE, LOG = (FOLDER / each for each in ("users", "keeper", "state.json", "log"))
RUN = FOLDER / "run"
"""What the servers write to, of this keeper or of one that could not clear up."""
SECONDS = 180
"""How long it may take to start, on a machine that is busy."""
NOWHERE = "http://127.0.0.1:1/v3"
"""Where Keystone thinks that it is until it has a port."""
KEYSTONE = """\
[database]
connection = sqlite:///{folder}/keystone.db
[fernet_tokens]
key_repository = {folder}/keys
[fernet_receipts]
key_repository = {folder}/keys
[credential]
key_repository = {folder}/keys
[cache]
enabled = true
backend = dogpile.cache.memory
[identity]
password_hash_rounds = 4
"""
GLANCE = """\
[DEFAULT]
enabled_backends = fs:file
[database]
connection = sqlite:///{folder}/glance.db
[glance_store]
default_backend = fs
[fs]
filesystem_store_datadir = {folder}/images
[os_glance_staging_store]
filesystem_store_datadir = {folder}/staging
[os_glance_tasks_store]
filesystem_store_datadir = {folder}/tasks
[keystone_authtoken]
auth_url = {auth_url}
www_authenticate_uri = {auth_url}
auth_type = password
username = glance
password = glance
project_name = service
user_domain_name = Default
project_domain_name = Default
# Each token is looked up anew, so that a revoked one is refused at once.
token_cache_time = -1
[paste_deploy]
flavor = keystone
config_file = {paste}
"""


class NotInstalled(RuntimeError):
    """Keystone and Glance are not there and cannot be fetched; why was said."""


@contextmanager
def shared() -> Iterator[dict[str, Any]]:
    """Yields what `seed.fill` returns, of a cloud that runs. Raises NotInstalled."""
    command = [sys.executable, str(served.ROOT / "scripts" / "openstack.py")]
    if subprocess.run(command, cwd=served.ROOT, check=False).returncode:
        raise NotInstalled("Keystone and Glance could not be installed.")
    starting = FOLDER / "starting"
    starting.mkdir(exist_ok=True)
    with USERS.open("a") as users:
        with locked(starting):
            fcntl.flock(users, fcntl.LOCK_SH)  # Waits for a keeper that is about to leave.
            if not _is_kept():
                _start_keeper()
            state = json.loads(STATE.read_text())
        yield state


def _is_kept() -> bool:
    with KEEPER.open("a") as keeper:
        return not _taken(keeper) and STATE.exists()


def _taken(file: IO[str]) -> bool:
    """Whether we have it alone now."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _start_keeper() -> None:
    STATE.unlink(missing_ok=True)
    with LOG.open("wb") as log:
        keeper = subprocess.Popen(
            [sys.executable, "-m", __name__],
            cwd=served.ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for the tests, which need it to the last.
        )
    end = time.monotonic() + SECONDS
    while not STATE.exists():
        if keeper.poll() is not None or time.monotonic() > end:
            keeper.kill()
            keeper.wait()
            raise served.DoesNotAnswer(f"OpenStack did not start:\n{LOG.read_text()}")
        time.sleep(0.1)
    keeper.returncode = 0  # It outlives us perhaps, and nobody waits for it.


def _keep() -> None:
    """Run a cloud until nobody uses it."""
    # What we start reads from a pipe that nobody else writes to: it ends when we do, in any way.
    read, _ = os.pipe()
    os.dup2(read, 0)
    with KEEPER.open("a") as keeper, USERS.open("a") as users:
        if not _taken(keeper):
            sys.exit("Another keeper is still there.")
        shutil.rmtree(RUN, ignore_errors=True)
        RUN.mkdir(mode=0o700)
        try:
            with ExitStack() as servers:
                state = _run(servers)
                fresh = STATE.with_suffix(".new")
                fresh.write_text(json.dumps(state))
                fresh.replace(STATE)
                while not _taken(users):
                    time.sleep(0.2)
                STATE.unlink()
        finally:
            shutil.rmtree(RUN, ignore_errors=True)


def _run(servers: ExitStack) -> dict[str, Any]:
    golden = _golden()
    ports = [free_port() for _ in range(3)]
    auth_url = f"http://127.0.0.1:{ports[0]}/v3"
    folders = [RUN / each for each in ("keystone", "one", "two")]
    for each in folders:
        shutil.copytree(golden, each)
        _configure(each, auth_url)
    services = ("keystone", "glance", "glance")
    running = [
        servers.enter_context(_serve(service, port, each))
        for service, port, each in zip(services, ports, folders, strict=True)
    ]
    for server in running:
        server.wait_until_it_answers(SECONDS)
    return seed.fill(auth_url, [each.url for each in running[1:]])


@contextmanager
def _serve(service: str, port: int, folder: Path) -> Iterator[served.Server]:
    """Yields it at once, so that the others can start meanwhile."""
    program = Path(__file__).with_name("serve.py")
    command = [str(BIN / "python"), str(program), service, str(port)]
    log = folder / "log"
    server = served.Server(command, _environ(folder), log, f"http://127.0.0.1:{port}")
    try:
        yield server
    finally:
        server.end()


def _environ(folder: Path) -> dict[str, str]:
    """Nothing of OpenStack's that this machine may have set up."""
    ours = {key: value for key, value in os.environ.items() if not key.startswith("OS_")}
    return {
        **ours,
        "OS_KEYSTONE_CONFIG_FILES": str(folder / "keystone.conf"),
        "OS_GLANCE_CONFIG_DIR": str(folder / "glance"),
        "PYTHONWARNINGS": "ignore",
    }


def _configure(folder: Path, auth_url: str) -> None:
    paste = VENV / "etc" / "glance" / "glance-api-paste.ini"
    for each in ("glance", "images", "staging", "tasks"):
        (folder / each).mkdir(exist_ok=True)
    (folder / "keystone.conf").write_text(KEYSTONE.format(folder=folder))
    text = GLANCE.format(folder=folder, auth_url=auth_url, paste=paste)
    (folder / "glance" / "glance-api.conf").write_text(text)


def _golden() -> Path:
    """A folder with the tables that each start begins with; making them takes longest."""
    made_from = LOCK.read_bytes() + Path(__file__).read_bytes()
    golden = FOLDER / f"tables-{hashlib.sha256(made_from).hexdigest()[:16]}"
    if golden.exists():
        return golden
    for old in FOLDER.glob("tables-*"):
        shutil.rmtree(old)
    fresh = FOLDER / "tables.new"
    shutil.rmtree(fresh, ignore_errors=True)
    (fresh / "keys").mkdir(parents=True, mode=0o700)
    for number in range(2):
        key = base64.urlsafe_b64encode(os.urandom(32))
        (fresh / "keys" / str(number)).write_bytes(key)
    _configure(fresh, NOWHERE)
    urls = [f"--bootstrap-{each}-url={NOWHERE}" for each in ("admin", "internal", "public")]
    password = f"--bootstrap-password={seed.ADMIN_PASSWORD}"
    region = f"--bootstrap-region-id={ONE}"
    _manage("keystone-manage", fresh, "db_sync")
    _manage("keystone-manage", fresh, "bootstrap", password, region, *urls)
    _manage("glance-manage", fresh, "db_sync")
    return fresh.rename(golden)


def _manage(program: str, folder: Path, *arguments: str) -> None:
    environ = _environ(folder)
    configuration = {
        "keystone-manage": ["--config-file", environ["OS_KEYSTONE_CONFIG_FILES"]],
        "glance-manage": ["--config-dir", environ["OS_GLANCE_CONFIG_DIR"]],
    }[program]
    subprocess.run([BIN / program, *configuration, *arguments], env=environ, check=True)


if __name__ == "__main__":
    _keep()
