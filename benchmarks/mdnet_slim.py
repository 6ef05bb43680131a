"""How well the slim MDNet tracks: trained weights beside random ones and KCF, on whatever videos are given.

Example:
    python benchmarks/mdnet_slim.py otb:../shared/data/otb got10k:../shared/data/got10k_layout:train \
        --record teachers/mdnet/slim.json

Scores are those of one-pass evaluation: AO is the mean overlap without the first frame, success the area under OTB's
curve of 21 thresholds. `frames per second` includes the start, which is as much work as many frames, and the updates.
"""

from __future__ import annotations

import json
import os
import platform
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import safetensors.torch
import torch
import tyro
from tyro.conf import Positional

from datasets.atomic import appearing
from datasets.spec import open_dataset
from datasets.video import Video
from teachers import registry
from teachers.training.mdnet import SLIM, Training
from teachers.training.mdnet_domains import draw_domain
from teachers.training.scoring import Score, mean, score

RANDOM_GAIN = 8.0
"""Of random features, in the place of `GAIN`: with 8 they track at least as well as KCF does."""


@dataclass(frozen=True)
class Options:
    """Score the slim MDNet, the same with random weights, and KCF."""

    datasets: Positional[tuple[str, ...]]
    """Each KIND:ROOT[:SPLIT]."""

    trackers: tuple[str, ...] = ("kcf", "random", "slim", "slim, published samples")
    """Which of these four."""

    weights: Path | None = None
    """Trained weights; those of the project without."""

    frames: int | None = None
    """Only so many frames of each video."""

    every: int = 1
    """Only every so many-th video of each dataset."""

    record: Path | None = None
    """A JSON file to put the scores into."""

    seed: int = 0
    """Of the random weights."""


def main(options: Options) -> None:
    """Print a table per dataset."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        random = Path(folder) / "random.safetensors"
        if "random" in options.trackers:
            untrained = Training([draw_domain(options.seed, 0, 8)], options.seed, SLIM)
            safetensors.torch.save_file(untrained.network.shipped(RANDOM_GAIN), random)
        trained = {"weights": str(options.weights), "samples": "slim"} if options.weights else {}
        choices: Mapping[str, tuple[str, dict[str, str]]] = {
            "kcf": ("kcf", {}),
            "random": ("mdnet", {"weights": str(random), "samples": "slim"}),
            "slim": ("mdnet", trained),
            "slim, published samples": ("mdnet", {**trained, "samples": "published"}),
        }
        results: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
        for spec in options.datasets:
            dataset = open_dataset(spec)
            videos = [cut(dataset[name], options.frames) for name in dataset.names[:: options.every]]
            # The name alone: where it lies on this machine is nobody's business.
            name = f"{dataset.root.name}" + (f", {options.frames} frames each" if options.frames else "")
            name += f", every {options.every}th video" if options.every > 1 else ""
            print(f"\n{name}\n\n| tracker | video | AO | success | frames/s |\n|---|---|---:|---:|---:|")
            results[name] = {
                tracker: scored(tracker, *choices[tracker], videos) for tracker in options.trackers
            }
    if options.record:
        machine = {
            "machine": platform.machine(),
            "cores": os.cpu_count(),
            "threads": 1,
            "load": os.getloadavg(),
        }
        content = json.loads(options.record.read_text()) if options.record.exists() else {}
        content["tracking"] = {**content.get("tracking", {}), **results, "measured on": machine}
        with appearing(options.record) as path:
            path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def cut(video: Video, frames: int | None) -> Video:
    """The first frames of a video."""
    if frames is None or frames >= len(video):
        return video
    return replace(
        video,
        frames=video.frames[:frames],
        ground_truth=video.ground_truth[:frames],
        absent=video.absent[:frames],
    )


def scored(
    tracker: str, name: str, given: dict[str, str], videos: Iterable[Video]
) -> dict[str, dict[str, float]]:
    """Every video's scores and their mean, printed as they come."""
    teacher = registry.create(name, given)
    found: dict[str, Score] = {}
    for video in videos:
        found[video.name] = score(teacher, video)
        row(tracker, video.name, found[video.name])
    found["mean"] = mean(found.values())
    row(tracker, "**mean**", found["mean"])
    return {
        key: {"ao": round(s.overlap, 4), "success": round(s.success, 4), "fps": round(s.fps, 1)}
        for key, s in found.items()
    }


def row(tracker: str, video: str, s: Score) -> None:
    """Print one line of the table."""
    print(f"| {tracker} | {video} | {s.overlap:.3f} | {s.success:.3f} | {s.fps:.1f} |", flush=True)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
