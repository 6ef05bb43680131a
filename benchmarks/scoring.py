"""How long scoring takes, against the loop of the usual toolkits: a sequence at a time, `loadtxt`, every threshold.

Makes, in a temporary folder, annotations and results of random walks at the size of a benchmark (OTB-100: 100 videos of
590 frames; GOT-10k val: 180 of 117, in its own layout with covers; LaSOT's test split: 280 of 2,448), scores them both
ways, makes sure that the scores agree, and prints the least processor time of each as Markdown (of all threads, so
that the machine's other work hardly counts in; the whole command includes the start of the interpreter).

Example:
    python benchmarks/scoring.py --runs 3
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tyro

from datasets import open_dataset
from datasets.results import ResultsFolder
from datasets.spec import parse_spec
from trainer.evaluate.protocol import PROTOCOLS
from trainer.evaluate.recordings import Leniency, score_folder
from trainer.evaluate.truth import read_truth

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

SIZES = {"OTB-100": (100, 590), "GOT-10k val": (180, 117), "LaSOT test": (280, 2448)}
"""Videos, and frames of each."""


@dataclass(frozen=True)
class Options:
    """Time the scoring of result folders."""

    runs: int = 3
    """Runs of each; the best counts."""
    trackers: int = 4
    """Trackers in the folder."""


def main() -> int:
    """Make the files, score them both ways, print."""
    options = tyro.cli(Options, description=__doc__)
    lines = [
        "| benchmark | frames x trackers | files | plain loop, s | ours, s | times less | whole command, s |",
        "|---|" + "--:|" * 6,
    ]
    for name, (videos, frames) in SIZES.items():
        with tempfile.TemporaryDirectory() as folder:
            spec, results = write_benchmark(Path(folder), name, videos, frames, options.trackers)
            score_all(spec, results)  # compiles, and fills the page cache
            ours, scores = best(options.runs, score_all, spec, results)
            plain, expected = best(min(options.runs, 2), plain_loop, spec, results)
            command, records = best(options.runs, whole_command, spec, results)
            if not np.allclose(scores, expected, atol=1e-4) or not np.allclose(records, scores):
                print(f"{name}: the scores differ: {scores} and {expected}", file=sys.stderr)
                return 1
            count = videos * (1 + options.trackers)
            lines.append(
                f"| {name} | {videos * frames:,} x {options.trackers} | {count:,} | {plain:.2f} | {ours:.2f} | "
                f"{plain / ours:.1f} | {command:.1f} |"
            )
    print("\n".join(lines))
    return 0


def best(
    runs: int, function: Callable[[str, Path], NDArray[np.float64]], spec: str, results: Path
) -> tuple[float, NDArray[np.float64]]:
    """The least processor time of a function, its child processes included, and its answer."""
    seconds = []
    for _ in range(runs):
        began = os.times()
        answer = function(spec, results)
        seconds.append(sum(os.times()[:4]) - sum(began[:4]))
    return min(seconds), answer


def score_all(spec: str, results: Path) -> NDArray[np.float64]:
    """Our scores: a row per tracker, (AO, success score, precision score)."""
    kind = parse_spec(spec).kind
    truth = read_truth(open_dataset(spec), PROTOCOLS[kind])
    folder = ResultsFolder(results, kind)
    values = [score_folder(folder, name, truth, Leniency())[0].values for name in folder.trackers]
    return np.array([[v["ao"], v["success_score"], v["precision_score"]] for v in values])


def whole_command(spec: str, results: Path) -> NDArray[np.float64]:
    """The same by the command line, with the start of the interpreter."""
    command = [sys.executable, "-m", "trainer.evaluate", "--dataset", spec, "--results", str(results)]
    done = subprocess.run([*command, "--format", "json"], capture_output=True, text=True, check=True)
    return np.array([[r["ao"], r["success_score"], r["precision_score"]] for r in json.loads(done.stdout)])


def plain_loop(spec: str, results: Path) -> NDArray[np.float64]:
    """The same, as toolkits do it."""
    parsed = parse_spec(spec)
    rows = []
    for tracker in sorted(p for p in results.iterdir() if p.is_dir()):
        if parsed.kind == "got10k":
            rows.append(plain_got10k(parsed.root / "val", tracker))
            continue
        curves = []
        for path in sorted(parsed.root.glob("*.txt")):
            truth = np.loadtxt(path, delimiter=",")
            boxes = np.loadtxt(tracker / path.name, delimiter=",")
            boxes[0] = truth[0]
            curves.append(plain_curves(boxes, truth, 21))
        rows.append([np.mean([c[k] for c in curves]) for k in range(3)])
    return np.array(rows)


def plain_got10k(split: Path, tracker: Path) -> list[float]:
    """GOT-10k's protocol; all frames of all videos are one pool."""
    boxes, truths = [], []
    for name in (split / "list.txt").read_text().split():
        seen = np.loadtxt(split / name / "cover.label")[1:] > 0
        truths.append(bounded(np.loadtxt(split / name / "groundtruth.txt", delimiter=","))[1:][seen])
        boxes.append(bounded(np.loadtxt(tracker / name / f"{name}_001.txt", delimiter=","))[1:][seen])
    return list(plain_curves(np.concatenate(boxes), np.concatenate(truths), 101))


def bounded(boxes: NDArray[np.float64], width: float = 1280, height: float = 720) -> NDArray[np.float64]:
    """Boxes inside the image."""
    x, y = boxes[:, 0].clip(0, width), boxes[:, 1].clip(0, height)
    return np.stack([x, y, boxes[:, 2].clip(0, width - x), boxes[:, 3].clip(0, height - y)], axis=1)


def plain_curves(
    boxes: NDArray[np.float64], truth: NDArray[np.float64], points: int
) -> tuple[float, float, float]:
    """AO, success score and precision score of some frames, every frame against every threshold."""
    corner = np.maximum(boxes[:, :2], truth[:, :2])
    opposite = np.minimum(boxes[:, :2] + boxes[:, 2:], truth[:, :2] + truth[:, 2:])
    common = np.prod(np.maximum(opposite - corner, 0), axis=1)
    iou = common / (np.prod(boxes[:, 2:], axis=1) + np.prod(truth[:, 2:], axis=1) - common)
    apart = boxes[:, :2] + (boxes[:, 2:] - 1) / 2 - truth[:, :2] - (truth[:, 2:] - 1) / 2
    error = np.sqrt((apart**2).sum(axis=1))
    success = np.mean(iou[:, None] > np.linspace(0, 1, points), axis=0)
    precision = np.mean(error[:, None] <= np.arange(51), axis=0)
    return float(iou.mean()), float(success.mean()), float(precision[20])


def write_benchmark(folder: Path, name: str, videos: int, frames: int, trackers: int) -> tuple[str, Path]:
    """Write annotations and results; returns the dataset and the folder of results."""
    rng = np.random.default_rng(0)
    got10k = name.startswith("GOT-10k")
    names = [f"GOT-10k_Val_{v + 1:06d}" if got10k else f"video-{v + 1}" for v in range(videos)]
    for video in names:
        steps = rng.normal(0, 2, (frames, 4)) * [1, 1, 0.2, 0.2]
        truth = np.add(np.cumsum(steps, axis=0), [500, 300, 120, 90])
        truth[:, 2:] = truth[:, 2:].clip(20, 300)
        if got10k:
            write_video(folder / "data" / "val" / video, truth, rng)
        else:
            save(folder / "data" / f"{video}.txt", truth)
        for t in range(trackers):
            drift = np.cumsum(rng.normal(0, 1 + t, (frames, 4)) * [1, 1, 0.1, 0.1], axis=0)
            boxes = truth + drift
            boxes[:, 2:] = boxes[:, 2:].clip(5)
            boxes[0] = truth[0]
            where = f"{video}/{video}_001.txt" if got10k else f"{video}.txt"
            save(folder / "results" / f"tracker{t}" / where, boxes)
    if got10k:
        (folder / "data" / "val" / "list.txt").write_text("".join(f"{video}\n" for video in names))
    spec = f"got10k:{folder / 'data'}:val" if got10k else f"annotations:{folder / 'data'}"
    return spec, folder / "results"


def write_video(folder: Path, truth: NDArray[np.float64], rng: np.random.Generator) -> None:
    """A video in GOT-10k's layout; its images are empty: scoring looks at none."""
    save(folder / "groundtruth.txt", truth)
    for n in range(1, len(truth) + 1):
        (folder / f"{n:08d}.jpg").touch()
    np.savetxt(folder / "cover.label", rng.integers(0, 9, len(truth)), fmt="%d")
    (folder / "meta_info.ini").write_text("[METAINFO]\nresolution: (1280, 720)\n")


def save(path: Path, boxes: NDArray[np.float64]) -> None:
    """Write rows with three decimals."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savetxt(path, boxes, fmt="%.3f", delimiter=",")


if __name__ == "__main__":
    sys.exit(main())
