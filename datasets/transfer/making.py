"""What the commands that make a standalone set share: a new file, a progress bar, one line at the end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from datasets.command_line import progress
from datasets.errors import DataError
from datasets.transfer.seal import Seal
from datasets.transfer.standalone import Advance


def make(out: Path, write: Callable[[Path, Advance], Seal]) -> None:
    """Let a set be written, show how far it is, and print its size and fingerprint.

    Args:
        out: The file to make.
        write: Writes it.

    Raises:
        DataError: If it is there already: nobody loses a set to a slip of the keyboard.
    """
    if out.exists():
        raise DataError(out, "is there already", "Remove it, or name another file")
    with progress("images") as bar:
        task = bar.add_task(out.name, total=None)

        def advance(count: int, total: int) -> None:
            bar.update(task, advance=count, total=total)

        seal = write(out, advance)
    print(f"{out}: {seal.size:,} bytes, fingerprint {seal.fingerprint}")
