"""The paper's scheme of learning, Section 3.3 written down plainly, for `training_speed.py` to measure.

As many processes as students, each with its own episode, weights and LSTM, which every 5 steps sends its gradient to
weights in shared memory, without a lock (Hogwild), and copies them when its episode ends. RAdam's moments are shared as
well: a set per process would be as much work for more memory. Convolutions are PyTorch's own, crops are ours.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from trainer import episodes, winograd
from trainer.crops import crop_batch
from trainer.first_student import first_student
from trainer.losses import Segment, losses
from trainer.mdp import action_between, clip_box, overlap, reward, seen_box, transition
from trainer.options import RECIPES, TrainOptions
from trainer.student import LSTMState, Student, StudentOutput
from trainer.windows import Windows, open_windows


def wait(device: torch.device) -> None:
    """Until the device has done all that it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


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
    winograd.FEWEST_TILES = sys.maxsize  # PyTorch's own convolutions, which is what the paper had
    windows = open_windows([data])
    own, ours = (Student(options.student).to(device) for _ in range(2))
    own.backbone.eval()  # its normalisation is frozen, as in our learner
    optimiser = shared.optimiser(ours, options.optimiser.learning_rate)
    try:
        segments = Independent(number, own, ours, windows, options, device)
        for _ in range(warm_up):
            segments.update(optimiser)
        wait(device)
    except Exception:
        ready.abort()  # nobody is to wait for this one
        raise
    ready.wait()
    began = time.process_time()
    frames = sum(segments.update(optimiser) for _ in range(updates))
    wait(device)
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
        clip = episodes.load(self.windows, drawn, self.windows.length, o, self.device)
        self.images, self.t, self.box = clip.images, 1, clip.first[:4].to(self.device)
        self.places, self.sizes = clip.rows.windows.to(self.device), clip.rows.sizes.to(self.device)
        self.truth, self.target = clip.rows.truth.to(self.device), clip.rows.target.to(self.device)
        self.present = clip.rows.present.to(self.device)
        self.state = self.own.initial_state(1)

    def look(self) -> Any:  # noqa: ANN401
        """What the network makes of the state s_t."""
        around = seen_box(self.box, *self.sizes[self.t])[None].expand(2, 4)
        pair = slice(self.t - 1, self.t + 1)
        size, context = self.options.student.crop_size, self.options.student.context
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
            self.box = clip_box(transition(taken.clamp(-1, 1), self.box), *size, o.student.smallest_box)
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
