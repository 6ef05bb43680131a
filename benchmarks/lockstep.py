"""Many videos at once against one video at a time, as a worker of the track stage runs them.

Reading and decoding the images, tracking and judging every box count; starting the process, loading the network and
one video to warm up do not. Nothing is abandoned. Rows with many slots track the videos several times over, so that
the slots stay full; the last column tells whether the trajectories are the same bytes as in the first row. CPU time
per frame is of all threads together, which a busy machine disturbs less than the frames per second. With `--published`
the networks have the published sizes and random weights, which changes no cost (SiamRPN's boxes hardly move);
otherwise they are the project's own slim ones. Deep ECO has no slim one: its weights are always random. `--together`
has it step many videos on the CPU as it does on a GPU, the first row being one slot of that.

Example:
    python benchmarks/lockstep.py --cpu-slots 1 4 16
    python benchmarks/lockstep.py --published --teachers siamrpn mdnet --videos 300
    python benchmarks/lockstep.py --published --teachers siamrpn --upstream ~/pysot --gpu-processes 1 4 8
    python benchmarks/lockstep.py --teachers eco-deep --together --videos 16 --max-length 30
"""

from __future__ import annotations

import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import torch
from eco_deep import write_weights
from siamrpn import calm_weights

from datasets import open_dataset
from datasets.command_line import run_only_command
from datasets.processes import cores, worker_processes
from datasets.synthetic import SyntheticOptions, write_synthetic
from pipeline.follow import Job, Outcome, run_job
from pipeline.lockstep import run_in_lockstep
from pipeline.plan import Plan
from pipeline.trajectories import Status
from teachers.mdnet.network import Network, Widths
from teachers.siamrpn.variants import VARIANTS


@dataclass(frozen=True)
class _First:
    """What the rows are compared with, by device: the rate of the first, upstream's where it runs; our first boxes."""

    rates: dict[str, float] = field(default_factory=dict)
    trajectories: dict[str, list[bytes]] = field(default_factory=dict)


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
    """Procedural videos."""

    per_slot: int = 3
    """Videos that a slot tracks, at least."""

    max_length: int = 60
    """Frames of the longest video."""

    size: tuple[int, int] = (640, 480)
    """Width and height of the images."""

    cpu_slots: tuple[int, ...] = (1, 4, 16)
    """Slots on the CPU; 1 is one video at a time, without the engine of many."""

    gpu_slots: tuple[int, ...] = (1, 16, 64, 256)
    """Slots on a GPU."""

    gpu_processes: tuple[int, ...] = (1,)
    """Processes that share a GPU, each with as many slots: `executor.devices: [cuda:0, cuda:0]` has two."""

    upstream: Path | None = None
    """A checkout of pysot, py-MDNet or pytracking, for one teacher: its row is upstream's own loop, one video after
    the other, on the first of the devices that have slots here."""

    decoders: int = 1
    """Threads that decode images."""

    repetitions: int = 1
    """Runs of each row, of which the fastest counts."""

    def run(self) -> int:
        """Print a markdown table."""
        heads = ["teacher", "device", "processes", "slots", "frames", "frames/s", "times one"]
        heads += ["CPU ms per frame", "same bytes"]
        print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
        where = [("cpu", 1, self.cpu_slots)]
        if torch.cuda.is_available():
            where += [("cuda", processes, self.gpu_slots) for processes in self.gpu_processes]
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            synthetic = SyntheticOptions(
                videos=self.videos, seed=1, max_length=self.max_length, image_size=self.size
            )
            write_synthetic(folder / "videos", synthetic, workers=cores())
            for name in self.teachers:
                options = self._options(name, folder)
                first = _First()
                if self.upstream is not None:
                    self._upstream_row(name, self.upstream, options["weights"], folder, where, first)
                for device, processes, slots in where:
                    jobs = _jobs(f"got10k:{folder / 'videos'}:train", name, {**options, "device": device})
                    for count in slots:
                        self._row(name, device, processes, count, jobs, first)
        return 0

    def _row(
        self, name: str, device: str, processes: int, slots: int, jobs: list[Job], first: _First
    ) -> None:
        wanted = processes * slots * self.per_slot
        these = [*jobs, *(jobs[i % len(jobs)] for i in range(len(jobs), wanted))]
        one_by_one = device == "cpu" and slots == 1 and not self.together
        plan = None if one_by_one else Plan(slots, (), max(1, self.decoders // processes))
        runs = [_timed(these, plan, processes) for _ in range(self.repetitions)]
        seconds, cpu, outcomes = min(runs, key=lambda measured: measured[0])
        trajectories = [outcome.trajectory for outcome in outcomes]
        frames = sum(map(len, trajectories))
        failed = sum(run.status is Status.FAILED for run in trajectories)
        found = [run.boxes.tobytes() + run.overlap.tobytes() for run in trajectories[: len(jobs)]]
        base = first.rates.setdefault(device, frames / seconds)
        reference = first.trajectories.setdefault(device, found)
        cells = [name, device, processes, slots, f"{frames}" + (f" ({failed} failed)" if failed else "")]
        cells += [f"{frames / seconds:.1f}", f"{frames / seconds / base:.2f}", f"{1e3 * cpu / frames:.1f}"]
        cells += ["yes" if found == reference else "no"]
        print("| " + " | ".join(map(str, cells)) + " |", flush=True)

    def _upstream_row(
        self,
        name: str,
        checkout: Path,
        weights: str,
        folder: Path,
        where: list[tuple[str, int, tuple[int, ...]]],
        first: _First,
    ) -> None:
        device = next(device for device, _, slots in where if slots)
        out = folder / "upstream.json"
        command = [str(Path(__file__).with_name("upstream_videos.py")), name, str(checkout), weights, device]
        finished = subprocess.run(
            [sys.executable, *command, f"got10k:{folder / 'videos'}:train", str(out)],
            capture_output=True,
            text=True,
            check=False,
        )
        if finished.returncode:
            sys.exit(f"upstream failed:\n{finished.stderr}")
        found = json.loads(out.read_text())
        seconds, cpu, frames = found["seconds"], found["cpu"], found["frames"]
        first.rates[device] = frames / seconds
        rates = [f"{frames / seconds:.1f}", "1.00", f"{1e3 * cpu / frames:.1f}"]
        cells = [f"{name}, upstream", device, "1", "one video", str(frames), *rates, ""]
        print("| " + " | ".join(cells) + " |", flush=True)

    def _options(self, name: str, folder: Path) -> dict[str, Any]:
        if name == "eco-deep":
            return {"weights": str(write_weights(folder / "eco.pth")), "together": self.together or None}
        if not self.published:
            return {}
        torch.manual_seed(0)
        if name == "siamrpn":
            state = calm_weights(VARIANTS["siamrpn_alex_dwxcorr"].build())
        elif name == "mdnet":
            state = Network(Widths()).state_dict()
        else:
            raise ValueError(f"--published knows siamrpn, mdnet and eco-deep, not {name!r}")
        path = folder / f"{name}.pth"
        torch.save({"shared_layers": state} if name == "mdnet" else state, path)
        return {"weights": str(path)}


def _jobs(spec: str, use: str, options: dict[str, Any]) -> list[Job]:
    """One job per video, the longest first as in the stage."""
    videos = sorted(open_dataset(spec), key=lambda video: -len(video))
    written = json.dumps(options, sort_keys=True)
    return [Job(spec, None, video.name, video.digest(), use, written, None) for video in videos]


def _timed(jobs: list[Job], plan: Plan | None, processes: int) -> tuple[float, float, list[Outcome]]:
    """Seconds, seconds of CPU, and the outcomes in the order of the jobs.

    Every process is a worker as the track stage has them, each computing with one thread; all begin together, each
    with as even a share of the jobs, after its shortest video. Seconds are from the first's start to the last's end.
    """
    barrier = multiprocessing.get_context("spawn").Barrier(processes)
    with worker_processes(processes, partial(_wait_at, barrier)) as pool:
        shares = list(pool.map(_share, [jobs[i::processes] for i in range(processes)], [plan] * processes))
    outcomes: list[Outcome | None] = [None] * len(jobs)
    for i, share in enumerate(shares):
        outcomes[i::processes] = share[3]
    seconds = max(share[1] for share in shares) - min(share[0] for share in shares)
    return seconds, sum(share[2] for share in shares), [o for o in outcomes if o is not None]


_BARRIERS: list[Barrier] = []


def _wait_at(barrier: Barrier) -> None:
    _BARRIERS.append(barrier)


def _share(jobs: list[Job], plan: Plan | None) -> tuple[float, float, float, list[Outcome]]:
    """When it began and ended, by a clock of all processes, its seconds of CPU, and what came out."""
    run = run_job if plan is None else partial(run_in_lockstep, plan=plan)
    run(jobs[-1])
    _BARRIERS[0].wait()
    began, cpu = time.perf_counter(), time.process_time()
    if plan is None:
        outcomes = [run(job) for job in jobs]
    else:
        with ThreadPoolExecutor(plan.threads) as pool:
            outcomes = list(pool.map(run, jobs))
    return began, time.perf_counter(), time.process_time() - cpu, outcomes


if __name__ == "__main__":
    sys.exit(run_only_command(Command, "python benchmarks/lockstep.py"))
