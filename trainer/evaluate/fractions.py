"""Who gave the boxes: the paper's Figure 6, and the same for TRASFUST.

A tracker that chooses, frame by frame, between a student and teachers has its choices beside its boxes:
`<video>_chosen.txt`, one name per frame (`trainer.evaluate.running`). Frame 0, whose box was given, does not count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from datasets.errors import DataError
from datasets.rows import read_bytes


@dataclass(frozen=True)
class Fractions:
    """Shares of one tracker's frames on one dataset.

    Attributes:
        tracker: Its name.
        dataset: The dataset, as the user named it.
        frames: Frames t >= 1 of all videos.
        shares: Who gave what share of them, the largest first.
    """

    tracker: str
    dataset: str
    frames: int
    shares: dict[str, float]

    def record(self) -> dict[str, Any]:
        """The same as JSON."""
        return {
            "tracker": self.tracker,
            "dataset": self.dataset,
            "frames": self.frames,
            "shares": self.shares,
        }


def read_fractions(
    folder: Path,
    tracker: str,
    dataset: str,
    videos: Sequence[str],
    missing: Literal["refuse", "omit"] = "refuse",
) -> Fractions:
    """Count a tracker's choices over the videos of a dataset.

    Args:
        folder: The results folder.
        tracker: The tracker's folder in it.
        dataset: The dataset, as the user named it.
        videos: Names of its videos.
        missing: Refuse, or omit videos without boxes.

    Raises:
        DataError: If a video's choices are missing, or do not fit its boxes; or if no video has boxes.
    """
    counted: Counter[str] = Counter()
    boxes = {video: folder / tracker / video / f"{video}_001.txt" for video in videos}
    run = [video for video in videos if boxes[video].is_file()]
    for video in run if run and missing == "omit" else videos:
        path = boxes[video].with_name(f"{video}_chosen.txt")
        lacking = [file for file in (path, boxes[video]) if not file.is_file()]
        if lacking:
            remedy = f"--fractions is for trackers that choose (trast, trasfust), run by this program into {folder}"
            remedy += "; --missing omit leaves out videos that were not run" if run else ""
            problem = "there is no such file, and so no record of who gave each frame's box"
            raise DataError(lacking[0], problem, remedy)
        chosen = read_bytes(path).decode("utf-8", "replace").splitlines()
        rows = len(read_bytes(boxes[video]).splitlines())
        if len(chosen) != rows:
            raise DataError(
                path, f"{len(chosen)} rows for {rows} boxes", f"Delete {path.parent} and run it again"
            )
        counted.update(chosen[1:])
    frames = counted.total()
    shares = {
        name: count / frames for name, count in sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    }
    return Fractions(tracker, dataset, frames, shares)
