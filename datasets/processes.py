"""Worker processes that do not outlive what they work for: neither a process that is killed nor a Ctrl-C."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import active_children, get_context, parent_process

import cv2

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""What PyTorch and NumPy's linear algebra read once, when a process first loads them."""


def cores() -> int:
    """Cores that this process may use: fewer than the machine has in a container or under taskset."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def worker_processes(
    count: int, prepare: Callable[[], object] | None = None
) -> Iterator[ProcessPoolExecutor]:
    """Give a pool of processes, which fill the cores: each computes with one thread.

    They are spawned, not forked: a forked copy of a process in which OpenCV or numba has threads may hang. They begin
    with this process's environment, so that is where their libraries are told.

    Where the block ends by an exception, as by Ctrl-C, they are ended at once: what one of them is at may take an hour,
    and nobody waits for it.

    Args:
        count: How many.
        prepare: Called first in each of them. What it carries is sent once per process, and not with every task.
    """
    others = set(active_children())
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        with ProcessPoolExecutor(count, get_context("spawn"), _begin, (prepare,)) as pool:
            try:
                yield pool
            except BaseException:
                for process in set(active_children()) - others:
                    process.terminate()
                raise
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _begin(prepare: Callable[[], object] | None) -> None:
    """Set up a worker: it waits for work on a pipe that it holds open itself, so nothing there tells it of a death."""
    cv2.setNumThreads(1)
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C goes to all processes of a terminal: the first one answers
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if prepare is not None:
        prepare()


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
