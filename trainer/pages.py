"""What a process frees stays with it: fresh pages cost a tenth of a step of ResNet-18.

By default the C library gives an activation of some tens of megabytes back to the system as soon as it is freed, and
asks for it anew in the next step; the system then clears every page of it once more.
"""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
"""Numbers of glibc's mallopt(3)."""

_MOST = 2**31 - 1
"""Bytes that may lie freed at the end of the heap until they are given back; an int holds no more."""


def keep_pages() -> None:
    """Have this process keep what it frees, for what it allocates next; without glibc nothing happens."""
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, _MOST)
