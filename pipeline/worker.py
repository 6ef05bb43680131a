"""What a local Dask worker process does first: leave Ctrl-C to the process that started it.

A terminal sends it to all of them, and each would end with a traceback beside that process's one line.
"""

from __future__ import annotations

import signal


def dask_setup(_worker: object) -> None:
    """Ignore the signal; called by Dask, in the process's main thread (`distributed.worker.preload`)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
