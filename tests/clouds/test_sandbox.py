"""The sandbox in a separate process, as the demonstration starts it."""

from __future__ import annotations

import json
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from sandbox import aws
from webapp.clouds import CLOUDS
from webapp.clouds.credentials import CredentialValues

ROOT = Path(__file__).parents[2]


@contextmanager
def running_sandbox(folder: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "sandbox", "--port", str(port), "--folder", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "The sandbox is ready\n"
            yield process
        finally:
            process.kill()


def free_ports(count: int) -> int:
    """Return the first of `count` consecutive free ports."""
    while True:
        first = random.randrange(20_000, 30_000)
        with ExitStack() as stack:
            try:
                for port in range(first, first + count):
                    stack.enter_context(socket.create_server(("127.0.0.1", port)))
            except OSError:
                continue
            return first


def test_every_cloud_answers_after_a_restart_and_stops_at_once(tmp_path: Path) -> None:
    """The demonstration keeps using the credentials of its first start."""
    port = free_ports(len(CLOUDS))
    rows: list[dict[str, Any]] = []
    for _ in range(2):
        with running_sandbox(tmp_path, port) as process:
            output = tmp_path / "sandbox.json"
            assert output.stat().st_mode & 0o077 == 0
            rows = rows or json.loads(output.read_text())["credentials"]
            assert [each["cloud"] for each in rows] == list(CLOUDS)
            for each in rows:
                cloud, values = CLOUDS[each["cloud"]], CredentialValues(each["values"])
                assert set(values) == {field.name for field in cloud.credential_fields}
                assert cloud.check(values).account
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=10) == 0
            assert time.monotonic() - began < 2


def test_image_ids_are_valid_and_unique() -> None:
    ids = [known.id_in(region) for known in aws.CATALOG for region in known.regions]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch("ami-[0-9a-f]{17}", each) for each in ids)
    assert aws.NOBLE.id_in("us-east-1") == "ami-00000000000024040"
