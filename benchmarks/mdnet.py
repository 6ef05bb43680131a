"""How long MDNet takes to start and per frame, beside the authors' own code.

Example:
    python benchmarks/mdnet.py --threads 1 2 --checkout ../py-MDNet

Every measurement is a process of its own on the same images with the same weights; without `--weights` these are
random, which costs the same. The authors' code needs scikit-learn, PyYAML, Pillow and matplotlib beside its checkout.
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
    """Time MDNet, and py-MDNet beside it."""

    checkout: Path | None = None
    """A checkout of py-MDNet; without one only ours is timed."""

    weights: Path | None = None
    """A checkpoint (mdnet_imagenet_vid.pth); random weights without one."""

    threads: tuple[int, ...] = (1, 2)
    """Numbers of threads."""

    device: str = "cpu"
    """Where both run."""

    frames: int = 12
    """Length of the video; the classifier is updated at every tenth frame."""

    upstream_batch: int = 256
    """Patches per call in py-MDNet; 256 is its own setting, 32 is faster on a CPU."""


def main(options: Options) -> None:
    """Print one row per program and number of threads."""
    with tempfile.TemporaryDirectory() as folder:
        images = write_video(Path(folder), options.frames)
        weights = options.weights or write_weights(Path(folder) / "weights.pth")
        print("| program | threads | start, s | median frame, s | later frames, s | largest difference, px |")
        print("|---|---:|---:|---:|---:|---:|")
        for threads in options.threads:
            ours = measured(
                [__file__, "--only", str(weights), str(threads), options.device], images, folder, threads
            )
            row("this project", threads, ours, None)
            if options.checkout:
                script = str(Path(__file__).with_name("mdnet_upstream.py"))
                given = [str(options.checkout), str(weights), str(options.upstream_batch), str(threads)]
                given += [options.device, "0", ",".join(map(str, BOX))]
                theirs = measured([script, *given], images, folder, threads)
                name = f"py-MDNet, batches of {options.upstream_batch}"
                row(name, threads, theirs, largest_difference(ours, theirs))


def row(name: str, threads: int, result: Result, difference: float | None) -> None:
    """Print a measurement."""
    seconds = np.array(result["seconds"])
    shown = "" if difference is None else f"{difference:.1e}"
    print(
        f"| {name} | {threads} | {seconds[0]:.1f} | {np.median(seconds[1:]):.3f} | {seconds[1:].sum():.2f} | {shown} |",
        flush=True,
    )


def only(weights: str, threads: str, device: str, out: str, *images: str) -> None:
    """Time this project's MDNet: the child process."""
    sys.path.insert(0, str(ROOT))
    from teachers.base import Box, Task
    from teachers.mdnet import Mdnet

    set_threads(threads)
    teacher = Mdnet(Path(weights), device=device)
    first, task = np.array(BOX, np.float32), Task("bench", len(images))

    def step(t: int, path: str) -> Box:
        # Reading counts, as it does in py-MDNet, whose loop cannot be timed without it.
        image = cv2.imread(path)
        return teacher.track(image) if t else teacher.start(image, first, task)

    timed(images, str, step, out)


def write_weights(path: Path) -> Path:
    """Random weights of the published shapes, scaled so that activations neither vanish nor explode."""
    import torch

    sys.path.insert(0, str(ROOT))
    from teachers.mdnet.network import Network

    generator = torch.Generator().manual_seed(0)
    state = {
        key: torch.randn(v.shape, generator=generator) * ((2 / v[0].numel()) ** 0.5 if v.ndim > 1 else 0.01)
        for key, v in Network().state_dict().items()
    }
    state["conv1.0.weight"] *= 0.2
    torch.save({"shared_layers": state}, path)
    return path


if __name__ == "__main__":
    if sys.argv[1:2] == ["--only"]:
        only(*sys.argv[2:])
    else:
        main(tyro.cli(Options, description=__doc__))
