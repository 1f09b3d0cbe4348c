"""The memory of large answers is returned to the operating system."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from sandbox import faulty
from webapp.clouds import CLOUDS
from webapp.clouds.credentials import CredentialValues
from webapp.clouds.errors import CloudUnreachable
from webapp.clouds.locators import Locator

READ_IN_THREADS = """
import re, sys, threading
from pathlib import Path
from webapp.clouds.outgoing import memory

def resident_mb():
    return int(re.findall(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[0]) / 1024

def read():
    for size in (8_000_000, 16_000_000) * 3:
        answer = bytearray(size)
        text = answer.decode()
        del answer, text
    has_read.wait()
    may_end.wait()

if sys.argv[1] == "configured":
    memory.configure()
before = resident_mb()
has_read, may_end = threading.Barrier(17), threading.Event()
for _ in range(16):
    threading.Thread(target=read).start()
has_read.wait()
print(resident_mb() - before)
may_end.set()
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other libraries keep less memory")
def test_threads_that_have_read_large_responses_keep_no_memory() -> None:
    command = [sys.executable, "-c", READ_IN_THREADS, "configured"]
    kept_mb = float(subprocess.check_output(command, text=True))
    assert kept_mb < 60


def test_an_error_of_a_cloud_does_not_refer_to_a_large_response() -> None:
    aws = CLOUDS["aws"]
    values = {field.name: "" for field in aws.credential_fields}
    values |= {"access_key_id": "AKIA1", "secret_access_key": "s", "partition": "aws"}
    locator = Locator("us-east-1", "ami-0123456789abcdef0")
    with faulty.serve(faulty.answering(200, "<a>" + "x" * 1_000_000)) as url:
        credentials = CredentialValues(values | {"endpoint_url": url}, owner="acme")
        with pytest.raises(CloudUnreachable) as caught:
            aws.describe(credentials, locator)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
