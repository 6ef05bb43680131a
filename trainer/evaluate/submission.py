"""The archive that GOT-10k's server takes for the test split, whose ground truth nobody else has.

As the GOT-10k toolkit packs it: a zip of the tracker's folder, without that folder's own name.

    GOT-10k_Test_000001/GOT-10k_Test_000001_001.txt     boxes, and _002, _003 of a tracker that draws random numbers
    GOT-10k_Test_000001/GOT-10k_Test_000001_time.txt    seconds per frame
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasets.atomic import appearing
from datasets.errors import DataError
from datasets.results import ResultsFolder

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
        DataError: If a video's boxes or times are missing, or of another length than the video.
    """
    entries: list[tuple[str, bytes]] = []
    for video, length in zip(videos, lengths.tolist(), strict=True):
        folder.read(tracker, video, length)
        where = folder.file(tracker, video).parent
        if where.name != video:
            problem = f"{tracker}'s results are not in the GOT-10k toolkit's layout"
            raise DataError(where, problem, "Write <tracker>/<video>/<video>_001.txt and <video>_time.txt")
        if not (where / f"{video}_time.txt").is_file():
            remedy = "The server wants seconds per frame: run the tracker again"
            raise DataError(where / f"{video}_time.txt", "there is no such file", remedy)
        wanted = re.compile(re.escape(video) + r"_(\d{3}|time)\.txt")
        entries += [
            (f"{video}/{file.name}", file.read_bytes())
            for file in sorted(where.iterdir())
            if wanted.fullmatch(file.name)
        ]
    with appearing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), content, zipfile.ZIP_DEFLATED)
    return path
