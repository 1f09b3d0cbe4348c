"""The sandbox AWS as the process that the demonstration starts."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from sandbox import aws
from tests.clouds.conftest import aws_credentials
from webapp.clouds.aws import Aws
from webapp.clouds.base import Locator

ROOT = Path(__file__).parents[2]


def test_says_when_it_is_ready_and_ends_at_once(adapter: Aws) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "sandbox.aws", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
    ) as process:
        try:
            assert process.stdout is not None
            ready = re.search(r"ready at (http://127\.0\.0\.1:\d+)$", process.stdout.readline())
            assert ready is not None
            locator = Locator("us-east-1", aws.NOBLE.id_in("us-east-1"))
            assert adapter.describe(aws_credentials(ready[1]), locator).name == aws.NOBLE.name
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=10) == 0
            assert time.monotonic() - began < 2
        finally:
            process.kill()


def test_ids_are_of_amis_and_differ() -> None:
    ids = [known.id_in(region) for known in aws.CATALOGUE for region in known.regions]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch("ami-[0-9a-f]{17}", each) for each in ids)
    assert aws.NOBLE.id_in("us-east-1") == "ami-00000000000024040"
