"""How long MDNet takes to start and per frame, beside the authors' own code.

Example:
    python benchmarks/mdnet.py --threads 1 2 --checkout ../py-MDNet

Every measurement is a process of its own on the same images with the same weights; without `--weights` these are
random, which costs the same. The authors' code needs scikit-learn, PyYAML, Pillow and matplotlib beside its checkout.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tyro

BOX = (90.0, 80.0, 48.0, 64.0)


@dataclass(frozen=True)
class Options:
    """Time MDNet on the CPU, and py-MDNet beside it."""

    checkout: Path | None = None
    """A checkout of py-MDNet; without one only ours is timed."""

    weights: Path | None = None
    """A checkpoint (mdnet_imagenet_vid.pth); random weights without one."""

    threads: tuple[int, ...] = (1, 2)
    """Numbers of threads."""

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
            ours = measured([__file__, "--only", str(weights), str(threads)], images, folder, threads)
            row("this project", threads, ours, None)
            if options.checkout:
                script = str(Path(__file__).with_name("mdnet_upstream.py"))
                given = [str(options.checkout), str(weights), str(options.upstream_batch), str(threads), "0"]
                theirs = measured([script, *given, ",".join(map(str, BOX))], images, folder, threads)
                difference = np.abs(np.subtract(ours["boxes"], theirs["boxes"])).max()
                row(f"py-MDNet, batches of {options.upstream_batch}", threads, theirs, float(difference))


def row(name: str, threads: int, result: dict[str, list[float]], difference: float | None) -> None:
    """Print a measurement; result["times"] holds when the start began, when it ended, and each frame's end."""
    seconds = np.diff(result["times"])
    shown = "" if difference is None else f"{difference:.1e}"
    print(
        f"| {name} | {threads} | {seconds[0]:.1f} | {np.median(seconds[1:]):.3f} | {seconds[1:].sum():.2f} | {shown} |",
        flush=True,
    )


def measured(command: list[str], images: list[str], folder: str, threads: int) -> dict[str, list[float]]:
    """Run a program in a process of its own; its first line of arguments is followed by OUT.json and the images."""
    out = Path(folder) / "out.json"
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    finished = subprocess.run(
        [sys.executable, *command, str(out), *images],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if finished.returncode:
        sys.exit(f"{command[0]} failed:\n{finished.stderr}")
    result: dict[str, list[float]] = json.loads(out.read_text())
    return result


def only(weights: str, threads: str, out: str, *images: str) -> None:
    """Time this project's MDNet: the child process."""
    import torch

    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from teachers.base import Task
    from teachers.mdnet import Mdnet

    torch.set_num_threads(int(threads))
    cv2.setNumThreads(int(threads))
    teacher = Mdnet(Path(weights))
    times = [time.perf_counter()]
    boxes = []
    for t, path in enumerate(images):
        image = cv2.imread(path)
        boxes.append(
            teacher.track(image)
            if t
            else teacher.start(image, np.array(BOX, np.float32), Task("bench", len(images)))
        )
        times.append(time.perf_counter())
    Path(out).write_text(json.dumps({"times": times, "boxes": np.asarray(boxes, float).tolist()}))


def write_video(folder: Path, length: int) -> list[str]:
    """A textured target that moves over a textured background, 640 x 360."""
    r = np.random.default_rng(0)
    ground = cv2.resize(r.integers(0, 256, (45, 80, 3), dtype=np.uint8), (640, 360))
    target = cv2.resize(
        r.integers(0, 256, (8, 6, 3), dtype=np.uint8), (48, 64), interpolation=cv2.INTER_NEAREST
    )
    paths = []
    for t in range(length):
        noise = r.integers(-6, 7, ground.shape)
        frame = np.clip(ground + noise, 0, 255).astype(np.uint8)
        frame[80 + t : 144 + t, 90 + 3 * t : 138 + 3 * t] = target
        paths.append(str(folder / f"{t:04d}.png"))
        cv2.imwrite(paths[-1], frame)
    return paths


def write_weights(path: Path) -> Path:
    """Random weights of the published shapes, scaled so that activations neither vanish nor explode."""
    import torch

    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
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
