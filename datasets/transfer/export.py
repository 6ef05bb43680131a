"""`python -m datasets export`: a transfer set and the pixels of its windows as one file, to hand over or to publish.

The frames.h5 of a build holds the pixels of all its sets; the file made here holds those of one, byte for byte.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from datasets.command_line import progress
from datasets.transfer.making import counter, refuse_existing, tell
from datasets.transfer.seal import Seal
from datasets.transfer.standalone import Advance, open_set, write_windows


@dataclass(frozen=True)
class Export:
    """Copy a transfer set and its pixels into one file of its own, which needs no frames.h5.

    Example:
        python -m datasets export data/transfer/P-0.5.h5 P-0.5-whole.h5
    """

    file: tyro.conf.Positional[Path]
    """A transfer set."""
    out: tyro.conf.Positional[Path]
    """The file to make; one that is there is not replaced."""

    def run(self) -> int:
        """Write the file and print its size; 0."""
        refuse_existing(self.out)
        with progress("images") as bar:
            seal = export(self.file, self.out, counter(bar, self.file.name))
        tell(self.out, seal)
        return 0


def export(path: Path, out: Path, advance: Advance = lambda _count, _total: None) -> Seal:
    """Write a standalone copy of a set; memory does not grow with the pixels.

    Args:
        path: A transfer set, standalone or with its frames.h5.
        out: The file to make, which appears whole or not at all.
        advance: Told the number of images copied since the last call, and of all.

    Returns:
        The seal of the new file.

    Raises:
        DataError: If the set, or its pixels, are missing, damaged, or of different builds.
    """
    with open_set(path) as opened:
        return write_windows(out, opened, advance)
