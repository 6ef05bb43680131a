"""Worker processes that do not outlive the process that started them, even where that one is killed."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, parent_process

import cv2


def worker_processes(count: int) -> ProcessPoolExecutor:
    """A pool of processes, each with one OpenCV thread.

    They are spawned, not forked: a forked copy of a process in which OpenCV or numba has threads may hang.
    """
    return ProcessPoolExecutor(count, get_context("spawn"), _begin)


def _begin() -> None:
    """Set up a worker: it waits for work on a pipe that it holds open itself, so nothing there tells it of a death."""
    cv2.setNumThreads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
