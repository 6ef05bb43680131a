"""The archive that GOT-10k's server takes for the test split, whose ground truth nobody else has.

As the GOT-10k toolkit packs it: a zip of the tracker's folder, without that folder's own name.

    GOT-10k_Test_000001/GOT-10k_Test_000001_001.txt     boxes, and _002, _003 of a tracker that draws random numbers
    GOT-10k_Test_000001/GOT-10k_Test_000001_time.txt    seconds per frame
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasets.atomic import appearing
from datasets.errors import DataError
from datasets.results import ResultsFolder
from datasets.rows import first_row_columns, parse_rows, read_bytes

_AGAIN = "Run the tracker on this video again"

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every entry: equal boxes give an equal archive."""


def write_submission(
    folder: ResultsFolder, tracker: str, videos: Sequence[str], lengths: NDArray[np.int64], path: Path
) -> Path:
    """Pack one tracker's boxes and times.

    Args:
        folder: A results folder in the GOT-10k toolkit's layout.
        tracker: The tracker.
        videos: All videos of the test split.
        lengths: Frames of each.
        path: The zip file to write.

    Raises:
        DataError: If a video's boxes or times are missing, of another length than the video, or no numbers, or a
            repetition is missing.
    """
    entries: list[tuple[str, bytes]] = []
    for video, length in zip(videos, lengths.tolist(), strict=True):
        where = folder.file(tracker, video).parent
        if where.name != video:
            problem = f"{tracker}'s results are not in the GOT-10k toolkit's layout"
            raise DataError(where, problem, "Write <tracker>/<video>/<video>_001.txt and <video>_time.txt")
        numbers = range(1, folder.repetitions(tracker, video) + 1)
        for number in numbers:
            boxes = folder.read(tracker, video, length, number)
            if not np.isfinite(boxes).all():
                row = int(np.flatnonzero(~np.isfinite(boxes).all(axis=1))[0]) + 1
                problem = "this row is no box, and the server takes none such"
                raise DataError(folder.file(tracker, video, number), problem, _AGAIN, row)
        times = where / f"{video}_time.txt"
        _check_times(times, length)
        files = [*(where / f"{video}_{number:03d}.txt" for number in numbers), times]
        entries += [(f"{video}/{file.name}", file.read_bytes()) for file in files]
    with appearing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), content, zipfile.ZIP_DEFLATED)
    return path


def _check_times(path: Path, length: int) -> None:
    """See that there are seconds of every frame; with several repetitions, a column of each."""
    if not path.is_file():
        raise DataError(
            path, "there is no such file", f"The server wants seconds per frame: {_AGAIN.lower()}"
        )
    data = read_bytes(path)
    seconds = parse_rows(data, path, max(first_row_columns(data), 1), remedy=_AGAIN)
    if len(seconds) != length:
        raise DataError(path, f"{len(seconds)} rows for {length} frames", _AGAIN)
