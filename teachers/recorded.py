"""Boxes that a tracker wrote earlier, replayed from a results folder; no image is looked at.

Any toolkit's folder will do (`datasets.results`): GOT-10k's, OTB's flat files, pysot's, pytracking's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import DirectoryPath

from datasets import results as recordings
from datasets.boxes import is_valid
from teachers.base import NoRecordingError, TeacherError

if TYPE_CHECKING:
    from datasets.boxes import Boxes
    from teachers.base import Box, Image, Task


class Recorded:
    """One tracker's results as a teacher.

    The first box is the one in the file, not the one handed to `start`: results are what the tracker wrote,
    and where the two differ is for the reader of the results to see.

    Args:
        results: The folder that holds one folder per tracker.
        tracker: Name of the tracker's folder.
        kind: The kind of dataset that the tracker ran on, such as `otb`, which says whether its boxes are
            1-based; by default the form of the folder says it (see `datasets.results.folder`).
        base: What the files call the first pixel, 0 or 1, to overrule that.
        repetition: Which run of the tracker, from 1.

    Raises:
        DataError: If the folder holds no results, or none of this tracker.
    """

    version: ClassVar[int] = 1
    needs_images: ClassVar[bool] = False
    replays: ClassVar[bool] = True
    """Its boxes took no time, so nobody should call it fast."""

    def __init__(
        self,
        results: DirectoryPath,
        tracker: str,
        kind: str | None = None,
        base: Literal[0, 1] | None = None,
        repetition: int = 1,
    ) -> None:
        self._folder = recordings.ResultsFolder(results, kind, base)
        self._tracker = tracker
        self._repetition = repetition
        self._folder.base(tracker)  # raises here, not once per video, where there is no such tracker
        self._boxes: Boxes = np.empty((0, 4), np.float32)
        self._task: Task | None = None
        self._frame = 0

    def start(self, image: Image | None, box: Box, task: Task) -> Box:
        """Read the video's rows and return the first.

        Raises:
            NoRecordingError: If there is no file for this video, or it has another number of rows than the
                video has frames; the message names the file and both numbers.
            DataError: If the file is not a table of boxes.
            TeacherError: If its first row is no box.
        """
        try:
            self._boxes = self._folder.read(self._tracker, task.name, task.length, self._repetition)
        except (recordings.MissingResultError, recordings.ResultLengthError) as error:
            raise NoRecordingError(str(error)) from error
        self._task, self._frame = task, 0
        return self._row(task)

    def track(self, image: Image | None) -> Box:
        """Return the next row.

        Raises:
            TeacherError: If there is no video, no row left, or the next one is no box; the message names the file.
        """
        self._frame += 1
        if self._task is None or self._frame >= len(self._boxes):
            raise TeacherError(
                f"{self._tracker}: asked for frame {self._frame} of {len(self._boxes)} recorded"
            )
        return self._row(self._task)

    def _row(self, task: Task) -> Box:
        row: Box = self._boxes[self._frame].copy()
        if not is_valid(row):
            error = self._folder.no_box(self._tracker, task.name, self._frame, row, self._repetition)
            raise TeacherError(str(error))
        return row
