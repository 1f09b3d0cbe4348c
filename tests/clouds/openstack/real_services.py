"""The real Keystone, and a real Glance for each of two regions. They contain the sandbox's images.

All processes of a test run share one cloud. Its servers belong to a keeper: a separate process
that runs this file as a module. Every process that uses the cloud has a shared lock on a file. When
the keeper can lock this file exclusively, no process uses the cloud any more, and the keeper ends.
This also works after a crash, which releases the locks of a process.
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

from sandbox.openstack_images import REGION_ONE
from scripts.openstack import FOLDER, REQUIREMENTS, VENV, locked
from tests import served
from tests.clouds.openstack import seed
from tests.postgresql import free_port

BIN = VENV / "bin"
USERS, KEEPER, STATE, LOG = (FOLDER / name for name in ("users", "keeper", "state.json", "log"))
RUN = FOLDER / "run"
"""The folder that the servers write to. A keeper that is killed does not remove it."""
START_SECONDS = 180
"""How long the start may take on a busy machine."""
PLACEHOLDER_URL = "http://127.0.0.1:1/v3"
"""The URL of Keystone in the database until Keystone has a port."""
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
# Do not cache tokens, so that a revoked token is rejected at once.
token_cache_time = -1
[paste_deploy]
flavor = keystone
config_file = {paste}
"""


class NotInstalled(RuntimeError):
    """Keystone and Glance could not be installed. The installer has printed the reason."""


@contextmanager
def shared() -> Iterator[dict[str, Any]]:
    """Start the cloud if necessary, and yield what `seed.fill` returned. Raises NotInstalled."""
    command = [sys.executable, str(served.ROOT / "scripts" / "openstack.py")]
    if subprocess.run(command, cwd=served.ROOT, check=False).returncode:
        raise NotInstalled("Keystone and Glance could not be installed.")
    starting = FOLDER / "starting"
    starting.mkdir(exist_ok=True)
    with USERS.open("a") as users:
        with locked(starting):
            # If a keeper is about to end, this waits until the keeper has ended.
            fcntl.flock(users, fcntl.LOCK_SH)
            if not _is_running():
                _start_keeper()
            state = json.loads(STATE.read_text())
        yield state


def _is_running() -> bool:
    with KEEPER.open("a") as keeper:
        return not _lock_exclusively(keeper) and STATE.exists()


def _lock_exclusively(file: IO[str]) -> bool:
    """Try to lock the file. Return whether this succeeded: no other process has a lock on it."""
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
            # Ctrl-C must not end the keeper before the tests, which use the cloud.
            start_new_session=True,
        )
    end = time.monotonic() + START_SECONDS
    while not STATE.exists():
        if keeper.poll() is not None or time.monotonic() > end:
            keeper.kill()
            keeper.wait()
            raise served.DoesNotAnswer(f"OpenStack did not start:\n{LOG.read_text()}")
        time.sleep(0.1)
    # The keeper may continue after the end of this process. So that Popen does not warn about this,
    # it must have a return code.
    keeper.returncode = 0


def _run_keeper() -> None:
    """Run a cloud until no process uses it."""
    # The servers read from a pipe that only this process can write to. When this process ends, the
    # pipe is closed and the servers end.
    read, _ = os.pipe()
    os.dup2(read, 0)
    with KEEPER.open("a") as keeper, USERS.open("a") as users:
        if not _lock_exclusively(keeper):
            sys.exit("Another keeper is still running.")
        shutil.rmtree(RUN, ignore_errors=True)
        RUN.mkdir(mode=0o700)
        try:
            with ExitStack() as servers:
                state = _start_cloud(servers)
                new_state = STATE.with_suffix(".new")
                new_state.write_text(json.dumps(state))
                new_state.replace(STATE)
                while not _lock_exclusively(users):
                    time.sleep(0.2)
                STATE.unlink()
        finally:
            shutil.rmtree(RUN, ignore_errors=True)


def _start_cloud(servers: ExitStack) -> dict[str, Any]:
    """Start and fill Keystone and both Glances. Returns what `seed.fill` returns."""
    template = _template_folder()
    ports = [free_port() for _ in range(3)]
    auth_url = f"http://127.0.0.1:{ports[0]}/v3"
    folders = [RUN / name for name in ("keystone", "one", "two")]
    for folder in folders:
        shutil.copytree(template, folder)
        _configure(folder, auth_url)
    services = ("keystone", "glance", "glance")
    running = [
        servers.enter_context(_serve(service, port, folder))
        for service, port, folder in zip(services, ports, folders, strict=True)
    ]
    for server in running:
        server.wait_until_it_answers(START_SECONDS)
    return seed.fill(auth_url, [server.url for server in running[1:]])


@contextmanager
def _serve(service: str, port: int, folder: Path) -> Iterator[served.Server]:
    """Start a server and yield it before it is ready, so that all servers start at once."""
    program = Path(__file__).with_name("serve.py")
    command = [str(BIN / "python"), str(program), service, str(port)]
    log = folder / "log"
    server = served.Server(command, _environ(folder), log, f"http://127.0.0.1:{port}")
    try:
        yield server
    finally:
        server.end()


def _environ(folder: Path) -> dict[str, str]:
    """Return the environment of the servers, without the OpenStack settings of this machine."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("OS_")}
    return {
        **inherited,
        "OS_KEYSTONE_CONFIG_FILES": str(folder / "keystone.conf"),
        "OS_GLANCE_CONFIG_DIR": str(folder / "glance"),
        "PYTHONWARNINGS": "ignore",
    }


def _configure(folder: Path, auth_url: str) -> None:
    paste = VENV / "etc" / "glance" / "glance-api-paste.ini"
    for name in ("glance", "images", "staging", "tasks"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "keystone.conf").write_text(KEYSTONE.format(folder=folder))
    text = GLANCE.format(folder=folder, auth_url=auth_url, paste=paste)
    (folder / "glance" / "glance-api.conf").write_text(text)


def _template_folder() -> Path:
    """Return a folder with migrated databases, which each start copies.

    Creating the databases takes longer than the rest of a start.
    """
    inputs = REQUIREMENTS.read_bytes() + Path(__file__).read_bytes()
    template = FOLDER / f"tables-{hashlib.sha256(inputs).hexdigest()[:16]}"
    if template.exists():
        return template
    for old in FOLDER.glob("tables-*"):
        shutil.rmtree(old)
    new = FOLDER / "tables.new"
    shutil.rmtree(new, ignore_errors=True)
    (new / "keys").mkdir(parents=True, mode=0o700)
    for number in range(2):
        key = base64.urlsafe_b64encode(os.urandom(32))
        (new / "keys" / str(number)).write_bytes(key)
    _configure(new, PLACEHOLDER_URL)
    urls = [
        f"--bootstrap-{interface}-url={PLACEHOLDER_URL}"
        for interface in ("admin", "internal", "public")
    ]
    password = f"--bootstrap-password={seed.ADMIN_PASSWORD}"
    region = f"--bootstrap-region-id={REGION_ONE}"
    _manage("keystone-manage", new, "db_sync")
    _manage("keystone-manage", new, "bootstrap", password, region, *urls)
    _manage("glance-manage", new, "db_sync")
    return new.rename(template)


def _manage(program: str, folder: Path, *arguments: str) -> None:
    environ = _environ(folder)
    configuration = {
        "keystone-manage": ["--config-file", environ["OS_KEYSTONE_CONFIG_FILES"]],
        "glance-manage": ["--config-dir", environ["OS_GLANCE_CONFIG_DIR"]],
    }[program]
    subprocess.run([BIN / program, *configuration, *arguments], env=environ, check=True)


if __name__ == "__main__":
    _run_keeper()
