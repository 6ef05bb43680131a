"""What the code of others may do to who calls it: raise anything, end the process, leave the working folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FAULTS = (Exception, SystemExit)
"""What a third party's code may raise: some trackers end the process where a licence or a file is missing."""


@contextmanager
def at_home() -> Iterator[None]:
    """Return to the working folder afterwards: some go where their files are, and leave relative paths dangling."""
    folder = Path.cwd()
    try:
        yield
    finally:
        os.chdir(folder)
