"""Freed memory kept for what comes next.

glibc gives blocks of more than a few megabytes back to the system when they are freed, and asks for new pages, zeroed
and mapped one by one, for the next film or step: a fifth of a decoder's time, a sixth of a training step's on a CPU.
"""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h
_KEPT = 4  # times the largest block
_LARGEST_ONCE_MB = 32
_LIBC = ctypes.CDLL(None)


def keep_freed_memory(largest_mb: int) -> None:
    """From now on, keep freed blocks up to this size, of the main thread about four times as much in all.

    Older versions of glibc keep blocks of 32 MB at most. Other C libraries, without mallopt, go on as ever.
    """
    mallopt = getattr(_LIBC, "mallopt", None)
    for size_mb in (largest_mb, min(largest_mb, _LARGEST_ONCE_MB)):
        # A threshold of either kind ends glibc's own growth of both: the second alone would do harm.
        if mallopt is not None and mallopt(_MMAP_THRESHOLD, size_mb << 20):
            mallopt(_TRIM_THRESHOLD, min(_KEPT * size_mb << 20, 2**31 - 1))
            return


def give_freed_memory_back() -> None:
    """To the system, once, whatever is kept."""
    if trim := getattr(_LIBC, "malloc_trim", None):
        trim(0)
