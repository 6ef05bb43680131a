"""New HDF5 files on disks that may be full.

What HDF5 could not write, it tries to write again whenever the file is closed, and in the end it crashes the process.
So it is told that every write went well, and who writes the file hears of the first that did not.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py


class _Disk(io.FileIO):
    """A new file that keeps its first error of writing.

    Attributes:
        error: That error; None where everything was written.
    """

    error: OSError | None = None

    def write(self, data: Any, /) -> int:  # noqa: ANN401 - whatever has bytes
        """Write all of it: a disk that gets full takes a part first, and says so of the next."""
        rest = memoryview(data)
        size = len(rest)
        try:
            while rest:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.error = self.error or error
        return size

    def truncate(self, size: int | None = None, /) -> int:
        """Make it so long."""
        try:
            return super().truncate(size)
        except OSError as error:
            self.error = self.error or error
            return size or 0


@contextmanager
def new_hdf5(path: Path, **options: Any) -> Iterator[h5py.File]:  # noqa: ANN401 - those of h5py.File
    """Give a new, empty HDF5 file to write.

    Args:
        path: The file; one that is there is replaced.
        options: Those of `h5py.File`.

    Raises:
        OSError: If the disk did not take all of it.
    """
    with _Disk(path, "w+") as disk:
        try:
            with h5py.File(disk, "w", **options) as file:
                yield file
        except Exception:
            if disk.error is None:
                raise
        if disk.error is not None:
            raise disk.error
