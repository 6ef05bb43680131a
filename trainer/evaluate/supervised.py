"""VOT's supervised experiment: a tracker that loses its target is started again.

A failure is a frame where the tracker's region does not overlap the ground truth; the tracker is started again, from
the ground truth, five frames after it. Source: Kristan et al., The Visual Object Tracking VOT2015 challenge results,
Section 2, as VOT2018's and VOT2019's short-term challenges run it.

    ROOT/<tracker>/baseline/<sequence>/<sequence>_001.txt          one row per frame: 1 started, 2 failed, 0 not run,
                                                                   or the region: x,y,w,h or x1,y1,x2,y2,...
                                       <sequence>_001_time.value   seconds per frame
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasets.atomic import appearing
from datasets.boxes import as_boxes, enclosing
from datasets.errors import DataError
from datasets.images import read_image
from datasets.rows import read_bytes
from datasets.video import Video
from teachers.base import Task, Teacher, checked_box
from trainer.evaluate.regions import Polygon, corners, polygon, region_overlap

SKIPPED_FRAMES = 5
"""A tracker is started again this many frames after the one where it failed."""


DIGITS = 4
"""Of a region's numbers in a file, after the point."""


class State(IntEnum):
    """What a row says where it holds no region; the numbers are VOT's."""

    NOT_RUN = 0
    STARTED = 1
    FAILED = 2


Row = State | Polygon


@dataclass(frozen=True, eq=False)
class Run:
    """One run of a tracker over one sequence.

    Attributes:
        rows: T states or regions.
        seconds: float64 (T,), in the tracker's own calls; 0 where it was not run.
        left_out: Teachers beside the tracker that failed, so that it went on without them, and why; empty where the run
            was read from a file.
    """

    rows: Sequence[Row]
    seconds: NDArray[np.float64]
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def failures(self) -> list[int]:
        """The frames where the tracker failed."""
        return [t for t, row in enumerate(self.rows) if row is State.FAILED]

    @property
    def starts(self) -> list[int]:
        """The frames where it was started."""
        return [t for t, row in enumerate(self.rows) if row is State.STARTED]


def run_supervised(
    tracker: Teacher, video: Video, truth: Sequence[Polygon], size: tuple[float, float]
) -> Run:
    """Run the experiment on one sequence.

    Args:
        tracker: The tracker; it is started from the axis-aligned box around the ground truth's region.
        video: The sequence's images.
        truth: The ground truth's region in each frame.
        size: Width and height of the images.

    Raises:
        TeacherError: If the tracker gives something that is not a box, or cannot be restarted.
        DataError: If an image cannot be read.
    """
    rows: list[Row] = [State.NOT_RUN] * len(truth)
    seconds = np.zeros(len(truth))
    without: dict[str, str] = {}
    start = 0
    while start < len(truth):
        target = as_boxes(enclosing(corners(truth[start])))
        start_again = None
        for t in range(start, len(truth)):
            image = read_image(video.frames[t]) if tracker.needs_images else None
            began = time.perf_counter()
            if t == start:
                answer = tracker.start(image, target, Task(video.name, len(truth) - start))
            else:
                answer = tracker.track(image)
            seconds[t] = time.perf_counter() - began
            # As a file holds it: what just overlaps here has to overlap when it is read again.
            region = polygon(np.round(checked_box(answer, f"frame {t}").astype(np.float64), DIGITS))
            if t == start:
                rows[t] = State.STARTED
            elif region_overlap(region, truth[t], size) <= 0:
                rows[t] = State.FAILED
                start_again = t + SKIPPED_FRAMES
                break
            else:
                rows[t] = region
        without |= left_out(tracker)
        if start_again is None:
            break
        start = start_again
    return Run(rows, seconds, without)


def left_out(tracker: Teacher) -> dict[str, str]:
    """The teachers that a tracker went on without since it was started, and why (TRAST, TRASFUST)."""
    failed = getattr(tracker, "failed", {})
    return dict(failed) if isinstance(failed, Mapping) else {}


def run_file(folder: Path, tracker: str, sequence: str, repetition: int = 1) -> Path:
    """Where a run lies in VOT's layout."""
    return folder / tracker / "baseline" / sequence / f"{sequence}_{repetition:03d}.txt"


def write_run(path: Path, run: Run) -> None:
    """Write a run as the VOT toolkit does; its regions appear complete or not at all, and after its times."""
    with appearing(path.with_name(f"{path.stem}_time.value")) as temporary:
        temporary.write_text("".join(f"{second:.8f}\n" for second in run.seconds))
    with appearing(path) as temporary:
        temporary.write_text("".join(f"{_text(row)}\n" for row in run.rows))


def read_run(path: Path, length: int) -> Run:
    """Read a run, the VOT toolkit's own or one of `write_run`.

    Args:
        path: <sequence>_001.txt.
        length: Frames of the sequence.

    Raises:
        DataError: If it is missing, of another length, or a row is neither a state nor a region; or if the
            tracker does not begin at the first frame.
    """
    lines = read_bytes(path).decode("utf-8", "replace").rstrip().splitlines()
    if len(lines) != length:
        remedy = "Run the tracker again on this sequence, or delete its folder"
        raise DataError(path, f"{len(lines)} rows for a sequence of {length} frames", remedy)
    rows = [_row(line, path, number) for number, line in enumerate(lines, start=1)]
    if rows[0] is not State.STARTED:
        remedy = (
            "A run of the supervised experiment begins with a row 1; score other results by --experiment ope"
        )
        raise DataError(path, f"the first row is {lines[0]!r}, not 1", remedy, 1)
    for t in range(1, length):
        if (rows[t - 1] in (State.FAILED, State.NOT_RUN)) and rows[t] not in (State.NOT_RUN, State.STARTED):
            problem = f"{lines[t].strip()[:60]!r} follows a frame in which the tracker was not running"
            raise DataError(path, problem, "After a failure come rows 0, and a 1 where it was started", t + 1)
    return Run(rows, _seconds(path, length))


def is_of(run: Run, truth: Sequence[Polygon], size: tuple[float, float]) -> bool:
    """Whether a run can be of this sequence: where the tracker went on, its region overlaps the ground truth."""
    return all(
        isinstance(row, State) or region_overlap(row, target, size) > 0
        for row, target in zip(run.rows, truth, strict=True)
    )


def _seconds(path: Path, length: int) -> NDArray[np.float64]:
    """Seconds per frame beside a run, NaN without them; the VOT toolkit leaves lines of frames not run blank."""
    times = path.with_name(f"{path.stem}_time.value")
    if not times.is_file():
        return np.full(length, np.nan)
    lines = read_bytes(times).decode("utf-8", "replace").splitlines()
    if len(lines) != length:
        problem = f"{len(lines)} rows for {length} frames"
        raise DataError(times, problem, f"Delete it, or run {path.stem} again")
    seconds = np.zeros(length)
    for t, line in enumerate(lines):
        try:
            seconds[t] = float(line.strip() or 0)
        except ValueError:
            remedy = "Write seconds per frame, or delete the file"
            raise DataError(times, f"{line.strip()[:60]!r} is not a number", remedy, t + 1) from None
    return seconds


def _text(row: Row) -> str:
    if isinstance(row, State):
        return str(int(row))
    (x, y), _, (right, bottom), _ = row
    return ",".join(f"{value:.{DIGITS}f}" for value in (x, y, right - x, bottom - y))


def _row(line: str, path: Path, number: int) -> Row:
    words = line.strip().split(",")
    try:
        values = [float(word) for word in words]
    except ValueError:
        values = []
    if len(values) == 1 and values[0] in set(State):
        return State(int(values[0]))
    region = len(values) == 4 or (len(values) >= 6 and len(values) % 2 == 0)
    if not (region and all(map(math.isfinite, values))):
        remedy = "A row is 0, 1, 2, or a region x,y,w,h or x1,y1,x2,y2,x3,y3,..."
        raise DataError(path, f"{line.strip()[:60]!r} is no state and no region", remedy, number)
    return polygon(values)
