"""Benchmarks of a few frames, trackers whose boxes are known, and the command that runs and scores them."""

import json
import os
import signal
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO

import cv2
import numpy as np

from datasets.command_line import guarded
from teachers.base import TeacherError
from trainer.evaluate.command import Evaluate

KEYS = ["tracker", "dataset", "sequences", "frames", "ao", "sr50", "sr75", "success_score", "precision_score"]
"""What a record of one-pass evaluation holds."""


class Still:
    """Gives the first box for ever, and fails on videos whose names hold `poison`."""

    version = 1
    needs_images = False

    def __init__(self, dx: float = 0.0) -> None:
        self._dx = dx

    def start(self, image, box, task):
        if "poison" in task.name:
            raise TeacherError("it was poisoned")
        self._box = np.asarray(box, np.float32)
        self.chosen = ["given"]
        return self._box

    def track(self, image):
        self.chosen.append("student" if len(self.chosen) % 4 else "kcf")
        return self._box + np.float32([self._dx * len(self.chosen), 0, 0, 0])


class Breaks(Still):
    """Fails at the first frame that it has to track."""

    def track(self, image):
        raise TeacherError("it broke")


class Crashes(Still):
    """Kills its process on one video."""

    def __init__(self, on: str) -> None:
        super().__init__()
        self._on = on

    def start(self, image, box, task):
        if task.name == self._on:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().start(image, box, task)


def run(**options):
    """Exit code, stdout, stderr of the command."""
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = guarded(Evaluate(**options), "evaluate")
    return code, out.getvalue(), err.getvalue()


def records(**options):
    code, out, err = run(format="json", **options)
    assert code == 0, err
    return json.loads(out)


def write_images(folder, count, first=1, digits=8, shape=(60, 80)):
    folder.mkdir(parents=True, exist_ok=True)
    for n in range(first, first + count):
        cv2.imwrite(str(folder / f"{n:0{digits}d}.jpg"), np.full((*shape, 3), 90, np.uint8))


def write_boxes(path, boxes, shift=0.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = np.add(boxes, [shift, shift, 0, 0])
    path.write_text("".join(",".join("NaN" if np.isnan(v) else f"{v:g}" for v in row) + "\n" for row in rows))


def walk(seed, frames=12):
    """A target and a tracker that loses it little by little."""
    rng = np.random.default_rng(seed)
    truth = np.add(np.cumsum(rng.normal(0, 2, (frames, 4)) * [1, 1, 0.3, 0.3], axis=0), [20, 15, 24, 18])
    boxes = truth + np.cumsum(rng.normal(0, 1.5, (frames, 4)) * [1, 1, 0.5, 0.5], axis=0)
    boxes[0] = truth[0]
    return truth.round(2).astype(np.float32), boxes.round(2).astype(np.float32)


def write_got10k(root, split, videos, covers=None):
    """Videos by name -> truth, in GOT-10k's layout; the first's meta_info.ini says its resolution."""
    for n, (name, truth) in enumerate(videos.items()):
        folder = root / split / name
        write_images(folder, len(truth))
        write_boxes(folder / "groundtruth.txt", truth[:1] if split == "test" else truth)
        if covers is not None:
            (folder / "cover.label").write_text("".join(f"{c}\n" for c in covers[name]))
        if n == 0:
            (folder / "meta_info.ini").write_text("[METAINFO]\nobject_class: bird\nresolution: (80, 60)\n")
    (root / split / "list.txt").write_text("".join(f"{name}\n" for name in videos))


def write_uav123(folder):
    """Three videos, two of them parts of one folder, one with the target away for some frames; a tracker's results.

    Returns the benchmark's specification, the results' folder, and by name the truth and the boxes.
    """
    root = folder / "UAV123"
    pairs = {}
    for n, name in enumerate(("bike1", "bird1_1", "bird1_2")):
        truth, boxes = walk(n)
        if name == "bird1_1":
            truth[4:7] = np.nan
        pairs[name] = truth, boxes
        write_boxes(root / "anno" / "UAV123" / f"{name}.txt", truth, 1)
        write_boxes(folder / "results" / "Some" / f"{name}.txt", boxes, 1)
    write_images(root / "data_seq" / "UAV123" / "bike1", 12, digits=6)
    write_images(root / "data_seq" / "UAV123" / "bird1", 12, digits=6)
    write_images(root / "data_seq" / "UAV123" / "bird1", 12, first=775, digits=6)
    return f"uav123:{root}", folder / "results", pairs


def files(folder):
    """What lies in a folder, but for the times, which differ from run to run."""
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and not p.name.endswith("_time.txt")
    }
