"""Only the user of the service can read its files, whatever the umask is."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.environ import ENVIRON
from tests.served import ROOT
from webapp.database import open_database
from webapp.database.private_files import create_private_file, tighten
from webapp.settings import SettingsError


def modes_of(folder: Path) -> dict[str, int]:
    return {
        str(path.relative_to(folder.parent)): stat.S_IMODE(path.stat().st_mode)
        for path in (folder, *folder.rglob("*"))
    }


def migrate(umask: int, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run `flask migrate` with this umask."""
    return subprocess.run(
        [sys.executable, "-m", "flask", "--app", "webapp", "migrate"],
        env={**os.environ, **ENVIRON, **settings},
        cwd=ROOT,
        umask=umask,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_new_files_are_private(tmp_path: Path, umask: int) -> None:
    folder = tmp_path / "data"
    migrate(umask, DATA_DIR=str(folder), DATABASE_URL="")
    modes = modes_of(folder)
    assert modes.pop("data") == 0o700
    assert set(modes.values()) == {0o600}, modes


def test_a_new_file_behind_a_symbolic_link_is_private(tmp_path: Path) -> None:
    link, target = tmp_path / "link.db", tmp_path / "target.db"
    link.symlink_to(target)
    before = os.umask(0)
    try:
        create_private_file(link)
    finally:
        os.umask(before)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_the_files_of_an_open_database_are_private(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from webapp.database import open_database\n"
        "os.umask(0); folder = Path(sys.argv[1])\n"
        "db = open_database(f'sqlite:///{folder}/registry.db'); db.connect()\n"
        "db.execute_sql('CREATE TABLE one (id INTEGER)')\n"
        "print(*sorted(f'{p.name}:{p.stat().st_mode & 0o777:o}' for p in folder.iterdir()))"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    names = ("registry.db", "registry.db-shm", "registry.db-wal")
    assert set(done.stdout.split()) == {f"{name}:600" for name in names}


def test_the_files_of_older_versions_become_private(tmp_path: Path) -> None:
    folder, key = tmp_path / "data", tmp_path / "secret_key"
    migrate(0o022, DATA_DIR=str(folder), DATABASE_URL="")
    key.write_text(ENVIRON["SECRET_KEY"])
    client_secret, providers = tmp_path / "client_secret", tmp_path / "providers.toml"
    client_secret.write_text("canary")
    providers.write_text(
        '[providers.a]\nlabel = "A"\nissuer = "https://a.example"\nclient_id = "a"\n'
        f'client_secret_file = "{client_secret}"\n'
    )
    for path in (key, client_secret, *folder.iterdir()):
        path.chmod(0o644)
    folder.chmod(0o755)
    settings = {"DATA_DIR": str(folder), "DATABASE_URL": "", "SECRET_KEY": ""}
    settings |= {"OIDC_PROVIDERS_FILE": str(providers), "PUBLIC_URL": "https://r.example"}
    done = migrate(0o022, SECRET_KEY_FILE=str(key), **settings)
    modes = modes_of(folder)
    assert modes.pop("data") == 0o700
    assert set(modes.values()) == {0o600}, modes
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(client_secret.stat().st_mode) == 0o600
    for path in (folder, folder / "registry.db", key, client_secret):
        assert f"other users had access to {path}, so its mode was changed" in done.stderr


def test_folders_that_other_programs_use_keep_their_mode(tmp_path: Path) -> None:
    """`/tmp` has the sticky bit, and the folder of the checkout may be served by a web server."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    migrate(0o022, DATA_DIR=str(shared), DATABASE_URL="")
    assert stat.S_IMODE(shared.stat().st_mode) == 0o1777
    assert modes_of(shared)["shared/registry.db"] == 0o600


def test_a_database_that_is_no_regular_file_is_refused_and_keeps_its_mode(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    pipe.chmod(0o666)
    with pytest.raises(SettingsError, match=r"must name a file, but .*pipe is a device, a pipe"):
        open_database(f"sqlite:///{pipe}")
    assert stat.S_IMODE(pipe.stat().st_mode) == 0o666
    tighten(pipe)  # A secret can be read from a pipe, too.
    assert stat.S_IMODE(pipe.stat().st_mode) == 0o666
