"""`ResultsFolder`: boxes of any tracker on any video, whichever toolkit wrote them, 0-based float32.

Which pixel is the first? Toolkits hand a dataset's annotation to the tracker and write what comes back, so
results are in the frame of the annotation files that they were made on: 1-based for OTB, UAV123 and LaSOT, as
written for GOT-10k and VOT (pytracking and pysot do not convert either). So the rule, in this order:

1. `base`, where it is given;
2. the base of the dataset's kind, where `kind` is given (`datasets.spec.KINDS`);
3. by the form: 0 for one folder per video (GOT-10k's toolkit), 1 for flat files (OTB's).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from datasets.boxes import Boxes
from datasets.errors import DataError
from datasets.results.errors import ResultLengthError
from datasets.results.layout import Form, TrackerFolder, find_trackers
from datasets.rows import read_many, read_rows
from datasets.spec import KINDS

_ROW_REMEDY = (
    "A result has one row x,y,w,h per frame; rows of 1, 2 and 0 are VOT's restart experiment, which is no "
    "trajectory: run the tracker without restarts"
)


class ResultsFolder:
    """A folder with the results of several trackers.

    Args:
        root: The folder that holds one folder per tracker, or folders of such folders.
        kind: The kind of the dataset that the trackers ran on, such as `otb`; None if unknown.
        base: 0 or 1, to overrule what the kind or the form says.

    Attributes:
        root: The folder.
        trackers: Names of all trackers with results, in alphabetical order.

    Raises:
        DataError: If there are no results.
        ValueError: If the kind or the base is none.
    """

    def __init__(self, root: Path, kind: str | None = None, base: int | None = None) -> None:
        self.root = root
        self._kind = kind
        self._base = base
        result_base("flat", kind, base)
        self._trackers = find_trackers(root)
        self.trackers: Sequence[str] = tuple(self._trackers)

    def __repr__(self) -> str:
        return f"<results in {self.root}: {', '.join(self.trackers)}>"

    def base(self, tracker: str) -> int:
        """What this tracker's files call the first pixel: 0 or 1, by the rule above."""
        return result_base(self._tracker(tracker).form, self._kind, self._base)

    def videos(self, tracker: str) -> Sequence[str]:
        """The videos with results, by the toolkit's own names."""
        return tuple(self._tracker(tracker).entries)

    def repetitions(self, tracker: str, video: str) -> int:
        """How many times the tracker was run on the video, 0 if never."""
        return self._tracker(tracker).repetitions(video)

    def file(self, tracker: str, video: str, repetition: int = 1) -> Path:
        """The file with the boxes.

        Raises:
            MissingResultError: If there is none.
            DataError: If there is no such tracker, or several files could be meant.
        """
        return self._tracker(tracker).file(video, repetition)

    def read(self, tracker: str, video: str, length: int | None = None, repetition: int = 1) -> Boxes:
        """Read the boxes of one video.

        Args:
            tracker: One of `trackers`, or the last part of one if that is unique.
            video: The dataset's name of the video.
            length: The video's number of frames, to be checked; None for any.
            repetition: Which run, from 1.

        Returns:
            float32 (T, 4), (x, y, w, h), 0-based. NaN where the tracker wrote NaN.

        Raises:
            MissingResultError: If there is no result.
            ResultLengthError: If the number of rows is not `length`.
            DataError: If there is no such tracker, or the file is not what it has to be.
        """
        file = self.file(tracker, video, repetition)
        boxes = read_rows(file, origin=self.base(tracker), remedy=_ROW_REMEDY)
        if length is not None and len(boxes) != length:
            raise ResultLengthError(file, len(boxes), length)
        return boxes

    def no_box(self, tracker: str, video: str, frame: int, box: Boxes, repetition: int = 1) -> DataError:
        """The error for a row that was read and is no box; it shows what the file holds.

        Args:
            tracker: As `read` takes it.
            video: The same.
            frame: Number of the row, from 0.
            box: (4,), as it was read.
            repetition: Which run, from 1.
        """
        held = (box + self.base(tracker) * np.array([1, 1, 0, 0], box.dtype)).tolist()
        return DataError(
            self.file(tracker, video, repetition),
            f"row {frame + 1} (frame {frame}): (x, y, w, h) = ({', '.join(f'{value:g}' for value in held)}) is no box",
            "Run the tracker again on this video, or leave the video out",
        )

    def read_all(
        self,
        tracker: str,
        videos: Sequence[str],
        lengths: Sequence[int] | None = None,
        repetition: int = 1,
        threads: int = 2,
    ) -> list[Boxes | DataError]:
        """Read the boxes of many videos, in their order; a video at fault gives its error instead of boxes.

        Raises:
            DataError: If there is no such tracker.
        """
        folder = self._tracker(tracker)
        origin = self.base(tracker)
        files: list[Path | str] = [folder.likely_file(video, repetition) for video in videos]
        results = read_many(files, origin=origin, remedy=_ROW_REMEDY, threads=threads)
        for i, video in enumerate(videos):
            boxes = results[i]
            if isinstance(boxes, DataError) and not boxes.path.is_file():
                try:  # the toolkit spells the name in another way, or there is a hole
                    files[i] = folder.file(video, repetition)
                    boxes = results[i] = read_rows(Path(files[i]), origin=origin, remedy=_ROW_REMEDY)
                except DataError as error:
                    boxes = results[i] = error
            if lengths is not None and not isinstance(boxes, DataError) and len(boxes) != lengths[i]:
                results[i] = ResultLengthError(files[i], len(boxes), lengths[i])
        return results

    def _tracker(self, name: str) -> TrackerFolder:
        if name in self._trackers:
            return self._trackers[name]
        ends = [full for full in self._trackers if full.rpartition("/")[2] == name]
        if len(ends) == 1:
            return self._trackers[ends[0]]
        if ends:
            raise DataError(self.root, f"{name} could be any of {', '.join(ends)}", "Write one of these")
        shown = ", ".join(self.trackers)
        raise DataError(
            self.root, f"there are no results of {name!r}; there are those of {shown}", "Name one of them"
        )


def result_base(form: Form, kind: str | None, base: int | None) -> int:
    """What result files call the first pixel, 0 or 1, by the rule of this module.

    Raises:
        ValueError: If `kind` is not a kind of dataset, or `base` neither 0 nor 1.
    """
    if base is not None:
        if base not in {0, 1}:
            raise ValueError(f"the base of results is 0 or 1, not {base!r}")
        return base
    if kind is not None:
        if kind not in KINDS:
            raise ValueError(f"{kind!r} is not a kind of dataset; name one of {', '.join(KINDS)}")
        return KINDS[kind].base
    return 0 if form == "per video" else 1
