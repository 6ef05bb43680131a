"""What is missing or too short in a folder of results; everything else is a `DataError`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from datasets.errors import DataError


class MissingResultError(DataError):
    """A tracker has no result for a video: results folders have holes."""


class ResultLengthError(DataError):
    """A result has another number of rows than its video has frames.

    Attributes:
        found: Rows in the file.
        expected: Frames of the video.
    """

    def __init__(self, path: Path | str, found: int, expected: int) -> None:
        self.found = found
        self.expected = expected
        how = "shorter" if found < expected else "longer"
        super().__init__(
            path,
            f"{found} rows for a video of {expected} frames: the result is {how} than the video",
            "Run the tracker again on all frames of this video, or leave the video out",
        )

    def __reduce__(self) -> tuple[type[DataError], tuple[Any, ...]]:
        return (ResultLengthError, (self.path, self.found, self.expected))
