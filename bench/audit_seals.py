"""Measure `verify-audit` with many entries of the audit log.

    python -m bench.audit_seals [--entries 1000000] [--database sqlite|postgresql]

The entries are inserted and sealed first. Then the command runs in a separate process.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import models
from tests.conftest import fill_database
from tests.postgresql import cluster
from tests.served import ROOT, app_environ, python_of
from webapp import database
from webapp.audit import seals
from webapp.credentials.vault import Vault

INSERT = """
    INSERT INTO audit_entry (at, scope_label, person_name, person_email, token_name, action,
        subject, record, changes)
    SELECT '2026-01-01 00:00:00', 'Scalr', 'Bench', 'bench@example.com', '', 'image.edit',
        'image ' || n, 'image:' || n, '{"size": [8, 16], "tags": ["team=web", null]}'
    FROM (WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < %s)
        SELECT n FROM numbers) AS numbers
"""


@contextmanager
def _url(kind: str, folder: Path) -> Iterator[str]:
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'registry.db'}"
        return
    with cluster() as server:
        yield server


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with _url(arguments.database, folder) as url:
            environ = {**app_environ(folder), "DATABASE_URL": url}
            print(json.dumps(_measure(url, environ, arguments.entries)))


def _measure(url: str, environ: dict[str, str], entries: int) -> dict[str, object]:
    fill_database(url)
    models.database.initialize(database.open_database(url))
    keys = Vault(environ["CREDENTIALS_KEYS"].split(",")).derive_keys(seals.PURPOSE)
    with models.database.connection_context():
        models.database.execute_sql(INSERT % entries)
        started = time.monotonic()
        total = models.AuditEntry.select().count()
        for _ in range(total // seals.SEAL_SIZE + 1):
            seals.seal_chunk(keys)
        sealed = time.monotonic() - started
    database.close_all(models.database.obj)
    started, load = time.monotonic(), os.getloadavg()[0]
    command = [python_of(ROOT), "-m", "flask", "--app", "webapp", "verify-audit"]
    done = subprocess.run(
        command, env=environ, cwd=ROOT, check=True, capture_output=True, text=True
    )
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "output": done.stdout.splitlines(),
        "sealing seconds": round(sealed, 1),
        "seconds": round(time.monotonic() - started, 1),
        "processor seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "peak MB": round(usage.ru_maxrss / 1024),
        "load": round(load, 1),
    }


if __name__ == "__main__":
    main()
