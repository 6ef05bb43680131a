"""What a teacher did: one `Trajectory` per video, and all of them in one file per teacher."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.boxes import Boxes, Overlaps
from datasets.errors import DataError
from pipeline.columns import Column, Form, column_text, read_columns, text_column, write_columns

FORM = Form(
    "trajectories",
    {
        "videos/status": Column("uint8", ("videos",)),
        "videos/error": Column("text", ("videos",)),
        "videos/offset": Column("int64", ("videos + 1",)),
        "frames/boxes": Column("float32", ("frames", 4)),
        "frames/overlap": Column("float64", ("frames",)),
    },
    facts={"teacher": (str,), "dataset": (str,), "stop_below": (float, int, type(None))},
    rows={"videos/offset": "frames"},
)
"""What a teacher's file holds."""


class Status(IntEnum):
    """How a trajectory ended."""

    COMPLETED = 0
    """The teacher gave a box for every frame."""

    ABANDONED = 1
    """The overlap fell to the stopping threshold; the last box is the one that did."""

    FAILED = 2
    """The teacher raised an error, gave no usable box, or has no result for this video."""


@dataclass(frozen=True, eq=False)
class Trajectory:
    """One teacher's boxes on one video.

    Attributes:
        boxes: float32 (n, 4), (x, y, w, h) in 0-based pixels, for the first n of the video's frames.
        overlap: float64 (n,), intersection over union with the ground truth; 0 where the target is absent.
        status: How it ended.
        error: Why it failed, one line; "" otherwise.
    """

    boxes: Boxes
    overlap: Overlaps
    status: Status
    error: str = ""

    def __len__(self) -> int:
        return len(self.boxes)

    def until(self, stop_below: float | None, absent: NDArray[np.bool_]) -> Trajectory:
        """The same teacher's trajectory had it been stopped at a threshold at or above the one it ran with.

        Args:
            stop_below: The threshold; None changes nothing.
            absent: bool (T,), of the video; absent frames stop nobody.
        """
        end = first_stop(self.overlap, absent[: len(self)], stop_below)
        if end is None:
            return self
        return Trajectory(self.boxes[: end + 1], self.overlap[: end + 1], Status.ABANDONED)


def first_stop(overlap: Overlaps, absent: NDArray[np.bool_], stop_below: float | None) -> int | None:
    """The first frame t >= 1 with the target present whose overlap is not above the threshold, or None.

    Absent frames stop nobody, whatever `select.absent` says: so that parameter can change without tracking again,
    and the statistics can tell what it changes.
    """
    if stop_below is None:
        return None
    low = np.flatnonzero((overlap[1:] <= stop_below) & ~absent[1:])
    return int(low[0]) + 1 if len(low) else None


@dataclass(frozen=True, eq=False)
class Trajectories:
    """One teacher's trajectories over all videos of an index, as columns.

    Attributes:
        teacher: The teacher's name in params.yaml.
        dataset: Fingerprint of the index.
        stop_below: The threshold at which videos were abandoned, None for never.
        status: uint8 (V,), `Status` values.
        errors: V messages.
        offset: int64 (V + 1,): rows offset[v]:offset[v + 1] of the next two belong to video v.
        boxes: float32 (N, 4).
        overlap: float64 (N,).
    """

    teacher: str
    dataset: str
    stop_below: float | None
    status: NDArray[np.uint8]
    errors: list[str]
    offset: NDArray[np.int64]
    boxes: Boxes
    overlap: Overlaps

    def __len__(self) -> int:
        return len(self.status)

    def __getitem__(self, v: int) -> Trajectory:
        rows = slice(int(self.offset[v]), int(self.offset[v + 1]))
        return Trajectory(self.boxes[rows], self.overlap[rows], Status(self.status[v]), self.errors[v])

    @classmethod
    def of(
        cls, teacher: str, dataset: str, stop_below: float | None, trajectories: Sequence[Trajectory]
    ) -> Trajectories:
        """Put trajectories side by side, in the index's order."""
        lengths = [len(trajectory) for trajectory in trajectories]
        return cls(
            teacher=teacher,
            dataset=dataset,
            stop_below=stop_below,
            status=np.array([trajectory.status for trajectory in trajectories], np.uint8),
            errors=[trajectory.error for trajectory in trajectories],
            offset=np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64),
            boxes=np.concatenate([t.boxes for t in trajectories] or [np.empty((0, 4), np.float32)]),
            overlap=np.concatenate([t.overlap for t in trajectories] or [np.empty(0)]),
        )

    def write(self, path: Path) -> None:
        """Write the teacher's file."""
        columns: dict[str, NDArray[Any]] = {
            "videos/status": self.status,
            "videos/error": text_column(self.errors),
            "videos/offset": self.offset,
            "frames/boxes": self.boxes,
            "frames/overlap": self.overlap,
        }
        facts = {"teacher": self.teacher, "dataset": self.dataset, "stop_below": self.stop_below}
        write_columns(path, FORM.kind, columns, facts)

    @classmethod
    def read(cls, path: Path, dataset: str) -> Trajectories:
        """Read a teacher's file.

        Args:
            path: The file.
            dataset: Fingerprint of the index that it has to belong to.

        Raises:
            DataError: If it is missing, damaged, or of other videos.
        """
        columns, facts = read_columns(path, FORM, f"track@{path.stem}")
        if facts["dataset"] != dataset:
            raise DataError(
                path, "these trajectories are of another index", f"Run `dvc repro track@{path.stem}`"
            )
        return cls(
            teacher=facts["teacher"],
            dataset=facts["dataset"],
            stop_below=facts["stop_below"],
            status=columns["videos/status"],
            errors=column_text(columns["videos/error"]),
            offset=columns["videos/offset"],
            boxes=columns["frames/boxes"],
            overlap=columns["frames/overlap"],
        )
