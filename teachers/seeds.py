"""Random numbers that depend on the video and the frame alone.

Trackers written by others draw from generators that a whole process shares. Seeding those once per video
is not enough: a second tracker in the same process would take numbers out of the first one's sequence. So
they are seeded again before every single frame, which makes a frame's draws a function of (video, frame)
whatever runs beside it.
"""

from __future__ import annotations

import ctypes
import functools
import os
import random
import sys

import cv2
import numpy as np
from blake3 import blake3


def seed_of(video: str, frame: int) -> int:
    """A seed in [0, 2**31) from a video's name and a frame's 0-based number."""
    return int.from_bytes(blake3(f"{video}/{frame}".encode()).digest(4), "little") >> 1


def seed_opencv(seed: int) -> None:
    """Seed what OpenCV draws from: its own generator (of this thread), and the C library's `rand`."""
    cv2.setRNGSeed(seed)
    _c_library().srand(seed)


def seed_python(seed: int) -> None:
    """Seed `random`, NumPy's global generator and, where it is loaded, PyTorch's."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - the trackers of others use the global generator
    if (torch := sys.modules.get("torch")) is not None:
        torch.manual_seed(seed)


@functools.cache
def _c_library() -> ctypes.CDLL:
    # On Windows each library may carry a C runtime of its own; OpenCV's wheels use the universal one or none
    # that can be reached from here.
    return ctypes.CDLL("ucrtbase" if os.name == "nt" else None)
