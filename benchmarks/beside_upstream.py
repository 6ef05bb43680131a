"""Timing a tracker beside its authors' code: one video, and for each program a process of its own that measures itself.

What `mdnet.py` and `eco_deep.py` have in common, in the process that compares and in those that are compared.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np

BOX = (90.0, 80.0, 48.0, 64.0)
"""The target in frame 0."""

ROOT = Path(__file__).resolve().parent.parent
"""The project: what a process puts into `sys.path` to import it."""

Result = dict[str, list[float]]
"""`seconds` and `cpu` of the start and of each frame, and `boxes`; py-MDNet's has no `cpu`."""

Frame = TypeVar("Frame")


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


def measured(command: list[str], images: list[str], folder: str, threads: int) -> Result:
    """Run a program in a process of its own; its first line of arguments is followed by OUT.json and the images."""
    out = Path(folder) / "out.json"
    libraries = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    finished = subprocess.run(
        [sys.executable, *command, str(out), *images],
        env={**os.environ, **dict.fromkeys(libraries, str(threads))},
        capture_output=True,
        text=True,
        check=False,
    )
    if finished.returncode:
        sys.exit(f"{command[0]} failed:\n{finished.stderr}")
    result: Result = json.loads(out.read_text())
    return result


def largest_difference(one: Result, other: Result) -> float:
    """Between two programs' boxes, in pixels."""
    return float(np.abs(np.subtract(one["boxes"], other["boxes"])).max())


def set_threads(threads: str) -> None:
    """Of the libraries that have a call for it, in the process that is measured."""
    import torch

    torch.set_num_threads(int(threads))
    cv2.setNumThreads(int(threads))


def timed(
    images: Sequence[str], read: Callable[[str], Frame], step: Callable[[int, Frame], Any], out: str | Path
) -> None:
    """Run a tracker over a video and write its `Result`, in the process that is measured.

    Args:
        images: Paths.
        read: Gives a path's frame; does not count.
        step: Gives the box of frame t, (4,): starts the tracker where t is 0. Counts.
        out: The JSON file to write.
    """
    seconds, cpu, boxes = [], [], []
    for t, path in enumerate(images):
        frame = read(path)
        began = time.perf_counter(), time.process_time()
        boxes.append(step(t, frame))
        seconds.append(time.perf_counter() - began[0])
        cpu.append(time.process_time() - began[1])
    write(out, {"seconds": seconds, "cpu": cpu, "boxes": np.asarray(boxes, float).tolist()})


def write(out: str | Path, result: Result) -> None:
    """Hand a result to the process that compares."""
    Path(out).write_text(json.dumps(result))
