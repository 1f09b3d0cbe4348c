"""Make the databases, locks and keys of the application accessible only to the owner of the files.

The modes of the files do not depend on the umask of the process.
"""

from __future__ import annotations

import logging
import os
import stat
from contextlib import suppress
from pathlib import Path

log = logging.getLogger("webapp.database")

ROOT = Path(__file__).parent.parent.parent
SQLITE_ENDINGS = ("", "-wal", "-shm", "-journal", ".migrating")
"""The endings of the files that belong to an SQLite database."""
OTHERS = stat.S_IRWXG | stat.S_IRWXO
"""The bits of a mode that give access to the group and to other users."""


def create_private_file(path: Path) -> None:
    """Create the file with the mode 0600 if it is missing.

    If the file is a database, SQLite gives the same mode to its -wal and -shm files. This function
    never opens an existing file, because closing the file would end all locks that the process has
    on it. Without these locks, another program that closes the database would delete the -wal file,
    which this process still uses.
    """
    target = path.resolve()  # With O_EXCL, a symbolic link to a missing file would count as a file.
    with suppress(FileExistsError):
        os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def tighten_database(path: Path) -> None:
    """Remove the access of other users to an SQLite file and the files beside it."""
    for file in database_files(path):
        tighten(file)


def database_files(path: Path) -> list[Path]:
    """Return the paths of an SQLite file and the files beside it, which may not exist."""
    return [path.parent / f"{path.name}{ending}" for ending in SQLITE_ENDINGS]


def tighten_data_folder(path: Path) -> None:
    """Remove the access of other users to DATA_DIR.

    Do nothing if DATA_DIR is a shared folder such as /tmp, or contains the application's code.
    """
    try:
        is_sticky = bool(path.stat().st_mode & stat.S_ISVTX)
    except OSError:
        return  # If this is a problem, opening the database reports it.
    if not is_sticky and path not in (ROOT, *ROOT.parents):
        tighten(path)


def tighten(path: Path) -> None:
    """Remove the access of other users to an existing file or folder of this user.

    Devices, pipes and sockets keep their mode, because other programs may need them.
    """
    try:
        status = path.stat()
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            return
        if not status.st_mode & OTHERS or status.st_uid != os.geteuid():
            return
        path.chmod(stat.S_IMODE(status.st_mode) & ~OTHERS)
    except FileNotFoundError:
        return
    except OSError as error:
        log.warning("cannot check or change the mode of %s: %s", path, error)
        return
    log.warning("other users had access to %s, so its mode was changed", path)
