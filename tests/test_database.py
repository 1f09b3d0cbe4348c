"""Migrating the schema when several processes start at once."""

from __future__ import annotations

import threading
from pathlib import Path

from webapp import database


def test_only_one_process_at_a_time_migrates_a_file(tmp_path: Path) -> None:
    """Each thread has its own connection, as a process would."""
    url = f"sqlite:///{tmp_path}/registry.db"
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with database._migration_lock(database.open_database(url)):
            inside.set()
            leave.wait(5)

    first = threading.Thread(target=hold)
    first.start()
    assert inside.wait(5)
    inside.clear()
    second = threading.Thread(target=hold)
    second.start()
    assert not inside.wait(0.2)
    leave.set()
    assert inside.wait(5)
    first.join()
    second.join()
