"""Training steps (frames of a student) per second: one batched learner against the paper's independent processes.

Example:
    python benchmarks/training_speed.py --data data/transfer/P-0.5.h5 --backbones tiny small resnet18 --cores 1 2
    python benchmarks/training_speed.py --data data/transfer/P-0.5.h5 --device cuda --backbones resnet18 --cores 16 \
        --students 24 96 384 --precisions float32 bfloat16 --schemes ours compiled --rounds 1

`paper` is `hogwild.py`, Section 3.3 written down plainly; `ours` is `trainer.learner`. Losses, crops, network, windows
and recipe (tras-no-curr: whole windows, half of the students distil) are the same. Both make the same number of updates
per student, in turns, on the same cores, with one PyTorch thread per process in `paper` and as many as there are cores
in `ours`; what comes before is not counted. `CPU` counts all processes' time on the processor, which says what the work
costs where other programs take the cores away.
`compiled` is `ours` with machine.compile, `processes` is `ours` under torchrun, in as many processes as there are
cores. Updates before the clock runs let a GPU's libraries load, and the compiler work. The shares are of a run of
`ours` with one thread. On a GPU they are of wall time between synchronisations, which slow the run down, and `decode`
is what the learner waits for the threads that decode. Prints Markdown.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import tyro
from hogwild import independent, wait

from trainer import episodes, interactions
from trainer.backbones import BackboneName
from trainer.episodes import Reader
from trainer.first_student import first_student
from trainer.interactions import Interactions
from trainer.learner import Learner
from trainer.options import MachineOptions, OptimiserOptions, TrainOptions
from trainer.pages import keep_pages
from trainer.processes import join
from trainer.student import StudentOptions
from trainer.windows import open_windows

Scheme = Literal["paper", "ours", "compiled", "processes", "shares"]
Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class Benchmark:
    """Frames per second of the two schemes, and where the time goes."""

    data: Path
    """A transfer set."""
    backbones: tuple[BackboneName, ...] = ("tiny",)
    """The students' branches."""
    width: int = 512
    """Neurons of their layers."""
    students: tuple[int, ...] = (24,)
    """S; the paper's scheme has a process for each."""
    cores: tuple[int, ...] = (1, 2)
    """Cores that either may use."""
    updates: int = 20
    """Per student and measurement."""
    warm_up: int = 2
    """Updates before it."""
    rounds: int = 3
    """Turns of each; the best wall time and the median processor time count."""
    device: str = "cpu"
    """Where the networks are."""
    precisions: tuple[Precision, ...] = ("float32",)
    """Of the networks in every scheme; bfloat16 is mixed precision."""
    schemes: tuple[Scheme, ...] = ("paper", "ours", "shares")
    """What is measured; `times` is by how much the others surpass the first."""
    only: tuple[Scheme, BackboneName, int, int, Precision] | None = None
    """Used by the program itself."""

    def run(self) -> int:
        """Measure and print."""
        if self.only:
            cores = self.only[2]
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
            measured = self._measure(*self.only)
            if os.environ.get("RANK", "0") == "0":
                print(json.dumps(measured))
            return 0
        cases = list(itertools.product(self.backbones, self.cores, self.students, self.precisions))
        compared = [scheme for scheme in self.schemes if scheme != "shares"]
        if compared:
            units = [f"{scheme}, {unit}" for unit in ("frames/s", "frames per CPU s") for scheme in compared]
            _row("backbone", "cores", "students", "precision", *units, "times, frames/s", "times, per CPU s")
            _row(*["---"] * (len(units) + 6))
        for case in cases if compared else ():
            found: dict[str, list[dict[str, float]]] = {scheme: [] for scheme in compared}
            for _ in range(self.rounds):
                for scheme, turns in found.items():
                    turns.append(self._apart(scheme, *case))
            wall = [max(turn["wall"] for turn in turns) for turns in found.values()]
            cpu = [statistics.median(turn["cpu"] for turn in turns) for turns in found.values()]
            times = (", ".join(f"{rate / rates[0]:.1f}" for rate in rates[1:]) for rates in (wall, cpu))
            _row(*case, *(f"{rate:.0f}" for rate in (*wall, *cpu)), *times)
        if "shares" in self.schemes:
            print()
            _row("backbone", "students", "precision", *PARTS, "rest")
            _row(*["---"] * (len(PARTS) + 4))
            # On a GPU as many cores decode as would; else one core does all.
            cores = max(self.cores) if self.device.startswith("cuda") else 1
            for backbone, students, precision in dict.fromkeys((b, s, p) for b, _, s, p in cases):
                shares = self._apart("shares", backbone, cores, students, precision)
                _row(backbone, students, precision, *(f"{share:.0%}" for share in shares.values()))
        return 0

    def _apart(
        self, scheme: str, backbone: str, cores: int, students: int, precision: str
    ) -> dict[str, float]:
        """A measurement in a process of its own."""
        same = [
            f"--{name.replace('_', '-')}={getattr(self, name)}"
            for name in ("data", "width", "updates", "warm_up", "device")
        ]
        case = [scheme, backbone, str(cores), str(students), precision]
        python = [sys.executable]
        if scheme == "processes":
            python += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(cores)]
        command = [*python, __file__, *same, "--only", *case]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return result

    def _measure(
        self, scheme: Scheme, backbone: BackboneName, cores: int, students: int, precision: Precision
    ) -> dict[str, float]:
        options = TrainOptions(
            recipe="tras-no-curr",
            students=students,
            imagenet="none",
            student=StudentOptions(backbone, self.width),
            optimiser=OptimiserOptions(1e-4, "none"),
            machine=MachineOptions(
                device=self.device, precision=precision, readers=cores, compile=scheme == "compiled"
            ),
        )
        if scheme == "paper":
            return independent(self.data, options, self.updates, self.warm_up)
        torch.set_num_threads(1 if scheme in {"shares", "processes"} else cores)
        return together(self.data, options, self.updates, self.warm_up, scheme == "shares")


def _row(*cells: object) -> None:
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def together(data: Path, options: TrainOptions, updates: int, warm_up: int, shares: bool) -> dict[str, float]:
    """Our learner; rates, or the shares of its time."""
    keep_pages()
    processes = join(options.machine.device)
    device = processes.device
    with ExitStack() as stack:
        stack.callback(processes.leave)
        windows = open_windows([data])
        stack.callback(windows.close)
        if shares:
            spent = clock(device)
        share = options.students // processes.count
        numbers = list(range(processes.rank * share, (processes.rank + 1) * share))
        reader = stack.enter_context(Reader(options, windows, device))
        student = first_student(options).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        width = options.student.width
        now = Interactions(options, reader, numbers, windows.length, width, [False] * len(numbers), device)
        now.begin()
        learner = Learner(student, now, numbers, options, processes)
        for _ in range(warm_up):
            learner.update()
        if shares:
            timed(learner, "_answer", "forward", spent, device)
            timed(torch.Tensor, "backward", "backward", spent, device)
            timed(learner.optimiser, "step", "optimiser", spent, device)
            spent.clear()
        wait(device)
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(updates):
            learner.update()
        wait(device)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    if shares:
        whole = wall if device.type == "cuda" else cpu
        parts = {name: spent[name] / whole for name in PARTS}
        return {**parts, "rest": 1 - sum(parts.values())}
    frames = updates * options.segment * options.students
    return {"wall": frames / wall, "cpu": frames / (cpu * processes.count)}


PARTS = ("decode", "crop", "forward", "backward", "optimiser")


def clock(device: torch.device) -> dict[str, float]:
    """Seconds by part, of what the modules of the trainer call by name."""
    spent: dict[str, float] = defaultdict(float)
    if device.type == "cuda":
        timed(Reader, "take", "decode", spent, device)
    else:
        timed(episodes, "load", "decode", spent, device)  # in its own thread
    timed(interactions, "crop_batch", "crop", spent, device)
    return spent


def timed(owner: Any, name: str, part: str, spent: dict[str, float], device: torch.device) -> None:  # noqa: ANN401
    """Count the time of a function under a name."""
    function: Callable[..., Any] = getattr(owner, name)
    seconds = time.perf_counter if device.type == "cuda" else time.thread_time

    @functools.wraps(function)
    def counted(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        wait(device)
        began = seconds()
        result = function(*args, **kwargs)
        wait(device)
        spent[part] += seconds() - began
        return result

    setattr(owner, name, counted)


if __name__ == "__main__":
    sys.exit(tyro.cli(Benchmark, config=(tyro.conf.FlagCreatePairsOff,)).run())
