"""The track stage against the plain loop of tracking toolkits: one process, read, update, no early stop.

Both are timed as whole commands, start of the interpreter included, alternating, and have to give the same Table 1.

Example:
    python benchmarks/track_stage.py got10k:../shared/data/got10k_layout:train --teachers kcf csrt mosse
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import tyro
import yaml

from datasets import open_dataset
from datasets.boxes import overlap
from datasets.command_line import run_only_command
from pipeline import places
from pipeline.index import Index, make_index
from pipeline.params import SelectParams, read_params
from pipeline.select import select
from pipeline.table1 import table1
from pipeline.trajectories import Status, Trajectories, Trajectory
from teachers import registry
from teachers.base import Image, Task

REPOSITORY = Path(__file__).resolve().parent.parent


def read_as_pysot(path: Path) -> Image:
    """Pysot's reading: OpenCV."""
    return np.asarray(cv2.imread(str(path)), np.uint8)


def read_as_got10k(path: Path) -> Image:
    """The GOT-10k toolkit's reading: PIL, then whatever the tracker needs of it, which is BGR here."""
    return cv2.cvtColor(np.array(PIL.Image.open(path).convert("RGB")), cv2.COLOR_RGB2BGR)


READERS = {"pysot": read_as_pysot, "got10k": read_as_got10k}


def plain_loop(spec: str, use: str, reader: str, out: Path) -> None:
    """What `run` of the usual toolkits does: one video after the other, one frame after the other."""
    read = READERS[reader]
    teacher = registry.create(use, {})
    boxes = {}
    for video in open_dataset(spec):
        rows = []
        for t, path in enumerate(video.frames):
            image = read(path)
            if t == 0:
                rows.append(teacher.start(image, video.ground_truth[0], Task(video.name, len(video))))
            else:
                rows.append(teacher.track(image))
        boxes[video.name] = np.stack(rows)
    np.savez(out, **boxes)


def plain_trajectories(spec: str, use: str, out: Path, index: Index) -> Trajectories:
    """The plain loop's boxes as trajectories."""
    boxes = np.load(out)
    videos = open_dataset(spec)
    runs = []
    for name in index.names:
        video = videos[name]
        iou = np.where(video.absent, 0, overlap(boxes[name], video.ground_truth))
        runs.append(Trajectory(boxes[name], iou, Status.COMPLETED))
    return Trajectories.of(use, index.fingerprint, None, runs)


def seconds(command: list[str], folder: Path) -> float:
    """How long a command takes."""
    began = time.perf_counter()
    subprocess.run(
        command,
        cwd=folder,
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    return time.perf_counter() - began


def repeated(spec: str, copies: int, folder: Path) -> str:
    """The same videos several times over, under other names: as links, in GOT-10k's layout."""
    kind, root, *split = spec.split(":")
    if copies == 1:
        return f"{kind}:{Path(root).resolve()}" + (f":{split[0]}" if split else "")
    source, target = Path(root).resolve() / split[0], folder / "repeated" / split[0]
    target.mkdir(parents=True)
    names = [f"{name}-{copy}" for copy in range(copies) for name in (source / "list.txt").read_text().split()]
    for name in names:
        (target / name).symlink_to(source / name.rpartition("-")[0])
    (target / "list.txt").write_text("\n".join(names) + "\n")
    return f"{kind}:{folder / 'repeated'}:{split[0]}"


@dataclass(frozen=True)
class Command:
    """Time the track stage against the plain loop, as whole commands.

    Example:
        python benchmarks/track_stage.py got10k:../shared/data/got10k_layout:train --teachers kcf csrt mosse
    """

    dataset: tyro.conf.Positional[str]
    """KIND:ROOT[:SPLIT]."""

    teachers: tuple[str, ...] = ("kcf", "csrt", "mosse")
    """Teachers to time, with their default options."""

    repetitions: int = 3
    """Alternating runs of each; the median counts."""

    workers: int = 2
    """Worker processes of the track stage."""

    copies: int = 1
    """Repeat a dataset in GOT-10k's layout so many times: starting up weighs less, as it does on GOT-10k."""

    plain: tuple[str, str] | None = None
    """Run the plain loop: teacher and reader (how the script calls itself)."""

    def run(self) -> int:
        """Print a markdown table."""
        if self.plain:
            plain_loop(self.dataset, *self.plain, Path("plain.npz"))
            return 0
        print(
            "| teacher | plain loop, OpenCV, s | plain loop, PIL, s | track stage, s | times faster |", end=""
        )
        print(" frames tracked | same Table 1 |\n|---|---|---|---|---|---|---|")
        for use in self.teachers:
            with tempfile.TemporaryDirectory() as scratch:
                self._one(use, Path(scratch))
        return 0

    def _one(self, use: str, folder: Path) -> None:
        spec = repeated(self.dataset, self.copies, folder)
        kind, root, *split = spec.split(":")
        document = {
            "dataset": {"kind": kind, "root": root, "split": split[0] if split else None},
            "teachers": {use: {}},
            "executor": {"workers": self.workers},
        }
        (folder / places.PARAMS).write_text(yaml.safe_dump(document))
        index = make_index(read_params(folder / places.PARAMS))
        index.write(folder / places.INDEX)
        stage = [sys.executable, "-m", "pipeline.track", use]
        seconds(stage, folder)  # compiles what is compiled once, and warms the page cache
        times: dict[str, list[float]] = {"pysot": [], "got10k": [], "stage": []}
        for _ in range(self.repetitions):
            for reader in READERS:
                plain = [sys.executable, str(Path(__file__).resolve()), spec, "--plain", use, reader]
                times[reader].append(seconds(plain, folder))
            shutil.rmtree(folder / places.JOURNAL)
            times["stage"].append(seconds(stage, folder))
        tracked = Trajectories.read(folder / places.trajectories(use), index.fingerprint)
        looped = plain_trajectories(spec, use, folder / "plain.npz", index)
        tables = [table1(index, {use: t}, select(index, {use: t}, SelectParams())) for t in (tracked, looped)]
        opencv, pil, fast = (statistics.median(times[key]) for key in ("pysot", "got10k", "stage"))
        share = len(tracked.boxes) / len(index.ground_truth)
        print(
            f"| {use} | {opencv:.1f} | {pil:.1f} | {fast:.1f} | {opencv / fast:.1f} and {pil / fast:.1f} | "
            f"{share:.0%} | {'yes' if tables[0] == tables[1] else 'NO'} |",
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(run_only_command(Command, "python benchmarks/track_stage.py"))
