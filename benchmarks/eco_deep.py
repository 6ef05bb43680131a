"""How long deep ECO takes to start and per frame, beside pytracking's own code.

Example:
    python benchmarks/eco_deep.py --threads 1 2 --checkout ../pytracking

Every measurement is a process of its own on the same images with the same weights; without `--weights` these are
random, which costs the same. pytracking needs torchvision, matplotlib, pandas and tqdm beside its checkout (its other
repairs are in `eco_deep_upstream.py`). Both leave out the samples with random channels, so that boxes can be compared,
and divide as today's PyTorch. "CPU" is the processor time of all threads: on a shared machine it says more than the
clock.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tyro

sys.path.insert(0, str(Path(__file__).resolve().parent))
from beside_upstream import BOX, ROOT, Result, largest_difference, measured, set_threads, timed, write_video


@dataclass(frozen=True)
class Options:
    """Time deep ECO, and pytracking's beside it."""

    checkout: Path | None = None
    """A checkout of pytracking; without one only ours is timed."""

    weights: Path | None = None
    """resnet18_vggmconv1.pth; random weights without it."""

    threads: tuple[int, ...] = (1, 2)
    """Numbers of threads."""

    device: str = "cpu"
    """Where both run."""

    frames: int = 31
    """Length of the video; the filter learns in every tenth frame."""

    repeats: int = 2
    """Runs of each program; every frame counts with its best."""


def main(options: Options) -> None:
    """Print one row per program and number of threads."""
    with tempfile.TemporaryDirectory() as folder:
        images = write_video(Path(folder), options.frames)
        weights = options.weights or write_weights(Path(folder) / "weights.pth")
        print(
            "| program | threads | start, s | start, CPU s | frame, ms | frame, CPU ms | largest difference, px |"
        )
        print("|---|---:|---:|---:|---:|---:|---:|")
        for threads in options.threads:
            runs: dict[str, list[Result]] = {"this project": [], "pytracking": []}
            for _ in range(options.repeats):
                # In turn, for a busy machine to be as busy for both.
                given = [str(threads), options.device, "0", ",".join(map(str, BOX))]
                own = [__file__, "--only", "", str(weights), *given]
                runs["this project"].append(measured(own, images, folder, threads))
                if options.checkout:
                    script = str(Path(__file__).with_name("eco_deep_upstream.py"))
                    theirs = [script, str(options.checkout), str(weights), *given]
                    runs["pytracking"].append(measured(theirs, images, folder, threads))
            for name, results in runs.items():
                if results:
                    other = runs["this project"][0] if name == "pytracking" else None
                    row(name, threads, results, other)


def row(name: str, threads: int, results: list[Result], other: Result | None) -> None:
    """Print a program's runs: the best of each frame, then the mean over frames, which some learn in."""
    wall, cpu = (np.min([r[key] for r in results], axis=0) for key in ("seconds", "cpu"))
    shown = "" if other is None else f"{largest_difference(results[0], other):.1e}"
    print(
        f"| {name} | {threads} | {wall[0]:.2f} | {cpu[0]:.2f} | {1e3 * wall[1:].mean():.0f} "
        f"| {1e3 * cpu[1:].mean():.0f} | {shown} |",
        flush=True,
    )


def only(
    _: str, weights: str, threads: str, device: str, dropout: str, box: str, out: str, *images: str
) -> None:
    """Time this project's deep ECO: the child process."""
    sys.path.insert(0, str(ROOT))
    from teachers.base import Box, Image, Task
    from teachers.eco.deep import EcoDeep

    set_threads(threads)
    teacher = EcoDeep(Path(weights), dropout=dropout == "1", division="true", device=device)
    first, task = np.array([float(v) for v in box.split(",")], np.float32), Task("bench", len(images))

    def step(t: int, image: Image) -> Box:
        return teacher.track(image) if t else teacher.start(image, first, task)

    # Compiled code is read from its cache, or compiled, once per machine.
    for t in range(11):
        step(t, cv2.imread(images[0]))
    timed(images, cv2.imread, step, out)


def write_weights(path: Path) -> Path:
    """Random weights of the published shapes, scaled so that activations neither vanish nor explode."""
    import torch

    sys.path.insert(0, str(ROOT))
    from teachers.eco.deep.network import TwoNetworks

    generator = torch.Generator().manual_seed(0)
    state = TwoNetworks().state_dict()
    for key, value in state.items():
        if value.ndim > 1:
            state[key] = torch.randn(value.shape, generator=generator) * (2 / value[0].numel()) ** 0.5
    torch.save(state, path)
    return path


if __name__ == "__main__":
    if sys.argv[1:2] == ["--only"]:
        only(*sys.argv[2:])
    else:
        main(tyro.cli(Options, description=__doc__))
