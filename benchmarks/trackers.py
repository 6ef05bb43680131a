"""TRAS, TRAST and TRASFUST: frames per second, reading not counted.

Example:
    python benchmarks/trackers.py --backbones resnet18 small tiny --threads 1 2
    python benchmarks/trackers.py --devices cuda --backbones resnet18 --threads 1 --slots 8 32 128 256

Weights are random, which changes no cost; frames are a drifting texture of 640x480 pixels. All trackers of a student
take turns, some frames each, so that whatever else the machine does hits all alike. On a machine that does other things
the fastest tenth of the frames says what the tracker takes, the median what it got; `CPU` is the processor time of
all threads, the median; frames/s are those of the fastest tenth. `plain` is TRAS by PyTorch's own layers: unfolded,
unpacked, one call of the student and two crops per frame. A step ends with the boxes on the CPU, so a GPU has
done its work when the clock is read; sending it the crops' pixels is counted. Prints a Markdown table.
"""

from __future__ import annotations

import copy
import itertools
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import tyro

from datasets.results import write_results
from teachers import pool
from teachers.base import Box, Image, Task, Teacher
from trainer import winograd
from trainer.backbones import BackboneName
from trainer.crops import crop_batch
from trainer.mdp import clip_box, transition
from trainer.student import Student, StudentOptions
from trainer.trackers import Inference, TrasBatch, TrasfustTracker, TrasTracker, TrastTracker

TURN = 10
"""Frames that a tracker takes before it is another's turn: with one each, none would find its weights in the cache."""

WIDTH, HEIGHT = 640, 480
BOX = np.array([270, 190, 110, 90], np.float32)

Step = Callable[[Image], object]
"""One frame; where a step is of several videos, of all of them."""


@dataclass(frozen=True)
class Benchmark:
    """Milliseconds per frame and frames per second of the three trackers."""

    backbones: tuple[BackboneName, ...] = ("resnet18", "small", "tiny")
    """The students' branches."""
    devices: tuple[str, ...] = ("cpu",)
    """Where the student is: cpu, cuda ..."""
    threads: tuple[int, ...] = (1, 2)
    """PyTorch's threads."""
    second: str = "mosse"
    """The teacher beside kcf in TRASFUST's pool; mosse takes an OpenCV with the contributed modules."""
    slots: tuple[int, ...] = (8, 32)
    """Videos at once of the batched TRAS."""
    frames: int = 60
    """Frames per measurement."""
    warm_up: int = 5
    """Frames before it."""

    def run(self) -> int:
        """Measure and print."""
        cv2.setNumThreads(1)
        images = drifting(self.frames + self.warm_up + 1)
        heads = [
            "student",
            "device",
            "threads",
            "tracker",
            "ms, fastest tenth",
            "ms, median",
            "CPU ms",
            "frames/s",
        ]
        print(f"| {' | '.join(heads)} |")
        print("|---" * len(heads) + "|")
        winograd.FEWEST_TILES = sys.maxsize  # `plain` has PyTorch's own layers; the others' are packed anyway
        with tempfile.TemporaryDirectory() as folder:
            specs = recordings(Path(folder), len(images))
            for backbone in self.backbones:
                torch.manual_seed(0)
                student = Student(StudentOptions(backbone=backbone)).eval()
                for device, threads in itertools.product(self.devices, self.threads):
                    torch.set_num_threads(threads)
                    for row in self._rows(student, device, images, specs):
                        print(f"| {backbone} | {device} | {threads} | {row}", flush=True)
        return 0

    def _rows(
        self, student: Student, device: str, images: Sequence[Image], recorded: Sequence[str]
    ) -> list[str]:
        inference = Inference(student, device)
        live = pool.create(["kcf", self.second])
        replayed = pool.create(recorded)
        first = next(iter(replayed))
        teachers: dict[str, Teacher] = {
            "TRAS": TrasTracker(inference),
            "kcf alone": pool.create(["kcf"])["kcf"],
            "TRAST, kcf recorded": TrastTracker(inference, first, replayed[first]),
            "TRAST, kcf live": TrastTracker(inference, "kcf", pool.create(["kcf"])["kcf"]),
            "TRASFUST, kcf and another recorded": TrasfustTracker(inference, pool.create(recorded)),
            f"TRASFUST, kcf and {self.second} live": TrasfustTracker(inference, live),
        }
        steps: dict[str, tuple[Step, int]] = {"plain TRAS": (plain(student, images[0], device), 1)}
        for name, teacher in teachers.items():
            teacher.start(images[0], BOX, Task("v", len(images)))
            steps[name] = (teacher.track, 1)
        for slots in self.slots:
            steps[f"TRAS, {slots} videos at once"] = (batched(inference, images[0], slots), slots)
        seconds: dict[str, list[float]] = {name: [] for name in steps}
        worked: dict[str, list[float]] = {name: [] for name in steps}
        for turn in range(1, len(images), TURN):
            for name, (step, videos) in steps.items():
                for number, image in enumerate(images[turn : turn + TURN], turn):
                    began, at_work = time.perf_counter(), time.process_time()
                    step(image)
                    if number > self.warm_up:
                        seconds[name].append((time.perf_counter() - began) / videos)
                        worked[name].append((time.process_time() - at_work) / videos)
        rows = []
        for name, taken in seconds.items():
            fast, median = (1e3 * float(np.quantile(taken, q)) for q in (0.1, 0.5))
            cpu = 1e3 * float(np.median(worked[name]))
            rows.append(f"{name} | {fast:.2f} | {median:.2f} | {cpu:.2f} | {1e3 / fast:.0f} |")
        return rows


def drifting(count: int) -> list[Image]:
    """Frames of a texture that drifts slowly."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (HEIGHT + 80, WIDTH + 80, 3)).astype(np.uint8)
    scene = np.asarray(cv2.GaussianBlur(noise, (0, 0), 4), np.uint8)
    walk = 40 + 30 * np.sin(np.arange(count)[:, None] * [0.05, 0.07])
    return [np.ascontiguousarray(scene[int(y) :, int(x) :][:HEIGHT, :WIDTH]) for x, y in walk]


def recordings(folder: Path, count: int) -> list[str]:
    """Results of two trackers on the video `v`, as teachers are written."""
    rng = np.random.default_rng(1)
    for name in ("kcf", "another"):
        boxes = BOX + np.cumsum(rng.normal(0, 1, (count, 4)) * [1, 1, 0, 0], axis=0)
        write_results(folder, name, "v", boxes, base=0)
    return [f"recorded:{folder}/{name},base=0" for name in ("kcf", "another")]


def plain(student: Student, image: Image, device: str) -> Step:
    """TRAS as one would write it first."""
    student = copy.deepcopy(student).to(device)
    whole, size = (torch.tensor(n, device=device) for n in ([[0, 0, WIDTH, HEIGHT]], [[WIDTH, HEIGHT]]))
    before, box, state = rgb(image, device), torch.from_numpy(BOX).to(device), student.initial_state(1)

    def step(image: Image) -> Box:
        nonlocal before, box, state
        now = rgb(image, device)
        with torch.no_grad():
            crops = [crop_batch([frame], whole, size, box[None], device=device) for frame in (before, now)]
            action, _, state = student(*crops, state)
            box = clip_box(transition(action[0].clamp(-1, 1), box), WIDTH, HEIGHT)
        before = now
        result: Box = box.cpu().numpy()
        return result

    return step


def rgb(image: Image, device: str) -> torch.Tensor:
    """A frame as `crop_batch` wants it."""
    return torch.from_numpy(np.ascontiguousarray(image[..., ::-1])).to(device)


def batched(inference: Inference, image: Image, slots: int) -> Step:
    """So many videos, each at its own place, one call per frame."""
    batch = TrasBatch(inference, slots)
    for slot in range(slots):
        batch.start(slot, image, BOX + np.array([slot, slot, 0, 0], np.float32), Task("v", 0))
    return lambda now: batch.step(dict.fromkeys(range(slots), now))


if __name__ == "__main__":
    sys.exit(tyro.cli(Benchmark, description=__doc__).run())
