"""Bringing the schema up to date, also by several processes at once."""

from __future__ import annotations

import threading
from pathlib import Path

from webapp import database


def test_one_after_the_other_migrates_a_file(tmp_path: Path) -> None:
    """Each has a connection of its own, as processes have."""
    url = f"sqlite:///{tmp_path}/registry.db"
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with database._alone(database.open_database(url)):
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
