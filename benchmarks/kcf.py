"""KCF on whole OTB sequences: rows equal to the authors' published boxes, and frames per second on one core.

    python benchmarks/kcf.py                    # REAL_DATA, or ../shared/data
    python benchmarks/kcf.py DIR --repeats 5

Prints a markdown table. "tracker" has the decoded frames in memory; "files" reads the JPEG files as well,
with OpenCV or as the pipeline does. Each figure is the best of `--repeats` runs; everything runs in one thread.
Beside it stands OpenCV's TrackerKCF, with its detection threshold at 0 so that it never gives up: another
tracker under the same name (colour-names and grey features), whose IoU with the ground truth is given for
reference. The published Matlab code runs at about 170 frames/s, reading not included.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import tyro

from datasets.boxes import Boxes, overlap
from datasets.command_line import run_only_command
from datasets.images import read_image
from datasets.otb import Otb
from teachers.base import Image, Task
from teachers.kcf import Kcf

if TYPE_CHECKING:
    from datasets.video import Video

PUBLISHED = "about 170"
Read = Callable[[Path], Image]


def read_opencv(path: Path) -> Image:
    """Decode a file as most toolkits do."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise FileNotFoundError(path)
    return np.asarray(image, dtype=np.uint8)


def track_frames(frames: Sequence[Image], box: Boxes) -> Boxes:
    """Boxes of our KCF on decoded frames."""
    teacher = Kcf()
    first = teacher.start(frames[0], box, Task("benchmark", len(frames)))
    return np.array([first, *(teacher.track(frame) for frame in frames[1:])], dtype=np.float32)


def track_files(paths: Sequence[Path], box: Boxes, read: Read) -> Boxes:
    """Boxes of our KCF on files."""
    teacher = Kcf()
    first = teacher.start(read(paths[0]), box, Task("benchmark", len(paths)))
    return np.array([first, *(teacher.track(read(path)) for path in paths[1:])], dtype=np.float32)


def track_opencv(frames: Sequence[Image], box: Boxes) -> Boxes:
    """Boxes of OpenCV's TrackerKCF: whole numbers in and out; its last box where it reports failure."""
    params = cv2.TrackerKCF.Params()
    params.detect_thresh = 0.0
    tracker = cv2.TrackerKCF.create(params)
    x, y, w, h = (round(float(value)) for value in box)
    tracker.init(frames[0], (x, y, w, h))
    boxes = [(x, y, w, h)]
    for frame in frames[1:]:
        found, result = tracker.update(frame)
        boxes.append((result[0], result[1], result[2], result[3]) if found else boxes[-1])
    return np.array(boxes, dtype=np.float32)


def fastest(run: Callable[[], Boxes], repeats: int, clock: Callable[[], float]) -> tuple[Boxes, float]:
    """Result and shortest time of several runs, which must agree."""
    result, best = run(), float("inf")
    for _ in range(repeats):
        begin = clock()
        again = run()
        best = min(best, clock() - begin)
        if not np.array_equal(again, result):
            raise RuntimeError("two runs gave different boxes")
    return result, best


@dataclass(frozen=True)
class Row:
    """One target's figures; times in seconds."""

    name: str
    rows: int
    equal: int
    iou: float
    times: tuple[float, ...]
    peer_iou: float


@dataclass(frozen=True)
class Benchmark:
    """Compare KCF's boxes with the published ones and measure its speed.

    Example:
        python benchmarks/kcf.py ../shared/data --repeats 3
    """

    data: tyro.conf.Positional[Path] = field(
        default_factory=lambda: Path(os.environ.get("REAL_DATA", "../shared/data"))
    )
    """Folder with otb/ and results/OTB100/KCF/; by default REAL_DATA, or ../shared/data."""
    repeats: int = 3
    """Runs per figure, of which the fastest counts."""
    cpu_time: bool = False
    """Count the processor's time instead of the clock's, on a machine that is busy with other work."""
    only: tuple[str, ...] = ()
    """Names of the targets to run; all by default."""

    def run(self) -> int:
        """Measure and print; 1 if a row differs from the published one."""
        cv2.setNumThreads(1)
        dataset = Otb(self.data / "otb")
        results = {p.stem.lower(): p for p in (self.data / "results" / "OTB100" / "KCF").glob("*.txt")}
        rows = []
        peer = "TrackerKCF | its IoU"
        print(
            f"| target | rows | equal | IoU | tracker | files, cv2 | files, as the pipeline reads | {peer} |"
        )
        print("|---|---|---|---|---|---|---|---|---|")
        for name in self.only or dataset.names:
            rows.append(self._measure(dataset[name], results[name.lower()]))
            print(_line(rows[-1]), flush=True)
        frames, times = sum(row.rows for row in rows), np.array([row.times for row in rows])
        lengths = np.array([row.rows for row in rows])
        all_rows = Row(
            "all frames / all time", frames, sum(row.equal for row in rows),
            float(np.average([row.iou for row in rows], weights=lengths)), tuple(times.sum(axis=0)),
            float(np.average([row.peer_iou for row in rows], weights=lengths)),
        )  # fmt: skip
        print(_line(all_rows))
        means = " | ".join(f"{value:.0f}" for value in (lengths[:, None] / times).mean(axis=0))
        print(f"| mean over {len(rows)} targets | | | | {means} | |")
        kind = "processor time" if self.cpu_time else "wall-clock time"
        print(f"\nFrames/s on one core ({kind}), best of {self.repeats}.")
        print(f"Published code: {PUBLISHED}, without reading.")
        return 0 if all_rows.equal == all_rows.rows else 1

    def _measure(self, video: Video, published_file: Path) -> Row:
        """Run everything on one target."""
        published = np.loadtxt(published_file, delimiter=",") - np.array([1, 1, 0, 0])
        clock = time.process_time if self.cpu_time else time.perf_counter
        paths, box = list(video.frames), video.ground_truth[0]
        frames = [read_opencv(path) for path in paths]
        own, tracker = fastest(lambda: track_frames(frames, box), self.repeats, clock)
        from_opencv, opencv = fastest(lambda: track_files(paths, box, read_opencv), self.repeats, clock)
        from_jpeg, jpeg = fastest(lambda: track_files(paths, box, read_image), self.repeats, clock)
        if not (np.array_equal(own, from_opencv) and np.array_equal(own, from_jpeg)):
            raise RuntimeError(f"{video.name}: the decoders give different boxes")
        peer, peer_time = fastest(lambda: track_opencv(frames, box), 1, clock)
        equal = int((np.abs(own - published) < 1e-4).all(axis=1).sum()) if own.shape == published.shape else 0
        truth = video.ground_truth
        return Row(
            video.name, len(own), equal, float(overlap(own, truth).mean()),
            (tracker, opencv, jpeg, peer_time), float(overlap(peer, truth).mean()),
        )  # fmt: skip


def _line(row: Row) -> str:
    """A row of the markdown table."""
    speeds = " | ".join(f"{row.rows / seconds:.0f}" for seconds in row.times)
    return f"| {row.name} | {row.rows} | {row.equal} | {row.iou:.3f} | {speeds} | {row.peer_iou:.3f} |"


if __name__ == "__main__":
    raise SystemExit(run_only_command(Benchmark, "python benchmarks/kcf.py"))
