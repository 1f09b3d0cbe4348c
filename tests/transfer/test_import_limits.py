"""Reading a file takes linear time, and stops at the limits, whatever the file contains."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable

import pytest

from webapp.transfer import import_formats
from webapp.transfer.import_file import UnreadableFile

HEADER = "cloud,cloud_image_id,name"
MEGABYTE = 2**20


def fill(piece: str, megabytes: float = 8) -> str:
    """Return copies of `piece` with a total length of `megabytes`."""
    return piece * int(megabytes * MEGABYTE / len(piece))


FILES: dict[str, Callable[[], str]] = {
    "40,000 columns": lambda: ",".join(f"c{number}" for number in range(40_000)),
    "many equal columns": lambda: fill("a,"),
    "many empty columns": lambda: f"{HEADER},{fill(',')}",
    "many empty cells": lambda: f"{HEADER}\n{fill(',')}",
    "many cells": lambda: f"{HEADER}\n{fill('a,')}",
    "many lines": lambda: f"{HEADER}\n{fill('a,b' + chr(10))}",
    "many empty lines": lambda: f"{HEADER}\n{fill(chr(10))}",
    "a huge cell": lambda: f"{HEADER}\naws,x,{fill('a')}",
    "a huge quoted cell": lambda: f'{HEADER}\naws,x,"{fill("a")}"',
    "a quote that is never closed": lambda: f'{HEADER}\naws,x,"{fill("a" + chr(10))}',
    "many quotes": lambda: f"{HEADER}\n{fill(chr(34))}",
    "many escaped formulas": lambda: f"{HEADER}\n{fill(chr(39) + '=' + ';')}",
    "deep JSON": lambda: fill("["),
    "deep objects": lambda: fill('{"a":'),
    "many keys": lambda: json.dumps([{f"c{number}": 1 for number in range(300_000)}]),
    "many equal keys": lambda: "[{" + fill('"a":1,') + '"a":1}]',
    "many objects": lambda: "[" + fill("{},") + "{}]",
    "many columns of many objects": lambda: json.dumps(
        [{f"c{number}": 1} for number in range(20_000)]
    ),
    "a long number": lambda: f'[{{"cloud": {fill("1")}}}]',
    "many builds": lambda: '{"builds":[' + fill("{},") + "{}]}",
    "a build with many images": lambda: json.dumps(
        {
            "builds": [
                {
                    "builder_type": "amazon-ebs",
                    "artifact_id": fill("us-east-1:ami-0123456789abcdef0,"),
                }
            ]
        }
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_no_file_takes_long_to_read(name: str) -> None:
    """The slowest of these files took minutes when the time was quadratic."""
    data = FILES[name]().encode()
    started = time.process_time()
    with contextlib.suppress(UnreadableFile):
        file = import_formats.parse_file(data)
        assert len(file.lines) <= import_formats.MAX_LINES
        assert len(file.unknown_columns) <= import_formats.MAX_COLUMNS
        assert all(len(text) < 40_000 for line in file.lines for text in line.values.values())
    assert time.process_time() - started < 10
