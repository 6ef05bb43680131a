"""What the commands that make or mend sets show: how far they are, and what they made."""

from __future__ import annotations

from pathlib import Path

from rich.progress import Progress

from datasets.errors import DataError
from datasets.transfer.seal import Seal
from datasets.transfer.standalone import Advance


def refuse_existing(out: Path) -> None:
    """Nobody loses a set to a slip of the keyboard.

    Raises:
        DataError: If the file is there already.
    """
    if out.exists():
        raise DataError(out, "is there already", "Remove it, or name another file")


def counter(bar: Progress, name: str) -> Advance:
    """A line of a progress bar that is told the number of images done since the last call, and of all."""
    task = bar.add_task(name, total=None)

    def advance(count: int, total: int) -> None:
        bar.update(task, advance=count, total=total)

    return advance


def tell(out: Path, seal: Seal) -> None:
    """Print what was made."""
    print(f"{out}: {seal.size:,} bytes, fingerprint {seal.fingerprint}")
