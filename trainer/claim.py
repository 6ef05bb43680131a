"""A run's folder belongs to one run at a time: two that write into one would leave a mixture of both."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from datasets.errors import DataError


@contextmanager
def claimed(out: Path) -> Iterator[None]:
    """Make a run's folder, and keep other processes from learning into it; the claim dies with this process.

    Raises:
        DataError: If another process has it.
    """
    out.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(out, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            remedy = "Wait until it has ended, or name another folder"
            raise DataError(out, "another process is learning into it", remedy) from error
        except OSError:  # a cluster's file system that has no locks: nobody can tell
            pass
        yield
    finally:
        os.close(descriptor)
