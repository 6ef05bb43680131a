"""The track stage against the plain loop of tracking toolkits: one process, read, update, no early stop.

Both are timed as whole commands, start of the interpreter included, alternating, and have to give the same Table 1.

Example:
    python benchmarks/track_stage.py got10k:../shared/data/got10k_layout:train --teachers kcf csrt mosse
"""

from __future__ import annotations

import json
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
from teachers.base import Task

REPOSITORY = Path(__file__).resolve().parent.parent


def plain_loop(spec: str, use: str, out: Path) -> None:
    """What `run` of the usual toolkits does: one video after the other, one frame after the other."""
    teacher = registry.create(use, {})
    boxes = {}
    for video in open_dataset(spec):
        rows = []
        for t, path in enumerate(video.frames):
            image = cv2.imread(str(path))
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


@dataclass(frozen=True)
class Command:
    """Time the track stage against the plain loop.

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

    plain: str | None = None
    """Run the plain loop with this teacher (how the script calls itself)."""

    def run(self) -> int:
        """Print a markdown table."""
        if self.plain:
            plain_loop(self.dataset, self.plain, Path("plain.npz"))
            return 0
        kind, root, *split = self.dataset.split(":")
        spec = ":".join([kind, str(Path(root).resolve()), *split])
        print("| teacher | plain loop, s | track stage, s | times faster | frames tracked | same Table 1 |")
        print("|---|---|---|---|---|---|")
        for use in self.teachers:
            with tempfile.TemporaryDirectory() as scratch:
                self._one(spec, use, Path(scratch))
        return 0

    def _one(self, spec: str, use: str, folder: Path) -> None:
        kind, root, *split = spec.split(":")
        document = {
            "dataset": {"kind": kind, "root": root, "split": split[0] if split else None},
            "teachers": {use: {}},
            "executor": {"workers": self.workers},
        }
        (folder / places.PARAMS).write_text(yaml.safe_dump(document))
        index = make_index(read_params(folder / places.PARAMS))
        index.write(folder / places.INDEX)
        plain = [sys.executable, str(Path(__file__).resolve()), spec, "--plain", use]
        stage = [sys.executable, "-m", "pipeline.track", use]
        seconds(stage, folder)  # compiles what is compiled once, and warms the page cache
        times: dict[str, list[float]] = {"plain": [], "stage": []}
        for _ in range(self.repetitions):
            times["plain"].append(seconds(plain, folder))
            shutil.rmtree(folder / places.JOURNAL)
            times["stage"].append(seconds(stage, folder))
        tracked = Trajectories.read(folder / places.trajectories(use), index.fingerprint)
        looped = plain_trajectories(spec, use, folder / "plain.npz", index)
        tables = [table1(index, {use: t}, select(index, {use: t}, SelectParams())) for t in (tracked, looped)]
        slow, fast = (statistics.median(times[key]) for key in ("plain", "stage"))
        share = len(tracked.boxes) / len(index.ground_truth)
        print(
            f"| {use} | {slow:.1f} | {fast:.1f} | {slow / fast:.1f} | {share:.0%} | "
            f"{'yes' if tables[0] == tables[1] else 'NO: ' + json.dumps([str(t) for t in tables])} |",
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(run_only_command(Command, "python benchmarks/track_stage.py"))
