"""The error that every reader raises: it names the file, the row and the remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class DataError(ValueError):
    """Something on disk is not what it has to be.

    Args:
        path: The file or folder at fault.
        problem: What was found, with the offending value.
        remedy: What the user can do about it.
        row: 1-based line of a text file (what an editor shows), or None.
    """

    def __init__(self, path: Path | str, problem: str, remedy: str, row: int | None = None) -> None:
        self.path = Path(path)
        self.problem = problem
        self.remedy = remedy
        self.row = row
        place = f"{path}" if row is None else f"{path}, line {row}"
        super().__init__(f"{place}: {problem}. {remedy}.")

    def __reduce__(self) -> tuple[type[DataError], tuple[Any, ...]]:
        """Keep all four parts when a worker process sends the error home."""
        return (type(self), (self.path, self.problem, self.remedy, self.row))


class DataWarning(UserWarning):
    """Something on disk is odd, and a user may have meant it so; command lines show it as one line."""
