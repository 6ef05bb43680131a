"""How long `python -m pipeline.stats` takes for GOT-10k's 9,335 training videos and four teachers.

Makes, in a temporary folder, what `dvc repro` would have made (an index, four teachers' whole trajectories of
random overlaps, a selection) and, with --results, the text files of the GOT-10k toolkit; then runs the command
as a user does, a new process each time; prints wall time, processor time and peak memory as Markdown.

Example:
    python benchmarks/stats_at_scale.py --lengths ../shared/data/got10k_lengths.csv --runs 5
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tyro

from datasets.results import write_results
from datasets.video import Video
from pipeline import places
from pipeline.index import Index
from pipeline.params import SelectParams
from pipeline.select import select
from pipeline.trajectories import Status, Trajectories, Trajectory

if TYPE_CHECKING:
    from numpy.typing import NDArray

TEACHERS = {"kcf": 0.14, "mdnet": 0.12, "eco": 0.21, "siamrpn": 0.30}
"""How often each keeps a video above β = 0.5: chosen so that about as many are positive as in the paper."""


@dataclass(frozen=True)
class Options:
    """Time `python -m pipeline.stats` at GOT-10k's scale."""

    lengths: Path
    """A CSV of name,length: real lengths of GOT-10k's training videos."""

    videos: int = 9335
    """Videos; where the CSV has fewer of GOT-10k's training set, lengths are drawn again from it."""

    runs: int = 5
    """Runs of each command."""

    stop_below: float | None = None
    """As track.stop_below: None keeps whole trajectories, the largest files there can be."""

    results: bool = False
    """Time the command on result folders, too: 9,335 annotations and 4 x 9,335 text files."""


def main() -> int:
    """Make the files and time the commands."""
    options = tyro.cli(Options, config=(tyro.conf.FlagCreatePairsOff,))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        index, pool = make(options)
        os.chdir(root)
        index.write(places.INDEX)
        for name, trajectories in pool.items():
            trajectories.write(places.trajectories(name))
        select(index, pool, SelectParams.model_validate({})).write(places.SELECTION)
        size = sum(path.stat().st_size for path in root.rglob("*.h5")) / 2**20
        print(f"{len(index):,} videos, {len(index.absent):,} frames, {len(pool)} teachers, {size:.0f} MiB\n")
        rows.append(timed("stats", [], options.runs))
        rows.append(timed("stats --paper --format json", ["--paper", "--format", "json"], options.runs))
        rows.append(timed("stats --betas 0.55 0.65", ["--betas", "0.55", "0.65"], options.runs))
        rows.append(timed("stats --write", ["--write"], options.runs))
        if options.results:
            write_text(index, pool, root)
            arguments = ["--dataset", "annotations:truth", "--results", "results", "--teachers", *pool]
            rows.append(timed("stats --dataset --results", arguments, options.runs))
    print(
        "| command | best of runs (s) | median (s) | processor (s) | peak memory (MB) |\n|:--|--:|--:|--:|--:|"
    )
    for row in rows:
        print("| {} | {:.2f} | {:.2f} | {:.2f} | {:.0f} |".format(*row))
    return 0


def make(options: Options) -> tuple[Index, dict[str, Trajectories]]:
    """Videos of real lengths, and a random walk of the overlap per teacher and video."""
    random = np.random.default_rng(0)
    listed = [line.split(",") for line in options.lengths.read_text().split()]
    real = [int(length) for name, length in listed if name.startswith("GOT-10k_Train")][: options.videos]
    lengths = real + random.choice(real, options.videos - len(real)).tolist()
    videos = []
    for number, length in enumerate(lengths):
        truth = random.uniform(50, 400, (length, 4)).astype(np.float32)
        absent = np.zeros(length, np.bool_)
        if random.random() < 0.1:
            absent[length // 2 : length // 2 + 5] = True
        videos.append(Video(f"GOT-10k_Train_{number + 1:06d}", (), truth, absent))
    index = Index.of("got10k:/data/GOT-10k:train", videos)
    pool = {}
    for name, share in TEACHERS.items():
        trajectories = [follow(random, video, share) for video in videos]
        if options.stop_below is not None:
            trajectories = [
                t.until(options.stop_below, v.absent) for t, v in zip(trajectories, videos, strict=True)
            ]
        pool[name] = Trajectories.of(name, index.fingerprint, options.stop_below, trajectories)
    return index, pool


def follow(random: np.random.Generator, video: Video, share: float) -> Trajectory:
    """The ground truth, narrowed to a random overlap: above 0.5 everywhere, or only until some frame."""
    overlap = np.clip(random.normal(random.uniform(0.68, 0.9), 0.05, len(video)), 0.51, 0.99)
    if random.random() > share:
        overlap[random.integers(1, max(len(video) // 2, 2)) :] *= random.uniform(0.3, 0.6)
    overlap[0] = 1.0
    overlap[video.absent] = 0.0
    boxes = video.ground_truth.copy()
    boxes[:, 2] *= np.maximum(overlap, 0.01).astype(np.float32)
    return Trajectory(boxes, overlap, Status.COMPLETED)


def write_text(index: Index, pool: dict[str, Trajectories], root: Path) -> None:
    """The same as text: annotations, and results in the GOT-10k toolkit's layout."""
    (root / "truth").mkdir()
    for v, name in enumerate(index.names):
        truth: NDArray[np.float32] = index.ground_truth[index.rows(v)]
        lines = ("{:.4f},{:.4f},{:.4f},{:.4f}\n".format(*row) for row in truth.tolist())
        (root / "truth" / f"{name}.txt").write_text("".join(lines))
        for teacher, trajectories in pool.items():
            write_results(
                root / "results", teacher, name, trajectories[v].boxes, "got10k", kind="annotations"
            )


def timed(label: str, arguments: list[str], runs: int) -> tuple[str, float, float, float, float]:
    """Run a command several times.

    Returns:
        The label, best and median seconds, least processor seconds, and peak resident memory in MB.
    """
    seconds, processor = [], []
    peak = 0
    repository = str(Path(__file__).resolve().parent.parent)
    environment = os.environ | {"PYTHONPATH": repository}
    with Path(os.devnull).open("w") as nowhere:
        for _ in range(runs):
            began = time.perf_counter()
            command = [sys.executable, "-m", "pipeline.stats", *arguments]
            actions = [(os.POSIX_SPAWN_DUP2, nowhere.fileno(), 1), (os.POSIX_SPAWN_DUP2, nowhere.fileno(), 2)]
            process = os.posix_spawn(sys.executable, command, environment, file_actions=actions)
            _, status, usage = os.wait4(process, 0)
            seconds.append(time.perf_counter() - began)
            processor.append(usage.ru_utime + usage.ru_stime)
            peak = max(peak, usage.ru_maxrss)
            if status:
                raise SystemExit(
                    f"{' '.join(command)} ended with exit code {os.waitstatus_to_exitcode(status)}"
                )
    return label, min(seconds), float(np.median(seconds)), min(processor), peak * 1024 / 1e6


if __name__ == "__main__":
    sys.exit(main())
