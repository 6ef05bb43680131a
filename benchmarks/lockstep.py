"""Many videos at once against one video at a time, as a worker of the track stage runs them.

Reading and decoding the images, tracking and judging every box count; starting the process, loading the network and
one video to warm up do not. Nothing is abandoned, so that every row tracks the same frames; the last column tells
whether the trajectories are the same bytes as with one slot. CPU time per frame is of all threads together, which a
busy machine disturbs less than the frames per second. With `--published` the networks have the published sizes and
random weights, which changes no cost (and SiamRPN's boxes are wild); otherwise they are the project's own slim ones.
Deep ECO has no slim one: its weights are always random. `--together` has it step many videos on the CPU as it does on a
GPU, the first row being one slot of that.

Example:
    python benchmarks/lockstep.py --cpu-slots 1 4 16
    python benchmarks/lockstep.py --published --teachers siamrpn mdnet --videos 300
    python benchmarks/lockstep.py --teachers eco-deep --together --videos 16 --max-length 30
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from eco_deep import write_weights

from datasets import open_dataset
from datasets.command_line import run_only_command
from datasets.synthetic import SyntheticOptions, write_synthetic
from pipeline.follow import Job, Outcome, run_job
from pipeline.lockstep import run_in_lockstep
from pipeline.plan import Plan
from pipeline.trajectories import Status
from teachers.mdnet.network import Network, Widths
from teachers.siamrpn.variants import VARIANTS


@dataclass(frozen=True)
class Command:
    """Time a worker of the track stage at several numbers of slots, on the CPU, and on a GPU where there is one.

    Example:
        python benchmarks/lockstep.py --teachers siamrpn --cpu-slots 1 4 16
    """

    teachers: tuple[str, ...] = ("siamrpn", "mdnet")
    """Teachers to time."""

    published: bool = False
    """Networks of the published sizes, with random weights."""

    together: bool = False
    """Deep ECO's slots are stepped together on the CPU too."""

    videos: int = 24
    """Procedural videos; a GPU is only busy with several times as many as it has slots."""

    max_length: int = 60
    """Frames of the longest video."""

    width: int = 640
    """Of the images; they are three quarters as high."""

    cpu_slots: tuple[int, ...] = (1, 4, 16)
    """Slots on the CPU; 1 is one video at a time, without the engine of many."""

    gpu_slots: tuple[int, ...] = (1, 16, 64, 256)
    """Slots on a GPU."""

    decoders: int = 1
    """Threads that decode images."""

    repetitions: int = 1
    """Runs of each row, of which the fastest counts."""

    def run(self) -> int:
        """Print a markdown table."""
        print("| teacher | device | slots | frames | frames/s | times one | CPU ms per frame | same bytes |")
        print("|---|---|---|---|---|---|---|---|")
        where = [("cpu", self.cpu_slots)] + ([("cuda", self.gpu_slots)] if torch.cuda.is_available() else [])
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            size = (self.width, self.width * 3 // 4)
            synthetic = SyntheticOptions(
                videos=self.videos, seed=1, max_length=self.max_length, image_size=size
            )
            write_synthetic(folder / "videos", synthetic, workers=1)
            for name in self.teachers:
                options = self._options(name, folder)
                for device, slots in where:
                    jobs = _jobs(f"got10k:{folder / 'videos'}:train", name, {**options, "device": device})
                    self._rows(name, device, slots, jobs)
        return 0

    def _rows(self, name: str, device: str, slots: tuple[int, ...], jobs: list[Job]) -> None:
        reference, base = b"", 0.0
        for count in slots:
            plan = Plan(count, (), self.decoders)
            seconds, cpu, outcomes = min(
                (
                    _timed(jobs, plan, one_by_one=device == "cpu" and count == 1 and not self.together)
                    for _ in range(self.repetitions)
                ),
                key=lambda measured: measured[0],
            )
            runs = [outcome.trajectory for outcome in outcomes]
            frames = sum(map(len, runs))
            failed = sum(run.status is Status.FAILED for run in runs)
            found = b"".join(run.boxes.tobytes() + run.overlap.tobytes() for run in runs)
            reference, base = reference or found, base or frames / seconds
            cells = [name, device, count, f"{frames}" + (f" ({failed} videos failed)" if failed else "")]
            cells += [
                f"{frames / seconds:.1f}",
                f"{frames / seconds / base:.2f}",
                f"{1e3 * cpu / frames:.1f}",
            ]
            cells += ["yes" if found == reference else "no"]
            print("| " + " | ".join(map(str, cells)) + " |", flush=True)

    def _options(self, name: str, folder: Path) -> dict[str, Any]:
        if name == "eco-deep":
            return {"weights": str(write_weights(folder / "eco.pth")), "together": self.together or None}
        if not self.published:
            return {}
        torch.manual_seed(0)
        if name == "siamrpn":
            state = VARIANTS["siamrpn_alex_dwxcorr"].build().state_dict()
        elif name == "mdnet":
            state = Network(Widths()).state_dict()
        else:
            raise ValueError(f"--published knows siamrpn, mdnet and eco-deep, not {name!r}")
        path = folder / f"{name}.safetensors"
        safetensors.torch.save_file({key: value.contiguous() for key, value in state.items()}, path)
        return {"weights": str(path)}


def _jobs(spec: str, use: str, options: dict[str, Any]) -> list[Job]:
    """One job per video, the longest first as in the stage."""
    videos = sorted(open_dataset(spec), key=lambda video: -len(video))
    written = json.dumps(options, sort_keys=True)
    return [Job(spec, None, video.name, video.digest(), use, written, None) for video in videos]


def _timed(jobs: list[Job], plan: Plan, one_by_one: bool) -> tuple[float, float, list[Outcome]]:
    """Seconds, seconds of CPU, and the outcomes in the order of the jobs; the shortest video comes before that."""
    run = run_job if one_by_one else partial(run_in_lockstep, plan=plan)
    run(jobs[-1])
    began, cpu = time.perf_counter(), time.process_time()
    if one_by_one:
        outcomes = [run(job) for job in jobs]
    else:
        with ThreadPoolExecutor(plan.threads) as pool:
            outcomes = list(pool.map(run, jobs))
    return time.perf_counter() - began, time.process_time() - cpu, outcomes


if __name__ == "__main__":
    sys.exit(run_only_command(Command, "python benchmarks/lockstep.py"))
