"""A folder that is being written belongs to one process at a time: two would leave a mixture of both."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from datasets.errors import DataError

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF}
"""What a cluster's file systems without locks, or without locks of folders, answer."""


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Make a folder where there is none, and keep other processes from writing into it; the claim dies with this one.

    Raises:
        DataError: If another process has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            remedy = "Wait until it has ended, or name another folder"
            raise DataError(folder, "another process is writing here", remedy) from error
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise  # else nobody can tell
        yield
    finally:
        os.close(descriptor)
