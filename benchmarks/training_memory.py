"""Memory of training on a set far larger than memory: it stays flat.

Example:
    python benchmarks/training_memory.py --gigabytes 4 --limit 2 --updates 60

Writes a transfer set of whole source images (480x360, noise, so that every frame is distinct and none compresses) into
a scratch folder, then learns from it in a process whose own memory (RLIMIT_DATA) may not exceed the limit. Prints the
process's memory over time: `anonymous` is what it allocated, `files` the pages of libraries and files that it maps,
which the system takes back when it needs them; the page cache is in neither. What a run holds decoded are two windows
of every student, this episode's and the next one's: with whole images 24 x 64 of them (0.8 GB here).
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import simplejpeg
import torch
import tyro

from datasets.transfer.encoding import Encoding, encode_video
from datasets.transfer.record import Provenance, TransferSet
from datasets.transfer.writer import FramesWriter, write_set
from datasets.video import Video, absence
from trainer.learner import Learner
from trainer.options import LogOptions, MachineOptions, OptimiserOptions, TrainOptions, ValidationOptions
from trainer.pages import keep_pages
from trainer.student import StudentOptions
from trainer.train import train

WIDTH, HEIGHT, LENGTH = 480, 360, 32


@dataclass(frozen=True)
class Benchmark:
    """Resident memory while learning from a set larger than the memory allowed."""

    gigabytes: float = 4.0
    """Size of the set."""
    limit: float = 2.0
    """What the process may allocate, in gigabytes."""
    updates: int = 60
    """Updates."""
    every: int = 10
    """Updates between lines."""
    threads: int = 1
    """PyTorch's threads."""
    only: Path | None = None
    """Used by the program itself: the set."""

    def run(self) -> int:
        """Write the set and measure in a process of its own."""
        if self.only:
            self._learn(self.only)
            return 0
        with tempfile.TemporaryDirectory(dir=".") as folder:
            path = written(Path(folder), self.gigabytes)
            size = (path.parent / "frames.h5").stat().st_size
            print(f"set: {size / 1e9:.2f} GB; limit of the process: {self.limit} GB", flush=True)
            same = [f"--{name}={getattr(self, name)}" for name in ("limit", "updates", "every", "threads")]
            subprocess.run([sys.executable, __file__, *same, "--only", str(path)], check=True)
        return 0

    def _learn(self, path: Path) -> None:
        most = int(self.limit * 1e9)
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
        torch.set_num_threads(self.threads)
        keep_pages()
        options = TrainOptions(
            recipe="tras-no-curr",
            imagenet="none",
            student=StudentOptions("tiny", 256),
            optimiser=OptimiserOptions(1e-4, "none", updates=self.updates),
            validation=ValidationOptions(every=10**9),
            machine=MachineOptions(device="cpu", threads=self.threads),
            log=LogOptions(every=10**9, checkpoint=10**9),
        )
        real, began = Learner.update, time.monotonic()
        print(
            "| updates | seconds | anonymous, MB | files, MB | read from the set, GB |\n|---|---|---|---|---|"
        )

        def noted(learner: Learner, stop: bool = False) -> bool:
            result = real(learner, stop)
            if learner.updates == 1 or learner.updates % self.every == 0:
                own, files = resident()
                passed = time.monotonic() - began
                print(
                    f"| {learner.updates} | {passed:.0f} | {own:.0f} | {files:.0f} | {read():.2f} |",
                    flush=True,
                )
            return result

        Learner.update = noted  # type: ignore[method-assign]
        with tempfile.TemporaryDirectory() as out:
            train([path], Path(out) / "run", options)


def written(folder: Path, gigabytes: float) -> Path:
    """A transfer set of whole noisy images, each of its own; a video is one window."""
    rng = np.random.default_rng(0)
    encoding = replace(Encoding(), kind="source")
    t = np.arange(LENGTH, dtype=np.float32)
    truth = np.stack([60 + 4 * t, 80 + 2 * t, 0 * t + 100, 0 * t + 80], axis=1)
    size, names = 0, []
    with (
        FramesWriter(folder / "frames.h5", encoding) as frames,
        tempfile.TemporaryDirectory(dir=folder) as images,
    ):
        paths = [Path(images) / f"{i:08d}.jpg" for i in range(LENGTH)]
        while size < gigabytes * 1e9:
            for path in paths:
                noise = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
                size += path.write_bytes(simplejpeg.encode_jpeg(noise, quality=95))
            names.append(f"video{len(names)}")
            video = Video(names[-1], paths, truth, absence(truth), "noise")
            frames.append(encode_video(video, np.arange(LENGTH), encoding))
    n = len(names)
    truths = np.repeat(truth[None], n, axis=0)
    made = TransferSet(
        provenance=Provenance("P", ("kcf",), 0.5, 10, 5, 0, "fail", "got10k", "train", "noise", LENGTH),
        video_name=tuple(names),
        video_length=np.full(n, LENGTH, np.int32),
        object_class=("noise",) * n,
        window_video=np.arange(n, dtype=np.int32),
        window_start=np.zeros(n, np.int32),
        ground_truth=truths,
        absent=np.zeros((n, LENGTH), np.bool_),
        teacher=truths[:, :, None] + np.float32(1),
    )
    write_set(folder / "P-0.5.h5", made, folder / "frames.h5")
    return folder / "P-0.5.h5"


def resident() -> tuple[float, float]:
    """Anonymous memory of this process, and pages of files, in MB."""
    lines = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return tuple(int(lines[name].split()[0]) / 1e3 for name in ("RssAnon", "RssFile"))  # type: ignore[return-value]


def read() -> float:
    """What this process read from files so far, in GB."""
    lines = dict(line.split(":") for line in Path("/proc/self/io").read_text().splitlines())
    return int(lines["rchar"]) / 1e9


if __name__ == "__main__":
    sys.exit(tyro.cli(Benchmark, config=(tyro.conf.FlagCreatePairsOff,)).run())
