"""Training steps (frames of a student) per second: one batched learner against the paper's independent processes.

Example:
    python benchmarks/training_speed.py --data data/transfer/P-0.5.h5 --backbones tiny small resnet18 --cores 1 2
    python benchmarks/training_speed.py --data data/transfer/P-0.5.h5 --device cuda --backbones resnet18 --cores 16 \
        --students 24 96 384 --precisions float32 bfloat16 --schemes ours compiled --rounds 1

`paper` is Section 3.3 written down plainly: as many processes as students, each with its own episode, weights and LSTM,
which every 5 steps sends its gradient to weights in shared memory, without a lock (Hogwild), and copies them when its
episode ends. RAdam's moments are shared as well: a set per process would be as much work for more memory.
Losses, crops, network, windows and recipe (tras-no-curr: whole windows, half of the students distil) are the same.
`ours` is `trainer.learner`. Both make the same number of updates per student, in turns, on the same cores, with one
PyTorch thread per process in `paper` and as many as there are cores in `ours`; what comes before is not counted. `CPU`
counts all processes' time on the processor, which says what the work costs where other programs take the cores away.
`compiled` is `ours` with machine.compile. Updates before the clock runs let a GPU's libraries load, and the compiler
work. The shares are of a run of `ours` with one thread. On a GPU they are of wall time between synchronisations, which
slow the run down, and `decode` is what the learner waits for the threads that decode. Prints Markdown.
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
from typing import Any, Literal, NamedTuple

import torch
import tyro
from torch import Tensor, nn

from trainer import episodes, interactions
from trainer.backbones import BackboneName
from trainer.crops import crop_batch
from trainer.episodes import Reader
from trainer.interactions import Interactions
from trainer.learner import Learner
from trainer.losses import Segment, losses
from trainer.mdp import action_between, clip_box, overlap, reward, seen_box, transition
from trainer.options import RECIPES, MachineOptions, OptimiserOptions, TrainOptions
from trainer.processes import Processes
from trainer.student import LSTMState, Student, StudentOptions, StudentOutput
from trainer.train import first_student
from trainer.windows import Windows, open_windows

Scheme = Literal["paper", "ours", "compiled", "shares"]
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
            print(json.dumps(self._measure(*self.only)))
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
        command = [sys.executable, __file__, *same, "--only", *case]
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
        torch.set_num_threads(1 if scheme == "shares" else cores)
        return together(self.data, options, self.updates, self.warm_up, scheme == "shares")


def _row(*cells: object) -> None:
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def _wait(device: torch.device) -> None:
    """Until the device has done all that it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def together(data: Path, options: TrainOptions, updates: int, warm_up: int, shares: bool) -> dict[str, float]:
    """Our learner; rates, or the shares of its time."""
    device = torch.device(options.machine.device)
    with ExitStack() as stack:
        windows = open_windows([data])
        stack.callback(windows.close)
        if shares:
            spent = clock(device)
        numbers = list(range(options.students))
        reader = stack.enter_context(
            Reader(options.episode, windows, options.seed, options.students, options.machine.readers, device)
        )
        student = first_student(options).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        width = options.student.width
        now = Interactions(options, reader, numbers, windows.length, width, [False] * len(numbers), device)
        now.begin()
        learner = Learner(student, now, numbers, options, Processes(0, 1, device))
        for _ in range(warm_up):
            learner.update()
        if shares:
            timed(learner, "_answer", "forward", spent, device)
            timed(torch.Tensor, "backward", "backward", spent, device)
            timed(learner.optimiser, "step", "optimiser", spent, device)
            spent.clear()
        _wait(device)
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(updates):
            learner.update()
        _wait(device)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    if shares:
        whole = wall if device.type == "cuda" else cpu
        parts = {name: spent[name] / whole for name in PARTS}
        return {**parts, "rest": 1 - sum(parts.values())}
    frames = updates * options.segment * options.students
    return {"wall": frames / wall, "cpu": frames / cpu}


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
        _wait(device)
        began = seconds()
        result = function(*args, **kwargs)
        _wait(device)
        spent[part] += seconds() - began
        return result

    setattr(owner, name, counted)


class Shared(NamedTuple):
    """What all processes of the paper's scheme change, in shared memory, of all parameters in a row.

    Few tensors, because each is handed to each process by a file or a handle of the GPU, of which there are not many.

    Attributes:
        weights: float32 (N,), on the networks' device, where one process's update is the others' at once.
        mean: RAdam's first moment, likewise.
        square: Its second.
        steps: Updates of each parameter, float32 on the CPU, where PyTorch counts them.
    """

    weights: Tensor
    mean: Tensor
    square: Tensor
    steps: Tensor

    @classmethod
    def of(cls, student: Student) -> Shared:
        """Those of a student before its first update."""
        weights = nn.utils.parameters_to_vector(student.parameters()).detach()
        steps = torch.zeros(len(list(student.parameters())))
        parts = (weights, torch.zeros_like(weights), torch.zeros_like(weights), steps)
        return cls(*(part.share_memory_() for part in parts))

    def optimiser(self, student: Student, rate: float) -> torch.optim.Optimizer:
        """Let a student's weights lie here, and give its optimiser."""
        sizes = [p.numel() for p in student.parameters()]
        optimiser = torch.optim.RAdam(student.parameters(), lr=rate)
        parts = (torch.split(flat, sizes) for flat in self[:3])
        for p, weight, mean, square, step in zip(student.parameters(), *parts, self.steps, strict=True):
            p.data = weight.view(p.shape)
            moments = {"exp_avg": mean.view(p.shape), "exp_avg_sq": square.view(p.shape)}
            optimiser.state[p] = {"step": step, **moments}
        return optimiser


def independent(data: Path, options: TrainOptions, updates: int, warm_up: int) -> dict[str, float]:
    """The paper's scheme: a process per student."""
    device = torch.device(options.machine.device)
    torch.set_num_threads(1)
    # CUDA does not survive a fork; on the CPU forked processes share what they only read.
    context: Any = torch.multiprocessing.get_context("spawn" if device.type == "cuda" else "fork")
    shared = Shared.of(first_student(options).to(device))
    ready, done = context.Barrier(options.students + 1), context.Queue()
    processes = [
        context.Process(target=live, args=(n, shared, data, options, updates, warm_up, ready, done))
        for n in range(options.students)
    ]
    for process in processes:
        process.start()
    ready.wait(timeout=600)
    began = time.perf_counter()
    cpu, frames = (sum(parts) for parts in zip(*(done.get() for _ in processes), strict=True))
    wall = time.perf_counter() - began
    for process in processes:
        process.join()
    return {"wall": frames / wall, "cpu": frames / cpu}


def live(
    number: int,
    shared: Shared,
    data: Path,
    options: TrainOptions,
    updates: int,
    warm_up: int,
    ready: Any,  # noqa: ANN401  # of either context
    done: Any,  # noqa: ANN401
) -> None:
    """A student alone: so many segments of t_max steps."""
    torch.set_num_threads(1)
    device = torch.device(options.machine.device)
    windows = open_windows([data])
    own, ours = (Student(options.student).to(device) for _ in range(2))
    own.backbone.eval()  # its normalisation is frozen, as in our learner
    optimiser = shared.optimiser(ours, options.optimiser.learning_rate)
    try:
        segments = Independent(number, own, ours, windows, options, device)
        for _ in range(warm_up):
            segments.update(optimiser)
        _wait(device)
    except Exception:
        ready.abort()  # nobody is to wait for this one
        raise
    ready.wait()
    began = time.process_time()
    frames = sum(segments.update(optimiser) for _ in range(updates))
    _wait(device)
    done.put((time.process_time() - began, frames))


class Independent:
    """One student in its episode, as Section 3.3 has it."""

    def __init__(
        self,
        number: int,
        own: Student,
        shared: Student,
        windows: Windows,
        options: TrainOptions,
        device: torch.device,
    ) -> None:
        self.number, self.own, self.shared = number, own, shared
        self.windows, self.options, self.device = windows, options, device
        roles = RECIPES[options.recipe].roles
        self.distils = roles[number % len(roles)] == "distilling"
        self.episode = -1
        self.begin()

    def begin(self) -> None:
        """Copy the shared weights, and enter the next window."""
        self.own.load_state_dict(self.shared.state_dict())
        self.episode += 1
        o = self.options
        drawn = episodes.plan(o.episode, self.windows, o.seed, self.number, self.episode, o.students)
        clip = episodes.load(self.windows, drawn, self.windows.length, o.episode, self.device)
        self.images, self.t, self.box = clip.images, 1, clip.first[:4].to(self.device)
        self.places, self.sizes = clip.rows.windows.to(self.device), clip.rows.sizes.to(self.device)
        self.truth, self.target = clip.rows.truth.to(self.device), clip.rows.target.to(self.device)
        self.present = clip.rows.present.to(self.device)
        self.state = self.own.initial_state(1)

    def look(self) -> Any:  # noqa: ANN401
        """What the network makes of the state s_t."""
        around = seen_box(self.box, *self.sizes[self.t])[None].expand(2, 4)
        pair = slice(self.t - 1, self.t + 1)
        size, context = self.options.student.crop_size, self.options.episode.context
        crops = crop_batch(
            self.images[pair], self.places[pair], self.sizes[pair], around, size, context, self.device
        )
        if self.options.machine.precision == "float32":
            return self.own(crops[:1], crops[1:], self.state)
        with torch.autocast(self.device.type, torch.bfloat16):
            mean, value, state = self.own(crops[:1], crops[1:], self.state)
        return StudentOutput(mean.float(), value.float(), LSTMState(*(part.float() for part in state)))

    def update(self, optimiser: torch.optim.Optimizer) -> int:
        """t_max steps or what is left of the episode, and one update of the shared weights; returns the steps."""
        o = self.options
        steps: list[tuple[Tensor, ...]] = []
        ended = False
        while len(steps) < o.segment and not ended:
            mean, value, self.state = self.look()
            mean, value = mean[0], value[0]
            truth = action_between(self.truth[self.t], self.box)
            teacher = action_between(self.target[self.t], self.box).clamp(-1, 1)
            sigma = (mean - truth).abs().detach().clamp_min(o.loss.sigma_floor)
            sample = (mean + sigma * torch.randn_like(sigma)).detach()
            taken = mean.detach() if self.distils else sample
            size = self.sizes[self.t]
            self.box = clip_box(transition(taken.clamp(-1, 1), self.box), size[0], size[1])
            gained = reward(overlap(self.box, self.truth[self.t]))
            teachers = reward(overlap(self.target[self.t], self.truth[self.t]))
            ended = self.t + 1 == self.windows.length
            end = torch.tensor(ended, device=self.device)
            steps.append((mean, value, sigma, sample, teacher, gained, teachers, self.present[self.t], end))
            self.t += 1
        bootstrap = torch.zeros(1, device=self.device)
        if not self.distils and not ended:
            with torch.no_grad():
                bootstrap = self.look().value
        stacked = [torch.stack(parts)[:, None] for parts in zip(*steps, strict=True)]
        nothing = torch.zeros(len(steps), 1, 0, device=self.device)
        segment = Segment._make([*stacked, bootstrap, nothing[..., None].expand(-1, -1, -1, 4), nothing])
        found = losses(segment, torch.tensor([self.distils], device=self.device), o.loss)
        self.own.zero_grad()
        weight = o.loss.reinforcement_weight
        (found.imitation if self.distils else weight * (found.policy + found.value)).sum().backward()
        decay = o.loss.weight_decay if self.distils else 0.0
        give(self.own, self.shared, decay)
        optimiser.step()
        self.state = self.state.detach()
        if ended:
            self.begin()
        return len(steps)


def give(own: nn.Module, shared: nn.Module, decay: float) -> None:
    """Hand a student's gradients to the shared weights, with those of L_dist's weight decay."""
    for mine, theirs in zip(own.parameters(), shared.parameters(), strict=True):
        if mine.grad is not None:  # the critic of a student that distils has none
            theirs.grad = mine.grad.add_(theirs.detach(), alpha=decay) if decay else mine.grad


if __name__ == "__main__":
    sys.exit(tyro.cli(Benchmark, config=(tyro.conf.FlagCreatePairsOff,)).run())
