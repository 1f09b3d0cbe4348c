"""Return the memory of large responses to the operating system.

By default, the GNU C library can keep tens of megabytes of unused memory for each thread that has
freed large blocks. Some other C libraries, such as musl, don't have the functions `mallopt` and
`malloc_trim`. With such a library, `configure` does nothing, and `release` only runs the garbage
collector.
"""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress
from typing import Any

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # from malloc.h
BLOCK_BYTES = 256 * 1024
"""A block of at least this size is returned to the operating system as soon as it is unused."""
TRIM_BYTES = 1024 * 1024
"""Smaller blocks share a heap. Unused memory at the end of the heap is returned if it exceeds this
size."""


def configure() -> None:
    """Let this process return large blocks of memory when they are no longer used."""
    with suppress(AttributeError, OSError):
        library: Any = ctypes.CDLL(None)
        library.mallopt(M_MMAP_THRESHOLD, BLOCK_BYTES)
        library.mallopt(M_TRIM_THRESHOLD, TRIM_BYTES)


def release() -> None:
    """Delete unused objects, and return unused memory to the operating system.

    An exception of an SDK often refers to itself and to a large response. Only the garbage
    collector deletes such an exception.
    """
    gc.collect()
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
