"""Return the memory of large answers to the operating system.

By default, the GNU C library keeps tens of megabytes of unused memory for each thread that has
freed large blocks. Other C libraries don't have these functions.
"""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress
from typing import Any

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # from malloc.h
BLOCK_BYTES = 256 * 1024
"""Larger blocks are returned as soon as they are unused."""
KEPT_BYTES = 1024 * 1024
"""How much unused memory of small blocks each thread may keep."""


def configure() -> None:
    """Let this process return large blocks of memory when they are no longer used."""
    with suppress(AttributeError, OSError):
        library: Any = ctypes.CDLL(None)
        library.mallopt(M_MMAP_THRESHOLD, BLOCK_BYTES)
        library.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)


def release() -> None:
    """Delete unused objects, and return unused memory.

    The exceptions of an SDK often refer to themselves, and to a large answer, so only the garbage
    collector deletes them.
    """
    gc.collect()
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
