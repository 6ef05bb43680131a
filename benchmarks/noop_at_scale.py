"""How long `dvc repro` takes to find that there is nothing to do, at GOT-10k's scale.

Writes what the stages would have made of 9,335 videos of real lengths and four teachers (annotation, trajectories,
selection, transfer sets of the paper's size, and a file in the place of the pixels), tells DVC that this is so, and
times the next `dvc repro`.

Example:
    python benchmarks/noop_at_scale.py ../shared/data/got10k_lengths.csv
"""

from __future__ import annotations

import csv
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from scratch_project import DVC, ENVIRONMENT, make, own_params

from datasets.command_line import run_only_command
from datasets.video import Video
from pipeline import places
from pipeline.index import Index
from pipeline.params import SelectParams
from pipeline.select import select
from pipeline.trajectories import Status, Trajectories, Trajectory

VIDEOS = 9335
TEACHERS = ("kcf", "csrt", "mosse", "medianflow")


def real_lengths(path: Path) -> list[int]:
    """GOT-10k's training lengths; the 175 that the file lacks are repeats of others."""
    rows = [(name, int(length)) for name, length in csv.reader(path.open()) if "Train" in name]
    lengths = [length for _, length in rows]
    return (lengths * 2)[:VIDEOS]


def write_outputs(folder: Path, lengths: list[int], pixels: int) -> None:
    """What index, track, select, pack, stats and report would have made."""
    random = np.random.default_rng(0)
    videos = [
        Video(
            f"GOT-10k_Train_{v + 1:06d}", (), np.tile(np.float32([9, 9, 50, 50]), (n, 1)), np.zeros(n, bool)
        )
        for v, n in enumerate(lengths)
    ]
    index = Index.of("got10k:data/got10k:train", videos)
    index.write(folder / places.INDEX)
    tracked = {}
    for name in TEACHERS:
        runs = []
        for n in lengths:
            overlap = np.clip(random.normal(0.85, 0.12, n), 0, 1)
            low = np.flatnonzero(overlap[1:] <= 0.5)
            end = int(low[0]) + 2 if len(low) else n
            status = Status.ABANDONED if len(low) else Status.COMPLETED
            runs.append(Trajectory(np.full((end, 4), 9, np.float32), overlap[:end], status))
        tracked[name] = Trajectories.of(name, index.fingerprint, 0.5, runs)
        tracked[name].write(folder / places.trajectories(name))
    select(index, tracked, SelectParams()).write(folder / places.SELECTION)
    (folder / places.TRANSFER).mkdir()
    with (folder / places.FRAMES).open("wb") as file:
        for _ in range(pixels >> 20):
            file.write(random.bytes(1 << 20))
    for pool in (*TEACHERS, "P"):
        for beta in (0.5, 0.6, 0.7, 0.8, 0.9):
            size = int(22252 * (1 - beta) * 2 * 32 * 16 * 6)
            (folder / places.transfer_set(pool, beta)).write_bytes(random.bytes(size))
    (folder / places.REPORT).mkdir()
    for name in ("table1.csv", "survival.csv", "overlaps.csv", "betas.csv", "metrics.json", "index.html"):
        (folder / places.REPORT / name).write_text("{}")


@dataclass(frozen=True)
class Command:
    """Time a `dvc repro` that has nothing to do.

    Example:
        python benchmarks/noop_at_scale.py ../shared/data/got10k_lengths.csv
    """

    lengths: tyro.conf.Positional[Path]
    """A table of video,frames."""

    pixels: int = 4 << 30
    """Bytes of the file in the place of frames.h5."""

    repetitions: int = 5
    """The median counts."""

    def run(self) -> int:
        """Print the seconds."""
        lengths = real_lengths(self.lengths)
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as scratch:
            folder = Path(scratch)
            params = own_params()
            params["dataset"] = {"kind": "got10k", "root": "data/got10k", "split": "train"}
            params["teachers"] = {name: {} for name in TEACHERS}
            make(folder, params)
            write_outputs(folder, lengths, self.pixels)
            subprocess.run([*DVC, "commit", "--force", "-q"], cwd=folder, env=ENVIRONMENT, check=True)
            times = []
            for _ in range(self.repetitions):
                began = time.perf_counter()
                done = subprocess.run(
                    [*DVC, "repro"], cwd=folder, env=ENVIRONMENT, check=True, capture_output=True, text=True
                )
                times.append(time.perf_counter() - began)
                if "up to date" not in done.stdout:
                    raise SystemExit(done.stdout)
        total = sum(lengths)
        print(
            f"{len(lengths)} videos, {total:,} frames, {len(TEACHERS)} teachers, {self.pixels / 2**30:g} GiB of pixels"
        )
        print(f"no-op dvc repro: median {statistics.median(times):.1f} s of {[round(t, 1) for t in times]}")
        return 0


if __name__ == "__main__":
    sys.exit(run_only_command(Command, "python benchmarks/noop_at_scale.py"))
