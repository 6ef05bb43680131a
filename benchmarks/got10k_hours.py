"""How long each teacher takes over GOT-10k's training set, from measured rates, real lengths and early stopping.

Example:
    python benchmarks/got10k_hours.py ../shared/data/got10k_lengths.csv pipeline/paper_table1.csv --teachers kcf eco

The arithmetic, per teacher:

    seconds = videos * start + frames tracked * per frame
    frames tracked = sum over videos of sum_{t=1}^{T-1} exp(-h (t - 1))

where h is the chance per frame of falling to the smallest beta, the same at every frame, chosen such that as many
videos are kept as the paper's Table 1 keeps at beta 0.5. `start` and `per frame` are processor time of one core on
procedural videos of GOT-10k's usual size, reading included. On c cores the work is divided by c (a video is a
process's own; nothing is shared). On GPUs, frames/s of the whole pipeline per device, measured elsewhere, are given
by `--gpu`.
"""

from __future__ import annotations

import csv
import json
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from scipy.optimize import brentq

from datasets import open_dataset
from datasets.command_line import run_only_command
from datasets.images import read_image
from datasets.synthetic import SyntheticOptions, write_synthetic
from teachers import registry
from teachers.base import Task

LETTERS = {"kcf": "K", "mdnet": "M", "eco": "E", "eco-deep": "E", "siamrpn": "S"}
VIDEOS = 9335


@dataclass(frozen=True)
class Rate:
    """Processor seconds of one core: learning the target in frame 0, and each later frame, with reading."""

    start: float
    frame: float


def measured(use: str, options: str, root: Path, frames: int) -> Rate:
    """Run a teacher over the procedural videos in this process, on one thread."""
    teacher = registry.create(use, json.loads(options))
    starts, tracks = [], []
    for round_, video in enumerate(open_dataset(f"got10k:{root}:train")):
        began = time.process_time()
        teacher.start(read_image(video.frames[0]), video.ground_truth[0], Task(video.name, len(video)))
        started = time.process_time()
        for path in video.frames[1:frames]:
            teacher.track(read_image(path))
        if round_:  # the first video compiles kernels and warms caches
            starts.append(started - began)
            tracks.append((time.process_time() - started) / (min(frames, len(video)) - 1))
    return Rate(float(np.mean(starts)), float(np.mean(tracks)))


def hazard(lengths: NDArray[np.float64], kept: float) -> float:
    """The chance per frame of being abandoned with which `kept` of these videos are expected to reach their end."""
    return float(brentq(lambda h: np.exp(-h * (lengths - 1)).sum() - kept, 1e-9, 10.0))


def frames_tracked(lengths: NDArray[np.float64], chance: float) -> float:
    """Frames after the first that are tracked until a video is abandoned or ends, expected, over all videos."""
    return float(((1 - np.exp(-chance * (lengths - 1))) / (1 - np.exp(-chance))).sum())


@dataclass(frozen=True)
class Command:
    """Hours of each teacher over GOT-10k's training set.

    Example:
        python benchmarks/got10k_hours.py ../shared/data/got10k_lengths.csv pipeline/paper_table1.csv --teachers kcf eco
    """

    lengths: tyro.conf.Positional[Path]
    """CSV of video name, number of frames; only names with "Train" count, scaled to 9,335 videos."""

    table: tyro.conf.Positional[Path]
    """CSV of the paper's Table 1: teachers, beta, trajectories, ..."""

    teachers: tuple[str, ...] = ("kcf", "mdnet", "eco", "siamrpn")
    """Which teachers."""

    options: dict[str, str] = field(default_factory=dict)
    """A teacher's options as JSON, e.g. --options mdnet '{"weights": "mdnet_imagenet_vid.pth"}'."""

    gpu: dict[str, float] = field(default_factory=dict)
    """Frames/s of the whole pipeline on one GPU, e.g. --gpu siamrpn 2500."""

    cores: int = 64
    """Number of CPU cores to divide by."""

    videos: int = 4
    """Procedural videos to measure on; the first warms up, and does not count."""

    frames: int = 40
    """Frames of each."""

    def run(self) -> int:
        """Print a markdown table."""
        if self.videos < 2 or self.frames < 2:
            raise ValueError("--videos and --frames: at least 2 each, for the first warms up or starts")
        if unknown := [use for use in self.teachers if use not in LETTERS]:
            raise ValueError(f"--teachers {unknown[0]}: the paper's Table 1 has {', '.join(LETTERS)}")
        cv2.setNumThreads(1)
        torch.set_num_threads(1)
        with self.lengths.open() as file:
            rows = [(row[0], row[1]) for row in csv.reader(file) if "Train" in row[0]]
        lengths = np.array([float(length) for _, length in rows])
        scale = VIDEOS / len(lengths)
        with self.table.open() as file:
            kept = {
                r["teachers"]: int(r["trajectories"]) for r in csv.DictReader(file) if float(r["beta"]) == 0.5
            }
        print(
            f"{len(lengths)} lengths, {lengths.sum() * scale:,.0f} frames in all (scaled to {VIDEOS} videos)\n"
        )
        print(
            "| teacher | start, s | frame, ms | kept | chance per frame | frames tracked | "
            f"1 core, h | {self.cores} cores, h | {self.cores} cores without early stopping, h | "
            "1 GPU, h | 8 GPUs, h |\n|---|" + "---:|" * 10
        )
        with tempfile.TemporaryDirectory() as scratch:
            root = Path(scratch)
            write_synthetic(
                root, SyntheticOptions(videos=self.videos, image_size=(1920, 1080), max_length=self.frames)
            )
            for use in self.teachers:
                rate = measured(use, self.options.get(use, "{}"), root, self.frames)
                self._row(use, rate, lengths, scale, kept[LETTERS[use]])
        return 0

    def _row(self, use: str, rate: Rate, lengths: NDArray[np.float64], scale: float, kept: int) -> None:
        every = (lengths - 1).sum() * scale
        chance = hazard(lengths, kept / scale)
        tracked = frames_tracked(lengths, chance) * scale
        hours, whole = ((VIDEOS * rate.start + frames * rate.frame) / 3600 for frames in (tracked, every))
        gpu = (VIDEOS + tracked) / self.gpu[use] / 3600 if use in self.gpu else None
        gpus = f"{gpu:.2f} | {gpu / 8:.2f}" if gpu is not None else "not measured | not measured"
        print(
            f"| {use} | {rate.start:.3f} | {1000 * rate.frame:.1f} | {kept} | {chance:.4f} | "
            f"{tracked:,.0f} ({tracked / every:.0%}) | {hours:.1f} | {hours / self.cores:.2f} | "
            f"{whole / self.cores:.2f} | {gpus} |",
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(run_only_command(Command, "python benchmarks/got10k_hours.py"))
