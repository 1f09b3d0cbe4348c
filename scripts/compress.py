"""Compress the static files once, at the highest level, which is too slow to use in a request."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import brotli

from scripts.npm import STAMP, digest, is_up_to_date

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "br": lambda content: brotli.compress(content, quality=11),
    "gzip": lambda content: gzip.compress(content, 9, mtime=0),
}


def compress(static: Path) -> None:
    """Write the compressed copies of the files in the folder `static`.

    If the copies are up to date, do nothing.
    """
    # Check the copies first, because importing the application takes longer than this check.
    folder = static / "compressed"
    sources = sorted(
        path for path in (*static.glob("*"), *static.glob("vendor/*")) if path.is_file()
    )
    source_digest = digest(*sources, Path(__file__))
    if is_up_to_date(folder, source_digest):
        return
    from webapp.web.static_files import SUFFIXES, copy_name, static_paths  # noqa: PLC0415

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for path in static_paths(static):
        content = path.read_bytes()
        for encoding in SUFFIXES:
            copy = folder / copy_name(path.name, content, encoding)
            copy.write_bytes(COMPRESS[encoding](content))
    (folder / STAMP).write_text(source_digest)
